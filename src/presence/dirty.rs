//! What changed in memory and is not in the store yet: the newest value per user, session and sign-in.

use crate::model::{SessionId, SessionRow, SignInId, Timestamp, UserId};
use crate::store::{FlushBatch, PresenceColumns};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use tokio::sync::Notify;

/// The dirty set. Bounded by the number of users, sessions and sign-ins: a newer value replaces an older one.
#[derive(Default)]
pub struct Dirty {
    changed: Mutex<Changed>,
    notify: Notify,
}

#[derive(Default)]
struct Changed {
    presence: HashMap<UserId, PresenceColumns>,
    sessions: HashMap<SessionId, SessionRow>,
    active: HashMap<UserId, Timestamp>,
    used: HashMap<SignInId, Timestamp>,
    /// Whose columns were taken and are neither written nor put back; `None` when nothing was.
    writing: Option<HashSet<UserId>>,
}

impl Changed {
    fn is_empty(&self) -> bool {
        self.presence.is_empty()
            && self.sessions.is_empty()
            && self.active.is_empty()
            && self.used.is_empty()
    }
}

impl Dirty {
    /// A user's presence columns. A last seen that was not written yet is kept until there is a newer one.
    pub fn presence(&self, columns: PresenceColumns) {
        let mut changed = self.changed.lock();
        let newest = changed.presence.entry(columns.user_id).or_insert(columns);
        newest.is_online = columns.is_online;
        newest.last_seen = newest.last_seen.max(columns.last_seen);
        drop(changed);
        self.notify.notify_one();
    }

    /// A session that began, ended or was resumed.
    pub fn session(&self, row: SessionRow) {
        self.changed.lock().sessions.insert(row.id, row);
        self.notify.notify_one();
    }

    /// A user was active.
    pub fn active(&self, user: UserId, at: Timestamp) {
        self.changed.lock().active.insert(user, at);
        self.notify.notify_one();
    }

    /// A sign-in was used; moves forward only.
    pub fn used(&self, sign_in: SignInId, at: Timestamp) {
        let mut changed = self.changed.lock();
        let newest = changed.used.entry(sign_in).or_insert(at);
        *newest = at.max(*newest);
        drop(changed);
        self.notify.notify_one();
    }

    /// Whether the store has a user's presence columns: none wait and none are being written.
    pub fn is_written(&self, user: UserId) -> bool {
        let changed = self.changed.lock();
        let writing = changed.writing.as_ref();
        !changed.presence.contains_key(&user) && writing.is_none_or(|users| !users.contains(&user))
    }

    /// Users and sessions that wait to be written.
    pub fn len(&self) -> usize {
        let changed = self.changed.lock();
        changed.presence.len() + changed.sessions.len() + changed.active.len()
    }

    /// Waits until there is something to write.
    pub async fn wait(&self) {
        loop {
            if !self.changed.lock().is_empty() {
                return;
            }
            self.notify.notified().await;
        }
    }

    /// Takes everything; `None` when there is nothing. `written` or `put_back` must follow.
    pub fn take(&self) -> Option<FlushBatch> {
        let mut held = self.changed.lock();
        if held.is_empty() {
            return None;
        }
        let changed = std::mem::take(&mut *held);
        held.writing = Some(changed.presence.keys().copied().collect());
        Some(FlushBatch {
            presence: changed.presence.into_values().collect(),
            sessions: changed.sessions.into_values().collect(),
            active: changed.active.into_iter().collect(),
            used: changed.used.into_iter().collect(),
        })
    }

    /// What was taken is in the store.
    pub fn written(&self) {
        self.changed.lock().writing = None;
    }

    /// Puts back what could not be written, under whatever has changed since.
    pub fn put_back(&self, batch: FlushBatch) {
        let mut changed = self.changed.lock();
        changed.writing = None;
        for columns in batch.presence {
            let newer = changed.presence.entry(columns.user_id).or_insert(columns);
            newer.last_seen = newer.last_seen.max(columns.last_seen);
        }
        for row in batch.sessions {
            changed.sessions.entry(row.id).or_insert(row);
        }
        for (user, at) in batch.active {
            let newest = changed.active.entry(user).or_insert(at);
            *newest = at.max(*newest);
        }
        for (id, at) in batch.used {
            let newest = changed.used.entry(id).or_insert(at);
            *newest = at.max(*newest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(is_online: bool, last_seen: Option<i64>) -> PresenceColumns {
        PresenceColumns {
            user_id: UserId(1),
            is_online,
            last_seen: last_seen.map(Timestamp::from_millis),
        }
    }

    #[test]
    fn what_failed_never_overwrites_what_is_newer() {
        let dirty = Dirty::default();
        dirty.presence(columns(false, Some(5)));
        dirty.active(UserId(1), Timestamp::from_millis(9));
        let failed = dirty.take().expect("two values");
        assert!(dirty.take().is_none());
        dirty.presence(columns(true, None));
        dirty.active(UserId(1), Timestamp::from_millis(7));
        dirty.put_back(failed);
        assert!(!dirty.is_written(UserId(1)) && dirty.is_written(UserId(2)));
        let batch = dirty.take().expect("merged");
        assert_eq!(
            batch.presence,
            [columns(true, Some(5))],
            "online is newer, last seen must not be lost"
        );
        assert_eq!(batch.active, [(UserId(1), Timestamp::from_millis(9))]);
        assert!(!dirty.is_written(UserId(1)), "taken is not yet written");
        dirty.written();
        assert!(dirty.is_written(UserId(1)));
    }
}
