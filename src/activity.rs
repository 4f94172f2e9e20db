//! The activity log as a service: what may be logged, by whom, and what the server logs by itself.
//!
//! What is sent is checked here and committed before it is answered; what the server notices itself (sign-ins,
//! follows, messages) goes through a queue and delays nobody. Both end in the store's one verb for a batch, and in
//! [`Recent`], from which a live view is fed. Who is sending, and the answer's shape, is the handlers'.

pub mod actions;
pub mod items;
mod recent;
mod recorder;
mod running;

pub use items::{Author, NewActivity, Rules};
pub use recent::Recent;

use crate::bus::live::Live;
use crate::error::{Error, Result};
use crate::model::*;
use crate::store::{ActivityBatch, Idempotency, Logged, Store, StoreError};
use crate::tasks::Tasks;
use actions::{LOGIN, LOGOUT, MESSAGE_SENT, USER_FOLLOWED};
use recorder::Recorder;
use running::Running;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Items of one request at most.
pub const MAX_ITEMS: usize = 1_000;

/// Characters of an `Idempotency-Key` at most.
pub const MAX_KEY: usize = 255;

/// The header in which a request says that it may be a repetition.
pub const KEY_HEADER: &str = "Idempotency-Key";

/// A request that may be a repetition.
#[derive(Clone, Debug)]
pub struct RequestKey {
    /// What its sender calls it.
    pub key: String,
    /// SHA-256 of its body.
    pub hash: [u8; 32],
}

/// What was logged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Accepted {
    /// How many.
    pub accepted: u64,
    /// Their ids, in the order sent.
    pub ids: Vec<ActivityId>,
}

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With a password, or by signing up.
    Email,
    /// With a provider's token.
    Social(Provider),
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Social(provider) => provider.as_str(),
        }
    }
}

/// The activity service; cheap to clone.
#[derive(Clone)]
pub struct ActivityService(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    rules: Rules,
    running: Running,
    recent: Arc<Recent>,
    recorder: Arc<Recorder>,
}

impl ActivityService {
    /// On `store`, with nothing logged yet; what is logged is published on `live`.
    pub fn new(store: Store, clock: Clock, rules: Rules, live: Live) -> Self {
        Self::with_queue(store, clock, rules, live, recorder::WAITING)
    }

    fn with_queue(store: Store, clock: Clock, rules: Rules, live: Live, waiting: usize) -> Self {
        let recent = Arc::new(Recent::new(live));
        let recorder = Arc::new(Recorder::new(store.clone(), recent.clone(), waiting));
        Self(Arc::new(Inner {
            store,
            clock,
            rules,
            running: Running::default(),
            recent,
            recorder,
        }))
    }

    /// Starts writing what the server logs by itself.
    pub fn start(&self, tasks: &Tasks) {
        self.0.recorder.start(tasks);
    }

    /// Writes what waits, because the server stops; to be called when the background work has ended and no request is
    /// left. Takes a few seconds at most.
    pub async fn drain(&self) {
        self.0.recorder.drain().await;
    }

    /// The newest activities, and how to follow them.
    pub fn recent(&self) -> &Recent {
        &self.0.recent
    }

    /// Activities that the server noticed and could not log.
    pub fn dropped(&self) -> u64 {
        self.0.recorder.dropped()
    }

    // --- what is sent -------------------------------------------------------------------------------------

