//! The people: a name of syllables, a place, a device, and how much they are there.

use crate::model::{DeviceType, Username};
use rand::Rng;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Every so many have a password; the others come by tokens that a host application signs, since hashing is slow.
const WITH_PASSWORD: usize = 12;

/// Country, hours before UTC, and how many of a hundred are there.
const PLACES: [(&str, f64, u32); 8] = [
    ("DE", 1.0, 22),
    ("GB", 0.0, 18),
    ("FR", 1.0, 15),
    ("IT", 1.0, 12),
    ("GR", 2.0, 10),
    ("US", -5.0, 10),
    ("BR", -3.0, 8),
    ("NP", 5.75, 5),
];

/// The networks that stand for addresses in texts (RFC 5737).
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];

const STARTS: [&str; 20] = [
    "ba", "ca", "da", "el", "fi", "ga", "ha", "io", "ja", "ka", "le", "mi", "no", "o", "pa", "ri",
    "sa", "to", "va", "zu",
];
const MIDDLES: [&str; 12] = [
    "", "", "la", "ne", "ri", "mo", "ta", "di", "lo", "sha", "vi", "ko",
];
const ENDS: [&str; 12] = [
    "n", "ra", "lin", "s", "mi", "do", "na", "ris", "bel", "to", "ka", "las",
];

/// How somebody connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Socket.IO over a WebSocket.
    SocketIo,
    /// Raw frames on `/ws`.
    Raw,
}

/// Somebody.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) number: usize,
    pub(super) name: Username,
    pub(super) display_name: String,
    /// In a real day, on average.
    pub(super) sessions_a_day: f64,
    pub(super) device: DeviceType,
    pub(super) device_id: Arc<str>,
    pub(super) country: &'static str,
    pub(super) hours_ahead: f64,
    pub(super) address: Ipv4Addr,
    pub(super) door: Door,
    pub(super) has_password: bool,
}

impl Person {
    /// Their id in the host application.
    pub(super) fn external_id(&self) -> String {
        format!("demo-{}", self.number)
    }
}

/// So many people, no two of one name.
pub(super) fn make(count: u32, rng: &mut impl Rng) -> Vec<Person> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut people = Vec::new();
    while people.len() < count as usize {
        let number = people.len() + 1;
        let word = [
            STARTS[rng.random_range(0..STARTS.len())],
            MIDDLES[rng.random_range(0..MIDDLES.len())],
            ENDS[rng.random_range(0..ENDS.len())],
        ]
        .concat();
        // There are fewer names than people may be wanted.
        let plain = Username::new(&word)
            .ok()
            .filter(|name| !taken.contains(name.as_str()));
        let Some(name) = plain.or_else(|| Username::new(&format!("{word}{number}")).ok()) else {
            continue;
        };
        if name.as_str() == super::GUEST || !taken.insert(name.as_str().to_owned()) {
            continue;
        }
        let (country, hours_ahead) = place(rng);
        let device = match rng.random_range(0..10) {
            0..4 => DeviceType::Ios,
            4..8 => DeviceType::Android,
            _ => DeviceType::Web,
        };
        let [a, b, c] = NETWORKS[number % NETWORKS.len()];
        // A few are there all the time, most hardly.
        let chance: f64 = rng.random_range(0.02..1.0);
        people.push(Person {
            number,
            display_name: capitalised(name.as_str()),
            name,
            sessions_a_day: (1.2 / chance.powf(0.6)).min(10.0),
            device,
            device_id: format!("{device}-{number}").into(),
            country,
            hours_ahead,
            address: Ipv4Addr::new(a, b, c, rng.random_range(1..255)),
            door: if number.is_multiple_of(2) {
                Door::SocketIo
            } else {
                Door::Raw
            },
            has_password: number.is_multiple_of(WITH_PASSWORD),
        });
    }
    people
}

fn place(rng: &mut impl Rng) -> (&'static str, f64) {
    let all = PLACES.iter().map(|(_, _, share)| share).sum();
    let mut left = rng.random_range(0..all);
    for (country, hours, share) in PLACES {
        if left < share {
            return (country, hours);
        }
        left -= share;
    }
    ("DE", 1.0)
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
