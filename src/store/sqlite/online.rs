//! Who is online as the columns have it.

use super::{Fault, rows, snapshot};
use crate::model::*;
use crate::store::StoredOnline;
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

pub(super) const ONLINE: &str =
    "SELECT count(*) FROM users INDEXED BY idx_users_online_status WHERE is_online = 1";
pub(super) const OPEN: &str =
    "SELECT count(*) FROM sessions INDEXED BY idx_sessions_open WHERE ended_at IS NULL";

pub fn counts(connection: &Connection) -> Result<(i64, i64), Fault> {
    snapshot(connection, |connection| {
        let count = |sql| -> rusqlite::Result<i64> {
            connection
                .prepare_cached(sql)?
                .query_row([], |row| row.get(0))
        };
        Ok((count(ONLINE)?, count(OPEN)?))
    })
}

// Those online are few beside all users, and found and sorted by id within the index.
pub(super) const PAGE: &str = "SELECT u.id, u.username, u.last_active_at FROM \
     (SELECT id FROM users INDEXED BY idx_users_online_status WHERE is_online = 1 AND id > ?1 \
     ORDER BY id LIMIT ?2) page CROSS JOIN users u ON u.id = page.id ORDER BY u.id";
pub(super) const OPEN_OF: &str = "SELECT started_at, device_type, ip_address, country_code, user_agent \
     FROM sessions INDEXED BY idx_sessions_open WHERE user_id = ?1 AND ended_at IS NULL";
pub(super) const LAST_OF: &str = "SELECT started_at FROM sessions INDEXED BY idx_sessions_user \
     WHERE user_id = ?1 ORDER BY started_at DESC LIMIT 1";

pub fn page(
    connection: &Connection,
    after: Option<UserId>,
    limit: usize,
) -> Result<(Vec<StoredOnline>, bool), Fault> {
    snapshot(connection, |connection| {
        let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut found = connection
            .prepare_cached(PAGE)?
            .query_map((after.map_or(0, |id| id.0), wanted), |row| {
                Ok((
                    UserId(row.get(0)?),
                    rows::username(row, 1)?,
                    rows::optional_time(row, 2)?,
                ))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let mut open = connection.prepare_cached(OPEN_OF)?;
        let mut last = connection.prepare_cached(LAST_OF)?;
        let mut users = Vec::with_capacity(found.len());
        for (user_id, username, last_active_at) in found {
            let mut sessions = open
                .query_map([user_id.0], |row| {
                    Ok((rows::time(row, 0)?, Arc::new(rows::client(row, 1)?)))
                })?
                .collect::<rusqlite::Result<Vec<(Timestamp, _)>>>()?;
            sessions.sort_by_key(|(started_at, _)| *started_at);
            let since = match sessions.first() {
                Some((started_at, _)) => Some(*started_at),
                None => last
                    .query_row([user_id.0], |row| rows::time(row, 0))
                    .optional()?,
            };
            users.push(StoredOnline {
                user_id,
                username,
                // Only one whose sessions were pruned while in the grace has neither.
                since: since
                    .or(last_active_at)
                    .unwrap_or(Timestamp::from_millis(0)),
                last_active_at,
                sessions,
            });
        }
        Ok((users, has_more))
    })
}
