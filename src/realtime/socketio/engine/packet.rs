//! Engine.IO 4 packets: one type digit and the rest; on polling several of them in one body. Pure.

use crate::realtime::frame::Frame;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

/// Separates packets in a polling body.
const SEPARATOR: char = '\x1e';

/// A client may put so many packets into one polling body.
const MAX_PACKETS: usize = 1024;

/// What a client may send on an open connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// `1`.
    Close,
    /// `2`, which only a probe may send, with what follows.
    Ping(String),
    /// `3`.
    Pong,
    /// `4` and text.
    Text(String),
    /// Binary: a WebSocket frame, or `b` and base64.
    Binary(Bytes),
    /// `5`.
    Upgrade,
    /// `6`.
    Noop,
}

/// Not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Engine.IO packet")]
pub struct Invalid;

/// The packet in a WebSocket text frame.
///
/// # Errors
/// An unknown type, or the `open` that only a server sends.
pub fn decode(mut text: String) -> Result<Packet, Invalid> {
    let kind = text.as_bytes().first().copied().ok_or(Invalid)?;
    Ok(match kind {
        b'1' => Packet::Close,
        b'2' => Packet::Ping(text.split_off(1)),
        b'3' => Packet::Pong,
        b'4' => {
            text.remove(0);
            Packet::Text(text)
        }
        b'5' => Packet::Upgrade,
        b'6' => Packet::Noop,
        _ => return Err(Invalid),
    })
}

/// The packets in a polling body.
///
/// # Errors
/// Any of them invalid, base64 included, or far too many: nothing of the body counts.
pub fn decode_payload(body: &str) -> Result<Vec<Packet>, Invalid> {
    let mut packets = Vec::new();
    for part in body.split(SEPARATOR) {
        if packets.len() == MAX_PACKETS {
            return Err(Invalid);
        }
        packets.push(match part.strip_prefix('b') {
            Some(encoded) => Packet::Binary(STANDARD.decode(encoded).map_err(|_| Invalid)?.into()),
            None => decode(part.to_owned())?,
        });
    }
    Ok(packets)
}

/// The first packet of a session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Open<'a> {
    /// The session's id.
    pub sid: &'a str,
    /// `websocket` where an upgrade is possible.
    pub upgrades: &'a [&'a str],
    /// Milliseconds.
    pub ping_interval: u64,
    /// Milliseconds.
    pub ping_timeout: u64,
    /// Bytes.
    pub max_payload: usize,
}

impl Open<'_> {
    /// `0` and JSON.
    pub fn encode(&self) -> String {
        format!("0{}", serde_json::json!(self))
    }
}

/// `2`.
pub fn ping() -> Frame {
    Frame::text("2")
}

/// The answer to a probe: `3` and what the probe said.
pub fn pong(probe: &str) -> Frame {
    Frame::text_parts(&["3", probe])
}

/// `1`.
pub const CLOSE: &str = "1";
/// `6`, which ends a waiting poll without saying anything.
pub const NOOP: &str = "6";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type() {
        let of = |text: &str| decode(text.to_owned());
        assert_eq!(of("1"), Ok(Packet::Close));
        assert_eq!(of("2probe"), Ok(Packet::Ping("probe".into())));
        assert_eq!(of("3"), Ok(Packet::Pong));
        assert_eq!(of("4héllo"), Ok(Packet::Text("héllo".into())));
        assert_eq!(of("4"), Ok(Packet::Text(String::new())));
        assert_eq!(of("5"), Ok(Packet::Upgrade));
        assert_eq!(of("6"), Ok(Packet::Noop));
        for bad in ["", "0{}", "7", "abc", "é", " 4", "bAQ=="] {
            assert_eq!(of(bad), Err(Invalid), "{bad}");
        }
    }

    #[test]
    fn payloads() {
        assert_eq!(
            decode_payload("4hello\x1ebAQIDBA==\x1e3"),
            Ok(vec![
                Packet::Text("hello".into()),
                Packet::Binary(Bytes::from_static(&[1, 2, 3, 4])),
                Packet::Pong
            ])
        );
        for bad in ["", "abc", "4a\x1e", "\x1e4a", "b!", "bAQIDBA", "4a\x1exyz"] {
            assert_eq!(decode_payload(bad), Err(Invalid), "{bad:?}");
        }
        let many = vec!["3"; MAX_PACKETS].join("\x1e");
        assert_eq!(decode_payload(&many).expect("allowed").len(), MAX_PACKETS);
        assert_eq!(decode_payload(&format!("{many}\x1e3")), Err(Invalid));
    }

    #[test]
    fn open_names_everything() {
        let open = Open {
            sid: "abc",
            upgrades: &["websocket"],
            ping_interval: 25_000,
            ping_timeout: 20_000,
            max_payload: 65_536,
        };
        assert_eq!(
            open.encode(),
            r#"0{"maxPayload":65536,"pingInterval":25000,"pingTimeout":20000,"sid":"abc","upgrades":["websocket"]}"#
        );
    }
}
