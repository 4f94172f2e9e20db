//! The front of presence for handlers and connections: one method a deed.

mod changes;
mod overview;

use super::active::LastActive;
use super::dirty::Dirty;
use super::hub::{Hub, HubSettings, WatchError};
use super::link::{CloseReason, Link, Seen};
use super::tracked::{Ending, NewConnection};
use super::tracker::{TooMany, Tracker, TrackerSettings};
use super::viewer::Privacy;
use super::visibility::{Rule, Viewer, rule};
use crate::bus::Bus;
use crate::bus::live::Live;
use crate::error::{Error, Result};
use crate::model::*;
use crate::store::{PeopleRef, Store, StoreError};
use crate::tasks::Tasks;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tracing::warn;

/// A change in memory waits this long for company before it is written; with the write itself the columns follow
/// well within 250 ms.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// Pause before the store is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Users who have not been active for this long are dropped from memory.
const ACTIVE_WINDOW: Duration = Duration::from_secs(120);

/// Activity settings kept in memory.
const SETTINGS_CACHED: usize = 100_000;

/// Settings of presence.
#[derive(Clone, Copy, Debug)]
pub struct PresenceSettings {
    /// Of the tracker.
    pub tracker: TrackerSettings,
    /// Of the hub.
    pub hub: HubSettings,
}

/// A connection that was taken.
#[derive(Debug)]
pub struct Opened {
    /// Its number.
    pub id: ConnectionId,
    /// The snapshot it is owed.
    pub snapshot: Vec<Seen>,
}

/// Why a connection was not taken.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There are too many, of this user or in all.
    #[error("too many connections")]
    TooMany,
    /// The store could not be asked.
    #[error(transparent)]
    Service(#[from] Error),
}

impl From<TooMany> for OpenError {
    fn from(_: TooMany) -> Self {
        Self::TooMany
    }
}

/// Activity settings and roles by user, and how often one was forgotten: what was read before that is not kept.
struct Settings {
    cache: Cache<UserId, Privacy>,
    forgotten: Mutex<u64>,
}

/// The presence service; cheap to clone.
#[derive(Clone)]
pub struct PresenceService(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    tracker: Arc<Tracker>,
    hub: Arc<Hub>,
    dirty: Arc<Dirty>,
    active: LastActive,
    settings: Settings,
    /// The hub could not read what changed; it reads everything again when the store answers.
    stale: Notify,
}

impl PresenceService {
    /// With nobody connected.
    pub fn new(settings: PresenceSettings, store: Store, clock: Clock) -> Self {
        let bus = Bus::new();
        let dirty = Arc::new(Dirty::default());
        let tracker = Tracker::new(settings.tracker, clock.clone(), bus.clone(), dirty.clone());
        let hub = Hub::new(settings.hub, store.clone(), tracker.clone(), clock.clone());
        let is_first = bus.subscribe(hub.clone());
        debug_assert!(is_first, "the bus is new");
        Self(Arc::new(Inner {
            store,
            clock,
            tracker,
            hub,
            active: LastActive::new(dirty.clone()),
            dirty,
            settings: Settings {
                cache: Cache::new(SETTINGS_CACHED),
                forgotten: Mutex::new(0),
            },
            stale: Notify::new(),
        }))
    }

