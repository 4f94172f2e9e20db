//! What goes into [`super::Auth`] and comes out of it.

use super::jwt::Claims;
use super::token::{Secret, Token, TokenHash};
use crate::model::*;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// What the `sub` of a host application's token is matched with (`--jwt-sub`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum JwtSub {
    /// A user's `externalId`.
    #[default]
    ExternalId,
    /// A user's id. Ids are then the host's to give, and nobody can sign up here.
    Id,
}

impl JwtSub {
    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExternalId => "external-id",
            Self::Id => "id",
        }
    }
}

impl fmt::Display for JwtSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JwtSub {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "external-id" => Ok(Self::ExternalId),
            "id" => Ok(Self::Id),
            _ => Err("must be one of: external-id, id".into()),
        }
    }
}

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
            jwt_sub: JwtSub::default(),
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

impl Identity {
    /// The user, unless it is a key.
    pub fn user(&self) -> Option<&UserIdentity> {
        match &self.principal {
            Principal::User(user) => Some(user),
            Principal::Key { .. } => None,
        }
    }

    /// Whether it may do what admins may: an admin user or an admin key.
    pub fn is_admin(&self) -> bool {
        match &self.principal {
            Principal::User(user) => user.role == Role::Admin,
            Principal::Key { role, .. } => *role == KeyRole::Admin,
        }
    }
}

/// A user or an API key.
#[derive(Clone, Debug)]
pub enum Principal {
    /// A user.
    User(UserIdentity),
    /// An API key.
    Key {
        /// Which.
        id: ApiKeyId,
        /// What it may do.
        role: KeyRole,
    },
}

/// A user who presented a credential.
#[derive(Clone, Debug)]
pub struct UserIdentity {
    /// The id.
    pub id: UserId,
    /// The name.
    pub username: Username,
    /// The higher of the user's own role and what a host's token claims.
    pub role: Role,
    /// With what.
    pub credential: Credential,
}

/// What a user presented.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// An opaque token of ours.
    SignIn(SignInId),
    /// A token of the host application.
    Jwt {
        /// Stable over the tokens of one sign-in at the host, as far as they say (`sid`, else `jti`, else the
        /// token itself); short, and no secret. Unique only together with the user.
        key: Arc<str>,
    },
}
