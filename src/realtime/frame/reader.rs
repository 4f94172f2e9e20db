//! Client frames to messages: unmasking, fragments, control frames in between, and every rule of RFC 6455 that a
//! client can break. Pure: bytes in, messages out.

use super::MAX_CONTROL_BYTES;
use bytes::{Buf, Bytes, BytesMut};
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// What a client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Bytes),
    /// A ping, to be answered with a pong of the same payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// A close frame and its code, if it had one.
    Close(Option<u16>),
}

/// A broken rule. The connection must be closed with `code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Violation {
    /// The WebSocket close code (RFC 6455 section 7.4.1).
    pub code: u16,
    /// What was wrong.
    pub reason: &'static str,
}

impl Violation {
    const fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }

    const UTF8: Self = Self {
        code: 1007,
        reason: "a text message that is not UTF-8",
    };
    const TOO_LARGE: Self = Self {
        code: 1009,
        reason: "message too large",
    };
}

/// The reading state of one connection. It holds no memory beyond itself unless a frame or a message is incomplete,
/// or messages wait to be taken.
#[derive(Debug)]
pub struct Reader {
    /// Bytes that have come and are not yet a whole frame, or not yet asked for.
    rest: BytesMut,
    /// The fragments of a message so far.
    partial: Option<Box<Partial>>,
    /// A rule was broken: whatever still comes is thrown away.
    broken: bool,
    max_message_bytes: usize,
}

#[derive(Debug)]
struct Partial {
    text: bool,
    payload: Vec<u8>,
}

impl Reader {
    /// A reader that takes messages of up to `max_message_bytes`.
    pub fn new(max_message_bytes: usize) -> Self {
        Self {
            rest: BytesMut::new(),
            partial: None,
            broken: false,
            max_message_bytes,
        }
    }

    /// Puts bytes before everything that will be fed, for [`Reader::buffered`] to find.
    pub fn prepend(&mut self, early: &[u8]) {
        if !early.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.rest.extend_from_slice(early);
            self.rest.extend_from_slice(&rest);
        }
    }

    /// Takes bytes as they came and gives the first message that is complete. The others are given by
    /// [`Reader::buffered`], which must return `None` before more is fed.
    ///
    /// # Errors
    /// A [`Violation`] ends the connection; what is fed afterwards is thrown away.
    pub fn feed(&mut self, mut input: &[u8]) -> Result<Option<Message>, Violation> {
        if self.broken {
            return Ok(None);
        }
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(input);
            return self.buffered();
        }
        let message = self.parse(&mut input)?;
        // Only what cannot be used yet is kept, so that an idle connection has no buffer.
        if !input.is_empty() {
            self.rest.extend_from_slice(input);
        }
        Ok(message)
    }

    /// The next message among the bytes that were fed already.
    ///
    /// # Errors
    /// As [`Reader::feed`].
    pub fn buffered(&mut self) -> Result<Option<Message>, Violation> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut rest = std::mem::take(&mut self.rest);
        let mut input = &rest[..];
        let message = self.parse(&mut input)?;
        let used = rest.len() - input.len();
        rest.advance(used);
        if !rest.is_empty() {
            self.rest = rest;
        }
        Ok(message)
    }

    fn parse(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Violation> {
        self.parse_frames(input).inspect_err(|_| {
            self.broken = true;
            self.partial = None;
        })
    }

    /// Takes frames off `input` until a message is complete or no whole frame is left.
    fn parse_frames(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Violation> {
        loop {
            let mut cursor = Cursor::new(*input);
            let (header, length) = match FrameHeader::parse(&mut cursor) {
                Ok(Some(header)) => header,
                Ok(None) => return Ok(None),
                Err(_) => return Err(Violation::protocol("a reserved opcode")),
            };
            let mask = self.check(&header, length)?;
            let length = usize::try_from(length).map_err(|_| Violation::TOO_LARGE)?;
            let start = cursor.position() as usize;
            let Some(payload) = input[start..].get(..length) else {
                return Ok(None);
            };
            let payload = unmasked(payload, mask);
            *input = &input[start + length..];
            if let Some(message) = self.take(&header, payload)? {
                return Ok(Some(message));
            }
        }
    }

    /// What can be said from the header, before the payload has come; gives the mask.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<[u8; 4], Violation> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::protocol("reserved bits without an extension"));
        }
        let mask = header
            .mask
            .ok_or(Violation::protocol("a client frame without a mask"))?;
        match header.opcode {
            OpCode::Control(_) => {
                if !header.is_final {
                    return Err(Violation::protocol("a fragmented control frame"));
                }
                if length > MAX_CONTROL_BYTES as u64 {
                    return Err(Violation::protocol("a control frame over 125 bytes"));
                }
            }
            OpCode::Data(kind) => {
                match (kind, &self.partial) {
                    (Data::Continue, None) => {
                        return Err(Violation::protocol("a continuation of nothing"));
                    }
                    (Data::Text | Data::Binary, Some(_)) => {
                        return Err(Violation::protocol("a new message inside a fragmented one"));
                    }
                    _ => {}
                }
                let so_far = self.partial.as_ref().map_or(0, |it| it.payload.len()) as u64;
                if so_far.saturating_add(length) > self.max_message_bytes as u64 {
                    return Err(Violation::TOO_LARGE);
                }
            }
        }
        Ok(mask)
    }

    fn take(
        &mut self,
        header: &FrameHeader,
        payload: Vec<u8>,
    ) -> Result<Option<Message>, Violation> {
        Ok(match header.opcode {
            OpCode::Control(Control::Ping) => Some(Message::Ping(payload.into())),
            OpCode::Control(Control::Close) => Some(Message::Close(close_code(&payload)?)),
            OpCode::Control(_) => Some(Message::Pong),
            OpCode::Data(Data::Continue) => {
                let Some(partial) = &mut self.partial else {
                    return Err(Violation::protocol("a continuation of nothing"));
                };
                partial.payload.extend_from_slice(&payload);
                if !header.is_final {
                    return Ok(None);
                }
                match self.partial.take() {
                    Some(whole) => Some(message(whole.text, whole.payload)?),
                    None => None,
                }
            }
            OpCode::Data(kind) => {
                let text = kind == Data::Text;
                if header.is_final {
                    Some(message(text, payload)?)
                } else {
                    self.partial = Some(Box::new(Partial { text, payload }));
                    None
                }
            }
        })
    }
}

