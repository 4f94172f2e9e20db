//! The limits on asking for presence: so many requests of one user in any sliding minute.
//!
//! API keys are exempt. A refusal does not count; an unknown name does, since it is a request like any other. How
//! the window slides is `auth::window`'s.

use super::error::Failure;
use super::extract::Reader;
use crate::auth::window::{Limiter, Quota, Rate};
use crate::error::Error;
use crate::model::{Clock, UserId};
use poem::http::HeaderName;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);
/// Users remembered at once; beyond it those quiet for the longest start afresh.
const CAPACITY: usize = 1 << 20;
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// One limit of so many requests a minute for each user.
pub(super) struct RateLimit {
    /// `None` without a limit.
    limiter: Option<Limiter<UserId>>,
    clock: Clock,
}

/// What the headers say. Nothing where no limit applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// `RateLimit-Limit`: requests in a minute.
    pub limit: Option<u64>,
    /// `RateLimit-Remaining`: how many more are let through now.
    pub remaining: Option<u64>,
    /// `RateLimit-Reset`: seconds until the oldest request counted no longer does.
    pub reset_seconds: Option<u64>,
}

impl RateLimit {
    /// `per_minute` requests; 0 is no limit.
    pub(super) fn new(per_minute: u32, clock: Clock) -> Self {
        let rate = Rate {
            limit: per_minute,
            window: WINDOW,
        };
        let limiter = Limiter::new(rate, CAPACITY);
        Self { limiter, clock }
    }

    /// Counts a request of `reader`.
    ///
    /// # Errors
    /// Over the limit, with the headers.
    pub(super) fn count(&self, reader: &Reader) -> Result<Standing, Failure> {
        let (Some(limiter), Some(user)) = (&self.limiter, reader.asking_user()) else {
            return Ok(Standing::default());
        };
        match limiter.take(&user, self.clock.now()) {
            Ok(quota) => Ok(quota.into()),
            Err(quota) => {
                let retry_after = quota.reset;
                Err(Standing::from(quota).on(Error::RateLimited { retry_after }))
            }
        }
    }
}

impl From<Quota> for Standing {
    fn from(quota: Quota) -> Self {
        Self {
            limit: Some(quota.limit.into()),
            remaining: Some(quota.remaining.into()),
            reset_seconds: Some(quota.reset_seconds()),
        }
    }
}

impl Standing {
    /// `error` with these headers.
    pub(super) fn on(self, error: impl Into<Failure>) -> Failure {
        let headers = [
            (LIMIT, self.limit),
            (REMAINING, self.remaining),
            (RESET, self.reset_seconds),
        ];
        headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .fold(error.into(), |failure, (name, value)| {
                failure.with_header(name, value.into())
            })
    }
}
