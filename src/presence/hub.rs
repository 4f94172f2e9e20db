//! Who is told of whom: interest registration, snapshots, watch sets, and the delivery of transitions.
//!
//! On connecting, a user is registered with everybody whose audience they are in; each entry carries the pair's
//! facts and what was last told, so that a transition walks the watchers who are there now and reads no database.
//!
//! Lock order: the map of viewers → a viewer's listeners; a viewer's interests → the map of subjects → a subject's
//! state → a viewer's listeners → a connection's outbox. Never two subjects' states, and nothing of the tracker, at
//! once. Interests stay locked while entries with subjects are made or removed, so that the two never differ.

mod interests;

use super::link::{CloseReason, Encoded, Link, NewMessage, Seen};
use super::subject::{Kicks, Subject};
use super::timers::Timers;
use super::tracker::Tracker;
use super::viewer::{Privacy, ViewerNode};
use crate::bus::Subscriber;
use crate::model::{Audience, Clock, ConnectionId, PairFacts, Role, Transition, UserId};
use crate::store::{Store, StoreError};
use parking_lot::RwLock;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SHARDS: usize = 64;

/// How many people one connection may watch.
pub const WATCH_LIMIT: usize = 500;

/// Settings of the hub.
#[derive(Clone, Copy, Debug)]
pub struct HubSettings {
    /// Who is pushed a user's presence without asking.
    pub audience: Audience,
    /// A user's transitions are pushed at most once in this; zero: each at once.
    pub transition_gap: Duration,
}

/// Why a watch request was refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// More than [`WATCH_LIMIT`] in all.
    #[error("at most {WATCH_LIMIT} users can be watched by one connection")]
    TooMany,
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Shards<T> = Box<[RwLock<HashMap<UserId, Arc<T>>>]>;

/// The hub.
pub struct Hub {
    subjects: Shards<Subject>,
    viewers: Shards<ViewerNode>,
    settings: HubSettings,
    store: Store,
    tracker: Arc<Tracker>,
    clock: Clock,
    pub(super) gaps: Arc<Timers<UserId>>,
    /// Grows when anybody's setting or name changed, so that a load that read older ones begins again.
    settings_version: AtomicU64,
}

fn shard<T>(shards: &Shards<T>, user: UserId) -> &RwLock<HashMap<UserId, Arc<T>>> {
    &shards[user.0.unsigned_abs() as usize % SHARDS]
}

fn flush(kicks: Kicks) {
    for link in kicks {
        link.flush();
    }
}

