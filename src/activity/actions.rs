//! The actions that are known: what each is done to, and what its metadata may hold.

use crate::model::{FieldError, validate};
use serde_json::{Map, Value};

/// What a value of metadata must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string or an integer.
    Id,
    /// A number from 0.
    Duration,
    /// An integer from 0.
    Count,
    /// A string.
    Text,
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Id => value.is_string() || value.is_i64() || value.is_u64(),
            Self::Duration => value.as_f64().is_some_and(|number| number >= 0.0),
            Self::Count => value.is_u64(),
            Self::Text => value.is_string(),
        }
    }

    const fn wanted(self) -> &'static str {
        match self {
            Self::Id => "must be a string or an integer",
            Self::Duration => "must be a number from 0",
            Self::Count => "must be an integer from 0",
            Self::Text => "must be a string",
        }
    }
}

/// An action that is known.
#[derive(Debug)]
pub struct KnownAction {
    /// Its name.
    pub name: &'static str,
    /// What it is done to, if it is done to something.
    pub target_type: Option<&'static str>,
    /// What its metadata may hold, each as `metadata.KEY`; other keys may be there too.
    pub metadata: &'static [(&'static str, Kind)],
}

/// The server's own word for a sign-in; also a service's, which has sign-ins of its own.
pub const LOGIN: &str = "login";
/// The end of a sign-in.
pub const LOGOUT: &str = "logout";
/// A new follow.
pub const USER_FOLLOWED: &str = "user_followed";
/// A message to a conversation.
pub const MESSAGE_SENT: &str = "message_sent";

/// Every known action.
pub const KNOWN: &[KnownAction] = &[
    KnownAction {
        name: LOGIN,
        target_type: None,
        metadata: &[
            ("metadata.method", Kind::Text),
            ("metadata.device", Kind::Text),
        ],
    },
    KnownAction {
        name: LOGOUT,
        target_type: None,
        metadata: &[("metadata.duration_seconds", Kind::Duration)],
    },
    KnownAction {
        name: "video_posted",
        target_type: Some("video"),
        metadata: &[
            ("metadata.videoId", Kind::Id),
            ("metadata.duration", Kind::Duration),
        ],
    },
    KnownAction {
        name: "video_watched",
        target_type: Some("video"),
        metadata: &[
            ("metadata.videoId", Kind::Id),
            ("metadata.watchDuration", Kind::Duration),
        ],
    },
    KnownAction {
        name: "livestream_started",
        target_type: Some("livestream"),
        metadata: &[
            ("metadata.streamId", Kind::Id),
            ("metadata.type", Kind::Text),
        ],
    },
    KnownAction {
        name: "livestream_ended",
        target_type: Some("livestream"),
        metadata: &[
            ("metadata.duration", Kind::Duration),
            ("metadata.peakViewers", Kind::Count),
        ],
    },
    KnownAction {
        name: "comment_posted",
        target_type: Some("video"),
        metadata: &[
            ("metadata.videoId", Kind::Id),
            ("metadata.commentId", Kind::Id),
        ],
    },
    KnownAction {
        name: USER_FOLLOWED,
        target_type: Some("user"),
        metadata: &[("metadata.targetUserId", Kind::Id)],
    },
    KnownAction {
        name: MESSAGE_SENT,
        target_type: Some("conversation"),
        metadata: &[("metadata.conversationId", Kind::Id)],
    },
];

/// Bytes of metadata at most, written as JSON without spaces.
pub const MAX_METADATA: usize = 16 * 1024;
/// Characters of a target's type at most.
pub const MAX_TARGET_TYPE: usize = 30;
/// Characters of a target's id at most.
pub const MAX_TARGET_ID: usize = 100;

/// The known action of this name.
pub fn known(name: &str) -> Option<&'static KnownAction> {
    KNOWN.iter().find(|action| action.name == name)
}

/// Checks an action's name: a known one, or, unless `is_strict`, `[a-z][a-z0-9_]{0,49}`.
///
/// # Errors
/// When it is no such name.
pub fn check_name(name: &str, is_strict: bool) -> Result<Option<&'static KnownAction>, FieldError> {
    let known = known(name);
    if known.is_some() {
        return Ok(known);
    }
    if is_strict {
        let names: Vec<_> = KNOWN.iter().map(|action| action.name).collect();
        let message = format!("must be one of: {}", names.join(", "));
        return Err(FieldError::new("action", message));
    }
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if (1..=50).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(rest)
    {
        return Ok(None);
    }
    Err(FieldError::new(
        "action",
        "must be 1 to 50 of a-z 0-9 _ and begin with a letter",
    ))
}

/// The target's type of an activity: the action's own where it is left out.
///
/// # Errors
/// When it is another than the action's, or too long.
pub fn check_target_type(
    action: Option<&KnownAction>,
    given: Option<String>,
) -> Result<Option<String>, FieldError> {
    let field = "targetType";
    if let Some(text) = &given {
        validate::text(field, text, 1, MAX_TARGET_TYPE)?;
    }
    let Some(action) = action else {
        return Ok(given);
    };
    match (action.target_type, given) {
        (None, Some(_)) => Err(FieldError::new(
            field,
            format!("must be left out: {} has no target", action.name),
        )),
        (Some(right), Some(given)) if right != given => Err(FieldError::new(
            field,
            format!("must be {right} for {}", action.name),
        )),
        (own, _) => Ok(own.map(str::to_owned)),
    }
}

