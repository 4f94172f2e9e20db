//! One WebSocket: the opening handshake, and its input and output on one task.
//!
//! [`WebSocket::next`] reads, answers pings, and writes whatever the [`Outbox`] holds meanwhile. It has no buffer of
//! its own: bytes are read into a buffer of the thread, and only an incomplete frame is kept. What messages mean is left
//! to the caller.

mod handshake;
mod other;
#[cfg(test)]
mod tests;

pub use handshake::{HandshakeError, handshake};

use crate::realtime::frame::{Frame, Message, Reader, Violation};
use crate::realtime::outbox::{Close, Drained, Outbox};
use crate::realtime::stream::Stream;
use other::Other;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Sleep, sleep, timeout};

/// Bytes read at a time.
const READ_BYTES: usize = 16 * 1024;

/// How long a slow consumer's close frame may take.
const HURRIED: Duration = Duration::from_millis(500);

thread_local! {
    static READ_MEMORY: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// What happened on a WebSocket.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Text(String),
    /// A message.
    Binary(bytes::Bytes),
    /// The peer's close frame, with its code. Answer with [`WebSocket::answer_close`].
    Closed(Option<u16>),
    /// The transport ended without a close frame.
    Lost,
    /// The peer broke the protocol: close with [`Violation::code`].
    Violation(Violation),
    /// Someone called [`Outbox::request_close`], or the consumer is too slow: call [`WebSocket::close`].
    Asked(Close),
}

enum Side {
    Tcp(OwnedReadHalf),
    Other(Box<Other>),
}

/// One WebSocket. Dropping it closes the socket at once.
pub struct WebSocket {
    side: Side,
    reader: Reader,
    outbox: Arc<Outbox>,
    /// Runs while the socket is full, which is rare.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl WebSocket {
    /// A WebSocket whose handshake is done on `stream`, of which `early` has been read already. The outbox's frames go
    /// to it from now on.
    pub fn new(
        stream: Stream,
        early: &[u8],
        outbox: Arc<Outbox>,
        max_message_bytes: usize,
    ) -> Self {
        let side = match stream {
            Stream::Tcp(stream) => {
                let (read, write) = stream.into_split();
                outbox.attach_tcp(write);
                Side::Tcp(read)
            }
            Stream::Other(stream) => Side::Other(Box::new(Other::new(stream))),
        };
        outbox.on_websocket();
        let mut reader = Reader::new(max_message_bytes);
        reader.prepend(early);
        Self {
            side,
            reader,
            outbox,
            stalled: None,
        }
    }

    /// The outbox whose frames this writes.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Frames of `outbox` go to this WebSocket from now on, those of the one before do not. False when the one before
    /// has not written everything yet, which breaks the WebSocket.
    pub(super) fn adopt(&mut self, outbox: Arc<Outbox>) -> bool {
        let before = std::mem::replace(&mut self.outbox, outbox);
        self.outbox.on_websocket();
        let is_written = before.is_written();
        match (&self.side, before.take_tcp()) {
            (Side::Tcp(_), Some(half)) => {
                self.outbox.attach_tcp(half);
                true
            }
            (Side::Tcp(_), None) => false,
            (Side::Other(_), _) => is_written,
        }
    }

    /// The next thing that happens. Writes what the outbox holds while it waits, and may be dropped at any time
    /// without losing anything. Pings are answered and pongs noted here. Does not read on while replies fill the
    /// outbox.
    pub async fn next(&mut self) -> Incoming {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        self.outbox.register(cx.waker());
        if let Some(close) = self.outbox.close_requested() {
            return Poll::Ready(Incoming::Asked(close));
        }
        let mut arrived = None;
        loop {
            let message = match arrived.take() {
                Some(message) => Ok(Some(message)),
                None if self.outbox.is_congested() => Ok(None),
                None => self.reader.buffered(),
            };
            match message {
                Ok(Some(Message::Text(text))) => return Poll::Ready(Incoming::Text(text)),
                Ok(Some(Message::Binary(bytes))) => return Poll::Ready(Incoming::Binary(bytes)),
                Ok(Some(Message::Close(code))) => return Poll::Ready(Incoming::Closed(code)),
                Ok(Some(Message::Ping(payload))) => {
                    self.outbox.push_reply(Frame::pong(&payload));
                    continue;
                }
                Ok(Some(Message::Pong)) => continue,
                Ok(None) => {}
                Err(violation) => return Poll::Ready(Incoming::Violation(violation)),
            }
            let congested = self.outbox.is_congested();
            match self.poll_write(cx) {
                Drained::Failed => return Poll::Ready(Incoming::Lost),
                Drained::Full => {
                    let limit = self.outbox.flusher().limits().stall;
                    let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
                    if timer.as_mut().poll(cx).is_ready() {
                        self.outbox.flusher().stats().overflowed();
                        return Poll::Ready(Incoming::Asked(Close::slow_consumer()));
                    }
                }
                Drained::Empty | Drained::Busy => self.stalled = None,
            }
            if congested {
                if self.outbox.is_congested() {
                    return Poll::Pending;
                }
                continue;
            }
            match ready!(self.poll_read(cx)) {
                Ok(Read::Message(message)) => arrived = Some(message),
                Ok(Read::Some) => {}
                Ok(Read::End) | Err(ReadError::Io) => return Poll::Ready(Incoming::Lost),
                Err(ReadError::Violation(it)) => return Poll::Ready(Incoming::Violation(it)),
            }
        }
    }

