//! The server's two dialects, read and written: Socket.IO 5 in Engine.IO 4 packets, and the frames of `/ws`. No I/O.

use super::graph::Id;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Proto {
    /// Socket.IO over a WebSocket
    Socketio,
    /// Raw frames on /ws
    Ws,
}

/// What the server said.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// Engine.IO's handshake.
    Open,
    /// The namespace is joined.
    Connected,
    /// The namespace is refused, with the server's reason.
    Refused(String),
    /// Engine.IO's heartbeat; wants a pong.
    Ping,
    /// The server ends it.
    Closed,
    /// Who is online now.
    Snapshot(Vec<Entry>),
    /// Somebody went online or offline.
    Update(Update),
    /// The answer to a request; `Err` holds the error's code.
    Ack(u64, Result<(), String>),
    /// An `error` event, as the server wrote it.
    Error(String),
    /// Anything else.
    Other,
}

/// One person of a snapshot.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Who.
    pub user_id: Id,
    /// Their name.
    pub username: String,
    /// `online`, in a snapshot.
    pub status: String,
}

/// One `presence_update`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// Who.
    pub user_id: Id,
    /// Their name.
    pub username: String,
    /// `online` or `offline`.
    pub status: String,
    /// When it happened.
    pub timestamp: String,
    /// `None`: the key is not there; `Some(None)`: it is null.
    #[serde(default, deserialize_with = "present")]
    pub last_seen: Option<Option<String>>,
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// The Engine.IO answer to a ping.
pub const PONG: &str = "3";
/// The Socket.IO packet that leaves the namespace.
pub const DISCONNECT: &str = "41";

/// The Socket.IO packet that joins the namespace.
pub fn connect(token: &str) -> String {
    format!("40{}", serde_json::json!({ "token": token }))
}

