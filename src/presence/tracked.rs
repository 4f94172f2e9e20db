//! One user's connections, grace and sessions: the rules, without locks, tasks or clocks.

use super::link::Link;
use super::overview::OpenConnection;
use crate::model::{
    ClientInfo, ConnectionId, Credential, EndReason, SessionId, SessionRow, Standing, Timestamp,
    UserId,
};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A connection to be counted.
pub struct NewConnection {
    /// Whose.
    pub user_id: UserId,
    /// Their name.
    pub username: Arc<str>,
    /// The `deviceId` the client gave.
    pub device_id: Option<Arc<str>>,
    /// What they showed; stands for the device where the client gave no id.
    pub credential: Credential,
    /// When that ends.
    pub expires_at: Option<Timestamp>,
    /// Where it comes from.
    pub client: Arc<ClientInfo>,
    /// Where to tell it things.
    pub link: Arc<dyn Link>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client said so.
    Client,
    /// The transport ended without a word, or no pong came.
    Lost,
    /// The user signed out.
    SignedOut,
    /// Token revoked or expired, or account deleted.
    Revoked,
    /// An administrator ended this one connection.
    Kicked,
}

impl Ending {
    const fn reason(self) -> EndReason {
        match self {
            Self::Client => EndReason::Client,
            Self::Lost => EndReason::Lost,
            Self::SignedOut => EndReason::Signout,
            Self::Revoked | Self::Kicked => EndReason::Revoked,
        }
    }

    /// Whether presence ends at once, without the grace.
    const fn is_immediate(self) -> bool {
        matches!(self, Self::SignedOut | Self::Revoked)
    }
}

/// What a session belongs to: the client's device id, else the sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Device {
    Named(Arc<str>),
    SignIn(Credential),
}

/// One open connection.
pub(super) struct Connection {
    pub id: ConnectionId,
    pub credential: Credential,
    pub link: Arc<dyn Link>,
    pub foreground: bool,
    connected_at: Timestamp,
    device: Device,
    client: Arc<ClientInfo>,
}

struct DeviceSession {
    device: Device,
    id: SessionId,
    client: Arc<ClientInfo>,
    started_at: Timestamp,
    ended: Option<(Timestamp, EndReason)>,
    /// The latest end of a foreground connection of this device in this session.
    last_end: Option<Timestamp>,
}

#[derive(Clone)]
struct Grace {
    /// The connection whose end began it.
    credential: Credential,
    /// Tells this grace from a later one.
    serial: u64,
    /// When it will be over.
    until: Timestamp,
}

/// The time rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub grace: Duration,
    pub resume: Duration,
}

/// What a change did, for the caller to carry out.
#[derive(Default)]
pub(super) struct Effects {
    /// The user went online or offline.
    pub transition: bool,
    /// A grace began; call `grace_over` with this after it.
    pub grace: Option<u64>,
    /// Sessions to be written.
    pub sessions: Vec<SessionRow>,
}

/// One user as the tracker holds them.
pub(super) struct Tracked {
    pub user_id: UserId,
    pub username: Arc<str>,
    pub connections: Vec<Connection>,
    pub standing: Standing,
    /// Since when online.
    pub since: Timestamp,
    sessions: Vec<DeviceSession>,
    grace: Option<Grace>,
    /// The latest end of a foreground connection in this stretch.
    last_end: Option<Timestamp>,
    serial: u64,
}

impl Tracked {
    pub fn new(user_id: UserId, username: Arc<str>) -> Self {
        Self {
            user_id,
            username,
            connections: Vec::new(),
            standing: Standing::default(),
            since: Timestamp::from_millis(0),
            sessions: Vec::new(),
            grace: None,
            last_end: None,
            serial: 0,
        }
    }

    /// Adds a connection, in the foreground.
    pub fn attach(
        &mut self,
        id: ConnectionId,
        new: NewConnection,
        now: Timestamp,
        rules: Rules,
    ) -> Effects {
        let device = match new.device_id {
            Some(name) => Device::Named(name),
            None => Device::SignIn(new.credential.clone()),
        };
        self.connections.push(Connection {
            id,
            credential: new.credential,
            link: new.link,
            foreground: false,
            connected_at: now,
            device,
            client: new.client,
        });
        self.set_foreground(self.connections.len() - 1, now, rules)
    }

