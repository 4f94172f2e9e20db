//! Who is connected: counts connections, runs the grace, keeps sessions, publishes transitions.
//!
//! The truth about presence while the server runs, also for administrators (`overview`). Whom to tell is the hub's business; the two meet on the bus.

mod overview;

use super::dirty::Dirty;
use super::link::{CloseReason, Link, Seen};
use super::peaks::Peaks;
use super::timers::Timers;
use super::tracked::{Effects, Ending, NewConnection, Rules, Tracked};
use crate::bus::Bus;
use crate::bus::live::{LiveEvent, PresenceChange, SessionChange};
use crate::model::{
    Clock, ConnectionId, Credential, SessionRow, Standing, Timestamp, Transition, UserId,
};
use crate::store::PresenceColumns;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Locks are spread over this many maps, so that people do not wait for each other.
const SHARDS: usize = 64;

/// How often somebody who is gone is looked at again until they can be forgotten, at the least.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// How often a connection whose credential ends later is looked at.
const EXPIRY_LOOK: Duration = Duration::from_secs(600);

/// Settings of the tracker.
#[derive(Clone, Copy, Debug)]
pub struct TrackerSettings {
    /// How long a closed or lost connection keeps its user online.
    pub offline_grace: Duration,
    /// How long after its end a session can be continued.
    pub session_resume: Duration,
    /// Connections of one user at most.
    pub max_connections_per_user: usize,
    /// Connections at most.
    pub max_connections: usize,
}

/// A connection was not taken: there are too many, of this user or in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// What falls due.
#[derive(Debug)]
pub(super) enum Due {
    /// A grace, by its serial.
    Grace(UserId, u64),
    /// A credential that ends then, or a look whether the connection is still there.
    Expiry(UserId, ConnectionId, Timestamp),
    /// Time to see whether a user who went offline can be forgotten.
    Forget(UserId),
}

/// The tracker.
pub struct Tracker {
    shards: Box<[Mutex<HashMap<UserId, Tracked>>]>,
    settings: TrackerSettings,
    clock: Clock,
    bus: Bus,
    dirty: Arc<Dirty>,
    pub(super) timers: Arc<Timers<Due>>,
    connections: AtomicUsize,
    online: AtomicUsize,
    peaks: Peaks,
    transitions: AtomicU64,
    version: AtomicU64,
    next_connection: AtomicU64,
    is_closed: AtomicBool,
}

impl Tracker {
    pub(super) fn new(
        settings: TrackerSettings,
        clock: Clock,
        bus: Bus,
        dirty: Arc<Dirty>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            settings,
            clock,
            bus,
            dirty,
            timers: Timers::new(),
            connections: AtomicUsize::new(0),
            online: AtomicUsize::new(0),
            peaks: Peaks::default(),
            transitions: AtomicU64::new(0),
            version: AtomicU64::new(0),
            next_connection: AtomicU64::new(1),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Users online, also within the grace.
    pub fn online(&self) -> usize {
        self.online.load(Ordering::Relaxed)
    }

    /// Who they are.
    pub(super) fn online_users(&self) -> Vec<UserId> {
        let mut users = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let online = shard
                .iter()
                .filter(|(_, tracked)| tracked.standing.is_online);
            users.extend(online.map(|(user, _)| *user));
        }
        users
    }

    /// The most people online in each quarter hour, as far as that is not written; of the present one too.
    pub fn peaks(&self) -> &Peaks {
        self.peaks.note(self.clock.now(), self.online());
        &self.peaks
    }

    /// Transitions published since the start.
    pub fn transitions(&self) -> u64 {
        self.transitions.load(Ordering::Relaxed)
    }

    /// A user's own state, if they are or were lately connected.
    pub fn standing(&self, user: UserId) -> Option<Standing> {
        self.shard(user)
            .lock()
            .get(&user)
            .map(|tracked| tracked.standing)
    }

    /// A connected user as they see themself.
    pub(super) fn own(&self, user: UserId) -> Option<Seen> {
        let shard = self.shard(user).lock();
        let tracked = shard.get(&user)?;
        let is_online = tracked.standing.is_online;
        Some(Seen {
            user_id: user,
            username: tracked.username.clone(),
            status: tracked.standing.status(),
            last_seen: if is_online {
                None
            } else {
                tracked.standing.last_seen
            },
        })
    }

    /// A user has another name.
    pub(super) fn renamed(&self, user: UserId, username: &Arc<str>) {
        if let Some(tracked) = self.shard(user).lock().get_mut(&user) {
            tracked.username = username.clone();
        }
    }

