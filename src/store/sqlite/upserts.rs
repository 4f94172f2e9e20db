//! Bulk upserts: a host application mirrors its users and its graph. All of a batch or nothing of it.

use super::{Fault, changes};
use crate::model::*;
use crate::store::{Change, FollowUpsert, StoreError, UpsertCounts, UpsertRules, UserUpsert};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, named_params};

/// Counts, or the bad items by index.
pub type Outcome = std::result::Result<UpsertCounts, Vec<(usize, FieldError)>>;

/// What happened to one item.
enum Done {
    Inserted,
    Updated,
    Unchanged,
}

/// Why one item was not taken.
enum Refusal {
    Item(FieldError),
    /// Ends the whole batch.
    Fault(Fault),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fault(error.into())
    }
}

fn refused(field: &'static str, message: &str) -> Refusal {
    Refusal::Item(FieldError::new(field, message))
}

/// Runs `each` for every item; when one is bad, the rest is looked at too, and then nothing of it stays.
fn all_or_nothing<T>(
    connection: &Connection,
    marks: changes::Marks,
    items: &[T],
    mut each: impl FnMut(&T) -> Result<Done, Refusal>,
) -> Result<Outcome, Fault> {
    connection.execute_batch("SAVEPOINT bulk")?;
    let mut counts = UpsertCounts::default();
    let mut bad = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match each(item) {
            Ok(Done::Inserted) => counts.inserted += 1,
            Ok(Done::Updated) => counts.updated += 1,
            Ok(Done::Unchanged) => counts.unchanged += 1,
            Err(Refusal::Item(error)) => bad.push((index, error)),
            Err(Refusal::Fault(fault)) => return Err(fault),
        }
    }
    if bad.is_empty() {
        connection.execute_batch("RELEASE bulk")?;
        if counts.inserted + counts.updated > 0 {
            changes::mark(connection, marks, &Change::Graph)?;
        }
        Ok(Ok(counts))
    } else {
        connection.execute_batch("ROLLBACK TO bulk; RELEASE bulk")?;
        Ok(Err(bad))
    }
}

/// What there is of a user, as far as an upsert may change it.
struct Existing {
    id: i64,
    external_id: Option<String>,
    username: String,
    display_name: Option<String>,
    bio: Option<String>,
    profile_picture_url: Option<String>,
    email: Option<String>,
    role: String,
    has_password: bool,
}

macro_rules! existing {
    ($condition:literal) => {
        concat!(
            "SELECT id, external_id, username, display_name, bio, profile_picture_url, email, role, \
             password_hash IS NOT NULL FROM users WHERE ",
            $condition
        )
    };
}

const BY_ID: &str = existing!("id = ?1");
const BY_EXTERNAL_ID: &str = existing!("external_id = ?1");
const BY_USERNAME: &str = existing!("username = ?1");

impl Existing {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            external_id: row.get(1)?,
            username: row.get(2)?,
            display_name: row.get(3)?,
            bio: row.get(4)?,
            profile_picture_url: row.get(5)?,
            email: row.get(6)?,
            role: row.get(7)?,
            has_password: row.get(8)?,
        })
    }

    /// By id, else by external id, else by username. Somebody who merely has the name is only taken for the one that
    /// is meant when nothing speaks against it: another id or external id does, and so does a password, for then
    /// whoever signed up here under that name would get the account of the host's user.
    fn find(connection: &Connection, item: &UserUpsert) -> Result<Option<Self>, Refusal> {
        if let Some(id) = item.id {
            let found = connection
                .prepare_cached(BY_ID)?
                .query_row([id.0], Self::from_row)
                .optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        if let Some(external_id) = &item.external_id {
            let found = connection
                .prepare_cached(BY_EXTERNAL_ID)?
                .query_row([external_id], Self::from_row)
                .optional()?;
            if let Some(found) = found {
                return match item.id {
                    Some(id) if id.0 != found.id => {
                        Err(refused("externalId", "belongs to a user with another id"))
                    }
                    _ => Ok(Some(found)),
                };
            }
        }
        let found = connection
            .prepare_cached(BY_USERNAME)?
            .query_row([item.username.as_str()], Self::from_row)
            .optional()?;
        let Some(found) = found else {
            return Ok(None);
        };
        let is_another = item.id.is_some()
            || item.external_id.is_some() && (found.external_id.is_some() || found.has_password);
        if is_another {
            return Err(refused("username", "is already taken by another user"));
        }
        Ok(Some(found))
    }
}

const INSERT: &str = "INSERT INTO users (id, external_id, username, display_name, bio, profile_picture_url, email, \
     role, created_at, updated_at) \
     VALUES (:id, :external_id, :username, :display_name, :bio, :picture, :email, :role, :now, :now)";
