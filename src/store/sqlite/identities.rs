//! Identities at providers of social sign-in, and accounts made from them.

use super::{Fault, rows, users};
use crate::model::*;
use crate::store::{IdentitySummary, NewUser, StoreError, Unlinked};
use rusqlite::{Connection, OptionalExtension};

const OWNER: &str = "SELECT user_id FROM identities WHERE provider = ?1 AND subject = ?2";
const LINK: &str =
    "INSERT INTO identities (provider, subject, user_id, created_at) VALUES (?1, ?2, ?3, ?4)";

/// Whose `identity` is, after doing with one that is nobody's what `unlinked` says; and whether that made a user.
pub fn owner(
    connection: &Connection,
    identity: &SocialIdentity,
    unlinked: &Unlinked,
    now: Timestamp,
) -> Result<(UserId, bool), Fault> {
    let key = (identity.provider.as_str(), &*identity.subject);
    let owner: Option<i64> = connection
        .prepare_cached(OWNER)?
        .query_row(key, |row| row.get(0))
        .optional()?;
    let owner = owner.map(UserId);
    let (user, is_new) = match (owner, unlinked) {
        (Some(owner), Unlinked::LinkTo(user)) if owner != *user => {
            return Err(StoreError::Conflict("idToken").into());
        }
        (Some(owner), _) => return Ok((owner, false)),
        (None, Unlinked::Refuse) => return Err(StoreError::Forbidden.into()),
        (None, Unlinked::LinkTo(user)) => (*user, false),
        (
            None,
            Unlinked::Create {
                account,
                other_names,
            },
        ) => (create_named(connection, account, other_names)?, true),
    };
    connection
        .prepare_cached(LINK)?
        .execute((key.0, key.1, user.0, now.as_millis()))?;
    Ok((user, is_new))
}

const NAME_TAKEN: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE username = ?1)";
const EMAIL_TAKEN: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE email = ?1)";

/// Creates `account` under its name or the first of `other_names` that is free, without its e-mail address when that is
/// taken.
pub fn create_named(
    connection: &Connection,
    account: &NewUser,
    other_names: &[Username],
) -> Result<UserId, Fault> {
    let is_taken = |sql, text: &str| -> rusqlite::Result<bool> {
        connection
            .prepare_cached(sql)?
            .query_row([text], |row| row.get(0))
    };
    let mut account = account.clone();
    let mut others = other_names.iter();
    while is_taken(NAME_TAKEN, account.username.as_str())? {
        let next = others.next().ok_or(StoreError::Conflict("username"))?;
        account.username = next.clone();
    }
    if let Some(email) = &account.profile.email
        && is_taken(EMAIL_TAKEN, email)?
    {
        account.profile.email = None;
    }
    users::create(connection, &account)
}

const OF_USER: &str =
    "SELECT provider, subject, created_at FROM identities WHERE user_id = ?1 ORDER BY created_at";

pub fn of_user(connection: &Connection, user: UserId) -> Result<Vec<IdentitySummary>, Fault> {
    let list = connection
        .prepare_cached(OF_USER)?
        .query_map([user.0], |row| {
            Ok(IdentitySummary {
                identity: SocialIdentity {
                    provider: rows::word(row, 0)?,
                    subject: row.get(1)?,
                },
                created_at: rows::time(row, 2)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(list)
}
