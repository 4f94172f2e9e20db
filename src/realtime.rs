//! One connection's life, whatever its transport.
//!
//! The layers, from the wire up; none of these knows about users, presence or the store:
//!
//! | module | holds |
//! | --- | --- |
//! | [`frame`] | server frames as shared bytes; the incremental reader of client frames |
//! | [`outbox`] | one connection's queue: ordinary frames, replies, and per key only the newest |
//! | [`flusher`] | what the outboxes share: limits, clock, and the gathering of writes under load |
//! | [`heartbeat`] | one task that pings every connection and ends those that do not answer |
//! | [`stream`] | the raw stream that is left after an HTTP upgrade |
//! | [`websocket`] | the opening handshake and the I/O of one WebSocket |
//! | [`socketio`] | Engine.IO 4 and Socket.IO 5 with a handler trait each |
//!
//! On top of them lastseen's own: [`wire`] (the event vocabulary), [`client`] (one authenticated client), `raw`
//! (`/ws`), `handler` (`/socket.io/`), [`origin`] and [`admission`] (who may connect), and [`Realtime`], which owns it
//! all.

pub mod admission;
pub mod client;
pub mod flusher;
pub mod frame;
mod handler;
pub mod heartbeat;
pub mod origin;
pub mod outbox;
mod raw;
pub mod socketio;
pub mod stream;
pub mod websocket;
pub mod wire;

use crate::auth::Auth;
use crate::auth::client::{Client as Peer, ClientRules};
use crate::auth::token::bearer;
use crate::error::Error;
use crate::metrics::RealtimeCounters;
use crate::model::{Clock, Timestamp};
use crate::presence::PresenceService;
use crate::presence::link::{Encoded, Link, NewMessage, Protocol, Seen, Transport, Update, Vitals};
use admission::{Admission, Admissions};
use flusher::{Flusher, Limits};
use frame::Frame;
use handler::SocketHandler;
use heartbeat::{Heartbeat, Life};
use outbox::Outbox;
use poem::web::RemoteAddr;
use poem::{Request, Response};
use rand::Rng as _;
use serde_json::{Value, json};
use socketio::{Engine, SocketIo};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use websocket::HandshakeError;
use wire::{People, WireError};

/// After a shutdown clients come back within this time, each at a moment of its own.
const RECONNECT_SPREAD: Duration = Duration::from_secs(5);

/// How long a connection that is being closed may take to be written what waits, and again to say goodbye.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// A message of a client at most, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// How long an Engine.IO session may go without a Socket.IO CONNECT.
const CONNECT_TIME: Duration = Duration::from_secs(45);

/// Settings of the realtime layer.
#[derive(Clone, Debug)]
pub struct RealtimeSettings {
    /// Other origins whose pages may connect.
    pub cors_origins: Vec<String>,
    /// What is believed and kept of a client's address.
    pub client_rules: ClientRules,
    /// Between two pings.
    pub ping_interval: Duration,
    /// For the answer.
    pub ping_timeout: Duration,
    /// Events a second and connection.
    pub event_rate: NonZeroU32,
    /// Events at once.
    pub event_burst: NonZeroU32,
    /// Connections not signed in yet that one address may hold.
    pub max_unauthenticated_per_address: usize,
    /// A socket that stays full for this long is closed.
    pub slow_consumer_timeout: Duration,
    /// For the body of a request.
    pub body_timeout: Duration,
}

/// Why a request for a connection is not answered with one.
#[derive(Debug)]
pub enum Refusal {
    /// Its `Origin` may not connect.
    Origin,
    /// Its address holds too many connections that are not signed in; one that does not sign in ends after this.
    TooManyUnauthenticated {
        /// How long that takes at most.
        retry_after: Duration,
    },
    /// It is no WebSocket handshake.
    Handshake(HandshakeError),
    /// A service could not answer.
    Service(Error),
}

/// Owns every realtime connection; cheap to clone.
#[derive(Clone)]
pub struct Realtime {
    shared: Shared,
    engine: Engine<SocketIo<SocketHandler>>,
}

/// What connections share.
type Shared = Arc<Inner>;

/// See [`Shared`].
struct Inner {
    auth: Auth,
    presence: PresenceService,
    counters: RealtimeCounters,
    clock: Clock,
    settings: RealtimeSettings,
    admissions: Arc<Admissions>,
    flusher: Arc<Flusher>,
    raw_heartbeat: Arc<Heartbeat>,
    /// The tasks of raw connections, and of what serves all.
    tasks: TaskTracker,
    /// Stops what serves the connections, once they are gone.
    stop: CancellationToken,
    /// No connection is taken any more, and those that are not signed in yet are closed.
    stopping: CancellationToken,
}

