//! Who is asking: sign-up and sign-in by password or by a provider's ID token, opaque tokens, API keys, tokens of the
//! host application.
//!
//! [`Auth`] turns a bearer token into an [`Identity`] and takes care that one which was revoked is never accepted
//! from a cache afterwards. It does not end connections or sessions (`presence` does, told by whoever revoked),
//! does not log `login` and `logout` (`activity` does) and knows no HTTP.
//!
//! | part | holds |
//! | --- | --- |
//! | [`password`] | Argon2id, and how many are hashed at once |
//! | [`token`] | opaque tokens and secrets |
//! | [`jwt`] | tokens of the host application |
//! | [`social`] | ID tokens of Google and Apple |
//! | [`keys`] | the public keys of those who sign tokens |
//! | [`attempts`] | how often signing in may fail |
//! | [`window`] | sliding windows, also for other limits |
//! | [`client`] | address and device behind a request |

pub mod attempts;
mod cache;
pub mod client;
mod epochs;
pub mod geo;
mod identity;
pub mod jwt;
pub mod keys;
mod lookup;
mod names;
pub mod password;
#[cfg(test)]
#[path = "../tests/integration/harness/signer.rs"]
mod signer;
mod signing;
pub mod social;
#[cfg(test)]
mod tests;
pub mod token;
pub mod window;

pub use identity::{HostKey, Identity, NewAccount, Settings, SignedIn};

use crate::error::{Error, Result};
use crate::model::{Clock, SignInId, Timestamp, UserId};
use crate::store::{Change, Store, StoreError};
use attempts::Attempts;
use lookup::Caches;
use password::Hasher;
use social::Providers;
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Most of a presented token that is looked at, in bytes.
const MAX_BEARER_BYTES: usize = jwt::MAX_BYTES;

/// The services of this module. Cheap to clone; all clones share caches and limits.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    settings: Settings,
    hasher: Hasher,
    attempts: Attempts,
    caches: Caches,
    providers: Providers,
    /// Keys the hashes of known addresses; read from the store on first use.
    address_key: OnceCell<[u8; 32]>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(…)")
    }
}

impl Auth {
    /// The services on `store`, reading the time from `clock`.
    pub fn new(store: Store, clock: Clock, settings: Settings) -> Self {
        let caches = Caches::new(&settings, &clock);
        let providers = Providers::new(&settings.social, &clock);
        Self(Arc::new(Inner {
            store,
            clock,
            settings,
            hasher: Hasher::default(),
            attempts: Attempts::default(),
            caches,
            providers,
            address_key: OnceCell::new(),
        }))
    }

    /// Hashes passwords off the async threads, bounded together with sign-ins; for changing a password.
    pub fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    /// Revokes one sign-in of `user`; when it was made. Ending its connections is the presence service's.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the user has no such live sign-in, and what the store says.
    pub async fn sign_out(&self, user: UserId, sign_in: SignInId) -> Result<Timestamp> {
        let revoked = self.0.store.revoke_sign_in(user, sign_in).await;
        // Also after an error: whatever the store did, the cache must not know better.
        self.forget_sign_in(user, sign_in);
        let made = revoked.map_err(store_error)?;
        made.ok_or(Error::NotFound("sign-in"))
    }

    /// Revokes every sign-in of `user`; those that were live. Tokens of the host application are the host's to
    /// revoke and are not touched.
    ///
    /// # Errors
    /// What the store says.
    pub async fn revoke_all(&self, user: UserId) -> Result<Vec<SignInId>> {
        let revoked = self.0.store.revoke_sign_ins(user).await;
        self.forget_user(user);
        revoked.map_err(store_error)
    }

    /// To be called after any committed change to a user (name, role, external id, erasure, sign-ins revoked),
    /// be it ours or another process's: nothing cached about them before is used any more.
    pub fn forget_user(&self, user: UserId) {
        self.0.caches.epochs.invalidate(user);
    }

    /// The same after one sign-in was revoked.
    pub fn forget_sign_in(&self, user: UserId, _sign_in: SignInId) {
        // All of the user's are looked up once more; finding the one would cost more than that.
        self.0.caches.epochs.invalidate(user);
    }

    /// The same after many users changed at once.
    pub fn forget_users(&self) {
        self.0.caches.epochs.invalidate_everyone();
    }

    /// The same after an API key was revoked.
    pub fn forget_keys(&self) {
        self.0.caches.forget_keys();
    }

    /// Forgets what another process's `change` makes stale.
    pub fn heed(&self, change: &Change) {
        match change {
            Change::User(user) | Change::UserErased(user) | Change::SignIns(user) => {
                self.forget_user(*user);
            }
            Change::Graph => self.forget_users(),
            Change::Keys => self.forget_keys(),
        }
    }
}

/// Which error of a service one of the store is.
fn store_error(error: StoreError) -> Error {
    match error {
        StoreError::Unavailable(_) => Error::Unavailable,
        StoreError::Conflict(field) => Error::Conflict {
            field,
            message: "is already taken".into(),
        },
        StoreError::Forbidden => Error::forbidden("not allowed"),
        StoreError::NoSuchUser => Error::NotFound("user"),
        other => Error::internal(other),
    }
}
