//! Counts of activities: totals, and by quarter hour and day, for everyone and for users with many rows.
//!
//! A batch of rows is added up in memory and written once, so that a thousand rows of one action in one hour cost the
//! counts no more than one row. Everyone is user 0 and every action the empty one, as in the tables.

use super::Fault;
use crate::model::{Activity, Timestamp, UserId};
use crate::store::ImportSource;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Milliseconds of a quarter hour: every zone's hours and days begin with one.
pub const QUARTER_MS: i64 = 15 * 60 * 1000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 96 * QUARTER_MS;
const QUARTERS_A_DAY: i64 = 96;

/// A user with this many rows gets rollups of their own: fewer are counted in the index as fast.
const MANY: i64 = 4_096;

/// Everyone, and every action.
pub const EVERYONE: i64 = 0;
pub const EVERY_ACTION: &str = "";

type Totals<'a> = BTreeMap<(i64, &'a str), i64>;
type Buckets<'a> = BTreeMap<(i64, &'a str, i64, i64), i64>;

const ADD_TOTAL: &str = "INSERT INTO activity_counts (user_id, action, ever, live) VALUES (?1, ?2, ?3, ?3) \
     ON CONFLICT (user_id, action) DO UPDATE SET ever = ever + excluded.ever, live = live + excluded.live";
const ADD_BUCKET: &str = "INSERT INTO activity_rollups (user_id, action, span, bucket, ever, live) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (user_id, action, span, bucket) \
     DO UPDATE SET ever = ever + excluded.ever, live = live + excluded.live";

// Rows that were counted before. Where they were not, as in another database, there were at least as many as there are.
const RESTORE_TOTAL: &str = "INSERT INTO activity_counts (user_id, action, ever, live) VALUES (?1, ?2, ?3, ?3) \
     ON CONFLICT (user_id, action) DO UPDATE SET ever = max(ever, live + excluded.live), live = live + excluded.live";
const RESTORE_BUCKET: &str = "INSERT INTO activity_rollups (user_id, action, span, bucket, ever, live) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (user_id, action, span, bucket) \
     DO UPDATE SET ever = max(ever, live + excluded.live), live = live + excluded.live";

/// Counts `rows`, which are new and in the table already.
pub fn add<'a>(
    connection: &Connection,
    rows: impl Iterator<Item = &'a Activity>,
) -> Result<(), Fault> {
    let mut counts = Counts::default();
    for row in rows {
        counts.add(connection, counted(row))?;
    }
    let with_many = counts.write(connection, ImportSource::Elsewhere)?;
    begin(connection, with_many)
}

/// What rows add to the counts, before it is written: one number for each user and action, and for each quarter hour
/// and action of everyone and of users who have rollups. All others are sums of those.
#[derive(Default)]
pub struct Counts {
    actions: Vec<String>,
    /// How it was with each user before.
    users: HashMap<i64, Total>,
    totals: HashMap<(i64, usize), i64>,
    quarters: HashMap<(i64, usize, i64), i64>,
}

impl Counts {
    /// How many numbers there are, which is what it takes of memory.
    pub fn size(&self) -> usize {
        self.users.len() + self.totals.len() + self.quarters.len()
    }