    /// Starts the background work: timers, flush, and the repair of what the hub could not read. Without a boot, on a
    /// database that takes no writes, what would be written is dropped instead.
    pub fn start(&self, boot: Option<BootId>, tasks: &Tasks) {
        let inner = self.0.clone();
        tasks.spawn("presence timers", move |stop| {
            let tracker = inner.tracker.clone();
            tracker
                .timers
                .clone()
                .run(stop, move |due| tracker.fire(due))
        });
        let inner = self.0.clone();
        tasks.spawn("transition gaps", move |stop| {
            let hub = inner.hub.clone();
            hub.gaps.clone().run(stop, move |user| hub.gap_over(user))
        });
        let service = self.clone();
        tasks.spawn("presence flush", move |stop| {
            let service = service.clone();
            async move {
                loop {
                    let gather = async {
                        service.0.dirty.wait().await;
                        tokio::time::sleep(FLUSH_AFTER).await;
                    };
                    if stop.run_until_cancelled(gather).await.is_none() {
                        return;
                    }
                    // Once begun it is not cut off: what was taken must be written or put back.
                    if !service.write(boot).await {
                        let _ = stop
                            .run_until_cancelled(tokio::time::sleep(RETRY_AFTER))
                            .await;
                    }
                }
            }
        });
        let service = self.clone();
        tasks.spawn("interest repair", move |stop| {
            let service = service.clone();
            async move {
                while stop
                    .run_until_cancelled(service.0.stale.notified())
                    .await
                    .is_some()
                {
                    while let Err(error) = service.0.hub.reload().await {
                        warn!(%error, "who is told of whom could not be read; trying again");
                        if stop
                            .run_until_cancelled(tokio::time::sleep(RETRY_AFTER))
                            .await
                            .is_none()
                        {
                            return;
                        }
                    }
                }
            }
        });
        let inner = self.0.clone();
        tasks.every("last active", ACTIVE_WINDOW / 2, move || {
            inner.active.sweep(inner.clock.now().minus(ACTIVE_WINDOW));
            std::future::ready(())
        });
    }

    /// The counters behind `/metrics` and the dashboards.
    pub fn tracker(&self) -> &Tracker {
        &self.0.tracker
    }

    #[cfg(test)]
    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// What happens, for administrators who follow it.
    pub fn live(&self) -> &Live {
        self.0.tracker.live()
    }

    /// Changes that the store does not have yet.
    pub fn unwritten(&self) -> usize {
        self.0.dirty.len()
    }

    // --- connections --------------------------------------------------------------------------------------

    /// Takes a connection: registers it with the hub, then counts it, so that its user is online only when
    /// everything stands. The caller holds the link's updates until it has queued the snapshot.
    ///
    /// # Errors
    /// Nothing has changed when it is refused.
    pub async fn open(&self, new: NewConnection, role: Role) -> Result<Opened, OpenError> {
        let user = new.user_id;
        let id = self.0.tracker.next_connection();
        let taken = self.try_open(id, new, role).await;
        if taken.is_err() {
            self.0.hub.leave(user, id);
        }
        taken
    }

    async fn try_open(
        &self,
        id: ConnectionId,
        new: NewConnection,
        role: Role,
    ) -> Result<Opened, OpenError> {
        let (user, link) = (new.user_id, new.link.clone());
        // Only a host's token claims more than the user's own row, which is newer than what was remembered of it.
        let role = match new.credential {
            Credential::SignIn(_) => Role::User,
            Credential::Jwt { .. } => role,
        };
        let row = self.privacy(user).await?.ok_or(Error::Unauthorized)?;
        #[cfg(test)]
        super::model_tests::chance().await;
        let joined = self.0.hub.join(user, role, row, id, link).await;
        let snapshot = joined.map_err(Error::from)?;
        // A change in between may not have found the viewer that was made from the row.
        if !self.settle_privacy(user, Some(row)).await? {
            return Err(Error::Unauthorized.into());
        }
        self.0.tracker.attach(id, new)?;
        Ok(Opened { id, snapshot })
    }

    /// A connection ended at `at`; what the server itself ended is counted already.
    pub fn closed(&self, user: UserId, id: ConnectionId, at: Timestamp, ending: Ending) {
        if let Some(Credential::SignIn(sign_in)) = self.0.tracker.detach(user, id, at, ending) {
            self.0.active.used(sign_in, at);
        }
        self.0.hub.leave(user, id);
    }

    /// Foreground or background, at the client's word.
    pub fn set_status(&self, user: UserId, id: ConnectionId, status: Status) {
        self.0
            .tracker
            .set_status(user, id, status == Status::Online);
    }

