//! From a bearer token to an identity, through caches.
//!
//! Revocation is the caches' care (see [`super::cache`]); expiry is checked here, at each use.

use super::cache::{OfUser, UserCache};
use super::epochs::Epochs;
use super::identity::Proof;
use super::jwt::{CachedVerifier, Claims, Rejected, Verifier};
use super::keys::KeySet;
use super::token::{TokenHash, TokenKind};
use super::{Auth, HostKey, Identity, MAX_BEARER_BYTES, Settings, names, store_error};
use crate::error::{Error, Result};
use crate::model::{
    Clock, Credential, JwtSub, MAX_USER_ID, Principal, ProfileFields, Role, UserId, UserIdentity,
    Username,
};
use crate::store::{ApiKey, NewUser, SignIn, StoreError};
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is needed of a user whom a host's token names.
struct HostUser {
    id: UserId,
    username: Username,
    role: Role,
}

impl OfUser for HostUser {
    fn user(&self) -> UserId {
        self.id
    }
}

impl OfUser for SignIn {
    fn user(&self) -> UserId {
        self.user_id
    }
}

pub(super) struct Caches {
    pub(super) epochs: Epochs,
    sign_ins: UserCache<TokenHash, SignIn>,
    /// The number of times that keys were forgotten.
    key_epoch: AtomicU64,
    keys: Cache<TokenHash, Arc<(ApiKey, u64)>>,
    host_users: UserCache<String, HostUser>,
    jwt: Option<CachedVerifier>,
    pub(super) host_keys: Option<Arc<KeySet>>,
}

impl Caches {
    pub(super) fn new(settings: &Settings, clock: &Clock) -> Self {
        let capacity = settings.cache_capacity;
        let rules = settings.host_rules.clone();
        let (verifier, host_keys) = match &settings.host_key {
            None => (None, None),
            Some(HostKey::Secret(secret)) => (Some(Verifier::from_secret(secret, rules)), None),
            Some(HostKey::Public(source)) => {
                let keys = Arc::new(KeySet::new(source.clone(), clock.clone()));
                (Some(Verifier::from_keys(keys.clone(), rules)), Some(keys))
            }
        };
        Self {
            epochs: Epochs::default(),
            sign_ins: UserCache::new(capacity),
            key_epoch: AtomicU64::new(0),
            keys: Cache::new(capacity.min(1024)),
            host_users: UserCache::new(capacity),
            jwt: verifier.map(|verifier| CachedVerifier::new(verifier, capacity)),
            host_keys,
        }
    }

    pub(super) fn forget_keys(&self) {
        self.key_epoch.fetch_add(1, Ordering::SeqCst);
    }
}

impl Auth {
    /// Who presents `bearer`: an opaque token, an API key or a token of the host application.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it is not, or no longer, accepted; [`Error::Unavailable`] when the store cannot
    /// answer.
    pub async fn authenticate(&self, bearer: &str) -> Result<Identity> {
        if bearer.len() > MAX_BEARER_BYTES {
            return Err(Error::Unauthorized);
        }
        let proof = match TokenKind::of(bearer) {
            Some(TokenKind::SignIn) => Proof::SignIn(super::token::hash(bearer)),
            Some(TokenKind::ApiKey) => Proof::Key(super::token::hash(bearer)),
            None => {
                let verifier = self.0.caches.jwt.as_ref().ok_or(Error::Unauthorized)?;
                let verified = verifier.verify(bearer, self.0.clock.now()).await;
                Proof::Jwt(verified.map_err(|why| {
                    tracing::debug!(%why, "a bearer token was not accepted");
                    match why {
                        Rejected::KeysOutOfReach => Error::Unavailable,
                        _ => Error::Unauthorized,
                    }
                })?)
            }
        };
        self.identify(proof).await
    }

    /// The same identity as it is now, for an open connection after its user or its sign-ins have changed: name
    /// and role may be other ones.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when its credential was revoked or has expired or its user is gone;
    /// [`Error::Unavailable`] when the store cannot answer.
    pub async fn renew(&self, identity: &Identity) -> Result<Identity> {
        let renewed = self.identify(identity.proof.clone()).await?;
        let same = match (&identity.principal, &renewed.principal) {
            (Principal::User(then), Principal::User(now)) => then.id == now.id,
            (Principal::Key { id: then, .. }, Principal::Key { id: now, .. }) => then == now,
            _ => false,
        };
        // An external id may have been given to another user meanwhile.
        if same {
            Ok(renewed)
        } else {
            Err(Error::Unauthorized)
        }
    }

    async fn identify(&self, proof: Proof) -> Result<Identity> {
        match proof {
            Proof::SignIn(hash) => self.by_sign_in(hash).await,
            Proof::Key(hash) => self.by_key(hash).await,
            Proof::Jwt(claims) => self.by_claims(claims).await,
        }
    }

