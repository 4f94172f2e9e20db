//! Reads `Forwarded` (RFC 7239) and `X-Forwarded-For` into hops, left to right; a hop that is no address is `None`.
//! Which hop is believed is the parent's.

use http::HeaderMap;
use http::header::FORWARDED;
use std::net::{IpAddr, SocketAddr};

/// The `for` of every element of every `Forwarded` line. A line that breaks the grammar counts as one hop without
/// an address, so that nothing left of it is believed.
pub(super) fn of_forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    for line in headers.get_all(FORWARDED) {
        match line.to_str().ok().and_then(elements) {
            Some(elements) => hops.extend(elements),
            None => hops.push(None),
        }
    }
    hops
}

/// Every entry of every `X-Forwarded-For` line.
pub(super) fn of_x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    for line in headers.get_all("x-forwarded-for") {
        match line.to_str() {
            Ok(text) => hops.extend(text.split(',').map(|entry| node(entry.trim()))),
            Err(_) => hops.push(None),
        }
    }
    hops
}

/// The elements of one line, or `None` when it breaks the grammar of RFC 7239, section 4.
fn elements(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut elements = Vec::new();
    let mut rest = line;
    loop {
        let mut hop = None;
        let mut named = false;
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            if rest.is_empty() || rest.starts_with([',', ';']) {
                // An empty pair: `for=a;;by=b` or a comma too many, which lists allow.
            } else {
                let (name, after) = rest.split_once('=')?;
                if name.is_empty() || name.contains([',', ';', '"', ' ', '\t']) {
                    return None;
                }
                let (value, after) = value(after)?;
                if name.eq_ignore_ascii_case("for") {
                    if named {
                        return None;
                    }
                    hop = node(&value);
                }
                named |= name.eq_ignore_ascii_case("for");
                rest = after.trim_start_matches([' ', '\t']);
            }
            match rest.strip_prefix(';') {
                Some(after) => rest = after,
                None => break,
            }
        }
        elements.push(hop);
        if rest.is_empty() {
            return Some(elements);
        }
        rest = rest.strip_prefix(',')?;
    }
}

/// A token or quoted string at the beginning of `text`, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t', '"']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// An address, `[v6]`, or either with a port.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(socket.ip().to_canonical());
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.starts_with('_')
    {
        // RFC 7239, section 6: the port may be an obfuscated name.
        return node(host);
    }
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let address: std::net::Ipv6Addr = inner.parse().ok()?;
    Some(IpAddr::V6(address).to_canonical())
}