/// The metadata of an activity as text; a key whose value is null counts as left out.
///
/// # Errors
/// When a key of the action has another type, there is a NUL in it, or it is too long.
pub fn check_metadata(
    action: Option<&KnownAction>,
    metadata: &Map<String, Value>,
) -> Result<String, FieldError> {
    for (field, kind) in action.map_or(&[][..], |action| action.metadata) {
        let key = field.trim_start_matches("metadata.");
        let value = metadata.get(key).filter(|value| !value.is_null());
        if value.is_some_and(|value| !kind.fits(value)) {
            return Err(FieldError::new(field, kind.wanted()));
        }
    }
    if metadata
        .iter()
        .any(|(key, value)| key.contains('\0') || has_nul(value))
    {
        return Err(FieldError::new("metadata", "must not contain NUL"));
    }
    let text = serde_json::to_string(metadata).expect("keys are strings and numbers finite");
    if text.len() > MAX_METADATA {
        let message = format!("must have at most {MAX_METADATA} bytes as JSON");
        return Err(FieldError::new("metadata", message));
    }
    Ok(text)
}

/// As deep as the parser let it be, which is little.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(action: &str, value: Value) -> Result<String, &'static str> {
        let Value::Object(map) = value else {
            panic!("an object")
        };
        check_metadata(known(action), &map).map_err(|error| error.field)
    }

    #[test]
    fn names() {
        for name in ["a", "login", "story_viewed2", &"a".repeat(50)] {
            assert!(check_name(name, false).is_ok(), "{name}");
        }
        for name in [
            "",
            "A",
            "1a",
            "_a",
            "a-b",
            "a b",
            "ä",
            "a\0",
            &"a".repeat(51),
        ] {
            assert!(check_name(name, false).is_err(), "{name}");
        }
        assert!(check_name("story_viewed", true).is_err());
        for action in KNOWN {
            let found = check_name(action.name, true).expect("a known one");
            assert_eq!(found.map(|found| found.name), Some(action.name));
        }
    }

    #[test]
    fn every_key_is_named_as_it_is_on_the_wire() {
        let fields = KNOWN.iter().flat_map(|action| action.metadata);
        for (field, _) in fields {
            assert!(
                field
                    .strip_prefix("metadata.")
                    .is_some_and(|key| !key.is_empty())
            );
        }
    }

    #[test]
    fn targets() {
        let of = |action: &str, given: Option<&str>| {
            check_target_type(known(action), given.map(str::to_owned))
        };
        assert_eq!(of("video_posted", None), Ok(Some("video".to_owned())));
        assert_eq!(of("video_posted", Some("video")), Ok(Some("video".into())));
        assert!(of("video_posted", Some("user")).is_err());
        assert_eq!(of("login", None), Ok(None));
        assert!(of("login", Some("user")).is_err());
        assert_eq!(of("other", Some("thing")), Ok(Some("thing".into())));
        assert_eq!(of("other", None), Ok(None));
        for bad in ["", "a\0", &"x".repeat(31)] {
            assert!(of("other", Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn types_of_metadata() {
        for good in [
            json!({}),
            json!({"videoId": "a"}),
            json!({"videoId": 7, "watchDuration": 0}),
            json!({"videoId": u64::MAX, "watchDuration": 1.5, "more": {"x": [null]}}),
            json!({"videoId": null}),
        ] {
            assert!(metadata("video_watched", good.clone()).is_ok(), "{good}");
        }
        for (action, bad, field) in [
            ("video_watched", json!({"videoId": 1.5}), "metadata.videoId"),
            ("video_watched", json!({"videoId": {}}), "metadata.videoId"),
            (
                "video_watched",
                json!({"watchDuration": -1}),
                "metadata.watchDuration",
            ),
            (
                "video_watched",
                json!({"watchDuration": "1"}),
                "metadata.watchDuration",
            ),
            (
                "livestream_ended",
                json!({"peakViewers": 1.5}),
                "metadata.peakViewers",
            ),
            (
                "livestream_ended",
                json!({"peakViewers": -1}),
                "metadata.peakViewers",
            ),
            ("livestream_started", json!({"type": 1}), "metadata.type"),
            ("login", json!({"method": true}), "metadata.method"),
            (
                "user_followed",
                json!({"targetUserId": true}),
                "metadata.targetUserId",
            ),
            ("other", json!({"a": ["b\0"]}), "metadata"),
            ("other", json!({"a": {"b\0": 1}}), "metadata"),
            ("other", json!({"a\0": 1}), "metadata"),
        ] {
            assert_eq!(metadata(action, bad.clone()), Err(field), "{bad}");
        }
    }

    #[test]
    fn the_length_is_that_of_the_text() {
        // `{"a":"…"}` has 8 bytes around the text.
        let of = |length: usize| metadata("other", json!({"a": "x".repeat(length)}));
        assert_eq!(
            of(MAX_METADATA - 8).map(|text| text.len()),
            Ok(MAX_METADATA)
        );
        assert_eq!(of(MAX_METADATA - 7), Err("metadata"));
    }
}