impl Hub {
    pub(super) fn new(
        settings: HubSettings,
        store: Store,
        tracker: Arc<Tracker>,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            subjects: (0..SHARDS).map(|_| RwLock::default()).collect(),
            viewers: (0..SHARDS).map(|_| RwLock::default()).collect(),
            settings,
            store,
            tracker,
            clock,
            gaps: Timers::new(),
            settings_version: AtomicU64::new(0),
        })
    }

    /// Registers a connection and returns the snapshot it is owed: who of those whose audience the user is in is
    /// online and visible. The caller holds the link's updates before, queues the snapshot and then releases them, so
    /// that a transition in between is neither lost nor told twice.
    pub(super) async fn join(
        &self,
        user: UserId,
        role: Role,
        row: Privacy,
        id: ConnectionId,
        link: Arc<dyn Link>,
    ) -> Result<Vec<Seen>, StoreError> {
        let viewer = self.add_listener(user, role, row, id, link.clone());
        let mut is_loaded = viewer.load.lock().await;
        if !*is_loaded {
            self.load(&viewer, false).await?;
            *is_loaded = true;
        }
        drop(is_loaded);
        let interests = viewer.interests.lock().clone();
        let seen = interests
            .iter()
            .filter_map(|subject| subject.seen_by(user, &*link, true));
        Ok(seen
            .filter(|seen| seen.status == crate::model::Status::Online)
            .collect())
    }

    /// A connection is gone; with the last one of its user, so are the user's registrations.
    pub fn leave(&self, user: UserId, id: ConnectionId) {
        let mut shard = shard(&self.viewers, user).write();
        let Some(viewer) = shard.get(&user).cloned() else {
            return;
        };
        let mut listeners = viewer.listeners.lock();
        let Some(index) = listeners.iter().position(|l| l.id == id) else {
            return;
        };
        let gone = listeners.swap_remove(index);
        let is_last = listeners.is_empty();
        drop(listeners);
        if is_last {
            shard.remove(&user);
            viewer.is_gone.store(true, Ordering::SeqCst);
        }
        drop(shard);
        if is_last {
            self.forget_interests(&viewer);
        } else if let Some(watching) = gone.watching {
            self.drop_unneeded(&viewer, *watching);
        }
    }

    /// Adds people to those a connection watches. Returns what the user may see of them now, in the order asked;
    /// the caller holds the link's updates as for `join`.
    pub async fn watch(
        &self,
        user: UserId,
        id: ConnectionId,
        link: &Arc<dyn Link>,
        whom: Vec<UserId>,
    ) -> Result<Vec<Seen>, WatchError> {
        let Some(viewer) = self.viewer(user) else {
            return Ok(Vec::new());
        };
        // Nobody is pushed their own presence; once is enough for the others.
        let mut added: HashSet<UserId> = whom.iter().copied().filter(|who| *who != user).collect();
        {
            let mut listeners = viewer.listeners.lock();
            let Some(listener) = listeners.iter_mut().find(|l| l.id == id) else {
                return Ok(Vec::new());
            };
            let watched = listener.watching.as_deref();
            added.retain(|who| watched.is_none_or(|watched| !watched.contains(who)));
            if watched.map_or(0, HashSet::len) + added.len() > WATCH_LIMIT {
                return Err(WatchError::TooMany);
            }
            if !added.is_empty() {
                listener.watching.get_or_insert_default().extend(&added);
            }
        }
        let added: Vec<UserId> = added.into_iter().collect();
        if !added.is_empty()
            && let Err(error) = self.refresh(&viewer, added.clone(), true).await
        {
            self.unwatch(user, id, &added);
            return Err(error.into());
        }
        let mut seen = Vec::new();
        let mut unknown = Vec::new();
        for subject in whom {
            let of = match self.subject(subject) {
                _ if subject == user => self.tracker.own(user),
                Some(of) => of.seen_by(user, &**link, false),
                None => None,
            };
            match of {
                Some(of) => seen.push(of),
                None => unknown.push(subject),
            }
        }
        self.unwatch(user, id, &unknown);
        Ok(seen)
    }

    /// Removes people from those a connection watches.
    pub fn unwatch(&self, user: UserId, id: ConnectionId, whom: &[UserId]) {
        let Some(viewer) = self.viewer(user) else {
            return;
        };
        let mut removed = Vec::new();
        if let Some(listener) = viewer.listeners.lock().iter_mut().find(|l| l.id == id)
            && let Some(watching) = &mut listener.watching
        {
            removed.extend(
                whom.iter()
                    .copied()
                    .filter(|subject| watching.remove(subject)),
            );
            if watching.is_empty() {
                listener.watching = None;
            }
        }
        self.drop_unneeded(&viewer, removed);
    }

    /// Follows, blocks, conversations or messages changed what is known of these people to each other: reads it
    /// again and tells those who are connected.
    pub async fn facts_changed(&self, people: &[UserId]) -> Result<(), StoreError> {
        for user in people {
            if let Some(viewer) = self.viewer(*user) {
                viewer.facts_version.fetch_add(1, Ordering::SeqCst);
                let others = people
                    .iter()
                    .copied()
                    .filter(|other| other != user)
                    .collect();
                self.refresh(&viewer, others, true).await?;
            }
        }
        Ok(())
    }

    /// A user's activity status or role changed (and is stored): tells their watchers, and tells them of those
    /// they watch.
    pub(super) fn privacy_changed(&self, user: UserId, row: Privacy) {
        self.settings_version.fetch_add(1, Ordering::SeqCst);
        let now = self.clock.now();
        let mut kicks = Kicks::new();
        if let Some(subject) = self.subject(user) {
            subject.set_setting(row.setting, now, &mut kicks);
        }
        if let Some(viewer) = self.viewer(user) {
            viewer.set_privacy(row);
            let interests = viewer.interests.lock().clone();
            for subject in interests {
                subject.viewer_changed(user, now, &mut kicks);
            }
        }
        flush(kicks);
    }

    /// A user has another name, by which updates call them from now on.
    pub(super) fn renamed(&self, user: UserId, username: &Arc<str>) {
        // Who has read the old name is about to register with it, and must read again.
        self.settings_version.fetch_add(1, Ordering::SeqCst);
        if let Some(subject) = self.subject(user) {
            subject.rename(username.clone());
        }
    }

    /// A user was erased: to everybody they are never seen from now on.
    pub fn erased(&self, user: UserId) {
        // Who has read the row already must find that there is none.
        self.settings_version.fetch_add(1, Ordering::SeqCst);
        let mut kicks = Kicks::new();
        let subject = shard(&self.subjects, user).write().remove(&user);
        if let Some(subject) = subject {
            subject.erase(self.clock.now(), &mut kicks);
        }
        flush(kicks);
    }

    /// Much changed at once: reads everybody's interests again.
    pub async fn reload(&self) -> Result<(), StoreError> {
        for index in 0..SHARDS {
            let viewers: Vec<_> = self.viewers[index].read().values().cloned().collect();
            for viewer in viewers {
                viewer.facts_version.fetch_add(1, Ordering::SeqCst);
                let Some(user) = self.store.user(viewer.id).await? else {
                    // Erased, and the mark of it was lost among many.
                    let reason = CloseReason::Revoked;
                    self.tracker.end_credential(viewer.id, None, reason);
                    self.erased(viewer.id);
                    continue;
                };
                self.privacy_changed(user.id, Privacy::of(&user));
                let is_loaded = viewer.load.lock().await;
                if *is_loaded {
                    self.load(&viewer, true).await?;
                }
            }
        }
        Ok(())
    }

    /// Pushes a message to every connection of a user.
    pub fn send_message(&self, user: UserId, message: &Arc<Encoded<NewMessage>>) {
        let Some(viewer) = self.viewer(user) else {
            return;
        };
        let links: Kicks = viewer
            .listeners
            .lock()
            .iter()
            .map(|l| l.link.clone())
            .collect();
        for link in &links {
            link.push_message(message);
        }
        flush(links);
    }

    /// The facts of a pair, if the viewer is connected and registered with the subject.
    pub fn facts(&self, viewer: UserId, subject: UserId) -> Option<PairFacts> {
        self.subject(subject)?.facts(viewer)
    }

    /// A user's gap is over.
    pub(super) fn gap_over(&self, user: UserId) {
        let mut kicks = Kicks::new();
        if let Some(subject) = self.subject(user) {
            subject.gap_over(&mut kicks);
        }
        flush(kicks);
    }

    /// How many subjects and viewers it holds.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        let subjects = self.subjects.iter().map(|shard| shard.read().len()).sum();
        let viewers = self.viewers.iter().map(|shard| shard.read().len()).sum();
        (subjects, viewers)
    }

    fn viewer(&self, user: UserId) -> Option<Arc<ViewerNode>> {
        shard(&self.viewers, user).read().get(&user).cloned()
    }

    fn subject(&self, user: UserId) -> Option<Arc<Subject>> {
        shard(&self.subjects, user).read().get(&user).cloned()
    }
}

impl Subscriber for Hub {
    fn transition(&self, transition: &Transition) {
        let Some(subject) = self.subject(transition.user_id) else {
            return;
        };
        let mut kicks = Kicks::new();
        let gap = self.settings.transition_gap;
        if let Some(left) = subject.transition(transition.standing, transition.at, gap, &mut kicks)
        {
            self.gaps.schedule(left, transition.user_id);
        }
        flush(kicks);
    }
}

#[cfg(test)]
mod tests;
