//! The store's verbs for who may come in: sign-ins, API keys, secrets, known addresses.

use super::sqlite::{Fault, identities, keys, secrets, sign_ins, users};
use super::{
    ADDRESS_MEMORY, ApiKey, IdentitySummary, NewSignIn, NewUser, Page, Result, SignIn,
    SignInSummary, Store, StoreError, Unlinked,
};
use crate::model::*;
use rusqlite::Connection;

impl Store {
    /// Creates a user who is signed in, both or neither. `Conflict("username" | "email")` when taken.
    pub async fn create_account(&self, user: NewUser, new: NewSignIn) -> Result<(SignInId, User)> {
        self.0
            .write("signing up", move |c| {
                let id = users::create(c, &user)?;
                signed_in(c, id, &new)
            })
            .await
    }
    /// Stores a sign-in and sets `last_login_at` and `last_active_at` in the same transaction; also returns the user
    /// as they are after it.
    pub async fn create_sign_in(&self, user: UserId, new: NewSignIn) -> Result<(SignInId, User)> {
        self.0
            .write("signing in", move |c| signed_in(c, user, &new))
            .await
    }
    /// Signs in whom `identity` is, after doing with one that is nobody's what `unlinked` says, all or nothing. Also
    /// whether that made a user.
    pub async fn sign_in_by_identity(
        &self,
        identity: SocialIdentity,
        unlinked: Unlinked,
        new: NewSignIn,
    ) -> Result<(SignInId, User, bool)> {
        self.0
            .write("signing in by an identity", move |c| {
                let (user, is_new) = identities::owner(c, &identity, &unlinked, new.created_at)?;
                let (sign_in, user) = signed_in(c, user, &new)?;
                Ok((sign_in, user, is_new))
            })
            .await
    }
    /// A user's identities, oldest first.
    pub async fn identities(&self, user: UserId) -> Result<Vec<IdentitySummary>> {
        self.0
            .read("listing identities", move |c| identities::of_user(c, user))
            .await
    }
    /// Creates `account` under its name, or the first of `other_names` that is free. `Conflict("id" | "externalId")` when somebody was
    /// quicker, `Conflict("username")` when no name is free.
    pub async fn create_named_user(
        &self,
        account: NewUser,
        other_names: Vec<Username>,
    ) -> Result<UserId> {
        self.0
            .write("creating a user", move |c| {
                identities::create_named(c, &account, &other_names)
            })
            .await
    }
    /// One that is not revoked, by token hash, with its user; whether it has expired is for the caller to say, whose
    /// clock it is.
    pub async fn sign_in_by_hash(&self, hash: [u8; 32]) -> Result<Option<SignIn>> {
        self.0
            .read("reading a sign-in", move |c| sign_ins::by_hash(c, hash))
            .await
    }
    /// A user's own that have not expired at `now`, newest first; the second value is the cursor of the next page.
    pub async fn sign_ins(
        &self,
        user: UserId,
        now: Timestamp,
        page: Page,
    ) -> Result<(Vec<SignInSummary>, Option<i64>)> {
        self.0
            .read("listing sign-ins", move |c| {
                sign_ins::of_user(c, user, now, page)
            })
            .await
    }
    /// When what was revoked was made; `None` when there was no such sign-in.
    pub async fn revoke_sign_in(&self, user: UserId, id: SignInId) -> Result<Option<Timestamp>> {
        let marks = self.0.marks();
        self.0
            .write("revoking a sign-in", move |c| {
                sign_ins::revoke(c, marks, user, id)
            })
            .await
    }
    /// All of a user's; the ids.
    pub async fn revoke_sign_ins(&self, user: UserId) -> Result<Vec<SignInId>> {
        let marks = self.0.marks();
        self.0
            .write("revoking sign-ins", move |c| {
                sign_ins::revoke_all(c, marks, user)
            })
            .await
    }
    /// Removes expired ones and addresses last seen before [`ADDRESS_MEMORY`], in bounded batches; how many
    /// sign-ins those were.
    pub async fn purge_expired(&self, now: Timestamp) -> Result<usize> {
        let mut purged = 0;
        loop {
            let removed = self
                .0
                .write("purging sign-ins", move |c| sign_ins::purge(c, now))
                .await?;
            purged += removed;
            if removed < sign_ins::PURGE_BATCH {
                break;
            }
        }
        let before = now.minus(ADDRESS_MEMORY);
        while self
            .0
            .write("forgetting addresses", move |c| {
                secrets::forget_addresses(c, before, sign_ins::PURGE_BATCH)
            })
            .await?
            == sign_ins::PURGE_BATCH
        {}
        Ok(purged)
    }
    /// `Conflict("name")` when a live key has that name.
    pub async fn create_api_key(
        &self,
        name: &str,
        role: KeyRole,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<ApiKeyId> {
        let (marks, name) = (self.0.marks(), name.to_owned());
        self.0
            .write("creating a key", move |c| {
                keys::create(c, marks, &name, role, hash, now)
            })
            .await
    }
    /// A live one.
    pub async fn api_key_by_hash(&self, hash: [u8; 32]) -> Result<Option<ApiKey>> {
        self.0
            .read("reading a key", move |c| keys::by_hash(c, hash))
            .await
    }
    /// All live ones.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        self.0.read("listing keys", keys::live).await
    }
    /// By id or name.
    pub async fn revoke_api_key(&self, id_or_name: &str, now: Timestamp) -> Result<bool> {
        let (marks, id_or_name) = (self.0.marks(), id_or_name.to_owned());
        self.0
            .write("revoking a key", move |c| {
                keys::revoke(c, marks, &id_or_name, now)
            })
            .await
    }
    /// A random 32-byte secret of this database by name, made on first use (keys the hashes below).
    pub async fn secret(&self, name: &'static str) -> Result<[u8; 32]> {
        if let Some(value) = self
            .0
            .read("reading a secret", move |c| secrets::find(c, name))
            .await?
        {
            return Ok(value);
        }
        let value: [u8; 32] = rand::random();
        self.0
            .write("making a secret", move |c| secrets::keep(c, name, value))
            .await
    }
    /// Remembers that this address (as a keyed hash with the account) signed in to the account.
    pub async fn remember_address(&self, hash: [u8; 32], now: Timestamp) -> Result<()> {
        self.0
            .write("remembering an address", move |c| {
                secrets::remember_address(c, hash, now)
            })
            .await
    }
    /// Whether it did since `since`.
    pub async fn knows_address(&self, hash: [u8; 32], since: Timestamp) -> Result<bool> {
        self.0
            .read("looking an address up", move |c| {
                secrets::knows_address(c, hash, since)
            })
            .await
    }
}

fn signed_in(
    connection: &Connection,
    user: UserId,
    new: &NewSignIn,
) -> Result<(SignInId, User), Fault> {
    let sign_in = sign_ins::create(connection, user, new)?;
    let user = users::by_id(connection, user)?.ok_or(StoreError::NoSuchUser)?;
    Ok((sign_in, user))
}
