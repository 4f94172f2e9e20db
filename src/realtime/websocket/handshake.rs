//! The opening handshake (RFC 6455 section 4.2).

use crate::realtime::stream::UpgradeHandle;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use poem::{Request, Response};
use tungstenite::handshake::derive_accept_key;

/// Why a request is no WebSocket handshake that can be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It does not ask for an upgrade to WebSocket over HTTP/1.1.
    #[error("this is a WebSocket: upgrade to it")]
    NotAnUpgrade,
    /// It asks for another version of the protocol.
    #[error("only version 13 of WebSocket is spoken here")]
    Version,
    /// `Sec-WebSocket-Key` is missing or not 16 bytes in base64.
    #[error("Sec-WebSocket-Key is not 16 bytes in base64")]
    Key,
    /// The server in front of this gave no [`UpgradeHandle`], or somebody took it.
    #[error("the connection cannot be upgraded")]
    Unavailable,
}

impl HandshakeError {
    /// The status to answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotAnUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key => StatusCode::BAD_REQUEST,
            Self::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Adds what a 426 must say: `Upgrade`, `Connection` and the version.
    pub fn add_headers(self, headers: &mut HeaderMap) {
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, http::HeaderValue::from_static("websocket"));
            headers.insert(
                header::CONNECTION,
                http::HeaderValue::from_static("Upgrade"),
            );
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                http::HeaderValue::from_static("13"),
            );
        }
    }
}

/// Checks a handshake; gives the 101 to answer and the promise of the stream. No extension and no subprotocol is
/// agreed to.
///
/// # Errors
/// See [`HandshakeError`]; the upgrade has not been taken then.
pub fn handshake(request: &Request) -> Result<(Response, OnUpgrade), HandshakeError> {
    let accept = check(request.method(), request.version(), request.headers())?;
    let promise = request
        .extensions()
        .get::<UpgradeHandle>()
        .and_then(UpgradeHandle::take)
        .ok_or(HandshakeError::Unavailable)?;
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "Upgrade")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .finish();
    Ok((response, promise))
}

fn check(method: &Method, version: Version, headers: &HeaderMap) -> Result<String, HandshakeError> {
    if method != Method::GET
        || version != Version::HTTP_11
        || !has_token(headers, header::UPGRADE, "websocket")
        || !has_token(headers, header::CONNECTION, "upgrade")
    {
        return Err(HandshakeError::NotAnUpgrade);
    }
    let only = |name| {
        let mut all = headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (Some(value), None) => Some(value.as_bytes().trim_ascii()),
            _ => None,
        }
    };
    if only(header::SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(HandshakeError::Version);
    }
    let key = only(header::SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    match STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(derive_accept_key(key)),
        _ => Err(HandshakeError::Key),
    }
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(change: impl FnOnce(&mut HeaderMap)) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        change(&mut headers);
        headers
    }

    fn checked(change: impl FnOnce(&mut HeaderMap)) -> Result<String, HandshakeError> {
        check(&Method::GET, Version::HTTP_11, &headers(change))
    }

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(
            checked(|_| {}).expect("valid"),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn what_is_no_handshake() {
        let set = |name: &'static str, value: &'static str| {
            checked(move |it| {
                it.insert(name, http::HeaderValue::from_static(value));
            })
        };
        assert_eq!(set("upgrade", "h2c"), Err(HandshakeError::NotAnUpgrade));
        assert_eq!(
            set("connection", "close"),
            Err(HandshakeError::NotAnUpgrade)
        );
        assert_eq!(
            set("sec-websocket-version", "8"),
            Err(HandshakeError::Version)
        );
        assert_eq!(
            set("sec-websocket-key", "c2hvcnQ="),
            Err(HandshakeError::Key)
        );
        assert_eq!(set("sec-websocket-key", "!"), Err(HandshakeError::Key));
        let removed = checked(|it| {
            it.remove("sec-websocket-key");
        });
        assert_eq!(removed, Err(HandshakeError::Key));
        for (method, version) in [
            (Method::POST, Version::HTTP_11),
            (Method::GET, Version::HTTP_10),
        ] {
            let result = check(&method, version, &headers(|_| {}));
            assert_eq!(result, Err(HandshakeError::NotAnUpgrade));
        }
        let mut added = HeaderMap::new();
        HandshakeError::Version.add_headers(&mut added);
        assert_eq!(added["sec-websocket-version"], "13");
    }
}
