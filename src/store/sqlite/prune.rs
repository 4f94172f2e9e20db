//! Removing old rows and giving their space back, on a connection of its own.
//!
//! A batch holds the lock for [`SERVED_HOLD`] beside a server and then lets it have a turn; alone it takes longer ones.
//! The log is copied by a thread of its own as it grows, and past a bound nothing more is written until it begins anew,
//! so that it stays below 128 MB whoever reads from it.

pub(super) mod going;
mod gone;

pub use going::{Read, SessionPage, Stretch};
pub use gone::Gone;

use super::checkpoint::{Checkpointer, Signal};
use super::open;
use super::rollups::{self, Counts, EVERY_ACTION, EVERYONE, QUARTER_MS};
use super::{Fault, checkpoint};
use crate::model::*;
use crate::store::{
    GoingActivity, GoingSession, Options, PruneBatch, PruneRules, Result, StoreError,
};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a batch holds the lock beside a server, and alone.
const SERVED_HOLD: Duration = Duration::from_millis(18);
const ALONE_HOLD: Duration = Duration::from_secs(1);
/// What a batch adds to the log at most, about: 48 MB.
const BATCH_PAGES: u64 = 12_288;
/// Pages in the log after which it has to begin anew. Beside a server 48 MB, which is before the server itself would see to
/// it: here the deleting waits meanwhile, and the server has its turn.
const SERVED_LOG_PAGES: u64 = 12_288;
const ALONE_LOG_PAGES: u64 = checkpoint::RESTART_PAGES;
/// Rows that are deleted in the order of users. What is in order of time is written once for each batch that such a window
/// makes, and what is in order of users once for each window: short batches want short windows.
const SERVED_WINDOW: usize = 25_000;
const ALONE_WINDOW: usize = 200_000;
/// Rows between two looks at the clock.
const ROWS_A_LOOK: usize = 8;
/// What a server gets between two batches: a turn, or so long if it does not take one.
const GAP: Duration = Duration::from_millis(4);
/// Between two looks for the lock or for another's turn.
const LOOK: Duration = Duration::from_micros(300);
/// A boot that has not proven life for so long is over.
const LIFE: Duration = Duration::from_secs(15);
/// Looks for the lock while others hold it: somewhat more than half a minute.
const LOOKS: i32 = 100_000;
/// How long somebody may read from a log that is past its bound.
const LOG_PATIENCE: Duration = Duration::from_secs(300);
const CACHE_KIB: i64 = 64 * 1024;

pub struct Pruner {
    connection: Connection,
    /// None where nothing is changed.
    log: Option<Log>,
    pace: Pace,
    /// Of pages that are given back.
    giving: Pace,
    /// Whether a server was at work at the last batch.
    is_served: bool,
}

/// The write-ahead log: a thread that copies it, and a connection that has it begin anew where it has become too long.
struct Log {
    thread: Option<Checkpointer>,
    signal: Signal,
    restarter: Connection,
}

/// How many rows, or pages, a batch takes at most, learned from the one before.
struct Pace(usize);

const IS_SERVED: &str =
    "SELECT EXISTS (SELECT 1 FROM boots WHERE ended_at IS NULL AND proof_at > ?1)";
pub(super) const DELETE_ACTIVITY: &str = "DELETE FROM user_activity_logs WHERE id = ?1";
// One that was resumed meanwhile is another session now.
pub(super) const DELETE_SESSION: &str = "DELETE FROM sessions WHERE id = ?1 AND ended_at = ?2";

impl Pruner {
    pub fn open(path: &std::path::Path, options: &Options, looks_only: bool) -> Result<Self> {
        let opened = open::open(path, options)?;
        let (connection, log) = match opened.writer {
            Some(connection) => {
                prepare(&connection).map_err(|error| fault(error.into()))?;
                let open = || opened.location.open_writer(options.durability);
                (connection, Some(Log::open(open()?, open()?)?))
            }
            None if looks_only => (opened.location.open_reader()?, None),
            None => return Err(super::read_only()),
        };
        let is_served = is_served(&connection).map_err(fault)?;
        Ok(Self {
            connection,
            log,
            pace: Pace(ROWS_A_LOOK),
            giving: Pace(ROWS_A_LOOK),
            is_served,
        })
    }

