//! Sign-ins: one opaque token each, of which the hash alone is here.

use super::{Fault, changes, rows};
use crate::model::*;
use crate::store::{Change, NewSignIn, Page, SignIn, SignInSummary};
use rusqlite::{Connection, OptionalExtension, named_params};

const CREATE: &str = "INSERT INTO sign_ins (user_id, token_hash, created_at, expires_at, last_used_at, device_type, \
     ip_address, country_code, user_agent) \
     VALUES (:user_id, :token_hash, :created_at, :expires_at, :created_at, :device_type, :ip_address, \
     :country_code, :user_agent)";
const LOGIN: &str = "UPDATE users SET last_login_at = max(ifnull(last_login_at, ?2), ?2), \
     last_active_at = max(ifnull(last_active_at, ?2), ?2) WHERE id = ?1";

pub fn create(connection: &Connection, user: UserId, new: &NewSignIn) -> Result<SignInId, Fault> {
    connection.prepare_cached(CREATE)?.execute(named_params! {
        ":user_id": user.0,
        ":token_hash": new.token_hash,
        ":created_at": new.created_at.as_millis(),
        ":expires_at": new.expires_at.as_millis(),
        ":device_type": new.client.device_type.map(DeviceType::as_str),
        ":ip_address": new.client.ip_address,
        ":country_code": new.client.country_code,
        ":user_agent": new.client.user_agent,
    })?;
    let id = SignInId(connection.last_insert_rowid());
    connection
        .prepare_cached(LOGIN)?
        .execute((user.0, new.created_at.as_millis()))?;
    Ok(id)
}

const BY_HASH: &str = "SELECT s.id, s.user_id, u.username, u.role, u.activity_status, s.created_at, s.expires_at \
     FROM sign_ins s JOIN users u ON u.id = s.user_id WHERE s.token_hash = ?1";

pub fn by_hash(connection: &Connection, hash: [u8; 32]) -> Result<Option<SignIn>, Fault> {
    Ok(connection
        .prepare_cached(BY_HASH)?
        .query_row([hash], |row| {
            Ok(SignIn {
                id: SignInId(row.get(0)?),
                user_id: UserId(row.get(1)?),
                username: rows::username(row, 2)?,
                role: rows::word(row, 3)?,
                activity_status: rows::word(row, 4)?,
                created_at: rows::time(row, 5)?,
                expires_at: rows::time(row, 6)?,
            })
        })
        .optional()?)
}

pub(super) const OF_USER: &str = "SELECT id, created_at, expires_at, last_used_at, device_type, ip_address, country_code, \
     user_agent FROM sign_ins WHERE user_id = ?1 AND expires_at > ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";

pub fn of_user(
    connection: &Connection,
    user: UserId,
    now: Timestamp,
    page: Page,
) -> Result<(Vec<SignInSummary>, Option<i64>), Fault> {
    let before = page.before.unwrap_or(i64::MAX);
    let limit = i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut list = connection
        .prepare_cached(OF_USER)?
        .query_map((user.0, now.as_millis(), before, limit), |row| {
            Ok(SignInSummary {
                id: SignInId(row.get(0)?),
                created_at: rows::time(row, 1)?,
                expires_at: rows::time(row, 2)?,
                last_used_at: rows::time(row, 3)?,
                client: rows::client(row, 4)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let has_more = list.len() > page.limit;
    list.truncate(page.limit);
    let next = list.last().filter(|_| has_more).map(|last| last.id.0);
    Ok((list, next))
}

const REVOKE: &str = "DELETE FROM sign_ins WHERE id = ?1 AND user_id = ?2 RETURNING created_at";

/// When what was revoked was made; `None` when there was nothing to revoke.
pub fn revoke(
    connection: &Connection,
    marks: changes::Marks,
    user: UserId,
    id: SignInId,
) -> Result<Option<Timestamp>, Fault> {
    let made = connection
        .prepare_cached(REVOKE)?
        .query_map((id.0, user.0), |row| rows::time(row, 0))?
        // To the end, since the row goes with the last step.
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if !made.is_empty() {
        changes::mark(connection, marks, &Change::SignIns(user))?;
    }
    Ok(made.first().copied())
}

const REVOKE_ALL: &str = "DELETE FROM sign_ins WHERE user_id = ?1 RETURNING id";

pub fn revoke_all(
    connection: &Connection,
    marks: changes::Marks,
    user: UserId,
) -> Result<Vec<SignInId>, Fault> {
    let ids: Vec<_> = connection
        .prepare_cached(REVOKE_ALL)?
        .query_map([user.0], |row| row.get(0).map(SignInId))?
        .collect::<rusqlite::Result<_>>()?;
    if !ids.is_empty() {
        changes::mark(connection, marks, &Change::SignIns(user))?;
    }
    Ok(ids)
}

/// How many rows one command of a purge takes at most.
pub const PURGE_BATCH: usize = 500;

const PURGE: &str = "DELETE FROM sign_ins WHERE id IN \
     (SELECT id FROM sign_ins WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";

pub fn purge(connection: &Connection, now: Timestamp) -> Result<usize, Fault> {
    Ok(connection
        .prepare_cached(PURGE)?
        .execute((now.as_millis(), PURGE_BATCH as i64))?)
}
