//! The one writer: a thread that owns the only writing connection and commits in groups.
//!
//! A command is a closure. The thread takes what is in the queue (at most [`MAX_BATCH`], for at most
//! [`BATCH_TIME`]), runs each in a savepoint of one transaction, commits, and only then answers all: under load
//! that is one fsync for many writes, and idle a lone write commits at once. A command that fails or panics rolls
//! back its own savepoint only. A failed commit, or an error upon which SQLite itself rolled everything back
//! (a full disk), fails the whole group; the thread goes on with the next. For a command that writes in bulk each is
//! a transaction of its own.
//!
//! **Queue and deadline.** The queue holds [`QUEUE`] commands; when it is full a caller waits for room. Whoever has
//! not been started within the deadline gets `Unavailable` and will not be started: caller and thread settle that
//! by one compare-and-swap, so there is no third outcome. Once started, the answer waits for the commit. A caller who
//! goes away leaves the command in the queue to be written; one who goes away while waiting for room has written
//! nothing.

mod command;

use command::{Command, Work, too_late};

use super::checkpoint::Checkpointer;
use super::fault::{Fault, classify, is_busy, replay};
use super::{closing, really_elapsed};
use crate::store::{Options, Result, Stats, StoreError};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Commands that may wait.
const QUEUE: usize = 4_096;
/// Commands in one transaction at most.
const MAX_BATCH: usize = 1_024;
/// How long a transaction takes in further commands.
const BATCH_TIME: Duration = Duration::from_millis(10);
/// Waiting for somebody else's lock, between two attempts: from the first to the last of these.
const LOCK_PAUSE: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(1));

pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Command>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    checkpointer: Mutex<Option<Checkpointer>>,
    shared: Arc<Shared>,
    deadline: Duration,
}

/// What the thread tells the outside.
struct Shared {
    origin: Instant,
    /// Milliseconds since `origin` at which the present work began, plus one; 0 when idle.
    busy_since: AtomicU64,
    batches: AtomicU64,
    commands: AtomicU64,
    refused: AtomicU64,
}

