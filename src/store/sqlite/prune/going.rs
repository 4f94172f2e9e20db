//! Which rows go: read in order of time, a page at a time.

use crate::model::*;
use crate::store::sqlite::{Fault, activities, analytics, rows};
use crate::store::{GoingActivity, SessionEntry};
use rusqlite::{Connection, Row};

/// Rows of every action, and of one.
macro_rules! between {
    ($columns:expr, $join:literal) => {
        [
            concat!(
                "SELECT ",
                $columns,
                " FROM user_activity_logs l NOT INDEXED ",
                $join,
                " WHERE l.id > ?1 AND l.id < ?2 ORDER BY l.id LIMIT ?3"
            ),
            concat!(
                "SELECT ",
                $columns,
                " FROM user_activity_logs l INDEXED BY idx_activity_action ",
                $join,
                " WHERE l.id > ?1 AND l.id < ?2 AND l.action = ?4 ORDER BY l.id LIMIT ?3"
            ),
        ]
    };
}

pub(in crate::store::sqlite) const WHOLE: [&str; 2] = between!(
    activities::columns!(),
    "CROSS JOIN users u ON u.id = l.user_id"
);
pub(in crate::store::sqlite) const BRIEF: [&str; 2] = between!(
    "l.id, l.user_id, l.action, l.timestamp, octet_length(l.target_type), \
     ifnull(octet_length(l.target_id), 0) + ifnull(octet_length(l.metadata), 0) \
         + ifnull(octet_length(l.ip_address), 0) + ifnull(octet_length(l.country_code), 0) \
         + ifnull(octet_length(l.region), 0)",
    ""
);

/// A part of the log between two ids, both exclusive; with an action only of it.
pub struct Stretch<'a> {
    pub action: Option<&'a str>,
    pub after: [u8; 16],
    pub before: [u8; 16],
}

/// As what a row is read.
pub trait Read: Sized {
    /// Of every action, and of one.
    const STATEMENTS: [&str; 2];

    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;
}

impl Read for LoggedActivity {
    const STATEMENTS: [&str; 2] = WHOLE;

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        activities::from_row(row)
    }
}

impl Read for GoingActivity {
    const STATEMENTS: [&str; 2] = BRIEF;

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let action: String = row.get(2)?;
        Ok(Self {
            id: ActivityId(uuid::Uuid::from_bytes(row.get(0)?)),
            user_id: UserId(row.get(1)?),
            timestamp: rows::time(row, 3)?,
            size_bytes: Self::size_bytes(action.len(), row.get(4)?, row.get(5)?),
            action,
        })
    }
}

/// A page, oldest first.
pub fn activities<T: Read>(
    connection: &Connection,
    stretch: &Stretch<'_>,
    limit: usize,
) -> Result<Vec<T>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (after, before) = (stretch.after, stretch.before);
    let [every, one] = T::STATEMENTS;
    let rows = match stretch.action {
        None => connection
            .prepare_cached(every)?
            .query_map((after, before, limit), T::read)?
            .collect::<rusqlite::Result<_>>()?,
        Some(action) => connection
            .prepare_cached(one)?
            .query_map((after, before, limit, action), T::read)?
            .collect::<rusqlite::Result<_>>()?,
    };
    Ok(rows)
}

pub(in crate::store::sqlite) const SESSIONS: &str = concat!(
    "SELECT ",
    analytics::session_columns!(),
    " FROM sessions s INDEXED BY idx_sessions_ended CROSS JOIN users u ON u.id = s.user_id \
     WHERE s.ended_at IS NOT NULL AND s.ended_at < ?1 AND (s.ended_at, s.rowid) > (?2, ?3) \
     ORDER BY s.ended_at, s.rowid LIMIT ?4"
);

/// Sessions, and the end and row of the last one.
pub type SessionPage = (Vec<SessionEntry>, Option<(i64, i64)>);

/// Sessions that ended before `before`, after the one of this end and row.
pub fn sessions(
    connection: &Connection,
    before: Timestamp,
    (ended_at, row): (i64, i64),
    limit: usize,
) -> Result<SessionPage, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sessions = connection
        .prepare_cached(SESSIONS)?
        .query_map((before.as_millis(), ended_at, row, limit), analytics::entry)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let place = |last: &SessionEntry| {
        let (ended_at, _) = last.session.ended?;
        Some((ended_at.as_millis(), last.cursor.row_id))
    };
    let last = sessions.last().and_then(place);
    Ok((sessions, last))
}
