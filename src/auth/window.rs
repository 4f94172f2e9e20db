//! Sliding windows: "at most N in any minute", exactly.
//!
//! A ring of the last N instants per key, because a token bucket lets nearly 2N through in some minute. Pure: the
//! time is an argument. What is limited, and what a refusal looks like, is the caller's.

use crate::model::Timestamp;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// At most `limit` in any `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub limit: u32,
    /// In how long.
    pub window: Duration,
}

/// Where a key stands, for `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The limit.
    pub limit: u32,
    /// How many more are let through now.
    pub remaining: u32,
    /// How long until the oldest one counted leaves the window; for a refusal, until one is let through again.
    pub reset: Duration,
}

impl Quota {
    /// [`Quota::reset`] in whole seconds, rounded up, so that coming back then is never too early.
    pub fn reset_seconds(&self) -> u64 {
        self.reset
            .as_millis()
            .div_ceil(1000)
            .try_into()
            .unwrap_or(u64::MAX)
    }
}

/// The instants of one key inside the window, oldest first; never more than the limit.
#[derive(Clone, Debug, Default)]
struct Ring(VecDeque<Timestamp>);

impl Ring {
    fn drop_old(&mut self, now: Timestamp, window: Duration) {
        // When the clock was set back, what was counted "later" counts as now: the wait is one window at most.
        for at in self.0.iter_mut().rev().take_while(|at| **at > now) {
            *at = now;
        }
        while self.0.front().is_some_and(|at| now.since(*at) >= window) {
            self.0.pop_front();
        }
    }
}

/// Sliding windows of many keys, without a lock of its own; see [`Limiter`] for one with.
///
/// Holds at most `capacity` keys. When a new one comes to a full table, the idle ones are dropped, and if that is
/// not enough the eighth that was quiet for the longest: those start afresh, the others are not disturbed.
#[derive(Debug)]
pub struct Windows<K> {
    rate: Rate,
    capacity: usize,
    rings: HashMap<K, Ring>,
    swept: Timestamp,
}

impl<K: Hash + Eq + Clone> Windows<K> {
    /// Empty windows for `capacity` keys at most (at least one).
    pub fn new(rate: Rate, capacity: usize) -> Self {
        Self {
            rate,
            capacity: capacity.max(1),
            rings: HashMap::new(),
            swept: Timestamp::from_millis(i64::MIN),
        }
    }

    /// The rate.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.rings.len()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    /// How many of `key` are in the window that ends at `now`.
    pub fn count(&mut self, key: &K, now: Timestamp) -> u32 {
        let window = self.rate.window;
        self.rings.get_mut(key).map_or(0, |ring| {
            ring.drop_old(now, window);
            as_u32(ring.0.len())
        })
    }

    /// Where `key` stands at `now`, counting nothing.
    pub fn quota(&mut self, key: &K, now: Timestamp) -> Quota {
        let Rate { limit, window } = self.rate;
        let used = self.count(key, now);
        let oldest = self.rings.get(key).and_then(|ring| ring.0.front());
        Quota {
            limit,
            remaining: limit.saturating_sub(used),
            reset: oldest.map_or(Duration::ZERO, |at| at.plus(window).since(now)),
        }
    }

    /// Counts one for `key` unless the limit is reached.
    ///
    /// # Errors
    /// The limit is reached; the refusal is not counted.
    pub fn take(&mut self, key: &K, now: Timestamp) -> Result<Quota, Quota> {
        let before = self.quota(key, now);
        if before.remaining == 0 {
            return Err(before);
        }
        self.record(key, now);
        Ok(self.quota(key, now))
    }

    /// Counts one for `key` whatever the limit; of more than the limit only the newest are kept.
    pub fn record(&mut self, key: &K, now: Timestamp) {
        let Rate { limit, window } = self.rate;
        self.make_room(key, now);
        let ring = self.rings.entry(key.clone()).or_default();
        ring.drop_old(now, window);
        if as_u32(ring.0.len()) >= limit {
            ring.0.pop_front();
        }
        ring.0.push_back(now);
    }

    fn make_room(&mut self, key: &K, now: Timestamp) {
        let full = self.rings.len() >= self.capacity && !self.rings.contains_key(key);
        // Once a window the idle keys go even if there is room, so that a quiet server gives memory back.
        if !full && (self.swept <= now && now.since(self.swept) < self.rate.window) {
            return;
        }
        self.swept = now;
        let window = self.rate.window;
        self.rings.retain(|_, ring| {
            ring.drop_old(now, window);
            !ring.0.is_empty()
        });
        if self.rings.len() < self.capacity || self.rings.contains_key(key) {
            return;
        }
        // An eighth at a time, so that a flood of new keys does not cost a scan for each.
        let mut newest: Vec<Timestamp> = self.rings.values().map(newest_of).collect();
        let goes = (self.capacity / 8).clamp(1, newest.len());
        let (quieter, limit, _) = newest.select_nth_unstable(goes - 1);
        let limit = *limit;
        let quieter = quieter.iter().filter(|at| **at < limit).count();
        let mut ties = goes - quieter;
        self.rings.retain(|_, ring| {
            let at = newest_of(ring);
            let tie = at == limit && ties > 0;
            ties -= usize::from(tie);
            at >= limit && !tie
        });
    }
}

