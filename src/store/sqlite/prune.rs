//! Removing old rows and giving their space back, on a connection of its own.
//!
//! A batch holds the lock for [`SERVED_TIME`] beside a server and then leaves it a gap; alone it takes longer ones. The
//! log is copied each time it has grown, alone less often, and past 64 MB nothing more is written until it begins anew, so that it stays
//! below 128 MB whoever reads from it.

use super::open;
use super::rollups::{self, EVERY_ACTION, EVERYONE, QUARTER_MS};
use super::{Fault, activities, analytics, checkpoint, rows};
use crate::model::*;
use crate::store::{
    GoingActivity, GoingSession, Options, PruneBatch, PruneRules, Result, SessionEntry, StoreError,
};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a batch deletes beside a server, and alone. The counts and the commit take about as long again.
const SERVED_TIME: Duration = Duration::from_millis(3);
const ALONE_TIME: Duration = Duration::from_millis(200);
/// Rows between two looks at the clock.
const ROWS_A_LOOK: usize = 8;
/// What a server gets between two batches. It looks for the lock every 5 ms.
const GAP: Duration = Duration::from_millis(8);
/// A boot that has not proven life for so long is over.
const LIFE: Duration = Duration::from_secs(15);
/// How long others may hold the lock in a row.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long somebody may read from a log that is past its bound.
const LOG_PATIENCE: Duration = Duration::from_secs(300);
/// Pages given back in one step beside a server, where 256 took 40 to 130 ms, and alone.
const SERVED_PAGES: i64 = 64;
const ALONE_PAGES: i64 = 2_048;
const CACHE_KIB: i64 = 64 * 1024;

pub struct Pruner {
    connection: Connection,
    /// Of its own, with less patience; none where nothing is changed.
    checkpointer: Option<Connection>,
    /// Pages in the log at which it is copied next.
    due: u64,
    /// Pages in the log after the last commit.
    log_pages: u64,
    /// Whether a server was at work at the last batch.
    is_served: bool,
}

const IS_SERVED: &str =
    "SELECT EXISTS (SELECT 1 FROM boots WHERE ended_at IS NULL AND proof_at > ?1)";
const GUARD: &str = "INSERT INTO counted_deletes (id) VALUES (1)";
const UNGUARD: &str = "DELETE FROM counted_deletes";
pub(super) const DELETE_ACTIVITY: &str = "DELETE FROM user_activity_logs WHERE id = ?1";
// One that was resumed meanwhile is another session now.
pub(super) const DELETE_SESSION: &str = "DELETE FROM sessions WHERE id = ?1 AND ended_at = ?2";
const NOTE: &str = "INSERT INTO pruned (action, before) VALUES (?1, ?2) \
     ON CONFLICT (action) DO UPDATE SET before = max(before, excluded.before)";
const NOTED: &str = "SELECT action, before FROM pruned";
/// The name under which the ends of sessions are noted: no action has it.
const SESSIONS_NOTE: &str = "";
pub(super) const SESSIONS: &str = concat!(
    "SELECT ",
    analytics::session_columns!(),
    " FROM sessions s INDEXED BY idx_sessions_ended CROSS JOIN users u ON u.id = s.user_id \
     WHERE s.ended_at IS NOT NULL AND s.ended_at < ?1 AND (s.ended_at, s.rowid) > (?2, ?3) \
     ORDER BY s.ended_at, s.rowid LIMIT ?4"
);

/// Sessions, and the end and row of the last one.
pub type SessionPage = (Vec<SessionEntry>, Option<(i64, i64)>);

