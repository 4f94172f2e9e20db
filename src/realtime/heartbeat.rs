//! One task that pings every connection and ends those that do not answer; no connection has a timer of its own.
//!
//! Entries sit in a map from tick to connections and hold a weak reference, so a connection that ends needs no
//! cancelling. They are looked at only when they expire.

use crate::realtime::flusher::Flusher;
use crate::realtime::frame::Frame;
use crate::realtime::outbox::{Cause, Close, Outbox};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many connections are looked at before other tasks get their turn.
const CHUNK: usize = 64;

/// See the module's documentation.
pub struct Heartbeat {
    interval: u64,
    timeout: u64,
    tick: u64,
    ping: Frame,
    life: Life,
    flusher: Arc<Flusher>,
    wheel: Mutex<BTreeMap<u64, Vec<Entry>>>,
    wake: Notify,
}

/// What shows that a client that was pinged is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Whatever it sends.
    Anything,
    /// Only what [`Outbox::answered`] was called for: Engine.IO wants its pong, whatever else comes.
    Pong,
}

struct Entry {
    outbox: Weak<Outbox>,
    what: What,
}

enum What {
    /// Send a ping; due at this microsecond.
    Ping(u64),
    /// The ping that was due at this microsecond must have been answered.
    Answer(u64),
    /// The connection must be established.
    Deadline(Box<Close>),
}

impl Heartbeat {
    /// Pings with `ping` every `interval`; a connection that gives no sign of `life` for `timeout` after one is over.
    pub fn new(
        flusher: &Arc<Flusher>,
        interval: Duration,
        timeout: Duration,
        ping: Frame,
        life: Life,
    ) -> Arc<Self> {
        let micros = |it: Duration| (it.as_micros() as u64).max(1000);
        let (interval, timeout) = (micros(interval), micros(timeout));
        Arc::new(Self {
            interval,
            timeout,
            // Those that are due about the same time are handled together.
            tick: (interval.min(timeout) / 1000).clamp(1000, 20_000),
            ping,
            life,
            flusher: flusher.clone(),
            wheel: Mutex::new(BTreeMap::new()),
            wake: Notify::new(),
        })
    }

    /// Pings `outbox` from now on, for as long as it lives.
    pub fn watch(&self, outbox: &Arc<Outbox>) {
        let due = self.flusher.now() + self.interval;
        self.insert(due, Arc::downgrade(outbox), What::Ping(due));
    }

    /// Closes `outbox` with `close` in `after` unless [`Outbox::establish`] was called by then.
    pub fn deadline(&self, outbox: &Arc<Outbox>, after: Duration, close: Close) {
        let due = self.flusher.now() + after.as_micros() as u64;
        self.insert(due, Arc::downgrade(outbox), What::Deadline(Box::new(close)));
    }

    /// Whether the client owes an answer and its time is up, though the task may not have got to it yet.
    pub fn is_overdue(&self, outbox: &Outbox) -> bool {
        let pinged = outbox.pinged.load(Ordering::Relaxed);
        pinged != 0 && !self.is_alive(outbox, pinged) && self.flusher.now() >= pinged + self.timeout
    }

    /// Whether a sign of life has come since the ping that was due at `pinged`.
    fn is_alive(&self, outbox: &Outbox, pinged: u64) -> bool {
        match self.life {
            Life::Anything => outbox.last_received() >= pinged,
            Life::Pong => outbox.pinged.load(Ordering::Relaxed) == 0,
        }
    }

    fn insert(&self, due: u64, outbox: Weak<Outbox>, what: What) {
        let tick = due.div_ceil(self.tick);
        let mut wheel = self.wheel.lock();
        let first = wheel.first_key_value().is_none_or(|(key, _)| tick < *key);
        wheel.entry(tick).or_default().push(Entry { outbox, what });
        drop(wheel);
        if first {
            self.wake.notify_one();
        }
    }