    async fn by_sign_in(&self, hash: TokenHash) -> Result<Identity> {
        let caches = &self.0.caches;
        let look_up = self.0.store.sign_in_by_hash(hash);
        let found = caches.sign_ins.get(&caches.epochs, &hash, look_up).await;
        let sign_in = found.map_err(store_error)?.ok_or(Error::Unauthorized)?;
        if self.0.clock.now() >= sign_in.expires_at {
            caches.sign_ins.remove(&hash);
            return Err(Error::Unauthorized);
        }
        Ok(Identity {
            principal: Principal::User(UserIdentity {
                id: sign_in.user_id,
                username: sign_in.username.clone(),
                role: sign_in.role,
                credential: Credential::SignIn(sign_in.id),
            }),
            expires_at: Some(sign_in.expires_at),
            proof: Proof::SignIn(hash),
        })
    }

    async fn by_key(&self, hash: TokenHash) -> Result<Identity> {
        let caches = &self.0.caches;
        let epoch = caches.key_epoch.load(Ordering::SeqCst);
        let cached = caches.keys.get(&hash).filter(|seen| seen.1 == epoch);
        let seen = match cached {
            Some(seen) => seen,
            None => {
                let found = self
                    .0
                    .store
                    .api_key_by_hash(hash)
                    .await
                    .map_err(store_error)?;
                let Some(key) = found else {
                    caches.keys.remove(&hash);
                    return Err(Error::Unauthorized);
                };
                let seen = Arc::new((key, epoch));
                caches.keys.insert(hash, seen.clone());
                seen
            }
        };
        Ok(Identity {
            principal: Principal::Key {
                id: seen.0.id,
                role: seen.0.role,
            },
            expires_at: None,
            proof: Proof::Key(hash),
        })
    }

    async fn by_claims(&self, claims: Arc<Claims>) -> Result<Identity> {
        claims
            .check_times(self.0.clock.now())
            .map_err(|_| Error::Unauthorized)?;
        let user = self.host_user(&claims).await?;
        let role = if claims.admin { Role::Admin } else { user.role };
        Ok(Identity {
            principal: Principal::User(UserIdentity {
                id: user.id,
                username: user.username.clone(),
                role,
                credential: Credential::Jwt {
                    key: claims.sign_in.clone(),
                },
            }),
            expires_at: Some(claims.accepted_until()),
            proof: Proof::Jwt(claims),
        })
    }

    /// The user whom `claims` name, made now where that is wanted.
    async fn host_user(&self, claims: &Claims) -> Result<Arc<HostUser>> {
        if let Some(user) = self.known_host_user(&claims.sub).await? {
            return Ok(user);
        }
        if !self.0.settings.provision {
            return Err(Error::Unauthorized);
        }
        self.provision(claims).await?;
        let made = self.known_host_user(&claims.sub).await?;
        made.ok_or(Error::Unauthorized)
    }

    async fn known_host_user(&self, sub: &str) -> Result<Option<Arc<HostUser>>> {
        let caches = &self.0.caches;
        let look_up = async {
            let found = match self.0.settings.jwt_sub {
                JwtSub::ExternalId => self.0.store.user_by_external_id(sub).await?,
                JwtSub::Id => match canonical_id(sub) {
                    Some(id) => self.0.store.user(id).await?,
                    None => None,
                },
            };
            Ok(found.map(|user| HostUser {
                id: user.id,
                username: user.username,
                role: user.role,
            }))
        };
        let found = caches.host_users.get(&caches.epochs, sub, look_up).await;
        found.map_err(store_error)
    }

    /// Creates the user of `claims`, under the name that they give as far as it can be had: a name that is taken is
    /// another's, whoever that may be, and gets digits.
    async fn provision(&self, claims: &Claims) -> Result<()> {
        let (id, external_id) = match self.0.settings.jwt_sub {
            JwtSub::ExternalId => (None, Some(claims.sub.clone())),
            JwtSub::Id => match canonical_id(&claims.sub) {
                Some(id) if (1..=MAX_USER_ID).contains(&id.0) => (Some(id), None),
                _ => return Err(Error::Unauthorized),
            },
        };
        let given = claims.username.as_deref().unwrap_or_default();
        let (username, other_names) = match Username::new(given) {
            Ok(name) => names::preferred(&name),
            Err(_) => names::derived(given),
        };
        let user = NewUser {
            id,
            external_id,
            username,
            password_hash: None,
            profile: ProfileFields::default(),
            role: Role::User,
            created_at: self.0.clock.now(),
        };
        match self.0.store.create_named_user(user, other_names).await {
            // Another request of theirs was quicker.
            Ok(_) | Err(StoreError::Conflict("id" | "externalId")) => Ok(()),
            Err(error) => Err(store_error(error)),
        }
    }
}

/// The user id that `sub` writes in its one plain form: neither `007` nor `+7` is 7.
fn canonical_id(sub: &str) -> Option<UserId> {
    let id: i64 = sub.parse().ok()?;
    (id.to_string() == sub).then_some(UserId(id))
}

#[cfg(test)]
mod tests {
    use super::canonical_id;
    use crate::model::UserId;

    #[test]
    fn one_text_is_one_id() {
        assert_eq!(canonical_id("7"), Some(UserId(7)));
        for other in [
            "",
            "007",
            "+7",
            " 7",
            "7.0",
            "0x7",
            "-0",
            "9223372036854775808",
        ] {
            assert_eq!(canonical_id(other), None, "{other}");
        }
    }
}