impl Writer {
    /// Starts the writing and the checkpointing thread.
    pub fn start(
        connection: Connection,
        checkpointer: Connection,
        options: &Options,
    ) -> Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            origin: Instant::now(),
            busy_since: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let checkpointer = Checkpointer::start(checkpointer)?;
        let worker = Worker {
            connection,
            queue: receiver,
            shared: shared.clone(),
            wal: checkpointer.signal(),
            is_bulk: options.is_bulk,
        };
        let thread = std::thread::Builder::new()
            .name("lastseen-writer".into())
            .spawn(move || worker.run())
            .map_err(|error| StoreError::Unavailable(format!("no thread for writing: {error}")))?;
        Ok(Self {
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            checkpointer: Mutex::new(Some(checkpointer)),
            shared,
            deadline: options.write_deadline,
        })
    }

    pub async fn run<T, F>(&self, context: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let start = Instant::now();
        let (command, state, answer) = Command::new(context, start + self.deadline, work);
        let queue = self.queue.lock().clone().ok_or_else(closing)?;
        self.enqueue(queue, command, start).await?;
        let mut answer = std::pin::pin!(answer);
        let left = self.deadline.saturating_sub(start.elapsed());
        let answered = match tokio::time::timeout(left, &mut answer).await {
            Ok(answered) => answered,
            Err(_) if really_elapsed(start, self.deadline) && state.expire() => {
                return Err(self.refuse());
            }
            Err(_) => answer.await,
        };
        let result = answered.unwrap_or_else(|_| Err(closing()));
        if matches!(result, Err(StoreError::Unavailable(_))) {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    async fn enqueue(
        &self,
        queue: mpsc::Sender<Command>,
        command: Command,
        start: Instant,
    ) -> Result<()> {
        let command = match queue.try_send(command) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(closing()),
            Err(mpsc::error::TrySendError::Full(command)) => command,
        };
        let mut room = std::pin::pin!(queue.reserve());
        let reserved = match tokio::time::timeout(self.deadline, &mut room).await {
            Ok(reserved) => reserved,
            Err(_) if really_elapsed(start, self.deadline) => return Err(self.refuse()),
            Err(_) => room.await,
        };
        reserved.map_err(|_| closing())?.send(command);
        Ok(())
    }

    fn refuse(&self) -> StoreError {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        too_late()
    }

    pub fn run_detached<F>(&self, context: &'static str, work: F)
    where
        F: FnOnce(&Connection) -> Result<(), Fault> + Send + 'static,
    {
        let (command, ..) = Command::new(context, Instant::now() + self.deadline, work);
        let queue = self.queue.lock().clone();
        if queue.is_none_or(|queue| queue.try_send(command).is_err()) {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn stats(&self) -> Stats {
        let waiting = self
            .queue
            .lock()
            .as_ref()
            .map_or(0, |queue| queue.max_capacity() - queue.capacity());
        Stats {
            write_batches: self.shared.batches.load(Ordering::Relaxed),
            write_commands: self.shared.commands.load(Ordering::Relaxed),
            write_queue: waiting as u64,
            write_refused: self.shared.refused.load(Ordering::Relaxed),
        }
    }

    /// Whether the thread lives and is not stuck in one transaction for longer than the deadline.
    pub fn check_alive(&self) -> Result<()> {
        if self
            .thread
            .lock()
            .as_ref()
            .is_none_or(JoinHandle::is_finished)
        {
            return Err(closing());
        }
        let since = self.shared.busy_since.load(Ordering::Relaxed);
        let busy = self
            .shared
            .origin
            .elapsed()
            .saturating_sub(Duration::from_millis(since));
        if since > 0 && busy > self.deadline {
            return Err(StoreError::Unavailable(format!(
                "a write has been stuck for {} s",
                busy.as_secs()
            )));
        }
        Ok(())
    }

    /// Writes what is queued, checkpoints, and joins both threads.
    pub async fn close(&self) {
        self.queue.lock().take();
        let writer = self.thread.lock().take();
        let checkpointer = self.checkpointer.lock().take();
        let joined = tokio::task::spawn_blocking(move || {
            let joined = writer.map_or(Ok(()), JoinHandle::join);
            if let Some(checkpointer) = checkpointer {
                checkpointer.finish();
            }
            joined
        })
        .await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the writing thread did not end in good order");
        }
    }
}

/// The thread's side.
struct Worker {
    connection: Connection,
    queue: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    wal: super::checkpoint::Signal,
    /// Each command is a large transaction of its own.
    is_bulk: bool,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.wal.stop();
    }
}

impl Worker {
    fn run(mut self) {
        super::checkpoint::count_wal_pages(&self.connection);
        while let Some(command) = self.queue.blocking_recv() {
            let now = self.shared.origin.elapsed().as_millis() as u64 + 1;
            self.shared.busy_since.store(now, Ordering::Relaxed);
            if let Some(command) = self.begin(command) {
                self.batch(command);
            }
            self.shared.busy_since.store(0, Ordering::Relaxed);
        }
    }

    /// Begins a transaction, waiting for a foreign lock until the command's deadline.
    fn begin(&self, mut command: Command) -> Option<Command> {
        let mut pause = LOCK_PAUSE.0;
        loop {
            command = command.unless_late()?;
            match self.execute("BEGIN IMMEDIATE") {
                Ok(()) => return Some(command),
                Err(error) if is_busy(&error) => {
                    // Nobody can tell us that another process let go: look again.
                    let left = command.deadline.saturating_duration_since(Instant::now());
                    std::thread::sleep(pause.min(left));
                    pause = (pause * 2).min(LOCK_PAUSE.1);
                }
                Err(error) => {
                    if command.state.start() {
                        let error = classify("beginning a transaction", error);
                        tracing::warn!(%error, "no transaction can begin");
                        command.work.answer(Some(error));
                    }
                    return None;
                }
            }
        }
    }

    /// Runs the first command and those that are there, commits, answers.
    fn batch(&mut self, first: Command) {
        let start = Instant::now();
        let mut done: Vec<Box<dyn Work>> = Vec::new();
        let mut lost = None;
        let mut next = Some(first);
        let most = if self.is_bulk { 1 } else { MAX_BATCH };
        while let Some(command) = next.take() {
            if let Some(mut command) = command.unless_late()
                && command.state.start()
            {
                lost = if self.is_bulk {
                    self.alone(&mut *command.work)
                } else {
                    self.savepoint(&mut *command.work)
                };
                done.push(command.work);
            }
            if lost.is_none() && done.len() < most && start.elapsed() < BATCH_TIME {
                next = self.queue.try_recv().ok();
            }
        }
        if lost.is_none() {
            lost = self
                .execute("COMMIT")
                .err()
                .map(|error| classify("committing", error));
        }
        match &lost {
            None => {
                self.shared.batches.fetch_add(1, Ordering::Relaxed);
                self.shared
                    .commands
                    .fetch_add(done.len() as u64, Ordering::Relaxed);
                if self.is_bulk {
                    self.empty_log();
                } else {
                    self.wal.committed();
                }
            }
            Some(error) => {
                tracing::warn!(%error, commands = done.len(), "a transaction was lost");
                if !self.connection.is_autocommit()
                    && let Err(error) = self.execute("ROLLBACK")
                {
                    tracing::error!(%error, "a transaction could not be rolled back");
                }
            }
        }
        for work in done {
            work.answer(lost.as_ref().map(replay));
        }
    }

    /// Runs one command in a savepoint; an error when the whole transaction is lost.
    fn savepoint(&self, work: &mut dyn Work) -> Option<StoreError> {
        if let Err(error) = self.execute("SAVEPOINT command") {
            return Some(classify("beginning a savepoint", error));
        }
        let ran = catch_unwind(AssertUnwindSafe(|| work.run(&self.connection)));
        let kept = ran.unwrap_or_else(|_| {
            work.panicked();
            false
        });
        if self.connection.is_autocommit() {
            // SQLite does this by itself when the disk is full, among others.
            let cause = work.failure().map(replay);
            return Some(cause.unwrap_or_else(|| {
                StoreError::Unavailable("the transaction was rolled back".into())
            }));
        }
        let undone = if kept {
            Ok(())
        } else {
            self.execute("ROLLBACK TO command")
        };
        undone
            .and_then(|()| self.execute("RELEASE command"))
            .err()
            .map(|error| classify("ending a savepoint", error))
    }

    /// Runs one command that is the whole transaction; an error when it failed. Without a savepoint: SQLite would keep
    /// the former content of every page for it.
    fn alone(&self, work: &mut dyn Work) -> Option<StoreError> {
        let ran = catch_unwind(AssertUnwindSafe(|| work.run(&self.connection)));
        let is_kept = ran.unwrap_or_else(|_| {
            work.panicked();
            false
        });
        let cause = work.failure().map(replay);
        (!is_kept).then(|| cause.unwrap_or_else(closing))
    }

    /// After a large transaction the next one is to begin with an empty log: on a thread of its own a checkpoint would
    /// never find the writer between two of them, and the log would only grow.
    fn empty_log(&self) {
        let emptied = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = emptied {
            tracing::warn!(%error, "the write-ahead log cannot be checkpointed");
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }
}