impl Realtime {
    /// With no connections; starts the tasks that serve them.
    pub fn start(
        auth: Auth,
        presence: PresenceService,
        counters: RealtimeCounters,
        clock: Clock,
        settings: RealtimeSettings,
    ) -> Self {
        let limits = Limits {
            stall: settings.slow_consumer_timeout,
            closing: CLOSING_TIME,
            ..Limits::default()
        };
        let flusher = Flusher::new(limits);
        let (interval, timeout) = (settings.ping_interval, settings.ping_timeout);
        let (ping, life) = (Frame::ping(b""), Life::Anything);
        let raw_heartbeat = Heartbeat::new(&flusher, interval, timeout, ping, life);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(flusher.clone().run(stop.clone()));
        tasks.spawn(raw_heartbeat.clone().run(stop.clone()));
        let engine_settings = socketio::Settings {
            ping_interval: interval,
            ping_timeout: timeout,
            max_payload: MAX_MESSAGE_BYTES,
            connect_timeout: CONNECT_TIME,
            body_timeout: settings.body_timeout,
            // Bounded by address instead, which one address cannot fill for the others.
            max_unestablished: usize::MAX,
            ..socketio::Settings::default()
        };
        let shared = Arc::new(Inner {
            auth,
            presence,
            counters,
            clock,
            admissions: Admissions::new(settings.max_unauthenticated_per_address),
            settings,
            flusher,
            raw_heartbeat,
            tasks,
            stop,
            stopping: CancellationToken::new(),
        });
        let handler = SocketHandler(shared.clone());
        let engine = SocketIo::new(handler, engine_settings, &shared.flusher);
        Self { shared, engine }
    }

    /// Answers a request for `/ws`.
    ///
    /// # Errors
    /// What to answer instead of a 101.
    pub async fn raw(&self, request: &Request) -> Result<Response, Refusal> {
        self.shared.check_origin(request)?;
        self.shared.check_running()?;
        raw::accept(&self.shared, request).await
    }

    /// Answers a request below `/socket.io/`; what is wrong with it in the eyes of Engine.IO is answered as that
    /// prescribes.
    ///
    /// # Errors
    /// What to answer instead.
    pub async fn socket_io(&self, mut request: Request) -> Result<Response, Refusal> {
        self.shared.check_origin(&request)?;
        if socketio::opens_session(&request) {
            self.shared.check_running()?;
            let address = self.shared.peer(&request).address;
            let admission = self.shared.admit(address)?;
            // Given back with the request's head, which the engine drops when the client has connected.
            request.extensions_mut().insert(Arc::new(admission));
        }
        Ok(self.engine.handle(request).await)
    }

    /// Connections closed because their client read too slowly.
    pub fn slow_consumers(&self) -> u64 {
        self.shared.flusher.stats().slow_consumers()
    }

    /// Takes no connection from now on, and closes those that are not signed in.
    pub fn stop_accepting(&self) {
        self.shared.stopping.cancel();
    }

    /// Tells every connection that the server stops, each with its own random moment to come back, and waits until
    /// all are closed. Presence has been ended before.
    ///
    /// Polls are still answered meanwhile: a client that polls is told on its next one.
    pub async fn shut_down(&self, links: Vec<Arc<dyn Link>>) {
        self.stop_accepting();
        for link in links {
            link.shut_down(reconnect_after());
        }
        self.engine.shutdown().await;
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Inner {
    fn check_origin(&self, request: &Request) -> Result<(), Refusal> {
        let trusted = self.settings.client_rules.trusts(peer_ip(request));
        if origin::is_allowed(request.headers(), trusted, &self.settings.cors_origins) {
            return Ok(());
        }
        self.counters.refused.inc();
        Err(Refusal::Origin)
    }

    fn check_running(&self) -> Result<(), Refusal> {
        if self.stopping.is_cancelled() {
            return Err(Refusal::Service(Error::Unavailable));
        }
        Ok(())
    }

    fn peer(&self, request: &Request) -> Peer {
        Peer::of(
            request.headers(),
            peer_ip(request),
            None,
            &self.settings.client_rules,
        )
    }

    fn admit(&self, address: IpAddr) -> Result<Admission, Refusal> {
        self.admissions.admit(address).ok_or_else(|| {
            self.counters.refused.inc();
            Refusal::TooManyUnauthenticated {
                retry_after: CONNECT_TIME,
            }
        })
    }

    /// The frame of an update, encoded by the first who needs it.
    fn update_frame(&self, protocol: Protocol, update: &Encoded<Update>) -> Frame {
        self.counters.deliveries.inc();
        Frame::from_wire(update.get(protocol, |update| {
            self.counters.encodings.inc();
            wire::presence_update(protocol, update).wire().clone()
        }))
    }
}

/// Each client's own, so that they do not all come back at once.
fn reconnect_after() -> Duration {
    rand::rng().random_range(Duration::ZERO..RECONNECT_SPREAD)
}

fn message_frame(protocol: Protocol, message: &Encoded<NewMessage>) -> Frame {
    Frame::from_wire(message.get(protocol, |message| {
        wire::message(protocol, message).wire().clone()
    }))
}

/// What an acknowledgement carries, in both protocols.
fn ack_value(answer: Result<Value, WireError>) -> Value {
    match answer {
        Ok(data) => json!({ "success": true, "data": data }),
        Err(error) => json!({ "success": false, "error": error }),
    }
}

fn snapshot_frame(protocol: Protocol, snapshot: &[Seen]) -> Frame {
    wire::event(protocol, "presence_snapshot", &People::from(snapshot))
}

fn peer_ip(request: &Request) -> IpAddr {
    let RemoteAddr(address) = request.remote_addr();
    // Only a socket that is no TCP socket has no address, and none of ours is.
    address
        .as_socket_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), std::net::SocketAddr::ip)
}

fn vitals(outbox: &Outbox, transport: Transport) -> Vitals {
    Vitals {
        transport,
        heard_at: system_timestamp(outbox.last_received_at()),
    }
}

fn system_timestamp(time: SystemTime) -> Timestamp {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(0).plus(since)
}
