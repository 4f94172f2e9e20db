//! How often signing in may fail before it is refused, for right passwords too.
//!
//! In any 15 minutes: 10 failures per account and address, 100 per account, 100 per address. Only failures count:
//! a success does not reset them and a refusal adds none. Names that nobody has count like accounts. In memory and
//! bounded; pure but for the lock: the time is an argument. What a failure is, and who is exempt, the caller says.
//!
//! An attempt takes its place before the password is checked, so that any number of parallel ones cannot all pass
//! before the first has failed. While the limit is not reached by failures but would be if everything under way
//! failed, further attempts *wait* for one of those to end: refusing them would punish people who all know their
//! passwords and only come at once.

use super::window::{Rate, Windows};
use crate::model::{Timestamp, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The sliding window.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Failures per account and address.
pub const PER_ACCOUNT_AND_ADDRESS: u32 = 10;
/// Failures per account.
pub const PER_ACCOUNT: u32 = 100;
/// Failures per address.
pub const PER_ADDRESS: u32 = 100;
/// Keys remembered per limit; beyond, the eighth that was quiet for the longest is forgotten.
const CAPACITY: usize = 100_000;
/// Attempts that may wait for others to end; further ones are told that the server is busy.
const WAITING: usize = 1024;

/// What is tried: a user's account, or a name that nobody has.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Account([u8; 32]);

impl Account {
    /// A user's, however they are called in this attempt.
    pub fn of_user(id: UserId) -> Self {
        Self(super::token::hash(&format!("user\0{id}")))
    }

    /// The account of a name that nobody has, in any case.
    pub fn of_unknown(login: &str) -> Self {
        Self(super::token::hash(&format!(
            "name\0{}",
            login.to_lowercase()
        )))
    }

    /// As bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(…)")
    }
}

/// Where attempts come from: an IPv4 address or an IPv6 /64, of which one customer has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}

impl Origin {
    /// The address or the first one of the network.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

/// Why an attempt has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Only the limit per account is reached: an exempt address may ask again as such.
    Account {
        /// Until that limit lets one through.
        retry_after: Duration,
    },
    /// One of the other limits is reached too, or alone.
    Hard {
        /// Until all limits let one through.
        retry_after: Duration,
    },
    /// Too many wait already.
    Busy,
}

/// One limit: failures in the window, and attempts under way.
#[derive(Debug)]
struct Counter<K> {
    failures: Windows<K>,
    under_way: HashMap<K, u32>,
}

/// What one limit says to one more attempt.
enum Say {
    Yes,
    Wait,
    No(Duration),
}

impl<K: Hash + Eq + Clone> Counter<K> {
    fn new(limit: u32, capacity: usize) -> Self {
        let rate = Rate {
            limit,
            window: WINDOW,
        };
        Self {
            failures: Windows::new(rate, capacity),
            under_way: HashMap::new(),
        }
    }

    fn ask(&mut self, key: &K, now: Timestamp) -> Say {
        let quota = self.failures.quota(key, now);
        if quota.remaining == 0 {
            return Say::No(quota.reset);
        }
        if self
            .under_way
            .get(key)
            .is_some_and(|n| *n >= quota.remaining)
        {
            return Say::Wait;
        }
        Say::Yes
    }

    fn begin(&mut self, key: &K) {
        *self.under_way.entry(key.clone()).or_default() += 1;
    }

    fn end(&mut self, key: &K, failed_at: Option<Timestamp>) {
        if let Some(count) = self.under_way.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(key);
            }
        }
        if let Some(now) = failed_at {
            self.failures.record(key, now);
        }
    }
}

#[derive(Debug)]
struct Counters {
    pairs: Counter<(Account, Origin)>,
    accounts: Counter<Account>,
    origins: Counter<Origin>,
    waiting: usize,
}

/// The limits. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Attempts {
    counters: Arc<Mutex<Counters>>,
    ended: Arc<Notify>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

/// What an attempt counts against.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The account; `None` for signing up, which counts against the address alone.
    pub account: Option<Account>,
    /// From where.
    pub origin: Origin,
    /// The address is known to the account: the limit per account does not apply.
    pub exempt: bool,
}

