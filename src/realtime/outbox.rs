//! What waits for one connection, and who writes it.
//!
//! An [`Outbox`] is shared by whoever has something to say (any thread) and the connection's one task. Ordinary frames
//! and replies keep their order; of frames with a key only the newest waits. Writing is a system call and by far the
//! dearest part of a delivery, so the thread that pushed writes at once when the socket is free ([`Outbox::flush`]),
//! which saves waking the task; when the socket is full, or the transport is not a plain TCP socket, the task writes.
//!
//! Bounds: pushed frames, beyond which the connection is closed as a slow consumer; replies, beyond which
//! [`Outbox::is_congested`] tells the reading side to stop reading; keyed frames, by the number of keys. What is pushed
//! after the end is dropped.

mod queue;
mod write;

pub use write::Drained;

use crate::realtime::flusher::Flusher;
use crate::realtime::frame::Frame;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use queue::{Class, Load, Queue};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::SystemTime;
use tokio::net::tcp::OwnedWriteHalf;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The client said so: a Socket.IO DISCONNECT, an Engine.IO close packet or a WebSocket close frame.
    Client,
    /// The transport ended without a word.
    Lost,
    /// Nothing came within the ping timeout.
    PingTimeout,
    /// The client does not read what it is sent.
    SlowConsumer,
    /// The client broke the protocol.
    Protocol,
    /// The server asked for it.
    Server,
}

/// A wish to close a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The WebSocket close code.
    pub code: u16,
    /// The WebSocket close reason, up to 123 bytes.
    pub reason: Cow<'static, str>,
    /// Why.
    pub cause: Cause,
}

impl Close {
    /// The server's own wish.
    pub fn server(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Server, code, reason)
    }

    /// A close for `cause`.
    pub fn new(cause: Cause, code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            reason: reason.into(),
            cause,
        }
    }

    /// 4005.
    pub fn slow_consumer() -> Self {
        Self::new(Cause::SlowConsumer, 4005, "slow consumer")
    }
}

/// Where frames go.
enum Sink {
    /// Not decided yet, or a transport that only the connection's task writes.
    Task,
    /// A plain TCP socket; `None` while some thread is writing, which makes two writers impossible.
    Tcp(Option<OwnedWriteHalf>),
    /// Nowhere any more.
    Ended,
}

struct State {
    queue: Queue,
    sink: Sink,
    close: Option<Box<Close>>,
    /// The socket took no more; only the connection's task clears this, when it can be written again.
    full: bool,
    /// A write failed.
    failed: bool,
    /// Nothing is taken any more, but what waits is still written.
    sealed: bool,
}

/// The queue of one connection. See the module's documentation.
pub struct Outbox {
    state: Mutex<State>,
    task: AtomicWaker,
    /// Microseconds on the flusher's clock.
    last_received: AtomicU64,
    /// When the ping that has not been answered was due; 0 if none. Same unit.
    pub(super) pinged: AtomicU64,
    /// On the flusher's list.
    pub(super) listed: AtomicBool,
    /// The connection has done what its deadline was for.
    established: AtomicBool,
    /// Its frames go to a WebSocket.
    websocket: AtomicBool,
    flusher: Arc<Flusher>,
}

