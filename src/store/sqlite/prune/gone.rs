//! A note of what is gone: whoever would bring it again from elsewhere would count it twice.

use crate::model::*;
use crate::store::sqlite::{Fault, rows};
use rusqlite::Connection;
use std::collections::BTreeMap;

const NOTE: &str = "INSERT INTO pruned (action, before) VALUES (?1, ?2) \
     ON CONFLICT (action) DO UPDATE SET before = max(before, excluded.before)";
const NOTED: &str = "SELECT action, before FROM pruned";
/// The name under which the ends of sessions are noted: no action has it.
const SESSIONS: &str = "";

/// Notes that rows of `newest` are gone, and so may be earlier ones.
pub fn note(connection: &Connection, action: &str, newest: Timestamp) -> Result<(), Fault> {
    let before = newest.as_millis() + 1;
    connection.prepare_cached(NOTE)?.execute((action, before))?;
    Ok(())
}

/// Notes that a session that ended then is gone, and so may be earlier ones.
pub fn note_sessions(connection: &Connection, newest: Timestamp) -> Result<(), Fault> {
    note(connection, SESSIONS, newest)
}

/// Before when rows may be gone: of each action, and of sessions by their end.
#[derive(Debug, Default)]
pub struct Gone {
    actions: BTreeMap<String, Timestamp>,
}

impl Gone {
    pub fn read(connection: &Connection) -> Result<Self, Fault> {
        let actions = connection
            .prepare_cached(NOTED)?
            .query_map([], |row| Ok((row.get(0)?, rows::time(row, 1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self { actions })
    }

    pub fn may_have_held(&self, action: &str, at: Timestamp) -> bool {
        self.actions.get(action).is_some_and(|before| at < *before)
    }

    pub fn may_have_held_session(&self, ended_at: Timestamp) -> bool {
        self.may_have_held(SESSIONS, ended_at)
    }
}
