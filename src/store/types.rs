//! What goes into the store and comes out of it, beside the model.

use crate::model::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Busy, locked, full, read-only or stopping: nothing was changed and nothing will be.
    #[error("the database cannot take this now: {0}")]
    Unavailable(String),
    /// A unique value is taken; the field's name on the wire.
    #[error("{0} is already taken")]
    Conflict(&'static str),
    /// A block stands in the way.
    #[error("not allowed")]
    Forbidden,
    /// The user that the write is for is gone.
    #[error("no such user")]
    NoSuchUser,
    /// The file is no lastseen database.
    #[error("{0} is not a lastseen database")]
    Foreign(PathBuf),
    /// The file was written by a newer lastseen.
    #[error("{path} has schema version {found}, newer than the {known} that this lastseen knows")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// There is no such file, and this command does not create one.
    #[error("{0} does not exist; `lastseen migrate` creates it")]
    Missing(PathBuf),
    /// The schema is older than ours and was not to be migrated.
    #[error("{0} has an older schema; run `lastseen migrate` first")]
    Outdated(PathBuf),
    /// The file is damaged, or cannot be used as it is.
    #[error("{path} cannot be opened: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process holds the lock.
    #[error("another lastseen serves {0} or imports into it; stop it first")]
    Held(PathBuf),
    /// Another prune holds the lock.
    #[error("another prune of {0} is running; wait for it to end, or stop it")]
    Pruning(PathBuf),
    /// A command panicked; its changes were rolled back and the cause logged.
    #[error("internal error while doing: {0}")]
    Panicked(&'static str),
    /// Anything else SQLite says (corrupt, I/O error).
    #[error("{context}: {source}")]
    Sqlite {
        /// What was being done.
        context: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// What the store returns.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// How to open the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Create the file when it is missing.
    pub create: bool,
    /// Apply pending migrations (else an older schema is refused).
    pub migrate: bool,
    /// Open for reading only; no writer is started.
    pub read_only: bool,
    /// `synchronous=FULL` (an acknowledged write survives a power cut) or `NORMAL`.
    pub durability: Durability,
    /// A large page cache for the writer: for a command that writes much while no server runs.
    pub is_bulk: bool,
    /// Read-only connections at most.
    pub readers: u32,
    /// Leave marks for a running server to heed: true for commands, false for the server itself.
    pub mark_changes: bool,
    /// How long a write may wait for its turn and for a lock, and a read for a connection.
    pub write_deadline: Duration,
}

impl Default for Options {
    /// What a command beside a server needs: an existing, current database, and marks.
    fn default() -> Self {
        Self {
            create: false,
            migrate: false,
            read_only: false,
            durability: Durability::Full,
            is_bulk: false,
            readers: 2,
            mark_changes: true,
            write_deadline: super::WRITE_DEADLINE,
        }
    }
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power cut.
    #[default]
    Full,
    /// A crash of the process, not a power cut.
    Normal,
}

/// Counters of the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Transactions committed.
    pub write_batches: u64,
    /// Commands in them.
    pub write_commands: u64,
    /// Commands waiting now.
    pub write_queue: u64,
    /// Commands answered `Unavailable`.
    pub write_refused: u64,
}

/// Presence as the columns of `users` hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceColumns {
    /// Whose.
    pub user_id: UserId,
    /// Online (also within the grace).
    pub is_online: bool,
    /// End of the last complete stretch; `None` leaves the column as it is.
    pub last_seen: Option<Timestamp>,
}

/// What changed in memory since the last flush.
#[derive(Clone, Debug, Default)]
pub struct FlushBatch {
    /// The newest presence per user.
    pub presence: Vec<PresenceColumns>,
    /// The newest state per session (insert or update).
    pub sessions: Vec<SessionRow>,
    /// `last_active_at` per user; moves forward only.
    pub active: Vec<(UserId, Timestamp)>,
    /// `last_used_at` per sign-in; moves forward only.
    pub used: Vec<(SignInId, Timestamp)>,
}

/// A user to create.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// An explicit id, where the host application gives ids.
    pub id: Option<UserId>,
    /// The host application's own id.
    pub external_id: Option<String>,
    /// The name.
    pub username: Username,
    /// PHC string.
    pub password_hash: Option<String>,
    /// The rest.
    pub profile: ProfileFields,
    /// Role.
    pub role: Role,
    /// Now.
    pub created_at: Timestamp,
}

/// What becomes of an identity that is nobody's yet.
#[derive(Clone, Debug)]
pub enum Unlinked {
    /// `Forbidden`.
    Refuse,
    /// It becomes this user's; one that is another's is `Conflict("idToken")`.
    LinkTo(UserId),
    /// It gets a user of its own.
    Create {
        /// Its e-mail address is left out when it is taken.
        account: Box<NewUser>,
        /// What its name may be instead, the first that is free; `Conflict("username")` when none is.
        other_names: Vec<Username>,
    },
}

/// One of a user's identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentitySummary {
    /// Which.
    pub identity: SocialIdentity,
    /// When it was linked.
    pub created_at: Timestamp,
}

/// For checking a password.
#[derive(Clone)]
pub struct Credentials {
    /// Whose.
    pub user_id: UserId,
    /// PHC string; `None` for an account without a password.
    pub password_hash: Option<String>,
}

/// A change to a user.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// A new name.
    pub username: Option<Username>,
    /// Profile fields; `Some("")` empties one.
    pub profile: ProfileFields,
    /// Role.
    pub role: Option<Role>,
    /// Who may see their presence.
    pub activity_status: Option<ActivityStatus>,
    /// PHC string.
    pub password_hash: Option<String>,
}

