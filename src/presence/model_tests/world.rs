//! A service on a new store, and clients that write down what they are told.

use crate::model::*;
use crate::presence::link::{
    CloseReason, Encoded, Link, NewMessage, Seen, Transport, Update, Vitals,
};
use crate::presence::tracked::NewConnection;
use crate::presence::tracker::Due;
use crate::presence::{HubSettings, OpenError, PresenceService, PresenceSettings, TrackerSettings};
use crate::store::{Durability, Options, Store};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What a client is told, in order.
#[derive(Clone, Debug)]
pub enum Told {
    Snapshot(Vec<Seen>),
    Watched(Vec<Seen>),
    Update(Update),
}

#[derive(Default)]
struct Heard {
    holds: u32,
    held: Vec<Update>,
    log: Vec<Told>,
    closed: Option<CloseReason>,
}

/// A client that writes down what it is told. It keeps what is held as an outbox does.
#[derive(Default)]
pub struct Ear(Mutex<Heard>);

impl Ear {
    pub fn say(&self, told: Told) {
        self.0.lock().log.push(told);
    }

    /// What came since the last call.
    pub fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().log)
    }

    pub fn closed(&self) -> Option<CloseReason> {
        self.0.lock().closed
    }
}

impl Link for Ear {
    fn push_presence(&self, update: &Arc<Encoded<Update>>) {
        let mut heard = self.0.lock();
        let update = update.payload.clone();
        if heard.holds == 0 {
            heard.log.push(Told::Update(update));
        } else {
            heard.held.retain(|held| held.user_id != update.user_id);
            heard.held.push(update);
        }
    }
    fn forget_presence(&self, subject: UserId) {
        self.0.lock().held.retain(|held| held.user_id != subject);
    }
    fn hold_presence(&self) {
        self.0.lock().holds += 1;
    }
    fn release_presence(&self) {
        let mut heard = self.0.lock();
        heard.holds -= 1;
        if heard.holds == 0 {
            let held = std::mem::take(&mut heard.held);
            heard.log.extend(held.into_iter().map(Told::Update));
        }
    }
    fn push_message(&self, _: &Arc<Encoded<NewMessage>>) {}
    fn flush(self: Arc<Self>) {}
    fn close(&self, reason: CloseReason) {
        self.0.lock().closed = Some(reason);
    }
    fn shut_down(&self, _: Duration) {}
    fn vitals(&self) -> Vitals {
        Vitals {
            transport: Transport::Raw,
            heard_at: Timestamp::from_millis(0),
        }
    }
}

/// What a client takes to be true of a person. Who never came up is offline, since when it does not know.
#[derive(Default)]
pub struct Beliefs(HashMap<UserId, (Status, Option<Timestamp>)>);

impl Beliefs {
    pub fn apply(&mut self, told: &Told) {
        match told {
            Told::Snapshot(seen) | Told::Watched(seen) => {
                for seen in seen {
                    self.0.insert(seen.user_id, (seen.status, seen.last_seen));
                }
            }
            Told::Update(update) => {
                self.0
                    .insert(update.user_id, (update.status, update.last_seen));
            }
        }
    }

    pub fn forget(&mut self, subject: UserId) {
        self.0.remove(&subject);
    }

    pub fn hold(&self, subject: UserId, view: (Status, Option<Timestamp>)) -> bool {
        match self.0.get(&subject) {
            Some(believed) => *believed == view,
            None => view.0 == Status::Offline,
        }
    }

    pub fn of(&self, subject: UserId) -> Option<(Status, Option<Timestamp>)> {
        self.0.get(&subject).copied()
    }
}

pub struct World {
    pub service: PresenceService,
    pub store: Store,
    pub clock: Clock,
    pub boot: BootId,
    pub users: Vec<UserId>,
    _folder: tempfile::TempDir,
}

impl World {
    /// With `people` users, of whom the last is an admin. Nothing happens by time alone.
    pub async fn new(audience: Audience, grace: Duration, people: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            create: true,
            migrate: true,
            mark_changes: false,
            durability: Durability::Normal,
            readers: 4,
            ..Options::default()
        };
        let store = Store::open(&folder.path().join("test.db"), options).expect("opens");
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let settings = PresenceSettings {
            tracker: TrackerSettings {
                offline_grace: grace,
                session_resume: Duration::from_secs(30),
                max_connections_per_user: 20,
                max_connections: 1_000,
            },
            hub: HubSettings {
                audience,
                transition_gap: Duration::ZERO,
            },
        };
        let boot = store.begin_boot(clock.now()).await.expect("a boot");
        let mut users = Vec::new();
        for n in 0..people {
            let mut new = crate::store::NewUser {
                id: None,
                external_id: None,
                username: Username::new(&format!("user{n}")).expect("a name"),
                password_hash: None,
                profile: ProfileFields::default(),
                role: Role::User,
                created_at: clock.now(),
            };
            if n + 1 == people {
                new.role = Role::Admin;
            }
            users.push(store.create_user(new).await.expect("created"));
        }
        Self {
            service: PresenceService::new(settings, store.clone(), clock.clone()),
            store,
            clock,
            boot,
            users,
            _folder: folder,
        }
    }

    /// Connects a client and has it told its snapshot.
    pub async fn connect(
        &self,
        user: UserId,
        device: &str,
        sign_in: SignInId,
    ) -> Result<(ConnectionId, Arc<Ear>), OpenError> {
        let ear = Arc::new(Ear::default());
        let new = NewConnection {
            user_id: user,
            username: "name".into(),
            device_id: Some(device.into()),
            credential: Credential::SignIn(sign_in),
            expires_at: None,
            client: Arc::default(),
            link: ear.clone(),
        };
        ear.hold_presence();
        let opened = self.service.open(new, Role::User).await?;
        ear.say(Told::Snapshot(opened.snapshot));
        ear.release_presence();
        Ok((opened.id, ear))
    }

    /// Has a client watch `whom`.
    pub async fn watch(&self, user: UserId, id: ConnectionId, ear: &Arc<Ear>, whom: Vec<UserId>) {
        let link: Arc<dyn Link> = ear.clone();
        ear.hold_presence();
        let seen = self
            .service
            .watch(user, id, &link, Whom::Ids(whom))
            .await
            .expect("watched");
        ear.say(Told::Watched(seen));
        ear.release_presence();
    }

    /// Every grace that may be running is over.
    pub fn end_graces(&self, user: UserId) {
        for serial in 0..2_000 {
            self.service.tracker().fire(Due::Grace(user, serial));
        }
    }

    /// Writes what is not written and has everybody forgotten who may be.
    pub async fn forget_all(&self) {
        assert!(self.service.flush(self.boot).await, "flushed");
        for user in &self.users {
            self.service.tracker().fire(Due::Forget(*user));
        }
    }
}
