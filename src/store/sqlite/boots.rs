//! Runs of the server: proof of life, and putting right what a crash left.

use super::Fault;
use crate::model::*;
use rusqlite::Connection;

// Whoever has an open session was online to the end. Whoever has none was in the grace, and was last seen when their
// last session ended. `last_seen` never goes back. This reads sessions as the crash left them, so it goes first.
const USERS_OFFLINE: &str = include_str!("boots_users_offline.sql");

const END_SESSIONS: &str = "UPDATE sessions SET end_reason = 'crash', ended_at = max(started_at, \
     ifnull((SELECT proof_at FROM boots WHERE boots.id = sessions.boot_id), started_at)) \
     WHERE ended_at IS NULL";
const END_BOOTS: &str = "UPDATE boots SET ended_at = proof_at WHERE ended_at IS NULL";
const BEGIN: &str = "INSERT INTO boots (started_at, proof_at) VALUES (?1, ?1)";

pub fn begin(connection: &Connection, now: Timestamp) -> Result<BootId, Fault> {
    connection.execute(USERS_OFFLINE, [])?;
    connection.execute(END_SESSIONS, [])?;
    connection.execute(END_BOOTS, [])?;
    connection.execute(BEGIN, [now.as_millis()])?;
    Ok(BootId(connection.last_insert_rowid()))
}

// Forward only: a clock put back must not shorten what has been proven.
const PROVE: &str = "UPDATE boots SET proof_at = max(proof_at, ?2) WHERE id = ?1";

pub fn prove(connection: &Connection, boot: BootId, now: Timestamp) -> Result<(), Fault> {
    connection
        .prepare_cached(PROVE)?
        .execute((boot.0, now.as_millis()))?;
    Ok(())
}

const END: &str =
    "UPDATE boots SET proof_at = max(proof_at, ?2), ended_at = max(proof_at, ?2) WHERE id = ?1";

pub fn end(connection: &Connection, boot: BootId, now: Timestamp) -> Result<(), Fault> {
    connection
        .prepare_cached(END)?
        .execute((boot.0, now.as_millis()))?;
    Ok(())
}
