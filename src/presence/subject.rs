//! One watched person: their state as last published, and who is told of it.

use super::link::{Encoded, Link, Seen, Update};
use super::viewer::ViewerNode;
use super::visibility::rule;
use crate::model::{ActivityStatus, PairFacts, Standing, Status, Timestamp, UserId};
use hashbrown::HashTable;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// Connections that were given something and are to be flushed once no lock is held.
pub(super) type Kicks = Vec<Arc<dyn Link>>;

/// What a viewer was last told of a subject: 48 bits, since it is kept for every pair. A last seen is milliseconds
/// since the Unix epoch, which lasts for some 8,900 years; the two highest values stand for other things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Told([u8; 6]);

impl Told {
    const ONLINE: Self = Self([0xFF; 6]);
    const NEVER_SEEN: Self = Self([0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    const LATEST_MILLIS: i64 = (1 << 48) - 3;

    fn of(standing: Standing, is_visible: bool) -> Self {
        match (is_visible, standing.is_online, standing.last_seen) {
            (false, _, _) | (true, false, None) => Self::NEVER_SEEN,
            (true, true, _) => Self::ONLINE,
            (true, false, Some(at)) => {
                let millis = at.as_millis().clamp(0, Self::LATEST_MILLIS);
                let [a, b, c, d, e, f, ..] = millis.to_le_bytes();
                Self([a, b, c, d, e, f])
            }
        }
    }

    fn unpack(self) -> (Status, Option<Timestamp>) {
        let [a, b, c, d, e, f] = self.0;
        match self {
            Self::ONLINE => (Status::Online, None),
            Self::NEVER_SEEN => (Status::Offline, None),
            _ => {
                let millis = i64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
                (Status::Offline, Some(Timestamp::from_millis(millis)))
            }
        }
    }
}

/// A viewer's entry with a subject: the pair's facts and what was last told, so that a transition reads nothing else.
struct Watcher {
    viewer: Arc<ViewerNode>,
    told: Told,
    facts: PairFacts,
    in_audience: bool,
}

/// A person whom somebody connected is told of.
pub(super) struct Subject {
    pub id: UserId,
    state: Mutex<State>,
}

struct State {
    username: Arc<str>,
    setting: ActivityStatus,
    standing: Standing,
    /// When the standing took effect.
    at: Timestamp,
    watchers: HashTable<Watcher>,
    /// The last push of a transition, and whether one waits for the end of the gap.
    pushed_at: Option<Instant>,
    is_gap_pending: bool,
    /// No watcher was left and the hub has let go of it: get another.
    is_gone: bool,
}

/// What a viewer's registration is to be.
pub(super) struct Registration {
    pub facts: PairFacts,
    pub in_audience: bool,
    /// The subject's setting as it was read.
    pub setting: ActivityStatus,
    pub username: Arc<str>,
    /// Joining an audience pushes the current state if online; at the first load the snapshot says it instead.
    pub announce: bool,
}

/// The subject was let go of in between; get it again.
pub(super) struct Gone;

fn hash(viewer: UserId) -> u64 {
    // Fibonacci hashing: ids are dense, and the table uses the upper bits.
    (viewer.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Subject {
    /// As the store has them. They hide until somebody registers with a setting that is current.
    pub fn new(id: UserId, username: Arc<str>, last_seen: Option<Timestamp>) -> Self {
        Self {
            id,
            state: Mutex::new(State {
                username,
                setting: ActivityStatus::Nobody,
                standing: Standing {
                    version: 0,
                    is_online: false,
                    last_seen,
                },
                at: last_seen.unwrap_or(Timestamp::from_millis(0)),
                watchers: HashTable::new(),
                pushed_at: None,
                is_gap_pending: false,
                is_gone: false,
            }),
        }
    }

    /// Takes a newer standing for a subject that was just made, and tells those who have registered already: the
    /// transition to it may have been published before there was a subject.
    pub fn adopt(&self, standing: Standing, now: Timestamp, kicks: &mut Kicks) {
        let mut state = self.state.lock();
        if standing.version > state.standing.version {
            state.standing = standing;
            state.at = now;
            state.tell_all(self.id, now, kicks);
        }
    }

    /// Takes a transition and tells the watchers, or says that this has to wait for the rest of the gap.
    pub fn transition(
        &self,
        standing: Standing,
        at: Timestamp,
        gap: std::time::Duration,
        kicks: &mut Kicks,
    ) -> Option<std::time::Duration> {
        let mut state = self.state.lock();
        if standing.version <= state.standing.version {
            return None;
        }
        state.standing = standing;
        state.at = at;
        if !gap.is_zero() {
            let now = Instant::now();
            let left = state.pushed_at.map_or(std::time::Duration::ZERO, |last| {
                gap.saturating_sub(now - last)
            });
            if !left.is_zero() {
                return (!std::mem::replace(&mut state.is_gap_pending, true)).then_some(left);
            }
            state.pushed_at = Some(now);
        }
        state.tell_all(self.id, at, kicks);
        None
    }

    /// The gap is over: tells the newest state, if it is not what was told already.
    pub fn gap_over(&self, kicks: &mut Kicks) {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.is_gap_pending) {
            let (at, told) = (state.at, kicks.len());
            state.tell_all(self.id, at, kicks);
            // What came to nothing is no push, and begins no gap.
            if kicks.len() > told {
                state.pushed_at = Some(Instant::now());
            }
        }
    }

    /// The subject's name changed.
    pub fn rename(&self, username: Arc<str>) {
        self.state.lock().username = username;
    }

    /// The subject's setting changed.
    pub fn set_setting(&self, setting: ActivityStatus, now: Timestamp, kicks: &mut Kicks) {
        let mut state = self.state.lock();
        state.setting = setting;
        state.tell_all(self.id, now, kicks);
    }

    /// The viewer's own setting changed.
    pub fn viewer_changed(&self, viewer: UserId, now: Timestamp, kicks: &mut Kicks) {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(watcher) = state
            .watchers
            .find_mut(hash(viewer), |w| w.viewer.id == viewer)
        {
            let mut updates = Updates::new(self.id, &state.username, now);
            watcher.tell(self.id, state.setting, state.standing, &mut updates, kicks);
        }
    }

    /// Registers a viewer, or gives it other facts, and tells it what changes by that. An entry that is neither in
    /// the audience nor watched is removed. Returns whether there is an entry afterwards; a viewer that is gone gets
    /// none, since its user may be back as another.
    ///
    /// `is_current` says whether no setting was changed since `new` was read; a change that comes later waits for the
    /// lock under which this is asked.
    pub fn register(
        &self,
        viewer: &Arc<ViewerNode>,
        new: Registration,
        is_current: impl FnOnce() -> bool,
        now: Timestamp,
        kicks: &mut Kicks,
    ) -> Result<bool, Gone> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.is_gone {
            return Err(Gone);
        }
        if viewer.is_gone.load(Ordering::SeqCst) {
            return Ok(false);
        }
        state.username = new.username;
        let changes_setting = state.setting != new.setting && is_current();
        if changes_setting {
            state.setting = new.setting;
        }
        let watched = viewer.is_watching(self.id);
        let mut updates = Updates::new(self.id, &state.username, now);
        let found = state
            .watchers
            .find_entry(hash(viewer.id), |w| w.viewer.id == viewer.id);
        match found {
            Ok(mut entry) => {
                let watcher = entry.get_mut();
                watcher.viewer = viewer.clone();
                let joins = new.in_audience && !watcher.in_audience;
                watcher.facts = new.facts;
                watcher.tell(self.id, state.setting, state.standing, &mut updates, kicks);
                watcher.in_audience = new.in_audience;
                if joins && new.announce {
                    watcher.announce(self.id, &mut updates, kicks);
                }
                if !new.in_audience && !watched {
                    entry.remove();
                }
            }
            Err(_) if new.in_audience || watched => {
                let is_visible = rule(&viewer.viewer(), self.id, state.setting, new.facts).shows();
                let watcher = Watcher {
                    viewer: viewer.clone(),
                    told: Told::of(state.standing, is_visible),
                    facts: new.facts,
                    in_audience: new.in_audience,
                };
                if new.in_audience && new.announce {
                    watcher.announce(self.id, &mut updates, kicks);
                }
                state
                    .watchers
                    .insert_unique(hash(viewer.id), watcher, |w| hash(w.viewer.id));
            }
            Err(_) => {}
        }
        if changes_setting {
            state.tell_all(self.id, now, kicks);
        }
        Ok(new.in_audience || watched)
    }

    /// Removes a viewer that is gone. An entry that a later node of the same user has taken over stays.
    pub fn leave(&self, viewer: &Arc<ViewerNode>) {
        let mut state = self.state.lock();
        let ours = |w: &Watcher| Arc::ptr_eq(&w.viewer, viewer);
        if let Ok(entry) = state.watchers.find_entry(hash(viewer.id), ours) {
            entry.remove();
        }
        let (len, capacity) = (state.watchers.len(), state.watchers.capacity());
        if capacity > 64 && len < capacity / 4 {
            state.watchers.shrink_to(len * 2, |w| hash(w.viewer.id));
        }
    }

    /// Removes a viewer who has read that the person is not there, and tells them so if they were told of them.
    pub fn lost(&self, viewer: &Arc<ViewerNode>, now: Timestamp, kicks: &mut Kicks) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let ours = |w: &Watcher| Arc::ptr_eq(&w.viewer, viewer);
        if let Ok(entry) = state.watchers.find_entry(hash(viewer.id), ours) {
            let (mut watcher, _) = entry.remove();
            let mut updates = Updates::new(self.id, &state.username, now);
            let never = Standing::default();
            watcher.tell(self.id, state.setting, never, &mut updates, kicks);
        }
    }

    /// After `unwatch`: removes the entry unless the viewer is in the audience or another connection watches.
    pub fn drop_if_unneeded(&self, viewer: &Arc<ViewerNode>) -> bool {
        let mut state = self.state.lock();
        let watched = viewer.is_watching(self.id);
        let unneeded = |w: &Watcher| Arc::ptr_eq(&w.viewer, viewer) && !w.in_audience && !watched;
        match state.watchers.find_entry(hash(viewer.id), unneeded) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    /// What the viewer was last told, for a snapshot or an answer that takes the place of a waiting update.
    /// With `audience_only`, nothing for a person who is only watched.
    pub fn seen_by(&self, viewer: UserId, link: &dyn Link, audience_only: bool) -> Option<Seen> {
        let state = self.state.lock();
        let watcher = state
            .watchers
            .find(hash(viewer), |w| w.viewer.id == viewer)?;
        if audience_only && !watcher.in_audience {
            return None;
        }
        link.forget_presence(self.id);
        let (status, last_seen) = watcher.told.unpack();
        Some(Seen {
            user_id: self.id,
            username: state.username.clone(),
            status,
            last_seen,
        })
    }

    /// Lets go of it when nobody watches. Called under the lock of the map it is in.
    pub fn retire(&self) -> bool {
        let mut state = self.state.lock();
        state.is_gone = state.watchers.is_empty();
        state.is_gone
    }

    /// The facts of a viewer who is registered.
    pub fn facts(&self, viewer: UserId) -> Option<PairFacts> {
        let state = self.state.lock();
        state
            .watchers
            .find(hash(viewer), |w| w.viewer.id == viewer)
            .map(|w| w.facts)
    }

    /// The person was erased: those who could see them are told that they are never seen, and all are let go.
    pub fn erase(&self, now: Timestamp, kicks: &mut Kicks) {
        let mut state = self.state.lock();
        state.standing = Standing {
            version: u64::MAX,
            ..Standing::default()
        };
        state.tell_all(self.id, now, kicks);
        state.watchers.clear();
        state.is_gone = true;
    }
}

impl State {
    fn tell_all(&mut self, id: UserId, at: Timestamp, kicks: &mut Kicks) {
        let mut updates = Updates::new(id, &self.username, at);
        for watcher in self.watchers.iter_mut() {
            watcher.tell(id, self.setting, self.standing, &mut updates, kicks);
        }
    }
}

impl Watcher {
    /// Tells the viewer what they may see now, if it is not what they were told last.
    fn tell(
        &mut self,
        subject: UserId,
        setting: ActivityStatus,
        standing: Standing,
        updates: &mut Updates<'_>,
        kicks: &mut Kicks,
    ) {
        let is_visible = rule(&self.viewer.viewer(), subject, setting, self.facts).shows();
        let now = Told::of(standing, is_visible);
        if now == self.told {
            return;
        }
        self.told = now;
        let update = updates.get(now);
        for listener in self.viewer.listeners.lock().iter() {
            if self.in_audience || listener.watches(subject) {
                listener.link.push_presence(&update);
                kicks.push(listener.link.clone());
            }
        }
    }

    /// Tells the connections that did not watch already, if the subject is online.
    fn announce(&self, subject: UserId, updates: &mut Updates<'_>, kicks: &mut Kicks) {
        if self.told != Told::ONLINE {
            return;
        }
        let update = updates.get(self.told);
        for listener in self.viewer.listeners.lock().iter() {
            if !listener.watches(subject) {
                listener.link.push_presence(&update);
                kicks.push(listener.link.clone());
            }
        }
    }
}

/// The updates of one change: at most one for those who see and one for those who do not, shared by all.
struct Updates<'a> {
    subject: UserId,
    username: &'a Arc<str>,
    at: Timestamp,
    made: [Option<(Told, Arc<Encoded<Update>>)>; 2],
}

impl<'a> Updates<'a> {
    fn new(subject: UserId, username: &'a Arc<str>, at: Timestamp) -> Self {
        Self {
            subject,
            username,
            at,
            made: [None, None],
        }
    }