/// An event with `data` (JSON), which asks for an acknowledgement by number.
pub fn event(proto: Proto, name: &str, data: &str, ack: u64) -> String {
    match proto {
        Proto::Socketio => format!(r#"42{ack}["{name}",{data}]"#),
        Proto::Ws => format!(r#"{{"event":"{name}","data":{data},"ack":{ack}}}"#),
    }
}

/// Reads one text frame. `Err` says what is wrong with it.
pub fn decode(proto: Proto, text: &str) -> Result<Incoming, String> {
    let read = match proto {
        Proto::Socketio => decode_socketio(text),
        Proto::Ws => decode_ws(text),
    };
    read.map_err(|e| format!("{e} in {:?}", text.chars().take(200).collect::<String>()))
}

fn decode_socketio(text: &str) -> serde_json::Result<Incoming> {
    let body = match text.as_bytes() {
        [b'0', ..] => return Ok(Incoming::Open),
        [b'1'] | [b'4', b'1', ..] => return Ok(Incoming::Closed),
        [b'2', ..] => return Ok(Incoming::Ping),
        [b'4', b'0', ..] => return Ok(Incoming::Connected),
        [b'4', b'4', rest @ ..] => {
            return Ok(Incoming::Refused(
                String::from_utf8_lossy(rest).into_owned(),
            ));
        }
        [b'4', b'2' | b'3', ..] => &text[2..],
        _ => return Ok(Incoming::Other),
    };
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let (number, body) = body.split_at(digits);
    if text.as_bytes()[1] == b'3' {
        let [ack]: [Ack; 1] = serde_json::from_str(body)?;
        // A number too large for us cannot be one that we gave.
        return Ok(ack.named(number.parse().unwrap_or(u64::MAX)));
    }
    let (name, data): (Cow<'_, str>, &RawValue) = serde_json::from_str(body)?;
    decode_event(&name, data.get())
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    ack: Option<u64>,
}

fn decode_ws(text: &str) -> serde_json::Result<Incoming> {
    let frame: Frame<'_> = serde_json::from_str(text)?;
    let data = frame.data.map_or("null", RawValue::get);
    match (frame.event, frame.ack) {
        (Some(name), _) => decode_event(&name, data),
        (None, Some(number)) => Ok(serde_json::from_str::<Ack>(data)?.named(number)),
        (None, None) => Ok(Incoming::Other),
    }
}

fn decode_event(name: &str, data: &str) -> serde_json::Result<Incoming> {
    #[derive(Deserialize)]
    struct Snapshot {
        users: Vec<Entry>,
    }
    Ok(match name {
        "presence_update" => Incoming::Update(serde_json::from_str(data)?),
        "presence_snapshot" => Incoming::Snapshot(serde_json::from_str::<Snapshot>(data)?.users),
        "error" => Incoming::Error(data.to_owned()),
        _ => Incoming::Other,
    })
}

#[derive(Deserialize)]
struct Ack {
    success: bool,
    error: Option<AckError>,
}

#[derive(Deserialize)]
struct AckError {
    code: String,
}

impl Ack {
    fn named(self, number: u64) -> Incoming {
        let outcome = match (self.success, self.error) {
            (true, _) => Ok(()),
            (false, error) => Err(error.map_or_else(String::new, |e| e.code)),
        };
        Incoming::Ack(number, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATE: &str = r#"{"userId":7,"username":"u7","status":"offline","timestamp":"2026-01-01T00:00:00.000Z","lastSeen":null}"#;

    #[test]
    fn both_dialects_carry_the_same() {
        let socketio = decode(
            Proto::Socketio,
            &format!(r#"42["presence_update",{UPDATE}]"#),
        )
        .expect("valid in this test");
        let ws = decode(
            Proto::Ws,
            &format!(r#"{{"event":"presence_update","data":{UPDATE}}}"#),
        )
        .expect("valid in this test");
        assert_eq!(socketio, ws);
        let Incoming::Update(update) = ws else {
            panic!("{ws:?}")
        };
        assert_eq!((update.user_id, update.last_seen), (7, Some(None)));
    }

    #[test]
    fn an_absent_last_seen_is_not_a_null_one() {
        let online: Update = serde_json::from_str(
            r#"{"userId":7,"username":"u7","status":"online","timestamp":"t"}"#,
        )
        .expect("valid in this test");
        assert_eq!(online.last_seen, None);
    }

    #[test]
    fn acknowledgements_are_read() {
        let failed = r#"{"success":false,"error":{"code":"forbidden","message":"no"}}"#;
        assert_eq!(
            decode(Proto::Socketio, r#"4312[{"success":true,"data":{}}]"#)
                .expect("valid in this test"),
            Incoming::Ack(12, Ok(()))
        );
        assert_eq!(
            decode(Proto::Ws, &format!(r#"{{"ack":3,"data":{failed}}}"#))
                .expect("valid in this test"),
            Incoming::Ack(3, Err("forbidden".into()))
        );
    }

    #[test]
    fn packets_without_events_are_told_apart() {
        let kinds = ["0{}", "2", r#"40{"sid":"x"}"#, "41", "1"]
            .map(|text| decode(Proto::Socketio, text).expect("valid in this test"));
        use Incoming::{Closed, Connected, Open, Ping};
        assert_eq!(kinds, [Open, Ping, Connected, Closed, Closed]);
        let refused =
            decode(Proto::Socketio, r#"44{"message":"unauthorized"}"#).expect("valid in this test");
        assert_eq!(
            refused,
            Incoming::Refused(r#"{"message":"unauthorized"}"#.into())
        );
    }

    #[test]
    fn broken_frames_are_errors() {
        assert!(decode(Proto::Socketio, "42[").is_err());
        assert!(decode(Proto::Ws, "hello").is_err());
        assert!(decode(Proto::Ws, r#"{"event":"presence_update","data":{}}"#).is_err());
    }

    #[test]
    fn requests_are_written() {
        assert_eq!(
            event(Proto::Socketio, "heartbeat", "{}", 5),
            r#"425["heartbeat",{}]"#
        );
        assert_eq!(
            event(Proto::Ws, "heartbeat", "{}", 5),
            r#"{"event":"heartbeat","data":{},"ack":5}"#
        );
        assert_eq!(connect("t"), r#"40{"token":"t"}"#);
    }
}
