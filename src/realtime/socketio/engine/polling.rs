//! A session's life on HTTP long-polling: requests hand their part to the session's task, which answers a waiting poll
//! as soon as there is something to say, works through what was posted, and goes over to a WebSocket that was probed.

use super::packet::{self, Packet};
use super::session::{Flow, Session, protocol};
use super::{Handler, ProtocolError, SHUTDOWN};
use crate::realtime::outbox::{Cause, Close, Outbox};
use crate::realtime::websocket::WebSocket;
use bytes::Bytes;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Bytes of a polling response, about.
const RESPONSE_BYTES: usize = 1 << 20;

/// What requests may have on the way to a session's task: a poll, a post and the steps of an upgrade.
pub(super) const COMMANDS: usize = 8;

/// How requests reach a session.
pub(super) struct Entry {
    pub sid: Box<str>,
    pub outbox: Arc<Outbox>,
    pub commands: mpsc::Sender<Command>,
    pub get: Turn,
    pub post: Turn,
    pub upgrade: Turn,
}

/// One at a time.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<AtomicBool>);

/// Gives the turn back when it goes.
pub(super) struct Taken(Turn);

impl Turn {
    pub fn take(&self) -> Option<Taken> {
        (!self.0.swap(true, Ordering::AcqRel)).then(|| Taken(self.clone()))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// What a request hands over.
pub(super) enum Command {
    /// A poll waits for its body.
    Poll(oneshot::Sender<Bytes>),
    /// Packets to be handled; the turn is given back, and the request answered, when they are.
    Post(
        Vec<Packet>,
        Taken,
        oneshot::Sender<Result<(), ProtocolError>>,
    ),
    /// A WebSocket has been probed: polls must not wait any more.
    Probed,
    /// Nothing came of it.
    ProbeFailed,
    /// The client goes over.
    Upgrade(Box<WebSocket>),
}

pub(super) enum Outcome {
    Upgraded(Box<WebSocket>),
    Ended,
}

enum Step {
    Close(Close),
    Post(
        Vec<Packet>,
        Taken,
        oneshot::Sender<Result<(), ProtocolError>>,
    ),
    Upgrade(Box<WebSocket>),
}

/// The polling side of a session's task.
pub(super) struct Poller {
    entry: Arc<Entry>,
    commands: mpsc::Receiver<Command>,
    waiting: Option<oneshot::Sender<Bytes>>,
    probed: bool,
    posted: Option<Step>,
    upgraded: Option<Box<WebSocket>>,
}

impl Poller {
    pub fn new(entry: Arc<Entry>, commands: mpsc::Receiver<Command>) -> Self {
        Self {
            entry,
            commands,
            waiting: None,
            probed: false,
            posted: None,
            upgraded: None,
        }
    }

    pub async fn run<H: Handler>(mut self: Box<Self>, session: &mut Session<H>) -> Outcome {
        loop {
            match poll_fn(|cx| self.poll_step(cx)).await {
                Step::Post(packets, turn, done) => {
                    let worked = self.during(work(session, packets)).await;
                    // Before the answer goes out: the client may post again as soon as it has it.
                    drop(turn);
                    let (answer, close) = match worked {
                        Ok(Flow::Open) => (Ok(()), None),
                        Ok(Flow::Closed) => (Ok(()), Some(Close::new(Cause::Client, 1000, ""))),
                        Err(error) => (Err(error), Some(protocol(error.0))),
                    };
                    if let Some(close) = close {
                        self.unlist(session);
                        // A request that was dropped needs no answer.
                        let _ = done.send(answer);
                        self.end(session, close).await;
                        return Outcome::Ended;
                    }
                    let _ = done.send(answer);
                }
                Step::Upgrade(mut socket) => {
                    self.answer(Bytes::from_static(packet::NOOP.as_bytes()));
                    self.unlist(session);
                    session.outbox.touch();
                    if socket.adopt(session.outbox.clone()) {
                        return Outcome::Upgraded(socket);
                    }
                    self.end(session, protocol("upgrade before the probe's answer"))
                        .await;
                    return Outcome::Ended;
                }
                Step::Close(close) => {
                    self.end(session, close).await;
                    return Outcome::Ended;
                }
            }
        }
    }

    fn unlist<H: Handler>(&self, session: &Session<H>) {
        session.engine.polling.lock().remove(&self.entry.sid);
    }

    /// Serves polls while `work` goes on.
    async fn during<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.poll_serve(cx);
            let done = work.as_mut().poll(cx);
            // What the work had to say goes out with the poll that waits.
            self.serve_waiting();
            done
        })
        .await
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.poll_serve(cx);
        if let Some(close) = self.entry.outbox.close_requested() {
            return Poll::Ready(Step::Close(close));
        }
        if let Some(step) = self.posted.take() {
            return Poll::Ready(step);
        }
        match self.upgraded.take() {
            Some(socket) => Poll::Ready(Step::Upgrade(socket)),
            None => Poll::Pending,
        }
    }

    fn poll_serve(&mut self, cx: &mut Context<'_>) {
        self.entry.outbox.register(cx.waker());
        while let Poll::Ready(Some(command)) = self.commands.poll_recv(cx) {
            match command {
                Command::Poll(waiting) => self.waiting = Some(waiting),
                Command::Post(packets, turn, done) => {
                    self.posted = Some(Step::Post(packets, turn, done));
                }
                Command::Probed => self.probed = true,
                Command::ProbeFailed => self.probed = false,
                Command::Upgrade(socket) => self.upgraded = Some(socket),
            }
        }
        self.serve_waiting();
    }

    fn serve_waiting(&mut self) {
        // While a close is wanted, its own packet goes with what waits.
        if self.waiting.is_none() || self.entry.outbox.close_requested().is_some() {
            return;
        }
        if let Some(body) = self.entry.outbox.take_payload(RESPONSE_BYTES) {
            self.answer(body);
        } else if self.probed {
            self.answer(Bytes::from_static(packet::NOOP.as_bytes()));
        }
    }

    fn answer(&mut self, body: Bytes) -> bool {
        match self.waiting.take() {
            // A poll that was dropped has ended the session as lost already.
            Some(waiting) => waiting.send(body).is_ok(),
            None => false,
        }
    }

    /// Says goodbye on polls, those that wait or, if the server wishes to say something, the next.
    ///
    /// What waits goes alone, and the close packet with the poll after it: stock clients hand on what they decoded
    /// only after they have been through the whole payload, and a close in it makes them drop the rest. A server that
    /// stops sends none: to some stock clients (Python's) it means not to come back, while a poll that fails does not.
    async fn end<H: Handler>(mut self: Box<Self>, session: &mut Session<H>, close: Close) {
        let wait = session.engine.flusher.limits().closing;
        let outbox = session.outbox.clone();
        let is_ours = close.cause == Cause::Server;
        // The first of many are closed before the engine itself is told to stop.
        let is_closing = session.engine.closing.load(Ordering::SeqCst);
        let is_stopping = is_ours && (is_closing || close.code == SHUTDOWN);
        if !is_ours {
            self.unlist(session);
        }
        let bye = async {
            outbox.seal(None, !is_ours);
            while let Some(body) = outbox.take_payload(RESPONSE_BYTES) {
                self.next_poll(wait).await;
                if !self.answer(body) {
                    return;
                }
            }
            if is_stopping {
                return;
            }
            if is_ours {
                self.next_poll(wait).await;
            }
            // To a client that has closed there is nothing to say but that its poll is over.
            let last = if close.cause == Cause::Client {
                packet::NOOP
            } else {
                packet::CLOSE
            };
            self.answer(Bytes::from_static(last.as_bytes()));
        };
        tokio::join!(session.closed(close.cause), bye);
        session.engine.polling.lock().remove(&self.entry.sid);
    }

    /// Waits for a poll, unless there is one, but not for longer than `limit`.
    async fn next_poll(&mut self, limit: Duration) {
        if self.waiting.is_some() {
            return;
        }
        let next = poll_fn(|cx| {
            while let Poll::Ready(command) = self.commands.poll_recv(cx) {
                match command {
                    Some(Command::Poll(waiting)) => {
                        self.waiting = Some(waiting);
                        return Poll::Ready(());
                    }
                    Some(Command::Post(_, _, done)) => {
                        // What a client still says is of no interest, but its request is to be answered.
                        let _ = done.send(Ok(()));
                    }
                    Some(_) => {}
                    None => return Poll::Ready(()),
                }
            }
            Poll::Pending
        });
        if timeout(limit, next).await.is_err() {
            tracing::trace!("no poll came to be told");
        }
    }
}

/// Hands the packets to the handler, one after the other, and none while its answers are not fetched.
async fn work<H: Handler>(
    session: &mut Session<H>,
    packets: Vec<Packet>,
) -> Result<Flow, ProtocolError> {
    for packet in packets {
        let outbox = session.outbox.clone();
        // Polled again whenever a poll was served, by the same task.
        poll_fn(|_| {
            if outbox.is_congested() && outbox.close_requested().is_none() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        if let Flow::Closed = session.take(packet).await? {
            return Ok(Flow::Closed);
        }
    }
    Ok(Flow::Open)
}
