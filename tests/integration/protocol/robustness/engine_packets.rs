//! Engine.IO packets, alone and in polling bodies.

use super::{MAX_MESSAGE_BYTES, PACKETS, bytes, mutated, text, word};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lastseen::realtime::flusher::{Flusher, Limits};
use lastseen::realtime::frame::Frame;
use lastseen::realtime::outbox::Outbox;
use lastseen::realtime::socketio::engine::packet as engine;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// A packet that a client may send, and how it is written.
fn engine_packet(rng: &mut StdRng) -> (engine::Packet, String) {
    use engine::Packet;
    match rng.random_range(0..8) {
        0 => (Packet::Close, "1".into()),
        1 => {
            let word = word(rng);
            (Packet::Ping(word.clone()), format!("2{word}"))
        }
        2 => (Packet::Pong, "3".into()),
        3 => (Packet::Upgrade, "5".into()),
        4 => (Packet::Noop, "6".into()),
        5 | 6 => {
            let word = word(rng);
            (Packet::Text(word.clone()), format!("4{word}"))
        }
        _ => {
            let bytes = bytes(rng, 30);
            let written = format!("b{}", STANDARD.encode(&bytes));
            (Packet::Binary(bytes.into()), written)
        }
    }
}

#[test]
fn engine_packets_are_decoded_as_they_were_encoded() {
    let mut rng = StdRng::seed_from_u64(3);
    for i in 0..PACKETS {
        let count = rng.random_range(1..6);
        let (packets, written): (Vec<_>, Vec<_>) =
            (0..count).map(|_| engine_packet(&mut rng)).unzip();
        let body = written.join("\x1e");
        assert_eq!(
            engine::decode_payload(&body).as_ref(),
            Ok(&packets),
            "{i}: {body}"
        );
        if !body.starts_with('b') && count == 1 {
            assert_eq!(
                engine::decode(body.clone()).as_ref(),
                Ok(&packets[0]),
                "{i}: {body}"
            );
        }
    }
}

#[test]
fn engine_packets_that_are_broken_are_refused_or_bounded() {
    let mut rng = StdRng::seed_from_u64(4);
    let (mut taken, mut refused) = (0, 0);
    for i in 0..PACKETS {
        let count = rng.random_range(1..6);
        let written: Vec<_> = (0..count).map(|_| engine_packet(&mut rng).1).collect();
        let body = mutated(&mut rng, &written.join("\x1e"));
        let _ = engine::decode(body.clone());
        let Ok(packets) = engine::decode_payload(&body) else {
            refused += 1;
            continue;
        };
        taken += 1;
        assert_eq!(packets.len(), body.split('\x1e').count(), "{i}: {body}");
        let held: usize = packets.iter().map(weight).sum();
        assert!(held <= body.len(), "{i}: {body}");
    }
    assert!(taken > 300 && refused > 300, "{taken} {refused}");
}

/// Bytes of what a packet carries.
fn weight(packet: &engine::Packet) -> usize {
    match packet {
        engine::Packet::Text(text) | engine::Packet::Ping(text) => text.len(),
        engine::Packet::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

#[test]
fn no_body_becomes_many_packets() {
    // Each is right by itself.
    let many = vec!["3"; MAX_MESSAGE_BYTES / 2].join("\x1e");
    assert!(engine::decode_payload(&many).is_err());
    assert!(engine::decode_payload(&many[..999]).is_ok());
}

#[tokio::test]
async fn what_the_server_puts_into_a_polling_body_can_be_taken_out() {
    let mut rng = StdRng::seed_from_u64(5);
    let limits = Limits {
        pushed_frames: 10_000,
        pushed_bytes: 1 << 30,
        ..Limits::default()
    };
    let outbox = Outbox::new(&Flusher::new(limits));
    let mut packets = Vec::new();
    while packets.len() < PACKETS {
        let frame = match engine_packet(&mut rng) {
            (engine::Packet::Binary(bytes), _) => Frame::binary(&bytes),
            (_, written) => Frame::text(&written),
        };
        packets.push(if frame.is_binary() {
            engine::Packet::Binary(frame.payload())
        } else {
            engine::decode(text(&frame)).expect("it was made so")
        });
        outbox.push(frame);
    }
    let mut taken = Vec::new();
    while let Some(body) = outbox.take_payload(1000) {
        let body = std::str::from_utf8(&body).expect("text");
        taken.extend(engine::decode_payload(body).expect("packets"));
    }
    assert_eq!(taken, packets);
}
