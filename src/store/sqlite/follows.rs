//! Who follows whom. The counts in `users` are kept by triggers.

use super::people::{self, PERSON_COLUMNS, facts, facts_join, facts_with, person_columns};
use super::{Fault, blocks};
use crate::model::*;
use crate::store::{Page, StoreError};
use rusqlite::Connection;

const FOLLOW: &str = "INSERT INTO follows (follower_id, followee_id, created_at) VALUES (?1, ?2, ?3) \
     ON CONFLICT (follower_id, followee_id) DO NOTHING";

pub fn follow(
    connection: &Connection,
    follower: UserId,
    followee: UserId,
    now: Timestamp,
) -> Result<bool, Fault> {
    if follower == followee || blocks::between(connection, follower, followee)? {
        return Err(StoreError::Forbidden.into());
    }
    let inserted =
        connection
            .prepare_cached(FOLLOW)?
            .execute((follower.0, followee.0, now.as_millis()))?;
    Ok(inserted > 0)
}

const UNFOLLOW: &str = "DELETE FROM follows WHERE follower_id = ?1 AND followee_id = ?2";

pub fn unfollow(
    connection: &Connection,
    follower: UserId,
    followee: UserId,
) -> Result<bool, Fault> {
    let deleted = connection
        .prepare_cached(UNFOLLOW)?
        .execute((follower.0, followee.0))?;
    Ok(deleted > 0)
}

pub(super) const FOLLOWERS: &str = concat!(
    "WITH ",
    facts_with!(),
    "SELECT ",
    person_columns!(),
    ", f.id FROM follows f CROSS JOIN users u ON u.id = f.follower_id",
    facts_join!(),
    "WHERE f.followee_id = ?2 AND f.id < ?3 ORDER BY f.id DESC LIMIT ?4"
);

pub(super) const FOLLOWING: &str = concat!(
    "WITH ",
    facts_with!(),
    "SELECT ",
    person_columns!(),
    ", f.id FROM follows f CROSS JOIN users u ON u.id = f.followee_id",
    facts_join!(),
    "WHERE f.follower_id = ?2 AND f.id < ?3 ORDER BY f.id DESC LIMIT ?4"
);

pub fn followers(
    connection: &Connection,
    viewer: Option<UserId>,
    of: UserId,
    page: Page,
) -> Result<(Vec<Person>, Option<i64>), Fault> {
    list(connection, FOLLOWERS, viewer, of, page)
}

pub fn following(
    connection: &Connection,
    viewer: Option<UserId>,
    of: UserId,
    page: Page,
) -> Result<(Vec<Person>, Option<i64>), Fault> {
    list(connection, FOLLOWING, viewer, of, page)
}

/// A page of a statement that takes viewer, owner, cursor and limit, and gives people and a cursor behind them.
pub(super) fn list(
    connection: &Connection,
    sql: &str,
    viewer: Option<UserId>,
    of: UserId,
    page: Page,
) -> Result<(Vec<Person>, Option<i64>), Fault> {
    let before = page.before.unwrap_or(i64::MAX);
    // One more than asked says whether there is a next page.
    let limit = i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut found = connection
        .prepare_cached(sql)?
        .query_map((viewer.map(|id| id.0), of.0, before, limit), |row| {
            Ok((people::from_row(row)?, row.get(PERSON_COLUMNS)?))
        })?
        .collect::<rusqlite::Result<Vec<(Person, i64)>>>()?;
    let has_more = found.len() > page.limit;
    found.truncate(page.limit);
    let next = found.last().filter(|_| has_more).map(|(_, id)| *id);
    Ok((found.into_iter().map(|(person, _)| person).collect(), next))
}
