//! Who is asking.

use super::session::word_enum;
use super::{ApiKeyId, KeyRole, Role, SignInId, UserId, Username};
use std::sync::Arc;

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

impl Principal {
    /// The user, unless it is a key.
    pub fn user(&self) -> Option<&UserIdentity> {
        match self {
            Self::User(user) => Some(user),
            Self::Key { .. } => None,
        }
    }

    /// Whether it may do what admins may: an admin user or an admin key.
    pub fn is_admin(&self) -> bool {
        match self {
            Self::User(user) => user.role == Role::Admin,
            Self::Key { role, .. } => *role == KeyRole::Admin,
        }
    }
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
        /// Stable over the tokens of one sign-in at the host, as far as they say: `sid`, else `jti`, else the token
        /// itself; short, and no secret. Unique only together with the user.
        key: Arc<str>,
    },
}

word_enum! {
    /// Who vouches for a person at social sign-in.
    Provider {
        /// Google.
        Google = "google",
        /// Apple.
        Apple = "apple",
    }
}

/// A person as a provider knows them. Their e-mail address is no part of it: addresses change hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocialIdentity {
    /// Who vouches.
    pub provider: Provider,
    /// The provider's id of the person (`sub`).
    pub subject: String,
}
