//! What the hub knows of a connection: where to put what its client is to be told.

use crate::model::{ConversationId, Status, Timestamp, UserId};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Wire formats that an [`Encoded`] payload is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `{"event":…,"data":…}` over `/ws`.
    Raw,
    /// Socket.IO 5.
    SocketIo,
}

/// Something pushed to many connections, encoded once per wire format whoever asks first.
#[derive(Debug)]
pub struct Encoded<T> {
    /// What is pushed.
    pub payload: T,
    raw: OnceLock<Bytes>,
    socket_io: OnceLock<Bytes>,
}

impl<T> Encoded<T> {
    /// Not encoded yet.
    pub fn new(payload: T) -> Arc<Self> {
        Arc::new(Self {
            payload,
            raw: OnceLock::new(),
            socket_io: OnceLock::new(),
        })
    }

    /// The encoding for `protocol`, made by `encode` the first time.
    pub fn get(&self, protocol: Protocol, encode: impl FnOnce(&T) -> Bytes) -> Bytes {
        let cell = match protocol {
            Protocol::Raw => &self.raw,
            Protocol::SocketIo => &self.socket_io,
        };
        cell.get_or_init(|| encode(&self.payload)).clone()
    }
}

/// What a `presence_update` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Of whom.
    pub user_id: UserId,
    /// Their name.
    pub username: Arc<str>,
    /// As this viewer may see it.
    pub status: Status,
    /// When it took effect.
    pub timestamp: Timestamp,
    /// Shown exactly when offline; `None` is null: never seen, or hidden.
    pub last_seen: Option<Timestamp>,
}

/// What a `message` event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Where.
    pub conversation_id: ConversationId,
    /// The message, as the HTTP API shows it.
    pub message: serde_json::Value,
}

/// One person in a snapshot or an answer to `watch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub username: Arc<str>,
    /// As this viewer may see it.
    pub status: Status,
    /// Shown exactly when offline.
    pub last_seen: Option<Timestamp>,
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The user signed out.
    SignedOut,
    /// The credential's time is over.
    Expired,
    /// The credential was revoked, or the account deleted.
    Revoked,
    /// An administrator ended this connection; its credential is still good.
    Kicked,
}

/// How a client is connected now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Socket.IO over HTTP long-polling, also one that may still be upgraded.
    Polling,
    /// Socket.IO over WebSocket.
    WebSocket,
    /// Raw WebSocket at `/ws`.
    Raw,
}

impl Transport {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
            Self::Raw => "raw",
        }
    }
}

/// What only the connection itself knows, asked when an administrator wants to know: kept nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// How it is connected now; an upgrade changes it.
    pub transport: Transport,
    /// When anything was last received: the last proof that the client is there.
    pub heard_at: Timestamp,
}

/// A connection as the hub sees it. Nothing here blocks or waits; `flush` may make one system call.
pub trait Link: Send + Sync {
    /// Queues an update, instead of an older one about the same person that still waits.
    fn push_presence(&self, update: &Arc<Encoded<Update>>);
    /// Takes back a waiting update about `subject`, because what is sent next says it already.
    fn forget_presence(&self, subject: UserId);
    /// For whoever puts together a snapshot or an answer: keeps updates waiting until `release_presence`, so that they come after what is being put together.
    fn hold_presence(&self);
    /// Lets updates go again.
    fn release_presence(&self);
    /// Queues a message.
    fn push_message(&self, message: &Arc<Encoded<NewMessage>>);
    /// Sends what is queued, now or soon.
    fn flush(self: Arc<Self>);
    /// Ends the connection after telling the client why. Its presence has been ended by the caller already.
    fn close(&self, reason: CloseReason);
    /// Says that the server stops, and ends the connection so that the client comes back by itself after a while.
    fn shut_down(&self, reconnect_after: Duration);
    /// What it knows of itself.
    fn vitals(&self) -> Vitals;
}
