//! What administrators ask of sessions and counts.

use super::rollups::End;
use super::{Fault, activities, rollups, rows, snapshot};
use crate::model::*;
use crate::store::{
    OnlineAt, Series, SessionCursor, SessionEntry, SessionFilter, SessionTally, Tally,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use std::collections::{BTreeSet, HashMap};

pub fn activities(
    connection: &Connection,
    action: Option<&str>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Tally, Fault> {
    snapshot(connection, |connection| {
        let (count, is_approximate) = activities::count_ever(connection, action, from, to)?;
        Ok(Tally {
            count,
            is_approximate,
        })
    })
}

// The everyone's rows of the counts, whose empty action is all of them.
const EVERY_NAME: &str = "SELECT action FROM activity_counts WHERE user_id = 0 AND action <> ''";

pub fn each_action(
    connection: &Connection,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(String, Tally)>, Fault> {
    snapshot(connection, |connection| {
        let actions = connection
            .prepare_cached(EVERY_NAME)?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        let mut tallies = Vec::new();
        for action in actions {
            let (count, is_approximate) =
                activities::count_ever(connection, Some(&action), from, to)?;
            if count > 0 {
                let tally = Tally {
                    count,
                    is_approximate,
                };
                tallies.push((action, tally));
            }
        }
        Ok(tallies)
    })
}

const SESSION_SUM: &str = "SELECT ifnull(sum(ever), 0), ifnull(sum(live), 0), ifnull(sum(duration_ms), 0) \
     FROM session_rollups WHERE span = ?1 AND bucket >= ?2 AND bucket < ?3";
const SESSION_END: &str = "SELECT count(*), ifnull(sum(ended_at - started_at), 0) FROM sessions \
     WHERE started_at >= ?1 AND started_at < ?2";
// Few are open; by their start they would be looked for among all there ever were.
const SESSION_OPEN: &str = "SELECT ifnull(sum(max(?3 - started_at, 0)), 0) FROM sessions INDEXED BY idx_sessions_open \
     WHERE ended_at IS NULL AND started_at >= ?1 AND started_at < ?2";

pub fn sessions(
    connection: &Connection,
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
) -> Result<SessionTally, Fault> {
    snapshot(connection, |connection| {
        let parts = rollups::parts(from, to);
        let mut total = SessionTally::default();
        let (ever, _, duration) = session_sum(connection, parts.quarters)?;
        total.tally.count = ever;
        total.duration_ms = duration;
        let of_quarter = |quarter| session_sum(connection, (quarter, quarter + 1));
        let ends = parts.ends(|quarter| of_quarter(quarter).map(|(ever, live, _)| ever == live))?;
        for end in ends {
            let (count, duration): (i64, i64) = match end {
                End::Counted(from, to) => connection
                    .prepare_cached(SESSION_END)?
                    .query_row((from, to), |row| Ok((row.get(0)?, row.get(1)?)))?,
                End::Widened(quarter) => {
                    total.tally.is_approximate = true;
                    let (ever, _, duration) = of_quarter(quarter)?;
                    (ever, duration)
                }
            };
            total.tally.count += count;
            total.duration_ms += duration;
        }
        let open: i64 = connection
            .prepare_cached(SESSION_OPEN)?
            .query_row((from.as_millis(), to.as_millis(), now.as_millis()), |row| {
                row.get(0)
            })?;
        total.duration_ms += open;
        Ok(total)
    })
}

fn session_sum(connection: &Connection, quarters: (i64, i64)) -> Result<(i64, i64, i64), Fault> {
    let mut statement = connection.prepare_cached(SESSION_SUM)?;
    let mut sums = (0, 0, 0);
    for part in rollups::spans(quarters) {
        let (ever, live, duration): (i64, i64, i64) =
            statement.query_row(part, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        sums = (sums.0 + ever, sums.1 + live, sums.2 + duration);
    }
    Ok(sums)
}

const ACTIVITY_SERIES: &str = "SELECT bucket, ever FROM activity_rollups \
     WHERE user_id = 0 AND action = ?3 AND span = 0 AND bucket >= ?1 AND bucket < ?2 ORDER BY bucket";
const SESSION_SERIES: &str = "SELECT bucket, ever FROM session_rollups \
     WHERE span = 0 AND bucket >= ?1 AND bucket < ?2 ORDER BY bucket";
const ONLINE_SERIES: &str =
    "SELECT bucket, peak FROM online_peaks WHERE bucket >= ?1 AND bucket < ?2 ORDER BY bucket";

pub fn series(
    connection: &Connection,
    series: &Series,
    first: i64,
    last: i64,
) -> Result<Vec<(i64, i64)>, Fault> {
    let (sql, action) = match series {
        Series::Activities(action) => (
            ACTIVITY_SERIES,
            Some(action.as_deref().unwrap_or(rollups::EVERY_ACTION)),
        ),
        Series::Sessions => (SESSION_SERIES, None),
        Series::Online => (ONLINE_SERIES, None),
    };
    let values = [first, last].into_iter().map(Value::Integer);
    let values = values.chain(action.map(|action| Value::Text(action.into())));
    let rows = connection
        .prepare_cached(sql)?
        .query_map(params_from_iter(values), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

// Two look-ups at the ends of the table; together in one statement SQLite would walk it.
const FIRST_SESSION: &str =
    "SELECT bucket FROM session_rollups WHERE span = 0 ORDER BY bucket LIMIT 1";
const LAST_SESSION: &str =
    "SELECT bucket FROM session_rollups WHERE span = 0 ORDER BY bucket DESC LIMIT 1";

pub fn session_span(connection: &Connection) -> Result<Option<(i64, i64)>, Fault> {
    let find = |sql| -> rusqlite::Result<Option<i64>> {
        connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0))
            .optional()
    };
    Ok(find(FIRST_SESSION)?.zip(find(LAST_SESSION)?))
}

const ACTIVE_QUARTERS: &str =
    "SELECT ifnull(sum(users), 0) FROM active_users WHERE quarter >= ?1 AND quarter < ?2";
const ACTIVE_USERS: &str =
    "SELECT count(*) FROM users WHERE last_active_at >= ?1 AND last_active_at < ?2";

/// How many were last active in `from..to`.
fn last_active_in(connection: &Connection, from: Timestamp, to: Timestamp) -> Result<i64, Fault> {
    let parts = rollups::parts(from, to);
    let mut count: i64 = connection
        .prepare_cached(ACTIVE_QUARTERS)?
        .query_row(parts.quarters, |row| row.get(0))?;
    for (from, to) in [parts.head, parts.tail] {
        if from < to {
            let users: i64 = connection
                .prepare_cached(ACTIVE_USERS)?
                .query_row((from, to), |row| row.get(0))?;
            count += users;
        }
    }
    Ok(count)
}

const LAST_ACTIVE: &str = "SELECT last_active_at FROM users WHERE id = ?1";

pub fn active_users(
    connection: &Connection,
    since: &[Timestamp],
    lately: &HashMap<UserId, Timestamp>,
) -> Result<Vec<i64>, Fault> {
    snapshot(connection, |connection| {
        // From the latest on, so that nobody is counted twice: a month holds its week and its day.
        let mut latest_first: Vec<usize> = (0..since.len()).collect();
        latest_first.sort_by_key(|index| std::cmp::Reverse(since[*index]));
        let mut counts = vec![0; since.len()];
        let (mut end, mut so_far) = (activities::LATEST, 0);
        for index in latest_first {
            so_far += last_active_in(connection, since[index], end)?;
            end = since[index];
            counts[index] = so_far;
        }
        let mut last_active = connection.prepare_cached(LAST_ACTIVE)?;
        for (user, at) in lately {
            let stored = last_active.query_row([user.0], |row| rows::optional_time(row, 0));
            // One who was erased meanwhile is not counted.
            let Some(stored) = stored.optional()? else {
                continue;
            };
            for (count, since) in counts.iter_mut().zip(since) {
                // Whoever the store has as active by then is counted already.
                if at >= since && stored.is_none_or(|stored| stored < *since) {
                    *count += 1;
                }
            }
        }
        Ok(counts)
    })
}

const PEAK: &str =
    "SELECT ifnull(max(peak), 0) FROM online_peaks WHERE bucket >= ?1 AND bucket < ?2";

pub fn peak_online(connection: &Connection, from: Timestamp, to: Timestamp) -> Result<i64, Fault> {
    let first = from.as_millis().div_euclid(rollups::QUARTER_MS);
    let last = (to.as_millis() - 1).div_euclid(rollups::QUARTER_MS) + 1;
    Ok(connection
        .prepare_cached(PEAK)?
        .query_row((first, last), |row| row.get(0))?)
}

const NOTE: &str = "INSERT INTO online_peaks (bucket, peak) VALUES (?1, ?2) \
     ON CONFLICT (bucket) DO UPDATE SET peak = max(peak, excluded.peak) WHERE excluded.peak > peak";

pub fn note_peaks(connection: &Connection, peaks: &[(i64, i64)]) -> Result<(), Fault> {
    let mut note = connection.prepare_cached(NOTE)?;
    for peak in peaks {
        note.execute(*peak)?;
    }
    Ok(())
}

/// The longest that a session of each length class can have lasted, in milliseconds, as in the table's definition. The
/// last class is without bound.
pub(super) const LENGTHS_MS: [i64; 7] = [
    240_000,
    960_000,
    3_840_000,
    15_360_000,
    61_440_000,
    245_760_000,
    983_040_000,
];

pub(super) const CLOSED_AT: &str = "SELECT user_id FROM sessions INDEXED BY idx_sessions_length \
     WHERE length_class = ?1 AND started_at >= ?2 AND started_at <= ?3 AND ended_at > ?3 AND ended_at IS NOT NULL";
pub(super) const OPEN_AT: &str =
    "SELECT user_id FROM sessions WHERE ended_at IS NULL AND started_at <= ?1";
const NAME: &str = "SELECT username FROM users WHERE id = ?1";

pub fn online_at(
    connection: &Connection,
    at: Timestamp,
    after: Option<UserId>,
    limit: usize,
) -> Result<OnlineAt, Fault> {
    snapshot(connection, |connection| {
        let at = at.as_millis();
        let mut users = BTreeSet::<i64>::new();
        let mut closed = connection.prepare_cached(CLOSED_AT)?;
        for class in 0..=LENGTHS_MS.len() {
            let earliest = LENGTHS_MS.get(class).map_or(i64::MIN, |length| at - length);
            for user in closed.query_map((class as i64, earliest, at), |row| row.get(0))? {
                users.insert(user?);
            }
        }
        for user in connection
            .prepare_cached(OPEN_AT)?
            .query_map([at], |row| row.get(0))?
        {
            users.insert(user?);
        }
        let total = i64::try_from(users.len()).unwrap_or(i64::MAX);
        let first = after.map_or(i64::MIN, |id| id.0.saturating_add(1));
        let mut page: Vec<i64> = users.range(first..).copied().take(limit + 1).collect();
        let has_more = page.len() > limit;
        page.truncate(limit);
        let mut name = connection.prepare_cached(NAME)?;
        let users = page
            .into_iter()
            .map(|id| {
                let name = name.query_row([id], |row| rows::username(row, 0))?;
                Ok((UserId(id), name))
            })
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let next = users.last().filter(|_| has_more).map(|(id, _)| *id);
        Ok(OnlineAt { total, users, next })
    })
}

/// The columns that [`entry`] reads.
macro_rules! session_columns {
    () => {
        "s.id, s.user_id, u.username, s.device_id, s.started_at, s.ended_at, s.end_reason, s.rowid, s.device_type, \
         s.ip_address, s.country_code, s.user_agent"
    };
}
pub(super) use session_columns;

/// Sessions, newest first.
pub fn session_page(
    connection: &Connection,
    filter: &SessionFilter,
    before: Option<SessionCursor>,
    limit: usize,
) -> Result<(Vec<SessionEntry>, bool), Fault> {
    let mut conditions = String::from("1");
    let mut values = Vec::new();
    let mut and = |condition: &str, value: Option<i64>| {
        conditions.push_str(" AND ");
        conditions.push_str(condition);
        values.extend(value.map(Value::Integer));
    };
    if let Some(user) = filter.user_id {
        and("s.user_id = ?", Some(user.0));
    }
    match filter.is_open {
        Some(true) => and("s.ended_at IS NULL", None),
        Some(false) => and("s.ended_at IS NOT NULL", None),
        None => {}
    }
    if let Some(from) = filter.from {
        and("s.started_at >= ?", Some(from.as_millis()));
    }
    if let Some(to) = filter.to {
        and("s.started_at < ?", Some(to.as_millis()));
    }
    if let Some(before) = before {
        and(
            "(s.started_at, s.rowid) < (?, ?)",
            Some(before.at.as_millis()),
        );
        values.push(Value::Integer(before.row_id));
    }
    let sql = format!(
        concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions s {index} CROSS JOIN users u ON u.id = s.user_id \
             WHERE {conditions} ORDER BY s.started_at DESC, s.rowid DESC LIMIT ?"
        ),
        conditions = conditions,
        // Few are open; by their start they would be looked for among all there ever were, seconds among a million.
        index = match filter.is_open {
            Some(true) => "INDEXED BY idx_sessions_open",
            _ => "",
        },
    );
    values.push(Value::Integer(
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
    ));
    let mut found = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(&values), entry)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    Ok((found, has_more))
}

/// A session, from [`session_columns`].
pub(super) fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<SessionEntry> {
    let started_at = rows::time(row, 4)?;
    Ok(SessionEntry {
        session: SessionRow {
            id: rows::session_id(row, 0)?,
            user_id: UserId(row.get(1)?),
            device_id: row.get::<_, Option<String>>(3)?.map(Into::into),
            client: std::sync::Arc::new(rows::client(row, 8)?),
            started_at,
            ended: rows::optional_time(row, 5)?.zip(rows::optional_word(row, 6)?),
        },
        username: rows::username(row, 2)?,
        cursor: SessionCursor {
            at: started_at,
            row_id: row.get(7)?,
        },
    })
}
