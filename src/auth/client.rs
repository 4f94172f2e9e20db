//! Who is at the other end of a request: address, device type, country, User-Agent.
//!
//! The full address is for limits only and is never stored; [`ClientInfo`] holds what may be stored, as private as
//! the settings ask.

use super::geo::{Geo, Place};
use crate::model::{ClientInfo, DeviceType, IpPrivacy};
use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, USER_AGENT};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use woothee::parser::Parser;

mod forwarded;

/// Bytes kept of a User-Agent.
const USER_AGENT_BYTES: usize = 512;

/// The settings that decide what is believed and what is stored.
#[derive(Clone, Debug)]
pub struct ClientRules {
    /// Peers whose forwarding headers are believed (`--trusted-proxies`).
    pub trusted_proxies: Vec<IpNet>,
    /// What is stored of addresses (`--ip-privacy`).
    pub ip_privacy: IpPrivacy,
    /// The header in which a trusted proxy names the country (`--country-header`).
    pub country_header: Option<HeaderName>,
    /// Where addresses are (`--geoip`); a trusted proxy's word on the country goes before it.
    pub geo: Option<Arc<Geo>>,
}

impl Default for ClientRules {
    /// No trusted proxy, and addresses kept whole.
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            ip_privacy: IpPrivacy::Full,
            country_header: None,
            geo: None,
        }
    }
}

impl ClientRules {
    /// Whether forwarding headers from `peer` are believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The full address, for limits. Not to be stored or logged.
    pub address: IpAddr,
    /// What may be stored.
    pub info: ClientInfo,
}

impl Client {
    /// From a request's head and the address of its socket's peer; `handshake` is the device type that a realtime
    /// client gave in its handshake, which goes before every header.
    pub fn of(
        headers: &HeaderMap,
        peer: IpAddr,
        handshake: Option<DeviceType>,
        rules: &ClientRules,
    ) -> Self {
        let address = address(headers, peer, rules);
        let user_agent = headers
            .get(USER_AGENT)
            .map(|value| shortened(&String::from_utf8_lossy(value.as_bytes())))
            .filter(|text| !text.is_empty());
        let device_type = handshake
            .or_else(|| device_header(headers))
            .or_else(|| user_agent.as_deref().and_then(device_of_user_agent));
        let place = place(headers, peer, address, rules);
        Self {
            address,
            info: ClientInfo {
                device_type,
                ip_address: rules.ip_privacy.apply(address),
                country_code: place.country_code,
                region: place.region,
                user_agent,
            },
        }
    }
}

/// The client's address: the peer's, or, when the peer is trusted, the right-most hop that is not, of `Forwarded`
/// (RFC 7239) if there is one, else of `X-Forwarded-For`. If every hop is trusted, the left-most: the request began
/// inside. A hop that is no address on the way there (`unknown`, an obfuscated name, rubbish) leaves the peer's.
pub fn address(headers: &HeaderMap, peer: IpAddr, rules: &ClientRules) -> IpAddr {
    let peer = peer.to_canonical();
    if !rules.trusts(peer) {
        return peer;
    }
    let hops = if headers.contains_key(FORWARDED) {
        forwarded::of_forwarded(headers)
    } else {
        forwarded::of_x_forwarded_for(headers)
    };
    let mut client = peer;
    for hop in hops.iter().rev() {
        match hop {
            None => return peer,
            Some(hop) => client = *hop,
        }
        if !rules.trusts(client) {
            break;
        }
    }
    client
}

/// Where the client is. The full address is looked up, whatever of it is stored; what it is looked up in need not agree
/// with the proxy, whose country then stands without a region.
fn place(headers: &HeaderMap, peer: IpAddr, address: IpAddr, rules: &ClientRules) -> Place {
    let found = rules.geo.as_ref().map(|geo| geo.locate(address));
    let found = found.unwrap_or_default();
    match country(headers, peer, rules) {
        named @ Some(_) if named != found.country_code => Place {
            country_code: named,
            region: None,
        },
        _ => found,
    }
}

fn country(headers: &HeaderMap, peer: IpAddr, rules: &ClientRules) -> Option<String> {
    let name = rules.country_header.as_ref()?;
    if !rules.trusts(peer) {
        return None;
    }
    let code = headers
        .get(name)?
        .to_str()
        .ok()?
        .trim()
        .to_ascii_uppercase();
    // XX and ZZ stand for "not known" and are no country of ISO 3166.
    let is_country = code.len() == 2
        && code.bytes().all(|b| b.is_ascii_uppercase())
        && !["XX", "ZZ"].contains(&code.as_str());
    is_country.then_some(code)
}

fn device_header(headers: &HeaderMap) -> Option<DeviceType> {
    let text = headers.get("x-device-type")?.to_str().ok()?;
    text.trim().to_ascii_lowercase().parse().ok()
}

/// What woothee's list knows of browsers and their systems, and before it what it does not know: the HTTP stacks that
/// native apps bring. `CFNetwork` or a bare `iOS` is ios, `okhttp` or `Dalvik` is android. A browser on a telephone counts
/// as the telephone: it is the device that is asked for. Any other browser, or whatever says `Mozilla/` as all of them do,
/// is web; crawlers, scripts and servers are unknown.
pub fn device_of_user_agent(user_agent: &str) -> Option<DeviceType> {
    let lower = user_agent.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if any(&["cfnetwork", " ios ", "(ios"]) {
        return Some(DeviceType::Ios);
    }
    if any(&["okhttp", "dalvik"]) {
        return Some(DeviceType::Android);
    }
    let known = Parser::new().parse(user_agent).unwrap_or_default();
    match (known.os, known.category) {
        (_, "crawler") => None,
        ("iPhone" | "iPad" | "iPod" | "iOS", _) => Some(DeviceType::Ios),
        ("Android", _) => Some(DeviceType::Android),
        (_, "pc" | "smartphone" | "mobilephone" | "appliance") => Some(DeviceType::Web),
        _ => lower.starts_with("mozilla/").then_some(DeviceType::Web),
    }
}

/// Without control characters, at most 512 bytes, whole characters.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).collect();
    short.truncate(short.floor_char_boundary(USER_AGENT_BYTES));
    short
}

#[cfg(test)]
mod tests;
