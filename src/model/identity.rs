//! Who is asking.

use super::{ApiKeyId, KeyRole, Role, SignInId, Timestamp, UserId, Username};
use std::sync::Arc;

/// A caller whose credential was checked.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who.
    pub principal: Principal,
    /// When the credential ends; `None` for API keys.
    pub expires_at: Option<Timestamp>,
}

/// A user, or a program with an API key.
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

/// A user and the credential they came with.
#[derive(Clone, Debug)]
pub struct UserIdentity {
    /// The id.
    pub id: UserId,
    /// The name.
    pub username: Username,
    /// The higher of the user's own role and the one a host's JWT claims.
    pub role: Role,
    /// What they showed.
    pub credential: Credential,
}

/// What a user showed: the sign-in that a session falls back to when the client gives no device id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// An opaque token of ours.
    SignIn(SignInId),
    /// A JWT of the host application.
    Jwt {
        /// Stable for one sign-in at the host: `sid` or `jti` where there is one, else made from the token.
        key: Arc<str>,
    },
}