const UPDATE: &str = "UPDATE users SET external_id = :external_id, username = :username, \
     display_name = :display_name, bio = :bio, profile_picture_url = :picture, email = :email, role = :role, \
     updated_at = :now WHERE id = :id";

pub fn users(
    connection: &Connection,
    marks: changes::Marks,
    items: &[UserUpsert],
    rules: UpsertRules,
) -> Result<Outcome, Fault> {
    all_or_nothing(connection, marks, items, |item| {
        user(connection, item, rules)
    })
}

fn user(connection: &Connection, item: &UserUpsert, rules: UpsertRules) -> Result<Done, Refusal> {
    let existing = Existing::find(connection, item)?;
    if existing.is_none() {
        match item.id {
            None if rules.require_id => {
                return Err(refused(
                    "id",
                    "is required: the host application gives the ids",
                ));
            }
            Some(id) if !(1..=MAX_USER_ID).contains(&id.0) => {
                return Err(refused("id", "must be from 1 to 9007199254740991"));
            }
            _ => {}
        }
    }
    let (sql, id) = match &existing {
        None => (INSERT, item.id.map(|id| id.0)),
        Some(existing) => (UPDATE, Some(existing.id)),
    };
    let old = existing.as_ref();
    // What the item leaves out stays; an empty text empties.
    let merged = |new: &Option<String>, old: Option<&Option<String>>| match new {
        Some(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        None => old.and_then(Clone::clone),
    };
    let external_id = merged(&item.external_id, old.map(|old| &old.external_id));
    let display_name = merged(&item.profile.display_name, old.map(|old| &old.display_name));
    let bio = merged(&item.profile.bio, old.map(|old| &old.bio));
    let picture = merged(
        &item.profile.profile_picture_url,
        old.map(|old| &old.profile_picture_url),
    );
    let email = merged(&item.profile.email, old.map(|old| &old.email));
    let role = match (item.role, old) {
        (Some(role), _) => role.as_str(),
        (None, Some(old)) => old.role.as_str(),
        (None, None) => Role::User.as_str(),
    };
    if let Some(old) = old {
        let is_same = old.username == item.username.as_str()
            && old.role == role
            && old.external_id == external_id
            && old.display_name == display_name
            && old.bio == bio
            && old.profile_picture_url == picture
            && old.email == email;
        if is_same {
            return Ok(Done::Unchanged);
        }
        if old.role == Role::Admin.as_str() && !rules.may_change_admins {
            return Err(Refusal::Fault(StoreError::Forbidden.into()));
        }
    }
    let written = connection.prepare_cached(sql)?.execute(named_params! {
        ":id": id,
        ":external_id": external_id,
        ":username": item.username.as_str(),
        ":display_name": display_name,
        ":bio": bio,
        ":picture": picture,
        ":email": email,
        ":role": role,
        ":now": rules.now.as_millis(),
    });
    match written {
        Ok(_) if old.is_some() => Ok(Done::Updated),
        Ok(_) => Ok(Done::Inserted),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            match Fault::from(error).in_context("upserting a user") {
                StoreError::Conflict(field) => {
                    Err(refused(field, "is already taken by another user"))
                }
                other => Err(Refusal::Fault(other.into())),
            }
        }
        Err(error) => Err(error.into()),
    }
}

const ID_OF: &str = "SELECT id FROM users WHERE username = ?1";
const FOLLOW: &str = "INSERT INTO follows (follower_id, followee_id, created_at) \
     VALUES (?1, ?2, CAST(unixepoch('subsec') * 1000 AS INTEGER)) \
     ON CONFLICT (follower_id, followee_id) DO NOTHING";

pub fn follows(
    connection: &Connection,
    marks: changes::Marks,
    items: &[FollowUpsert],
) -> Result<Outcome, Fault> {
    let id_of = |field: &'static str, name: &str| -> Result<i64, Refusal> {
        connection
            .prepare_cached(ID_OF)?
            .query_row([name], |row| row.get(0))
            .optional()?
            .ok_or_else(|| refused(field, "is no user's name"))
    };
    all_or_nothing(connection, marks, items, |item| {
        let follower = id_of("follower", &item.follower)?;
        let followee = id_of("followee", &item.followee)?;
        if follower == followee {
            return Err(refused("followee", "must not be the follower"));
        }
        let inserted = connection
            .prepare_cached(FOLLOW)?
            .execute((follower, followee))?;
        Ok(if inserted > 0 {
            Done::Inserted
        } else {
            Done::Unchanged
        })
    })
}
