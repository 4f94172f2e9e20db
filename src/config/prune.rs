//! How old what may become: `[prune]` of the file, and `LASTSEEN_PRUNE_*`. Flags are laid over it by the command.

use super::value::{Value as _, some_time};
use super::{ConfigError, Env, file};
use std::collections::BTreeMap;
use std::time::Duration;

/// Ages beyond which rows go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneAges {
    /// Of activities.
    pub older_than: Option<Duration>,
    /// Of sessions, since their end.
    pub sessions_older_than: Option<Duration>,
    /// Of activities of one action, whatever `older_than` says.
    pub keep: BTreeMap<String, Duration>,
}

/// An age such as `90d`: a duration that is more than none, since no time at all would be everything.
///
/// # Errors
/// Why it is none.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    let age = Duration::from_text(text)?;
    some_time(&age)?;
    Ok(age)
}

/// `ACTION=AGE`.
///
/// # Errors
/// Why it is none.
pub fn parse_keep(text: &str) -> Result<(String, Duration), String> {
    let (action, age) = text
        .split_once('=')
        .ok_or_else(|| format!("must be ACTION=AGE such as login=365d, not {text:?}"))?;
    let mut bytes = action.bytes();
    let is_word = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && action.len() <= 50
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_word {
        return Err(format!(
            "{action:?} is no action: small letters, digits and _, a letter first, 50 at most"
        ));
    }
    Ok((action.to_owned(), parse_age(age)?))
}

impl PruneAges {
    pub(super) fn read(file: Option<&file::File>, env: &Env) -> Result<Self, ConfigError> {
        let mut ages = match file {
            Some(file) => file.prune()?,
            None => Self::default(),
        };
        let wrong = |name: &str, why| ConfigError(format!("environment variable {name}: {why}"));
        for (name, age) in [
            ("LASTSEEN_PRUNE_OLDER_THAN", &mut ages.older_than),
            (
                "LASTSEEN_PRUNE_SESSIONS_OLDER_THAN",
                &mut ages.sessions_older_than,
            ),
        ] {
            if let Some(text) = env.get(name)? {
                *age = Some(parse_age(text).map_err(|why| wrong(name, why))?);
            }
        }
        let name = "LASTSEEN_PRUNE_KEEP";
        if let Some(text) = env.get(name)? {
            for rule in text.split(',').map(str::trim) {
                let (action, age) = parse_keep(rule).map_err(|why| wrong(name, why))?;
                ages.keep.insert(action, age);
            }
        }
        Ok(ages)
    }
}
