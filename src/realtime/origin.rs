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
        headers.get(&X_FORWARDED_HOST)
    } else {
        None
    };
    let host = forwarded
        .or_else(|| headers.get(HOST))
        .and_then(|value| value.to_str().ok());
    // TLS may end before us, so the scheme says nothing; a port left out is that of the page's own scheme.
    host.and_then(|host| authority(host, parts.scheme))
        .is_some_and(|own| own == (parts.host, parts.port))
}

#[derive(PartialEq, Eq)]
struct Parts {
    scheme: &'static str,
    host: String,
    port: u16,
}

impl Parts {
    fn of_origin(origin: &str) -> Option<Self> {
        let (scheme, rest) = origin.split_once("://")?;
        let scheme = ["http", "https"]
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known))?;
        let (host, port) = authority(rest, scheme)?;
        Some(Self { scheme, host, port })
    }
}

fn authority(text: &str, scheme: &str) -> Option<(String, u16)> {
    // A proxy chain may list several; the first is the one the client asked for.
    let text = text.split(',').next()?.trim();
    let authority: http::uri::Authority = text.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let port = authority
        .port_u16()
        .unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((authority.host().to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(headers: &[(&'static str, &'static str)], trusted: bool) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    value.parse().expect("a header"),
                )
            })
            .collect();
        is_allowed(&headers, trusted, &["https://app.example.com".into()])
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
    }

    #[test]
    fn others_are_refused() {
        let host = ("host", "chat.example.com");
        for origin in [
            "https://evil.example.com",
            "https://chat.example.com:8443",
            "https://chat.example.com.evil.org",
            "https://x@chat.example.com",
            "http://app.example.com",
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
    }
}
