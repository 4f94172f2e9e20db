//! The store's verbs for analytics: counts that outlive the rows, sessions, and who was online.
//!
//! Times come and go as quarter hours since the Unix epoch where counts are kept so: every zone's hours and days begin
//! with one, and which zone is asked for is not the store's affair.

use super::sqlite::analytics;
use super::{Result, Store};
use crate::model::*;
use std::collections::HashMap;

/// Milliseconds of a quarter hour.
pub use super::sqlite::rollups::QUARTER_MS;

/// A count over a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many there ever were, pruned ones included.
    pub count: i64,
    /// An end of the range was widened to its quarter hour, since rows in it were pruned.
    pub is_approximate: bool,
}

/// The sessions that began in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionTally {
    /// How many.
    pub tally: Tally,
    /// How long they lasted together, open ones so far.
    pub duration_ms: i64,
}

/// What a series counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Series {
    /// Activities of one action, or of all.
    Activities(Option<String>),
    /// Sessions by their beginning.
    Sessions,
    /// The most people online at once.
    Online,
}

/// A session in the administrator's list.
#[derive(Clone, Debug)]
pub struct SessionEntry {
    /// The session.
    pub session: SessionRow,
    /// The user's name.
    pub username: Username,
    /// Position in the list.
    pub cursor: super::SessionCursor,
}

/// Which sessions; what is not given is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Whose.
    pub user_id: Option<UserId>,
    /// Whether they are open.
    pub is_open: Option<bool>,
    /// Begun from then on.
    pub from: Option<Timestamp>,
    /// Begun before then.
    pub to: Option<Timestamp>,
}

/// Who was online at a moment.
#[derive(Clone, Debug, Default)]
pub struct OnlineAt {
    /// How many.
    pub total: i64,
    /// A page of them, by id.
    pub users: Vec<(UserId, Username)>,
    /// The last of the page, when there are more.
    pub next: Option<UserId>,
}

impl Store {
    /// Activities of `action`, or of all, in `from..to`.
    pub async fn tally_activities(
        &self,
        action: Option<String>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Tally> {
        self.0
            .read("counting activities", move |c| {
                analytics::activities(c, action.as_deref(), from, to)
            })
            .await
    }
    /// Each action that was done in `from..to`, with how often, in no order. Costs a few look-ups for each action that
    /// there ever was, however often it was done.
    pub async fn tally_each_action(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(String, Tally)>> {
        self.0
            .read("counting activities", move |c| {
                analytics::each_action(c, from, to)
            })
            .await
    }
    /// Sessions that began in `from..to`; open ones last until `now`.
    pub async fn tally_sessions(
        &self,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> Result<SessionTally> {
        self.0
            .read("counting sessions", move |c| {
                analytics::sessions(c, from, to, now)
            })
            .await
    }
    /// Quarter hours from `first` to before `last` that have anything, in order, with their values.
    pub async fn series(&self, series: Series, first: i64, last: i64) -> Result<Vec<(i64, i64)>> {
        self.0
            .read("reading a series", move |c| {
                analytics::series(c, &series, first, last)
            })
            .await
    }
    /// The earliest and latest quarter hour in which a session began.
    pub async fn session_span(&self) -> Result<Option<(i64, i64)>> {
        self.0
            .read("reading a series", analytics::session_span)
            .await
    }
    /// For each of `since`, how many users were active then or later. `lately` is what is not written yet.
    pub async fn active_users(
        &self,
        since: Vec<Timestamp>,
        lately: HashMap<UserId, Timestamp>,
    ) -> Result<Vec<i64>> {
        self.0
            .read("counting active users", move |c| {
                analytics::active_users(c, &since, &lately)
            })
            .await
    }
    /// The most people online at once in `from..to`, whose ends count with their whole quarter hour.
    pub async fn peak_online(&self, from: Timestamp, to: Timestamp) -> Result<i64> {
        self.0
            .read("reading a series", move |c| {
                analytics::peak_online(c, from, to)
            })
            .await
    }
    /// Keeps the most people online at once in each of these quarter hours, unless more were.
    pub async fn note_peaks(&self, peaks: Vec<(i64, i64)>) -> Result<()> {
        self.0
            .write("noting peaks", move |c| analytics::note_peaks(c, &peaks))
            .await
    }
    /// Those who had a session at `at`, by id, after `after`.
    pub async fn online_at(
        &self,
        at: Timestamp,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<OnlineAt> {
        self.0
            .read("reading sessions", move |c| {
                analytics::online_at(c, at, after, limit)
            })
            .await
    }
    /// A page of sessions, newest first; whether there are more.
    pub async fn sessions(
        &self,
        filter: SessionFilter,
        before: Option<super::SessionCursor>,
        limit: usize,
    ) -> Result<(Vec<SessionEntry>, bool)> {
        self.0
            .read("reading sessions", move |c| {
                analytics::session_page(c, &filter, before, limit)
            })
            .await
    }
}
