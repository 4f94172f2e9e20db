//! Signing up and in by password.

use super::attempts::{Account, Attempt, Origin, Place, Refusal};
use super::token::{Token, TokenKind};
use super::{Auth, NewAccount, SignedIn, password, store_error};
use crate::error::{Error, Result};
use crate::model::*;
use crate::store::{NewSignIn, NewUser, StoreError};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long an address that signed in to an account stays known to it.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An account that may be created: checked, and its password hashed.
#[derive(Debug)]
pub struct PreparedAccount {
    username: Username,
    password_hash: String,
    profile: ProfileFields,
    origin: Origin,
    place: Place,
}

/// Somebody whose password was right.
#[derive(Clone, Copy, Debug)]
pub struct Proven {
    user: UserId,
    origin: Origin,
}

impl Auth {
    /// Creates an account and signs it in. Only a *taken* name or address counts as a failed attempt of `address`:
    /// it is the answer that tells about others' accounts. Wrong fields tell nothing and cost nothing.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where ids are the host application's to give; [`Error::Invalid`] for a wrong field or
    /// a reserved name; [`Error::Conflict`] when the name or address is taken; [`Error::RateLimited`];
    /// [`Error::Unavailable`] when the store or the hashing cannot take it now.
    pub async fn sign_up(
        &self,
        new_account: NewAccount,
        from: &ClientInfo,
        address: IpAddr,
    ) -> Result<SignedIn> {
        let prepared = self.prepare_account(new_account, address).await?;
        self.create_account(prepared, from).await
    }

    /// The first part of [`Auth::sign_up`]: what takes long and may be given up when the client goes away.
    ///
    /// # Errors
    /// As [`Auth::sign_up`], but for what is taken.
    pub async fn prepare_account(
        &self,
        new_account: NewAccount,
        address: IpAddr,
    ) -> Result<PreparedAccount> {
        if self.0.settings.jwt_sub == JwtSub::Id {
            return Err(Error::forbidden(
                "accounts are created by the host application",
            ));
        }
        let username = Username::new(&new_account.username)?;
        if username.is_reserved() {
            return Err(Error::invalid("username", "must not be a reserved name"));
        }
        password::check(&new_account.password)?;
        new_account.profile.check()?;

        let origin = Origin::from(address);
        let place = self.place_of(origin).await?;
        let password_hash = self.0.hasher.hash(&new_account.password).await?;
        Ok(PreparedAccount {
            username,
            password_hash,
            profile: new_account.profile,
            origin,
            place,
        })
    }

    /// The rest of [`Auth::sign_up`]: what is written.
    ///
    /// # Errors
    /// As [`Auth::sign_up`].
    pub async fn create_account(
        &self,
        prepared: PreparedAccount,
        from: &ClientInfo,
    ) -> Result<SignedIn> {
        let PreparedAccount {
            username,
            password_hash,
            profile,
            origin,
            place,
        } = prepared;
        // What can fail, fails before there is an account.
        let key = *self.address_key().await?;
        let (token, new) = self.new_sign_in(from)?;
        let (now, expires_at) = (new.created_at, new.expires_at);
        let account = NewUser {
            id: None,
            external_id: None,
            username,
            password_hash: Some(password_hash),
            profile,
            role: Role::User,
            created_at: now,
        };
        let (sign_in, user) = match self.0.store.create_account(account, new).await {
            Ok(created) => created,
            Err(error) => {
                if matches!(error, StoreError::Conflict(_)) {
                    place.failed(self.0.clock.now());
                }
                return Err(store_error(error));
            }
        };
        drop(place);
        let known = keyed_hash(&key, Account::of_user(user.id), origin);
        remembered(self.0.store.remember_address(known, now).await);
        Ok(SignedIn {
            token,
            expires_at,
            sign_in,
            user,
        })
    }

    /// Signs in with a username, or an e-mail address, and a password.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] for an unknown name and a wrong password alike, in like time;
    /// [`Error::RateLimited`] after too many failures, for right passwords too; [`Error::Unavailable`] when the
    /// store or the hashing cannot take it now.
    pub async fn sign_in(
        &self,
        login: &str,
        password: &str,
        from: &ClientInfo,
        address: IpAddr,
    ) -> Result<SignedIn> {
        let proven = self.prove(login, password, address).await?;
        self.sign_in_proven(proven, from).await
    }

    /// The first part of [`Auth::sign_in`]: what takes long and may be given up when the client goes away.
    ///
    /// # Errors
    /// As [`Auth::sign_in`].
    pub async fn prove(&self, login: &str, password: &str, address: IpAddr) -> Result<Proven> {
        let origin = Origin::from(address);
        let found = self.0.store.credentials(login).await.map_err(store_error)?;
        let (account, user, phc) = match found {
            Some(found) => (
                Account::of_user(found.user_id),
                Some(found.user_id),
                found.password_hash,
            ),
            None => (Account::of_unknown(login), None, None),
        };
        let place = self.place_at(account, origin).await?;
        let right = self.0.hasher.verify(password, phc).await?;
        let Some(user) = user.filter(|_| right) else {
            place.failed(self.0.clock.now());
            return Err(Error::WrongCredentials);
        };
        drop(place);
        Ok(Proven { user, origin })
    }