    pub const fn window_rows(&self) -> usize {
        if self.is_served {
            SERVED_WINDOW
        } else {
            ALONE_WINDOW
        }
    }

    pub fn estimate(&self, rules: &PruneRules) -> Result<u64> {
        let live = |action: &str, before: Timestamp| {
            let quarters = (0, before.as_millis().max(0) / QUARTER_MS);
            rollups::sum(&self.connection, EVERYONE, action, quarters).map(|(_, live)| live)
        };
        let sum = || {
            let mut sum = 0;
            if let Some(before) = rules.activities {
                sum = live(EVERY_ACTION, before)?;
                for action in rules.keep.keys() {
                    sum -= live(action, before)?;
                }
            }
            for (action, before) in &rules.keep {
                sum += live(action, *before)?;
            }
            Ok(u64::try_from(sum).unwrap_or(0))
        };
        sum().map_err(fault)
    }

    pub fn activities<T: Read>(&self, stretch: &Stretch<'_>, limit: usize) -> Result<Vec<T>> {
        going::activities(&self.connection, stretch, limit).map_err(fault)
    }

    pub fn sessions(
        &self,
        before: Timestamp,
        after: (i64, i64),
        limit: usize,
    ) -> Result<SessionPage> {
        going::sessions(&self.connection, before, after, limit).map_err(fault)
    }

    pub fn delete_activities(&mut self, going: &[GoingActivity]) -> Result<PruneBatch> {
        // The counts are lowered here, once for all rows that are gone.
        self.set_triggers(false)?;
        self.batch(going, |connection, going, begun| {
            let mut delete = connection.prepare_cached(DELETE_ACTIVITY)?;
            let batch = take(going, begun, |row| {
                Ok(delete.execute([row.id.0.as_bytes()])? > 0)
            })?;
            let gone = batch.gone.iter().filter_map(|index| going.get(*index));
            let mut counts = Counts::default();
            let mut newest: BTreeMap<&str, Timestamp> = BTreeMap::new();
            for row in gone {
                let (action, at) = (row.action.as_str(), row.timestamp);
                counts.add(connection, (row.user_id, action, at))?;
                let newest = newest.entry(action).or_insert(at);
                *newest = at.max(*newest);
            }
            counts.lower(connection)?;
            for (action, at) in newest {
                gone::note(connection, action, at)?;
            }
            Ok(batch)
        })
    }

    pub fn delete_sessions(&mut self, going: &[GoingSession]) -> Result<PruneBatch> {
        self.set_triggers(true)?;
        self.batch(going, |connection, going, begun| {
            let mut delete = connection.prepare_cached(DELETE_SESSION)?;
            let batch = take(going, begun, |row| {
                let id = row.id.0.hyphenated().to_string();
                Ok(delete.execute((id, row.ended_at.as_millis()))? > 0)
            })?;
            let gone = batch.gone.iter().filter_map(|index| going.get(*index));
            if let Some(newest) = gone.map(|row| row.ended_at).max() {
                gone::note_sessions(connection, newest)?;
            }
            Ok(batch)
        })
    }

