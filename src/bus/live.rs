//! What happens, as it happens, for administrators who follow it.
//!
//! One ring for all who follow: a publisher never waits, and somebody who reads slowly loses the oldest and learns how
//! many. While nobody follows, an event is not even made.

use crate::model::{LoggedActivity, SessionRow, Status, Timestamp, UserId};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::broadcast::{self, error};

/// Events that wait for the slowest who follows, at most; older ones are lost to them. The largest is an activity
/// with 16 KiB of metadata, so that the ring never holds more than some 16 MiB.
const RING: usize = 1024;

/// How many may follow at a time.
pub const MAX_FOLLOWERS: usize = 100;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveEvent {
    /// Somebody went online or offline.
    Presence(PresenceChange),
    /// A session began, went on or ended.
    Session(SessionChange),
    /// An activity was logged.
    Activity(LoggedActivity),
}

/// Somebody went online or offline, before anyone's privacy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceChange {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub username: Arc<str>,
    /// What they are now.
    pub status: Status,
    /// When it took effect.
    pub at: Timestamp,
    /// End of the last complete stretch of being online.
    pub last_seen: Option<Timestamp>,
}

/// A session as it is after it began, went on or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionChange {
    /// The session.
    pub row: SessionRow,
    /// Whose, by name.
    pub username: Arc<str>,
    /// Open again after an end that could be resumed.
    pub is_resumed: bool,
}

/// The stream; clones share it.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    ring: broadcast::Sender<Arc<LiveEvent>>,
    /// Counted beside the ring, whose own count takes its lock.
    followers: AtomicUsize,
}

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(Inner {
            ring: broadcast::Sender::new(RING),
            followers: AtomicUsize::new(0),
        }))
    }
}

impl Live {
    /// Tells those who follow; what is to be told is made only when there is one. Never waits.
    pub fn publish(&self, event: impl FnOnce() -> LiveEvent) {
        if self.0.followers.load(Ordering::SeqCst) > 0 {
            // Fails when the last one has just left, who need not be told.
            let _ = self.0.ring.send(Arc::new(event()));
        }
    }

    /// Follows from here on; `None` when [`MAX_FOLLOWERS`] do.
    pub fn follow(&self) -> Option<Follower> {
        let room = |count: usize| (count < MAX_FOLLOWERS).then_some(count + 1);
        let followers = &self.0.followers;
        let taken = followers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room);
        taken.ok().map(|_| Follower {
            events: self.0.ring.subscribe(),
            live: self.clone(),
        })
    }

    /// How many follow.
    pub fn followers(&self) -> usize {
        self.0.followers.load(Ordering::SeqCst)
    }
}

/// What one who follows is told next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// This happened.
    Event(Arc<LiveEvent>),
    /// So many events came faster than they were read, and are lost.
    Missed(u64),
}

/// One who follows, until it is dropped.
pub struct Follower {
    events: broadcast::Receiver<Arc<LiveEvent>>,
    live: Live,
}

impl Follower {
    /// Waits for the next event. May be dropped while it waits; nothing is lost by that.
    pub async fn next(&mut self) -> Told {
        match self.events.recv().await {
            Ok(event) => Told::Event(event),
            Err(error::RecvError::Lagged(missed)) => Told::Missed(missed),
            // The ring lives as long as this, which holds it.
            Err(error::RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The next event, if it is there already.
    pub fn try_next(&mut self) -> Option<Told> {
        match self.events.try_recv() {
            Ok(event) => Some(Told::Event(event)),
            Err(error::TryRecvError::Lagged(missed)) => Some(Told::Missed(missed)),
            Err(error::TryRecvError::Empty | error::TryRecvError::Closed) => None,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.live.0.followers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: i64) -> LiveEvent {
        LiveEvent::Presence(PresenceChange {
            user_id: UserId(1),
            username: "ann".into(),
            status: Status::Online,
            at: Timestamp::from_millis(at),
            last_seen: None,
        })
    }

    #[test]
    fn nothing_is_made_for_nobody() {
        let live = Live::default();
        live.publish(|| panic!("nobody follows"));
        let follower = live.follow().expect("the first");
        assert_eq!(live.followers(), 1);
        drop(follower);
        live.publish(|| panic!("nobody follows any more"));
    }

    #[tokio::test]
    async fn all_are_told_in_order_and_the_slow_learn_what_they_missed() {
        let live = Live::default();
        let (mut quick, mut slow) = (live.follow().expect("room"), live.follow().expect("room"));
        let count = i64::try_from(RING).expect("small") + 7;
        for at in 0..count {
            live.publish(|| event(at));
            assert_eq!(quick.next().await, Told::Event(Arc::new(event(at))));
        }
        assert_eq!(quick.try_next(), None);
        assert_eq!(slow.next().await, Told::Missed(7));
        for at in 7..count {
            assert_eq!(slow.try_next(), Some(Told::Event(Arc::new(event(at)))));
        }
        assert_eq!(slow.try_next(), None);
    }

    #[test]
    fn so_many_and_no_more() {
        let live = Live::default();
        let mut all: Vec<_> = (0..MAX_FOLLOWERS).filter_map(|_| live.follow()).collect();
        assert_eq!(all.len(), MAX_FOLLOWERS);
        assert!(live.follow().is_none());
        all.pop();
        assert!(live.follow().is_some(), "a place is given back");
    }
}
