//! The store's verbs for the activity log: batches in, pages and totals out.

use super::sqlite::activities;
use super::{Result, Store};
use crate::model::*;
use std::time::Duration;

/// How long the answer to a write is kept for its `Idempotency-Key`.
pub const IDEMPOTENCY_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// Rows to log in one transaction, and what follows from them.
#[derive(Clone, Debug, Default)]
pub struct ActivityBatch {
    /// The rows. One whose id is there already is left out.
    pub rows: Vec<Activity>,
    /// Leave out rows whose user, or the user they were done to, is gone, instead of failing.
    pub skip_erased: bool,
    /// Users who were active then at least.
    pub active: Vec<(UserId, Timestamp)>,
    /// Users who signed in then at least.
    pub logins: Vec<(UserId, Timestamp)>,
    /// The answer to keep in case the same is sent again.
    pub idempotency: Option<Idempotency>,
}

/// An answer under the key of its caller.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// Who sent it.
    pub caller: String,
    /// The key.
    pub key: String,
    /// SHA-256 of what was sent.
    pub request_hash: [u8; 32],
    /// What is answered.
    pub answer: String,
    /// Now.
    pub now: Timestamp,
}

impl Idempotency {
    /// The caller that a user is; erased with the user.
    pub fn user_caller(user: UserId) -> String {
        format!("user:{user}")
    }
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// Committed; so many rows are new.
    Written(usize),
    /// It was committed before under its key: this was answered.
    Replayed(String),
    /// Something else was sent under its key before; nothing was written.
    KeyReused,
}

/// Which rows; what is not given is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    /// Whose.
    pub user_id: Option<UserId>,
    /// Which action.
    pub action: Option<String>,
    /// On what kind of thing.
    pub target_type: Option<String>,
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityPlace {
    /// After so many of the newest.
    Offset(u32),
    /// At the newest that is older than this one.
    Before(ActivityId),
}

/// A page of the log.
#[derive(Clone, Debug)]
pub struct ActivityPage {
    /// How many rows there are in all, where that was asked for.
    pub total: Option<i64>,
    /// Newest first.
    pub activities: Vec<LoggedActivity>,
    /// The last of them, when there are more behind it.
    pub next: Option<ActivityId>,
}

impl Store {
    /// Logs a batch, all or nothing. `NoSuchUser` when a row's user is gone, unless those are to be left out.
    pub async fn log_activities(&self, batch: ActivityBatch) -> Result<Logged> {
        self.0
            .write("logging activities", move |c| activities::log(c, &batch))
            .await
    }
    /// What a request under this key is answered without writing anything: what it was answered before, or that it
    /// was another. `None` when it is new.
    pub async fn kept_answer(&self, key: Idempotency) -> Result<Option<Logged>> {
        self.0
            .read("reading a kept answer", move |c| {
                activities::replayed(c, &key)
            })
            .await
    }
    /// A page, newest first, and with it the exact total if `with_total`; both of one state.
    pub async fn activities(
        &self,
        filter: ActivityFilter,
        place: ActivityPlace,
        limit: usize,
        with_total: bool,
    ) -> Result<ActivityPage> {
        self.0
            .read("reading activities", move |c| {
                activities::page(c, &filter, place, limit, with_total)
            })
            .await
    }
    /// Forgets kept answers that are older than [`IDEMPOTENCY_MEMORY`].
    pub async fn forget_answers(&self, now: Timestamp) -> Result<()> {
        const BATCH: usize = 500;
        let before = now.minus(IDEMPOTENCY_MEMORY);
        while self
            .0
            .write("forgetting answers", move |c| {
                activities::forget_answers(c, before, BATCH)
            })
            .await?
            == BATCH
        {}
        Ok(())
    }
}
