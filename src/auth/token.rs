//! Opaque tokens: random text for the client, a hash for the store.
//!
//! Who a token belongs to and how long it lives is the store's and [`super::Auth`]'s.

use crate::error::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use rand::TryRngCore;
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 of a token. With 256 random bits in the token, a fast hash without salt is enough.
pub type TokenHash = [u8; 32];

/// What an opaque token is for; its first four characters say so, also to scanners that look for leaked secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A user's sign-in: `lst_…`.
    SignIn,
    /// An API key: `lsk_…`.
    ApiKey,
}

impl TokenKind {
    /// The first characters of every token of this kind.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::SignIn => "lst_",
            Self::ApiKey => "lsk_",
        }
    }

    /// The kind of a presented token, or `None` when it is none of ours: another prefix, or not the URL-safe
    /// base64 (RFC 4648, section 5) of 32 bytes after it.
    pub fn of(token: &str) -> Option<Self> {
        let kind = [Self::SignIn, Self::ApiKey]
            .into_iter()
            .find(|kind| token.starts_with(kind.prefix()))?;
        let mut bytes = [0u8; 33];
        let text = &token[kind.prefix().len()..];
        let read = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (read == 32).then_some(kind)
    }
}

/// A new opaque token: 256 random bits as text. Has no `Display`, and `Debug` does not show it.
#[derive(Clone)]
pub struct Token {
    kind: TokenKind,
    text: String,
}

impl Token {
    /// Makes one from the operating system's random numbers.
    ///
    /// # Errors
    /// [`Error::Internal`] when there are none.
    pub fn generate(kind: TokenKind) -> Result<Self> {
        let mut bytes = [0u8; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut bytes)
            .map_err(Error::internal)?;
        let text = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes));
        Ok(Self { kind, text })
    }

    /// The text, for the one answer that gives it to its owner.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What the store keeps.
    pub fn hash(&self) -> TokenHash {
        hash(&self.text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?}, …)", self.kind)
    }
}

/// The hash under which the store knows the token whose text is `token`.
pub fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// The token of `Authorization: Bearer T` (RFC 6750, section 2.1); the scheme in any case (RFC 9110, section 11.1).
/// `None` without one, with another scheme, or with several such headers, which do not say who is asking.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_their_kind_and_differ() {
        let one = Token::generate(TokenKind::SignIn).expect("random numbers");
        let two = Token::generate(TokenKind::ApiKey).expect("random numbers");
        assert_eq!(TokenKind::of(one.expose()), Some(TokenKind::SignIn));
        assert_eq!(TokenKind::of(two.expose()), Some(TokenKind::ApiKey));
        assert_eq!(one.expose().len(), 4 + 43);
        assert_ne!(one.expose()[4..], two.expose()[4..]);
        assert_eq!(one.hash(), hash(one.expose()));
        assert!(
            one.expose()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        );
    }

    #[test]
    fn rubbish_is_no_token() {
        let good = Token::generate(TokenKind::SignIn).expect("random numbers");
        let good = good.expose();
        let bad = [
            "",
            "lst_",
            "lst",
            "lsx_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "lst_AAAA",
            &good[..46],
            &format!("{good}A"),
            &format!("{good}="),
            &good.replace("lst_", "LST_"),
            &format!("lst_{}", "é".repeat(22)),
            &"a".repeat(100_000),
        ]
        .map(TokenKind::of);
        assert_eq!(bad, [None; 11]);
    }

    #[test]
    fn the_bearer_is_read() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().expect("a header value"));
            }
            bearer(&headers).map(str::to_owned)
        };
        for good in ["Bearer lst_x", "bearer lst_x", "BEARER   lst_x "] {
            assert_eq!(read(&[good]).as_deref(), Some("lst_x"), "{good}");
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic lst_x",
            "lst_x",
            "Bearerlst_x",
        ] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Bearer a", "Bearer b"]), None);
    }

    #[test]
    fn debug_shows_nothing() {
        let token = Token::generate(TokenKind::ApiKey).expect("random numbers");
        assert_eq!(format!("{token:?}"), "Token(ApiKey, …)");
    }
}