    /// Adds to whom a connection watches; unknown names and ids are left out. The caller holds the link's updates
    /// until it has queued the answer.
    ///
    /// # Errors
    /// The whole request is refused when it goes over the limit.
    pub async fn watch(
        &self,
        user: UserId,
        id: ConnectionId,
        link: &Arc<dyn Link>,
        whom: Whom,
    ) -> Result<Vec<Seen>, WatchError> {
        let ids = self.ids(whom).await?;
        self.0.hub.watch(user, id, link, ids).await
    }

    /// Takes away from whom a connection watches.
    ///
    /// # Errors
    /// When the store cannot be asked for the names.
    pub async fn unwatch(
        &self,
        user: UserId,
        id: ConnectionId,
        whom: Whom,
    ) -> Result<(), WatchError> {
        let ids = self.ids(whom).await?;
        self.0.hub.unwatch(user, id, &ids);
        Ok(())
    }

    async fn ids(&self, whom: Whom) -> Result<Vec<UserId>, StoreError> {
        match whom {
            Whom::Ids(ids) => Ok(ids),
            Whom::Names(names) => {
                let people = self.0.store.people(None, PeopleRef::Names(names)).await?;
                Ok(people
                    .into_iter()
                    .flatten()
                    .map(|person| person.id)
                    .collect())
            }
        }
    }

    /// A sign-in was ended by its user: closes its connections, and its presence ends at once.
    pub fn end_sign_in(&self, user: UserId, sign_in: SignInId) {
        let credential = Credential::SignIn(sign_in);
        self.0
            .tracker
            .end_credential(user, Some(&credential), CloseReason::SignedOut);
    }

    /// A sign-in was revoked: the same, and its sessions end as revoked.
    pub fn revoke_sign_in(&self, user: UserId, sign_in: SignInId) {
        let credential = Credential::SignIn(sign_in);
        self.0
            .tracker
            .end_credential(user, Some(&credential), CloseReason::Revoked);
    }

    /// Every connection of a user is ended, and their presence at once.
    pub fn end_user(&self, user: UserId) {
        self.0
            .tracker
            .end_credential(user, None, CloseReason::Revoked);
    }

    // --- what people may see ------------------------------------------------------------------------------

    /// A person's presence as `viewer` may see it: memory first, where the store is behind.
    pub fn view(&self, viewer: &Viewer, person: &Person) -> PresenceView {
        self.view_and_rule(viewer, person).0
    }

    /// The same, and by which rule.
    fn view_and_rule(&self, viewer: &Viewer, person: &Person) -> (PresenceView, Rule) {
        let rule = rule(viewer, person.id, person.activity_status, person.facts);
        if !rule.shows() {
            return (PresenceView::default(), rule);
        }
        let standing = self.0.tracker.standing(person.id).unwrap_or_default();
        let view = PresenceView {
            is_online: standing.is_online,
            last_seen: person.last_seen.max(standing.last_seen),
            last_login_at: person.last_login_at,
            last_active_at: person.last_active_at.max(self.0.active.get(person.id)),
        };
        (view, rule)
    }

