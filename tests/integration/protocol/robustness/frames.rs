//! WebSocket frames of a client.

use super::{MAX_MESSAGE_BYTES, PACKETS, bytes, word};
use lastseen::realtime::frame::{Message, Reader, Violation};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const MASK: [u8; 4] = [0xA5, 0, 0x7F, 0xFF];

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![first];
    match payload.len() {
        length @ 0..=125 => wire.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            wire.push(0x80 | 126);
            wire.extend((length as u16).to_be_bytes());
        }
        length => {
            wire.push(0x80 | 127);
            wire.extend((length as u64).to_be_bytes());
        }
    }
    wire.extend(MASK);
    let payload = payload.iter().zip(MASK.iter().cycle());
    wire.extend(payload.map(|(byte, key)| byte ^ key));
    wire
}

/// A message in some fragments, perhaps with a ping in between, and what is to come of it.
fn message(rng: &mut StdRng, wire: &mut Vec<u8>, expected: &mut Vec<Message>) {
    let (kind, payload) = if rng.random_bool(0.5) {
        let text = word(rng).repeat(rng.random_range(1..40));
        expected.push(Message::Text(text.clone()));
        (1, text.into_bytes())
    } else {
        let bytes = bytes(rng, 300);
        expected.push(Message::Binary(bytes.clone().into()));
        (2, bytes)
    };
    let mut rest = &payload[..];
    let mut opcode = kind;
    for _ in 0..rng.random_range(0..3) {
        let (part, after) = rest.split_at(rng.random_range(0..=rest.len()));
        wire.extend(masked(opcode, part));
        (opcode, rest) = (0, after);
        if rng.random_bool(0.3) {
            let said = bytes(rng, 125);
            wire.extend(masked(0x89, &said));
            let last = expected.len() - 1;
            expected.insert(last, Message::Ping(said.into()));
        }
    }
    wire.extend(masked(0x80 | opcode, rest));
}

/// Feeds `wire` in pieces of any size.
fn read(rng: &mut StdRng, reader: &mut Reader, wire: &[u8]) -> Result<Vec<Message>, Violation> {
    let mut messages = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rng.random_range(1..=rest.len()));
        rest = after;
        let mut next = reader.feed(part)?;
        while let Some(message) = next {
            messages.push(message);
            next = reader.buffered()?;
        }
    }
    Ok(messages)
}

#[test]
fn frames_are_read_as_they_were_written() {
    let mut rng = StdRng::seed_from_u64(6);
    for i in 0..PACKETS / 5 {
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..rng.random_range(1..6) {
            message(&mut rng, &mut wire, &mut expected);
        }
        let mut reader = Reader::new(MAX_MESSAGE_BYTES);
        assert_eq!(read(&mut rng, &mut reader, &wire), Ok(expected), "{i}");
    }
}

#[test]
fn frames_that_are_broken_are_refused_or_bounded() {
    const LIMIT: usize = 400;
    let mut rng = StdRng::seed_from_u64(7);
    let (mut taken, mut refused) = (0, 0);
    for i in 0..PACKETS {
        let mut wire = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            message(&mut rng, &mut wire, &mut Vec::new());
        }
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..wire.len());
            // Headers are where it matters most.
            let at = if rng.random_bool(0.5) { at.min(10) } else { at };
            match rng.random_range(0..3) {
                0 => wire[at] = rng.random(),
                1 => wire[at] ^= 1 << rng.random_range(0..8),
                _ => wire.insert(at, rng.random()),
            }
        }
        let mut reader = Reader::new(LIMIT);
        match read(&mut rng, &mut reader, &wire) {
            Ok(messages) => {
                taken += 1;
                for message in messages {
                    let length = match message {
                        Message::Text(text) => text.len(),
                        Message::Binary(bytes) => bytes.len(),
                        Message::Ping(bytes) => bytes.len().saturating_mul(LIMIT / 125),
                        Message::Pong | Message::Close(_) => 0,
                    };
                    assert!(length <= LIMIT, "{i}");
                }
            }
            Err(violation) => {
                refused += 1;
                assert!(
                    [1002, 1007, 1009].contains(&violation.code),
                    "{i}: {violation:?}"
                );
                // Whatever still comes is thrown away.
                assert_eq!(reader.feed(&wire), Ok(None), "{i}");
            }
        }
    }
    assert!(taken > 300 && refused > 300, "{taken} {refused}");
}

#[test]
fn a_frame_that_says_it_is_long_costs_nothing() {
    // A gigabyte, or more than there is: refused for what the header says.
    for length in [1_u64 << 30, 1 << 62, u64::MAX >> 1] {
        let mut wire = vec![0x82, 0x80 | 127];
        wire.extend(length.to_be_bytes());
        wire.extend(MASK);
        let mut reader = Reader::new(MAX_MESSAGE_BYTES);
        assert_eq!(reader.feed(&wire).map_err(|it| it.code), Err(1009));
    }
}
