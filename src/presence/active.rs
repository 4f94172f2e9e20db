//! When each user was last active: newest in memory, in the store at most once a minute per user.

use super::dirty::Dirty;
use crate::model::{SignInId, Timestamp, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const SHARDS: usize = 16;

/// A user's last activity is written at most this often.
const WRITE_EVERY: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
struct Active {
    at: Timestamp,
    written: Timestamp,
    sign_in: Option<SignInId>,
}

/// The newest activity of each user who was active lately. Users who have not been for a minute are written and
/// dropped by `sweep`, which bounds it.
pub struct LastActive {
    shards: Box<[Mutex<HashMap<UserId, Active>>]>,
    dirty: Arc<Dirty>,
}

impl LastActive {
    pub(super) fn new(dirty: Arc<Dirty>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            dirty,
        }
    }

    fn shard(&self, user: UserId) -> &Mutex<HashMap<UserId, Active>> {
        &self.shards[user.0.unsigned_abs() as usize % SHARDS]
    }

    /// A user made an authenticated request or sent a realtime message. Never waits.
    pub fn touch(&self, user: UserId, sign_in: Option<SignInId>, at: Timestamp) {
        let mut shard = self.shard(user).lock();
        let write = match shard.get_mut(&user) {
            Some(active) => {
                active.at = active.at.max(at);
                active.sign_in = sign_in.or(active.sign_in);
                let due = active.at.since(active.written) >= WRITE_EVERY;
                if due {
                    active.written = active.at;
                }
                due
            }
            None => {
                let active = Active {
                    at,
                    written: at,
                    sign_in,
                };
                shard.insert(user, active);
                true
            }
        };
        drop(shard);
        if write {
            self.dirty.active(user, sign_in, at);
        }
    }

    /// The newest activity that the store may not have yet.
    pub fn get(&self, user: UserId) -> Option<Timestamp> {
        self.shard(user).lock().get(&user).map(|active| active.at)
    }

    /// Writes and drops users who have not been active since `before`.
    pub fn sweep(&self, before: Timestamp) {
        for shard in &self.shards {
            shard.lock().retain(|user, active| {
                let keep = active.at >= before;
                if !keep && active.at > active.written {
                    // Kept once more, until the store has it.
                    active.written = active.at;
                    self.dirty.active(*user, active.sign_in, active.at);
                    return true;
                }
                keep
            });
        }
    }

    /// Writes everything that is not written, because the server stops.
    pub fn write_all(&self) {
        for shard in &self.shards {
            for (user, active) in shard
                .lock()
                .iter_mut()
                .filter(|(_, active)| active.at > active.written)
            {
                active.written = active.at;
                self.dirty.active(*user, active.sign_in, active.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: UserId = UserId(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn written(dirty: &Dirty) -> Vec<Timestamp> {
        let batch = dirty.take();
        dirty.written();
        batch
            .map(|b| b.active.into_iter().map(|(_, at)| at).collect())
            .unwrap_or_default()
    }

    #[test]
    fn written_at_most_once_a_minute_but_shown_at_once() {
        let dirty = Arc::new(Dirty::default());
        let active = LastActive::new(dirty.clone());
        active.touch(ANN, None, at(0));
        assert_eq!(written(&dirty), [at(0)]);
        active.touch(ANN, None, at(59));
        assert_eq!(written(&dirty), []);
        assert_eq!(active.get(ANN), Some(at(59)));
        active.touch(ANN, None, at(60));
        assert_eq!(written(&dirty), [at(60)]);
        active.touch(ANN, None, at(10));
        assert_eq!(active.get(ANN), Some(at(60)), "only forward");
    }

    #[test]
    fn nobody_is_dropped_with_a_time_that_the_store_has_not() {
        let dirty = Arc::new(Dirty::default());
        let active = LastActive::new(dirty.clone());
        active.touch(ANN, None, at(0));
        active.touch(ANN, None, at(30));
        written(&dirty);
        active.sweep(at(200));
        assert_eq!(written(&dirty), [at(30)]);
        assert_eq!(active.get(ANN), Some(at(30)));
        active.sweep(at(200));
        assert_eq!(active.get(ANN), None);
    }
}