    fn set_triggers(&self, are_on: bool) -> Result<()> {
        self.connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, are_on)
            .map(drop)
            .map_err(|error| fault(error.into()))
    }

    /// Gives back as many pages as are to be given at once; whether a server is at work.
    fn step(&mut self) -> Result<bool, Fault> {
        let Self {
            connection, giving, ..
        } = self;
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let begun = Begun::now(&transaction)?;
        let mut given = 0;
        {
            let mut statement = transaction.prepare_cached("PRAGMA incremental_vacuum")?;
            // A row is a page: whoever asks for one row frees one page.
            let mut pages = statement.query([])?;
            while given < giving.0 && !begun.is_over() && pages.next()?.is_some() {
                given += 1;
            }
        }
        transaction.commit()?;
        begun.teach(giving, given);
        Ok(begun.is_served)
    }

    /// Runs `work` on the front of `going` in a transaction of its own, which should end when it is over.
    fn batch<T>(
        &mut self,
        going: &[T],
        work: impl FnOnce(&Connection, &[T], &Begun) -> Result<PruneBatch, Fault>,
    ) -> Result<PruneBatch> {
        let Self {
            connection, pace, ..
        } = self;
        let run = || {
            let transaction =
                Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            let begun = Begun::now(&transaction)?;
            let batch = work(&transaction, pace.front(going), &begun)?;
            transaction.commit()?;
            begun.teach(pace, batch.taken);
            Ok((batch, begun.is_served))
        };
        let (batch, is_served) = run().map_err(fault)?;
        self.is_served = is_served;
        self.settle()?;
        Ok(batch)
    }

    /// After each commit.
    fn settle(&mut self) -> Result<()> {
        let before = self.version().map_err(fault)?;
        if let Some(log) = &self.log {
            let bound = if self.is_served {
                SERVED_LOG_PAGES
            } else {
                ALONE_LOG_PAGES
            };
            log.settle(bound)?;
        }
        if self.is_served {
            self.let_others(before).map_err(fault)?;
        }
        Ok(())
    }

    /// Waits until somebody else has written since `before`, or for a gap in which nobody wants to.
    fn let_others(&self, before: i64) -> Result<(), Fault> {
        let start = Instant::now();
        while start.elapsed() < GAP && self.version()? == before {
            // Nobody can tell us when another process is through: look again.
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Another one when another connection has committed.
    fn version(&self) -> Result<i64, Fault> {
        let mut version = self.connection.prepare_cached("PRAGMA data_version")?;
        Ok(version.query_row([], |row| row.get(0))?)
    }

    pub fn give_back(&mut self) -> Result<u64> {
        let free = |connection: &Connection| -> Result<u64, Fault> {
            let mut statement = connection.prepare_cached("PRAGMA freelist_count")?;
            let count: i64 = statement.query_row([], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        };
        let before = free(&self.connection).map_err(fault)?;
        if before == 0 {
            return Ok(0);
        }
        self.is_served = self.step().map_err(fault)?;
        let after = free(&self.connection).map_err(fault)?;
        self.settle()?;
        // A file that cannot shrink keeps its free pages, for the next rows.
        Ok(if after < before { after } else { 0 })
    }

    pub fn finish(self) {
        if let Some(mut log) = self.log {
            log.stop();
            for _ in 0..20 {
                match checkpoint::checkpoint(&log.restarter, "TRUNCATE") {
                    Ok(done) if done.busy => std::thread::sleep(checkpoint::RESTART_GAP),
                    Ok(_) => return,
                    Err(error) => {
                        tracing::warn!(%error, "the write-ahead log cannot be checkpointed");
                        return;
                    }
                }
            }
        }
    }
}

impl Log {
    fn open(copier: Connection, restarter: Connection) -> Result<Self> {
        checkpoint::be_impatient(&restarter).map_err(|error| fault(error.into()))?;
        let thread = Checkpointer::start(copier)?;
        Ok(Self {
            signal: thread.signal(),
            thread: Some(thread),
            restarter,
        })
    }

    /// After each commit: has the log copied, and waits where it has `bound` pages.
    fn settle(&self, bound: u64) -> Result<()> {
        self.signal.committed();
        let start = Instant::now();
        while checkpoint::wal_pages() >= bound {
            let restarted = checkpoint::restart(&self.restarter);
            if !restarted.map_err(|error| fault(error.into()))?.busy {
                break;
            }
            if start.elapsed() > LOG_PATIENCE {
                return Err(StoreError::Unavailable(
                    "somebody has been reading from it for minutes, and its log would grow without bound".into(),
                ));
            }
            // Nobody can tell us when the last reader is through: look again.
            std::thread::sleep(checkpoint::RESTART_GAP);
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.signal.stop();
        if let Some(thread) = self.thread.take() {
            thread.finish();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A transaction that holds the lock.
struct Begun {
    at: Instant,
    is_served: bool,
    log_pages: u64,
}

impl Begun {
    fn now(connection: &Connection) -> Result<Self, Fault> {
        Ok(Self {
            at: Instant::now(),
            is_served: is_served(connection)?,
            log_pages: checkpoint::wal_pages(),
        })
    }

    const fn hold(&self) -> Duration {
        if self.is_served {
            SERVED_HOLD
        } else {
            ALONE_HOLD
        }
    }

    fn is_over(&self) -> bool {
        self.at.elapsed() >= self.hold()
    }

    /// After the commit: what `count` of them took.
    fn teach(&self, pace: &mut Pace, count: usize) {
        let now = checkpoint::wal_pages();
        // Fewer than before where the log has begun anew.
        let pages = now.checked_sub(self.log_pages).unwrap_or(now);
        let share = self.at.elapsed().div_duration_f64(self.hold());
        pace.learn(count, share, pages);
    }
}

impl Pace {
    fn front<'a, T>(&self, going: &'a [T]) -> &'a [T] {
        going.get(..self.0).unwrap_or(going)
    }

    /// `count` took `share` of the time that there was, and so many pages in the log.
    fn learn(&mut self, count: usize, share: f64, log_pages: u64) {
        let share = share.max(log_pages as f64 / BATCH_PAGES as f64);
        // What was short for want of more says nothing of how many there could have been.
        if count >= self.0 || share > 1.0 {
            let count = (count as f64 / share.max(0.5)) as usize;
            self.0 = count.max(ROWS_A_LOOK);
        }
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    checkpoint::count_wal_pages(connection);
    connection.busy_handler(Some(|looks| {
        std::thread::sleep(LOOK);
        looks < LOOKS
    }))?;
    // Rows that come back when the power fails go again with the next run: no commit has to wait for the disk.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)
}

/// Whether a server is at work now.
fn is_served(connection: &Connection) -> Result<bool, Fault> {
    let since = Clock::system().now().minus(LIFE).as_millis();
    Ok(connection
        .prepare_cached(IS_SERVED)?
        .query_row([since], |row| row.get(0))?)
}

fn fault(fault: Fault) -> StoreError {
    fault.in_context("pruning")
}

/// Deletes rows from the front until the time is over; at least one.
fn take<T>(
    going: &[T],
    begun: &Begun,
    mut delete: impl FnMut(&T) -> Result<bool, Fault>,
) -> Result<PruneBatch, Fault> {
    let mut batch = PruneBatch::default();
    for (index, row) in going.iter().enumerate() {
        if index > 0 && index % ROWS_A_LOOK == 0 && begun.is_over() {
            break;
        }
        if delete(row)? {
            batch.gone.push(index);
        }
        batch.taken += 1;
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_its_time_and_its_share_of_the_log_allow() {
        let mut pace = Pace(100);
        let mut learned = |count, share, pages| {
            pace.learn(count, share, pages);
            pace.0
        };
        assert_eq!(learned(100, 0.8, 0), 125);
        assert_eq!(learned(125, 0.01, 0), 250, "twice as many at most");
        assert_eq!(learned(7, 0.01, 0), 250, "there were no more");
        assert_eq!(learned(100, 2.0, 0), 50, "they took too long");
        assert_eq!(
            learned(50, 0.5, BATCH_PAGES * 2),
            25,
            "the log grew too far"
        );
        assert_eq!(learned(25, 100.0, 0), ROWS_A_LOOK, "never none");
        let rows = [(); 20];
        assert_eq!(pace.front(&rows).len(), ROWS_A_LOOK);
        assert_eq!(pace.front(&rows[..3]).len(), 3);
    }
}
