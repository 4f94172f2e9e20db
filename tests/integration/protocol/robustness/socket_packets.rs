//! Socket.IO packets.

use super::{MAX_MESSAGE_BYTES, PACKETS, bytes, mutated, text, word};
use bytes::Bytes;
use lastseen::realtime::frame::Frame;
use lastseen::realtime::socketio::packet::{self, Kind};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn json_value(rng: &mut StdRng, depth: u32) -> Value {
    match rng.random_range(0..if depth == 0 { 5 } else { 7 }) {
        0 => Value::Null,
        1 => json!(rng.random_bool(0.5)),
        2 => json!(rng.random_range(-1_000_000_i64..1_000_000)),
        3 => json!(rng.random_range(-1.0..1.0)),
        4 => json!(word(rng)),
        5 => (0..rng.random_range(0..4))
            .map(|_| json_value(rng, depth - 1))
            .collect(),
        _ => Value::Object(
            (0..rng.random_range(0..4))
                .map(|_| (word(rng), json_value(rng, depth - 1)))
                .collect(),
        ),
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("JSON")
}

/// A Socket.IO packet of the server's, which a client might send as well.
struct Sample {
    kind: Kind,
    namespace: &'static str,
    id: Option<u64>,
    name: String,
    args: Vec<Box<RawValue>>,
    attachments: Vec<Bytes>,
}

impl Sample {
    fn new(rng: &mut StdRng) -> Self {
        let kind = if rng.random_bool(0.5) {
            Kind::Event
        } else {
            Kind::Ack
        };
        let attachments: Vec<Bytes> = (0..rng.random_range(0..4_usize) / 2)
            .map(|_| bytes(rng, 20).into())
            .collect();
        let mut args: Vec<_> = (0..rng.random_range(0..4))
            .map(|_| raw(&json_value(rng, 3)))
            .collect();
        for num in 0..attachments.len() {
            args.push(raw(&json!({"a": [{"_placeholder": true, "num": num}]})));
        }
        Self {
            kind,
            namespace: if rng.random_bool(0.5) { "/" } else { "/custom" },
            id: (kind == Kind::Ack).then(|| rng.random_range(0..u64::MAX)),
            name: format!("e{}", word(rng)),
            args,
            attachments,
        }
    }

    fn frames(&self) -> Vec<Frame> {
        let Self {
            namespace,
            args,
            attachments,
            ..
        } = self;
        match self.id {
            Some(id) => packet::ack_frames(namespace, id, args, attachments),
            None => packet::event_frames(namespace, &self.name, args, attachments),
        }
    }
}

/// Decodes as a session does, to the end; gives what an event would have carried.
fn decoded(
    text: &str,
) -> Result<(packet::Packet<'_>, String, Vec<Box<RawValue>>), packet::Invalid> {
    let decoded = packet::decode(text)?;
    let mut name = String::new();
    let args = match decoded.kind {
        Kind::Connect => packet::connect_payload(decoded.data)?.into_iter().collect(),
        Kind::Disconnect => Vec::new(),
        Kind::Ack => packet::args(decoded.data)?,
        Kind::Event => {
            let (event, args) = packet::event_args(decoded.data)?;
            name = event;
            args
        }
    };
    packet::check_placeholders(&args, decoded.attachments)?;
    Ok((decoded, name, args))
}

#[test]
fn socket_packets_are_decoded_as_they_were_encoded() {
    let mut rng = StdRng::seed_from_u64(1);
    for i in 0..PACKETS {
        let sample = Sample::new(&mut rng);
        let frames = sample.frames();
        let wire = text(&frames[0]);
        let socket = wire.strip_prefix('4').expect("a message");
        let (packet, name, args) = decoded(socket).unwrap_or_else(|e| panic!("{i}: {wire}: {e}"));
        assert_eq!(packet.kind, sample.kind, "{i}: {wire}");
        assert_eq!(packet.namespace, sample.namespace, "{i}: {wire}");
        assert_eq!(packet.id, sample.id, "{i}: {wire}");
        assert_eq!(packet.attachments, sample.attachments.len(), "{i}: {wire}");
        if packet.kind == Kind::Event {
            assert_eq!(name, sample.name, "{i}: {wire}");
        }
        let of = |args: &[Box<RawValue>]| -> Vec<String> {
            args.iter().map(|it| it.get().to_owned()).collect()
        };
        assert_eq!(of(&args), of(&sample.args), "{i}: {wire}");
        let attached: Vec<_> = frames[1..].iter().map(Frame::payload).collect();
        assert_eq!(attached, sample.attachments, "{i}: {wire}");
    }
}

#[test]
fn socket_packets_that_are_broken_are_refused_or_bounded() {
    let mut rng = StdRng::seed_from_u64(2);
    let (mut taken, mut refused) = (0, 0);
    for i in 0..PACKETS {
        let sample = Sample::new(&mut rng);
        let wire = mutated(&mut rng, &text(&sample.frames()[0])[1..]);
        match decoded(&wire) {
            Ok((packet, _, args)) => {
                taken += 1;
                assert!(packet.attachments <= packet::MAX_ATTACHMENTS, "{i}: {wire}");
                let bytes: usize = args.iter().map(|it| it.get().len()).sum();
                assert!(bytes <= wire.len(), "{i}: {wire}");
            }
            Err(_) => refused += 1,
        }
    }
    // Otherwise it would not be a test of either.
    assert!(taken > 300 && refused > 300, "{taken} {refused}");
}

#[test]
fn what_is_nested_too_deep_is_no_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [100, 10_000, MAX_MESSAGE_BYTES / 6] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let marked = deep.replace('1', r#"{"_placeholder":true,"num":0}"#);
            for text in [
                format!("2[\"a\",{deep}]"),
                format!("51-[\"a\",{marked}]"),
                format!("0{deep}"),
                format!("2[\"a\",{}", open.repeat(depth)),
            ] {
                // Refused or taken; what matters is that it comes back.
                let _ = decoded(&text);
            }
        }
    }
}