fn message(text: bool, payload: Vec<u8>) -> Result<Message, Violation> {
    if text {
        String::from_utf8(payload)
            .map(Message::Text)
            .map_err(|_| Violation::UTF8)
    } else {
        Ok(Message::Binary(payload.into()))
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Violation::protocol("a close frame of one byte"))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() {
        return Err(Violation::protocol("a close code that may not be sent"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(Violation::UTF8);
    }
    Ok(Some(code))
}

fn unmasked(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    // Whole words first: the compiler makes vector code of this, and a byte loop with an index does not become it.
    let word = u32::from_ne_bytes(mask);
    let mut out = Vec::with_capacity(payload.len());
    let mut chunks = payload.chunks_exact(4);
    for chunk in &mut chunks {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(chunk);
        out.extend_from_slice(&(u32::from_ne_bytes(bytes) ^ word).to_ne_bytes());
    }
    out.extend(
        chunks
            .remainder()
            .iter()
            .zip(mask)
            .map(|(byte, key)| byte ^ key),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [7, 99, 200, 3];

    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        if payload.len() < 126 {
            out.push(0x80 | payload.len() as u8);
        } else if payload.len() < 65_536 {
            out.push(0x80 | 126);
            out.extend((payload.len() as u16).to_be_bytes());
        } else {
            out.push(0x80 | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
        out.extend(MASK);
        out.extend(payload.iter().enumerate().map(|(i, b)| b ^ MASK[i % 4]));
        out
    }

    fn all(reader: &mut Reader, input: &[u8]) -> Result<Vec<Message>, Violation> {
        let mut out = Vec::new();
        let mut next = reader.feed(input)?;
        while let Some(message) = next {
            out.push(message);
            next = reader.buffered()?;
        }
        Ok(out)
    }

    fn code_of(input: &[u8]) -> u16 {
        all(&mut Reader::new(1000), input)
            .expect_err("a violation")
            .code
    }

    #[test]
    fn whole_frames_leave_no_buffer() {
        let mut reader = Reader::new(100_000);
        for len in [0, 1, 3, 4, 125, 126, 5000, 65_535, 65_536, 99_999] {
            let text = "a".repeat(len);
            let got = all(&mut reader, &client(0x81, text.as_bytes())).expect("valid");
            assert_eq!(got, [Message::Text(text)]);
            assert_eq!(reader.rest.capacity(), 0);
        }
    }

    #[test]
    fn many_frames_in_one_read_and_byte_at_a_time() {
        let mut input = client(0x81, "grüße".as_bytes());
        input.extend(client(0x01, b"frag"));
        input.extend(client(0x89, b"now?"));
        input.extend(client(0x00, b"ment"));
        input.extend(client(0x8A, b""));
        input.extend(client(0x80, b"ed"));
        input.extend(client(0x82, &[0, 255]));
        input.extend(client(0x88, &1000u16.to_be_bytes()));
        let expected = [
            Message::Text("grüße".into()),
            Message::Ping(Bytes::from_static(b"now?")),
            Message::Pong,
            Message::Text("fragmented".into()),
            Message::Binary(Bytes::from_static(&[0, 255])),
            Message::Close(Some(1000)),
        ];
        let mut reader = Reader::new(1000);
        assert_eq!(all(&mut reader, &input).expect("valid"), expected);
        assert_eq!(reader.rest.capacity(), 0);
        let mut got = Vec::new();
        for byte in &input {
            got.extend(all(&mut reader, &[*byte]).expect("valid"));
        }
        assert_eq!(got, expected);
        for cut in 1..input.len() {
            let mut got = all(&mut reader, &input[..cut]).expect("valid");
            got.extend(all(&mut reader, &input[cut..]).expect("valid"));
            assert_eq!(got, expected, "cut at {cut}");
        }
        assert!(reader.rest.is_empty() && reader.partial.is_none());
    }

    #[test]
    fn what_a_client_may_not_send() {
        assert_eq!(code_of(&[0x81, 0x01, b'a']), 1002, "no mask");
        assert_eq!(code_of(&client(0xC1, b"a")), 1002, "reserved bit");
        assert_eq!(code_of(&client(0x83, b"a")), 1002, "reserved opcode");
        assert_eq!(code_of(&client(0x8B, b"a")), 1002, "reserved control");
        assert_eq!(code_of(&client(0x09, b"a")), 1002, "fragmented ping");
        assert_eq!(code_of(&client(0x89, &[b'a'; 126])), 1002, "long ping");
        assert_eq!(code_of(&client(0x80, b"a")), 1002, "lone continuation");
        let mut nested = client(0x01, b"a");
        nested.extend(client(0x81, b"b"));
        assert_eq!(code_of(&nested), 1002, "message in message");
        assert_eq!(code_of(&client(0x88, &[3])), 1002, "short close");
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(code_of(&client(0x88, &code.to_be_bytes())), 1002, "{code}");
        }
        assert_eq!(
            code_of(&client(0x88, &[3, 232, 0xFF])),
            1007,
            "close reason"
        );
        assert_eq!(code_of(&client(0x81, &[0xC3, 0x28])), 1007, "not UTF-8");
        assert_eq!(code_of(&client(0x82, &[0; 1001])), 1009, "too large");
        // Known from the header alone: nothing is waited for.
        assert_eq!(
            code_of(&[
                0x82, 0xFF, 0x7F, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0
            ]),
            1009
        );
        let mut grown = client(0x02, &[0; 600]);
        grown.extend(client(0x80, &[0; 600]));
        assert_eq!(code_of(&grown), 1009, "too large in pieces");
    }

    #[test]
    fn a_character_may_be_cut_by_a_fragment() {
        let mut reader = Reader::new(10);
        let mut input = client(0x01, &[0xC3]);
        input.extend(client(0x80, &[0xA9]));
        assert_eq!(
            all(&mut reader, &input).expect("valid"),
            [Message::Text("é".into())]
        );
    }
}
