//! Addresses behind proxies, privacy, devices.

use super::*;
use http::HeaderValue;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn rules(trusted: &[&str]) -> ClientRules {
    ClientRules {
        trusted_proxies: trusted
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect(),
        ..ClientRules::default()
    }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        map.append(*name, value);
    }
    map
}

fn seen(lines: &[(&'static str, &str)]) -> String {
    let rules = rules(&["10.0.0.0/8", "fd00::/8"]);
    address(&headers(lines), ip("10.0.0.1"), &rules).to_string()
}

#[test]
fn a_stranger_is_not_believed() {
    let lines = headers(&[
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2"),
    ]);
    let rules = rules(&["10.0.0.0/8"]);
    assert_eq!(
        address(&lines, ip("203.0.113.9"), &rules),
        ip("203.0.113.9")
    );
    assert_eq!(
        address(&lines, ip("203.0.113.9"), &ClientRules::default()),
        ip("203.0.113.9")
    );
}

#[test]
fn x_forwarded_for() {
    let xff = |text| seen(&[("x-forwarded-for", text)]);
    assert_eq!(xff("192.0.2.1"), "192.0.2.1");
    assert_eq!(
        xff("6.6.6.6, 192.0.2.1,10.0.0.2"),
        "192.0.2.1",
        "right-most untrusted"
    );
    assert_eq!(xff("192.0.2.1:4711"), "192.0.2.1");
    assert_eq!(xff("[2001:db8::1]:4711"), "2001:db8::1");
    assert_eq!(xff("2001:db8::1, fd00::1"), "2001:db8::1");
    assert_eq!(xff("::ffff:192.0.2.1"), "192.0.2.1");
    assert_eq!(
        xff("10.0.0.7, 10.0.0.2"),
        "10.0.0.7",
        "all trusted: where it began"
    );
    assert_eq!(
        xff("rubbish, 192.0.2.1"),
        "192.0.2.1",
        "rubbish further left"
    );
    for rubbish in [
        "",
        "rubbish",
        "192.0.2.1, rubbish, 10.0.0.2",
        "192.0.2.1,",
        "192.0.2.999",
        "unknown",
        "\u{fc}",
    ] {
        assert_eq!(xff(rubbish), "10.0.0.1", "{rubbish}");
    }
    let two = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "192.0.2.1, 10.0.0.3"),
    ];
    assert_eq!(seen(&two), "192.0.2.1");
}

#[test]
fn forwarded_goes_first() {
    let forwarded = |text| seen(&[("forwarded", text), ("x-forwarded-for", "192.0.2.99")]);
    assert_eq!(forwarded("for=192.0.2.1"), "192.0.2.1");
    assert_eq!(
        forwarded("For=\"192.0.2.1:80\"; Proto=https;by=10.0.0.1"),
        "192.0.2.1"
    );
    assert_eq!(forwarded("for=\"[2001:db8::1]:4711\""), "2001:db8::1");
    assert_eq!(forwarded("for=\"[2001:db8::1]\""), "2001:db8::1");
    assert_eq!(
        forwarded("for=\"[::ffff:192.0.2.1]\""),
        "192.0.2.1",
        "an IPv4 address however it is written"
    );
    assert_eq!(forwarded("for=\"192.0.2.1:_port\""), "192.0.2.1");
    assert_eq!(
        forwarded("for=6.6.6.6, for=192.0.2.1 , for=10.0.0.2"),
        "192.0.2.1"
    );
    assert_eq!(forwarded("for=\"a,b;c=\\\"d\", for=192.0.2.1"), "192.0.2.1");
    assert_eq!(forwarded(";;for=192.0.2.1;"), "192.0.2.1");
    for rubbish in [
        "",
        "rubbish",
        "for=unknown",
        "for=_hidden",
        "for=192.0.2.1, by=10.0.0.1",
        "for=\"192.0.2.1",
        "for=192.0.2.1 x",
        "for=192.0.2.1;for=192.0.2.2",
        "=192.0.2.1",
        "for=\"192.0.2.1\\",
    ] {
        assert_eq!(forwarded(rubbish), "10.0.0.1", "{rubbish}");
    }
    let two = [("forwarded", "for=192.0.2.1"), ("forwarded", "rubbish")];
    assert_eq!(seen(&two), "10.0.0.1");
}

#[test]
fn a_mapped_peer_is_an_ipv4_peer() {
    let lines = headers(&[("x-forwarded-for", "192.0.2.1")]);
    let rules = rules(&["127.0.0.1"].map(|_| "127.0.0.1/32"));
    assert_eq!(
        address(&lines, ip("::ffff:127.0.0.1"), &rules),
        ip("192.0.2.1")
    );
    assert_eq!(
        address(&lines, ip("::ffff:203.0.113.9"), &rules),
        ip("203.0.113.9")
    );
}

