//! Users, and what their fields may hold.

use super::session::word_enum;
use super::{PairFacts, Timestamp, UserId};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

word_enum! {
    /// What a user may do.
    Role {
        /// An ordinary user.
        User = "user",
        /// Sees and ends everything.
        Admin = "admin",
    }
}

word_enum! {
    /// What an API key may do.
    KeyRole {
        /// Sees everything.
        Admin = "admin",
        /// A host application's back end: mirrors users and follows, logs activities, reads as a stranger.
        Service = "service",
    }
}

word_enum! {
    /// Who may see a user's presence, last seen, last active and last login. Reciprocal.
    ActivityStatus {
        /// Everyone (the default).
        Everyone = "everyone",
        /// Those whom the user follows or has written to.
        Contacts = "contacts",
        /// No one.
        Nobody = "nobody",
    }
}

/// Names nobody may take at sign-up or social sign-in.
pub const RESERVED_USERNAMES: [&str; 9] = [
    "admin",
    "api",
    "auth",
    "system",
    "root",
    "null",
    "undefined",
    "everyone",
    "me",
];

/// A field that does not hold what it may, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name on the wire.
    pub field: &'static str,
    /// What it must be.
    pub message: String,
}

impl FieldError {
    /// A new one.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            message: message.into(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.message)
    }
}

impl std::error::Error for FieldError {}

/// A valid username: `[A-Za-z0-9_.]{2,30}` with at least one letter, not `me`. Cheap to clone.
///
/// Two that differ only in case are the same name; the case given at sign-up is kept for showing.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Username(Arc<str>);

impl Username {
    /// Checks `text`.
    ///
    /// # Errors
    /// When it is no valid username.
    pub fn new(text: &str) -> Result<Self, FieldError> {
        let letters = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        if !(2..=30).contains(&text.len())
            || !letters
            || !text.bytes().any(|b| b.is_ascii_alphabetic())
        {
            return Err(FieldError::new(
                "username",
                "must be 2 to 30 of A-Z a-z 0-9 _ . with at least one letter",
            ));
        }
        if text.eq_ignore_ascii_case("me") {
            return Err(FieldError::new(
                "username",
                "must not be the reserved name me",
            ));
        }
        Ok(Self(text.into()))
    }

    /// For a name that was checked when it was stored.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// As shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Whether it is one of [`RESERVED_USERNAMES`].
    pub fn is_reserved(&self) -> bool {
        RESERVED_USERNAMES
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&self.0))
    }
}

impl PartialEq for Username {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Username {}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Username {
    type Err = FieldError;
    fn from_str(s: &str) -> Result<Self, FieldError> {
        Self::new(s)
    }
}

/// The fields of a profile that can be set; `None` leaves a field as it is (or empty on creation).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileFields {
    /// At most 100 characters.
    pub display_name: Option<String>,
    /// At most 500 characters.
    pub bio: Option<String>,
    /// http or https, at most 2,048 bytes.
    pub profile_picture_url: Option<String>,
    /// Unique, at most 254 bytes.
    pub email: Option<String>,
}

impl ProfileFields {
    /// Checks every field that is set.
    ///
    /// # Errors
    /// The first field that does not hold what it may.
    pub fn check(&self) -> Result<(), FieldError> {
        if let Some(text) = &self.display_name {
            validate::text("displayName", text, 0, 100)?;
        }
        if let Some(text) = &self.bio {
            validate::text("bio", text, 0, 500)?;
        }
        if let Some(url) = &self.profile_picture_url {
            validate::picture_url(url)?;
        }
        if let Some(email) = &self.email {
            validate::email(email)?;
        }
        Ok(())
    }
}

/// A user as stored.
#[derive(Clone, Debug)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The host application's own id.
    pub external_id: Option<String>,
    /// The name.
    pub username: Username,
    /// Shown name.
    pub display_name: Option<String>,
    /// About.
    pub bio: Option<String>,
    /// Picture.
    pub profile_picture_url: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Role.
    pub role: Role,
    /// Who may see their presence.
    pub activity_status: ActivityStatus,
    /// As stored: the database follows the truth in memory within 250 ms.
    pub is_online: bool,
    /// End of the last stretch of being online.
    pub last_seen: Option<Timestamp>,
    /// Last sign-in.
    pub last_login_at: Option<Timestamp>,
    /// Last authenticated request or realtime message.
    pub last_active_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// How many follow them.
    pub followers_count: i64,
    /// How many they follow.
    pub following_count: i64,
}