impl Pruner {
    pub fn open(path: &std::path::Path, options: &Options, looks_only: bool) -> Result<Self> {
        let opened = open::open(path, options)?;
        let (connection, checkpointer) = match opened.writer {
            Some(connection) => {
                let checkpointer = opened.location.open_writer(options.durability)?;
                prepare(&connection, &checkpointer).map_err(|error| fault(error.into()))?;
                (connection, Some(checkpointer))
            }
            None if looks_only => (opened.location.open_reader()?, None),
            None => return Err(super::read_only()),
        };
        Ok(Self {
            connection,
            checkpointer,
            due: checkpoint::PASSIVE_PAGES,
            log_pages: 0,
            is_served: false,
        })
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

    pub fn between(
        &self,
        action: Option<&str>,
        after: [u8; 16],
        before: [u8; 16],
        limit: usize,
    ) -> Result<Vec<LoggedActivity>> {
        activities::between(&self.connection, action, after, before, limit).map_err(fault)
    }

    pub fn sessions(
        &self,
        before: Timestamp,
        (ended_at, row): (i64, i64),
        limit: usize,
    ) -> Result<SessionPage> {
        let read = || {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let sessions = self
                .connection
                .prepare_cached(SESSIONS)?
                .query_map((before.as_millis(), ended_at, row, limit), analytics::entry)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let place = |last: &SessionEntry| {
                let (ended_at, _) = last.session.ended?;
                Some((ended_at.as_millis(), last.cursor.row_id))
            };
            let last = sessions.last().and_then(place);
            Ok((sessions, last))
        };
        read().map_err(fault)
    }

    pub fn delete_activities(&mut self, going: &[GoingActivity]) -> Result<PruneBatch> {
        self.batch(|connection, until| {
            connection.prepare_cached(GUARD)?.execute([])?;
            let mut delete = connection.prepare_cached(DELETE_ACTIVITY)?;
            let batch = take(going, until, |row| {
                Ok(delete.execute([row.id.0.as_bytes()])? > 0)
            })?;
            let gone = batch.gone.iter().filter_map(|index| going.get(*index));
            let counted = gone.map(|row| (row.user_id, row.action.as_str(), row.timestamp));
            rollups::lower(connection, counted.clone())?;
            let mut newest: BTreeMap<&str, Timestamp> = BTreeMap::new();
            for (_, action, at) in counted {
                let newest = newest.entry(action).or_insert(at);
                *newest = at.max(*newest);
            }
            for (action, at) in newest {
                note(connection, action, at)?;
            }
            connection.prepare_cached(UNGUARD)?.execute([])?;
            Ok(batch)
        })
    }

    pub fn delete_sessions(&mut self, going: &[GoingSession]) -> Result<PruneBatch> {
        self.batch(|connection, until| {
            let mut delete = connection.prepare_cached(DELETE_SESSION)?;
            let batch = take(going, until, |row| {
                let id = row.id.0.hyphenated().to_string();
                Ok(delete.execute((id, row.ended_at.as_millis()))? > 0)
            })?;
            let gone = batch.gone.iter().filter_map(|index| going.get(*index));
            if let Some(newest) = gone.map(|row| row.ended_at).max() {
                note(connection, SESSIONS_NOTE, newest)?;
            }
            Ok(batch)
        })
    }

    /// Runs `work` in a transaction of its own, with the moment at which it should end.
    fn batch(
        &mut self,
        work: impl FnOnce(&Connection, Instant) -> Result<PruneBatch, Fault>,
    ) -> Result<PruneBatch> {
        let Self { connection, .. } = self;
        let run = || {
            let transaction =
                Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            let is_served = is_served(&transaction)?;
            let time = if is_served { SERVED_TIME } else { ALONE_TIME };
            let batch = work(&transaction, Instant::now() + time)?;
            transaction.commit()?;
            Ok((batch, is_served))
        };
        let (batch, is_served) = run().map_err(fault)?;
        self.is_served = is_served;
        self.settle()?;
        Ok(batch)
    }

    /// After each commit.
    fn settle(&mut self) -> Result<()> {
        let Some(checkpointer) = &self.checkpointer else {
            return Ok(());
        };
        let pages = checkpoint::wal_pages();
        // Alone it copies rarely: a page that is written again meanwhile is copied once.
        let step = match self.is_served {
            true => checkpoint::PASSIVE_PAGES,
            false => checkpoint::RESTART_PAGES,
        };
        if pages < self.log_pages {
            self.due = step;
        }
        self.log_pages = pages;
        if pages >= self.due {
            self.due = pages + step;
            let checkpoint = |mode| {
                checkpoint::checkpoint(checkpointer, mode).map_err(|error| fault(error.into()))
            };
            checkpoint("PASSIVE")?;
            let start = Instant::now();
            while pages >= checkpoint::RESTART_PAGES && checkpoint("RESTART")?.busy {
                if start.elapsed() > LOG_PATIENCE {
                    return Err(StoreError::Unavailable(
                        "somebody has been reading from it for minutes, and its log would grow without bound".into(),
                    ));
                }
                // Nobody can tell us when the last reader is through: look again.
                std::thread::sleep(checkpoint::RESTART_GAP);
            }
        }
        if self.is_served {
            std::thread::sleep(GAP);
        }
        Ok(())
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
        self.is_served = is_served(&self.connection).map_err(fault)?;
        let step = || -> Result<(), Fault> {
            let pages = if self.is_served {
                SERVED_PAGES
            } else {
                ALONE_PAGES
            };
            let sql = format!("PRAGMA incremental_vacuum({pages})");
            let mut statement = self.connection.prepare_cached(&sql)?;
            // A row is a page: whoever asks for one row frees one page.
            let mut pages = statement.query([])?;
            while pages.next()?.is_some() {}
            Ok(())
        };
        step().map_err(fault)?;
        let after = free(&self.connection).map_err(fault)?;
        self.settle()?;
        // A file that cannot shrink keeps its free pages, for the next rows.
        Ok(if after < before { after } else { 0 })
    }

    pub fn finish(self) {
        if let Some(checkpointer) = &self.checkpointer {
            for _ in 0..20 {
                match checkpoint::checkpoint(checkpointer, "TRUNCATE") {
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

fn prepare(connection: &Connection, checkpointer: &Connection) -> rusqlite::Result<()> {
    checkpoint::count_wal_pages(connection);
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    checkpoint::be_impatient(checkpointer)
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
    until: Instant,
    mut delete: impl FnMut(&T) -> Result<bool, Fault>,
) -> Result<PruneBatch, Fault> {
    let mut batch = PruneBatch::default();
    for (index, row) in going.iter().enumerate() {
        if index > 0 && index % ROWS_A_LOOK == 0 && Instant::now() >= until {
            break;
        }
        if delete(row)? {
            batch.gone.push(index);
        }
        batch.taken += 1;
    }
    Ok(batch)
}

/// Notes that rows of `newest` are gone, and so may be earlier ones.
fn note(connection: &Connection, action: &str, newest: Timestamp) -> Result<(), Fault> {
    let before = newest.as_millis() + 1;
    connection.prepare_cached(NOTE)?.execute((action, before))?;
    Ok(())
}

/// Before when rows may be gone: of each action, and of sessions by their end.
#[derive(Debug, Default)]
pub struct Gone {
    actions: BTreeMap<String, Timestamp>,
}

impl Gone {
    pub fn read(connection: &Connection) -> Result<Self, Fault> {
        let actions = connection
            .prepare_cached(NOTED)?
            .query_map([], |row| Ok((row.get(0)?, rows::time(row, 1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self { actions })
    }

    pub fn may_have_held(&self, action: &str, at: Timestamp) -> bool {
        self.actions.get(action).is_some_and(|before| at < *before)
    }

    pub fn may_have_held_session(&self, ended_at: Timestamp) -> bool {
        self.may_have_held(SESSIONS_NOTE, ended_at)
    }
}
