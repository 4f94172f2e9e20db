//! What all outboxes share: the limits, the clock, counters, and the gathering of writes under load.
//!
//! At a low rate whoever pushes writes at once, which costs least and is soonest. Above [`Limits::inline_flushes`] in
//! ten milliseconds a connection is put on a list instead (once, however often it is flushed), and one task drains
//! everything listed every [`Limits::tick`], so that a connection gets what came meanwhile in one system call. The list
//! is bounded by the number of connections.

use crate::realtime::outbox::Outbox;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many connections are written to before other tasks get their turn.
const CHUNK: usize = 32;

/// How many connections of a fan-out are written to by its caller.
const INLINE_MANY: usize = 64;

/// The window in which flushes are counted, in microseconds.
const WINDOW: u64 = 10_000;

/// What the queues and the writing are bounded by.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Pushed frames that may wait for one connection.
    pub pushed_frames: u32,
    /// Bytes of pushed frames that may wait for one connection.
    pub pushed_bytes: u64,
    /// Replies that may wait before no more requests are read.
    pub reply_frames: u32,
    /// Bytes of replies that may wait before no more requests are read.
    pub reply_bytes: u64,
    /// How long a socket may stay full before the connection is closed as a slow consumer.
    pub stall: Duration,
    /// How long a closing connection may take to be written what waits, and again to answer the close frame.
    pub closing: Duration,
    /// Flushes in ten milliseconds above which they are gathered.
    pub inline_flushes: u64,
    /// How often gathered flushes are written.
    pub tick: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pushed_frames: 256,
            pushed_bytes: 1 << 20,
            reply_frames: 64,
            reply_bytes: 256 << 10,
            stall: Duration::from_secs(30),
            closing: Duration::from_secs(3),
            inline_flushes: 200,
            tick: Duration::from_millis(2),
        }
    }
}

/// Counters of what went out, for metrics.
#[derive(Debug, Default)]
pub struct Stats {
    frames: AtomicU64,
    writes: AtomicU64,
    bytes: AtomicU64,
    overflows: AtomicU64,
}

impl Stats {
    pub(super) fn wrote(&self, frames: u64, bytes: u64) {
        self.frames.fetch_add(frames, Ordering::Relaxed);
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn overflowed(&self) {
        self.overflows.fetch_add(1, Ordering::Relaxed);
    }

    /// Frames handed to WebSockets (one cut in two by a full socket counts with its first part).
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// System calls that wrote them.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Connections closed because too much waited, or because their socket stayed full.
    pub fn slow_consumers(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Flusher {
    limits: Limits,
    epoch: Instant,
    stats: Stats,
    /// The current window's number in the upper, its flushes in the lower 24 bits.
    rate: AtomicU64,
    listed: Mutex<Vec<Arc<Outbox>>>,
    wake: Notify,
    running: AtomicBool,
}

impl Flusher {
    /// A flusher that writes everything inline until [`Flusher::run`] is spawned.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            epoch: Instant::now(),
            stats: Stats::default(),
            rate: AtomicU64::new(0),
            listed: Mutex::new(Vec::new()),
            wake: Notify::new(),
            running: AtomicBool::new(false),
        })
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Microseconds since this flusher was made, from 1 on, so that 0 can say "never".
    pub fn now(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64 + 1
    }

    pub(super) fn instant(&self, micros: u64) -> Instant {
        self.epoch + Duration::from_micros(micros)
    }

    /// The wall-clock time of a moment on this clock.
    pub fn system_time(&self, micros: u64) -> SystemTime {
        let ago = Duration::from_micros(self.now().saturating_sub(micros));
        SystemTime::now() - ago
    }

    /// Writes what waits in `outbox`, now or, under load, within a tick.
    pub fn flush(&self, outbox: &Arc<Outbox>) {
        if self.is_busy() && self.running.load(Ordering::Relaxed) {
            self.list(outbox);
        } else {
            outbox.write_now();
        }
    }

    /// Flushes many, such as everybody who watches someone: a few by the caller, more by the task, so that the caller
    /// is not kept by thousands of system calls.
    pub fn flush_many<'a>(&self, outboxes: impl IntoIterator<Item = &'a Arc<Outbox>>) {
        let running = self.running.load(Ordering::Relaxed);
        for (at, outbox) in outboxes.into_iter().enumerate() {
            if at < INLINE_MANY {
                self.flush(outbox);
            } else if running {
                self.list(outbox);
            } else {
                outbox.write_now();
            }
        }
    }

