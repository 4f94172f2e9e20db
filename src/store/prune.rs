//! The store's verbs for removing what has become too old: which rows, in batches, and the space given back.
//!
//! Not on [`Store`](super::Store) but on a connection of its own, in the caller's thread: a prune decides by itself how
//! long it holds the lock and how long it lets others have it, and waits for the log where others wait for nobody.

use super::sqlite::prune as sqlite;
use super::{Durability, Options, Result, SessionEntry};
use crate::model::*;
use std::collections::BTreeMap;
use std::path::Path;

/// What goes: everything of before these moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneRules {
    /// Activities, but for those in `keep`; `None` leaves them.
    pub activities: Option<Timestamp>,
    /// Activities of these actions, whatever `activities` says.
    pub keep: BTreeMap<String, Timestamp>,
    /// Sessions, by their end; open ones never go.
    pub sessions: Option<Timestamp>,
}

impl PruneRules {
    /// Whether a row goes.
    pub fn goes(&self, action: &str, at: Timestamp) -> bool {
        let before = self.keep.get(action).copied().or(self.activities);
        before.is_some_and(|before| at < before)
    }

    /// Where the rows are that go: first the front of the log, then beyond it those of actions that are kept for less
    /// long. No row is in two walks.
    pub fn walks(&self) -> Vec<Walk> {
        let start = Timestamp::from_millis(0);
        let front = self.activities.unwrap_or(start);
        let everything = self.activities.map(|before| {
            // Nothing goes beyond the front but by a walk of its own.
            Walk::new(None, start, before)
        });
        let beyond = self
            .keep
            .iter()
            .filter(|(_, before)| **before > front)
            .map(|(action, before)| Walk::new(Some(action.clone()), front, *before));
        everything.into_iter().chain(beyond).collect()
    }
}

/// A stretch of the log, and how far it has been walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    action: Option<String>,
    /// The last id read.
    after: [u8; 16],
    before: [u8; 16],
}

impl Walk {
    fn new(action: Option<String>, from: Timestamp, before: Timestamp) -> Self {
        Self {
            action,
            after: ActivityId::floor(from),
            before: ActivityId::floor(before),
        }
    }
}

/// How far the sessions have been walked: the end of the last one read, and its place among those of that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWalk {
    before: Timestamp,
    ended_at: i64,
    row: i64,
}

impl SessionWalk {
    /// All that ended before this.
    pub const fn new(before: Timestamp) -> Self {
        Self {
            before,
            ended_at: -1,
            row: 0,
        }
    }
}

/// An activity that is to go: what its counts and the report need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoingActivity {
    /// Its id.
    pub id: ActivityId,
    /// Whose.
    pub user_id: UserId,
    /// What.
    pub action: String,
    /// When.
    pub timestamp: Timestamp,
    /// About what it takes in the file, with its places in the indexes.
    pub size_bytes: u64,
}

impl GoingActivity {
    /// About what a row takes in the file: the bytes of its action, of the type of its target and of its other texts, with
    /// what is of one size and the places in the indexes.
    pub(super) fn size_bytes(action: usize, target_type: Option<u32>, texts: u32) -> u64 {
        // Header and cell pointer of the row, id, user, time and device; action and id stand in two indexes, the user in
        // one, and a row with a target in one more.
        const ROW: u64 = 16 + 16 + 4 + 6 + 4;
        const INDEXES: u64 = 2 * (16 + 7) + 4;
        let target = match target_type {
            Some(length) => 2 * u64::from(length) + 16 + 7,
            None => 0,
        };
        ROW + INDEXES + 3 * action as u64 + target + u64::from(texts)
    }
}

impl From<&Activity> for GoingActivity {
    fn from(row: &Activity) -> Self {
        // Some kilobytes at most.
        let length = |text: &String| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let texts = [
            &row.target_id,
            &row.metadata,
            &row.ip_address,
            &row.country_code,
            &row.region,
        ];
        Self {
            id: row.id,
            user_id: row.user_id,
            action: row.action.clone(),
            timestamp: row.timestamp,
            size_bytes: Self::size_bytes(
                row.action.len(),
                row.target_type.as_ref().map(length),
                texts.into_iter().flatten().map(length).sum(),
            ),
        }
    }
}

/// A session that is to go, if it still ended then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoingSession {
    /// Its id.
    pub id: SessionId,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// What one batch did: rows that it looked at, and which of them were there and are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneBatch {
    /// From the front of what was given.
    pub taken: usize,
    /// Indexes into what was given.
    pub gone: Vec<usize>,
}

/// A connection that removes what is too old.
pub struct Pruner(sqlite::Pruner);