impl Outbox {
    /// An outbox without a transport: frames wait until one is attached.
    pub fn new(flusher: &Arc<Flusher>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                queue: Queue::default(),
                sink: Sink::Task,
                close: None,
                full: false,
                failed: false,
                sealed: false,
            }),
            task: AtomicWaker::new(),
            last_received: AtomicU64::new(flusher.now()),
            pinged: AtomicU64::new(0),
            listed: AtomicBool::new(false),
            established: AtomicBool::new(false),
            websocket: AtomicBool::new(false),
            flusher: flusher.clone(),
        })
    }

    /// Queues a frame. Too many waiting make the connection a slow consumer, which closes it; a single frame over the
    /// limit is taken when nothing else waits.
    pub fn push(&self, frame: Frame) {
        self.push_all(Class::Pushed, [frame]);
    }

    /// Queues frames that must stay together, such as an event and its attachments.
    pub fn push_frames(&self, frames: impl IntoIterator<Item = Frame>) {
        self.push_all(Class::Pushed, frames);
    }

    /// Queues the answer to something the client sent. Never overflows: the reading side stops at
    /// [`Outbox::is_congested`], so the queue is bounded by what one request may be answered with.
    pub fn push_reply(&self, frame: Frame) {
        self.push_all(Class::Reply, [frame]);
    }

    /// Queues an answer of several frames that must stay together.
    pub fn push_reply_frames(&self, frames: impl IntoIterator<Item = Frame>) {
        self.push_all(Class::Reply, frames);
    }

    fn push_all(&self, class: Class, frames: impl IntoIterator<Item = Frame>) {
        let mut state = self.state.lock();
        if state.sealed {
            return;
        }
        let limits = self.flusher.limits();
        for frame in frames {
            let load = state.queue.pushed;
            let over = load.frames > 0
                && (load.frames >= limits.pushed_frames
                    || load.bytes + frame.wire().len() as u64 > limits.pushed_bytes);
            if class == Class::Pushed && over {
                state.sealed = true;
                let close = state
                    .close
                    .get_or_insert_with(|| Box::new(Close::slow_consumer()));
                tracing::debug!(cause = ?close.cause, "outbox full");
                drop(state);
                self.flusher.stats().overflowed();
                self.task.wake();
                return;
            }
            state.queue.push(class, frame);
        }
    }

    /// Queues the newest frame about `key` and drops an older one that still waits. The new one waits at the end, after
    /// everything that was pushed before it.
    pub fn push_latest(&self, key: u64, frame: Frame) {
        let mut state = self.state.lock();
        if !state.sealed {
            state.queue.push_latest(key, frame);
        }
    }

    /// Drops what waits about `key`.
    pub fn forget(&self, key: u64) {
        self.state.lock().queue.forget(key);
    }

    /// Keyed frames that are pushed from here to [`Outbox::release`] wait and then go out after everything else that
    /// was pushed meanwhile, such as a snapshot that was being made. Holds nest.
    pub fn hold(&self) {
        self.state.lock().queue.hold();
    }

    /// Ends one [`Outbox::hold`]; what waited goes with the next flush.
    pub fn release(&self) {
        self.state.lock().queue.release();
    }

    /// Everything pushed from here on waits for [`Outbox::open_gate`].
    pub(super) fn close_gate(&self) {
        self.state.lock().queue.close_gate();
    }

    /// Sends `first`, then what waited at the gate.
    pub(super) fn open_gate(&self, first: Option<Frame>) {
        self.state.lock().queue.open_gate(first);
    }

    /// Sees to it that what waits is written: at once by this thread if the socket is free, or gathered by the flusher
    /// when there is much to do, or by the connection's task. Never blocks on the network.
    pub fn flush(self: &Arc<Self>) {
        self.flusher.flush(self);
    }

    /// Whether so many replies wait that no more requests should be read.
    pub fn is_congested(&self) -> bool {
        let replies = self.state.lock().queue.replies;
        self.congests(replies)
    }

    fn congests(&self, replies: Load) -> bool {
        let limits = self.flusher.limits();
        replies.frames >= limits.reply_frames || replies.bytes >= limits.reply_bytes
    }

    /// Whether the socket took no more when last written to.
    pub fn is_full(&self) -> bool {
        self.state.lock().full
    }

    /// Whether the connection is over or about to be: what is pushed now is dropped.
    pub fn is_closing(&self) -> bool {
        let state = self.state.lock();
        state.sealed || state.close.is_some()
    }

    /// Asks the connection's task to write what waits (within a bounded time) and close. The first wish counts. Frames
    /// pushed afterwards are dropped.
    pub fn request_close(&self, close: Close) {
        let mut state = self.state.lock();
        state.sealed = true;
        state.close.get_or_insert_with(|| Box::new(close));
        drop(state);
        self.task.wake();
    }

    /// The wish to close, if there is one.
    pub fn close_requested(&self) -> Option<Close> {
        self.state.lock().close.as_deref().cloned()
    }

    /// Notes that something came from the client.
    pub fn touch(&self) {
        self.last_received
            .store(self.flusher.now(), Ordering::Relaxed);
    }

    /// Notes that the client has answered the ping, see [`crate::realtime::heartbeat::Life::Pong`].
    pub fn answered(&self) {
        self.pinged.store(0, Ordering::Relaxed);
    }

    /// When the client was last heard, in microseconds on the flusher's clock.
    pub(super) fn last_received(&self) -> u64 {
        self.last_received.load(Ordering::Relaxed)
    }

    /// When the client was last heard.
    pub fn last_received_at(&self) -> SystemTime {
        self.flusher.system_time(self.last_received())
    }

    /// Marks the connection as one that its deadline (see [`crate::realtime::heartbeat::Heartbeat::deadline`]) need not
    /// close any more.
    pub fn establish(&self) {
        self.established.store(true, Ordering::Relaxed);
    }

    /// Whether [`Outbox::establish`] was called.
    pub fn is_established(&self) -> bool {
        self.established.load(Ordering::Relaxed)
    }

    /// Notes that its frames go to a WebSocket from now on.
    pub(super) fn on_websocket(&self) {
        self.websocket.store(true, Ordering::Relaxed);
    }

    /// Whether its frames go to a WebSocket, and not into answers to polls.
    pub fn is_on_websocket(&self) -> bool {
        self.websocket.load(Ordering::Relaxed)
    }

    /// What this outbox shares with all others.
    pub fn flusher(&self) -> &Arc<Flusher> {
        &self.flusher
    }

    pub(super) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::flusher::Limits;

    fn outbox(limits: Limits) -> Arc<Outbox> {
        Outbox::new(&Flusher::new(limits))
    }

    #[tokio::test]
    async fn too_many_pushed_frames_make_a_slow_consumer() {
        let it = outbox(Limits::default());
        for _ in 0..256 {
            it.push(Frame::text("x"));
        }
        assert_eq!(it.close_requested(), None);
        for key in 0..1000 {
            it.push_latest(key, Frame::text("x"));
        }
        for _ in 0..1000 {
            it.push_reply(Frame::text("x"));
        }
        assert_eq!(it.close_requested(), None);
        it.push(Frame::text("x"));
        assert_eq!(it.close_requested(), Some(Close::slow_consumer()));
        it.request_close(Close::server(4008, "later"));
        assert_eq!(it.close_requested(), Some(Close::slow_consumer()));
    }

    #[tokio::test]
    async fn too_many_bytes_do_as_well_but_one_frame_may_be_large() {
        let it = outbox(Limits::default());
        it.push(Frame::binary(vec![0; 2 << 20]));
        assert_eq!(it.close_requested(), None);
        it.push(Frame::text("x"));
        assert_eq!(it.close_requested(), Some(Close::slow_consumer()));
        assert!(it.is_closing());
    }

    #[tokio::test]
    async fn replies_congest_instead() {
        let it = outbox(Limits::default());
        assert!(!it.is_congested());
        for _ in 0..Limits::default().reply_frames {
            it.push_reply(Frame::text("x"));
        }
        assert!(it.is_congested());
        assert_eq!(it.close_requested(), None);
        assert!(it.take_payload(1 << 20).is_some());
        assert!(!it.is_congested());
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<Outbox>() <= 320, "{}", size_of::<Outbox>());
    }
}
