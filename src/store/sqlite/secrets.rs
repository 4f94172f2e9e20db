//! Secrets of this database, and the addresses that are remembered as hashes keyed by one.

use super::Fault;
use crate::model::Timestamp;
use rusqlite::{Connection, OptionalExtension};

const SECRET: &str = "SELECT value FROM secrets WHERE name = ?1";

pub fn find(connection: &Connection, name: &str) -> Result<Option<[u8; 32]>, Fault> {
    Ok(connection
        .prepare_cached(SECRET)?
        .query_row([name], |row| row.get(0))
        .optional()?)
}

const KEEP: &str =
    "INSERT INTO secrets (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";

/// Keeps `value` unless another one was first; the one that is kept.
pub fn keep(connection: &Connection, name: &str, value: [u8; 32]) -> Result<[u8; 32], Fault> {
    connection.prepare_cached(KEEP)?.execute((name, value))?;
    Ok(find(connection, name)?.unwrap_or(value))
}

const REMEMBER: &str = "INSERT INTO known_addresses (hash, at) VALUES (?1, ?2) \
     ON CONFLICT (hash) DO UPDATE SET at = max(at, excluded.at)";

pub fn remember_address(
    connection: &Connection,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<(), Fault> {
    connection
        .prepare_cached(REMEMBER)?
        .execute((hash, now.as_millis()))?;
    Ok(())
}

const KNOWS: &str = "SELECT 1 FROM known_addresses WHERE hash = ?1 AND at >= ?2";

pub fn knows_address(
    connection: &Connection,
    hash: [u8; 32],
    since: Timestamp,
) -> Result<bool, Fault> {
    Ok(connection
        .prepare_cached(KNOWS)?
        .exists((hash, since.as_millis()))?)
}

const FORGET: &str = "DELETE FROM known_addresses WHERE hash IN \
     (SELECT hash FROM known_addresses WHERE at < ?1 ORDER BY at LIMIT ?2)";

/// Forgets at most `limit` that were last used before `before`.
pub fn forget_addresses(
    connection: &Connection,
    before: Timestamp,
    limit: usize,
) -> Result<usize, Fault> {
    Ok(connection
        .prepare_cached(FORGET)?
        .execute((before.as_millis(), limit as i64))?)
}
