//! The decoders under a stream of packets that are right, nearly right, and noise. The stream is the same each time: a
//! failure says which packet it was.

mod engine_packets;
mod frames;
mod socket_packets;

use lastseen::realtime::frame::Frame;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

/// Packets of each test.
const PACKETS: usize = 5_000;

/// What a connection may send in one message, as the server has it.
const MAX_MESSAGE_BYTES: usize = 65_536;

/// Pieces of which packets are made: mutations put one where it does not belong.
const PIECES: &[&str] = &[
    "",
    "0",
    "2",
    "4",
    "5",
    "6",
    "45",
    "b",
    "-",
    ",",
    "/",
    "/custom,",
    "?",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\\",
    "\u{1e}",
    "\u{0}",
    "é",
    "\u{1F600}",
    "99999999999999999999",
    "4294967296-",
    "-1",
    "_placeholder",
    r#"{"_placeholder":true,"num":0}"#,
    "[[[[[[[[",
    "null",
    "1e999",
    "\\ud800",
];

fn word(rng: &mut StdRng) -> String {
    let letters: Vec<char> = "abcXYZ0189 ,/-?\"\\é€\u{1F600}\n\t".chars().collect();
    (0..rng.random_range(0..9))
        .map(|_| *letters.choose(rng).expect("there are letters"))
        .collect()
}

fn bytes(rng: &mut StdRng, up_to: usize) -> Vec<u8> {
    (0..rng.random_range(0..=up_to))
        .map(|_| rng.random())
        .collect()
}

fn text(frame: &Frame) -> String {
    String::from_utf8(frame.payload_bytes().to_vec()).expect("text")
}

/// Cuts, doubles, replaces and inserts, at characters.
fn mutated(rng: &mut StdRng, text: &str) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=text.len());
        let end = (at + rng.random_range(0..5)).min(text.len());
        match rng.random_range(0..5) {
            0 => text.truncate(at),
            1 => drop(text.drain(at..end)),
            2 => drop(text.splice(at..end, text[at..end].repeat(2))),
            3 => {
                let piece = PIECES.choose(rng).expect("there are pieces");
                drop(text.splice(at..end, piece.chars()));
            }
            _ => text.insert(at, rng.random()),
        }
    }
    text.into_iter().collect()
}