    /// Brings a connection to the foreground, or to the background at the client's word.
    pub fn set_status(
        &mut self,
        id: ConnectionId,
        foreground: bool,
        now: Timestamp,
        rules: Rules,
    ) -> Effects {
        let Some(index) = self.connections.iter().position(|c| c.id == id) else {
            return Effects::default();
        };
        match (self.connections[index].foreground, foreground) {
            (false, true) => self.set_foreground(index, now, rules),
            (true, false) => {
                self.connections[index].foreground = false;
                let device = self.connections[index].device.clone();
                let credential = self.connections[index].credential.clone();
                self.foreground_ended(&device, credential, now, EndReason::Client, true, rules)
            }
            _ => Effects::default(),
        }
    }

    /// Removes a connection that ended at `at`. `None` when it is not here (any more).
    pub fn detach(
        &mut self,
        id: ConnectionId,
        at: Timestamp,
        ending: Ending,
        rules: Rules,
    ) -> Option<Effects> {
        let index = self.connections.iter().position(|c| c.id == id)?;
        let connection = self.connections.remove(index);
        if self.connections.is_empty() {
            self.connections.shrink_to_fit();
        }
        if !connection.foreground {
            return Some(Effects::default());
        }
        let (device, credential) = (connection.device, connection.credential);
        Some(self.foreground_ended(
            &device,
            credential,
            at,
            ending.reason(),
            ending.is_immediate(),
            rules,
        ))
    }

    /// Ends the grace at once if it was begun by a connection of this credential (any, with `None`).
    pub fn end_grace(&mut self, credential: Option<&Credential>) -> Effects {
        let ours = |grace: &Grace| credential.is_none_or(|c| *c == grace.credential);
        if self.grace.as_ref().is_some_and(ours) {
            return self.go_offline();
        }
        Effects::default()
    }

    /// The grace that `Effects::grace` announced is over.
    pub fn grace_over(&mut self, serial: u64) -> Effects {
        if self
            .grace
            .as_ref()
            .is_some_and(|grace| grace.serial == serial)
        {
            return self.go_offline();
        }
        Effects::default()
    }

    /// The grace that has just begun, if one has, runs until then.
    pub fn set_grace_until(&mut self, until: Timestamp) {
        if let Some(grace) = &mut self.grace {
            grace.until = until;
        }
    }

    /// When the grace ends, while there is one.
    pub fn grace_until(&self) -> Option<Timestamp> {
        self.grace.as_ref().map(|grace| grace.until)
    }

    /// Every connection, in the order they came.
    pub fn open_connections(&self) -> Vec<OpenConnection> {
        let open = |connection: &Connection| OpenConnection {
            id: connection.id,
            client: connection.client.clone(),
            foreground: connection.foreground,
            connected_at: connection.connected_at,
            vitals: connection.link.vitals(),
        };
        self.connections.iter().map(open).collect()
    }

    /// Everything ends because the server stops.
    pub fn shut_down(&mut self, now: Timestamp) -> Effects {
        let mut effects = Effects::default();
        for session in self.sessions.iter_mut().filter(|s| s.ended.is_none()) {
            session.ended = Some((now.max(session.started_at), EndReason::Shutdown));
            effects.sessions.push(row(self.user_id, session));
        }
        let any_foreground = self.connections.iter().any(|c| c.foreground);
        if any_foreground {
            self.last_end = self.last_end.max(Some(now.max(self.since)));
        }
        self.connections.clear();
        if self.standing.is_online {
            effects.transition = self.go_offline().transition;
        }
        effects
    }

    /// Whether nothing here is needed any more: no connection, no grace, no session that could be resumed.
    pub fn is_idle(&self, now: Timestamp, rules: Rules) -> bool {
        self.connections.is_empty()
            && self.grace.is_none()
            && self.sessions.iter().all(|s| {
                s.ended
                    .is_some_and(|(at, reason)| !reason.resumable() || now.since(at) > rules.resume)
            })
    }

