//! Engine.IO protocol 4: sessions over HTTP long-polling and WebSocket, the upgrade from one to the other, heartbeat.
//!
//! A session is one task from its handshake to its end, whatever its transport; requests hand it what they bring. What
//! messages mean is left to a [`Handler`]; [`crate::realtime::socketio::SocketIo`] is one.

pub mod packet;
mod polling;
mod requests;
mod session;

pub use requests::opens_session;

use crate::realtime::flusher::Flusher;
use crate::realtime::heartbeat::{Heartbeat, Life};
use crate::realtime::outbox::{Cause, Close, Outbox};
use parking_lot::Mutex;
use poem::{Endpoint, Request, Response};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The close code of a server that stops; over polling such a session ends without a close packet.
pub const SHUTDOWN: u16 = 4008;

/// What an Engine.IO server can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Between pings.
    pub ping_interval: Duration,
    /// For the answer to a ping.
    pub ping_timeout: Duration,
    /// Bytes of one message or one polling body from a client.
    pub max_payload: usize,
    /// Until a connection that was not established ([`Outbox::establish`]) is closed.
    pub connect_timeout: Duration,
    /// For an upgrade from polling to WebSocket, from its request to its last packet.
    pub upgrade_timeout: Duration,
    /// For the body of a polling request.
    pub body_timeout: Duration,
    /// Sessions that may be not yet established at a time; beyond, handshakes are answered 503.
    pub max_unestablished: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 65_536,
            connect_timeout: Duration::from_secs(45),
            upgrade_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            max_unestablished: 20_000,
        }
    }
}

/// The request that opened a session, without its body.
#[derive(Debug)]
pub struct Head {
    /// As the router saw it.
    pub uri: http::Uri,
    /// All headers.
    pub headers: http::HeaderMap,
    /// What the server in front of the endpoint put there.
    pub extensions: http::Extensions,
    /// The peer, if it has an address of that kind.
    pub peer: Option<SocketAddr>,
}

impl Head {
    /// The first value of a query parameter, percent-decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        requests::query_value(self.uri.query()?, name)
    }
}

/// A message from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Binary.
    Binary(bytes::Bytes),
}

/// The client broke the handler's protocol: the session is closed with 4007, or 400 on polling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(pub &'static str);

/// How and when a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub cause: Cause,
    /// When the transport really ended: for a ping timeout the moment the client was last heard.
    pub at: SystemTime,
}

/// What is spoken over Engine.IO.
pub trait Handler: Send + Sync + Sized + 'static {
    /// The handler's state of one session.
    type Connection: Send + 'static;

    /// A session begins. What is pushed to `outbox` goes out after the open packet. Should see to it that
    /// [`Outbox::establish`] is called once the session is of use.
    fn open(&self, head: Head, outbox: &Arc<Outbox>) -> Self::Connection;

    /// A message came. The next one of this session is not read before this is done. Replies that are pushed are
    /// written without a flush.
    ///
    /// # Errors
    /// Closes the session.
    fn message(
        &self,
        connection: &mut Self::Connection,
        message: Message,
    ) -> impl Future<Output = Result<(), ProtocolError>> + Send;

    /// The session is over.
    fn closed(&self, connection: Self::Connection, end: End) -> impl Future<Output = ()> + Send;
}

/// An Engine.IO server: a poem endpoint, and the owner of all its sessions. Cloning shares it.
pub struct Engine<H: Handler>(Arc<Inner<H>>);

impl<H: Handler> Clone for Engine<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<H: Handler> {
    handler: H,
    settings: Settings,
    flusher: Arc<Flusher>,
    heartbeat: Arc<Heartbeat>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Sessions that can be reached by their id: those on polling.
    polling: Mutex<HashMap<Box<str>, Arc<polling::Entry>>>,
    /// All sessions, to be closed at the end.
    live: Mutex<HashMap<u64, Weak<Outbox>>>,
    next_id: AtomicU64,
    unestablished: AtomicUsize,
    closing: AtomicBool,
}

impl<H: Handler> Engine<H> {
    /// A server for `handler`. Must be called inside a runtime, since it starts its heartbeat there.
    pub fn new(handler: H, settings: Settings, flusher: &Arc<Flusher>) -> Self {
        let heartbeat = Heartbeat::new(
            flusher,
            settings.ping_interval,
            settings.ping_timeout,
            packet::ping(),
            Life::Pong,
        );
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        tasks.spawn(heartbeat.clone().run(stop.clone()));
        Self(Arc::new(Inner {
            handler,
            settings,
            flusher: flusher.clone(),
            heartbeat,
            tasks,
            stop,
            polling: Mutex::default(),
            live: Mutex::default(),
            next_id: AtomicU64::new(1),
            unestablished: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        }))
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    /// Sessions there are, established or not.
    pub fn sessions(&self) -> usize {
        self.0.live.lock().len()
    }

    /// Sessions that are not yet established.
    pub fn unestablished(&self) -> usize {
        self.0.unestablished.load(Ordering::Relaxed)
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request) -> Response {
        requests::handle(&self.0, request).await
    }

    /// Takes no more sessions, closes all there are (4008, without a DISCONNECT, for those nobody closed otherwise)
    /// and waits until every task has ended, which the limits bound.
    pub async fn shutdown(&self) {
        self.0.closing.store(true, Ordering::SeqCst);
        let live: Vec<_> = self.0.live.lock().values().cloned().collect();
        for outbox in live.iter().filter_map(Weak::upgrade) {
            outbox.request_close(Close::server(SHUTDOWN, "shutdown"));
        }
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl<H: Handler> Endpoint for Engine<H> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self.handle(request).await)
    }
}

/// Letters and digits, about 119 bits: nobody guesses another's session.
pub(super) fn random_id() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(20)
        .map(char::from)
        .collect()
}
