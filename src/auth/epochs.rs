//! Which cached answers about users are still good.
//!
//! A look-up that began before a revocation may end after it, and must then not be remembered. Removing entries
//! on revocation cannot guarantee that without a lock around the look-up, and has to find the entries first. So
//! every cached answer carries the moment *before* its look-up began, and whatever changes a user moves that
//! user's mark past every earlier moment, for a few nanoseconds and without finding anything.

use crate::model::UserId;
use std::sync::atomic::{AtomicU64, Ordering};

/// Users share marks; a collision costs one look-up more, never a stale answer.
const MARKS: usize = 4096;

/// A moment in the order of invalidations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(u64);

/// The marks.
#[derive(Debug)]
pub(super) struct Epochs {
    now: AtomicU64,
    everyone: AtomicU64,
    users: Box<[AtomicU64]>,
}

impl Default for Epochs {
    fn default() -> Self {
        Self {
            now: AtomicU64::new(0),
            everyone: AtomicU64::new(0),
            users: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Epochs {
    /// To be called before a look-up begins.
    pub(super) fn before_look_up(&self) -> Moment {
        Moment(self.now.load(Ordering::SeqCst))
    }

    /// Whether nothing about `user` was invalidated since `moment`.
    pub(super) fn is_good(&self, user: UserId, moment: Moment) -> bool {
        self.everyone.load(Ordering::SeqCst) <= moment.0
            && self.mark(user).load(Ordering::SeqCst) <= moment.0
    }

    /// To be called after a change to `user` is committed: no answer looked up before is good any more.
    pub(super) fn invalidate(&self, user: UserId) {
        let next = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.mark(user).fetch_max(next, Ordering::SeqCst);
    }

    /// The same for all users.
    pub(super) fn invalidate_everyone(&self) {
        let next = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.everyone.fetch_max(next, Ordering::SeqCst);
    }

    fn mark(&self, user: UserId) -> &AtomicU64 {
        let slot = user.0.rem_euclid(MARKS as i64);
        &self.users[usize::try_from(slot).expect("a remainder of MARKS is a valid index")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_that_began_before_a_change_is_never_good_after_it() {
        let epochs = Epochs::default();
        let before = epochs.before_look_up();
        assert!(epochs.is_good(UserId(1), before));
        epochs.invalidate(UserId(1));
        assert!(!epochs.is_good(UserId(1), before));
        assert!(epochs.is_good(UserId(2), before), "others stay");
        let after = epochs.before_look_up();
        assert!(epochs.is_good(UserId(1), after));
        epochs.invalidate_everyone();
        assert!(!epochs.is_good(UserId(1), after));
        assert!(!epochs.is_good(UserId(2), before));
        assert!(epochs.is_good(UserId(2), epochs.before_look_up()));
    }

    #[test]
    fn any_id_has_a_mark() {
        let epochs = Epochs::default();
        for id in [i64::MIN, -1, 0, 4096, i64::MAX] {
            let before = epochs.before_look_up();
            epochs.invalidate(UserId(id));
            assert!(!epochs.is_good(UserId(id), before));
        }
    }
}
