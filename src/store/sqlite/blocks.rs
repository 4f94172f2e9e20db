//! Who blocks whom.

use super::people::{facts, facts_join, facts_with, person_columns};
use super::{Fault, follows};
use crate::model::*;
use crate::store::{Page, StoreError};
use rusqlite::Connection;

const BLOCK: &str = "INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES (?1, ?2, ?3) \
     ON CONFLICT (blocker_id, blocked_id) DO NOTHING";

pub fn block(
    connection: &Connection,
    blocker: UserId,
    blocked: UserId,
    now: Timestamp,
) -> Result<bool, Fault> {
    if blocker == blocked {
        return Err(StoreError::Forbidden.into());
    }
    let inserted =
        connection
            .prepare_cached(BLOCK)?
            .execute((blocker.0, blocked.0, now.as_millis()))?;
    follows::unfollow(connection, blocker, blocked)?;
    follows::unfollow(connection, blocked, blocker)?;
    Ok(inserted > 0)
}

const UNBLOCK: &str = "DELETE FROM blocks WHERE blocker_id = ?1 AND blocked_id = ?2";

pub fn unblock(connection: &Connection, blocker: UserId, blocked: UserId) -> Result<bool, Fault> {
    let deleted = connection
        .prepare_cached(UNBLOCK)?
        .execute((blocker.0, blocked.0))?;
    Ok(deleted > 0)
}

const BETWEEN: &str = "SELECT 1 FROM blocks WHERE blocker_id = ?1 AND blocked_id = ?2 \
     UNION ALL SELECT 1 FROM blocks WHERE blocker_id = ?2 AND blocked_id = ?1";

/// Whether one blocks the other.
pub fn between(connection: &Connection, one: UserId, other: UserId) -> Result<bool, Fault> {
    Ok(connection
        .prepare_cached(BETWEEN)?
        .exists((one.0, other.0))?)
}

pub(super) const BLOCKS: &str = concat!(
    "WITH ",
    facts_with!(),
    "SELECT ",
    person_columns!(),
    ", b.id FROM blocks b CROSS JOIN users u ON u.id = b.blocked_id",
    facts_join!(),
    "WHERE b.blocker_id = ?2 AND b.id < ?3 ORDER BY b.id DESC LIMIT ?4"
);

pub fn blocks(
    connection: &Connection,
    of: UserId,
    page: Page,
) -> Result<(Vec<Person>, Option<i64>), Fault> {
    follows::list(connection, BLOCKS, Some(of), of, page)
}
