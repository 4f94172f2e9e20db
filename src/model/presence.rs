//! Presence as it is told to somebody.

use super::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// `online` or `offline`: a user's state, and what a client says of itself (foreground or background).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// At least one connection in the foreground, or within the grace.
    Online,
    /// Neither.
    Offline,
}

impl Status {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }
}

/// A user's presence as one viewer may see it. The default is *never seen*, which is also what *hidden* looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PresenceView {
    /// The green dot.
    pub is_online: bool,
    /// End of the last stretch of being online; while online, of the one before.
    pub last_seen: Option<Timestamp>,
    /// Last sign-in.
    pub last_login_at: Option<Timestamp>,
    /// Last authenticated request or realtime message.
    pub last_active_at: Option<Timestamp>,
}

impl PresenceView {
    /// The status word.
    pub const fn status(&self) -> Status {
        if self.is_online {
            Status::Online
        } else {
            Status::Offline
        }
    }
}

/// A user went online or offline.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Who.
    pub user_id: UserId,
    /// What they are now.
    pub standing: Standing,
    /// When it took effect.
    pub at: Timestamp,
}

/// A user's own state as the server holds it, before anyone's privacy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Standing {
    /// Grows with each change of any user's state in one run of the server; 0 stands for "from the store".
    pub version: u64,
    /// Online, also within the grace.
    pub is_online: bool,
    /// End of the last complete stretch of being online.
    pub last_seen: Option<Timestamp>,
}

impl Standing {
    /// The status word.
    pub const fn status(&self) -> Status {
        if self.is_online {
            Status::Online
        } else {
            Status::Offline
        }
    }
}
