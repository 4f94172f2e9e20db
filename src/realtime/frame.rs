//! WebSocket frames (RFC 6455 section 5).
//!
//! [`Frame`] is a whole unmasked server frame in one shared buffer: a payload is encoded once and any number of
//! connections write the same bytes. [`Reader`] turns what a client sends into messages. Neither does I/O.

mod reader;

pub use reader::{Message, Reader, Violation};

use bytes::Bytes;
use serde::Serialize;
use std::fmt;

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FIN: u8 = 0x80;

/// The longest payload of a control frame, in bytes (RFC 6455 section 5.5).
pub const MAX_CONTROL_BYTES: usize = 125;

/// One whole unmasked server frame, header and payload. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    wire: Bytes,
}

impl Frame {
    /// A text frame.
    pub fn text(payload: &str) -> Self {
        Self::build(TEXT, &[payload.as_bytes()])
    }

    /// A text frame of several pieces, put together without a copy in between.
    pub fn text_parts(parts: &[&str]) -> Self {
        let mut frame = Builder::new(TEXT, parts.iter().map(|part| part.len()).sum());
        for part in parts {
            frame.wire.extend_from_slice(part.as_bytes());
        }
        frame.finish()
    }

    /// A text frame that holds `value` as JSON.
    ///
    /// # Errors
    /// When `value` has no JSON form, such as a map whose keys are not strings.
    pub fn json(value: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self::build(TEXT, &[&serde_json::to_vec(value)?]))
    }

    /// A binary frame.
    pub fn binary(payload: impl AsRef<[u8]>) -> Self {
        Self::build(BINARY, &[payload.as_ref()])
    }

    /// A ping; what is longer than [`MAX_CONTROL_BYTES`] is cut off.
    pub fn ping(payload: &[u8]) -> Self {
        Self::control(PING, payload)
    }

    /// A pong; what is longer than [`MAX_CONTROL_BYTES`] is cut off.
    pub fn pong(payload: &[u8]) -> Self {
        Self::control(PONG, payload)
    }

    /// A close frame. A reason that is too long for a control frame is cut at a character.
    pub fn close(code: u16, reason: &str) -> Self {
        let end = reason.floor_char_boundary(MAX_CONTROL_BYTES - 2);
        Self::build(CLOSE, &[&code.to_be_bytes(), &reason.as_bytes()[..end]])
    }

    /// A close frame without a code, the answer to one without.
    pub fn close_empty() -> Self {
        Self::build(CLOSE, &[])
    }

    fn control(opcode: u8, payload: &[u8]) -> Self {
        Self::build(opcode, &[&payload[..payload.len().min(MAX_CONTROL_BYTES)]])
    }

    fn build(opcode: u8, parts: &[&[u8]]) -> Self {
        let mut frame = Builder::new(opcode, parts.iter().map(|part| part.len()).sum());
        for part in parts {
            frame.wire.extend_from_slice(part);
        }
        frame.finish()
    }

    /// A frame from the bytes of another one ([`Frame::wire`]), for a cache of encoded frames.
    pub(crate) fn from_wire(wire: Bytes) -> Self {
        debug_assert!(wire.len() >= 2, "a frame has a header");
        Self { wire }
    }

    /// The bytes as they go on a WebSocket.
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The payload, sharing the frame's bytes.
    pub fn payload(&self) -> Bytes {
        self.wire.slice(self.header_len()..)
    }

    /// The payload, borrowed.
    pub fn payload_bytes(&self) -> &[u8] {
        &self.wire[self.header_len()..]
    }

    /// Whether this is a binary frame.
    pub fn is_binary(&self) -> bool {
        self.wire[0] & 0x0F == BINARY
    }

    /// Whether this is a text or binary frame, not a control frame.
    pub fn is_data(&self) -> bool {
        self.wire[0] & 0x08 == 0
    }

    fn header_len(&self) -> usize {
        match self.wire[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Payloads hold what people wrote: the length is enough for a log.
        write!(f, "Frame({:#04x}, {} bytes)", self.wire[0], self.wire.len())
    }
}

struct Builder {
    wire: Vec<u8>,
}

impl Builder {
    fn new(opcode: u8, payload_bytes: usize) -> Self {
        let mut wire = Vec::with_capacity(10 + payload_bytes);
        wire.push(FIN | opcode);
        if payload_bytes < 126 {
            wire.push(payload_bytes as u8);
        } else if let Ok(short) = u16::try_from(payload_bytes) {
            wire.push(126);
            wire.extend_from_slice(&short.to_be_bytes());
        } else {
            wire.push(127);
            wire.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
        Self { wire }
    }

    fn finish(self) -> Frame {
        Frame {
            wire: Bytes::from(self.wire.into_boxed_slice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_three_lengths() {
        for (len, header) in [
            (0, 2),
            (125, 2),
            (126, 4),
            (65_535, 4),
            (65_536, 10),
            (70_000, 10),
        ] {
            let payload = "x".repeat(len);
            let frame = Frame::text(&payload);
            assert_eq!(frame.wire().len(), header + len);
            assert_eq!(frame.payload(), payload);
            assert_eq!(frame.payload_bytes(), payload.as_bytes());
            assert!(!frame.is_binary() && frame.is_data());
            let mut cursor = std::io::Cursor::new(frame.wire());
            let (parsed, length) = tungstenite::protocol::frame::FrameHeader::parse(&mut cursor)
                .expect("valid")
                .expect("whole");
            assert_eq!((length, parsed.is_final), (len as u64, true));
            assert!(parsed.mask.is_none());
        }
    }

    #[test]
    fn control_frames_are_cut_to_fit() {
        let close = Frame::close(4008, &"é".repeat(100));
        assert_eq!(close.payload_bytes().len(), 2 + 122);
        assert_eq!(&close.payload_bytes()[..2], &4008u16.to_be_bytes());
        assert!(std::str::from_utf8(&close.payload_bytes()[2..]).is_ok());
        assert_eq!(Frame::ping(&[0; 300]).payload().len(), MAX_CONTROL_BYTES);
        assert!(!close.is_data());
    }

    #[test]
    fn parts_and_json_are_joined() {
        assert_eq!(Frame::text_parts(&["42", "[1]"]).payload_bytes(), b"42[1]");
        assert_eq!(
            Frame::json(&serde_json::json!({"a": 1}))
                .expect("JSON")
                .payload_bytes(),
            b"{\"a\":1}"
        );
        assert!(Frame::binary([1, 2]).is_binary());
    }
}