    fn list(&self, outbox: &Arc<Outbox>) {
        if outbox.listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut listed = self.listed.lock();
        listed.push(outbox.clone());
        let first = listed.len() == 1;
        drop(listed);
        if first {
            self.wake.notify_one();
        }
    }

    /// Counts a flush and says whether there were too many. Racing threads may lose a count, which does no harm.
    fn is_busy(&self) -> bool {
        let window = self.now() / WINDOW;
        let rate = self.rate.load(Ordering::Relaxed);
        let count = if rate >> 24 == window {
            (rate & 0xFF_FFFF) + 1
        } else {
            1
        };
        let next = (window << 24) | count.min(0xFF_FFFF);
        self.rate.store(next, Ordering::Relaxed);
        count > self.limits.inline_flushes
    }

    /// Drains what is listed until `stop` is cancelled, then everything that is still listed. The task's owner spawns
    /// and joins it.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.running.store(true, Ordering::Relaxed);
        while stop
            .run_until_cancelled(self.wake.notified())
            .await
            .is_some()
        {
            if stop
                .run_until_cancelled(tokio::time::sleep(self.limits.tick))
                .await
                .is_none()
            {
                break;
            }
            self.drain().await;
        }
        self.running.store(false, Ordering::Relaxed);
        self.drain().await;
    }

    async fn drain(&self) {
        let listed = std::mem::take(&mut *self.listed.lock());
        for chunk in listed.chunks(CHUNK) {
            for outbox in chunk {
                // Before writing: what is pushed from here on lists it again.
                outbox.listed.store(false, Ordering::Release);
                outbox.write_now();
            }
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::frame::Frame;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn attached(flusher: &Arc<Flusher>) -> (Arc<Outbox>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("address"));
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (_, write) = accepted.expect("accept").0.into_split();
        write.writable().await.expect("writable");
        let outbox = Outbox::new(flusher);
        outbox.attach_tcp(write);
        (outbox, client.expect("connect"))
    }

    #[tokio::test]
    async fn a_burst_is_gathered_and_all_of_it_arrives() {
        let flusher = Flusher::new(Limits {
            inline_flushes: 10,
            pushed_frames: 1000,
            ..Limits::default()
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(flusher.clone().run(stop.clone()));
        while !flusher.running.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        let (outbox, mut client) = attached(&flusher).await;
        for _ in 0..500 {
            outbox.push(Frame::text("x"));
            outbox.flush();
        }
        let mut all = vec![0; 500 * 3];
        tokio::time::timeout(Duration::from_secs(10), client.read_exact(&mut all))
            .await
            .expect("in time")
            .expect("read");
        assert_eq!(flusher.stats().frames(), 500);
        assert!(flusher.stats().writes() < 250, "{:?}", flusher.stats());
        // What is listed when it stops is written as well.
        for _ in 0..50 {
            outbox.push(Frame::text("y"));
            outbox.flush();
        }
        stop.cancel();
        task.await.expect("joined");
        assert_eq!(flusher.stats().frames(), 550);
        assert!(flusher.listed.lock().is_empty());
    }

    #[tokio::test]
    async fn many_are_written_without_the_task_too() {
        let flusher = Flusher::new(Limits::default());
        let mut all = Vec::new();
        for _ in 0..100 {
            all.push(attached(&flusher).await);
        }
        for (outbox, _) in &all {
            outbox.push(Frame::text("x"));
        }
        flusher.flush_many(all.iter().map(|(outbox, _)| outbox));
        assert_eq!(flusher.stats().frames(), 100);
    }
}
