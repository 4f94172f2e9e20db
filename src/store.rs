//! The store: domain verbs in front, SQLite behind.
//!
//! One writer thread with group commit, a pool of read-only connections, and nothing of SQL in any signature,
//! so that another back end can stand beside this one without touching a handler or a service. Every method is
//! async and runs its work off the async threads; every write completes even when its caller goes away, and is
//! answered only after its commit.

mod activities;
mod analytics;
mod credentials;
mod exports;
mod imports;
mod online;
mod own;
mod prune;
mod sqlite;
#[cfg(test)]
mod tests;
pub mod types;

pub use activities::*;
pub use analytics::*;
pub use exports::*;
pub use imports::*;
pub use online::StoredOnline;
pub use own::{ConversationRow, Relation, RelationRow, SessionCursor};
pub use prune::*;
pub use sqlite::lock::Lock;
pub use sqlite::migrate;
pub use types::*;

use crate::model::*;
use sqlite::{blocks, boots, conversations, follows, messages, people, sessions, upserts, users};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Copies the database at `from` as it is at one moment into `to`, which must be missing or empty; also while others write.
///
/// # Errors
/// As opening a store, or `to` cannot be written.
pub fn backup(from: &Path, to: &Path) -> Result<()> {
    sqlite::backup::copy(from, to)
}

/// A handle on the store; cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<sqlite::Sqlite>);

