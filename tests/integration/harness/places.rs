//! Writes databases of addresses in the MaxMind format (version 2.0 of its description), as small as they can be.

use ipnet::IpNet;
use std::net::IpAddr;

/// A network, its country, and the English names of its parts from the largest to the smallest.
pub type Row<'a> = (&'a str, &'a str, &'a [&'a str]);

/// The end of a branch of the tree.
#[derive(Clone, Copy)]
enum Branch {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A database of networks, of which none is in another.
pub fn database(rows: &[Row<'_>]) -> Vec<u8> {
    let mut nodes = vec![[Branch::Nothing; 2]];
    let mut data = Vec::new();
    for (network, country, parts) in rows {
        let network: IpNet = network.parse().expect("a network");
        // An IPv4 address is the one with 96 zero bits before it.
        let (bits, length) = match network.network() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 96 + network.prefix_len()),
            IpAddr::V6(v6) => (v6.to_bits(), network.prefix_len()),
        };
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[node][side] = Branch::Data(data.len());
            } else if let Branch::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Branch::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Branch::Node(next);
                node = next;
            }
        }
        data.extend(record(country, parts));
    }
    let mut file = Vec::new();
    let number = |branch| match branch {
        Branch::Nothing => nodes.len(),
        Branch::Node(node) => node,
        Branch::Data(offset) => nodes.len() + 16 + offset,
    };
    for branch in nodes.iter().flatten() {
        let number = u32::try_from(number(*branch)).expect("small");
        file.extend(&number.to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xAB\xCD\xEFMaxMind.com");
    file.extend(metadata(u32::try_from(nodes.len()).expect("small")));
    file
}

fn record(country: &str, parts: &[&str]) -> Vec<u8> {
    let name = |part: &&str| map(&[("names", map(&[("en", text(part))]))]);
    let country = map(&[("iso_code", text(country))]);
    if parts.is_empty() {
        return map(&[("country", country)]);
    }
    let parts: Vec<_> = parts.iter().map(name).collect();
    map(&[("country", country), ("subdivisions", array(&parts))])
}

fn metadata(node_count: u32) -> Vec<u8> {
    map(&[
        ("node_count", head(6, 4, &node_count.to_be_bytes())),
        ("record_size", short(24)),
        ("ip_version", short(6)),
        ("database_type", text("Places")),
        ("languages", array(&[text("en")])),
        ("binary_format_major_version", short(2)),
        ("binary_format_minor_version", short(0)),
        ("build_epoch", head(9, 8, &1_800_000_000_u64.to_be_bytes())),
        ("description", map(&[("en", text("A test"))])),
    ])
}

fn short(number: u16) -> Vec<u8> {
    head(5, 2, &number.to_be_bytes())
}

fn text(text: &str) -> Vec<u8> {
    head(2, text.len(), text.as_bytes())
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let field = |(key, value): &(&str, Vec<u8>)| [text(key), value.clone()].concat();
    let body: Vec<u8> = fields.iter().flat_map(field).collect();
    head(7, fields.len(), &body)
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    head(11, items.len(), &items.concat())
}

/// The control byte of a type and size below 29, the extended type where there is one, and what follows.
fn head(kind: u8, size: usize, body: &[u8]) -> Vec<u8> {
    let size = u8::try_from(size).expect("small");
    assert!(size < 29, "longer ones are not written here");
    let mut bytes = if kind > 7 {
        vec![size, kind - 7]
    } else {
        vec![kind << 5 | size]
    };
    bytes.extend(body);
    bytes
}