    /// Counts a row.
    pub fn add(
        &mut self,
        connection: &Connection,
        (UserId(user), action, at): Counted<'_>,
    ) -> Result<(), Fault> {
        // There are few, and the last ones are the likely ones.
        let known = self.actions.iter().rposition(|known| known == action);
        let action = known.unwrap_or_else(|| {
            self.actions.push(action.to_owned());
            self.actions.len() - 1
        });
        let quarter = at.as_millis() / QUARTER_MS;
        let before = match self.users.entry(user) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => *new.insert(total(connection, Some(UserId(user)), EVERY_ACTION)?),
        };
        *self.totals.entry((user, action)).or_default() += 1;
        *self
            .quarters
            .entry((EVERYONE, action, quarter))
            .or_default() += 1;
        if before.has_rollups {
            *self.quarters.entry((user, action, quarter)).or_default() += 1;
        }
        Ok(())
    }

    /// Writes what was counted and begins anew: as new rows, or as live only where they were counted before. Users who
    /// now have so many rows that they are to get rollups of their own by [`begin`].
    pub fn write(
        &mut self,
        connection: &Connection,
        source: ImportSource,
    ) -> Result<Vec<i64>, Fault> {
        let counted = std::mem::take(self);
        let (add_total, add_bucket) = match source {
            ImportSource::Elsewhere => (ADD_TOTAL, ADD_BUCKET),
            ImportSource::Archive => (RESTORE_TOTAL, RESTORE_BUCKET),
        };
        let mut with_many = Vec::new();
        let mut add = connection.prepare_cached(add_total)?;
        for ((user, action), count) in counted.by_user() {
            add.execute((user, action, count))?;
            if action == EVERY_ACTION
                && let Some(before) = counted.users.get(&user)
                && !before.has_rollups
                && before.live + count >= MANY
            {
                with_many.push(user);
            }
        }
        let mut add = connection.prepare_cached(add_bucket)?;
        for ((user, action, span, bucket), count) in counted.by_time() {
            add.execute((user, action, span, bucket, count))?;
        }
        Ok(with_many)
    }

    /// Takes what was counted from the live counts. What the trigger does row by row, once for all of them.
    pub fn lower(self, connection: &Connection) -> Result<(), Fault> {
        let mut lower = connection.prepare_cached(LOWER_TOTAL)?;
        for ((user, action), count) in self.by_user() {
            lower.execute((user, action, count))?;
        }
        let mut lower = connection.prepare_cached(LOWER_BUCKET)?;
        for ((user, action, span, bucket), count) in self.by_time() {
            lower.execute((user, action, span, bucket, count))?;
        }
        Ok(())
    }

    /// The totals of everyone, of each user and of every action, in the order of the table.
    fn by_user(&self) -> Totals<'_> {
        let mut totals = Totals::new();
        for ((user, action), count) in &self.totals {
            for user in [EVERYONE, *user] {
                for action in [EVERY_ACTION, &self.actions[*action]] {
                    *totals.entry((user, action)).or_default() += count;
                }
            }
        }
        totals
    }

    /// The quarter hours and days of each action and of every action, in the order of the table.
    fn by_time(&self) -> Buckets<'_> {
        let mut buckets = Buckets::new();
        for ((user, action, quarter), count) in &self.quarters {
            for action in [EVERY_ACTION, &self.actions[*action]] {
                for (span, bucket) in [(0, *quarter), (1, quarter.div_euclid(QUARTERS_A_DAY))] {
                    *buckets.entry((*user, action, span, bucket)).or_default() += count;
                }
            }
        }
        buckets
    }
}

const LOWER_TOTAL: &str =
    "UPDATE activity_counts SET live = live - ?3 WHERE user_id = ?1 AND action = ?2";
const LOWER_BUCKET: &str = "UPDATE activity_rollups SET live = live - ?5 \
     WHERE user_id = ?1 AND action = ?2 AND span = ?3 AND bucket = ?4";

/// Who did what and when: all that counts are made of.
pub type Counted<'a> = (UserId, &'a str, Timestamp);

/// What counts of a row.
pub fn counted(row: &Activity) -> Counted<'_> {
    (row.user_id, &row.action, row.timestamp)
}

const BEGIN: &str = "INSERT INTO activity_rollups (user_id, action, span, bucket, ever, live) \
     SELECT user_id, action, 0, timestamp / 900000, count(*), count(*) \
     FROM user_activity_logs WHERE user_id = ?1 GROUP BY 2, 4";
const BEGIN_DAYS: &str = "INSERT INTO activity_rollups (user_id, action, span, bucket, ever, live) \
     SELECT user_id, action, 1, bucket / 96, sum(ever), sum(live) \
     FROM activity_rollups WHERE user_id = ?1 AND span = 0 GROUP BY 2, 4";
const BEGIN_EVERY_ACTION: &str = "INSERT INTO activity_rollups (user_id, action, span, bucket, ever, live) \
     SELECT user_id, '', span, bucket, sum(ever), sum(live) \
     FROM activity_rollups WHERE user_id = ?1 AND action <> '' GROUP BY 3, 4";
const BEGUN: &str = "UPDATE activity_counts SET has_rollups = 1 WHERE user_id = ?1 AND action = ''";

/// Gives users rollups of their own, from the rows there are.
pub fn begin(connection: &Connection, users: impl IntoIterator<Item = i64>) -> Result<(), Fault> {
    for user in users {
        for sql in [BEGIN, BEGIN_DAYS, BEGIN_EVERY_ACTION, BEGUN] {
            connection.prepare_cached(sql)?.execute([user])?;
        }
    }
    Ok(())
}

/// The whole quarter hours of a range, and what is left at both ends, in milliseconds. Both ends are empty where the
/// range begins and ends with a quarter hour.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts {
    pub head: (i64, i64),
    pub quarters: (i64, i64),
    pub tail: (i64, i64),
}

/// Takes `from..to` apart. A range within one quarter hour is all head.
pub fn parts(from: Timestamp, to: Timestamp) -> Parts {
    let (from, to) = (from.as_millis().max(0), to.as_millis().max(0));
    let to = to.max(from);
    let first = from.div_euclid(QUARTER_MS) + i64::from(from.rem_euclid(QUARTER_MS) > 0);
    let last = to.div_euclid(QUARTER_MS);
    if first > last {
        return Parts {
            head: (from, to),
            quarters: (last, last),
            tail: (to, to),
        };
    }
    Parts {
        head: (from, first * QUARTER_MS),
        quarters: (first, last),
        tail: (last * QUARTER_MS, to),
    }
}

