//! Erasing a user and every row that is theirs.
//!
//! Somebody followed by a million cannot go in one command: writes would wait for it longer than they may. So what
//! can be much goes first, a bounded step at a time, and the user with what little is left in the last one. For
//! nearly everybody the first step is the last, and nothing is seen half done. Freed pages are overwritten
//! (`secure_delete`, see `open`).

use super::{Fault, changes};
use crate::model::*;
use crate::store::Change;
use rusqlite::Connection;
use std::collections::HashSet;

/// Rows of one step at most.
const STEP_ROWS: usize = 500;

/// What a step left.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More: another step is needed.
    More,
    /// Nothing; whether there was such a user.
    Done(bool),
}

pub(super) const MESSAGES: &str = "DELETE FROM messages WHERE id IN \
     (SELECT id FROM messages WHERE sender_id = ?1 LIMIT ?2) RETURNING conversation_id";

/// What may be much beside messages: user and rows at most. What is not here goes with the user, by its foreign key.
pub(super) const ROWS: [&str; 10] = [
    "DELETE FROM user_activity_logs WHERE id IN (SELECT id FROM user_activity_logs WHERE user_id = ?1 LIMIT ?2)",
    // What was done to them; such a target is written as text.
    "DELETE FROM user_activity_logs WHERE id IN (SELECT id FROM user_activity_logs \
     WHERE target_type = 'user' AND target_id = CAST(?1 AS TEXT) LIMIT ?2)",
    "DELETE FROM follows WHERE id IN (SELECT id FROM follows WHERE follower_id = ?1 LIMIT ?2)",
    "DELETE FROM follows WHERE id IN (SELECT id FROM follows WHERE followee_id = ?1 LIMIT ?2)",
    "DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE blocker_id = ?1 LIMIT ?2)",
    "DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE blocked_id = ?1 LIMIT ?2)",
    "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE user_id = ?1 LIMIT ?2)",
    "DELETE FROM participants WHERE user_id = ?1 AND conversation_id IN \
     (SELECT conversation_id FROM participants WHERE user_id = ?1 LIMIT ?2)",
    "DELETE FROM idempotency_keys WHERE (caller, key) IN \
     (SELECT caller, key FROM idempotency_keys WHERE caller = 'user:' || ?1 LIMIT ?2)",
    // Last: while there is one, who was interrupted can still ask again.
    "DELETE FROM sign_ins WHERE id IN (SELECT id FROM sign_ins WHERE user_id = ?1 LIMIT ?2)",
];

const USER: &str = "DELETE FROM users WHERE id = ?1";

/// One step.
pub fn step(connection: &Connection, marks: changes::Marks, id: UserId) -> Result<Step, Fault> {
    let mut left = STEP_ROWS - messages(connection, id, STEP_ROWS)?;
    for sql in ROWS {
        if left == 0 {
            return Ok(Step::More);
        }
        let deleted = connection
            .prepare_cached(sql)?
            .execute((id.0, left as i64))?;
        left -= deleted;
    }
    if left == 0 {
        return Ok(Step::More);
    }
    let deleted = connection.prepare_cached(USER)?.execute([id.0])? > 0;
    if deleted {
        changes::mark(connection, marks, &Change::UserErased(id))?;
    }
    Ok(Step::Done(deleted))
}

// A conversation whose newest message goes takes its place by the newest that is left, else by when it was begun.
pub(super) const SETTLE: &str = "UPDATE conversations SET (last_message_id, activity_at) = \
     (SELECT max(m.id), ifnull(m.created_at, conversations.created_at) FROM messages m \
     WHERE m.conversation_id = ?1) \
     WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM messages WHERE id = conversations.last_message_id)";

/// Messages that they sent; how many.
fn messages(connection: &Connection, id: UserId, limit: usize) -> Result<usize, Fault> {
    let conversations = connection
        .prepare_cached(MESSAGES)?
        .query_map((id.0, limit as i64), |row| row.get::<_, i64>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let count = conversations.len();
    let mut settle = connection.prepare_cached(SETTLE)?;
    for conversation in HashSet::<i64>::from_iter(conversations) {
        settle.execute([conversation])?;
    }
    Ok(count)
}
