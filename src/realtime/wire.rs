//! The one event vocabulary as it goes over the wire, in both protocols.

use super::frame::Frame;
use crate::error::Error;
use crate::model::{Status, Timestamp, UserId, Whom};
use crate::presence::link::{CloseReason, NewMessage, Protocol, Seen, Update};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Foreground or background; `user_id`, where given, must be the client's own.
    UpdatePresence {
        /// Whose.
        user_id: Option<UserId>,
        /// Which.
        status: Status,
    },
    /// Tell me of these people.
    Watch(Whom),
    /// No longer.
    Unwatch(Whom),
    /// I am here.
    Heartbeat,
}

/// A failure as a client is told of it, in an acknowledgement or an `error` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WireError {
    /// What kind, for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

impl WireError {
    /// A new one.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn payload(event: &str, why: &impl std::fmt::Display) -> Self {
        Self::new("bad_payload", format!("{event}: {why}"))
    }
}

impl From<Error> for WireError {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::BadRequest(_) | Error::IncompleteItems(_) => "bad_payload",
            Error::Unauthorized | Error::WrongCredentials | Error::WrongIdToken(_) => {
                "unauthorized"
            }
            Error::Forbidden(_) | Error::ForbiddenItems(_) => "forbidden",
            Error::NotFound(_) => "not_found",
            Error::Conflict { .. } => "conflict",
            Error::Invalid(_) | Error::InvalidItems(_) => "invalid",
            Error::RateLimited { .. } => "rate_limited",
            Error::Unavailable => "unavailable",
            Error::Internal(cause) => {
                tracing::error!(%cause, "a realtime event failed");
                "internal"
            }
        };
        Self::new(code, error.to_string())
    }
}

impl Request {
    /// Reads an event and its data. A missing payload counts as an empty one.
    ///
    /// # Errors
    /// `unknown_event`, or `bad_payload` with what is wrong.
    pub fn parse(event: &str, data: Option<&RawValue>) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct UpdatePresence {
            user_id: Option<UserId>,
            status: Status,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct People {
            usernames: Option<Vec<String>>,
            user_ids: Option<Vec<UserId>>,
        }
        let data = data.map_or("{}", RawValue::get);
        let people =
            || match serde_json::from_str(data).map_err(|why| WireError::payload(event, &why))? {
                People {
                    usernames: Some(names),
                    user_ids: None,
                } => Ok(Whom::Names(names)),
                People {
                    usernames: None,
                    user_ids: Some(ids),
                } => Ok(Whom::Ids(ids)),
                _ => Err(WireError::payload(
                    event,
                    &"needs usernames or userIds, one of them",
                )),
            };
        match event {
            "update_presence" => {
                let UpdatePresence { user_id, status } =
                    serde_json::from_str(data).map_err(|why| WireError::payload(event, &why))?;
                Ok(Self::UpdatePresence { user_id, status })
            }
            "watch" => Ok(Self::Watch(people()?)),
            "unwatch" => Ok(Self::Unwatch(people()?)),
            "heartbeat" => Ok(Self::Heartbeat),
            _ => Err(WireError::new("unknown_event", "there is no such event")),
        }
    }
}

/// `lastSeen` stands exactly when offline; null when never seen or hidden.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SeenWire<'a> {
    user_id: UserId,
    username: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<Option<Timestamp>>,
}

fn last_seen(status: Status, at: Option<Timestamp>) -> Option<Option<Timestamp>> {
    (status == Status::Offline).then_some(at)
}

impl<'a> From<&'a Seen> for SeenWire<'a> {
    fn from(seen: &'a Seen) -> Self {
        Self {
            user_id: seen.user_id,
            username: &seen.username,
            status: seen.status,
            timestamp: None,
            last_seen: last_seen(seen.status, seen.last_seen),
        }
    }
}

/// `{users:[…]}`: a snapshot, or what `watch` is answered with.
#[derive(Serialize)]
pub struct People<'a> {
    users: Vec<SeenWire<'a>>,
}

impl<'a> From<&'a [Seen]> for People<'a> {
    fn from(seen: &'a [Seen]) -> Self {
        Self {
            users: seen.iter().map(SeenWire::from).collect(),
        }
    }
}

/// An event as a frame of `protocol`.
pub fn event(protocol: Protocol, name: &str, data: &impl Serialize) -> Frame {
    let data = serde_json::to_string(data).expect("our own types always have a JSON form");
    match protocol {
        Protocol::Raw => Frame::text_parts(&["{\"event\":\"", name, "\",\"data\":", &data, "}"]),
        Protocol::SocketIo => Frame::text_parts(&["42[\"", name, "\",", &data, "]"]),
    }
}

/// `presence_update`.
pub fn presence_update(protocol: Protocol, update: &Update) -> Frame {
    let wire = SeenWire {
        user_id: update.user_id,
        username: &update.username,
        status: update.status,
        timestamp: Some(update.timestamp),
        last_seen: last_seen(update.status, update.last_seen),
    };
    event(protocol, "presence_update", &wire)
}

