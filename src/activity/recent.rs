//! The newest activities, in memory, and those who follow what happens told of each new one.

use crate::bus::live::{Follower, Live, LiveEvent};
use crate::model::{LoggedActivity, UserId};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows kept.
const KEPT: usize = 1_000;

/// Users remembered as erased: a row of theirs may be committed before that and added after it.
const ERASED: usize = 256;

/// The newest activities that this process has committed, in the order in which their commits were answered.
pub struct Recent {
    kept: Mutex<Kept>,
    live: Live,
}

#[derive(Default)]
struct Kept {
    rows: VecDeque<Arc<LoggedActivity>>,
    erased: VecDeque<UserId>,
}

impl Recent {
    /// Nothing yet; what comes is published on `live`.
    pub(super) fn new(live: Live) -> Self {
        Self {
            kept: Mutex::default(),
            live,
        }
    }

    /// Adds what is committed and tells those who follow.
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
            self.live
                .publish(|| LiveEvent::Activity(LoggedActivity::clone(&row)));
            kept.push_back(row);
        }
    }

    /// The newest `limit`, oldest first, and one who follows from there on, nothing lost or told twice in between; `None`
    /// when too many follow.
    pub fn follow(&self, limit: usize) -> Option<(Vec<Arc<LoggedActivity>>, Follower)> {
        let kept = self.kept.lock();
        let follower = self.live.follow()?;
        let skipped = kept.rows.len().saturating_sub(limit);
        Some((kept.rows.iter().skip(skipped).cloned().collect(), follower))
    }

    /// The newest `limit`, newest first.
    #[cfg(test)]
    pub(crate) fn newest(&self, limit: usize) -> Vec<Arc<LoggedActivity>> {
        let kept = self.kept.lock();
        kept.rows.iter().rev().take(limit).cloned().collect()
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
    use crate::bus::live::Told;
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
        let recent = Recent::new(Live::default());
        recent.add((0..1_005).map(|at| row(1, None, at)));
        let (all, _) = recent.follow(usize::MAX).expect("room");
        assert_eq!(all.len(), KEPT);
        let (newest, mut follower) = recent.follow(2).expect("room");
        assert_eq!(times(&newest), [1_003, 1_004]);
        recent.add([row(1, None, 2_000)]);
        let told = follower.try_next();
        let Some(Told::Event(event)) = told else {
            panic!("told of the new one: {told:?}");
        };
        let LiveEvent::Activity(next) = &*event else {
            panic!("an activity");
        };
        assert_eq!(next.activity.timestamp.as_millis(), 2_000);
        assert_eq!(follower.try_next(), None, "and nothing else");
    }

    #[test]
    fn who_is_erased_is_forgotten() {
        let recent = Recent::new(Live::default());
        recent.add([row(1, None, 1), row(2, Some("1"), 2), row(2, Some("11"), 3)]);
        recent.forget(UserId(1));
        assert_eq!(times(&recent.newest(9)), [3]);
        // What was committed before that and comes after it.
        recent.add([row(1, None, 4), row(2, Some("1"), 5), row(2, None, 6)]);
        assert_eq!(times(&recent.newest(9)), [6, 3]);
    }
}
