//! What is known of now: in the memory of the server, or from what it wrote.

use crate::error::Result;
use crate::model::{Timestamp, UserId};
use crate::presence::PresenceService;
use crate::store::Store;
use std::collections::HashMap;

/// Where now is known from.
#[derive(Clone)]
pub(super) enum Present {
    /// The server is this process, and its memory the truth.
    Here(PresenceService),
    /// The server is another process, or there is none: the store is all there is, a moment behind.
    Elsewhere {
        /// When the server died or stopped, if it does not run.
        dead_since: Option<Timestamp>,
    },
}

impl Present {
    /// Users online and connections; of another process each open session counts as one.
    pub async fn now(&self, store: &Store) -> Result<(i64, i64)> {
        match self {
            Self::Here(presence) => Ok((
                count(presence.tracker().online()),
                count(presence.tracker().connections()),
            )),
            Self::Elsewhere {
                dead_since: Some(_),
            } => Ok((0, 0)),
            Self::Elsewhere { dead_since: None } => Ok(store.stored_online().await?),
        }
    }

    /// Until when sessions last that are open.
    pub fn open_until(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Elsewhere {
                dead_since: Some(at),
            } => *at,
            _ => now,
        }
    }

    /// Who was active of late, and when, as the store may not have it yet.
    pub fn lately_active(&self) -> HashMap<UserId, Timestamp> {
        match self {
            Self::Here(presence) => presence.lately_active(),
            Self::Elsewhere { .. } => HashMap::new(),
        }
    }

    /// The most that were online in quarter hours, as far as the store does not have it yet.
    pub fn unwritten_peaks(&self) -> Vec<(i64, i64)> {
        match self {
            Self::Here(presence) => presence.tracker().peaks().unwritten(),
            Self::Elsewhere { .. } => Vec::new(),
        }
    }

    /// The store has these now.
    pub fn peaks_written(&self, peaks: &[(i64, i64)]) {
        if let Self::Here(presence) = self {
            for (quarter, peak) in peaks {
                presence.tracker().peaks().written(*quarter, *peak);
            }
        }
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
