//! When each user was last active and each sign-in last used: newest in memory, in the store at most once a minute.

use super::dirty::Dirty;
use crate::model::{SignInId, Timestamp, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

const SHARDS: usize = 16;

/// A last activity is written at most this often, so what the store has is never further behind than this.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// The newest activity of each user, and the newest use of each sign-in, of late. What was not seen for a while is
/// written and dropped by `sweep`, which bounds it.
pub struct LastActive {
    users: Newest<UserId>,
    sign_ins: Newest<SignInId>,
    dirty: Arc<Dirty>,
}

impl LastActive {
    pub(super) fn new(dirty: Arc<Dirty>) -> Self {
        Self {
            users: Newest::new(|user| user.0),
            sign_ins: Newest::new(|sign_in| sign_in.0),
            dirty,
        }
    }

    /// A user made an authenticated request or sent a realtime message. Never waits.
    pub fn touch(&self, user: UserId, sign_in: Option<SignInId>, at: Timestamp) {
        if self.users.touch(user, at) {
            self.dirty.active(user, at);
        }
        if let Some(sign_in) = sign_in {
            self.used(sign_in, at);
        }
    }

    /// A sign-in was used until `at`, which is no sign of life of its user.
    pub fn used(&self, sign_in: SignInId, at: Timestamp) {
        if self.sign_ins.touch(sign_in, at) {
            self.dirty.used(sign_in, at);
        }
    }

    /// A user's newest activity that the store may not have yet.
    pub fn get(&self, user: UserId) -> Option<Timestamp> {
        self.users.get(user)
    }

    /// Each user's newest activity that the store may not have yet.
    pub fn all(&self) -> Vec<(UserId, Timestamp)> {
        self.users.all()
    }

    /// A sign-in's newest use that the store may not have yet.
    pub fn last_used(&self, sign_in: SignInId) -> Option<Timestamp> {
        self.sign_ins.get(sign_in)
    }

    /// Writes and drops what was not seen since `before`.
    pub fn sweep(&self, before: Timestamp) {
        let (users, sign_ins) = (&self.users, &self.sign_ins);
        users.sweep(before, |user, at| self.dirty.active(user, at));
        sign_ins.sweep(before, |sign_in, at| self.dirty.used(sign_in, at));
    }

    /// Writes everything that is not written, because the server stops.
    pub fn write_all(&self) {
        let (users, sign_ins) = (&self.users, &self.sign_ins);
        users.write_all(|user, at| self.dirty.active(user, at));
        sign_ins.write_all(|sign_in, at| self.dirty.used(sign_in, at));
    }
}

#[derive(Clone, Copy)]
struct Seen {
    at: Timestamp,
    written: Timestamp,
}

/// The newest time by id, and the newest that was given to be written.
struct Newest<K> {
    shards: Box<[Mutex<HashMap<K, Seen>>]>,
    number: fn(K) -> i64,
}

impl<K: Copy + Eq + Hash> Newest<K> {
    fn new(number: fn(K) -> i64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            number,
        }
    }

    fn shard(&self, key: K) -> &Mutex<HashMap<K, Seen>> {
        &self.shards[(self.number)(key).unsigned_abs() as usize % SHARDS]
    }

    /// Moves forward only; whether `at` is to be written now.
    fn touch(&self, key: K, at: Timestamp) -> bool {
        let mut shard = self.shard(key).lock();
        let Some(seen) = shard.get_mut(&key) else {
            shard.insert(key, Seen { at, written: at });
            return true;
        };
        seen.at = seen.at.max(at);
        let is_due = seen.at.since(seen.written) >= WRITE_EVERY;
        if is_due {
            seen.written = seen.at;
        }
        is_due
    }

    fn get(&self, key: K) -> Option<Timestamp> {
        self.shard(key).lock().get(&key).map(|seen| seen.at)
    }

    fn all(&self) -> Vec<(K, Timestamp)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().iter().map(|(key, seen)| (*key, seen.at)));
        }
        all
    }

    fn sweep(&self, before: Timestamp, write: impl Fn(K, Timestamp)) {
        for shard in &self.shards {
            shard.lock().retain(|key, seen| {
                let keep = seen.at >= before;
                if !keep && seen.at > seen.written {
                    // Kept once more, until the store has it.
                    seen.written = seen.at;
                    write(*key, seen.at);
                    return true;
                }
                keep
            });
        }
    }

    fn write_all(&self, write: impl Fn(K, Timestamp)) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let unwritten = shard.iter_mut().filter(|(_, seen)| seen.at > seen.written);
            for (key, seen) in unwritten {
                seen.written = seen.at;
                write(*key, seen.at);
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

    #[test]
    fn each_sign_in_has_its_own_last_use() {
        let dirty = Arc::new(Dirty::default());
        let active = LastActive::new(dirty.clone());
        let (phone, laptop) = (SignInId(1), SignInId(2));
        active.touch(ANN, Some(phone), at(0));
        active.touch(ANN, Some(laptop), at(30));
        active.touch(ANN, Some(phone), at(59));
        active.used(laptop, at(20));
        assert_eq!(active.last_used(phone), Some(at(59)));
        assert_eq!(active.last_used(laptop), Some(at(30)), "only forward");
        let used = || {
            let batch = dirty.take().expect("something");
            dirty.written();
            let mut used = batch.used;
            used.sort();
            used
        };
        assert_eq!(used(), [(phone, at(0)), (laptop, at(30))]);
        // A minute after the last write of the laptop's own, whatever the phone does.
        active.touch(ANN, Some(laptop), at(90));
        assert_eq!(used(), [(laptop, at(90))]);
        active.write_all();
        assert_eq!(used(), [(phone, at(59))]);
        active.sweep(at(300));
        assert_eq!(active.last_used(phone), None);
    }
}
