//! API keys, of which the hash alone is here. A revoked one stays, so that its name can be read from the table.

use super::{Fault, changes, rows};
use crate::model::*;
use crate::store::{ApiKey, Change};
use rusqlite::{Connection, OptionalExtension, Row};

fn from_row(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: ApiKeyId(row.get(0)?),
        name: row.get(1)?,
        role: rows::word(row, 2)?,
        created_at: rows::time(row, 3)?,
    })
}

const CREATE: &str =
    "INSERT INTO api_keys (name, role, key_hash, created_at) VALUES (?1, ?2, ?3, ?4)";

pub fn create(
    connection: &Connection,
    marks: changes::Marks,
    name: &str,
    role: KeyRole,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<ApiKeyId, Fault> {
    connection
        .prepare_cached(CREATE)?
        .execute((name, role.as_str(), hash, now.as_millis()))?;
    let id = ApiKeyId(connection.last_insert_rowid());
    changes::mark(connection, marks, &Change::Keys)?;
    Ok(id)
}

const BY_HASH: &str =
    "SELECT id, name, role, created_at FROM api_keys WHERE key_hash = ?1 AND revoked_at IS NULL";

pub fn by_hash(connection: &Connection, hash: [u8; 32]) -> Result<Option<ApiKey>, Fault> {
    Ok(connection
        .prepare_cached(BY_HASH)?
        .query_row([hash], from_row)
        .optional()?)
}

const LIVE: &str =
    "SELECT id, name, role, created_at FROM api_keys WHERE revoked_at IS NULL ORDER BY id";

pub fn live(connection: &Connection) -> Result<Vec<ApiKey>, Fault> {
    let keys = connection
        .prepare_cached(LIVE)?
        .query_map([], from_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(keys)
}

// A key may be named like another one's id: the name wins, since a person chose it.
const REVOKE: &str = "UPDATE api_keys SET revoked_at = ?2 WHERE id = \
     coalesce((SELECT id FROM api_keys WHERE name = ?1 AND revoked_at IS NULL), \
     (SELECT id FROM api_keys WHERE id = ?3 AND revoked_at IS NULL))";

pub fn revoke(
    connection: &Connection,
    marks: changes::Marks,
    id_or_name: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    let id: Option<i64> = id_or_name.parse().ok();
    let revoked = connection
        .prepare_cached(REVOKE)?
        .execute((id_or_name, now.as_millis(), id))?;
    if revoked > 0 {
        changes::mark(connection, marks, &Change::Keys)?;
    }
    Ok(revoked > 0)
}