#[test]
fn privacy() {
    let apply = |privacy: IpPrivacy, text| privacy.apply(ip(text));
    let truncated = |text| apply(IpPrivacy::Truncated, text).expect("a network");
    assert_eq!(truncated("203.0.113.77"), "203.0.113.0");
    assert_eq!(
        truncated("2001:db8:1234:5678:9abc:def0:1:2"),
        "2001:db8:1234::"
    );
    assert_eq!(truncated("::ffff:203.0.113.77"), "203.0.113.0");
    assert_eq!(
        apply(IpPrivacy::Full, "::ffff:203.0.113.77").as_deref(),
        Some("203.0.113.77")
    );
    assert_eq!(apply(IpPrivacy::None, "203.0.113.77"), None);
    for word in ["full", "truncated", "none"] {
        assert_eq!(
            word.parse::<IpPrivacy>().expect("a setting").to_string(),
            word
        );
    }
    assert!("Full".parse::<IpPrivacy>().is_err());
}

#[test]
fn what_is_stored_is_private_and_what_limits_is_not() {
    let rules = ClientRules {
        ip_privacy: IpPrivacy::Truncated,
        ..rules(&["10.0.0.0/8"])
    };
    let lines = headers(&[("x-forwarded-for", "203.0.113.77")]);
    let client = Client::of(&lines, ip("10.0.0.1"), None, &rules);
    assert_eq!(client.address, ip("203.0.113.77"));
    assert_eq!(client.info.ip_address.as_deref(), Some("203.0.113.0"));
}

#[test]
fn the_handshake_goes_before_the_header_before_the_user_agent() {
    let device = |handshake, lines: &[(&'static str, &str)]| {
        Client::of(&headers(lines), ip("192.0.2.1"), handshake, &rules(&[]))
            .info
            .device_type
    };
    let agent = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)");
    assert_eq!(
        device(
            Some(DeviceType::Ios),
            &[("x-device-type", "android"), agent]
        ),
        Some(DeviceType::Ios)
    );
    assert_eq!(
        device(None, &[("x-device-type", " Android "), agent]),
        Some(DeviceType::Android)
    );
    assert_eq!(
        device(None, &[("x-device-type", "toaster"), agent]),
        Some(DeviceType::Web)
    );
    assert_eq!(device(None, &[]), None);
}

#[test]
fn user_agents() {
    use DeviceType::{Android, Ios, Web};
    for (agent, device) in [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
            Some(Ios),
        ),
        ("Chat/412 CFNetwork/1494.0.7 Darwin/23.4.0", Some(Ios)),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36",
            Some(Android),
        ),
        ("okhttp/4.12.0", Some(Android)),
        ("Dalvik/2.1.0 (Linux; U; Android 13)", Some(Android)),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36",
            Some(Web),
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101",
            Some(Web),
        ),
        (
            "Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; like iPhone OS 7_0_3)",
            Some(Web),
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1",
            Some(Ios),
        ),
        (
            "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
            Some(Android),
        ),
        (
            "Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16",
            Some(Web),
        ),
        (
            "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) AppleWebKit/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            None,
        ),
        ("curl/8.5.0", None),
        ("Dart/3.4 (dart:io)", None),
        ("", None),
    ] {
        assert_eq!(device_of_user_agent(agent), device, "{agent}");
    }
}

#[test]
fn long_and_strange_user_agents() {
    let agent = |text: &str| {
        Client::of(
            &headers(&[("user-agent", text)]),
            ip("192.0.2.1"),
            None,
            &rules(&[]),
        )
        .info
        .user_agent
    };
    let long = agent(&"ä".repeat(400)).expect("kept");
    assert_eq!(long.len(), 512);
    let odd = agent(&("a".to_owned() + &"ä".repeat(400))).expect("kept");
    assert_eq!(odd.len(), 511, "no half character");
    assert_eq!(agent("a\tb").as_deref(), Some("ab"));
    assert_eq!(agent(""), None);
}

#[test]
fn only_a_trusted_proxy_names_the_country() {
    let rules = ClientRules {
        country_header: Some(HeaderName::from_static("cf-ipcountry")),
        ..rules(&["10.0.0.0/8"])
    };
    let country = |peer, code| {
        Client::of(&headers(&[("cf-ipcountry", code)]), ip(peer), None, &rules)
            .info
            .country_code
    };
    assert_eq!(country("10.0.0.1", "np").as_deref(), Some("NP"));
    assert_eq!(country("192.0.2.1", "NP"), None);
    for bad in ["XX", "T1", "NPL", "", "N\u{e4}"] {
        assert_eq!(country("10.0.0.1", bad), None, "{bad}");
    }
}