    /// Logs what was sent, all or nothing. With a key the answer is kept, and given again when the same is sent again
    /// under it.
    ///
    /// # Errors
    /// `InvalidItems`, `IncompleteItems` or `ForbiddenItems` name each bad item; `Conflict` while a request with the
    /// same key runs, `Invalid` when something else was sent under it.
    pub async fn log(
        &self,
        author: &Author,
        items: Vec<NewActivity>,
        key: Option<RequestKey>,
    ) -> Result<Accepted> {
        let inner = &self.0;
        if items.is_empty() || items.len() > MAX_ITEMS {
            let message = format!("must have 1 to {MAX_ITEMS} items");
            return Err(Error::invalid("body", message));
        }
        let now = inner.clock.now();
        let caller = author.caller();
        let turn = key
            .as_ref()
            .map(|key| inner.running.take(&caller, &key.key));
        if let Some(None) = turn {
            return Err(Error::Conflict {
                field: KEY_HEADER,
                message: "is of a request that is still running".into(),
            });
        }
        let mut idempotency = key.map(|key| Idempotency {
            caller,
            key: key.key,
            request_hash: key.hash,
            answer: String::new(),
            now,
        });
        // Before anything is checked: what was right then may be wrong by now, and is answered as it was.
        if let Some(key) = &idempotency
            && let Some(logged) = inner.store.kept_answer(key.clone()).await?
        {
            return replayed(logged);
        }
        let rows = items::check(&inner.store, inner.rules, author, items, now).await?;
        let accepted = Accepted {
            accepted: rows.len() as u64,
            ids: rows.iter().map(|row| row.activity.id).collect(),
        };
        if let Some(key) = &mut idempotency {
            key.answer = serde_json::to_string(&accepted).map_err(Error::internal)?;
        }
        let (active, logins) = match author {
            // Their request was counted when it came.
            Author::User { .. } => Default::default(),
            Author::Key(_) => (
                latest(&rows, now, |_| true),
                latest(&rows, now, |row| row.action == LOGIN),
            ),
        };
        let logged = inner.store.log_activities(ActivityBatch {
            rows: rows.iter().map(|row| row.activity.clone()).collect(),
            skip_erased: false,
            active,
            logins,
            idempotency,
        });
        match logged.await {
            Ok(Logged::Written(_)) => {
                inner.recent.add(rows);
                Ok(accepted)
            }
            Ok(other) => replayed(other),
            // Somebody was erased since they were looked up.
            Err(StoreError::NoSuchUser) => match author {
                Author::User { .. } => Err(Error::Unauthorized),
                Author::Key(_) => Err(Error::invalid("userId", "is of a user who was erased")),
            },
            Err(error) => Err(error.into()),
        }
    }

    // --- what the server notices --------------------------------------------------------------------------

    /// Somebody signed in.
    pub fn signed_in(&self, user: UserId, name: &Username, method: Method, client: &ClientInfo) {
        let mut metadata = json!({ "method": method.as_str() });
        if let Some(device) = client.device_type {
            metadata["device"] = device.as_str().into();
        }
        self.record(user, name, LOGIN, None, metadata, client);
    }

    /// Somebody signed out of a sign-in made at `since`.
    pub fn signed_out(&self, user: UserId, name: &Username, since: Timestamp, client: &ClientInfo) {
        let seconds = self.0.clock.now().since(since).as_secs();
        let metadata = json!({ "duration_seconds": seconds });
        self.record(user, name, LOGOUT, None, metadata, client);
    }

    /// Somebody follows `whom` who did not before.
    pub fn followed(&self, user: UserId, name: &Username, whom: UserId, client: &ClientInfo) {
        let metadata = json!({ "targetUserId": whom.0 });
        let target = Some(whom.to_string());
        self.record(user, name, USER_FOLLOWED, target, metadata, client);
    }

    /// Somebody wrote to a conversation.
    pub fn message_sent(
        &self,
        user: UserId,
        name: &Username,
        to: ConversationId,
        client: &ClientInfo,
    ) {
        let metadata = json!({ "conversationId": to.0 });
        let target = Some(to.to_string());
        self.record(user, name, MESSAGE_SENT, target, metadata, client);
    }

    fn record(
        &self,
        user_id: UserId,
        username: &Username,
        action: &str,
        target_id: Option<String>,
        metadata: Value,
        client: &ClientInfo,
    ) {
        let target_type = actions::known(action).and_then(|known| known.target_type);
        let timestamp = self.0.clock.now();
        self.0.recorder.record(LoggedActivity {
            username: username.clone(),
            activity: Activity {
                id: ActivityId::new(timestamp),
                user_id,
                action: action.to_owned(),
                target_type: target_type.map(str::to_owned),
                target_id,
                metadata: Some(metadata.to_string()),
                ip_address: client.ip_address.clone(),
                device_type: client.device_type,
                country_code: client.country_code.clone(),
                region: client.region.clone(),
                timestamp,
            },
        });
    }
}

fn replayed(logged: Logged) -> Result<Accepted> {
    match logged {
        Logged::Replayed(answer) => serde_json::from_str(&answer).map_err(Error::internal),
        Logged::KeyReused => Err(Error::invalid(
            KEY_HEADER,
            "was used before, for another body",
        )),
        Logged::Written(_) => Err(Error::internal("nothing was to be written")),
    }
}

/// Each user's latest time among the rows wanted, at most `now`.
fn latest(
    rows: &[LoggedActivity],
    now: Timestamp,
    is_wanted: impl Fn(&Activity) -> bool,
) -> Vec<(UserId, Timestamp)> {
    let mut latest = HashMap::new();
    for row in rows.iter().map(|row| &row.activity) {
        if is_wanted(row) {
            let at = row.timestamp.min(now);
            let newest = latest.entry(row.user_id).or_insert(at);
            *newest = (*newest).max(at);
        }
    }
    latest.into_iter().collect()
}

#[cfg(test)]
mod tests;
