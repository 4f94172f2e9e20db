//! People as a viewer sees them: their row, and the facts of the pair.
//!
//! The facts are computed in one place, [`facts!`], which every list uses. Parameter `?1` is the viewer (null for a
//! stranger, who has no facts) and `u` the subject's row. What hangs on the viewer alone (those they share a
//! conversation with) is read once per statement by [`facts_with!`] and joined by [`facts_join!`]; what hangs on the
//! pair is looked up per row in the unique indexes, so that it does not matter how many follow or block either: each
//! look-up is about half a microsecond.

use super::{Fault, rows, snapshot, users};
use crate::model::*;
use crate::store::{Interest, PeopleRef};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::{HashMap, HashSet};

/// Goes behind `WITH`: those who share a conversation with the viewer, with the bits that say so.
macro_rules! facts_with {
    () => {
        "mine (conversation_id, wrote) AS MATERIALIZED \
         (SELECT conversation_id, wrote FROM participants WHERE user_id = ?1), \
         mates (id, bits) AS MATERIALIZED \
         (SELECT p.user_id, 4 + 8 * max(m.wrote) + 16 * max(p.wrote) \
         FROM mine m CROSS JOIN participants p ON p.conversation_id = m.conversation_id \
         WHERE p.user_id <> ?1 GROUP BY p.user_id) "
    };
}

/// Goes behind the table that `u` is.
macro_rules! facts_join {
    () => {
        " LEFT JOIN mates ON mates.id = u.id "
    };
}

/// The bits of [`PairFacts`]. The other form is for a statement that knows one of its terms in another way.
macro_rules! facts {
    () => {
        facts!(
            "EXISTS (SELECT 1 FROM follows WHERE follower_id = ?1 AND followee_id = u.id)",
            "ifnull(mates.bits, 0)"
        )
    };
    ($follows:literal, $mates:literal) => {
        concat!(
            "(",
            $follows,
            " | 2 * EXISTS (SELECT 1 FROM follows WHERE follower_id = u.id AND followee_id = ?1) | ",
            $mates,
            " | 32 * (EXISTS (SELECT 1 FROM blocks WHERE blocker_id = ?1 AND blocked_id = u.id) \
             OR EXISTS (SELECT 1 FROM blocks WHERE blocker_id = u.id AND blocked_id = ?1)))"
        )
    };
}

/// The columns that [`from_row`] reads.
macro_rules! person_columns {
    () => {
        concat!(
            "u.id, u.username, u.display_name, u.profile_picture_url, u.activity_status, u.is_online, u.last_seen, \
             u.last_login_at, u.last_active_at, ",
            facts!()
        )
    };
}
pub(super) use {facts, facts_join, facts_with, person_columns};

/// How many columns those are.
pub(super) const PERSON_COLUMNS: usize = 10;

/// Reads [`person_columns`].
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        id: UserId(row.get(0)?),
        username: rows::username(row, 1)?,
        display_name: row.get(2)?,
        profile_picture_url: row.get(3)?,
        activity_status: rows::word(row, 4)?,
        is_online: row.get(5)?,
        last_seen: rows::optional_time(row, 6)?,
        last_login_at: rows::optional_time(row, 7)?,
        last_active_at: rows::optional_time(row, 8)?,
        facts: rows::facts(row, 9)?,
    })
}

pub(super) const BY_IDS: &str = concat!(
    "WITH ",
    facts_with!(),
    "SELECT ",
    person_columns!(),
    ", j.key FROM json_each(?2) j CROSS JOIN users u ON u.id = j.value",
    facts_join!()
);

pub(super) const BY_NAMES: &str = concat!(
    "WITH ",
    facts_with!(),
    "SELECT ",
    person_columns!(),
    ", j.key FROM json_each(?2) j CROSS JOIN users u ON u.username = j.value",
    facts_join!()
);

pub fn people(
    connection: &Connection,
    viewer: Option<UserId>,
    who: &PeopleRef,
) -> Result<Vec<Option<Person>>, Fault> {
    let (sql, list, count) = match who {
        PeopleRef::Ids(ids) => (BY_IDS, rows::json_ids(ids), ids.len()),
        PeopleRef::Names(names) => (
            BY_NAMES,
            // NUL would end the text for SQLite's JSON, and no name has one.
            serde_json::json!(
                names
                    .iter()
                    .map(|name| if name.contains('\0') { "" } else { name })
                    .collect::<Vec<_>>()
            )
            .to_string(),
            names.len(),
        ),
    };
    let mut people = vec![None; count];
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query((viewer.map(|id| id.0), list))?;
    while let Some(row) = found.next()? {
        let index = row.get::<_, u32>(PERSON_COLUMNS)?;
        if let Some(place) = people.get_mut(index as usize) {
            *place = Some(from_row(row)?);
        }
    }
    Ok(people)
}

