//! The one error of the services. `http::error` alone maps it to a status, `realtime` alone to a wire error.

use crate::model::FieldError;
use crate::store::StoreError;
use std::time::Duration;

/// Why a service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not JSON, or a missing or wrongly typed field (400).
    #[error("{0}")]
    BadRequest(String),
    /// No credential, or not a valid one (401).
    #[error("a valid bearer token is required")]
    Unauthorized,
    /// Sign-in with an unknown name or a wrong password (401); the two are not told apart.
    #[error("wrong username, e-mail or password")]
    WrongCredentials,
    /// Social sign-in with an ID token that is not accepted (401); says why.
    #[error("idToken is not accepted: {0}")]
    WrongIdToken(String),
    /// Known, but not allowed (403).
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing (404).
    #[error("{0} not found")]
    NotFound(&'static str),
    /// It is taken (409).
    #[error("{field} {message}")]
    Conflict {
        /// The field's name on the wire.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A value is wrong (422).
    #[error("{0}")]
    Invalid(FieldError),
    /// Several items are wrong (422), each with its index.
    #[error("{} of the items are not valid", .0.len())]
    InvalidItems(Vec<(usize, FieldError)>),
    /// Fields are missing in several items (400), each with its index.
    #[error("{} of the items are not complete", .0.len())]
    IncompleteItems(Vec<(usize, FieldError)>),
    /// Several items are not the caller's to send (403), each with its index.
    #[error("{} of the items are not allowed to this caller", .0.len())]
    ForbiddenItems(Vec<(usize, FieldError)>),
    /// Too many requests (429).
    #[error("too many requests; try again in {} s", retry_after.as_secs().max(1))]
    RateLimited {
        /// How long until one is let through again.
        retry_after: Duration,
    },
    /// The store cannot take a write or answer now, or too many passwords wait to be hashed (503); nothing was
    /// changed.
    #[error("the server cannot take this now; nothing was changed")]
    Unavailable,
    /// Our fault (500). The cause is logged once and never shown.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An [`Error::Invalid`] for `field`.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(FieldError::new(field, message))
    }

    /// An [`Error::Forbidden`].
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::Forbidden(message.into())
    }

    /// An [`Error::Internal`] from whatever went wrong.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        Self::Invalid(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => {
                tracing::warn!(%why, "the store is unavailable");
                Self::Unavailable
            }
            StoreError::Conflict(field) => Self::Conflict {
                field,
                message: "is already taken".into(),
            },
            StoreError::Forbidden => Self::forbidden("not allowed: one of you blocks the other"),
            StoreError::NoSuchUser => Self::NotFound("user"),
            other => Self::internal(other),
        }
    }
}

/// What services return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error and what is behind it, on one line and without control characters, which a terminal would obey.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some repeat their cause.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    plain(&text)
}

/// `text` with a space for each control character: on one line, and nothing that a terminal would obey.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