/// A user in an answer that shows people, with the facts that decide what its viewer may see.
#[derive(Clone, Debug)]
pub struct Person {
    /// The id.
    pub id: UserId,
    /// The name.
    pub username: Username,
    /// Shown name.
    pub display_name: Option<String>,
    /// Picture.
    pub profile_picture_url: Option<String>,
    /// Who may see their presence.
    pub activity_status: ActivityStatus,
    /// As stored.
    pub is_online: bool,
    /// As stored.
    pub last_seen: Option<Timestamp>,
    /// As stored.
    pub last_login_at: Option<Timestamp>,
    /// As stored.
    pub last_active_at: Option<Timestamp>,
    /// From the viewer's side; no facts for a stranger.
    pub facts: PairFacts,
}

/// People by id or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// By id.
    Ids(Vec<UserId>),
    /// By username, any case.
    Names(Vec<String>),
}

/// Checks of single fields; lengths count characters (Unicode scalar values), NUL is never allowed.
pub mod validate {
    use super::FieldError;

    /// `min..=max` characters without NUL.
    ///
    /// # Errors
    /// Too short, too long, or a NUL in it.
    pub fn text(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), FieldError> {
        if text.contains('\0') {
            return Err(FieldError::new(field, "must not contain NUL"));
        }
        // Bytes bound characters from above, so that a huge text is not counted out.
        let count = if text.len() > max * 4 {
            max + 1
        } else {
            text.chars().count()
        };
        if count < min || count > max {
            return Err(FieldError::new(
                field,
                format!("must have {min} to {max} characters"),
            ));
        }
        Ok(())
    }

    /// An http or https URL of at most 2,048 bytes.
    ///
    /// # Errors
    /// When it is not.
    pub fn picture_url(url: &str) -> Result<(), FieldError> {
        let field = "profilePictureUrl";
        let lower = url.get(..8).unwrap_or(url).to_ascii_lowercase();
        let rest = lower
            .strip_prefix("https://")
            .or_else(|| lower.strip_prefix("http://"));
        let has_host =
            rest.is_some() && url.len() > if lower.starts_with("https://") { 8 } else { 7 };
        if url.len() > 2048 || !has_host || url.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(FieldError::new(
                field,
                "must be an http or https URL of at most 2048 bytes",
            ));
        }
        Ok(())
    }

    /// Something before and after one `@`, no spaces, at most 254 bytes (RFC 5321, section 4.5.3.1).
    ///
    /// # Errors
    /// When it is not.
    pub fn email(email: &str) -> Result<(), FieldError> {
        let plain = !email.chars().any(|c| c.is_control() || c.is_whitespace());
        let parts = email
            .rsplit_once('@')
            .filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if email.len() > 254 || !plain || parts.is_none_or(|(local, _)| local.contains('@')) {
            return Err(FieldError::new(
                "email",
                "must be an e-mail address of at most 254 bytes",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames() {
        for good in ["ab", "A_1", "x.y", "a23456789012345678901234567890", "12a"] {
            assert!(Username::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "12",
            "me",
            "ME",
            "a b",
            "a\0b",
            "ä1",
            "a2345678901234567890123456789012",
        ] {
            assert!(Username::new(bad).is_err(), "{bad}");
        }
        assert!(Username::new("Admin").expect("valid").is_reserved());
        assert_eq!(
            Username::new("Ann").expect("valid"),
            Username::new("aNN").expect("valid")
        );
    }

    #[test]
    fn fields() {
        assert!(validate::text("bio", &"ä".repeat(500), 0, 500).is_ok());
        assert!(validate::text("bio", &"ä".repeat(501), 0, 500).is_err());
        assert!(validate::text("bio", "a\0", 0, 500).is_err());
        assert!(validate::picture_url("https://a/b.png").is_ok());
        for bad in [
            "ftp://a",
            "http://",
            "https://",
            "javascript:x",
            "http://a b",
            "",
        ] {
            assert!(validate::picture_url(bad).is_err(), "{bad}");
        }
        assert!(validate::email("a@b.c").is_ok());
        for bad in ["", "@", "a@", "@b", "a@@b", "a b@c"] {
            assert!(validate::email(bad).is_err(), "{bad}");
        }
    }
}
