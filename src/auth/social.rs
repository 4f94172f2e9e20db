//! Social sign-in: ID tokens of Google and Apple (OpenID Connect Core 1.0, section 3.1.3.7).
//!
//! A person is the pair of provider and `sub`. Nothing is ever linked by e-mail address: whoever can receive mail at
//! an address today need not be who made the account.

use super::attempts::{Account, Origin};
use super::jwt::{AudienceClaim, Rejected, check_times, numeric_date};
use super::keys::{KeySet, KeySource};
use super::{Auth, SignedIn, names, store_error};
use crate::error::{Error, Result};
use crate::model::*;
use crate::store::{NewUser, StoreError, Unlinked};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The most bytes of a `sub`.
const MAX_SUB_BYTES: usize = 255;

/// The providers that are set up.
#[derive(Clone, Debug, Default)]
pub struct SocialSettings {
    /// Google.
    pub google: Option<ProviderSettings>,
    /// Apple.
    pub apple: Option<ProviderSettings>,
}

/// What a provider's tokens are checked against.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// The ids of our apps at the provider; one of them is the audience.
    pub client_ids: Vec<String>,
    /// Where the provider's public keys are.
    pub keys: KeysUrl,
}

/// A sign-in with an ID token. `Debug` does not show it.
#[derive(Clone)]
pub struct SocialSignIn {
    /// Who made the token.
    pub provider: Provider,
    /// The token.
    pub id_token: String,
    /// What the app had put into its request for the token, if anything.
    pub nonce: Option<String>,
    /// The name that a new user is to have.
    pub username: Option<String>,
    /// The signed-in user whom the identity is to be linked to.
    pub link_to: Option<UserId>,
}

impl fmt::Debug for SocialSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocialSignIn({})", self.provider)
    }
}

/// The providers and their keys.
#[derive(Debug)]
pub(super) struct Providers {
    google: Option<Verifier>,
    apple: Option<Verifier>,
}

#[derive(Debug)]
struct Verifier {
    client_ids: Vec<String>,
    issuers: &'static [&'static str],
    keys: KeySet,
}

impl Providers {
    pub(super) fn new(settings: &SocialSettings, clock: &Clock) -> Self {
        let verifier = |provider: &Option<ProviderSettings>, issuers| {
            provider.as_ref().map(|provider| Verifier {
                client_ids: provider.client_ids.clone(),
                issuers,
                keys: KeySet::new(KeySource::Url(provider.keys.clone()), clock.clone()),
            })
        };
        Self {
            // Google's tokens have either form.
            google: verifier(
                &settings.google,
                &["https://accounts.google.com", "accounts.google.com"],
            ),
            apple: verifier(&settings.apple, &["https://appleid.apple.com"]),
        }
    }

    /// Renews the keys of those whose keys were needed before.
    pub(super) async fn refresh(&self) {
        for verifier in [&self.google, &self.apple].into_iter().flatten() {
            verifier.keys.refresh(false).await;
        }
    }

    fn verifier(&self, provider: Provider) -> Option<&Verifier> {
        match provider {
            Provider::Google => self.google.as_ref(),
            Provider::Apple => self.apple.as_ref(),
        }
    }
}

/// What an ID token says. Of what only describes a person, whatever is no text is passed over.
#[derive(Deserialize)]
struct IdToken {
    iss: String,
    sub: String,
    aud: AudienceClaim,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    nonce: Option<Value>,
    email: Option<Value>,
    email_verified: Option<Value>,
    name: Option<Value>,
    picture: Option<Value>,
}

impl Verifier {
    async fn verify(
        &self,
        token: &str,
        nonce: Option<&str>,
        now: Timestamp,
    ) -> Result<IdToken, Rejected> {
        let read: IdToken = self.keys.verify(token).await?;
        if !self.issuers.contains(&read.iss.as_str()) {
            return Err(Rejected::Issuer);
        }
        // Each must be ours: a token that others may use too could have been given to them.
        let audiences = read.aud.names();
        if audiences.is_empty() || !audiences.iter().all(|name| self.client_ids.contains(name)) {
            return Err(Rejected::Audience);
        }
        // One that is made in the future is as early as one that is not valid before it.
        let not_before = [read.nbf, read.iat]
            .into_iter()
            .flatten()
            .map(numeric_date)
            .max();
        check_times(numeric_date(read.exp), not_before, now)?;
        let same_nonce = match (&read.nonce, nonce) {
            (None, None) => true,
            (Some(Value::String(signed)), Some(given)) => signed == given,
            _ => false,
        };
        if !same_nonce {
            return Err(Rejected::Nonce);
        }
        if read.sub.is_empty() || read.sub.len() > MAX_SUB_BYTES || read.sub.contains('\0') {
            return Err(Rejected::Invalid);
        }
        Ok(read)
    }
}