impl Attempts {
    fn with_capacity(capacity: usize) -> Self {
        Self {
            counters: Arc::new(Mutex::new(Counters {
                pairs: Counter::new(PER_ACCOUNT_AND_ADDRESS, capacity),
                accounts: Counter::new(PER_ACCOUNT, capacity),
                origins: Counter::new(PER_ADDRESS, capacity),
                waiting: 0,
            })),
            ended: Arc::new(Notify::new()),
        }
    }

    /// A place for `attempt`, waiting for others under way where it depends on them. `now` is asked again after
    /// each wait.
    ///
    /// # Errors
    /// A limit is reached, or too many wait (1,024).
    pub async fn begin(
        &self,
        attempt: Attempt,
        now: impl Fn() -> Timestamp,
    ) -> Result<Place, Refusal> {
        let mut waiter = None;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Listening before looking: an end in between is not missed.
            ended.as_mut().enable();
            if let Some(place) = self.try_begin(attempt, now())? {
                return Ok(place);
            }
            if waiter.is_none() {
                waiter = Some(Waiter::new(self)?);
            }
            ended.await;
        }
    }

    /// The place, or `None` when that depends on attempts under way.
    fn try_begin(&self, attempt: Attempt, now: Timestamp) -> Result<Option<Place>, Refusal> {
        let mut counters = self.counters.lock();
        let counters = &mut *counters;
        let (pair, account) = attempt.keys();
        let by_account = account.map_or(Say::Yes, |key| counters.accounts.ask(&key, now));
        let by_pair = pair.map_or(Say::Yes, |key| counters.pairs.ask(&key, now));
        let by_origin = counters.origins.ask(&attempt.origin, now);
        let no = |say: &Say| match say {
            Say::No(wait) => Some(*wait),
            Say::Yes | Say::Wait => None,
        };
        let (hard, soft) = (no(&by_pair).max(no(&by_origin)), no(&by_account));
        if let Some(wait) = hard {
            let retry_after = wait.max(soft.unwrap_or_default());
            return Err(Refusal::Hard { retry_after });
        }
        if let Some(retry_after) = soft {
            return Err(Refusal::Account { retry_after });
        }
        if [&by_account, &by_pair, &by_origin]
            .iter()
            .any(|say| matches!(say, Say::Wait))
        {
            return Ok(None);
        }
        if let Some(key) = &account {
            counters.accounts.begin(key);
        }
        if let Some(key) = &pair {
            counters.pairs.begin(key);
        }
        counters.origins.begin(&attempt.origin);
        Ok(Some(Place {
            attempts: self.clone(),
            attempt,
            failed_at: None,
        }))
    }
}

impl Attempt {
    /// The keys of the limits that apply beside the address's.
    fn keys(&self) -> (Option<(Account, Origin)>, Option<Account>) {
        let pair = self.account.map(|account| (account, self.origin));
        (pair, self.account.filter(|_| !self.exempt))
    }
}

/// The place of an attempt under way. Dropping it gives the place back without counting anything, which is right
/// for a success, an error of ours, and a caller who went away without an answer.
#[derive(Debug)]
#[must_use]
pub struct Place {
    attempts: Attempts,
    attempt: Attempt,
    failed_at: Option<Timestamp>,
}

impl Place {
    /// Counts the attempt as failed.
    pub fn failed(mut self, now: Timestamp) {
        self.failed_at = Some(now);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (pair, account) = self.attempt.keys();
        let mut counters = self.attempts.counters.lock();
        if let Some(key) = &account {
            counters.accounts.end(key, self.failed_at);
        }
        if let Some(key) = &pair {
            counters.pairs.end(key, self.failed_at);
        }
        counters.origins.end(&self.attempt.origin, self.failed_at);
        drop(counters);
        self.attempts.ended.notify_waiters();
    }
}

/// One who waits.
struct Waiter<'a>(&'a Attempts);

impl<'a> Waiter<'a> {
    fn new(attempts: &'a Attempts) -> Result<Self, Refusal> {
        let mut counters = attempts.counters.lock();
        if counters.waiting >= WAITING {
            return Err(Refusal::Busy);
        }
        counters.waiting += 1;
        Ok(Self(attempts))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.counters.lock().waiting -= 1;
    }
}

#[cfg(test)]
mod tests;
