//! What goes into [`super::Auth`] and comes out of it.

use super::jwt::Claims;
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
    /// The secret of the host application's HS256 tokens; without, none is accepted.
    pub jwt_secret: Option<Secret>,
    /// What their `sub` is.
    pub jwt_sub: JwtSub,
    /// Entries of each cache (sign-ins, API keys, host tokens, host users) at most.
    pub cache_capacity: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_ttl: Duration::from_secs(30 * 24 * 60 * 60),
            jwt_secret: None,
            jwt_sub: JwtSub::ExternalId,
            cache_capacity: 100_000,
        }
    }
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