    /// One person's presence by name; `None` when there is no such user.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn presence_of(
        &self,
        viewer: &Viewer,
        username: &str,
    ) -> Result<Option<(Person, PresenceView)>> {
        let names = PeopleRef::Names(vec![username.to_owned()]);
        let mut people = self.0.store.people(viewer.user_id(), names).await?;
        let person = people.pop().flatten();
        Ok(person.map(|person| {
            let view = self.view(viewer, &person);
            (person, view)
        }))
    }

    /// Who looks, for a checked caller. `act_as` is heeded for a service key only, and reads as a plain user.
    ///
    /// # Errors
    /// `Invalid` for an unknown `act_as`; `Unauthorized` for a user who was erased meanwhile.
    pub async fn viewer(&self, principal: &Principal, act_as: Option<UserId>) -> Result<Viewer> {
        let (id, missing) = match (principal, act_as) {
            (
                Principal::Key {
                    role: KeyRole::Admin,
                    ..
                },
                _,
            ) => return Ok(Viewer::Admin),
            (Principal::Key { .. }, None) => return Ok(Viewer::Stranger),
            (Principal::Key { .. }, Some(id)) => {
                (id, Error::invalid("X-Act-As", "must be the id of a user"))
            }
            (Principal::User(user), _) if user.role == Role::Admin => return Ok(Viewer::Admin),
            (Principal::User(user), _) => (user.id, Error::Unauthorized),
        };
        let activity_status = self.privacy(id).await?.ok_or(missing)?.setting;
        Ok(Viewer::User {
            id,
            activity_status,
        })
    }

    async fn privacy(&self, user: UserId) -> Result<Option<Privacy>> {
        let settings = &self.0.settings;
        if let Some(row) = settings.cache.get(&user) {
            return Ok(Some(row));
        }
        let before = *settings.forgotten.lock();
        let Some(row) = self.0.store.user(user).await?.as_ref().map(Privacy::of) else {
            return Ok(None);
        };
        // What was read before a change must not stand after it.
        let forgotten = settings.forgotten.lock();
        if *forgotten == before {
            settings.cache.insert(user, row);
        }
        Ok(Some(row))
    }

    fn forget_privacy(&self, user: UserId) {
        let settings = &self.0.settings;
        let mut forgotten = settings.forgotten.lock();
        *forgotten += 1;
        settings.cache.remove(&user);
    }

    /// A user made an authenticated request or sent a realtime message. Never waits.
    pub fn touch(&self, user: UserId, sign_in: Option<SignInId>) {
        self.0.active.touch(user, sign_in, self.0.clock.now());
    }

    /// Who was active of late, and when, as the store may not have it yet; whoever is online is active now.
    pub fn lately_active(&self) -> HashMap<UserId, Timestamp> {
        let mut active: HashMap<_, _> = self.0.active.all().into_iter().collect();
        let now = self.0.clock.now();
        active.extend(
            self.0
                .tracker
                .online_users()
                .into_iter()
                .map(|user| (user, now)),
        );
        active
    }

    /// When a sign-in was last used, if that may be newer than what the store has: now, while a connection of it is
    /// open, else the newest of its requests and messages and the end of its last connection.
    pub fn last_used(&self, user: UserId, sign_in: SignInId) -> Option<Timestamp> {
        let credential = Credential::SignIn(sign_in);
        if self.0.tracker.is_connected(user, &credential) {
            return Some(self.0.clock.now());
        }
        self.0.active.last_used(sign_in)
    }

    // --- stopping -----------------------------------------------------------------------------------------

    /// Writes everything, because the server stops; `false` when the store could not take it.
    pub async fn finish(&self, boot: BootId) -> bool {
        self.0.active.write_all();
        self.flush(boot).await
    }

    /// Ends every session and takes everybody offline. Nobody is told: the connections, which are returned, are to be
    /// told that the server stops. No connection is taken from now on.
    pub fn shut_down(&self) -> Vec<Arc<dyn Link>> {
        self.0.tracker.shut_down()
    }

    async fn write(&self, boot: Option<BootId>) -> bool {
        match boot {
            Some(boot) => self.flush(boot).await,
            None => {
                drop(self.0.dirty.take());
                self.0.dirty.written();
                true
            }
        }
    }

    /// Writes what changed since the last flush; `false` when the store could not take it, which keeps it for the
    /// next time.
    pub async fn flush(&self, boot: BootId) -> bool {
        let Some(batch) = self.0.dirty.take() else {
            return true;
        };
        match self.0.store.flush(boot, batch.clone()).await {
            Ok(()) => {
                self.0.dirty.written();
                true
            }
            Err(error) => {
                warn!(%error, "presence could not be written; it is kept and tried again");
                self.0.dirty.put_back(batch);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