impl Pruner {
    /// Opens a database that is there and current. With `looks_only` nothing is ever changed.
    ///
    /// # Errors
    /// As opening a store; `Unavailable` for a read-only database that is to be changed.
    pub fn open(path: &Path, durability: Durability, looks_only: bool) -> Result<Self> {
        let options = Options {
            durability,
            read_only: looks_only,
            ..Options::default()
        };
        sqlite::Pruner::open(path, &options, looks_only).map(Self)
    }

    /// About how many activities go: from the counts, so at once.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn estimate(&self, rules: &PruneRules) -> Result<u64> {
        self.0.estimate(rules)
    }

    /// The next rows of a walk that go, oldest first: none of `limit` that were read may be among them. `None` at its end.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn next_activities(
        &self,
        rules: &PruneRules,
        walk: &mut Walk,
        limit: usize,
    ) -> Result<Option<Vec<GoingActivity>>> {
        self.next(walk, limit, |row: &GoingActivity| {
            (row.id, rules.goes(&row.action, row.timestamp))
        })
    }

    /// As [`Pruner::next_activities`], all of each row.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn next_whole_activities(
        &self,
        rules: &PruneRules,
        walk: &mut Walk,
        limit: usize,
    ) -> Result<Option<Vec<LoggedActivity>>> {
        self.next(walk, limit, |LoggedActivity { activity, .. }| {
            let goes = rules.goes(&activity.action, activity.timestamp);
            (activity.id, goes)
        })
    }

    fn next<T: sqlite::Read>(
        &self,
        walk: &mut Walk,
        limit: usize,
        judge: impl Fn(&T) -> (ActivityId, bool),
    ) -> Result<Option<Vec<T>>> {
        let stretch = sqlite::Stretch {
            action: walk.action.as_deref(),
            after: walk.after,
            before: walk.before,
        };
        let mut rows = self.0.activities(&stretch, limit)?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        walk.after = *judge(last).0.0.as_bytes();
        rows.retain(|row| judge(row).1);
        Ok(Some(rows))
    }

    /// The next sessions that go, the first ended first. `None` at the end.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn next_sessions(
        &self,
        walk: &mut SessionWalk,
        limit: usize,
    ) -> Result<Option<Vec<SessionEntry>>> {
        let place = (walk.ended_at, walk.row);
        let (rows, place) = self.0.sessions(walk.before, place, limit)?;
        let Some(place) = place else {
            return Ok(None);
        };
        (walk.ended_at, walk.row) = place;
        Ok(Some(rows))
    }

    /// How many rows are best put in the order of their users, which is that of the largest indexes, before they are deleted.
    pub fn window_rows(&self) -> usize {
        self.0.window_rows()
    }

    /// Deletes from the front of `going` for some milliseconds, in one transaction with their counts and the note of
    /// what is gone; then lets others have a turn, and the log be copied. At least one row is taken.
    ///
    /// # Errors
    /// Nothing of the batch was deleted.
    pub fn delete_activities(&mut self, going: &[GoingActivity]) -> Result<PruneBatch> {
        self.0.delete_activities(going)
    }

    /// As [`Pruner::delete_activities`].
    ///
    /// # Errors
    /// Nothing of the batch was deleted.
    pub fn delete_sessions(&mut self, going: &[GoingSession]) -> Result<PruneBatch> {
        self.0.delete_sessions(going)
    }

    /// Gives some of the free space back to the file system; how many pages are left to give, 0 when it is done.
    ///
    /// # Errors
    /// Nothing was given back.
    pub fn give_back(&mut self) -> Result<u64> {
        self.0.give_back()
    }

    /// Copies the log into the database, so that the file is seen to be smaller; where others are at work it is they who
    /// do it in time.
    pub fn finish(self) {
        self.0.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn walks_do_not_overlap_and_reach_what_goes() {
        let keep = |rules: &[(&str, i64)]| {
            let rules = rules.iter();
            rules
                .map(|(action, before)| ((*action).to_owned(), at(*before)))
                .collect()
        };
        let rules = PruneRules {
            activities: Some(at(1_000)),
            keep: keep(&[("longer", 500), ("shorter", 1_500)]),
            sessions: None,
        };
        let expected = [
            Walk::new(None, at(0), at(1_000)),
            Walk::new(Some("shorter".into()), at(1_000), at(1_500)),
        ];
        assert_eq!(rules.walks(), expected);
        for (action, millis, goes) in [
            ("other", 999, true),
            ("other", 1_000, false),
            ("longer", 499, true),
            ("longer", 500, false),
            ("shorter", 1_499, true),
        ] {
            assert_eq!(rules.goes(action, at(millis)), goes, "{action} {millis}");
        }
        let alone = PruneRules {
            activities: None,
            keep: keep(&[("one", 500)]),
            sessions: None,
        };
        assert_eq!(
            alone.walks(),
            [Walk::new(Some("one".into()), at(0), at(500))]
        );
        assert!(!alone.goes("other", at(0)));
    }
}
