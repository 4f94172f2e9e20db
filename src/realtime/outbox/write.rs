//! Getting frames out: to a TCP socket from any thread, to another stream from the connection's task, or into the body
//! of a polling response.

use super::queue::{BATCH, Queue, Taken, slices};
use super::{Outbox, Sink, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use parking_lot::MutexGuard;
use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use tokio::net::tcp::OwnedWriteHalf;

/// How far a drain came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Nothing that may be written is left.
    Empty,
    /// The socket is full.
    Full,
    /// Another thread is writing and will write the rest, or there is no transport to write to.
    Busy,
    /// The transport is broken.
    Failed,
}

/// Separates packets in a polling payload (Engine.IO 4).
const SEPARATOR: u8 = 0x1e;

thread_local! {
    static BATCH_MEMORY: Cell<Vec<Taken>> = const { Cell::new(Vec::new()) };
}

impl Outbox {
    /// Frames go to this socket from now on.
    pub(crate) fn attach_tcp(&self, half: OwnedWriteHalf) {
        let mut state = self.state.lock();
        if !matches!(state.sink, Sink::Ended) {
            state.sink = Sink::Tcp(Some(half));
            state.full = false;
        }
    }

    /// The transport is gone: what waits is dropped, and so is the socket.
    pub(crate) fn detach(&self) {
        let mut state = self.state.lock();
        state.sealed = true;
        state.queue.clear();
        let sink = std::mem::replace(&mut state.sink, Sink::Ended);
        drop(state);
        drop(sink);
    }

    /// Takes nothing more; `last` is written after all that waits. `drop_waiting` throws that away.
    pub(crate) fn seal(&self, last: Option<crate::realtime::frame::Frame>, drop_waiting: bool) {
        let mut state = self.state.lock();
        state.sealed = true;
        if drop_waiting {
            state.queue.clear();
        }
        // Whatever was held or gated has no one left to release it.
        while state.queue.is_held() {
            state.queue.release();
        }
        state.queue.open_gate(None);
        if let Some(frame) = last {
            state.queue.push(super::Class::Reply, frame);
        }
    }

    /// Writes what may be written if the transport is a TCP socket that nobody else is writing to and that is not
    /// full; otherwise wakes the task.
    pub(crate) fn write_now(&self) -> Drained {
        let mut state = self.state.lock();
        if !state.queue.is_ready() {
            return Drained::Empty;
        }
        if state.failed {
            return Drained::Failed;
        }
        if state.full {
            return Drained::Full;
        }
        let half = match &mut state.sink {
            Sink::Tcp(half) => match half.take() {
                Some(half) => half,
                None => return Drained::Busy,
            },
            Sink::Task => {
                drop(state);
                self.task.wake();
                return Drained::Busy;
            }
            Sink::Ended => return Drained::Busy,
        };
        let (result, congested) = self.drain(&mut state, |io| half.try_write_vectored(io));
        match &mut state.sink {
            Sink::Tcp(slot) => *slot = Some(half),
            _ => {
                // Detached meanwhile. Closing a socket is a system call: not under the lock.
                drop(state);
                drop(half);
                return Drained::Failed;
            }
        }
        drop(state);
        // The task must see to a full or broken socket, and may have stopped reading until replies were written.
        if result != Drained::Empty || congested {
            self.task.wake();
        }
        result
    }

    /// Gives the socket up to another outbox, if everything was written to it.
    pub(crate) fn take_tcp(&self) -> Option<OwnedWriteHalf> {
        let mut state = self.state.lock();
        if state.queue.is_ready() {
            return None;
        }
        match std::mem::replace(&mut state.sink, Sink::Ended) {
            Sink::Tcp(half) => half,
            Sink::Task | Sink::Ended => None,
        }
    }