    /// Works until `stop` is cancelled. The task's owner spawns and joins it.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.wheel.lock().keys().next().copied();
            let wait = async {
                match next {
                    Some(tick) => {
                        let at = self.flusher.instant(tick * self.tick);
                        tokio::select! {
                            () = tokio::time::sleep_until(at) => {}
                            () = self.wake.notified() => {}
                        }
                    }
                    None => self.wake.notified().await,
                }
            };
            if stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
            while let Some(entries) = self.expired() {
                for chunk in entries.chunks(CHUNK) {
                    for entry in chunk {
                        self.handle(entry);
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn expired(&self) -> Option<Vec<Entry>> {
        let now = self.flusher.now();
        let mut wheel = self.wheel.lock();
        let entry = wheel.first_entry()?;
        (entry.key() * self.tick <= now).then(|| entry.remove())
    }

    fn handle(&self, entry: &Entry) {
        let Some(outbox) = entry.outbox.upgrade() else {
            return;
        };
        if outbox.is_closing() {
            return;
        }
        match &entry.what {
            What::Deadline(close) => {
                if !outbox.is_established() {
                    outbox.request_close(Close::clone(close));
                }
            }
            &What::Ping(due) => {
                outbox.pinged.store(due, Ordering::Relaxed);
                outbox.push_reply(self.ping.clone());
                outbox.flush();
                let answer = due + self.timeout;
                self.insert(answer, entry.outbox.clone(), What::Answer(due));
            }
            &What::Answer(due) => {
                let alive = self.is_alive(&outbox, due);
                if !alive && !outbox.is_full() {
                    outbox.request_close(Close::new(Cause::PingTimeout, 1001, "ping timeout"));
                    return;
                }
                // A full socket has not got the ping through yet: its own limit ends it.
                let next = if alive {
                    outbox.pinged.store(0, Ordering::Relaxed);
                    let next = (due + self.interval).max(self.flusher.now());
                    (next, What::Ping(next))
                } else {
                    (self.flusher.now() + self.timeout, What::Answer(due))
                };
                self.insert(next.0, entry.outbox.clone(), next.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::flusher::Limits;

    struct Bench {
        heartbeat: Arc<Heartbeat>,
        flusher: Arc<Flusher>,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    fn start() -> Bench {
        start_with(Life::Anything)
    }

    fn start_with(life: Life) -> Bench {
        let flusher = Flusher::new(Limits::default());
        let heartbeat = Heartbeat::new(
            &flusher,
            Duration::from_millis(300),
            Duration::from_millis(200),
            Frame::text("2"),
            life,
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn(heartbeat.clone().run(stop.clone()));
        Bench {
            heartbeat,
            flusher,
            stop,
            task,
        }
    }

    async fn pass(millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_is_pinged_on_and_who_does_not_is_over() {
        let bench = start();
        let (quiet, lively) = (Outbox::new(&bench.flusher), Outbox::new(&bench.flusher));
        bench.heartbeat.watch(&quiet);
        bench.heartbeat.watch(&lively);
        for _ in 0..5 {
            pass(305).await;
            assert_eq!(lively.take_payload(100).expect("a ping"), "2");
            lively.touch();
            assert_eq!(lively.take_payload(100), None);
        }
        assert_eq!(lively.close_requested(), None);
        let close = quiet.close_requested().expect("over");
        assert_eq!(close.cause, Cause::PingTimeout);
        assert_eq!(quiet.take_payload(100).expect("one ping"), "2");
        bench.stop.cancel();
        bench.task.await.expect("joined");
    }

    #[tokio::test(start_paused = true)]
    async fn where_a_pong_is_wanted_nothing_else_will_do() {
        let bench = start_with(Life::Pong);
        let (chatty, polite) = (Outbox::new(&bench.flusher), Outbox::new(&bench.flusher));
        bench.heartbeat.watch(&chatty);
        bench.heartbeat.watch(&polite);
        // Before any ping it is the answer to none.
        chatty.answered();
        for _ in 0..2 {
            pass(305).await;
            chatty.touch();
            polite.answered();
        }
        assert_eq!(
            chatty.close_requested().expect("over").cause,
            Cause::PingTimeout
        );
        assert_eq!(polite.close_requested(), None);
        assert!(bench.heartbeat.is_overdue(&chatty) && !bench.heartbeat.is_overdue(&polite));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_exactly_after_interval_and_timeout() {
        let bench = start();
        let it = Outbox::new(&bench.flusher);
        bench.heartbeat.watch(&it);
        pass(498).await;
        assert!(it.close_requested().is_none() && !bench.heartbeat.is_overdue(&it));
        pass(2).await;
        assert!(it.close_requested().is_some() || bench.heartbeat.is_overdue(&it));
        pass(3).await;
        assert!(it.close_requested().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn deadlines_spare_the_established_and_ends_need_no_cancelling() {
        let bench = start();
        let (late, fine) = (Outbox::new(&bench.flusher), Outbox::new(&bench.flusher));
        for it in [&late, &fine] {
            let close = Close::new(Cause::Protocol, 4007, "connect timeout");
            bench.heartbeat.deadline(it, Duration::from_secs(1), close);
        }
        fine.establish();
        let gone = Outbox::new(&bench.flusher);
        bench.heartbeat.watch(&gone);
        drop(gone);
        pass(1020).await;
        assert_eq!(
            late.close_requested().expect("closed").cause,
            Cause::Protocol
        );
        assert_eq!(fine.close_requested(), None);
        assert!(bench.heartbeat.wheel.lock().is_empty());
    }
}
