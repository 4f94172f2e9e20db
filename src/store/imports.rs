//! The store's verbs for history that comes from elsewhere: activities and sessions in batches, and what follows from
//! them for users and counts.

use super::sqlite::{imports, ordinals};
use super::{Result, Store, UpsertCounts};
use crate::model::*;

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

impl Store {
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
        const USERS: i64 = 2_000;
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