fn newest_of(ring: &Ring) -> Timestamp {
    let newest = ring.0.back().copied();
    newest.unwrap_or(Timestamp::from_millis(i64::MIN))
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// [`Windows`] that many tasks share.
#[derive(Debug)]
pub struct Limiter<K>(Mutex<Windows<K>>);

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// A limiter for `capacity` keys at most, or `None` when `rate.limit` is 0, which stands for no limit.
    pub fn new(rate: Rate, capacity: usize) -> Option<Self> {
        (rate.limit > 0).then(|| Self(Mutex::new(Windows::new(rate, capacity))))
    }

    /// Counts one for `key` at `now` unless the limit is reached.
    ///
    /// # Errors
    /// The limit is reached; the refusal is not counted, and [`Quota::reset`] is the time to wait.
    pub fn take(&self, key: &K, now: Timestamp) -> Result<Quota, Quota> {
        self.0.lock().take(key, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
    }

    fn windows(limit: u32, capacity: usize) -> Windows<u64> {
        Windows::new(
            Rate {
                limit,
                window: MINUTE,
            },
            capacity,
        )
    }

    #[test]
    fn never_more_than_the_limit_in_any_window() {
        let mut windows = windows(10, 100);
        let mut let_through = Vec::new();
        for tick in 0..6000 {
            let now = Timestamp::from_millis(tick * 137);
            if windows.take(&1, now).is_ok() {
                let_through.push(now);
            }
        }
        assert!(let_through.len() > 100, "a limit is no block");
        for pair in let_through.windows(11) {
            assert!(pair[10].since(pair[0]) >= MINUTE, "11 within a minute");
        }
    }

    #[test]
    fn a_refusal_does_not_count_and_tells_when() {
        let mut windows = windows(2, 100);
        assert_eq!(
            windows.take(&1, at(0)),
            Ok(Quota {
                limit: 2,
                remaining: 1,
                reset: MINUTE
            })
        );
        assert_eq!(windows.take(&1, at(20)).map(|q| q.remaining), Ok(0));
        for second in 20..60 {
            let refused = windows.take(&1, at(second)).expect_err("full");
            assert_eq!(refused.remaining, 0);
            assert_eq!(refused.reset, Duration::from_secs(60 - second as u64));
        }
        assert!(windows.take(&1, at(60)).is_ok(), "the first one has left");
        assert!(windows.take(&1, at(79)).is_err());
        assert!(windows.take(&1, at(80)).is_ok());
        assert!(windows.take(&2, at(80)).is_ok(), "another key");
    }

    #[test]
    fn seconds_are_rounded_up() {
        let quota = |millis| Quota {
            limit: 1,
            remaining: 0,
            reset: Duration::from_millis(millis),
        };
        assert_eq!(quota(0).reset_seconds(), 0);
        assert_eq!(quota(1).reset_seconds(), 1);
        assert_eq!(quota(59_001).reset_seconds(), 60);
    }

    #[test]
    fn keys_are_bounded_and_the_quiet_ones_go_first() {
        let mut windows = windows(3, 80);
        for key in 0..80 {
            // Three keys at each second, so that some of the last to go are as quiet as some of the first to stay.
            windows.record(&key, at(key as i64 / 3));
        }
        windows.record(&0, at(29));
        windows.record(&1000, at(30));
        assert_eq!(windows.len(), 71, "an eighth of 80 went, one came");
        assert_eq!(windows.count(&0, at(30)), 2, "touched last: stays");
        assert_eq!(windows.count(&79, at(30)), 1);
        // 1 to 8 are the quietest; two of 9, 10 and 11 went with them.
        assert!((1..9).all(|key| windows.count(&key, at(30)) == 0));
        assert_eq!(
            (9..12).map(|key| windows.count(&key, at(30))).sum::<u32>(),
            1
        );
        assert!((12..80).all(|key| windows.count(&key, at(30)) == 1));
        for key in 2000..20_000 {
            windows.record(&key, at(30));
            assert!(windows.len() <= 80);
        }
    }

    #[test]
    fn idle_keys_go_by_themselves() {
        let mut windows = windows(3, 1000);
        for key in 0..500 {
            windows.record(&key, at(0));
        }
        windows.record(&7, at(61));
        assert_eq!(windows.len(), 1);
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out_for_longer_than_a_window() {
        let mut windows = windows(2, 10);
        assert!(windows.take(&1, at(1_000_000)).is_ok());
        assert!(windows.take(&1, at(1_000_000)).is_ok());
        assert!(windows.take(&1, at(0)).is_err());
        assert!(windows.take(&1, at(60)).is_ok());
    }

    #[test]
    fn a_limiter_of_nothing_is_none() {
        let rate = |limit| Rate {
            limit,
            window: MINUTE,
        };
        assert!(Limiter::<u8>::new(rate(0), 10).is_none());
        let limiter = Limiter::new(rate(1), 10).expect("a limit");
        assert!(limiter.take(&1, at(0)).is_ok());
        assert!(limiter.take(&1, at(0)).is_err());
    }
}
