//! All rows of a kind, a page at a time, oldest first.

use super::{Fault, analytics, rows};
use crate::store::{FollowNames, LastBoot, SessionCursor, SessionEntry};
use rusqlite::{Connection, OptionalExtension};

fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) const FOLLOWS: &str = "SELECT f.id, a.username, b.username FROM follows f \
     CROSS JOIN users a ON a.id = f.follower_id CROSS JOIN users b ON b.id = f.followee_id \
     WHERE f.id > ?1 ORDER BY f.id LIMIT ?2";

pub fn follows(
    connection: &Connection,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<FollowNames>, Fault> {
    let after = after.unwrap_or(i64::MIN);
    let found = connection
        .prepare_cached(FOLLOWS)?
        .query_map((after, most(limit)), |row| {
            Ok(FollowNames {
                row_id: row.get(0)?,
                follower: rows::username(row, 1)?,
                followee: rows::username(row, 2)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

pub(super) const SESSIONS: &str = concat!(
    "SELECT ",
    analytics::session_columns!(),
    " FROM sessions s INDEXED BY idx_sessions_started CROSS JOIN users u ON u.id = s.user_id \
     WHERE (s.started_at, s.rowid) > (?1, ?2) ORDER BY s.started_at, s.rowid LIMIT ?3"
);

pub fn sessions(
    connection: &Connection,
    after: Option<SessionCursor>,
    limit: usize,
) -> Result<Vec<SessionEntry>, Fault> {
    let (at, row_id) = after.map_or((i64::MIN, i64::MIN), |c| (c.at.as_millis(), c.row_id));
    let found = connection
        .prepare_cached(SESSIONS)?
        .query_map((at, row_id, most(limit)), analytics::entry)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

// Both walk the shortest index there is, many times faster than the rows are read.
const COUNT_USERS: &str = "SELECT count(*) FROM users";
const COUNT_FOLLOWS: &str = "SELECT count(*) FROM follows";
const COUNT_SESSIONS: &str = "SELECT ifnull(sum(live), 0) FROM session_rollups WHERE span = 0";

pub fn count_users(connection: &Connection) -> Result<u64, Fault> {
    count(connection, COUNT_USERS)
}

pub fn count_follows(connection: &Connection) -> Result<u64, Fault> {
    count(connection, COUNT_FOLLOWS)
}

pub fn count_sessions(connection: &Connection) -> Result<u64, Fault> {
    count(connection, COUNT_SESSIONS)
}

fn count(connection: &Connection, sql: &str) -> Result<u64, Fault> {
    let rows: i64 = connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?;
    Ok(rows.unsigned_abs())
}

const LAST_BOOT: &str = "SELECT proof_at, ended_at IS NULL FROM boots ORDER BY id DESC LIMIT 1";

pub fn last_boot(connection: &Connection) -> Result<Option<LastBoot>, Fault> {
    let boot = connection
        .prepare_cached(LAST_BOOT)?
        .query_row([], |row| {
            Ok(LastBoot {
                proof_at: rows::time(row, 0)?,
                is_open: row.get(1)?,
            })
        })
        .optional()?;
    Ok(boot)
}
