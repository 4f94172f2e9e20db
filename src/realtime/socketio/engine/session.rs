//! The task of one session: on polling first or on WebSocket from the start, then its end.

use super::packet::{self, Packet};
use super::polling::{Outcome, Poller};
use super::{End, Engine, Handler, Head, Inner, Message, ProtocolError};
use crate::realtime::outbox::{Cause, Close, Outbox};
use crate::realtime::stream::upgraded;
use crate::realtime::websocket::{Incoming, WebSocket};
use hyper::upgrade::OnUpgrade;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// A session and what it is counted in.
pub(super) struct Session<H: Handler> {
    pub engine: Arc<Inner<H>>,
    pub outbox: Arc<Outbox>,
    pub id: u64,
    /// Still counted as not yet established.
    pub counted: bool,
    /// Taken at the end.
    pub connection: Option<H::Connection>,
}

/// There are too many sessions that are not established, or the server is closing.
pub(super) struct Refused;

/// What a message led to.
pub(super) enum Flow {
    Open,
    Closed,
}

impl<H: Handler> Session<H> {
    /// Opens a session. `first` may push what must come before anything of the handler's.
    pub fn open(
        engine: &Arc<Inner<H>>,
        head: Head,
        first: impl FnOnce(&Outbox),
    ) -> Result<Self, Refused> {
        let limit = engine.settings.max_unestablished;
        let counter = &engine.unestablished;
        let add = |count: usize| (count < limit).then_some(count + 1);
        if counter
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, add)
            .is_err()
        {
            return Err(Refused);
        }
        let outbox = Outbox::new(&engine.flusher);
        let id = engine.next_id.fetch_add(1, Ordering::Relaxed);
        engine.live.lock().insert(id, Arc::downgrade(&outbox));
        let mut session = Self {
            engine: engine.clone(),
            outbox,
            id,
            counted: true,
            connection: None,
        };
        // After it was put among the living, so that a shutdown meanwhile is not missed.
        if engine.closing.load(Ordering::SeqCst) {
            return Err(Refused);
        }
        first(&session.outbox);
        session.connection = Some(engine.handler.open(head, &session.outbox));
        engine.heartbeat.watch(&session.outbox);
        session.count();
        if session.counted {
            let after = engine.settings.connect_timeout;
            let close = protocol("connect timeout");
            engine.heartbeat.deadline(&session.outbox, after, close);
        }
        Ok(session)
    }

    /// Stops counting a session that has been established.
    fn count(&mut self) {
        if self.counted && self.outbox.is_established() {
            self.counted = false;
            self.engine.unestablished.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Hands one packet to the handler.
    pub async fn take(&mut self, packet: Packet) -> Result<Flow, ProtocolError> {
        let message = match packet {
            Packet::Text(text) => Message::Text(text),
            Packet::Binary(bytes) => Message::Binary(bytes),
            Packet::Close => return Ok(Flow::Closed),
            Packet::Ping(_) => return Err(ProtocolError("only the server pings")),
            Packet::Pong => {
                self.outbox.answered();
                return Ok(Flow::Open);
            }
            // What comes late from an upgrade says nothing.
            Packet::Upgrade | Packet::Noop => return Ok(Flow::Open),
        };
        if let Some(connection) = &mut self.connection {
            self.engine.handler.message(connection, message).await?;
        }
        self.count();
        Ok(Flow::Open)
    }

    /// Tells the handler.
    pub async fn closed(&mut self, cause: Cause) {
        // Who fell silent ended when they were last heard.
        let at = if matches!(cause, Cause::PingTimeout | Cause::SlowConsumer) {
            self.outbox.last_received_at()
        } else {
            SystemTime::now()
        };
        if let Some(connection) = self.connection.take() {
            self.engine
                .handler
                .closed(connection, End { cause, at })
                .await;
        }
    }
}

impl<H: Handler> Drop for Session<H> {
    fn drop(&mut self) {
        self.engine.live.lock().remove(&self.id);
        if self.counted {
            self.engine.unestablished.fetch_sub(1, Ordering::SeqCst);
        }
        self.outbox.detach();
        // Only a panic in the handler leaves a connection here. Nobody may stay online for it.
        if let Some(connection) = self.connection.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let engine = self.engine.clone();
            let cause = Cause::Lost;
            let at = SystemTime::now();
            self.engine.tasks.spawn(async move {
                engine.handler.closed(connection, End { cause, at }).await;
            });
        }
    }
}

/// A session that begins on WebSocket.
///
/// Written with `async move`, as [`on_polling`] is: an `async fn` keeps its arguments twice.
pub(super) fn on_websocket<H: Handler>(
    mut session: Session<H>,
    promise: OnUpgrade,
) -> impl Future<Output = ()> + Send {
    let accepted = Box::pin(accept(
        session.engine.clone(),
        session.outbox.clone(),
        promise,
    ));
    async move {
        let Some(mut socket) = accepted.await else {
            Box::pin(session.closed(Cause::Lost)).await;
            return;
        };
        let ending = talk(&mut session, &mut socket).await;
        // Rare and large: boxed, so that the task of a living connection stays small.
        end(session, socket, ending).await;
    }
}

