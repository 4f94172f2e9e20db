//! What administrators ask the tracker, and the one thing they may do to a connection.
//!
//! Each looks through every shard, one after the other: that is rare, and takes some milliseconds with a hundred
//! thousand people. An index by connection would cost every connection memory for it.

use super::{Tracker, ending_of};
use crate::bus::live::Live;
use crate::model::{ConnectionId, Credential, Timestamp, UserId};
use crate::presence::link::CloseReason;
use crate::presence::overview::{OnlinePage, OnlineUser, OpenConnection};
use std::collections::BinaryHeap;

impl Tracker {
    /// What happens, for administrators who follow it.
    pub fn live(&self) -> &Live {
        self.bus.live()
    }

    /// The first `limit` of those online with ids above `after`. Who comes and goes meanwhile is in it or not.
    pub fn online_page(&self, after: Option<UserId>, limit: usize) -> OnlinePage {
        // The lowest ids, and one more that says whether there is another page; the highest of them on top.
        let mut lowest = BinaryHeap::with_capacity(limit + 2);
        for shard in &self.shards {
            for tracked in shard.lock().values() {
                let id = tracked.user_id;
                if !tracked.standing.is_online || after.is_some_and(|after| id <= after) {
                    continue;
                }
                if lowest.len() <= limit {
                    lowest.push(id);
                } else if lowest.peek().is_some_and(|highest| id < *highest) {
                    lowest.pop();
                    lowest.push(id);
                }
            }
        }
        let mut ids = lowest.into_sorted_vec();
        let has_more = ids.len() > limit;
        ids.truncate(limit);
        OnlinePage {
            total: self.online(),
            next: ids.last().copied().filter(|_| has_more),
            users: ids
                .into_iter()
                .filter_map(|id| self.online_user(id))
                .collect(),
        }
    }

    fn online_user(&self, user: UserId) -> Option<OnlineUser> {
        let shard = self.shard(user).lock();
        let tracked = shard.get(&user).filter(|t| t.standing.is_online)?;
        Some(OnlineUser {
            user_id: user,
            username: tracked.username.clone(),
            since: tracked.since,
            last_active_at: None,
            connections: tracked.open_connections(),
        })
    }

    /// A user's connections, and when the grace ends that keeps them online.
    pub fn connections_of(&self, user: UserId) -> (Vec<OpenConnection>, Option<Timestamp>) {
        let shard = self.shard(user).lock();
        let tracked = shard.get(&user);
        tracked.map_or_else(Default::default, |tracked| {
            (tracked.open_connections(), tracked.grace_until())
        })
    }

    /// Ends one connection at an administrator's word, with the grace; whose it was and what it had shown. `None`
    /// when there is none.
    pub fn kick(&self, id: ConnectionId) -> Option<(UserId, Credential)> {
        let (user, link) = self.shards.iter().find_map(|shard| {
            shard.lock().values().find_map(|tracked| {
                let mut connections = tracked.connections.iter();
                let found = connections.find(|connection| connection.id == id)?;
                Some((tracked.user_id, found.link.clone()))
            })
        })?;
        let reason = CloseReason::Kicked;
        // `None` when it has ended by itself meanwhile.
        let credential = self.detach(user, id, self.clock.now(), ending_of(reason))?;
        link.close(reason);
        Some((user, credential))
    }
}