    /// Writes through `write`, which is the connection's own stream. Only the connection's task calls it.
    pub(crate) fn write_with(
        &self,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Drained {
        let mut state = self.state.lock();
        state.full = false;
        self.drain(&mut state, write).0
    }

    /// Whether nothing that may be written waits.
    pub(crate) fn is_written(&self) -> bool {
        !self.state.lock().queue.is_ready()
    }

    /// The socket takes no more; the connection's task, which says so, is woken when it does.
    pub(crate) fn not_writable(&self) {
        self.state.lock().full = true;
    }

    /// The socket can be written again.
    pub(crate) fn writable(&self) {
        self.state.lock().full = false;
    }

    /// Writes until nothing is left or the socket takes no more; also whether there were so many replies at any time
    /// that the task may have stopped reading. It may while this writes, finding the socket busy.
    fn drain(
        &self,
        state: &mut MutexGuard<'_, State>,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> (Drained, bool) {
        let mut batch = BATCH_MEMORY.take();
        let mut result = Drained::Empty;
        let mut congested = false;
        while state.queue.is_ready() {
            let partial = state.queue.take(&mut batch);
            let written = MutexGuard::unlocked(state, || {
                let mut io = [IoSlice::new(&[]); BATCH];
                let count = slices(&partial, &batch, &mut io);
                loop {
                    match write(&io[..count]) {
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        other => break other,
                    }
                }
            });
            congested |= self.congests(state.queue.replies);
            let frames = batch.len() as u64;
            let (bytes, end) = match written {
                Ok(0) => (0, Some(Drained::Failed)),
                Ok(bytes) => (bytes, None),
                Err(error) if error.kind() == ErrorKind::WouldBlock => (0, Some(Drained::Full)),
                Err(_) => (0, Some(Drained::Failed)),
            };
            if matches!(state.sink, Sink::Ended) {
                batch.clear();
                result = Drained::Failed;
                break;
            }
            if bytes > 0 {
                self.flusher.stats().wrote(frames, bytes as u64);
            }
            state.queue.settle(partial, &mut batch, bytes);
            if let Some(end) = end {
                state.full = end == Drained::Full;
                state.failed = end == Drained::Failed;
                result = end;
                break;
            }
        }
        // Room for one batch is kept a thread, not a connection.
        BATCH_MEMORY.set(batch);
        (result, congested)
    }

    /// Takes what waits as the body of a polling response of about `max_bytes`, at least one packet; `None` if nothing
    /// waits. Text stands as it is, binary as `b` and base64.
    pub fn take_payload(&self, max_bytes: usize) -> Option<Bytes> {
        let mut state = self.state.lock();
        let mut body = Vec::new();
        payload(&mut state.queue, &mut body, max_bytes);
        (!body.is_empty()).then(|| body.into())
    }
}

fn payload(queue: &mut Queue, body: &mut Vec<u8>, max_bytes: usize) {
    while let Some(frame) = queue.pop_whole(|next| {
        let len = next.payload_bytes().len();
        let len = if next.is_binary() {
            1 + len.div_ceil(3) * 4
        } else {
            len
        };
        body.is_empty() || body.len() + 1 + len <= max_bytes
    }) {
        if !frame.is_data() {
            continue;
        }
        if !body.is_empty() {
            body.push(SEPARATOR);
        }
        if frame.is_binary() {
            body.push(b'b');
            body.extend_from_slice(STANDARD.encode(frame.payload_bytes()).as_bytes());
        } else {
            body.extend_from_slice(frame.payload_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::flusher::{Flusher, Limits};
    use crate::realtime::frame::Frame;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    fn outbox() -> Arc<Outbox> {
        Outbox::new(&Flusher::new(Limits {
            pushed_frames: 100_000,
            pushed_bytes: 1 << 30,
            ..Limits::default()
        }))
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("address"));
        let (client, accepted) = tokio::join!(client, listener.accept());
        (client.expect("connect"), accepted.expect("accept").0)
    }

    #[test]
    fn polling_payloads() {
        let it = outbox();
        assert_eq!(it.take_payload(100), None);
        it.push(Frame::text("4hello"));
        it.push(Frame::binary([1, 2, 3, 4]));
        it.push(Frame::text("2"));
        assert_eq!(
            it.take_payload(100).expect("three"),
            "4hello\x1ebAQIDBA==\x1e2"
        );
        for _ in 0..3 {
            it.push(Frame::text("4abc"));
        }
        assert_eq!(it.take_payload(9).expect("two fit"), "4abc\x1e4abc");
        assert_eq!(it.take_payload(1).expect("one at least"), "4abc");
        assert_eq!(it.take_payload(100), None);
    }

    #[tokio::test]
    async fn any_thread_writes_and_a_full_socket_waits_for_the_task() {
        let (mut client, server) = pair().await;
        let (read, write) = server.into_split();
        let it = outbox();
        it.attach_tcp(write);
        it.push(Frame::text("first"));
        read.as_ref().writable().await.expect("writable");
        assert_eq!(it.write_now(), Drained::Empty);
        let mut got = [0; 7];
        client.read_exact(&mut got).await.expect("read");
        assert_eq!(got, Frame::text("first").wire()[..]);

        // Fill it: two threads push and write, the rest is drained as the task would.
        let frame = Frame::binary(vec![7; 4000]);
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (it, frame) = (it.clone(), frame.clone());
                std::thread::spawn(move || {
                    for _ in 0..2000 {
                        it.push(frame.clone());
                        it.write_now();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert!(it.is_full());
        let reader = tokio::spawn(async move {
            let mut all = vec![0; 4000 * frame.wire().len()];
            client.read_exact(&mut all).await.expect("all of it");
            all.chunks(frame.wire().len()).all(|it| it == frame.wire())
        });
        loop {
            match it.write_now() {
                Drained::Empty => break,
                Drained::Full => {
                    let ready = read.as_ref().writable();
                    tokio::time::timeout(Duration::from_secs(10), ready)
                        .await
                        .expect("in time")
                        .expect("writable");
                    it.writable();
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(reader.await.expect("no panic"), "a frame came in pieces");
    }

    #[test]
    fn replies_that_pile_up_while_another_thread_writes_are_noticed() {
        let it = outbox();
        it.push(Frame::text("x"));
        let mut state = it.state.lock();
        let mut first = true;
        let outcome = it.drain(&mut state, |io| {
            if std::mem::take(&mut first) {
                for _ in 0..it.flusher.limits().reply_frames {
                    it.push_reply(Frame::text("y"));
                }
                // The task stops reading here, and nothing but this thread can wake it.
                assert!(it.is_congested());
            }
            Ok(io.iter().map(|slice| slice.len()).sum())
        });
        assert_eq!(outcome, (Drained::Empty, true));
    }

    #[tokio::test]
    async fn detaching_closes_the_socket() {
        let (mut client, server) = pair().await;
        let (read, write) = server.into_split();
        let it = outbox();
        it.attach_tcp(write);
        drop(read);
        it.detach();
        let mut rest = Vec::new();
        let read = client.read_to_end(&mut rest);
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        assert_eq!(read.expect("closed").expect("read"), 0);
        it.push(Frame::text("x"));
        assert_eq!(it.write_now(), Drained::Empty);
    }
}