/// `message`.
pub fn message(protocol: Protocol, new: &NewMessage) -> Frame {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Message<'a> {
        conversation_id: crate::model::ConversationId,
        message: &'a serde_json::Value,
    }
    let wire = Message {
        conversation_id: new.conversation_id,
        message: &new.message,
    };
    event(protocol, "message", &wire)
}

/// `server_shutdown`.
pub fn server_shutdown(protocol: Protocol, reconnect_after: Duration) -> Frame {
    event(
        protocol,
        "server_shutdown",
        &serde_json::json!({ "reconnectAfterMs": millis(reconnect_after) }),
    )
}

/// The reason of close code 4008.
pub fn shutdown_reason(reconnect_after: Duration) -> String {
    format!("{{\"reconnectAfterMs\":{}}}", millis(reconnect_after))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The close codes of SPEC section 3, beside those of RFC 6455.
pub mod close_code {
    /// No valid credential, or a first frame that is no `auth`.
    pub const UNAUTHORIZED: u16 = 4001;
    /// Revoked, or ended by an administrator.
    pub const REVOKED: u16 = 4002;
    /// Signed out or expired.
    pub const SIGNED_OUT: u16 = 4003;
    /// No `auth` in time.
    pub const NO_AUTH: u16 = 4004;
    /// Too many connections.
    pub const TOO_MANY: u16 = 4006;
    /// The server stops.
    pub const SHUTDOWN: u16 = 4008;
    /// Policy violation (RFC 6455, section 7.4.1): a handshake with a wrong value.
    pub const POLICY: u16 = 1008;
    /// Unexpected condition (RFC 6455, section 7.4.1).
    pub const INTERNAL: u16 = 1011;
    /// Try again later (IANA WebSocket Close Code Number Registry).
    pub const TRY_AGAIN: u16 = 1013;
}

/// Close code, and the `error` event that goes before, for an end that the server decided.
pub fn close_of(reason: CloseReason) -> (u16, WireError) {
    match reason {
        CloseReason::SignedOut => (
            close_code::SIGNED_OUT,
            WireError::new("revoked", "you have signed out"),
        ),
        CloseReason::Expired => (
            close_code::SIGNED_OUT,
            WireError::new("revoked", "the credential has expired"),
        ),
        CloseReason::Revoked => (
            close_code::REVOKED,
            WireError::new("revoked", "the credential was revoked"),
        ),
        CloseReason::Kicked => (
            close_code::REVOKED,
            WireError::new("revoked", "an administrator ended this connection"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(event: &str, data: &str) -> Result<Request, WireError> {
        Request::parse(
            event,
            Some(&RawValue::from_string(data.into()).expect("JSON")),
        )
    }

    fn text(frame: &Frame) -> String {
        String::from_utf8(frame.payload().to_vec()).expect("text")
    }

    #[test]
    fn requests() {
        let online = Request::UpdatePresence {
            user_id: Some(UserId(7)),
            status: Status::Online,
        };
        assert_eq!(
            parse(
                "update_presence",
                r#"{"userId":7,"status":"online","more":1}"#
            ),
            Ok(online)
        );
        assert_eq!(
            parse("watch", r#"{"userIds":[1]}"#),
            Ok(Request::Watch(Whom::Ids(vec![UserId(1)])))
        );
        assert_eq!(Request::parse("heartbeat", None), Ok(Request::Heartbeat));
        for (event, data) in [
            ("update_presence", "{}"),
            ("update_presence", r#"{"status":"away"}"#),
            (
                "update_presence",
                r#"{"status":"online","userId":99999999999999999999}"#,
            ),
            ("update_presence", "null"),
            ("watch", "{}"),
            ("watch", r#"{"userIds":[1],"usernames":["a"]}"#),
            ("unwatch", r#"{"usernames":[1]}"#),
        ] {
            assert_eq!(
                parse(event, data).expect_err(data).code,
                "bad_payload",
                "{event} {data}"
            );
        }
        assert_eq!(
            parse("dance", "{}").expect_err("unknown").code,
            "unknown_event"
        );
    }

    #[test]
    fn last_seen_stands_exactly_when_offline() {
        let mut update = Update {
            user_id: UserId(7),
            username: "ann".into(),
            status: Status::Online,
            timestamp: Timestamp::from_millis(0),
            last_seen: None,
        };
        assert_eq!(
            text(&presence_update(Protocol::SocketIo, &update)),
            r#"42["presence_update",{"userId":7,"username":"ann","status":"online","timestamp":"1970-01-01T00:00:00.000Z"}]"#
        );
        update.status = Status::Offline;
        let raw = text(&presence_update(Protocol::Raw, &update));
        assert!(
            raw.starts_with(r#"{"event":"presence_update","data":{"userId":7,"#)
                && raw.ends_with("}}"),
            "{raw}"
        );
        assert!(raw.contains(r#""lastSeen":null"#), "{raw}");
    }
}
