//! The checkpoint thread: copies the write-ahead log into the database beside the writer, never on its path.
//!
//! A passive checkpoint each time the log has grown by [`PASSIVE_PAGES`], which goes to the disk at once, so that there is
//! never much to bring there. It waits for nobody, and the writer starts the log over by itself once all of it is copied
//! and nobody reads from it. Where that does not come about because there is always somebody, and the log is past
//! [`RESTART_PAGES`], a few restarting ones: those hold the writer up, so each waits [`BUSY_TRIES`] × [`BUSY_PAUSE`] for
//! readers at most and the next comes [`RESTART_GAP`] later. When nothing was written for [`IDLE`], the log is emptied.

use crate::store::{Result, StoreError};
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// 4 MB of pages of 4,096 bytes.
pub(super) const PASSIVE_PAGES: u64 = 1_000;
/// 64 MB.
pub(super) const RESTART_PAGES: u64 = 16_384;
const RESTART_TRIES: u32 = 20;
pub(super) const RESTART_GAP: Duration = Duration::from_millis(2);
const BUSY_TRIES: i32 = 3;
const BUSY_PAUSE: Duration = Duration::from_micros(100);
const IDLE: Duration = Duration::from_secs(1);

thread_local! {
    /// Pages in the log after the last commit of this thread's connection.
    static WAL_PAGES: Cell<u64> = const { Cell::new(0) };
}

/// Counts the pages of the log on the writer's thread, which calls this.
pub(super) fn count_wal_pages(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        WAL_PAGES.set(u64::try_from(pages).unwrap_or(0));
        Ok(())
    }));
}

/// Pages in the log after the last commit on this thread.
pub(super) fn wal_pages() -> u64 {
    WAL_PAGES.get()
}

/// The writer's handle.
#[derive(Clone)]
pub(super) struct Signal(Arc<Shared>);

struct Shared {
    log: Mutex<Log>,
    changed: Condvar,
}

#[derive(Default)]
struct Log {
    pages: u64,
    /// Where the next passive checkpoint is due.
    due: u64,
    /// Commits so far.
    commits: u64,
    /// Commits that are known to be in the database.
    emptied: u64,
    stop: bool,
}

impl Signal {
    /// After each commit, on the writer's thread.
    pub fn committed(&self) {
        let pages = WAL_PAGES.get();
        let mut log = self.0.log.lock();
        if pages < log.pages {
            log.due = PASSIVE_PAGES;
        }
        let was_empty = log.commits == log.emptied;
        log.pages = pages;
        log.commits += 1;
        if was_empty || log.pages >= log.due {
            self.0.changed.notify_one();
        }
    }

    /// After the last commit: one more checkpoint, and the thread ends.
    pub fn stop(&self) {
        self.0.log.lock().stop = true;
        self.0.changed.notify_one();
    }
}

/// The thread.
pub(super) struct Checkpointer {
    signal: Signal,
    thread: JoinHandle<()>,
}

impl Checkpointer {
    pub fn start(connection: Connection) -> Result<Self> {
        let unavailable =
            |error: String| StoreError::Unavailable(format!("no thread for checkpoints: {error}"));
        be_impatient(&connection).map_err(|error| unavailable(error.to_string()))?;
        let signal = Signal(Arc::new(Shared {
            log: Mutex::new(Log {
                due: PASSIVE_PAGES,
                ..Log::default()
            }),
            changed: Condvar::new(),
        }));
        let shared = signal.0.clone();
        let thread = std::thread::Builder::new()
            .name("lastseen-checkpoint".into())
            .spawn(move || run(&connection, &shared))
            .map_err(|error| unavailable(error.to_string()))?;
        Ok(Self { signal, thread })
    }

    pub fn signal(&self) -> Signal {
        self.signal.clone()
    }