    /// The rest of [`Auth::sign_in`]: what is written.
    ///
    /// # Errors
    /// As [`Auth::sign_in`].
    pub async fn sign_in_proven(&self, proven: Proven, from: &ClientInfo) -> Result<SignedIn> {
        let Proven { user, origin } = proven;
        match self.begin_sign_in(user, from, origin).await {
            // Erased since the password was checked.
            Err(Error::NotFound(_)) => Err(Error::WrongCredentials),
            other => other,
        }
    }

    /// Stores a sign-in of `user`, whose credential was checked, and makes its token.
    async fn begin_sign_in(
        &self,
        user: UserId,
        from: &ClientInfo,
        origin: Origin,
    ) -> Result<SignedIn> {
        let known = self.known_address(Account::of_user(user), origin).await?;
        let (token, new) = self.new_sign_in(from)?;
        let (now, expires_at) = (new.created_at, new.expires_at);
        // Together, so that both go into one commit.
        let (signed_in, kept) = tokio::join!(
            self.0.store.create_sign_in(user, new),
            self.0.store.remember_address(known, now)
        );
        let (sign_in, user) = signed_in.map_err(store_error)?;
        remembered(kept);
        Ok(SignedIn {
            token,
            expires_at,
            sign_in,
            user,
        })
    }

    /// Remembers, as far as that can be done, that `origin` signed in to `account`.
    pub(super) async fn remember(&self, account: Account, origin: Origin, now: Timestamp) {
        match self.known_address(account, origin).await {
            Ok(known) => remembered(self.0.store.remember_address(known, now).await),
            Err(error) => {
                tracing::warn!(%error, "an address that signed in could not be remembered");
            }
        }
    }

    /// A token, and what the store is to know of it.
    pub(super) fn new_sign_in(&self, from: &ClientInfo) -> Result<(Token, NewSignIn)> {
        let token = Token::generate(TokenKind::SignIn)?;
        let now = self.0.clock.now();
        let new = NewSignIn {
            token_hash: token.hash(),
            created_at: now,
            expires_at: now.plus(self.0.settings.token_ttl),
            client: Arc::new(from.clone()),
        };
        Ok((token, new))
    }

    /// A place for an attempt to sign in to `account`. Unknown names take the same way as accounts.
    async fn place_at(&self, account: Account, origin: Origin) -> Result<Place> {
        let attempt = Attempt {
            account: Some(account),
            origin,
            exempt: false,
        };
        match self.0.attempts.begin(attempt, || self.0.clock.now()).await {
            Ok(place) => Ok(place),
            Err(Refusal::Account { retry_after }) => {
                let known = self.known_address(account, origin).await?;
                let since = self.0.clock.now().minus(KNOWN_FOR);
                let exempt = self.0.store.knows_address(known, since).await;
                if !exempt.map_err(store_error)? {
                    return Err(Error::RateLimited { retry_after });
                }
                self.place(Attempt {
                    exempt: true,
                    ..attempt
                })
                .await
            }
            Err(refusal) => Err(refused(refusal)),
        }
    }

    /// A place for an attempt that is for no account yet.
    pub(super) async fn place_of(&self, origin: Origin) -> Result<Place> {
        self.place(Attempt {
            account: None,
            origin,
            exempt: false,
        })
        .await
    }

    async fn place(&self, attempt: Attempt) -> Result<Place> {
        self.0
            .attempts
            .begin(attempt, || self.0.clock.now())
            .await
            .map_err(refused)
    }

    /// The keyed hash under which the store remembers that `origin` signed in to `account`.
    async fn known_address(&self, account: Account, origin: Origin) -> Result<[u8; 32]> {
        Ok(keyed_hash(self.address_key().await?, account, origin))
    }

    async fn address_key(&self) -> Result<&[u8; 32]> {
        self.0
            .address_key
            .get_or_try_init(|| self.0.store.secret("known-addresses"))
            .await
            .map_err(store_error)
    }
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Account { retry_after } | Refusal::Hard { retry_after } => {
            Error::RateLimited { retry_after }
        }
        Refusal::Busy => Error::Unavailable,
    }
}

/// The sign-in stands whatever became of this; all that may be lost is an exemption from a limit.
fn remembered(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "an address that signed in could not be remembered");
    }
}

/// HMAC-SHA-256 over account and address. A plain hash could be tried with all four billion addresses.
fn keyed_hash(key: &[u8; 32], account: Account, origin: Origin) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(account.as_bytes());
    mac.update(origin.address().to_string().as_bytes());
    mac.finalize().into_bytes().into()
}
