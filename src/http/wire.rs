//! The objects of the API and how the model becomes them. No decisions: what a viewer may see of somebody comes in
//! as a [`PresenceView`], which `presence` alone makes.

mod types;

use crate::model::{ActivityStatus, PairFacts, Person, PresenceView, Role, Timestamp, User};
use crate::store::MessageRow;
use poem_openapi::Object;

/// One's own profile.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct OwnProfile {
    /// The id.
    pub id: i64,
    /// The host application's own id.
    #[oai(nullable)]
    pub external_id: Option<String>,
    /// The name, in the case it was chosen in.
    pub username: String,
    /// Shown name.
    #[oai(nullable)]
    pub display_name: Option<String>,
    /// About.
    #[oai(nullable)]
    pub bio: Option<String>,
    /// Picture.
    #[oai(nullable)]
    pub profile_picture_url: Option<String>,
    /// E-mail address; shown to its owner alone.
    #[oai(nullable)]
    pub email: Option<String>,
    /// Role.
    pub role: Role,
    /// Who may see one's presence.
    pub activity_status: ActivityStatus,
    /// How many follow one.
    pub followers_count: i64,
    /// How many one follows.
    pub following_count: i64,
    /// Online now.
    pub is_online: bool,
    /// When the last stretch of being online ended.
    #[oai(nullable)]
    pub last_seen: Option<Timestamp>,
    /// Last sign-in.
    #[oai(nullable)]
    pub last_login_at: Option<Timestamp>,
    /// Last authenticated request or realtime message.
    #[oai(nullable)]
    pub last_active_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
}

impl OwnProfile {
    /// `user` as they see themselves.
    pub fn new(user: User, seen: PresenceView) -> Self {
        Self {
            id: user.id.0,
            external_id: user.external_id,
            username: user.username.to_string(),
            display_name: user.display_name,
            bio: user.bio,
            profile_picture_url: user.profile_picture_url,
            email: user.email,
            role: user.role,
            activity_status: user.activity_status,
            followers_count: user.followers_count,
            following_count: user.following_count,
            is_online: seen.is_online,
            last_seen: seen.last_seen,
            last_login_at: seen.last_login_at,
            last_active_at: seen.last_active_at,
            created_at: user.created_at,
        }
    }
}

/// Somebody's profile. Presence that is hidden looks like never seen.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Profile {
    /// The id.
    pub id: i64,
    /// The name, in the case it was chosen in.
    pub username: String,
    /// Shown name.
    #[oai(nullable)]
    pub display_name: Option<String>,
    /// About.
    #[oai(nullable)]
    pub bio: Option<String>,
    /// Picture.
    #[oai(nullable)]
    pub profile_picture_url: Option<String>,
    /// How many follow them.
    pub followers_count: i64,
    /// How many they follow.
    pub following_count: i64,
    /// Whether the asking user follows them; false for API keys.
    pub is_following: bool,
    /// Online now.
    pub is_online: bool,
    /// When the last stretch of being online ended.
    #[oai(nullable)]
    pub last_seen: Option<Timestamp>,
    /// Last sign-in.
    #[oai(nullable)]
    pub last_login_at: Option<Timestamp>,
}

impl Profile {
    /// `user` as somebody sees them.
    pub fn new(user: User, facts: PairFacts, seen: PresenceView) -> Self {
        Self {
            id: user.id.0,
            username: user.username.to_string(),
            display_name: user.display_name,
            bio: user.bio,
            profile_picture_url: user.profile_picture_url,
            followers_count: user.followers_count,
            following_count: user.following_count,
            is_following: facts.follows(),
            is_online: seen.is_online,
            last_seen: seen.last_seen,
            last_login_at: seen.last_login_at,
        }
    }
}

/// Somebody in a list.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct PersonEntry {
    /// The id.
    pub user_id: i64,
    /// The name, in the case it was chosen in.
    pub username: String,
    /// Shown name.
    #[oai(nullable)]
    pub display_name: Option<String>,
    /// Picture.
    #[oai(nullable)]
    pub profile_picture_url: Option<String>,
    /// Online now.
    pub is_online: bool,
    /// When the last stretch of being online ended.
    #[oai(nullable)]
    pub last_seen: Option<Timestamp>,
}

impl PersonEntry {
    /// `person` as somebody sees them.
    pub fn new(person: Person, seen: PresenceView) -> Self {
        Self {
            user_id: person.id.0,
            username: person.username.to_string(),
            display_name: person.display_name,
            profile_picture_url: person.profile_picture_url,
            is_online: seen.is_online,
            last_seen: seen.last_seen,
        }
    }
}

/// A page of people.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct PeoplePage {
    /// Newest first.
    pub users: Vec<PersonEntry>,
    /// Asks for the next page; null on the last.
    #[oai(nullable)]
    pub next_cursor: Option<String>,
}

/// Somebody's presence. Hidden looks like never seen.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct PresenceEntry {
    /// The id.
    pub user_id: i64,
    /// The name, in the case it was chosen in.
    pub username: String,
    /// Online now.
    pub is_online: bool,
    /// When the last stretch of being online ended.
    #[oai(nullable)]
    pub last_seen: Option<Timestamp>,
    /// Last authenticated request or realtime message.
    #[oai(nullable)]
    pub last_active_at: Option<Timestamp>,
}

impl PresenceEntry {
    /// `person` as somebody sees them.
    pub fn new(person: &Person, seen: PresenceView) -> Self {
        Self {
            user_id: person.id.0,
            username: person.username.to_string(),
            is_online: seen.is_online,
            last_seen: seen.last_seen,
            last_active_at: seen.last_active_at,
        }
    }
}

/// A message.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Message {
    /// The id.
    pub id: i64,
    /// Who wrote it; null only where they were erased and their messages stayed, as an earlier version had it.
    #[oai(nullable)]
    pub sender_id: Option<i64>,
    /// Their name.
    #[oai(nullable)]
    pub sender_username: Option<String>,
    /// What they wrote.
    pub text: String,
    /// When.
    pub created_at: Timestamp,
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        Self {
            id: row.id.0,
            sender_id: row.sender_id.map(|id| id.0),
            sender_username: row.sender_username.map(|name| name.to_string()),
            text: row.text,
            created_at: row.created_at,
        }
    }
}

/// A user's row as a person, for the one privacy function.
pub fn person(user: &User, facts: PairFacts) -> Person {
    Person {
        id: user.id,
        username: user.username.clone(),
        display_name: user.display_name.clone(),
        profile_picture_url: user.profile_picture_url.clone(),
        activity_status: user.activity_status,
        is_online: user.is_online,
        last_seen: user.last_seen,
        last_login_at: user.last_login_at,
        last_active_at: user.last_active_at,
        facts,
    }
}
