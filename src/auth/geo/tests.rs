use super::*;
use crate::auth::client::{Client, ClientRules};
use crate::model::IpPrivacy;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

/// The integration tests write such databases too.
#[path = "../../../tests/integration/harness/places.rs"]
mod places;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn the_most_specific_network_tells() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("places.mmdb");
    let bytes = places::database(&[
        ("203.0.113.0/24", "NP", &["Bagmati", "Kathmandu"]),
        ("203.0.112.0/24", "IN", &[]),
        ("2001:db8:1234::/48", "DE", &["Land Berlin"]),
    ]);
    std::fs::write(&path, bytes).expect("written");
    let geo = Geo::open(&path).expect("a database");
    let place = |country: &str, region: Option<&str>| Place {
        country_code: Some(country.into()),
        region: region.map(Into::into),
    };
    assert_eq!(geo.locate(ip("203.0.113.9")), place("NP", Some("Bagmati")));
    let mapped = geo.locate(ip("::ffff:203.0.113.9"));
    assert_eq!(mapped, place("NP", Some("Bagmati")));
    assert_eq!(geo.locate(ip("203.0.112.255")), place("IN", None));
    let berlin = geo.locate(ip("2001:db8:1234:5::1"));
    assert_eq!(berlin, place("DE", Some("Land Berlin")));
    for unknown in ["203.0.114.1", "10.0.0.1", "::1", "2001:db8:1235::1"] {
        assert_eq!(geo.locate(ip(unknown)), Place::default(), "{unknown}");
    }
}

#[test]
fn the_country_of_a_trusted_proxy_goes_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("places.mmdb");
    let bytes = places::database(&[("203.0.113.0/24", "NP", &["Bagmati"])]);
    std::fs::write(&path, bytes).expect("written");
    let rules = ClientRules {
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
        ip_privacy: IpPrivacy::None,
        country_header: Some(HeaderName::from_static("cf-ipcountry")),
        geo: Some(Arc::new(Geo::open(&path).expect("a database"))),
    };
    let place = |peer: &str, country: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
        let country = HeaderValue::from_str(country).expect("a value");
        headers.insert("cf-ipcountry", country);
        let info = Client::of(&headers, ip(peer), None, &rules).info;
        assert_eq!(info.ip_address, None, "looked up and not kept");
        (info.country_code, info.region)
    };
    let of = |country: &str, region: Option<&str>| (Some(country.into()), region.map(Into::into));
    assert_eq!(place("10.0.0.1", "NP"), of("NP", Some("Bagmati")));
    assert_eq!(place("10.0.0.1", "XX"), of("NP", Some("Bagmati")));
    assert_eq!(place("10.0.0.1", "IN"), of("IN", None));
    assert_eq!(place("203.0.113.1", "IN"), of("NP", Some("Bagmati")));
    assert_eq!(place("192.0.2.1", "IN"), (None, None));
}

#[test]
fn what_is_no_database_is_refused_and_a_damaged_one_tells_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("places.mmdb");
    assert!(Geo::open(&path).is_err(), "there is none");
    for bytes in [&b""[..], b"SQLite format 3\0", &[0xff; 4096]] {
        std::fs::write(&path, bytes).expect("written");
        assert!(Geo::open(&path).is_err());
    }
    let mut bytes = places::database(&[("203.0.113.0/24", "NP", &["Bagmati"])]);
    let data = bytes.windows(7).position(|part| part == b"country");
    bytes[data.expect("a record") - 1] = 0xff;
    std::fs::write(&path, bytes).expect("written");
    let geo = Geo::open(&path).expect("its head is good");
    assert_eq!(geo.locate(ip("203.0.113.9")), Place::default());
}