    fn get(&mut self, told: Told) -> Arc<Encoded<Update>> {
        let slot = &mut self.made[usize::from(told == Told::NEVER_SEEN)];
        if let Some((same, update)) = slot
            && *same == told
        {
            return update.clone();
        }
        let (status, last_seen) = told.unpack();
        let update = Encoded::new(Update {
            user_id: self.subject,
            username: self.username.clone(),
            status,
            timestamp: self.at,
            last_seen,
        });
        *slot = Some((told, update.clone()));
        update
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_kept_exactly_and_small() {
        let offline = |millis| Standing {
            version: 1,
            is_online: false,
            last_seen: Some(Timestamp::from_millis(millis)),
        };
        for millis in [0, 1, 1_795_000_000_123, Told::LATEST_MILLIS] {
            let seen = Some(Timestamp::from_millis(millis));
            let told = Told::of(offline(millis), true);
            assert_eq!(told.unpack(), (Status::Offline, seen));
            assert_ne!(told, Told::of(offline(millis), false), "hidden");
        }
        let latest = Some(Timestamp::from_millis(Told::LATEST_MILLIS));
        assert_eq!(Told::of(offline(i64::MAX), true).unpack().1, latest);
        assert_eq!(Told::NEVER_SEEN.unpack(), (Status::Offline, None));
        assert_eq!(Told::ONLINE.unpack(), (Status::Online, None));
        assert_eq!(size_of::<Watcher>(), 16, "one for every pair");
    }
}