    /// Joins the thread, which ends after the writer's [`Signal::stop`].
    pub fn finish(self) {
        if self.thread.join().is_err() {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

/// What to do next.
enum Due {
    Passive,
    Empty,
    Stop,
}

fn run(connection: &Connection, shared: &Shared) {
    let mut failing = false;
    loop {
        let (due, commits) = wait(shared);
        let outcome = match due {
            Due::Passive => passive(connection, shared),
            Due::Empty | Due::Stop => checkpoint(connection, "TRUNCATE").map(|done| {
                // Busy: somebody reads from the log; the next commit or idle second tries again.
                if !done.busy {
                    shared.log.lock().emptied = commits;
                }
            }),
        };
        if let Err(error) = &outcome
            && !failing
        {
            // Once per stretch of failures: the disk may be full for hours.
            tracing::warn!(%error, "the write-ahead log cannot be checkpointed");
        }
        failing = outcome.is_err();
        if matches!(due, Due::Stop) {
            return;
        }
    }
}

/// Waits until there is something to do; also the number of commits at that moment.
fn wait(shared: &Shared) -> (Due, u64) {
    let mut log = shared.log.lock();
    loop {
        if log.stop {
            return (Due::Stop, log.commits);
        }
        if log.pages >= log.due {
            log.due = log.pages + PASSIVE_PAGES;
            return (Due::Passive, log.commits);
        }
        if log.commits == log.emptied {
            shared.changed.wait(&mut log);
            continue;
        }
        let before = log.commits;
        let timed_out = shared.changed.wait_for(&mut log, IDLE).timed_out();
        if timed_out && log.commits == before {
            return (Due::Empty, log.commits);
        }
    }
}

fn passive(connection: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    checkpoint(connection, "PASSIVE")?;
    bring_to_disk(connection);
    for _ in 0..RESTART_TRIES {
        if shared.log.lock().pages < RESTART_PAGES {
            break;
        }
        if !restart(connection)?.busy {
            break;
        }
        let mut log = shared.log.lock();
        if log.stop {
            break;
        }
        shared.changed.wait_for(&mut log, RESTART_GAP);
    }
    Ok(())
}

/// Waits for readers no longer than a writer can be held up.
pub(super) fn be_impatient(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(|tries| {
        std::thread::sleep(BUSY_PAUSE);
        tries < BUSY_TRIES
    }))
}

pub(super) struct Done {
    pub busy: bool,
}

/// Copies all of the log and has it begin anew.
///
/// While others write, passive checkpoints leave what they copied to the system, and the restarting one brings all of it
/// to the disk with the writers' lock held: 40 to 100 ms after 64 MB. So that is done before it, and what was written
/// meanwhile is copied, which leaves it a few milliseconds.
pub(super) fn restart(connection: &Connection) -> rusqlite::Result<Done> {
    checkpoint(connection, "PASSIVE")?;
    bring_to_disk(connection);
    checkpoint(connection, "PASSIVE")?;
    checkpoint(connection, "RESTART")
}

/// Brings what was copied to the disk, while nobody waits for it.
fn bring_to_disk(connection: &Connection) {
    // A disk that fails is found out, and answered, by the checkpoint that needs all of it there.
    if let Err(error) = sync(connection) {
        tracing::warn!(%error, "the database cannot be brought to the disk");
    }
}

fn sync(connection: &Connection) -> std::io::Result<()> {
    /// Never closed: with any descriptor of it that is closed, SQLite's connections in this process lose their locks.
    static FILES: Mutex<BTreeMap<PathBuf, &'static File>> = Mutex::new(BTreeMap::new());
    let Some(path) = connection.path().map(PathBuf::from) else {
        return Ok(());
    };
    let file: &'static File = {
        let mut files = FILES.lock();
        match files.get(&path) {
            Some(file) => file,
            None => {
                let opened = Box::leak(Box::new(File::open(&path)?));
                files.insert(path, opened);
                opened
            }
        }
    };
    file.sync_data()
}

pub(super) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Done> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(Done {
            busy: row.get::<_, i64>(0)? != 0,
        })
    })
}
