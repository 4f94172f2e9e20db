//! Tokens of the host application: JSON Web Tokens (RFC 7519), HS256, RS256 or ES256 (RFC 7518, section 3).
//!
//! Checks the signature, the times and, where that is set, issuer and audience, and reads the claims; which user a
//! `sub` is, is [`super::Auth`]'s to find.
//!
//! The algorithm is the key's, never the header's: a [`Verifier`] has either a secret, for HS256 alone, or public
//! keys, each for its own algorithm, so that neither `none` nor a public key taken for a secret gets past it.

use super::keys::{KeySet, signed_by};
use super::token::TokenHash;
use crate::model::{Secret, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey};
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How far the host's clock and ours may be apart.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// The longest token that is looked at, in bytes.
pub const MAX_BYTES: usize = 8 * 1024;

/// The longest `sub` that can be a user's, in bytes.
const MAX_SUB_BYTES: usize = 255;

/// The fewest bytes of an HS256 secret (RFC 7518, section 3.2); a shorter one works but deserves a warning.
pub const MIN_SECRET_BYTES: usize = 32;

/// Why a token is not accepted; for a debug log, the client learns only that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Not a JWT, another algorithm, a wrong signature, a claim missing or of the wrong type.
    #[error("no valid token of the host application")]
    Invalid,
    /// `exp` has passed, leeway included.
    #[error("expired")]
    Expired,
    /// `nbf` has not come, leeway included.
    #[error("not valid yet")]
    Early,
    /// `iss` is another one.
    #[error("of another issuer")]
    Issuer,
    /// `aud` does not name us, or names others beside us.
    #[error("for another audience")]
    Audience,
    /// `nonce` is another one, or is on one side only.
    #[error("with another nonce")]
    Nonce,
    /// The keys that would tell cannot be had now.
    #[error("the public keys are out of reach")]
    KeysOutOfReach,
}

/// The claims of a verified token.
#[derive(Clone, PartialEq)]
pub struct Claims {
    /// `sub`: the user, in the host application's words.
    pub sub: String,
    /// `role` is `admin`.
    pub admin: bool,
    /// `username`, for creating the user.
    pub username: Option<String>,
    /// `exp`, without leeway.
    pub expires_at: Timestamp,
    /// `nbf`, without leeway.
    pub not_before: Option<Timestamp>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// Which sign-in at the host this is, as far as the token says: from `sid`, else `jti`, else the token itself.
    pub sign_in: Arc<str>,
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `sign_in` may be made of a `jti` or `sid` that the host takes for a secret.
        f.debug_struct("Claims")
            .field("sub", &self.sub)
            .field("admin", &self.admin)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Claims {
    /// Until when the token is accepted: `exp` and the leeway.
    pub fn accepted_until(&self) -> Timestamp {
        self.expires_at.plus(LEEWAY)
    }

    /// Whether the token is accepted at `now`.
    ///
    /// # Errors
    /// Expired, or not valid yet.
    pub fn check_times(&self, now: Timestamp) -> Result<(), Rejected> {
        check_times(self.expires_at, self.not_before, now)
    }
}

/// Whether a token with this `exp` and `nbf` is accepted at `now`, leeway included.
pub(super) fn check_times(
    expires_at: Timestamp,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Rejected> {
    if now >= expires_at.plus(LEEWAY) {
        return Err(Rejected::Expired);
    }
    if not_before.is_some_and(|at| at > now.plus(LEEWAY)) {
        return Err(Rejected::Early);
    }
    Ok(())
}

/// `aud` as it may be written (RFC 7519, section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum AudienceClaim {
    One(String),
    Many(Vec<String>),
}

impl AudienceClaim {
    /// All of them.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// The claims as they come. Unknown ones are ignored; one that comes twice is refused by the parser.
#[derive(Deserialize)]
struct RawClaims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<Value>,
    role: Option<Value>,
    username: Option<Value>,
    sid: Option<Value>,
    jti: Option<Value>,
    iss: Option<Value>,
    aud: Option<Value>,
}

impl RawClaims {
    fn check(self, hash: &TokenHash) -> Result<Claims, Rejected> {
        if self.sub.is_empty() || self.sub.len() > MAX_SUB_BYTES || self.sub.contains('\0') {
            return Err(Rejected::Invalid);
        }
        let sign_in = id_text("sid", self.sid)
            .or_else(|| id_text("jti", self.jti))
            .unwrap_or_else(|| format!("jwt:{}", hex(&hash[..16])));
        Ok(Claims {
            sub: self.sub,
            admin: self.role.as_ref().and_then(Value::as_str) == Some("admin"),
            username: match self.username {
                Some(Value::String(name)) => Some(name),
                _ => None,
            },
            expires_at: numeric_date(self.exp),
            not_before: self.nbf.map(numeric_date),
            issued_at: self.iat.as_ref().and_then(Value::as_f64).map(numeric_date),
            sign_in: sign_in.into(),
        })
    }
}

/// A `NumericDate`: seconds, possibly with a fraction. Beyond what a [`Timestamp`] holds it stays at the end.
pub(super) fn numeric_date(seconds: f64) -> Timestamp {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from float saturates, which is what is wanted"
    )]
    Timestamp::from_millis((seconds * 1000.0) as i64)
}