    fn set_foreground(&mut self, index: usize, now: Timestamp, rules: Rules) -> Effects {
        let mut effects = Effects::default();
        let device = self.connections[index].device.clone();
        if !self
            .connections
            .iter()
            .any(|c| c.foreground && c.device == device)
        {
            let client = self.connections[index].client.clone();
            effects
                .sessions
                .push(self.begin_session(device, client, now, rules));
        }
        self.connections[index].foreground = true;
        self.grace = None;
        if !self.standing.is_online {
            self.standing.is_online = true;
            self.since = now;
            self.last_end = None;
            effects.transition = true;
        }
        effects
    }

    fn begin_session(
        &mut self,
        device: Device,
        client: Arc<ClientInfo>,
        now: Timestamp,
        rules: Rules,
    ) -> SessionRow {
        // Sessions that can no longer be resumed are only in the store.
        let can_resume = |s: &DeviceSession| match s.ended {
            None => true,
            Some((at, reason)) => reason.resumable() && now.since(at) <= rules.resume,
        };
        self.sessions.retain(can_resume);
        if let Some(session) = self.sessions.iter_mut().find(|s| s.device == device) {
            session.ended = None;
            return row(self.user_id, session);
        }
        let session = DeviceSession {
            device,
            id: SessionId(uuid_at(now)),
            client,
            started_at: now,
            ended: None,
            last_end: None,
        };
        let begun = row(self.user_id, &session);
        self.sessions.push(session);
        begun
    }

    fn foreground_ended(
        &mut self,
        device: &Device,
        credential: Credential,
        at: Timestamp,
        reason: EndReason,
        immediate: bool,
        rules: Rules,
    ) -> Effects {
        let mut effects = Effects::default();
        let device_is_left = !self
            .connections
            .iter()
            .any(|c| c.foreground && c.device == *device);
        if let Some(session) = self
            .sessions
            .iter_mut()
            .find(|s| s.device == *device && s.ended.is_none())
        {
            // The one noticed last is not always the one that ended last.
            let end = session
                .last_end
                .max(Some(at))
                .unwrap_or(at)
                .max(session.started_at);
            session.last_end = Some(end);
            if device_is_left {
                session.ended = Some((end, reason));
                effects.sessions.push(row(self.user_id, session));
            }
        }
        self.last_end = self.last_end.max(Some(at.max(self.since)));
        if self.connections.iter().any(|c| c.foreground) {
            return effects;
        }
        if immediate || rules.grace.is_zero() {
            effects.transition = self.go_offline().transition;
        } else {
            self.serial += 1;
            effects.grace = Some(self.serial);
            self.grace = Some(Grace {
                credential,
                serial: self.serial,
                // It runs from when the end was noticed, which is the caller's to know.
                until: at.plus(rules.grace),
            });
        }
        effects
    }

    fn go_offline(&mut self) -> Effects {
        self.grace = None;
        self.standing.is_online = false;
        self.standing.last_seen = self.standing.last_seen.max(self.last_end);
        Effects {
            transition: true,
            ..Effects::default()
        }
    }
}

fn row(user_id: UserId, session: &DeviceSession) -> SessionRow {
    SessionRow {
        id: session.id,
        user_id,
        device_id: match &session.device {
            Device::Named(name) => Some(name.clone()),
            Device::SignIn(_) => None,
        },
        client: session.client.clone(),
        started_at: session.started_at,
        ended: session.ended,
    }
}

/// A UUIDv7 of `time` (RFC 9562, section 5.7).
fn uuid_at(time: Timestamp) -> Uuid {
    let millis = u64::try_from(time.as_millis()).unwrap_or(0);
    let stamp = uuid::Timestamp::from_unix(
        uuid::NoContext,
        millis / 1000,
        (millis % 1000) as u32 * 1_000_000,
    );
    Uuid::new_v7(stamp)
}

#[cfg(test)]
mod tests;