async fn accept<H: Handler>(
    engine: Arc<Inner<H>>,
    outbox: Arc<Outbox>,
    promise: OnUpgrade,
) -> Option<WebSocket> {
    let (stream, early) = engine
        .stop
        .run_until_cancelled(upgraded(promise))
        .await?
        .inspect_err(|error| tracing::debug!(%error, "upgrade"))
        .ok()?;
    Some(WebSocket::new(
        stream,
        &early,
        outbox,
        engine.settings.max_payload,
    ))
}

/// A session that begins on polling, and may go on on WebSocket.
pub(super) fn on_polling<H: Handler>(
    mut session: Session<H>,
    poller: Poller,
) -> impl Future<Output = ()> + Send {
    let mut poller = Some(Box::new(poller));
    async move {
        let Some(poller) = poller.take() else { return };
        if let Outcome::Upgraded(mut socket) = Box::pin(poller.run(&mut session)).await {
            let ending = talk(&mut session, &mut socket).await;
            end(session, *socket, ending).await;
        }
    }
}

/// Why a WebSocket session ends, and how the WebSocket is to be closed.
enum Ending {
    Peer(Option<u16>),
    Lost,
    Close(Close),
}

async fn talk<H: Handler>(session: &mut Session<H>, socket: &mut WebSocket) -> Ending {
    loop {
        let packet = match socket.next().await {
            Incoming::Text(text) => packet::decode(text).map_err(|_| "not an Engine.IO packet"),
            Incoming::Binary(bytes) => Ok(Packet::Binary(bytes)),
            Incoming::Closed(code) => return Ending::Peer(code),
            Incoming::Lost => return Ending::Lost,
            Incoming::Violation(it) if it.code == 1009 => {
                return Ending::Close(Close::new(Cause::Protocol, it.code, it.reason));
            }
            Incoming::Violation(it) => return Ending::Close(protocol(it.reason)),
            Incoming::Asked(close) => return Ending::Close(close),
        };
        let flow = match packet {
            Ok(packet) => session.take(packet).await.map_err(|error| error.0),
            Err(reason) => Err(reason),
        };
        match flow {
            Ok(Flow::Open) => {}
            Ok(Flow::Closed) => return Ending::Close(Close::new(Cause::Client, 1000, "")),
            Err(reason) => return Ending::Close(protocol(reason)),
        }
    }
}

pub(super) fn protocol(reason: &'static str) -> Close {
    Close::new(Cause::Protocol, 4007, reason)
}

fn end<H: Handler>(
    session: Session<H>,
    socket: WebSocket,
    ending: Ending,
) -> std::pin::Pin<Box<impl Future<Output = ()> + Send>> {
    Box::pin(finish(session, socket, ending))
}

async fn finish<H: Handler>(mut session: Session<H>, socket: WebSocket, ending: Ending) {
    let cause = match &ending {
        Ending::Peer(_) => Cause::Client,
        Ending::Lost => Cause::Lost,
        Ending::Close(close) => close.cause,
    };
    let bye = async {
        match ending {
            Ending::Peer(code) => socket.answer_close(code).await,
            Ending::Lost => drop(socket),
            Ending::Close(close) => socket.close(close.code, &close.reason).await,
        }
    };
    // The handler need not wait for a peer that takes its time to say goodbye, nor the other way round.
    tokio::join!(session.closed(cause), bye);
}

impl<H: Handler> Engine<H> {
    /// Bytes of the task of one WebSocket session, for the record.
    pub fn task_bytes() -> usize {
        fn size<F: Future>(_: impl Fn(Session<NoHandler>, OnUpgrade) -> F) -> usize {
            size_of::<F>()
        }
        size(on_websocket::<NoHandler>).max(size_of::<WebSocket>())
    }
}

struct NoHandler;

impl Handler for NoHandler {
    type Connection = ();
    fn open(&self, _: Head, _: &Arc<Outbox>) {}
    async fn message(&self, _: &mut (), _: Message) -> Result<(), ProtocolError> {
        Ok(())
    }
    async fn closed(&self, _: (), _: End) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        let sizes = [
            ("Outbox", size_of::<Outbox>()),
            ("WebSocket", size_of::<WebSocket>()),
            ("Session", size_of::<Session<NoHandler>>()),
            ("the task's future", Engine::<NoHandler>::task_bytes()),
        ];
        println!("{sizes:?}");
        let sum: usize = sizes[0].1 + sizes[3].1;
        assert!(sum <= 1024, "{sizes:?}");
    }
}