pub(super) const PROFILE: &str = concat!(
    "WITH ",
    facts_with!(),
    "SELECT ",
    users::user_columns!(),
    ", ",
    facts!(),
    " FROM users u",
    facts_join!(),
    "WHERE u.username = ?2"
);

pub fn profile(
    connection: &Connection,
    viewer: Option<UserId>,
    username: &str,
) -> Result<Option<(User, PairFacts)>, Fault> {
    Ok(connection
        .prepare_cached(PROFILE)?
        .query_row((viewer.map(|id| id.0), username), |row| {
            Ok((
                users::from_row(row)?,
                rows::facts(row, users::USER_COLUMNS)?,
            ))
        })
        .optional()?)
}

pub(super) const PAIR: &str = concat!(
    "WITH ",
    facts_with!(),
    "SELECT ",
    facts!(),
    " FROM users u",
    facts_join!(),
    "WHERE u.id = ?2"
);

pub fn pair_facts(
    connection: &Connection,
    viewer: UserId,
    subject: UserId,
) -> Result<PairFacts, Fault> {
    Ok(connection
        .prepare_cached(PAIR)?
        .query_row((viewer.0, subject.0), |row| rows::facts(row, 0))
        .optional()?
        .unwrap_or_default())
}

// Interests are read whenever somebody connects. Put together here, and not by a UNION over followees and mates that
// joins the mates once more, they cost half.
pub(super) const MATES: &str = concat!("WITH ", facts_with!(), "SELECT id, bits FROM mates");

pub(super) const FOLLOWEES: &str = concat!(
    "SELECT u.id, u.username, u.activity_status, u.last_seen, ",
    facts!("1", "0"),
    " FROM follows f CROSS JOIN users u ON u.id = f.followee_id WHERE f.follower_id = ?1"
);

pub(super) const LISTED: &str = concat!(
    "SELECT u.id, u.username, u.activity_status, u.last_seen, ",
    facts!(
        "EXISTS (SELECT 1 FROM follows WHERE follower_id = ?1 AND followee_id = u.id)",
        "0"
    ),
    " FROM json_each(?2) j CROSS JOIN users u ON u.id = j.value"
);

pub fn interests(
    connection: &Connection,
    viewer: UserId,
    followees: bool,
    partners: bool,
    extra: &[UserId],
) -> Result<Vec<Interest>, Fault> {
    snapshot(connection, |connection| {
        let mates = connection
            .prepare_cached(MATES)?
            .query_map([viewer.0], |row| {
                Ok((UserId(row.get(0)?), row.get::<_, u8>(1)?))
            })?
            .collect::<rusqlite::Result<HashMap<_, _>>>()?;
        let from_row = |row: &Row<'_>| {
            let id = UserId(row.get(0)?);
            let shared = mates.get(&id).copied().unwrap_or(0);
            Ok(Interest {
                id,
                username: rows::username(row, 1)?,
                activity_status: rows::word(row, 2)?,
                last_seen: rows::optional_time(row, 3)?,
                facts: PairFacts::from_bits(row.get::<_, u8>(4)? | shared),
            })
        };
        let mut found: Vec<Interest> = Vec::new();
        if followees {
            let mut statement = connection.prepare_cached(FOLLOWEES)?;
            for interest in statement.query_map([viewer.0], from_row)? {
                found.push(interest?);
            }
        }
        let mut further: HashSet<UserId> = extra.iter().copied().collect();
        if partners {
            further.extend(mates.keys());
        }
        // Nobody is told of themselves.
        further.remove(&viewer);
        for interest in &found {
            further.remove(&interest.id);
        }
        if !further.is_empty() {
            let mut statement = connection.prepare_cached(LISTED)?;
            let list = rows::json_ids(&further);
            for interest in statement.query_map((viewer.0, list), from_row)? {
                found.push(interest?);
            }
        }
        Ok(found)
    })
}