/// A `sid` or `jti` as a short text, whatever its length; hashed, since it ends up in sessions as a device.
fn id_text(claim: &str, value: Option<Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) if !text.is_empty() => text,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(format!("{claim}:{}", hex(&super::token::hash(&text)[..16])))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What tokens are verified with, and what they must say.
#[derive(Clone, Debug)]
pub struct Verifier {
    key: Key,
    rules: Rules,
}

/// What beside signature and times a token must have.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Its `iss`; without, any or none.
    pub issuer: Option<String>,
    /// One of these must be in its `aud`; without, any or none.
    pub audiences: Vec<String>,
}

impl Rules {
    fn check(&self, claims: &RawClaims) -> Result<(), Rejected> {
        if let Some(issuer) = &self.issuer
            && claims.iss.as_ref().and_then(Value::as_str) != Some(issuer)
        {
            return Err(Rejected::Issuer);
        }
        if self.audiences.is_empty() {
            return Ok(());
        }
        let named = claims.aud.as_ref().map(AudienceClaim::deserialize);
        match named {
            Some(Ok(named))
                if named
                    .names()
                    .iter()
                    .any(|name| self.audiences.contains(name)) =>
            {
                Ok(())
            }
            _ => Err(Rejected::Audience),
        }
    }
}

#[derive(Clone)]
enum Key {
    /// HS256.
    Secret(Arc<DecodingKey>),
    /// RS256 and ES256.
    Public(Arc<KeySet>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret(…)"),
            Self::Public(keys) => keys.fmt(f),
        }
    }
}

impl Verifier {
    /// Accepts HS256 with `secret`, and nothing else.
    pub fn from_secret(secret: &Secret, rules: Rules) -> Self {
        let key = DecodingKey::from_secret(secret.expose().as_bytes());
        Self {
            key: Key::Secret(Arc::new(key)),
            rules,
        }
    }

    /// Accepts RS256 and ES256 with one of `keys`, and nothing else.
    pub fn from_keys(keys: Arc<KeySet>, rules: Rules) -> Self {
        Self {
            key: Key::Public(keys),
            rules,
        }
    }

    /// Rises when tokens have to be verified again, since the keys became other ones.
    fn generation(&self) -> u64 {
        match &self.key {
            Key::Secret(_) => 0,
            Key::Public(keys) => keys.generation(),
        }
    }

    /// The claims of `token`, whose hash is `hash`, when it is signed with our key and in time at `now`.
    ///
    /// # Errors
    /// It is not, or the keys cannot be had.
    pub async fn verify(
        &self,
        token: &str,
        hash: &TokenHash,
        now: Timestamp,
    ) -> Result<Claims, Rejected> {
        if token.len() > MAX_BYTES {
            return Err(Rejected::Invalid);
        }
        let raw: RawClaims = match &self.key {
            Key::Secret(key) => signed_by(token, key, Algorithm::HS256).ok_or(Rejected::Invalid)?,
            Key::Public(keys) => keys.verify(token).await?,
        };
        self.rules.check(&raw)?;
        let claims = raw.check(hash)?;
        claims.check_times(now)?;
        Ok(claims)
    }
}

/// A [`Verifier`] that remembers what it has verified: at most `capacity` tokens, the times checked at each use.
///
/// What depends on the token and the key alone never changes, so nothing need be invalidated until the keys become
/// other ones. Refusals are not remembered.
#[derive(Debug)]
pub struct CachedVerifier {
    verifier: Verifier,
    seen: Cache<TokenHash, (Arc<Claims>, u64)>,
}

impl CachedVerifier {
    /// With room for `capacity` tokens.
    pub fn new(verifier: Verifier, capacity: usize) -> Self {
        Self {
            verifier,
            seen: Cache::new(capacity),
        }
    }

    /// As [`Verifier::verify`].
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, Rejected> {
        if token.len() > MAX_BYTES {
            return Err(Rejected::Invalid);
        }
        let hash = super::token::hash(token);
        // Read before the keys are used, so that what they become meanwhile counts.
        let generation = self.verifier.generation();
        if let Some((claims, under)) = self.seen.get(&hash)
            && under == generation
        {
            return claims.check_times(now).map(|()| claims);
        }
        let claims = Arc::new(self.verifier.verify(token, &hash, now).await?);
        self.seen.insert(hash, (claims.clone(), generation));
        Ok(claims)
    }
}

#[cfg(test)]
mod tests;
