//! The store's verbs for who is online as a server wrote it: for those who read beside it.

use super::sqlite::online;
use super::{Result, Store};
use crate::model::*;
use std::sync::Arc;

/// Somebody whom the store has as online.
#[derive(Clone, Debug)]
pub struct StoredOnline {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub username: Username,
    /// Since when: the start of their first session that is open, else of their last one.
    pub since: Timestamp,
    /// When last active, to the minute.
    pub last_active_at: Option<Timestamp>,
    /// Their open sessions, by start: when each began and where it is from. None within the grace.
    pub sessions: Vec<(Timestamp, Arc<ClientInfo>)>,
}

impl Store {
    /// How many users are online, and how many sessions are open.
    pub async fn stored_online(&self) -> Result<(i64, i64)> {
        self.0.read("counting who is online", online::counts).await
    }
    /// Those online with ids above `after`, by id; whether there are more.
    pub async fn stored_online_page(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<(Vec<StoredOnline>, bool)> {
        self.0
            .read("reading who is online", move |c| {
                online::page(c, after, limit)
            })
            .await
    }
}
