//! What goes into [`super::Auth`] and comes out of it.

use super::jwt::{Claims, Rules};
use super::keys::KeySource;
use super::social::SocialSettings;
use super::token::{Token, TokenHash};
use crate::model::*;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Settings of [`super::Auth`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long an opaque token lives (`--token-ttl`).
    pub token_ttl: Duration,
    /// What the host application's tokens are signed with; without, none is accepted.
    pub host_key: Option<HostKey>,
    /// What else they must have.
    pub host_rules: Rules,
    /// What their `sub` is.
    pub jwt_sub: JwtSub,
    /// An unknown `sub` creates its user.
    pub provision: bool,
    /// The providers of social sign-in.
    pub social: SocialSettings,
    /// Entries of each cache (sign-ins, API keys, host tokens, host users) at most.
    pub cache_capacity: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_ttl: Duration::from_secs(30 * 24 * 60 * 60),
            host_key: None,
            host_rules: Rules::default(),
            jwt_sub: JwtSub::ExternalId,
            provision: false,
            social: SocialSettings::default(),
            cache_capacity: 100_000,
        }
    }
}

/// What the host application signs with.
#[derive(Clone, Debug)]
pub enum HostKey {
    /// A shared secret (HS256).
    Secret(Secret),
    /// Keys whose public halves are there (RS256, ES256).
    Public(KeySource),
}

/// An account to create. `Debug` does not show the password.
#[derive(Clone)]
pub struct NewAccount {
    /// As typed.
    pub username: String,
    /// As typed.
    pub password: String,
    /// The rest.
    pub profile: ProfileFields,
}

impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The outcome of a sign-up or sign-in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The token, shown to its owner this once.
    pub token: Token,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The sign-in.
    pub sign_in: SignInId,
    /// Whose.
    pub user: User,
}

/// Who presented a bearer token.
#[derive(Clone, Debug)]
pub struct Identity {
    /// A user or an API key.
    pub principal: Principal,
    /// Until when the credential is accepted (for a host's token its leeway included); keys do not expire.
    pub expires_at: Option<Timestamp>,
    pub(super) proof: Proof,
}

/// What the credential can be looked up by again. Never shown.
#[derive(Clone)]
pub(super) enum Proof {
    SignIn(TokenHash),
    Key(TokenHash),
    Jwt(Arc<Claims>),
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
