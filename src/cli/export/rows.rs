//! How the rows of each kind are read, page by page.

use crate::export::Row;
use crate::model::{ActivityId, EndReason, LoggedActivity, Timestamp, User, UserId};
use crate::store::{
    ActivityFilter, ActivityPlace, FollowNames, Result, SessionCursor, SessionEntry, Store,
};

/// A kind of row that is exported.
pub(super) trait Exported: Row + Send + Sync + 'static {
    /// Rows of a page: enough for speed, few enough for memory when each is as long as it may be.
    const PAGE: usize = 1_000;

    /// What tells where the next page begins.
    type Key: Copy + Send + 'static;
    /// What reading needs beside that.
    type Context: Copy + Send + 'static;

    fn key(&self) -> Self::Key;

    /// The page after `after`, the first without.
    fn page(
        store: &Store,
        after: Option<Self::Key>,
        context: Self::Context,
    ) -> impl Future<Output = Result<Vec<Self>>> + Send
    where
        Self: Sized;

    /// How many rows there are, about: what is written meanwhile is in it or not.
    fn total(store: &Store) -> impl Future<Output = Result<u64>>;
}

impl Exported for User {
    type Key = UserId;
    type Context = ();

    fn key(&self) -> UserId {
        self.id
    }

    async fn page(store: &Store, after: Option<UserId>, (): ()) -> Result<Vec<Self>> {
        store.users_page(after, Self::PAGE).await
    }

    async fn total(store: &Store) -> Result<u64> {
        store.count_users().await
    }
}

impl Exported for FollowNames {
    type Key = i64;
    type Context = ();

    fn key(&self) -> i64 {
        self.row_id
    }

    async fn page(store: &Store, after: Option<i64>, (): ()) -> Result<Vec<Self>> {
        store.follows_after(after, Self::PAGE).await
    }

    async fn total(store: &Store) -> Result<u64> {
        store.count_follows().await
    }
}

impl Exported for LoggedActivity {
    type Key = ActivityId;
    type Context = ();

    fn key(&self) -> ActivityId {
        self.activity.id
    }

    async fn page(store: &Store, after: Option<ActivityId>, (): ()) -> Result<Vec<Self>> {
        store.activities_after(after, Self::PAGE).await
    }

    async fn total(store: &Store) -> Result<u64> {
        let (all, newest) = (ActivityFilter::default(), ActivityPlace::Offset(0));
        let page = store.activities(all, newest, 1, true).await?;
        Ok(page.total.unwrap_or(0).unsigned_abs())
    }
}

impl Exported for SessionEntry {
    type Key = SessionCursor;
    /// When the server was last alive, if it is not now: open sessions ended then.
    type Context = Option<Timestamp>;

    fn key(&self) -> SessionCursor {
        self.cursor
    }

    async fn page(
        store: &Store,
        after: Option<SessionCursor>,
        dead_since: Option<Timestamp>,
    ) -> Result<Vec<Self>> {
        let mut page = store.sessions_after(after, Self::PAGE).await?;
        if let Some(proof_at) = dead_since {
            for entry in &mut page {
                let session = &mut entry.session;
                let end = (proof_at.max(session.started_at), EndReason::Crash);
                session.ended.get_or_insert(end);
            }
        }
        Ok(page)
    }
    async fn total(store: &Store) -> Result<u64> {
        store.count_sessions().await
    }
}
