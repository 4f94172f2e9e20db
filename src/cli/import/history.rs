//! What rows of the activity log and sessions have in common: whose they are, when they were, and ids that are the
//! same each time the same file is imported.

use crate::activity::items;
use crate::config::Config;
use crate::model::{
    ActivityId, Clock, DeviceType, IpPrivacy, Timestamp, UserId, Username, validate,
};
use crate::store::{Ordinals, UserKey};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// Clocks differ: this much of the future is taken.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// What reading a file needs beside its rows.
pub(super) struct Reading {
    /// What is kept of addresses.
    ip_privacy: IpPrivacy,
    /// Only known actions are taken.
    pub(super) strict_actions: bool,
    /// When the import began.
    pub(super) now: Timestamp,
    ordinals: Option<Ordinals>,
    /// The times of the rows so far.
    pub(super) span: Option<(Timestamp, Timestamp)>,
}

/// A value that may stand in JSON with or without quotes; in CSV everything is text.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Text(String),
    Number(serde_json::Number),
}

impl Scalar {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

impl Reading {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            ip_privacy: config.ip_privacy,
            strict_actions: config.strict_actions,
            now: Clock::system().now(),
            ordinals: None,
            span: None,
        }
    }

    /// Counts `at` among the times of the rows.
    pub(super) fn include(&mut self, at: Timestamp) {
        self.span = Some(match self.span {
            Some((first, last)) => (first.min(at), last.max(at)),
            None => (at, at),
        });
    }

    /// RFC 3339, or seconds since the Unix epoch, also with decimals.
    pub(super) fn time(&self, field: &str, text: Option<&str>) -> Result<Timestamp, String> {
        let text = text.ok_or_else(|| format!("{field} is missing"))?;
        let time = match seconds(text) {
            Some(time) => time,
            None => Timestamp::parse_rfc3339(text)
                .map_err(|_| format!("{field} must be RFC 3339 or Unix seconds"))?,
        };
        if time.as_millis() < 0 || time > self.now.plus(AHEAD) {
            return Err(format!("{field} must be from 1970 to five minutes ahead"));
        }
        Ok(time)
    }

    /// What is kept of an address.
    pub(super) fn address(&self, text: Option<&str>) -> Result<Option<String>, String> {
        items::address(text, self.ip_privacy).map_err(|error| error.to_string())
    }

    /// The id of a row of `at`: the one it has, if that is a UUIDv7 of `at`. Another one gives, with the time, always
    /// the same UUIDv7; and without one the row's content does, together with how many rows of the file before it are
    /// the same, so that repeats are rows of their own.
    pub(super) fn id(
        &mut self,
        given: Option<&str>,
        at: Timestamp,
        content: &[Option<&str>],
    ) -> Result<Uuid, String> {
        self.include(at);
        if let Some(given) = given {
            validate::text("id", given, 1, 255).map_err(|error| error.to_string())?;
            if let Ok(id) = given.parse::<ActivityId>()
                && id.is_of(at)
            {
                return Ok(id.0);
            }
            let digest = Sha256::new().chain_update("id\0").chain_update(given);
            return Ok(uuid_of(at, &digest.finalize()));
        }
        // No part has a NUL in it.
        let mut digest = Sha256::new();
        for part in content {
            digest.update(part.unwrap_or_default());
            digest.update([0]);
        }
        let first = uuid_of(at, &digest.clone().finalize());
        let ordinals = match &mut self.ordinals {
            Some(ordinals) => ordinals,
            none => none.insert(Ordinals::new().map_err(|error| error.to_string())?),
        };
        let before = ordinals
            .next(first.as_bytes())
            .map_err(|error| error.to_string())?;
        if before == 0 {
            return Ok(first);
        }
        digest.update(before.to_be_bytes());
        Ok(uuid_of(at, &digest.finalize()))
    }
}

fn uuid_of(at: Timestamp, digest: &[u8]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    ActivityId::of(at, bytes).0
}

/// Digits, and with a point up to as many more as one likes; beyond milliseconds they are cut off.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let millis: i64 = format!("{part:0<3}")[..3].parse().ok()?;
    let seconds: i64 = whole.parse().unwrap_or(i64::MAX);
    let millis = seconds.saturating_mul(1000).saturating_add(millis);
    Some(Timestamp::from_millis(millis))
}

/// Whose a row is.
pub(super) fn user(id: Option<&str>, username: Option<&str>) -> Result<UserKey, String> {
    match (id, username) {
        (Some(id), _) => match id.parse() {
            Ok(id) if id > 0 => Ok(UserKey::Id(UserId(id))),
            _ => Err("userId must be a whole number of at least 1".to_owned()),
        },
        (None, Some(name)) => match Username::new(name) {
            Ok(name) => Ok(UserKey::Name(name.as_str().to_ascii_lowercase())),
            Err(_) => Err("username is no username".to_owned()),
        },
        (None, None) => Err("userId or username is missing".to_owned()),
    }
}

/// As it stands in the content that an id is made of.
pub(super) fn user_text(user: &UserKey) -> String {
    match user {
        UserKey::Id(id) => id.to_string(),
        // Apart from every id: names are not only digits.
        UserKey::Name(name) => name.clone(),
    }
}

pub(super) fn device_type(text: Option<&str>) -> Result<Option<DeviceType>, String> {
    text.map(str::parse)
        .transpose()
        .map_err(|why: String| format!("deviceType {why}"))
}

/// ISO 3166-1 alpha-2.
pub(super) fn country(text: Option<&str>) -> Result<Option<String>, String> {
    let code = text.map(items::country).transpose();
    code.map_err(|error| error.to_string())
}

/// An optional text of at most `max` characters.
pub(super) fn text(
    field: &'static str,
    text: Option<&str>,
    max: usize,
) -> Result<Option<String>, String> {
    if let Some(text) = text {
        validate::text(field, text, 1, max).map_err(|error| error.to_string())?;
    }
    Ok(text.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_with_and_without_decimals() {
        for (text, millis) in [
            ("1082040961", Some(1_082_040_961_000)),
            ("1.5", Some(1_500)),
            ("1.2345", Some(1_234)),
            ("99999999999999999999", Some(i64::MAX)),
            ("", None),
            (".5", None),
            ("1.", None),
            ("-1", None),
            ("1e3", None),
            ("2004-04-15T14:56:01Z", None),
        ] {
            let expected = millis.map(Timestamp::from_millis);
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn ids_are_the_same_each_time_and_repeats_apart() {
        let at = Timestamp::from_millis(1_082_040_961_000);
        let ids = || {
            let mut reading = Reading::new(&Config::defaults());
            let mut id = |given, content: &[Option<&str>]| {
                let id = reading.id(given, at, content).expect("an id");
                assert!(ActivityId(id).is_of(at), "{id}");
                id
            };
            [
                id(None, &[Some("a"), None, Some("b")]),
                id(None, &[Some("a"), None, Some("b")]),
                id(None, &[Some("a"), Some("b"), None]),
                id(Some("17"), &[]),
                id(Some("17"), &[]),
            ]
        };
        let [first, again, other, given, same] = ids();
        assert_eq!(ids(), [first, again, other, given, same]);
        assert_eq!(given, same, "one id is one row");
        let all = std::collections::HashSet::from([first, again, other, given]);
        assert_eq!(all.len(), 4);
        // A good id stays.
        let mut reading = Reading::new(&Config::defaults());
        let kept = reading.id(Some(&first.to_string()), at, &[]);
        assert_eq!(kept, Ok(first));
    }
}
