//! Public keys of those who sign tokens for us: fetched or read, kept, and renewed when they change.
//!
//! A [`KeySet`] is a JSON Web Key Set (RFC 7517) from a URL or a file. It verifies signatures and knows nothing of
//! claims. An unknown `kid` loads it again, at most once in [`RELOAD_GAP`], so that new keys are found at once and
//! made-up ones cost nothing; [`KeySet::refresh`], called now and then, finds out which keys are gone.

mod parse;
mod source;
#[cfg(test)]
mod tests;

pub use source::KeySource;

use super::jwt::{MAX_BYTES, Rejected};
use crate::model::{Clock, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use parking_lot::RwLock;
use parse::PublicKey;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// A set is loaded at most once in this time, whatever is asked of it.
pub const RELOAD_GAP: Duration = Duration::from_secs(5);

/// How soon [`KeySet::refresh`] tries again after a failure, which is logged each time.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Keys that could not be confirmed for this long are trusted no more.
const KEEP_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The public keys of one issuer.
pub struct KeySet {
    source: KeySource,
    clock: Clock,
    state: RwLock<State>,
    /// Rises whenever the keys become other ones.
    generation: AtomicU64,
    /// Held by the one who loads.
    loading: Mutex<()>,
}

#[derive(Default)]
struct State {
    keys: Arc<[PublicKey]>,
    loaded_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
    /// The last try did not come to a good end.
    failed: bool,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl KeySet {
    /// Nothing is loaded until a key is looked for.
    pub fn new(source: KeySource, clock: Clock) -> Self {
        Self {
            source,
            clock,
            state: RwLock::default(),
            generation: AtomicU64::new(0),
            loading: Mutex::new(()),
        }
    }

    /// Whether they are read from a file.
    pub fn is_file(&self) -> bool {
        matches!(self.source, KeySource::File(_))
    }

    /// Which keys these are: what was verified under another generation is to be verified again.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The claims of `token`, when one of these keys has signed it with the algorithm that is the key's own. Nothing
    /// else is looked at, neither times nor audience.
    ///
    /// # Errors
    /// Not signed so; or the keys cannot be had now.
    pub async fn verify<T: DeserializeOwned>(&self, token: &str) -> Result<T, Rejected> {
        if token.len() > MAX_BYTES {
            return Err(Rejected::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Rejected::Invalid)?;
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(Rejected::Invalid);
        }
        let signer = Signer {
            kid: header.kid.as_deref(),
            algorithm: header.alg,
        };
        let mut keys = self.keys();
        if !signer.is_in(&keys) {
            self.load().await;
            keys = self.keys();
        }
        if !signer.is_in(&keys) {
            return Err(if self.state.read().failed {
                Rejected::KeysOutOfReach
            } else {
                Rejected::Invalid
            });
        }
        keys.iter()
            .filter(|key| signer.is(key))
            .find_map(|key| signed_by(token, &key.key, key.algorithm))
            .ok_or(Rejected::Invalid)
    }

    /// Loads the keys again when they are older than the source says is good. For a task that comes by now and then;
    /// a set that was never needed is left alone unless `eager`.
    pub async fn refresh(&self, eager: bool) {
        if self.is_due(eager) {
            self.load().await;
        }
        let mut state = self.state.write();
        let too_old = |at: Timestamp| self.clock.now().since(at) >= KEEP_FOR;
        if state.loaded_at.is_some_and(too_old) && !state.keys.is_empty() {
            tracing::error!(source = %self.source, "the public keys could not be confirmed for a day and are dropped");
            state.keys = Arc::default();
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn is_due(&self, eager: bool) -> bool {
        let state = self.state.read();
        let fresh_for = self.source.fresh_for();
        let wait = if state.failed {
            fresh_for.min(RETRY_AFTER)
        } else {
            fresh_for
        };
        state
            .tried_at
            .map_or(eager, |at| self.clock.now().since(at) >= wait)
    }

    /// Loads the keys now.
    ///
    /// # Errors
    /// Why they cannot be had, in words for the administrator.
    pub async fn load_now(&self) -> Result<(), String> {
        let _one = self.loading.lock().await;
        self.load_locked().await
    }

    fn keys(&self) -> Arc<[PublicKey]> {
        self.state.read().keys.clone()
    }

    /// Loads the keys, unless somebody has just tried. Those who come meanwhile wait for the one try.
    async fn load(&self) {
        let _one = self.loading.lock().await;
        let now = self.clock.now();
        let is_recent = |at: Timestamp| at <= now && now.since(at) < RELOAD_GAP;
        if self.state.read().tried_at.is_some_and(is_recent) {
            return;
        }
        if let Err(why) = self.load_locked().await {
            tracing::warn!(source = %self.source, %why, "public keys could not be loaded");
        }
    }

    async fn load_locked(&self) -> Result<(), String> {
        {
            // Also when this future is dropped half-way it was a try.
            let mut state = self.state.write();
            state.tried_at = Some(self.clock.now());
            state.failed = true;
        }
        let loaded = match self.source.load().await {
            Ok(text) => parse::keys(&text),
            Err(why) => Err(why),
        };
        let mut state = self.state.write();
        let now = self.clock.now();
        // The gap begins when the try has ended, however long it took: those who waited for it must not try in turn.
        state.tried_at = Some(now);
        let keys: Arc<[PublicKey]> = loaded?.into();
        state.failed = false;
        state.loaded_at = Some(now);
        if state.keys != keys {
            state.keys = keys;
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// Who is said to have signed a token.
struct Signer<'a> {
    kid: Option<&'a str>,
    algorithm: Algorithm,
}

impl Signer<'_> {
    /// Whether `key` may be theirs. A token without a `kid` may be by any key of its algorithm.
    fn is(&self, key: &PublicKey) -> bool {
        key.algorithm == self.algorithm
            && self.kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
    }

    fn is_in(&self, keys: &[PublicKey]) -> bool {
        keys.iter().any(|key| self.is(key))
    }
}

/// The claims of `token` if `key` signed it with `algorithm`; times and audience are for the caller, who has a clock
/// that a test can hold.
pub(super) fn signed_by<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Option<T> {
    let mut signature_only = Validation::new(algorithm);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_nbf = false;
    signature_only.validate_aud = false;
    let TokenData { header, claims, .. } =
        jsonwebtoken::decode::<T>(token, key, &signature_only).ok()?;
    // RFC 7515, section 4.1.11: an extension that must be understood, and is not.
    header.crit.is_none().then_some(claims)
}