    /// A number for a connection that is about to be attached.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts a connection, in the foreground.
    ///
    /// # Errors
    /// When the user or the server has as many as it may, or the server stops; nothing has changed then.
    pub fn attach(&self, id: ConnectionId, new: NewConnection) -> Result<(), TooMany> {
        let room = |count: usize| (count < self.settings.max_connections).then_some(count + 1);
        if self
            .connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .is_err()
        {
            return Err(TooMany);
        }
        let user = new.user_id;
        let now = self.clock.now();
        let expires_at = new.expires_at;
        let changed = self.change(user, now, Some(new.username.clone()), |tracked, rules| {
            // Looked at under the lock: `shut_down` passes every shard after it has closed.
            let is_closed = self.is_closed.load(Ordering::SeqCst);
            if is_closed || tracked.connections.len() >= self.settings.max_connections_per_user {
                return None;
            }
            Some(tracked.attach(id, new, now, rules))
        });
        if !changed {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return Err(TooMany);
        }
        if let Some(until) = expires_at {
            self.schedule_expiry(user, id, until);
        }
        Ok(())
    }

    /// Brings a connection to the foreground or to the background, at its client's word.
    pub fn set_status(&self, user: UserId, id: ConnectionId, foreground: bool) {
        let now = self.clock.now();
        self.change(user, now, None, |tracked, rules| {
            Some(tracked.set_status(id, foreground, now, rules))
        });
    }

