//! The store's verbs for taking everything out: keyset pages of all rows of a kind, oldest first, each a short read of
//! its own, so that neither memory nor a snapshot is held however long the writing takes. Users have such pages
//! elsewhere.

use super::sqlite::{activities, exports};
use super::{Result, SessionCursor, SessionEntry, Store};
use crate::model::*;
use std::time::Duration;

/// A follow by the names of its two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowNames {
    /// Its row, in the order they were made.
    pub row_id: i64,
    /// Who follows.
    pub follower: Username,
    /// Whom.
    pub followee: Username,
}

/// What the newest run of a server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBoot {
    /// Its last proof of life.
    pub proof_at: Timestamp,
    /// Whether it has not ended in good order: it runs, or it died.
    pub is_open: bool,
}

/// A server renews its proof of life every few seconds; one that has not for so long is dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);

impl LastBoot {
    /// When the server was last alive, if it is not now.
    pub fn dead_since(&self, now: Timestamp) -> Option<Timestamp> {
        let is_dead = !self.is_open || now.since(self.proof_at) > DEAD_AFTER;
        is_dead.then_some(self.proof_at)
    }
}

impl Store {
    /// A page of all activities, oldest first, after this one.
    pub async fn activities_after(
        &self,
        after: Option<ActivityId>,
        limit: usize,
    ) -> Result<Vec<LoggedActivity>> {
        self.0
            .read("reading activities", move |c| {
                activities::after(c, after, limit)
            })
            .await
    }
    /// A page of all follows after this row.
    pub async fn follows_after(
        &self,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<FollowNames>> {
        self.0
            .read("reading follows", move |c| {
                exports::follows(c, after, limit)
            })
            .await
    }
    /// A page of all sessions after this place, by when they began.
    pub async fn sessions_after(
        &self,
        after: Option<SessionCursor>,
        limit: usize,
    ) -> Result<Vec<SessionEntry>> {
        self.0
            .read("reading sessions", move |c| {
                exports::sessions(c, after, limit)
            })
            .await
    }
    /// How many users there are.
    pub async fn count_users(&self) -> Result<u64> {
        self.0.read("counting users", exports::count_users).await
    }
    /// How many follows there are.
    pub async fn count_follows(&self) -> Result<u64> {
        self.0
            .read("counting follows", exports::count_follows)
            .await
    }
    /// How many sessions there are, open ones too: from the counts, so at once.
    pub async fn count_sessions(&self) -> Result<u64> {
        self.0
            .read("counting sessions", exports::count_sessions)
            .await
    }
    /// The newest run of a server, if there ever was one.
    pub async fn last_boot(&self) -> Result<Option<LastBoot>> {
        self.0.read("reading boots", exports::last_boot).await
    }
}