impl Store {
    /// Opens an existing or new database (`options.create`), checks that it is ours and not newer, migrates it
    /// when `options.migrate`, and starts the writer and checkpoint threads.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        sqlite::Sqlite::open(path, &options).map(|sqlite| Self(Arc::new(sqlite)))
    }
    /// Stops taking writes, commits what is queued, checkpoints, and joins the threads. Idempotent.
    pub async fn close(&self) {
        self.0.close().await;
    }
    /// Whether this is a read-only database: reads work and every write is `Unavailable`.
    pub fn is_read_only(&self) -> bool {
        self.0.is_read_only()
    }
    /// Proves that a read works now (and, unless read-only, says whether the writer is stuck).
    pub async fn ready(&self) -> Result<()> {
        self.0.ready().await
    }
    /// Counters for `/metrics`.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    // --- boots and presence -------------------------------------------------------------------------------
    /// Closes what earlier boots left open (sessions: end = the later of own start and that boot's last proof of
    /// life, reason crash; users online: offline, last seen = that moment, or for a user in grace the end of
    /// their last session), and begins a new boot.
    pub async fn begin_boot(&self, now: Timestamp) -> Result<BootId> {
        self.0
            .write("beginning a boot", move |c| boots::begin(c, now))
            .await
    }
    /// Renews the proof of life.
    pub async fn prove_life(&self, boot: BootId, now: Timestamp) -> Result<()> {
        self.0
            .write("proving life", move |c| boots::prove(c, boot, now))
            .await
    }
    /// Marks the boot as ended in good order.
    pub async fn end_boot(&self, boot: BootId, now: Timestamp) -> Result<()> {
        self.0
            .write("ending a boot", move |c| boots::end(c, boot, now))
            .await
    }
    /// Writes what changed in memory since the last flush, all in one transaction. Rows of users who were
    /// erased meanwhile are left out.
    pub async fn flush(&self, boot: BootId, batch: FlushBatch) -> Result<()> {
        self.0
            .write("flushing presence", move |c| {
                sessions::flush(c, boot, &batch)
            })
            .await
    }

    // --- users -------------------------------------------------------------------------------------------
    /// Creates a user. `Conflict("username" | "email" | "externalId" | "id")` when taken.
    pub async fn create_user(&self, user: NewUser) -> Result<UserId> {
        self.0
            .write("creating a user", move |c| users::create(c, &user))
            .await
    }
    /// By id.
    pub async fn user(&self, id: UserId) -> Result<Option<User>> {
        self.0
            .read("reading a user", move |c| users::by_id(c, id))
            .await
    }
    /// By username, any case.
    pub async fn user_by_username(&self, username: &str) -> Result<Option<User>> {
        let username = username.to_owned();
        self.0
            .read("reading a user", move |c| users::by_username(c, &username))
            .await
    }
    /// By the host application's id.
    pub async fn user_by_external_id(&self, external_id: &str) -> Result<Option<User>> {
        let external_id = external_id.to_owned();
        self.0
            .read("reading a user", move |c| {
                users::by_external_id(c, &external_id)
            })
            .await
    }
    /// For password sign-in: by username, or by e-mail when `login` has an `@`.
    pub async fn credentials(&self, login: &str) -> Result<Option<Credentials>> {
        let login = login.to_owned();
        self.0
            .read("reading credentials", move |c| {
                users::credentials(c, &login)
            })
            .await
    }
    /// Keyset page of all users by id, for `user list`.
    pub async fn users_page(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>> {
        self.0
            .read("listing users", move |c| users::page(c, after, limit))
            .await
    }
    /// Changes a user; `false` when there is none. A value of `Some("")` empties an optional field.
    pub async fn update_user(&self, id: UserId, change: UserChange) -> Result<bool> {
        let marks = self.0.marks();
        self.0
            .write("changing a user", move |c| {
                users::update(c, marks, id, &change)
            })
            .await
    }
    /// Bulk upsert, matched by `id`, else `externalId`, else `username`; all or nothing, the bad items named.
    /// One error per item at most. `Forbidden` for the whole batch when it would change an admin and may not. A row
    /// with an external id does not take over a user of that name who has a password or another external id.
    pub async fn upsert_users(
        &self,
        users: Vec<UserUpsert>,
        rules: UpsertRules,
    ) -> Result<std::result::Result<UpsertCounts, Vec<(usize, FieldError)>>> {
        let marks = self.0.marks();
        self.0
            .write("upserting users", move |c| {
                upserts::users(c, marks, &users, rules)
            })
            .await
    }
    /// Bulk upsert of follows (usernames); all or nothing, the bad items named.
    pub async fn upsert_follows(
        &self,
        follows: Vec<FollowUpsert>,
    ) -> Result<std::result::Result<UpsertCounts, Vec<(usize, FieldError)>>> {
        let marks = self.0.marks();
        self.0
            .write("upserting follows", move |c| {
                upserts::follows(c, marks, &follows)
            })
            .await
    }

    // --- people with pair facts --------------------------------------------------------------------------
    /// These users as `viewer` sees them (facts from the viewer's side; `None`: a stranger, no facts), in the
    /// order asked; unknown ones are `None`.
    pub async fn people(
        &self,
        viewer: Option<UserId>,
        who: PeopleRef,
    ) -> Result<Vec<Option<Person>>> {
        self.0
            .read("reading people", move |c| people::people(c, viewer, &who))
            .await
    }
    /// A profile as `viewer` sees it.
    pub async fn profile(
        &self,
        viewer: Option<UserId>,
        username: &str,
    ) -> Result<Option<(User, PairFacts)>> {
        let username = username.to_owned();
        self.0
            .read("reading a profile", move |c| {
                people::profile(c, viewer, &username)
            })
            .await
    }
    /// The facts of one pair.
    pub async fn pair_facts(&self, viewer: UserId, subject: UserId) -> Result<PairFacts> {
        self.0
            .read("reading a pair", move |c| {
                people::pair_facts(c, viewer, subject)
            })
            .await
    }
    /// Everyone whose audience `viewer` may be in: followees (if `followees`) and conversation partners (if
    /// `partners`), with facts, settings and last seen; also all in `extra` whatever the facts.
    pub async fn interests(
        &self,
        viewer: UserId,
        followees: bool,
        partners: bool,
        extra: Vec<UserId>,
    ) -> Result<Vec<Interest>> {
        self.0
            .read("reading interests", move |c| {
                people::interests(c, viewer, followees, partners, &extra)
            })
            .await
    }

    // --- follow and block --------------------------------------------------------------------------------
    /// `Ok(true)` when it is new; `Forbidden` when one blocks the other.
    pub async fn follow(&self, follower: UserId, followee: UserId, now: Timestamp) -> Result<bool> {
        self.0
            .write("following", move |c| {
                follows::follow(c, follower, followee, now)
            })
            .await
    }
    /// Whether they did follow.
    pub async fn unfollow(&self, follower: UserId, followee: UserId) -> Result<bool> {
        self.0
            .write("unfollowing", move |c| {
                follows::unfollow(c, follower, followee)
            })
            .await
    }
    /// Also removes follows both ways; whether it is new.
    pub async fn block(&self, blocker: UserId, blocked: UserId, now: Timestamp) -> Result<bool> {
        self.0
            .write("blocking", move |c| blocks::block(c, blocker, blocked, now))
            .await
    }
    /// Whether there was a block.
    pub async fn unblock(&self, blocker: UserId, blocked: UserId) -> Result<bool> {
        self.0
            .write("unblocking", move |c| blocks::unblock(c, blocker, blocked))
            .await
    }
    /// Newest first; the second value is the cursor of the next page.
    pub async fn followers(
        &self,
        viewer: Option<UserId>,
        of: UserId,
        page: Page,
    ) -> Result<(Vec<Person>, Option<i64>)> {
        self.0
            .read("listing followers", move |c| {
                follows::followers(c, viewer, of, page)
            })
            .await
    }
    /// Those whom `of` follows, as [`Self::followers`].
    pub async fn following(
        &self,
        viewer: Option<UserId>,
        of: UserId,
        page: Page,
    ) -> Result<(Vec<Person>, Option<i64>)> {
        self.0
            .read("listing followees", move |c| {
                follows::following(c, viewer, of, page)
            })
            .await
    }
    /// Those whom `of` blocks, as [`Self::followers`].
    pub async fn blocks(&self, of: UserId, page: Page) -> Result<(Vec<Person>, Option<i64>)> {
        self.0
            .read("listing blocks", move |c| blocks::blocks(c, of, page))
            .await
    }

    // --- messages ----------------------------------------------------------------------------------------
    /// The two-person conversation that there is (`false`), or a new one (`true`). `Forbidden` when a block stands
    /// between the creator and a participant, or when there is nobody but the creator; `NoSuchUser` for an unknown id.
    pub async fn create_conversation(
        &self,
        creator: UserId,
        others: Vec<UserId>,
        now: Timestamp,
    ) -> Result<(ConversationId, bool)> {
        self.0
            .write("beginning a conversation", move |c| {
                conversations::create(c, creator, &others, now)
            })
            .await
    }
    /// Newest first by last message, else creation.
    pub async fn conversations(
        &self,
        viewer: UserId,
        page: ConversationPage,
    ) -> Result<(Vec<ConversationSummary>, Option<ConversationCursor>)> {
        self.0
            .read("listing conversations", move |c| {
                conversations::list(c, viewer, page)
            })
            .await
    }
    /// `None` when there is none or `viewer` is no participant (the two are not told apart). With `marks_read`, marks
    /// read up to the newest message, not waiting for that write.
    pub async fn conversation(
        &self,
        viewer: UserId,
        id: ConversationId,
        page: Page,
        marks_read: bool,
    ) -> Result<Option<ConversationDetail>> {
        let opened = self
            .0
            .read("reading a conversation", move |c| {
                conversations::open(c, viewer, id, page)
            })
            .await?;
        Ok(opened.map(|(detail, unread_up_to)| {
            if let Some(up_to) = unread_up_to.filter(|_| marks_read) {
                self.0.write_detached("marking read", move |c| {
                    conversations::mark_read(c, viewer, id, up_to)
                });
            }
            detail
        }))
    }
    /// `None` as above. `Forbidden` in a two-person conversation with a block either way.
    pub async fn send_message(
        &self,
        sender: UserId,
        id: ConversationId,
        text: String,
        now: Timestamp,
    ) -> Result<Option<SentMessage>> {
        self.0
            .write("sending a message", move |c| {
                messages::send(c, sender, id, text, now)
            })
            .await
    }

    // --- changes made by commands beside the server --------------------------------------------------------
    /// The newest mark there is; `poll_changes` starts from it.
    pub async fn newest_change(&self) -> Result<i64> {
        self.0.poll("reading marks", |poller| poller.newest()).await
    }
    /// Marks after `after` left by *other* processes, oldest first. Costs a `data_version` read when nothing changed.
    pub async fn poll_changes(&self, after: i64) -> Result<Vec<(i64, Change)>> {
        self.0
            .poll("reading marks", move |poller| poller.poll(after))
            .await
    }
}

/// How long a write may wait for its turn and for a lock.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// How long an address that signed in to an account is remembered.
pub const ADDRESS_MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);
