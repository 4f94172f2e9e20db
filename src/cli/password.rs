//! A new password, from standard input or typed twice; never from the command line, which others can see.

use crate::auth::password;
use anyhow::{Context as _, bail};
use std::io::{IsTerminal as _, Read as _};

/// More than any password that is allowed.
const MAX_SIZE_BYTES: u64 = 16 * 1024;

/// The password: from standard input when `from_stdin`, else asked for on a terminal, else `None`. `Some("")` was
/// left empty on the terminal.
pub(super) fn read(from_stdin: bool) -> anyhow::Result<Option<String>> {
    if from_stdin {
        return read_from(std::io::stdin().lock()).map(Some);
    }
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .context("cannot ask for the password; use --password-stdin")
    };
    let password = ask("Password: ")?;
    if !password.is_empty() && ask("Again: ")? != password {
        bail!("the two passwords differ; run the command again");
    }
    Ok(Some(password))
}

/// All of `input` without one line break at its end.
fn read_from(input: impl std::io::Read) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    input
        .take(MAX_SIZE_BYTES + 1)
        .read_to_end(&mut bytes)
        .context("cannot read the password from standard input")?;
    if bytes.len() as u64 > MAX_SIZE_BYTES {
        bail!("the password must have at most 1024 characters; give a shorter one");
    }
    let Ok(text) = String::from_utf8(bytes) else {
        bail!("the password must be UTF-8; give another one");
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Checks the length and hashes.
pub(super) fn hash(password: &str) -> anyhow::Result<String> {
    password::check(password)?;
    Ok(password::hash(password)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_is_dropped() {
        let read = |bytes: &[u8]| read_from(bytes).expect("good");
        assert_eq!(read(b"secret\n"), "secret");
        assert_eq!(read(b"secret\r\n"), "secret");
        assert_eq!(read(b"secret\n\n"), "secret\n");
        assert_eq!(read(b" secret "), " secret ");
        assert!(read_from(&b"\xff"[..]).is_err());
        assert!(read_from(&vec![b'a'; 20_000][..]).is_err());
        assert!(hash("short").is_err());
    }
}