    /// Writes what may be written. [`Drained::Full`] has registered the task for when there is room.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Drained {
        match &mut self.side {
            Side::Tcp(read) => loop {
                match self.outbox.write_now() {
                    Drained::Full => match read.as_ref().poll_write_ready(cx) {
                        Poll::Ready(Ok(())) => {
                            // Some room was made: the peer does read.
                            self.stalled = None;
                            self.outbox.writable();
                        }
                        Poll::Ready(Err(_)) => return Drained::Failed,
                        Poll::Pending => return Drained::Full,
                    },
                    other => return other,
                }
            },
            Side::Other(other) => {
                let (result, was_taken) = other.poll_write(cx, &self.outbox);
                if was_taken {
                    self.stalled = None;
                }
                result
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Read, ReadError>> {
        READ_MEMORY.with_borrow_mut(|memory| {
            let mut buffer = ReadBuf::new(memory);
            let result = match &mut self.side {
                Side::Tcp(read) => Pin::new(read).poll_read(cx, &mut buffer),
                Side::Other(other) => other.poll_read(cx, &mut buffer),
            };
            ready!(result)?;
            let bytes = buffer.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(Read::End));
            }
            self.outbox.touch();
            Poll::Ready(match self.reader.feed(bytes) {
                Ok(Some(message)) => Ok(Read::Message(message)),
                Ok(None) => Ok(Read::Some),
                Err(violation) => Err(ReadError::Violation(violation)),
            })
        })
    }

    /// Closes from our side: writes what waits, sends the close frame, waits for the peer's, each for at most
    /// [`crate::realtime::flusher::Limits::closing`], and closes the socket. A slow consumer (4005) is sent nothing but
    /// the close frame.
    pub async fn close(mut self, code: u16, reason: &str) {
        let slow = code == 4005;
        let limit = if slow {
            HURRIED
        } else {
            self.outbox.flusher().limits().closing
        };
        self.outbox.seal(Some(Frame::close(code, reason)), slow);
        if self.drain(limit).await {
            if timeout(limit, self.await_close()).await.is_err() {
                tracing::trace!("no close frame came back");
            }
            self.end_stream().await;
        }
    }

    /// Answers the peer's close frame and closes the socket.
    pub async fn answer_close(mut self, code: Option<u16>) {
        let frame = code.map_or_else(Frame::close_empty, |code| Frame::close(code, ""));
        // The peer may not read any more: nothing else is of use to it.
        self.outbox.seal(Some(frame), true);
        if self.drain(HURRIED).await {
            self.end_stream().await;
        }
    }

    /// Says below WebSocket too that nothing follows, where that takes words: TLS has a `close_notify`, without which
    /// the peer may take the end for an attack (RFC 8446, section 6.1).
    async fn end_stream(&mut self) {
        if let Side::Other(other) = &mut self.side {
            let ended = std::future::poll_fn(|cx| other.poll_shutdown(cx));
            if !matches!(timeout(HURRIED, ended).await, Ok(Ok(()))) {
                tracing::trace!("the peer was gone before the end");
            }
        }
    }

    /// Writes everything that waits; whether it could within `limit`.
    pub(super) async fn drain(&mut self, limit: Duration) -> bool {
        let written = std::future::poll_fn(|cx| {
            self.outbox.register(cx.waker());
            match self.poll_write(cx) {
                Drained::Empty => Poll::Ready(true),
                Drained::Failed => Poll::Ready(false),
                Drained::Full => Poll::Pending,
                // The thread that writes wakes nobody when it is done: look again soon.
                Drained::Busy => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        });
        timeout(limit, written).await.unwrap_or(false)
    }

    async fn await_close(&mut self) {
        // What was read but not asked for is of no interest any more, save the close frame. A peer that broke the
        // protocol is read from to its end: closing a socket with unread bytes resets it, and the close frame is lost.
        loop {
            match self.reader.buffered() {
                Ok(Some(Message::Close(_))) => return,
                Ok(Some(_)) => continue,
                Ok(None) | Err(_) => {}
            }
            match std::future::poll_fn(|cx| self.poll_read(cx)).await {
                Ok(Read::Message(Message::Close(_)) | Read::End) | Err(ReadError::Io) => return,
                Ok(_) | Err(ReadError::Violation(_)) => {}
            }
        }
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.outbox.detach();
    }
}

enum Read {
    Message(Message),
    /// Bytes, but no whole message.
    Some,
    End,
}

enum ReadError {
    Io,
    Violation(Violation),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        // A reset and a time-out mean the same to us: gone without a word.
        Self::Io
    }
}
