//! Socket.IO 5 packets inside Engine.IO messages. Pure.

use crate::realtime::frame::Frame;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt::Write as _;

/// Binary attachments a packet may announce.
pub const MAX_ATTACHMENTS: usize = 16;

/// Names that a client may not use, since they mean something to the library at either end.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// A packet's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `0`.
    Connect,
    /// `1`.
    Disconnect,
    /// `2`, or `5` with attachments.
    Event,
    /// `3`, or `6` with attachments.
    Ack,
}

/// A packet from a client, its JSON not yet looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: Kind,
    /// `/` unless it names another; a query after it is cut off.
    pub namespace: &'a str,
    /// The acknowledgement's number.
    pub id: Option<u64>,
    /// How many binary messages follow.
    pub attachments: usize,
    /// JSON, or nothing.
    pub data: &'a str,
}

/// The packet in an Engine.IO text message.
///
/// # Errors
/// An unknown type, one that only a server sends, a number that is too large.
pub fn decode(text: &str) -> Result<Packet<'_>, Invalid> {
    let kind = text.as_bytes().first().ok_or(Invalid("an empty packet"))?;
    let (kind, binary) = match kind {
        b'0' => (Kind::Connect, false),
        b'1' => (Kind::Disconnect, false),
        b'2' => (Kind::Event, false),
        b'3' => (Kind::Ack, false),
        b'5' => (Kind::Event, true),
        b'6' => (Kind::Ack, true),
        _ => return Err(Invalid("an unknown packet type")),
    };
    let mut rest = &text[1..];
    let mut attachments = 0;
    if binary {
        let (count, after) = rest
            .split_once('-')
            .ok_or(Invalid("no number of attachments"))?;
        attachments = number(count)?
            .and_then(|count| usize::try_from(count).ok())
            .filter(|count| *count <= MAX_ATTACHMENTS)
            .ok_or(Invalid("not a number of attachments"))?;
        rest = after;
    }
    let mut namespace = "/";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
        namespace = namespace.split('?').next().unwrap_or("/");
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (id, data) = rest.split_at(digits);
    let id = number(id)?;
    if id.is_none() && kind == Kind::Ack {
        return Err(Invalid("an acknowledgement without a number"));
    }
    Ok(Packet {
        kind,
        namespace,
        id,
        attachments,
        data,
    })
}

fn number(digits: &str) -> Result<Option<u64>, Invalid> {
    if digits.is_empty() {
        return Ok(None);
    }
    if !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(Invalid("not a number"));
    }
    digits
        .parse()
        .map(Some)
        .map_err(|_| Invalid("a number that is too large"))
}

/// The payload of a CONNECT: an object or nothing.
///
/// # Errors
/// Other JSON, or none.
pub fn connect_payload(data: &str) -> Result<Option<Box<RawValue>>, Invalid> {
    if data.is_empty() {
        return Ok(None);
    }
    let bad = Invalid("a CONNECT whose payload is no object");
    let raw: Box<RawValue> = serde_json::from_str(data).map_err(|_| bad)?;
    if raw.get().starts_with('{') {
        Ok(Some(raw))
    } else {
        Err(bad)
    }
}

/// The name and the arguments of an EVENT.
///
/// # Errors
/// Anything but an array that begins with a name that may be used.
pub fn event_args(data: &str) -> Result<(String, Vec<Box<RawValue>>), Invalid> {
    let mut args = args(data)?;
    if args.is_empty() {
        return Err(Invalid("an event without a name"));
    }
    let first = args.remove(0);
    let name = match serde_json::from_str(first.get()) {
        Ok(Value::String(name)) => name,
        // The JavaScript client allows numbers as names.
        Ok(Value::Number(number)) => number.to_string(),
        _ => return Err(Invalid("an event whose name is no string")),
    };
    if RESERVED.contains(&name.as_str()) {
        return Err(Invalid("a reserved event name"));
    }
    Ok((name, args))
}

/// The arguments of an ACK.
///
/// # Errors
/// Anything but an array.
pub fn args(data: &str) -> Result<Vec<Box<RawValue>>, Invalid> {
    serde_json::from_str(data).map_err(|_| Invalid("not a JSON array"))
}

/// Checks that every `{"_placeholder":true,"num":N}` names one of `attachments`.
///
/// # Errors
/// One that does not, or arguments nested too deep to look through.
pub fn check_placeholders(args: &[Box<RawValue>], attachments: usize) -> Result<(), Invalid> {
    for arg in args {
        // Almost no argument holds one.
        if arg.get().contains("_placeholder") {
            let value: Value =
                serde_json::from_str(arg.get()).map_err(|_| Invalid("JSON nested too deep"))?;
            check_value(&value, attachments)?;
        }
    }
    Ok(())
}