    /// A connection ended at `at`; with what it had authenticated. `None`, and nothing is done, when its end was
    /// counted already.
    pub fn detach(
        &self,
        user: UserId,
        id: ConnectionId,
        at: Timestamp,
        ending: Ending,
    ) -> Option<Credential> {
        let mut credential = None;
        let is_gone = self.change(user, self.clock.now(), None, |tracked, rules| {
            let mut connections = tracked.connections.iter();
            credential = connections
                .find(|c| c.id == id)
                .map(|c| c.credential.clone());
            tracked.detach(id, at, ending, rules)
        });
        if is_gone {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
        credential
    }

    /// Whether a connection of this credential is open.
    pub fn is_connected(&self, user: UserId, credential: &Credential) -> bool {
        let shard = self.shard(user).lock();
        let tracked = shard.get(&user);
        tracked.is_some_and(|t| t.connections.iter().any(|c| c.credential == *credential))
    }

    /// Ends the connections of one credential (all of the user's, with `None`), presence at once, and closes them.
    pub fn end_credential(
        &self,
        user: UserId,
        credential: Option<&Credential>,
        reason: CloseReason,
    ) {
        let concerned: Vec<(ConnectionId, Arc<dyn Link>)> = match self.shard(user).lock().get(&user)
        {
            Some(tracked) => tracked
                .connections
                .iter()
                .filter(|c| credential.is_none_or(|wanted| *wanted == c.credential))
                .map(|c| (c.id, c.link.clone()))
                .collect(),
            None => return,
        };
        let now = self.clock.now();
        for (id, link) in concerned {
            self.detach(user, id, now, ending_of(reason));
            link.close(reason);
        }
        self.change(user, now, None, |tracked, _| {
            Some(tracked.end_grace(credential))
        });
    }

    pub(super) fn fire(&self, due: Due) {
        match due {
            Due::Grace(user, serial) => {
                let now = self.clock.now();
                self.change(user, now, None, |tracked, _| {
                    Some(tracked.grace_over(serial))
                });
            }
            Due::Expiry(user, id, until) => self.expire(user, id, until),
            Due::Forget(user) => self.forget(user),
        }
    }

    /// Every session ends and everybody is offline, in memory and in the dirty set; nobody is told. Returns the
    /// connections there were; no other is taken from now on.
    pub fn shut_down(&self) -> Vec<Arc<dyn Link>> {
        self.is_closed.store(true, Ordering::SeqCst);
        let now = self.clock.now();
        self.peaks.note(now, self.online());
        let mut links = Vec::new();
        for shard in &self.shards {
            for tracked in shard.lock().values_mut() {
                for connection in &tracked.connections {
                    links.push(connection.link.clone());
                    if let Credential::SignIn(id) = connection.credential {
                        self.dirty.used(id, now);
                    }
                }
                let effects = tracked.shut_down(now);
                if effects.transition {
                    self.online.fetch_sub(1, Ordering::Relaxed);
                    self.mark(tracked);
                }
                effects
                    .sessions
                    .into_iter()
                    .for_each(|row| self.dirty.session(row));
            }
        }
        self.connections.fetch_sub(links.len(), Ordering::Relaxed);
        links
    }

    /// A credential may last for years and a connection for seconds: what was scheduled for the one must not stay for
    /// as long as the other.
    fn schedule_expiry(&self, user: UserId, id: ConnectionId, until: Timestamp) {
        let left = until.since(self.clock.now()).min(EXPIRY_LOOK);
        self.timers.schedule(left, Due::Expiry(user, id, until));
    }

    fn expire(&self, user: UserId, id: ConnectionId, until: Timestamp) {
        let find = |tracked: &Tracked| {
            tracked
                .connections
                .iter()
                .find(|c| c.id == id)
                .map(|c| c.link.clone())
        };
        let link = self.shard(user).lock().get(&user).and_then(find);
        if let Some(link) = link {
            if self.clock.now() < until {
                return self.schedule_expiry(user, id, until);
            }
            self.detach(user, id, self.clock.now(), ending_of(CloseReason::Expired));
            link.close(CloseReason::Expired);
        }
    }

    fn forget(&self, user: UserId) {
        let mut shard = self.shard(user).lock();
        let Some(tracked) = shard.get(&user) else {
            return;
        };
        if tracked.standing.is_online || !tracked.connections.is_empty() {
            return;
        }
        if self.dirty.is_written(user) && tracked.is_idle(self.clock.now(), self.rules()) {
            shard.remove(&user);
            return;
        }
        drop(shard);
        self.timers.schedule(FORGET_AFTER, Due::Forget(user));
    }

    /// Runs one change of one user under their lock, then carries out what it did. `create` names a user that is
    /// not there yet. Returns whether the change was made.
    fn change(
        &self,
        user: UserId,
        now: Timestamp,
        create: Option<Arc<str>>,
        change: impl FnOnce(&mut Tracked, Rules) -> Option<Effects>,
    ) -> bool {
        let mut shard = self.shard(user).lock();
        let tracked = match (shard.entry(user), create) {
            (Entry::Occupied(entry), _) => entry.into_mut(),
            (Entry::Vacant(entry), Some(username)) => entry.insert(Tracked::new(user, username)),
            (Entry::Vacant(_), None) => return false,
        };
        let Some(effects) = change(tracked, self.rules()) else {
            return false;
        };
        if effects.grace.is_some() {
            tracked.set_grace_until(now.plus(self.settings.offline_grace));
        }
        // Rows and columns are marked under the lock, so that the newest one stands; and the live stream is told
        // under it, which never waits, so that what happens to one person is told in order.
        for row in effects.sessions {
            self.tell_session(tracked, &row, now);
            self.dirty.session(row);
        }
        let transition = effects.transition.then(|| self.transition(tracked, now));
        let is_left = tracked.connections.is_empty();
        drop(shard);

        if let Some(serial) = effects.grace {
            self.timers
                .schedule(self.settings.offline_grace, Due::Grace(user, serial));
        }
        if is_left {
            let after = self
                .settings
                .session_resume
                .max(self.settings.offline_grace)
                .max(FORGET_AFTER);
            self.timers.schedule(after, Due::Forget(user));
        }
        if let Some(transition) = transition {
            self.transitions.fetch_add(1, Ordering::Relaxed);
            self.bus.publish(&transition);
        }
        true
    }

    fn transition(&self, tracked: &mut Tracked, now: Timestamp) -> Transition {
        tracked.standing.version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let online = if tracked.standing.is_online {
            self.online.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            self.online.fetch_sub(1, Ordering::Relaxed)
        };
        self.peaks.note(now, online);
        self.mark(tracked);
        self.bus.live().publish(|| {
            LiveEvent::Presence(PresenceChange {
                user_id: tracked.user_id,
                username: tracked.username.clone(),
                status: tracked.standing.status(),
                at: now,
                last_seen: tracked.standing.last_seen,
            })
        });
        Transition {
            user_id: tracked.user_id,
            standing: tracked.standing,
            at: now,
        }
    }

    fn tell_session(&self, tracked: &Tracked, row: &SessionRow, now: Timestamp) {
        self.bus.live().publish(|| {
            LiveEvent::Session(SessionChange {
                row: row.clone(),
                username: tracked.username.clone(),
                is_resumed: row.ended.is_none() && row.started_at < now,
            })
        });
    }

    fn mark(&self, tracked: &Tracked) {
        self.dirty.presence(PresenceColumns {
            user_id: tracked.user_id,
            is_online: tracked.standing.is_online,
            last_seen: tracked.standing.last_seen,
        });
    }

    fn rules(&self) -> Rules {
        Rules {
            grace: self.settings.offline_grace,
            resume: self.settings.session_resume,
        }
    }

    fn shard(&self, user: UserId) -> &Mutex<HashMap<UserId, Tracked>> {
        // Ids are dense, so their low bits spread evenly.
        &self.shards[user.0.unsigned_abs() as usize % SHARDS]
    }
}

const fn ending_of(reason: CloseReason) -> Ending {
    match reason {
        CloseReason::SignedOut => Ending::SignedOut,
        CloseReason::Expired | CloseReason::Revoked => Ending::Revoked,
        CloseReason::Kicked => Ending::Kicked,
    }
}

#[cfg(test)]
mod tests;
