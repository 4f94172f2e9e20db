//! What the server itself logs: a bounded queue and one task that writes it, so that no request waits for it.

use super::recent::Recent;
use crate::model::LoggedActivity;
use crate::store::{ActivityBatch, Logged, PeopleRef, Result, Store, StoreError};
use crate::tasks::Tasks;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// Rows that may wait.
pub(super) const WAITING: usize = 10_000;

/// Rows written at once at most.
const BATCH: usize = 500;

/// Pause before a batch is tried again, the first time and at most.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Rows that were dropped are logged at most this often.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How long writing what is left may take when the server stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);

/// Takes rows without waiting, and writes them in the background.
pub(super) struct Recorder {
    sender: mpsc::Sender<LoggedActivity>,
    /// Held by whoever writes: the task, and after it the end.
    queue: tokio::sync::Mutex<Queue>,
    dropped: AtomicU64,
    telling: Mutex<Telling>,
    store: Store,
    recent: Arc<Recent>,
}

struct Queue {
    receiver: mpsc::Receiver<LoggedActivity>,
    /// Taken from the receiver and not yet written; kept here, so that a task that panics leaves it to the next.
    batch: Vec<LoggedActivity>,
}

/// What was dropped and not yet logged.
#[derive(Default)]
struct Telling {
    untold: u64,
    last: Option<Instant>,
}

impl Recorder {
    pub(super) fn new(store: Store, recent: Arc<Recent>, waiting: usize) -> Self {
        let (sender, receiver) = mpsc::channel(waiting);
        Self {
            sender,
            queue: tokio::sync::Mutex::new(Queue {
                receiver,
                batch: Vec::new(),
            }),
            dropped: AtomicU64::new(0),
            telling: Mutex::default(),
            store,
            recent,
        }
    }

    /// Rows that were dropped because the queue was full or the store refused them for good.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes a row to be written soon; drops it, counted and logged, when too many wait. Never waits.
    pub(super) fn record(&self, row: LoggedActivity) {
        if self.sender.try_send(row).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            let untold = {
                let mut telling = self.telling.lock();
                telling.untold += 1;
                let is_due = telling.last.is_none_or(|last| last.elapsed() >= TELL_EVERY);
                if !is_due {
                    return;
                }
                telling.last = Some(Instant::now());
                std::mem::take(&mut telling.untold)
            };
            warn!(
                dropped = untold,
                "activities could not be logged: too many wait for the store"
            );
        }
    }

    /// Starts the task that writes.
    pub(super) fn start(self: &Arc<Self>, tasks: &Tasks) {
        let recorder = self.clone();
        tasks.spawn("activity recorder", move |stop| {
            let recorder = recorder.clone();
            async move { recorder.run(stop).await }
        });
    }

    async fn run(&self, stop: CancellationToken) {
        let mut queue = self.queue.lock().await;
        let mut pause = RETRY_AFTER.0;
        loop {
            let Queue { receiver, batch } = &mut *queue;
            if batch.is_empty() {
                let taken = receiver.recv_many(batch, BATCH);
                if stop.run_until_cancelled(taken).await.is_none() {
                    return;
                }
                if batch.is_empty() {
                    return;
                }
            }
            // Once begun it is not cut off: nobody could tell whether it was committed.
            if self.write(batch).await {
                pause = RETRY_AFTER.0;
                continue;
            }
            let waited = tokio::time::sleep(pause);
            if stop.run_until_cancelled(waited).await.is_none() {
                return;
            }
            pause = (pause * 2).min(RETRY_AFTER.1);
        }
    }

    /// Writes `batch` and empties it; `false` when it is to be tried again. The ids stand, so that what was committed
    /// without our knowing is not written twice.
    async fn write(&self, batch: &mut Vec<LoggedActivity>) -> bool {
        match self.try_write(batch).await {
            Ok(written) => {
                batch.clear();
                self.recent.add(written);
            }
            Err(StoreError::Unavailable(why)) => {
                warn!(%why, waiting = batch.len(), "activities could not be logged yet; trying again");
                return false;
            }
            Err(error) => {
                let lost = batch.len() as u64;
                self.dropped.fetch_add(lost, Ordering::Relaxed);
                error!(%error, dropped = lost, "activities could not be logged");
                batch.clear();
            }
        }
        true
    }

    /// What of `batch` is written; who was erased meanwhile is left out.
    async fn try_write(&self, batch: &[LoggedActivity]) -> Result<Vec<LoggedActivity>> {
        let rows = batch.iter().map(|row| row.activity.clone()).collect();
        let logged = self.store.log_activities(ActivityBatch {
            rows,
            skip_erased: true,
            ..ActivityBatch::default()
        });
        if logged.await? == Logged::Written(batch.len()) {
            return Ok(batch.to_vec());
        }
        let users = |row: &LoggedActivity| {
            let row = &row.activity;
            std::iter::once(row.user_id).chain(row.target_user())
        };
        let mut ids: Vec<_> = batch.iter().flat_map(users).collect();
        ids.sort_unstable();
        ids.dedup();
        let people = self.store.people(None, PeopleRef::Ids(ids)).await;
        // It is committed, whatever can be read now.
        let people = people.unwrap_or_default();
        let there: HashSet<_> = people.into_iter().flatten().map(|p| p.id).collect();
        let is_there = |row: &&LoggedActivity| users(row).all(|user| there.contains(&user));
        Ok(batch.iter().filter(is_there).cloned().collect())
    }

    /// Writes what is left, because the server stops; to be called when the task has ended. What cannot be written in
    /// time is counted and logged.
    pub(super) async fn drain(&self) {
        let mut queue = self.queue.lock().await;
        queue.receiver.close();
        let write_all = async {
            let Queue { receiver, batch } = &mut *queue;
            loop {
                if batch.is_empty() && receiver.recv_many(batch, BATCH).await == 0 {
                    return;
                }
                while !self.write(batch).await {
                    tokio::time::sleep(RETRY_AFTER.0).await;
                }
            }
        };
        if tokio::time::timeout(DRAIN_WITHIN, write_all).await.is_err() {
            let lost = (queue.batch.len() + queue.receiver.len()) as u64;
            self.dropped.fetch_add(lost, Ordering::Relaxed);
            error!(
                dropped = lost,
                "the server stops, and activities could not be logged"
            );
        }
        let untold = std::mem::take(&mut self.telling.lock().untold);
        if untold > 0 {
            warn!(
                dropped = untold,
                "activities could not be logged: too many waited for the store"
            );
        }
    }
}

#[cfg(test)]
mod tests;
