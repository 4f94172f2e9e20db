//! Users: made, looked up, changed. How they are erased is in `erase`.

use super::{Fault, changes, rows};
use crate::model::*;
use crate::store::{Change, Credentials, NewUser, UserChange};
use rusqlite::{Connection, OptionalExtension, Params, Row, named_params};

/// The columns that [`from_row`] reads.
macro_rules! user_columns {
    () => {
        "u.id, u.external_id, u.username, u.display_name, u.bio, u.profile_picture_url, u.email, u.role, \
         u.activity_status, u.is_online, u.last_seen, u.last_login_at, u.last_active_at, u.created_at, \
         u.followers_count, u.following_count"
    };
}
pub(super) use user_columns;

/// How many columns those are.
pub(super) const USER_COLUMNS: usize = 16;

/// Reads [`user_columns`].
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: UserId(row.get(0)?),
        external_id: row.get(1)?,
        username: rows::username(row, 2)?,
        display_name: row.get(3)?,
        bio: row.get(4)?,
        profile_picture_url: row.get(5)?,
        email: row.get(6)?,
        role: rows::word(row, 7)?,
        activity_status: rows::word(row, 8)?,
        is_online: row.get(9)?,
        last_seen: rows::optional_time(row, 10)?,
        last_login_at: rows::optional_time(row, 11)?,
        last_active_at: rows::optional_time(row, 12)?,
        created_at: rows::time(row, 13)?,
        followers_count: row.get(14)?,
        following_count: row.get(15)?,
    })
}

fn one(connection: &Connection, sql: &str, params: impl Params) -> Result<Option<User>, Fault> {
    Ok(connection
        .prepare_cached(sql)?
        .query_row(params, from_row)
        .optional()?)
}

const CREATE: &str = "INSERT INTO users (id, external_id, username, display_name, bio, profile_picture_url, email, \
     password_hash, role, created_at, updated_at) \
     VALUES (:id, :external_id, :username, nullif(:display_name, ''), nullif(:bio, ''), nullif(:picture, ''), \
     nullif(:email, ''), :password_hash, :role, :now, :now)";

pub fn create(connection: &Connection, user: &NewUser) -> Result<UserId, Fault> {
    connection.prepare_cached(CREATE)?.execute(named_params! {
        ":id": user.id.map(|id| id.0),
        ":external_id": user.external_id,
        ":username": user.username.as_str(),
        ":display_name": user.profile.display_name,
        ":bio": user.profile.bio,
        ":picture": user.profile.profile_picture_url,
        ":email": user.profile.email,
        ":password_hash": user.password_hash,
        ":role": user.role.as_str(),
        ":now": user.created_at.as_millis(),
    })?;
    Ok(UserId(connection.last_insert_rowid()))
}

const BY_ID: &str = concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = ?1");

pub fn by_id(connection: &Connection, id: UserId) -> Result<Option<User>, Fault> {
    one(connection, BY_ID, [id.0])
}

const BY_USERNAME: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users u WHERE u.username = ?1"
);

pub fn by_username(connection: &Connection, username: &str) -> Result<Option<User>, Fault> {
    one(connection, BY_USERNAME, [username])
}

const BY_EXTERNAL_ID: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users u WHERE u.external_id = ?1"
);

pub fn by_external_id(connection: &Connection, external_id: &str) -> Result<Option<User>, Fault> {
    one(connection, BY_EXTERNAL_ID, [external_id])
}

const CREDENTIALS_BY_USERNAME: &str = "SELECT id, password_hash FROM users WHERE username = ?1";
const CREDENTIALS_BY_EMAIL: &str = "SELECT id, password_hash FROM users WHERE email = ?1";

pub fn credentials(connection: &Connection, login: &str) -> Result<Option<Credentials>, Fault> {
    // No username has an @ in it.
    let sql = if login.contains('@') {
        CREDENTIALS_BY_EMAIL
    } else {
        CREDENTIALS_BY_USERNAME
    };
    Ok(connection
        .prepare_cached(sql)?
        .query_row([login], |row| {
            Ok(Credentials {
                user_id: UserId(row.get(0)?),
                password_hash: row.get(1)?,
            })
        })
        .optional()?)
}

const PAGE: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users u WHERE u.id > ?1 ORDER BY u.id LIMIT ?2"
);

pub fn page(
    connection: &Connection,
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<User>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let users = connection
        .prepare_cached(PAGE)?
        .query_map((after.map_or(0, |id| id.0), limit), from_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(users)
}

// A parameter that is null leaves its column as it is; an empty text empties it.
const UPDATE: &str = "UPDATE users SET \
     username = coalesce(:username, username), \
     display_name = nullif(coalesce(:display_name, display_name), ''), \
     bio = nullif(coalesce(:bio, bio), ''), \
     profile_picture_url = nullif(coalesce(:picture, profile_picture_url), ''), \
     email = nullif(coalesce(:email, email), ''), \
     role = coalesce(:role, role), \
     activity_status = coalesce(:activity_status, activity_status), \
     password_hash = coalesce(:password_hash, password_hash), \
     updated_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) \
     WHERE id = :id";

pub fn update(
    connection: &Connection,
    marks: changes::Marks,
    id: UserId,
    change: &UserChange,
) -> Result<bool, Fault> {
    let changed = connection.prepare_cached(UPDATE)?.execute(named_params! {
        ":username": change.username.as_ref().map(Username::as_str),
        ":display_name": change.profile.display_name,
        ":bio": change.profile.bio,
        ":picture": change.profile.profile_picture_url,
        ":email": change.profile.email,
        ":role": change.role.map(Role::as_str),
        ":activity_status": change.activity_status.map(ActivityStatus::as_str),
        ":password_hash": change.password_hash,
        ":id": id.0,
    })?;
    if changed > 0 {
        changes::mark(connection, marks, &Change::User(id))?;
    }
    Ok(changed > 0)
}
