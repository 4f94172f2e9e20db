//! The store's verbs for history that comes from elsewhere: activities and sessions in batches, and what follows from
//! them for users and counts.

use super::sqlite::{imports, ordinals};
use super::{Result, Store, StoreError, UpsertCounts};
use crate::model::*;
use std::cell::RefCell;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Whose a row is, as the file says it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UserKey {
    /// By id.
    Id(UserId),
    /// By username, any case.
    Name(String),
}

/// An activity of somebody. Its `user_id` is found out when it is written.
#[derive(Clone, Debug)]
pub struct ActivityImport {
    /// Whose.
    pub user: UserKey,
    /// The row.
    pub activity: Activity,
}

/// A session of somebody, which has ended. Its `user_id` is found out when it is written.
#[derive(Clone, Debug)]
pub struct SessionImport {
    /// Whose.
    pub user: UserKey,
    /// The row.
    pub session: SessionRow,
}

/// Where rows come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportSource {
    /// They were never here: they are counted. One that prune may have removed is bad.
    #[default]
    Elsewhere,
    /// Prune removed them from here: they were counted then, and are now there again.
    Archive,
}

/// What a batch came to: counts, or the bad rows by index.
pub type Imported = std::result::Result<UpsertCounts, Vec<(usize, FieldError)>>;

/// What a command that writes batch after batch leaves between two of them to a server beside it, which looks for the
/// lock every millisecond and else would seldom find it free.
pub const FOREIGN_GAP: Duration = Duration::from_millis(5);

/// Which columns of users follow from what was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// Last active and last login, from the newest activities.
    Activities,
    /// Last active and last seen, from the ends of sessions.
    Sessions,
}

/// Counts equal contents of a file, in memory that does not grow with it. Not of the database: in a file of its own
/// that the operating system removes.
#[derive(Debug)]
pub struct Ordinals(ordinals::Ordinals);

impl Ordinals {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// When no temporary file can be made.
    pub fn new() -> Result<Self> {
        ordinals::Ordinals::new()
            .map(Self)
            .map_err(|fault| fault.in_context("counting equal rows"))
    }

    /// How often `content` was given before.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn next(&mut self, content: &[u8; 16]) -> Result<u64> {
        self.0
            .next(content)
            .map_err(|fault| fault.in_context("counting equal rows"))
    }
}

/// Activities in one large transaction, whose indexes are built once at its end: for more rows than the log has, where
/// nobody else writes meanwhile. Nothing of it is there before [`Self::finish`] has returned, and nothing at all when
/// that is never called.
#[derive(Debug)]
pub struct ActivityStretch {
    rows: StretchRows,
    written: JoinHandle<Result<()>>,
}

/// The way into a stretch.
#[derive(Clone, Debug)]
pub struct StretchRows(mpsc::Sender<Step>);

#[derive(Debug)]
enum Step {
    Rows(Vec<ActivityImport>, oneshot::Sender<Imported>),
    Finish,
}

impl StretchRows {
    /// Writes all rows, or none when one is bad. `None` when the transaction is lost; [`ActivityStretch::finish`] says
    /// why.
    pub async fn import(&self, rows: Vec<ActivityImport>) -> Option<Imported> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Step::Rows(rows, answer)).await.ok()?;
        answered.await.ok()
    }
}

impl ActivityStretch {
    /// Where its rows go.
    pub fn rows(&self) -> StretchRows {
        self.rows.clone()
    }

    /// Builds the indexes and commits.
    ///
    /// # Errors
    /// When the transaction is lost: then nothing was written.
    pub async fn finish(self) -> Result<()> {
        // Where nobody takes it, the transaction is lost and its error below.
        let _ = self.rows.0.send(Step::Finish).await;
        let written = self.written.await;
        written.unwrap_or(Err(StoreError::Panicked(STRETCH)))
    }
}

const STRETCH: &str = "importing many activities";

impl Store {
    /// Begins a stretch of activities, for which no other write of this store gets its turn.
    pub fn import_many_activities(&self, source: ImportSource) -> ActivityStretch {
        let (steps, mut taken) = mpsc::channel(1);
        let store = self.0.clone();
        let written = tokio::spawn(async move {
            let write = store.write(STRETCH, move |c| {
                let answer = RefCell::new(None);
                let next = || match taken.blocking_recv() {
                    Some(Step::Rows(rows, to)) => {
                        answer.replace(Some(to));
                        Ok(Some(rows))
                    }
                    Some(Step::Finish) => Ok(None),
                    None => Err(StoreError::Unavailable("the import was given up".into()).into()),
                };
                let written = |imported| {
                    if let Some(to) = answer.take() {
                        // Whoever has gone does not finish either.
                        let _ = to.send(imported);
                    }
                };
                imports::activities_unindexed(c, source, next, written)
            });
            write.await
        });
        ActivityStretch {
            rows: StretchRows(steps),
            written,
        }
    }
    /// Writes all rows, or none when one is bad. A row whose id is there already is unchanged.
    pub async fn import_activities(
        &self,
        rows: Vec<ActivityImport>,
        source: ImportSource,
    ) -> Result<Imported> {
        self.0
            .write("importing activities", move |c| {
                imports::activities(c, rows, source)
            })
            .await
    }
    /// As [`Store::import_activities`].
    pub async fn import_sessions(
        &self,
        rows: Vec<SessionImport>,
        source: ImportSource,
    ) -> Result<Imported> {
        self.0
            .write("importing sessions", move |c| {
                imports::sessions(c, rows, source)
            })
            .await
    }
    /// Brings columns of users forward to what was imported, never back and never past `now`. A few users at a time,
    /// so that a server beside it does not wait.
    pub async fn catch_up(&self, what: CatchUp, now: Timestamp) -> Result<()> {
        const USERS: i64 = 1_000;
        let mut after = 0;
        loop {
            let last = self
                .0
                .write("bringing users forward", move |c| {
                    imports::catch_up(c, what, now, after, USERS)
                })
                .await?;
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
            tokio::time::sleep(FOREIGN_GAP).await;
        }
    }
    /// Raises the peaks of people online in `from..to` to what the sessions there are say. A day at a time, each in a
    /// short read.
    pub async fn recount_peaks(&self, from: Timestamp, to: Timestamp) -> Result<()> {
        let day = |at: Timestamp| at.as_millis().div_euclid(super::sqlite::rollups::DAY_MS);
        for day in day(from)..=day(to) {
            let peaks = self
                .0
                .read("counting who was online", move |c| {
                    imports::peaks_of_day(c, day)
                })
                .await?;
            if !peaks.is_empty() {
                self.note_peaks(peaks).await?;
            }
        }
        Ok(())
    }
}