fn check_value(value: &Value, attachments: usize) -> Result<(), Invalid> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|it| check_value(it, attachments)),
        Value::Object(map) if map.get("_placeholder") == Some(&Value::Bool(true)) => {
            let num = map.get("num").and_then(Value::as_u64);
            match num.and_then(|num| usize::try_from(num).ok()) {
                Some(num) if num < attachments => Ok(()),
                _ => Err(Invalid("a placeholder for no attachment")),
            }
        }
        Value::Object(map) => map.values().try_for_each(|it| check_value(it, attachments)),
        _ => Ok(()),
    }
}

/// A packet to a client: the type digits, then namespace, number and JSON.
fn encode(kind: &str, namespace: &str, id: Option<u64>, json: &str) -> Frame {
    let mut number = String::new();
    if let Some(id) = id {
        // Writing to a string does not fail.
        let _ = write!(number, "{id}");
    }
    let (namespace, comma) = if namespace == "/" {
        ("", "")
    } else {
        (namespace, ",")
    };
    Frame::text_parts(&["4", kind, namespace, comma, &number, json])
}

/// The answer to a CONNECT.
pub fn connected(namespace: &str, sid: &str) -> Frame {
    encode("0", namespace, None, &format!(r#"{{"sid":"{sid}"}}"#))
}

/// CONNECT_ERROR.
pub fn connect_error(namespace: &str, message: &str, data: Option<&Value>) -> Frame {
    let mut json = serde_json::json!({"message": message});
    if let Some(data) = data {
        json["data"] = data.clone();
    }
    encode("4", namespace, None, &json.to_string())
}

/// DISCONNECT.
pub fn disconnect(namespace: &str) -> Frame {
    encode("1", namespace, None, "")
}

/// An EVENT with one argument.
///
/// # Errors
/// When `data` has no JSON form.
pub fn event(namespace: &str, name: &str, data: &impl Serialize) -> serde_json::Result<Frame> {
    let json = serde_json::to_string(&(name, data))?;
    Ok(encode("2", namespace, None, &json))
}

/// An EVENT or BINARY_EVENT with any arguments and its attachments, to be queued together.
pub fn event_frames(
    namespace: &str,
    name: &str,
    args: &[Box<RawValue>],
    attachments: &[Bytes],
) -> Vec<Frame> {
    let mut json = Value::from(name).to_string();
    json.insert(0, '[');
    for arg in args {
        json.push(',');
        json.push_str(arg.get());
    }
    json.push(']');
    with_attachments(("2", "5"), namespace, None, &json, attachments)
}

/// An ACK with one argument.
///
/// # Errors
/// When `data` has no JSON form.
pub fn ack(namespace: &str, id: u64, data: &impl Serialize) -> serde_json::Result<Frame> {
    let json = serde_json::to_string(&(data,))?;
    Ok(encode("3", namespace, Some(id), &json))
}

/// An ACK or BINARY_ACK with any arguments and its attachments, to be queued together.
pub fn ack_frames(
    namespace: &str,
    id: u64,
    args: &[Box<RawValue>],
    attachments: &[Bytes],
) -> Vec<Frame> {
    let list: Vec<&str> = args.iter().map(|arg| arg.get()).collect();
    let json = format!("[{}]", list.join(","));
    with_attachments(("3", "6"), namespace, Some(id), &json, attachments)
}

fn with_attachments(
    (plain, binary): (&str, &str),
    namespace: &str,
    id: Option<u64>,
    json: &str,
    attachments: &[Bytes],
) -> Vec<Frame> {
    if attachments.is_empty() {
        return vec![encode(plain, namespace, id, json)];
    }
    let kind = format!("{binary}{}-", attachments.len());
    let mut frames = vec![encode(&kind, namespace, id, json)];
    frames.extend(attachments.iter().map(Frame::binary));
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(frame: &Frame) -> &str {
        std::str::from_utf8(frame.payload_bytes()).expect("text")
    }

    #[test]
    fn packets_of_a_client() {
        let packet = |kind, namespace, id, attachments, data| Packet {
            kind,
            namespace,
            id,
            attachments,
            data,
        };
        for (text, expected) in [
            ("0", packet(Kind::Connect, "/", None, 0, "")),
            (
                "0{\"a\":1}",
                packet(Kind::Connect, "/", None, 0, "{\"a\":1}"),
            ),
            ("0/custom,", packet(Kind::Connect, "/custom", None, 0, "")),
            ("0/custom", packet(Kind::Connect, "/custom", None, 0, "")),
            ("0/c?x=1,{}", packet(Kind::Connect, "/c", None, 0, "{}")),
            ("1/c,", packet(Kind::Disconnect, "/c", None, 0, "")),
            ("2[\"a\"]", packet(Kind::Event, "/", None, 0, "[\"a\"]")),
            (
                "212[\"a\"]",
                packet(Kind::Event, "/", Some(12), 0, "[\"a\"]"),
            ),
            (
                "2/c,1[\"a\"]",
                packet(Kind::Event, "/c", Some(1), 0, "[\"a\"]"),
            ),
            ("312[]", packet(Kind::Ack, "/", Some(12), 0, "[]")),
            ("51-[\"a\"]", packet(Kind::Event, "/", None, 1, "[\"a\"]")),
            ("62-/c,7[]", packet(Kind::Ack, "/c", Some(7), 2, "[]")),
        ] {
            assert_eq!(decode(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn garbage() {
        for bad in [
            "",
            "abc",
            "4{}",
            "7",
            "5[\"a\"]",
            "5-[\"a\"]",
            "5x-[]",
            "517-[]",
            "6",
            "3[]",
            "é",
            "299999999999999999999[\"a\"]",
            "599999999999999999999-[]",
            "5+1-[]",
        ] {
            assert!(decode(bad).is_err(), "{bad}");
        }
        for bad in [
            "",
            "{}",
            "[]",
            "[1",
            "[null]",
            "[[]]",
            "[{}]",
            "[\"connect\"]",
            "abc",
            "[\"a\"]x",
        ] {
            assert!(event_args(bad).is_err(), "{bad}");
        }
        for bad in ["1", "[]", "null", "{", "{}x", "abc", "\"{\""] {
            assert!(connect_payload(bad).is_err(), "{bad}");
        }
        let deep = format!("[\"a\",{}1{}]", "[".repeat(50_000), "]".repeat(50_000));
        let (_, args) = event_args(&deep).expect("syntax only");
        assert!(serde_json::from_str::<Value>(args[0].get()).is_err());
    }

    #[test]
    fn arguments_keep_their_text() {
        let (name, args) = event_args(r#"["é\n",1.0, {"b" : 2},"x"]"#).expect("valid");
        assert_eq!(name, "é\n");
        let args: Vec<_> = args.iter().map(|it| it.get()).collect();
        assert_eq!(args, ["1.0", r#"{"b" : 2}"#, "\"x\""]);
        assert_eq!(event_args("[5]").expect("a number").0, "5");
        let payload = connect_payload("{\"token\":\"1\"}").expect("valid");
        assert_eq!(payload.expect("there").get(), "{\"token\":\"1\"}");
        assert!(connect_payload("").expect("none").is_none());
    }

    #[test]
    fn placeholders_must_fit() {
        let check = |json: &str, count| check_placeholders(&args(json).expect("array"), count);
        let one = r#"[{"a":[{"_placeholder":true,"num":0}]}]"#;
        assert!(check(one, 1).is_ok());
        assert!(check(one, 0).is_err());
        for bad in ["-1", "1", "1.5", "\"0\"", "null", "99999999999999999999"] {
            let json = format!(r#"[{{"_placeholder":true,"num":{bad}}}]"#);
            assert!(check(&json, 1).is_err(), "{bad}");
        }
        assert!(check(r#"[{"_placeholder":true}]"#, 1).is_err());
        assert!(check(r#"[{"_placeholder":false,"num":9},"_placeholder"]"#, 0).is_ok());
    }

    #[test]
    fn packets_of_the_server() {
        assert_eq!(text(&connected("/", "x")), r#"40{"sid":"x"}"#);
        assert_eq!(text(&connected("/c", "x")), r#"40/c,{"sid":"x"}"#);
        assert_eq!(
            text(&connect_error("/r", "Invalid namespace", None)),
            r#"44/r,{"message":"Invalid namespace"}"#
        );
        assert_eq!(text(&disconnect("/")), "41");
        assert_eq!(text(&disconnect("/c")), "41/c,");
        let frame = event("/", "a\"b", &[1]).expect("JSON");
        assert_eq!(text(&frame), r#"42["a\"b",[1]]"#);
        assert_eq!(text(&ack("/c", 7, &true).expect("JSON")), "43/c,7[true]");
        let raw = args(r#"[1.0,{"_placeholder":true,"num":0}]"#).expect("array");
        let bytes = [Bytes::from_static(&[1, 2])];
        let frames = event_frames("/", "e", &raw, &bytes);
        assert_eq!(
            text(&frames[0]),
            r#"451-["e",1.0,{"_placeholder":true,"num":0}]"#
        );
        assert_eq!((frames.len(), frames[1].is_binary()), (2, true));
        assert_eq!(text(&event_frames("/c", "e", &[], &[])[0]), r#"42/c,["e"]"#);
        assert_eq!(text(&ack_frames("/", 3, &[], &[])[0]), "433[]");
        assert_eq!(
            text(&ack_frames("/c", 3, &raw[..1], &bytes)[0]),
            "461-/c,3[1.0]"
        );
    }
}
