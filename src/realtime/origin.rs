//! Which pages may open a connection (RFC 6454): none named, the server's own, or one in `--cors-origin`.

use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN};

static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether a request may open a connection. `peer_is_trusted`: the peer is a proxy whose `X-Forwarded-Host` counts.
pub fn is_allowed(headers: &HeaderMap, peer_is_trusted: bool, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (origin, more) = (origins.next(), origins.next());
    let Some(origin) = origin else { return true };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    if more.is_some() {
        return false;
    }
    let Some(parts) = Parts::of_origin(origin) else {
        return false;
    };
    if allowed
        .iter()
        .filter_map(|one| Parts::of_origin(one))
        .any(|one| one == parts)
    {
        return true;
    }
    let forwarded = if peer_is_trusted {
        // A proxy chain may list several; the first is the one the client asked for.
        headers
            .get(&X_FORWARDED_HOST)
            .map(|value| value.to_str().map(first))
    } else {
        None
    };
    let host = forwarded.or_else(|| headers.get(HOST).map(|value| value.to_str()));
    // TLS may end before us, so the scheme says nothing; a port left out is that of the page's own scheme.
    let Some(Ok(host)) = host else { return false };
    parts.port.is_some() && authority(host, &parts.scheme) == Some((parts.host, parts.port))
}

fn first(list: &str) -> &str {
    list.split_once(',').map_or(list, |(first, _)| first).trim()
}

/// An origin. Of a scheme that is not the web's, such as an app's own, the port may be unknown.
#[derive(PartialEq, Eq)]
struct Parts {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Parts {
    fn of_origin(origin: &str) -> Option<Self> {
        let (scheme, rest) = origin.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = authority(rest, &scheme)?;
        Some(Self { scheme, host, port })
    }
}

/// Host and port; a port that is left out is the scheme's own, where it has one.
fn authority(text: &str, scheme: &str) -> Option<(String, Option<u16>)> {
    let authority: http::uri::Authority = text.parse().ok()?;
    let host = authority.host();
    // Nothing may come before the host, and only a port after it.
    let port = match authority.as_str().strip_prefix(host)? {
        "" | ":" => match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        },
        port => Some(port.strip_prefix(':')?.parse().ok()?),
    };
    Some((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(headers: &[(&'static str, &'static str)], trusted: bool) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                value.parse().expect("a header"),
            );
        }
        let listed = ["https://app.example.com", "capacitor://localhost"];
        is_allowed(&map, trusted, &listed.map(String::from))
    }

    #[test]
    fn own_pages_listed_pages_and_programs() {
        let host = ("host", "chat.example.com");
        assert!(allowed(&[host], false));
        assert!(allowed(
            &[host, ("origin", "https://chat.example.com")],
            false
        ));
        assert!(allowed(
            &[host, ("origin", "http://Chat.Example.com:80")],
            false
        ));
        assert!(allowed(
            &[
                ("host", "localhost:8080"),
                ("origin", "http://localhost:8080")
            ],
            false
        ));
        assert!(allowed(
            &[host, ("origin", "https://app.example.com:443")],
            false
        ));
        assert!(allowed(&[host, ("origin", "capacitor://localhost")], false));
        assert!(allowed(
            &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")],
            false
        ));
    }

    #[test]
    fn others_are_refused() {
        let host = ("host", "chat.example.com");
        for origin in [
            "https://evil.example.com",
            "https://chat.example.com:8443",
            "https://chat.example.com.evil.org",
            "https://x@chat.example.com",
            "https://chat.example.com:99999",
            "https://chat.example.com,https://evil.example.com",
            "http://app.example.com",
            "capacitor://chat.example.com",
            "ionic://localhost",
            "null",
            "",
            "file://",
        ] {
            assert!(!allowed(&[host, ("origin", origin)], false), "{origin}");
        }
        assert!(
            !allowed(&[("origin", "https://chat.example.com")], false),
            "no host to compare with"
        );
        let two = [
            host,
            ("origin", "https://chat.example.com"),
            ("origin", "https://chat.example.com"),
        ];
        assert!(!allowed(&two, false), "two origins");
    }

    #[test]
    fn a_forwarded_host_counts_from_a_trusted_proxy_only() {
        let headers = [
            ("host", "10.0.0.5:8080"),
            ("x-forwarded-host", "chat.example.com, inner"),
            ("origin", "https://chat.example.com"),
        ];
        assert!(allowed(&headers, true));
        assert!(!allowed(&headers, false));
        // It stands in place of Host, not beside it.
        let own = [
            ("x-forwarded-host", "a.example"),
            ("host", "b.example"),
            ("origin", "https://b.example"),
        ];
        assert!(!allowed(&own, true));
        assert!(allowed(&own, false));
    }
}
