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