/// An end of a range, which is part of a quarter hour.
#[derive(Debug)]
pub enum End {
    /// Its rows are all there: these milliseconds are to be counted in the table.
    Counted(i64, i64),
    /// Rows of this quarter hour are gone: it counts as a whole, and the answer is approximate.
    Widened(i64),
}

impl Parts {
    /// What to do about both ends, where `is_whole` says of a quarter hour whether all rows it ever had are there. Each
    /// end is in a quarter hour of its own.
    pub fn ends(
        &self,
        mut is_whole: impl FnMut(i64) -> Result<bool, Fault>,
    ) -> Result<Vec<End>, Fault> {
        let mut ends = Vec::new();
        for (from, to) in [self.head, self.tail] {
            if from >= to {
                continue;
            }
            let quarter = from / QUARTER_MS;
            ends.push(if is_whole(quarter)? {
                End::Counted(from, to)
            } else {
                End::Widened(quarter)
            });
        }
        Ok(ends)
    }
}

/// Quarter hours `first..last` as spans: days in the middle, quarter hours at the ends; span, first, last.
pub fn spans((first, last): (i64, i64)) -> Vec<(i64, i64, i64)> {
    let day = first.div_euclid(QUARTERS_A_DAY) + i64::from(first.rem_euclid(QUARTERS_A_DAY) > 0);
    let end = last.div_euclid(QUARTERS_A_DAY);
    if day >= end {
        return vec![(0, first, last)];
    }
    vec![
        (0, first, day * QUARTERS_A_DAY),
        (1, day, end),
        (0, end * QUARTERS_A_DAY, last),
    ]
}

const SUM: &str = "SELECT ifnull(sum(ever), 0), ifnull(sum(live), 0) FROM activity_rollups \
     WHERE user_id = ?1 AND action = ?2 AND span = ?3 AND bucket >= ?4 AND bucket < ?5";

/// How many there ever were and how many rows there are, in whole quarter hours.
pub fn sum(
    connection: &Connection,
    user: i64,
    action: &str,
    quarters: (i64, i64),
) -> Result<(i64, i64), Fault> {
    let mut statement = connection.prepare_cached(SUM)?;
    let mut sums = (0, 0);
    for (span, first, last) in spans(quarters) {
        let (ever, live): (i64, i64) = statement
            .query_row((user, action, span, first, last), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        sums = (sums.0 + ever, sums.1 + live);
    }
    Ok(sums)
}

const TOTAL: &str =
    "SELECT live, has_rollups FROM activity_counts WHERE user_id = ?1 AND action = ?2";

/// How many rows there are, and whether this user has rollups of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    pub live: i64,
    pub has_rollups: bool,
}

pub fn total(connection: &Connection, user: Option<UserId>, action: &str) -> Result<Total, Fault> {
    use rusqlite::OptionalExtension as _;
    let user = user.map_or(EVERYONE, |id| id.0);
    let found = connection
        .prepare_cached(TOTAL)?
        .query_row((user, action), |row| {
            Ok(Total {
                live: row.get(0)?,
                has_rollups: row.get(1)?,
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_comes_apart_without_loss() {
        let at = Timestamp::from_millis;
        let q = QUARTER_MS;
        for (from, to, expected) in [
            (0, 10 * q, ((0, 0), (0, 10), (10 * q, 10 * q))),
            (1, 10 * q + 5, ((1, q), (1, 10), (10 * q, 10 * q + 5))),
            (q + 1, q + 9, ((q + 1, q + 9), (1, 1), (q + 9, q + 9))),
            (q, q, ((q, q), (1, 1), (q, q))),
            (9, 3, ((9, 9), (0, 0), (9, 9))),
            (-5, q, ((0, 0), (0, 1), (q, q))),
        ] {
            let parts = parts(at(from), at(to));
            assert_eq!(
                (parts.head, parts.quarters, parts.tail),
                expected,
                "{from}..{to}"
            );
        }
    }

    #[test]
    fn spans_cover_each_quarter_once() {
        for (first, last) in [
            (0, 0),
            (0, 96),
            (1, 95),
            (1, 96),
            (1, 97),
            (95, 300),
            (96, 192),
        ] {
            let mut covered = Vec::new();
            for (span, from, to) in spans((first, last)) {
                let quarters = if span == 1 { 96 } else { 1 };
                covered.extend(from * quarters..to * quarters);
            }
            assert_eq!(
                covered,
                (first..last).collect::<Vec<_>>(),
                "{first}..{last}"
            );
        }
    }
}
