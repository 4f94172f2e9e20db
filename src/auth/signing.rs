//! Signing up and in by password.

use super::attempts::{Account, Attempt, Origin, Place, Refusal};
use super::token::{Token, TokenKind};
use super::{Auth, NewAccount, SignedIn, password, store_error};
use crate::error::{Error, Result};
use crate::model::*;
use crate::store::{NewSignIn, NewUser, StoreError};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long an address that signed in to an account stays known to it.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

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
        new: NewAccount,
        from: &ClientInfo,
        address: IpAddr,
    ) -> Result<SignedIn> {
        if self.0.settings.jwt_sub == JwtSub::Id {
            return Err(Error::forbidden(
                "accounts are created by the host application",
            ));
        }
        let username = Username::new(&new.username)?;
        if username.is_reserved() {
            return Err(Error::invalid("username", "must not be a reserved name"));
        }
        password::check(&new.password)?;
        new.profile.check()?;

        let origin = Origin::from(address);
        let place = self
            .place(Attempt {
                account: None,
                origin,
                exempt: false,
            })
            .await?;
        let password_hash = self.0.hasher.hash(&new.password).await?;
        // What can fail, fails before there is an account.
        self.address_key().await?;
        let created = self
            .0
            .store
            .create_user(NewUser {
                id: None,
                external_id: None,
                username,
                password_hash: Some(password_hash),
                profile: new.profile,
                role: Role::User,
                created_at: self.0.clock.now(),
            })
            .await;
        let user = match created {
            Ok(user) => user,
            Err(error) => {
                if matches!(error, StoreError::Conflict(_)) {
                    place.failed(self.0.clock.now());
                }
                return Err(store_error(error));
            }
        };
        drop(place);
        self.begin_sign_in(user, from, origin).await
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
        let token = Token::generate(TokenKind::SignIn)?;
        let now = self.0.clock.now();
        let expires_at = now.plus(self.0.settings.token_ttl);
        let new = NewSignIn {
            user_id: user,
            token_hash: token.hash(),
            created_at: now,
            expires_at,
            client: Arc::new(from.clone()),
        };
        let known = self.known_address(Account::of_user(user), origin).await?;
        // Together, so that both go into one commit.
        let (sign_in, remembered) = tokio::join!(
            self.0.store.create_sign_in(new),
            self.0.store.remember_address(known, now)
        );
        let sign_in = sign_in.map_err(store_error)?;
        if let Err(error) = remembered {
            // The sign-in stands; all that is lost is an exemption from a limit.
            tracing::warn!(%error, "an address that signed in could not be remembered");
        }
        let user = self
            .0
            .store
            .user(user)
            .await
            .map_err(store_error)?
            .ok_or(Error::NotFound("user"))?;
        Ok(SignedIn {
            token,
            expires_at,
            sign_in,
            user,
        })
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

/// HMAC-SHA-256 over account and address. A plain hash could be tried with all four billion addresses.
fn keyed_hash(key: &[u8; 32], account: Account, origin: Origin) -> [u8; 32] {
    let address = origin.address().to_string();
    hmac_sha256(key, &[account.as_bytes(), address.as_bytes()])
}

/// HMAC-SHA-256 (RFC 2104) of the parts together, with a key of at most 64 bytes, SHA-256's block.
fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    debug_assert!(
        key.len() <= 64,
        "a longer key would have to be hashed first"
    );
    let mut inner = [0x36u8; 64];
    let mut outer = [0x5cu8; 64];
    for (i, byte) in key.iter().enumerate() {
        inner[i] ^= byte;
        outer[i] ^= byte;
    }
    let mut inner = Sha256::new_with_prefix(inner);
    for part in parts {
        inner.update(part);
    }
    Sha256::new_with_prefix(outer)
        .chain_update(inner.finalize())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let hex = |bytes: [u8; 32]| bytes.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(
            hex(hmac_sha256(
                b"Jefe",
                &[b"what do ya want ", b"for nothing?"]
            )),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(hmac_sha256(&[0x0b; 20], &[b"Hi There"])),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }

    #[test]
    fn the_keyed_hash_depends_on_all_three() {
        let origin = |text: &str| Origin::from(text.parse::<IpAddr>().expect("an address"));
        let hash = |key: u8, user, address| {
            keyed_hash(&[key; 32], Account::of_user(UserId(user)), origin(address))
        };
        let one = hash(1, 1, "192.0.2.1");
        assert_eq!(one, hash(1, 1, "::ffff:192.0.2.1"));
        for other in [
            hash(2, 1, "192.0.2.1"),
            hash(1, 2, "192.0.2.1"),
            hash(1, 1, "192.0.2.2"),
        ] {
            assert_ne!(one, other);
        }
    }
}
