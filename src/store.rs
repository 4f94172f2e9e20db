//! The store: domain verbs in front, SQLite behind.
//!
//! One writer thread with group commit, a pool of read-only connections, and nothing of SQL in any signature,
//! so that another back end can stand beside this one without touching a handler or a service. Every method is
//! async and runs its work off the async threads; every write completes even when its caller goes away, and is
//! answered only after its commit.

pub mod types;

pub use types::*;

use crate::model::*;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A handle on the store; cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<()>);

impl Store {
    /// Opens an existing or new database (`options.create`), checks that it is ours and not newer, migrates it
    /// when `options.migrate`, and starts the writer and checkpoint threads.
    pub fn open(_path: &Path, _options: Options) -> Result<Self> {
        unimplemented!()
    }
    /// Stops taking writes, commits what is queued, checkpoints, and joins the threads. Idempotent.
    pub async fn close(&self) {
        unimplemented!()
    }
    /// Whether this is a read-only database: reads work and every write is `Unavailable`.
    pub fn is_read_only(&self) -> bool {
        unimplemented!()
    }
    /// Proves that a read works now (and, unless read-only, says whether the writer is stuck).
    pub async fn ready(&self) -> Result<()> {
        unimplemented!()
    }
    /// Counters for `/metrics`.
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }

    // --- boots and presence -------------------------------------------------------------------------------
    /// Closes what earlier boots left open (sessions: end = the later of own start and that boot's last proof of
    /// life, reason crash; users online: offline, last seen = that moment, or for a user in grace the end of
    /// their last session), and begins a new boot.
    pub async fn begin_boot(&self, _now: Timestamp) -> Result<BootId> {
        unimplemented!()
    }
    /// Renews the proof of life.
    pub async fn prove_life(&self, _boot: BootId, _now: Timestamp) -> Result<()> {
        unimplemented!()
    }
    /// Marks the boot as ended in good order.
    pub async fn end_boot(&self, _boot: BootId, _now: Timestamp) -> Result<()> {
        unimplemented!()
    }
    /// Writes what changed in memory since the last flush, all in one transaction. Rows of users who were
    /// erased meanwhile are left out.
    pub async fn flush(&self, _boot: BootId, _batch: FlushBatch) -> Result<()> {
        unimplemented!()
    }

    // --- users -------------------------------------------------------------------------------------------
    /// Creates a user. `Conflict("username" | "email" | "externalId" | "id")` when taken.
    pub async fn create_user(&self, _user: NewUser) -> Result<UserId> {
        unimplemented!()
    }
    /// By id.
    pub async fn user(&self, _id: UserId) -> Result<Option<User>> {
        unimplemented!()
    }
    /// By username, any case.
    pub async fn user_by_username(&self, _username: &str) -> Result<Option<User>> {
        unimplemented!()
    }
    /// By the host application's id.
    pub async fn user_by_external_id(&self, _external_id: &str) -> Result<Option<User>> {
        unimplemented!()
    }
    /// For password sign-in: by username, or by e-mail when `login` has an `@`.
    pub async fn credentials(&self, _login: &str) -> Result<Option<Credentials>> {
        unimplemented!()
    }
    /// Keyset page of all users by id, for `user list`.
    pub async fn users_page(&self, _after: Option<UserId>, _limit: usize) -> Result<Vec<User>> {
        unimplemented!()
    }
    /// Changes a user; `false` when there is none. A value of `Some("")` empties an optional field.
    pub async fn update_user(&self, _id: UserId, _change: UserChange) -> Result<bool> {
        unimplemented!()
    }
    /// Erases a user and all that hangs on them (cascades).
    pub async fn delete_user(&self, _id: UserId) -> Result<bool> {
        unimplemented!()
    }
    /// Bulk upsert, matched by `id`, else `externalId`, else `username`; all or nothing, the bad items named.
    /// One error per item at most. `insert_only_ids`: refuse rows that would create a user without an explicit id.
    pub async fn upsert_users(
        &self,
        _users: Vec<UserUpsert>,
        _rules: UpsertRules,
    ) -> Result<std::result::Result<UpsertCounts, Vec<(usize, FieldError)>>> {
        unimplemented!()
    }
    /// Bulk upsert of follows (usernames); all or nothing, the bad items named.
    pub async fn upsert_follows(
        &self,
        _follows: Vec<FollowUpsert>,
    ) -> Result<std::result::Result<UpsertCounts, Vec<(usize, FieldError)>>> {
        unimplemented!()
    }

    // --- people with pair facts --------------------------------------------------------------------------
    /// These users as `viewer` sees them (facts from the viewer's side; `None`: a stranger, no facts), in the
    /// order asked; unknown ones are `None`.
    pub async fn people(
        &self,
        _viewer: Option<UserId>,
        _who: PeopleRef,
    ) -> Result<Vec<Option<Person>>> {
        unimplemented!()
    }
    /// A profile as `viewer` sees it.
    pub async fn profile(
        &self,
        _viewer: Option<UserId>,
        _username: &str,
    ) -> Result<Option<(User, PairFacts)>> {
        unimplemented!()
    }
    /// The facts of one pair.
    pub async fn pair_facts(&self, _viewer: UserId, _subject: UserId) -> Result<PairFacts> {
        unimplemented!()
    }
    /// Everyone whose audience `viewer` may be in: followees (if `followees`) and conversation partners (if
    /// `partners`), with facts, settings and last seen; also all in `extra` whatever the facts.
    pub async fn interests(
        &self,
        _viewer: UserId,
        _followees: bool,
        _partners: bool,
        _extra: Vec<UserId>,
    ) -> Result<Vec<Interest>> {
        unimplemented!()
    }

    // --- follow and block --------------------------------------------------------------------------------
    /// `Ok(true)` when it is new; `Forbidden` when one blocks the other.
    pub async fn follow(
        &self,
        _follower: UserId,
        _followee: UserId,
        _now: Timestamp,
    ) -> Result<bool> {
        unimplemented!()
    }
    pub async fn unfollow(&self, _follower: UserId, _followee: UserId) -> Result<bool> {
        unimplemented!()
    }
    /// Also removes follows both ways.
    pub async fn block(&self, _blocker: UserId, _blocked: UserId, _now: Timestamp) -> Result<bool> {
        unimplemented!()
    }
    pub async fn unblock(&self, _blocker: UserId, _blocked: UserId) -> Result<bool> {
        unimplemented!()
    }
    /// Newest first; the second value is the cursor of the next page.
    pub async fn followers(
        &self,
        _viewer: Option<UserId>,
        _of: UserId,
        _page: Page,
    ) -> Result<(Vec<Person>, Option<i64>)> {
        unimplemented!()
    }
    pub async fn following(
        &self,
        _viewer: Option<UserId>,
        _of: UserId,
        _page: Page,
    ) -> Result<(Vec<Person>, Option<i64>)> {
        unimplemented!()
    }
    pub async fn blocks(&self, _of: UserId, _page: Page) -> Result<(Vec<Person>, Option<i64>)> {
        unimplemented!()
    }

    // --- messages ----------------------------------------------------------------------------------------
    /// The two-person conversation that there is (`created: false`), or a new one. `Forbidden` when the creator
    /// and a participant block each other; `Invalid("participants")` for unknown names is the caller's to check.
    pub async fn create_conversation(
        &self,
        _creator: UserId,
        _others: Vec<UserId>,
        _now: Timestamp,
    ) -> Result<(ConversationId, bool)> {
        unimplemented!()
    }
    /// Newest first by last message, else creation.
    pub async fn conversations(
        &self,
        _viewer: UserId,
        _page: ConversationPage,
    ) -> Result<(Vec<ConversationSummary>, Option<ConversationCursor>)> {
        unimplemented!()
    }
    /// `None` when there is none or `viewer` is no participant (the two are not told apart). Marks read up to the
    /// newest message, not waiting for that write.
    pub async fn conversation(
        &self,
        _viewer: UserId,
        _id: ConversationId,
        _page: Page,
    ) -> Result<Option<ConversationDetail>> {
        unimplemented!()
    }
    /// `None` as above. `Forbidden` in a two-person conversation with a block either way.
    pub async fn send_message(
        &self,
        _sender: UserId,
        _id: ConversationId,
        _text: String,
        _now: Timestamp,
    ) -> Result<Option<SentMessage>> {
        unimplemented!()
    }

    // --- sign-ins and keys -------------------------------------------------------------------------------
    /// Stores a sign-in and sets `last_login_at` and `last_active_at` in the same transaction.
    pub async fn create_sign_in(&self, _new: NewSignIn) -> Result<SignInId> {
        unimplemented!()
    }
    /// A live one by token hash, with its user.
    pub async fn sign_in_by_hash(&self, _hash: [u8; 32]) -> Result<Option<SignIn>> {
        unimplemented!()
    }
    /// Whether something was revoked.
    pub async fn revoke_sign_in(&self, _user: UserId, _id: SignInId) -> Result<bool> {
        unimplemented!()
    }
    /// All of a user's; the ids.
    pub async fn revoke_sign_ins(&self, _user: UserId) -> Result<Vec<SignInId>> {
        unimplemented!()
    }
    /// Removes expired ones, in bounded batches.
    pub async fn purge_expired(&self, _now: Timestamp) -> Result<usize> {
        unimplemented!()
    }
    /// `Conflict("name")` when a live key has that name.
    pub async fn create_api_key(
        &self,
        _name: &str,
        _role: KeyRole,
        _hash: [u8; 32],
        _now: Timestamp,
    ) -> Result<ApiKeyId> {
        unimplemented!()
    }
    pub async fn api_key_by_hash(&self, _hash: [u8; 32]) -> Result<Option<ApiKey>> {
        unimplemented!()
    }
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        unimplemented!()
    }
    /// By id or name.
    pub async fn revoke_api_key(&self, _id_or_name: &str, _now: Timestamp) -> Result<bool> {
        unimplemented!()
    }
    /// A random 32-byte secret of this database by name, made on first use (keys the hashes below).
    pub async fn secret(&self, _name: &'static str) -> Result<[u8; 32]> {
        unimplemented!()
    }
    /// Remembers that this address (as a keyed hash with the account) signed in to the account.
    pub async fn remember_address(&self, _hash: [u8; 32], _now: Timestamp) -> Result<()> {
        unimplemented!()
    }
    /// Whether it did since `since`.
    pub async fn knows_address(&self, _hash: [u8; 32], _since: Timestamp) -> Result<bool> {
        unimplemented!()
    }

    // --- changes made by commands beside the server --------------------------------------------------------
    /// The newest mark there is; `poll_changes` starts from it.
    pub async fn newest_change(&self) -> Result<i64> {
        unimplemented!()
    }
    /// Marks after `after` left by *other* processes, oldest first. Costs a `data_version` read when nothing changed.
    pub async fn poll_changes(&self, _after: i64) -> Result<Vec<(i64, Change)>> {
        unimplemented!()
    }
}

/// How long a write may wait for its turn and for a lock.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(5);