impl IdToken {
    /// What of it a new profile can take over. An address only when the provider says that it is theirs.
    fn profile(&self) -> ProfileFields {
        let text = |claim: &Option<Value>| claim.as_ref()?.as_str().map(str::to_owned);
        let is_verified = match &self.email_verified {
            Some(Value::Bool(is_verified)) => *is_verified,
            // Apple writes it as a text.
            Some(Value::String(word)) => word == "true",
            _ => false,
        };
        let mut profile = ProfileFields::default();
        let mut take = |fields: ProfileFields, set: fn(&mut ProfileFields, ProfileFields)| {
            if fields.check().is_ok() {
                set(&mut profile, fields);
            }
        };
        let empty = ProfileFields::default;
        take(
            ProfileFields {
                display_name: text(&self.name),
                ..empty()
            },
            |to, from| to.display_name = from.display_name,
        );
        take(
            ProfileFields {
                profile_picture_url: text(&self.picture),
                ..empty()
            },
            |to, from| to.profile_picture_url = from.profile_picture_url,
        );
        take(
            ProfileFields {
                email: text(&self.email).filter(|_| is_verified),
                ..empty()
            },
            |to, from| to.email = from.email,
        );
        profile
    }
}

impl Auth {
    /// Signs in with an ID token; also whether that created the user. A token that is not accepted counts as a failed
    /// attempt of `address`.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a provider that is not set up; [`Error::WrongIdToken`]; [`Error::Conflict`] when the
    /// identity is another user's than `link_to`, or the wanted name is taken; [`Error::Invalid`] for a wrong or
    /// reserved name; [`Error::Forbidden`] where accounts are the host application's to create;
    /// [`Error::RateLimited`]; [`Error::Unavailable`] when keys or store are out of reach.
    pub async fn sign_in_socially(
        &self,
        request: SocialSignIn,
        from: &ClientInfo,
        address: IpAddr,
    ) -> Result<(SignedIn, bool)> {
        let provider = request.provider;
        let verifier = self.0.providers.verifier(provider).ok_or_else(|| {
            Error::BadRequest(format!("provider {provider} is not set up on this server"))
        })?;
        let wanted = request.username.as_deref().map(Username::new).transpose()?;
        if wanted.as_ref().is_some_and(Username::is_reserved) {
            return Err(Error::invalid("username", "must not be a reserved name"));
        }
        let origin = Origin::from(address);
        let place = self.place_of(origin).await?;
        let now = self.0.clock.now();
        let verified = verifier.verify(&request.id_token, request.nonce.as_deref(), now);
        let token = match verified.await {
            Ok(token) => token,
            Err(Rejected::KeysOutOfReach) => return Err(Error::Unavailable),
            Err(why) => {
                place.failed(now);
                return Err(Error::WrongIdToken(why.to_string()));
            }
        };
        drop(place);
        let identity = SocialIdentity {
            provider,
            subject: token.sub.clone(),
        };
        let unlinked = self.unlinked(&token, request.link_to, wanted, now);
        let (opaque, new) = self.new_sign_in(from)?;
        let expires_at = new.expires_at;
        let signed_in = self
            .0
            .store
            .sign_in_by_identity(identity, unlinked, new)
            .await;
        let (sign_in, user, is_new) = signed_in.map_err(|error| match error {
            StoreError::Conflict("idToken") => Error::Conflict {
                field: "idToken",
                message: "is of somebody who is linked to another user".into(),
            },
            StoreError::Forbidden => {
                Error::forbidden("accounts are created by the host application")
            }
            // The user of the request's own token, erased since it was checked.
            StoreError::NoSuchUser => Error::Unauthorized,
            other => store_error(other),
        })?;
        self.remember(Account::of_user(user.id), origin, now).await;
        let signed_in = SignedIn {
            token: opaque,
            expires_at,
            sign_in,
            user,
        };
        Ok((signed_in, is_new))
    }

    fn unlinked(
        &self,
        token: &IdToken,
        link_to: Option<UserId>,
        wanted: Option<Username>,
        now: Timestamp,
    ) -> Unlinked {
        if let Some(user) = link_to {
            return Unlinked::LinkTo(user);
        }
        if self.0.settings.jwt_sub == JwtSub::Id {
            return Unlinked::Refuse;
        }
        let profile = token.profile();
        let (username, other_names) = match wanted {
            Some(name) => (name, Vec::new()),
            // Never from the address, which is nobody's business.
            None => names::derived(profile.display_name.as_deref().unwrap_or_default()),
        };
        Unlinked::Create {
            account: Box::new(NewUser {
                id: None,
                external_id: None,
                username,
                password_hash: None,
                profile,
                role: Role::User,
                created_at: now,
            }),
            other_names,
        }
    }

    /// The keys of host application and providers, looked at again; for a task that comes by every few seconds.
    pub async fn refresh_keys(&self) {
        if let Some(keys) = self.host_keys() {
            keys.refresh(true).await;
        }
        self.0.providers.refresh().await;
    }

    /// The public keys of the host application, where it signs with such.
    pub fn host_keys(&self) -> Option<&Arc<KeySet>> {
        self.0.caches.host_keys.as_ref()
    }
}
