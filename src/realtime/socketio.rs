//! Socket.IO protocol 5 over Engine.IO 4, generic over a [`Handler`]: what the events mean is left to it.
//!
//! [`SocketIo::new`] gives an [`Engine`], which is a poem endpoint to be mounted at `/socket.io/` and owns the
//! sessions.

mod connection;
mod emitter;
pub mod engine;
pub mod packet;
#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use emitter::Emitter;
pub use engine::{Engine, Head, Settings, opens_session};

use crate::realtime::flusher::Flusher;
use crate::realtime::frame::Frame;
use crate::realtime::outbox::Cause;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::SystemTime;

/// A client's CONNECT.
#[derive(Debug)]
pub struct ConnectRequest<'a> {
    /// `/`, or another that [`Handler::has_namespace`] knows.
    pub namespace: &'a str,
    /// The payload, a JSON object.
    pub payload: Option<Box<RawValue>>,
    /// The request that opened the Engine.IO session.
    pub head: &'a Head,
    /// The id of the socket, as the client will see it.
    pub sid: &'a str,
}

/// A refused CONNECT, which the client sees as `CONNECT_ERROR {"message","data"?}`. The session stays open, so that the
/// client can try again.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectError {
    /// For people and for clients to compare.
    pub message: String,
    /// Anything else.
    pub data: Option<Value>,
}

impl ConnectError {
    /// One without data.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }
}

/// A client's EVENT.
#[derive(Debug)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its arguments, as the client wrote them; valid JSON, but possibly nested too deep for a `Value`.
    pub args: Vec<Box<RawValue>>,
    /// What the placeholders `{"_placeholder":true,"num":N}` in the arguments stand for.
    pub attachments: Vec<Bytes>,
    /// The number to acknowledge with, if the client asked for it.
    pub ack: Option<u64>,
}

impl Event {
    /// The first argument, JSON `null` if there is none.
    pub fn data(&self) -> &str {
        self.args.first().map_or("null", |raw| raw.get())
    }
}

/// What an application does with Socket.IO.
pub trait Handler: Send + Sync + Sized + 'static {
    /// The application's state of one connected socket.
    type Socket: Send + Sync + 'static;

    /// Whether [`Head`] is kept after a successful CONNECT, for further ones in the same session (to another
    /// namespace, or again after a DISCONNECT). If not, which saves memory, such a CONNECT closes the transport, and
    /// stock clients come back by themselves with a fresh one.
    const KEEP_HEAD: bool = false;

    /// Whether there is this namespace; any other is refused with `Invalid namespace`.
    fn has_namespace(&self, namespace: &str) -> bool {
        namespace == "/"
    }

    /// A client connects. The answer goes out before anything that is emitted during this call, by whatever thread.
    ///
    /// # Errors
    /// Refuses it.
    fn connect(
        &self,
        request: ConnectRequest<'_>,
        emitter: Emitter,
    ) -> impl Future<Output = Result<Self::Socket, ConnectError>> + Send;

    /// An event came. The next packet of this session is not read before this is done, and acknowledgements need no
    /// flush.
    fn event(&self, socket: &Arc<Self::Socket>, event: Event) -> impl Future<Output = ()> + Send;

    /// A socket is gone: `at` is when its transport really ended, for a ping timeout the moment it was last heard.
    fn disconnected(
        &self,
        socket: Arc<Self::Socket>,
        reason: Cause,
        at: SystemTime,
    ) -> impl Future<Output = ()> + Send;
}

/// The Socket.IO layer, a handler for an [`Engine`].
pub struct SocketIo<H: Handler>(H);

impl<H: Handler> SocketIo<H> {
    /// A server for `handler`. Must be called inside a runtime.
    pub fn new(handler: H, settings: Settings, flusher: &Arc<Flusher>) -> Engine<Self> {
        Engine::new(Self(handler), settings, flusher)
    }

    /// The application's handler.
    pub fn handler(&self) -> &H {
        &self.0
    }
}

/// An event on `/` with one argument, encoded once for any number of sockets.
///
/// # Errors
/// When `data` has no JSON form.
pub fn event_frame(name: &str, data: &impl Serialize) -> serde_json::Result<Frame> {
    packet::event("/", name, data)
}
