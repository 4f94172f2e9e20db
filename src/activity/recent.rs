//! The newest activities, in memory, and who is told of each new one.

use crate::model::{LoggedActivity, UserId};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Rows kept.
const KEPT: usize = 1_000;

/// Rows that wait for a subscriber who is slow; one who is slower misses the oldest and is told how many.
const WAITING: usize = 1_024;

/// Users remembered as erased: a row of theirs may be committed before that and added after it.
const ERASED: usize = 256;

/// The newest activities that this process has committed, in the order in which their commits were answered.
pub struct Recent {
    kept: Mutex<Kept>,
    told: broadcast::Sender<Arc<LoggedActivity>>,
}

#[derive(Default)]
struct Kept {
    rows: VecDeque<Arc<LoggedActivity>>,
    erased: VecDeque<UserId>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            told: broadcast::channel(WAITING).0,
        }
    }
}

impl Recent {
    /// Adds what is committed and tells the subscribers.
    pub(super) fn add(&self, rows: impl IntoIterator<Item = LoggedActivity>) {
        let mut kept = self.kept.lock();
        let Kept { rows: kept, erased } = &mut *kept;
        for row in rows.into_iter().map(Arc::new) {
            if erased.iter().any(|user| concerns(&row, *user)) {
                continue;
            }
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(row.clone());
            // Nobody listening is no failure.
            let _ = self.told.send(row);
        }
    }

    /// The newest `limit`, newest first.
    pub fn newest(&self, limit: usize) -> Vec<Arc<LoggedActivity>> {
        let kept = self.kept.lock();
        kept.rows.iter().rev().take(limit).cloned().collect()
    }

    /// The newest `limit`, newest first, and everything that comes after them, nothing lost in between.
    pub fn subscribe(
        &self,
        limit: usize,
    ) -> (
        Vec<Arc<LoggedActivity>>,
        broadcast::Receiver<Arc<LoggedActivity>>,
    ) {
        let kept = self.kept.lock();
        let newest = kept.rows.iter().rev().take(limit).cloned().collect();
        (newest, self.told.subscribe())
    }

    /// Forgets a user who was erased: what they did and what was done to them.
    pub fn forget(&self, user: UserId) {
        let mut kept = self.kept.lock();
        kept.rows.retain(|row| !concerns(row, user));
        if kept.erased.len() == ERASED {
            kept.erased.pop_front();
        }
        kept.erased.push_back(user);
    }
}

/// Whether it is something that `user` did or that was done to them.
fn concerns(row: &LoggedActivity, user: UserId) -> bool {
    row.activity.user_id == user || row.activity.target_user() == Some(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Activity, ActivityId, Timestamp, Username};

    fn row(user: i64, target: Option<&str>, at: i64) -> LoggedActivity {
        let timestamp = Timestamp::from_millis(at);
        LoggedActivity {
            username: Username::from_stored("ann"),
            activity: Activity {
                id: ActivityId::new(timestamp),
                user_id: UserId(user),
                action: "x".into(),
                target_type: target.map(|_| "user".into()),
                target_id: target.map(str::to_owned),
                metadata: None,
                ip_address: None,
                device_type: None,
                country_code: None,
                region: None,
                timestamp,
            },
        }
    }

    fn times(rows: &[Arc<LoggedActivity>]) -> Vec<i64> {
        rows.iter()
            .map(|row| row.activity.timestamp.as_millis())
            .collect()
    }

    #[test]
    fn the_newest_are_kept_and_told_once() {
        let recent = Recent::default();
        recent.add((0..1_005).map(|at| row(1, None, at)));
        assert_eq!(recent.newest(usize::MAX).len(), KEPT);
        assert_eq!(times(&recent.newest(2)), [1_004, 1_003]);
        let (newest, mut told) = recent.subscribe(1);
        assert_eq!(times(&newest), [1_004]);
        recent.add([row(1, None, 2_000)]);
        let next = told.try_recv().expect("the new one");
        assert_eq!(next.activity.timestamp.as_millis(), 2_000);
        assert!(told.try_recv().is_err(), "and nothing else");
    }

    #[test]
    fn who_is_erased_is_forgotten() {
        let recent = Recent::default();
        recent.add([row(1, None, 1), row(2, Some("1"), 2), row(2, Some("11"), 3)]);
        recent.forget(UserId(1));
        assert_eq!(times(&recent.newest(9)), [3]);
        // What was committed before that and comes after it.
        recent.add([row(1, None, 4), row(2, Some("1"), 5), row(2, None, 6)]);
        assert_eq!(times(&recent.newest(9)), [6, 3]);
    }
}