/// One row of a bulk upsert of users.
#[derive(Clone, Debug)]
pub struct UserUpsert {
    /// Explicit id.
    pub id: Option<UserId>,
    /// The host application's own id.
    pub external_id: Option<String>,
    /// The name.
    pub username: Username,
    /// The fields to set.
    pub profile: ProfileFields,
    /// Role, where the caller may set it.
    pub role: Option<Role>,
}

/// What a bulk upsert of users may do.
#[derive(Clone, Copy, Debug)]
pub struct UpsertRules {
    /// A row that creates a user must carry an `id` (`--jwt-sub id`).
    pub require_id: bool,
    /// A row may change an admin.
    pub may_change_admins: bool,
    /// For `created_at`.
    pub now: Timestamp,
}

/// One row of a bulk upsert of follows.
#[derive(Clone, Debug)]
pub struct FollowUpsert {
    /// Who follows.
    pub follower: String,
    /// Whom.
    pub followee: String,
}

/// What a bulk upsert did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpsertCounts {
    /// New rows.
    pub inserted: usize,
    /// Changed rows.
    pub updated: usize,
    /// Rows that were so already.
    pub unchanged: usize,
}

impl UpsertCounts {
    /// Takes in those of another batch.
    pub fn add(&mut self, more: Self) {
        self.inserted += more.inserted;
        self.updated += more.updated;
        self.unchanged += more.unchanged;
    }
}

/// Whom to look up.
#[derive(Clone, Debug)]
pub enum PeopleRef {
    /// By id.
    Ids(Vec<UserId>),
    /// By username, any case.
    Names(Vec<String>),
}

/// Somebody whose presence a viewer is told.
#[derive(Clone, Debug)]
pub struct Interest {
    /// Who.
    pub id: UserId,
    /// Their name.
    pub username: Username,
    /// Their setting.
    pub activity_status: ActivityStatus,
    /// As stored.
    pub last_seen: Option<Timestamp>,
    /// From the viewer's side.
    pub facts: PairFacts,
}

/// A keyset page: `limit` rows below `before` (a cursor a former page gave).
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where the last page ended.
    pub before: Option<i64>,
    /// Rows at most.
    pub limit: usize,
}

/// A keyset page of conversations.
#[derive(Clone, Copy, Debug)]
pub struct ConversationPage {
    /// Where the last page ended.
    pub before: Option<ConversationCursor>,
    /// Rows at most.
    pub limit: usize,
}

/// Position in the list of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationCursor {
    /// Time of the last message, else of creation.
    pub at: Timestamp,
    /// The conversation there.
    pub id: ConversationId,
}

/// A message.
#[derive(Clone, Debug)]
pub struct MessageRow {
    /// The id.
    pub id: MessageId,
    /// Who wrote it. `None` only for one whose writer was erased when their messages still stayed.
    pub sender_id: Option<UserId>,
    /// Their name.
    pub sender_username: Option<Username>,
    /// What.
    pub text: String,
    /// When.
    pub created_at: Timestamp,
}

/// A conversation in the list.
#[derive(Clone, Debug)]
pub struct ConversationSummary {
    /// The id.
    pub id: ConversationId,
    /// Two people, or more.
    pub is_group: bool,
    /// Everyone in it, the viewer too, in the order they were added.
    pub participants: Vec<Person>,
    /// The newest message.
    pub last_message: Option<MessageRow>,
    /// Messages of others since the viewer last read.
    pub unread_count: i64,
}

/// A conversation with messages.
#[derive(Clone, Debug)]
pub struct ConversationDetail {
    /// The id.
    pub id: ConversationId,
    /// Two people, or more.
    pub is_group: bool,
    /// Everyone in it, the viewer too.
    pub participants: Vec<Person>,
    /// Newest first.
    pub messages: Vec<MessageRow>,
    /// Cursor of the next page.
    pub next: Option<i64>,
}

/// A message that was sent.
#[derive(Clone, Debug)]
pub struct SentMessage {
    /// The message.
    pub message: MessageRow,
    /// Everyone else in the conversation.
    pub recipients: Vec<UserId>,
    /// The sender's first message there: contacts have changed.
    pub is_first: bool,
}

/// A sign-in to store.
#[derive(Clone, Debug)]
pub struct NewSignIn {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// Now.
    pub created_at: Timestamp,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// From where.
    pub client: Arc<ClientInfo>,
}

/// A live sign-in with what requests need of its user.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The id.
    pub id: SignInId,
    /// Whose.
    pub user_id: UserId,
    /// Their name.
    pub username: Username,
    /// Their role.
    pub role: Role,
    /// Their setting.
    pub activity_status: ActivityStatus,
    /// When.
    pub created_at: Timestamp,
    /// Until.
    pub expires_at: Timestamp,
}

/// A sign-in as its user sees it in the list of their own.
#[derive(Clone, Debug)]
pub struct SignInSummary {
    /// The id.
    pub id: SignInId,
    /// When.
    pub created_at: Timestamp,
    /// Until.
    pub expires_at: Timestamp,
    /// Last request, message or open connection with it, as stored: at most a minute behind what `presence` knows.
    pub last_used_at: Timestamp,
    /// From where.
    pub client: ClientInfo,
}

/// An API key without its secret.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The id.
    pub id: ApiKeyId,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: KeyRole,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What another process changed, for a running server to heed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One user's row: role, password, profile, setting.
    User(UserId),
    /// A user was erased.
    UserErased(UserId),
    /// Many users or follows at once.
    Graph,
    /// API keys.
    Keys,
    /// A user's sign-ins were revoked.
    SignIns(UserId),
}
