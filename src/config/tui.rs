//! How the dashboard is opened and drawn: `[tui]` of the file. The command lays `LASTSEEN_*` and its flags over it.

use std::path::PathBuf;
use std::time::Duration;

const SHORTEST_REFRESH: Duration = Duration::from_millis(250);
const LONGEST_REFRESH: Duration = Duration::from_secs(3_600);

/// What is set in the file; `stats` heeds the address and the key too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TuiSettings {
    /// The server's address.
    pub url: Option<String>,
    /// A file with an administrator's key.
    pub token_file: Option<PathBuf>,
    /// How often to look.
    pub refresh: Option<Duration>,
    /// Draw with ASCII alone.
    pub ascii: Option<bool>,
    /// Heed the mouse.
    pub mouse: Option<bool>,
}

impl TuiSettings {
    /// `None` where there is no such key.
    pub(super) fn set_toml(
        &mut self,
        key: &str,
        value: &toml::Value,
    ) -> Option<Result<(), String>> {
        let text = || value.as_str().ok_or("must be a string".to_owned());
        let switch = || value.as_bool().ok_or("must be true or false".to_owned());
        Some(match key {
            "url" => text().map(|url| self.url = Some(url.to_owned())),
            "token_file" => text().map(|path| self.token_file = Some(path.into())),
            "refresh" => text()
                .and_then(parse_refresh)
                .map(|refresh| self.refresh = Some(refresh)),
            "ascii" => switch().map(|ascii| self.ascii = Some(ascii)),
            "mouse" => switch().map(|mouse| self.mouse = Some(mouse)),
            _ => return None,
        })
    }
}

/// How often the dashboard looks, from 250 ms to an hour.
///
/// # Errors
/// Why it cannot be so often.
pub fn parse_refresh(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("must be a duration such as 500ms or 2s, not {text:?}"))?;
    match (SHORTEST_REFRESH..=LONGEST_REFRESH).contains(&duration) {
        true => Ok(duration),
        false => Err("must be from 250ms to 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Env, Flags, resolve};
    use super::*;

    fn read(text: &str) -> Result<TuiSettings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lastseen.toml");
        std::fs::write(&path, text).expect("written");
        let resolved = resolve(&Flags::default(), Some(&path), &Env::default());
        match resolved {
            Ok(resolved) => Ok(resolved.tui),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn intervals_within_reason() {
        assert_eq!(parse_refresh("250ms"), Ok(SHORTEST_REFRESH));
        assert_eq!(parse_refresh("1h"), Ok(LONGEST_REFRESH));
        for text in ["249ms", "61m", "2"] {
            assert!(parse_refresh(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_file_says_how() {
        let all = "[tui]\nurl = \"https://presence.example.com\"\ntoken_file = \"key\"\nrefresh = \"500ms\"\n\
                   ascii = true\nmouse = false\n";
        let expected = TuiSettings {
            url: Some("https://presence.example.com".into()),
            token_file: Some("key".into()),
            refresh: Some(Duration::from_millis(500)),
            ascii: Some(true),
            mouse: Some(false),
        };
        assert_eq!(read(all), Ok(expected));
        assert_eq!(read(""), Ok(TuiSettings::default()));
        for (text, part) in [
            ("tui = 1", "key tui: must be a table"),
            (
                "[tui]\nrefresh = \"1ms\"",
                "key tui.refresh: must be from 250ms",
            ),
            ("[tui]\nrefresh = 2", "key tui.refresh: must be a string"),
            (
                "[tui]\nascii = \"yes\"",
                "key tui.ascii: must be true or false",
            ),
            ("[tui]\ncolour = true", "key tui.colour: is not a known key"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
