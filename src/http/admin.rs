//! Mirroring a host application's users and follows: bulk upserts, all or nothing.

use super::document::Tag;
use super::envelope::{Reply, ok};
use super::error::{Detail, Failure};
use super::extract::AsMirror;
use super::{Body, Services};
use crate::error::{Error, Result};
use crate::model::{FieldError, ProfileFields, Role, UserId, Username, validate};
use crate::store::{FollowUpsert, PeopleRef, UpsertCounts, UpsertRules, UserUpsert};
use poem::http::StatusCode;
use poem_openapi::{Object, OpenApi};
use std::sync::Arc;

/// Rows in one request at most.
const MAX_ROWS: usize = 1_000;

/// Bulk upserts.
pub struct AdminApi(pub Arc<Services>);

/// A user to create or change; matched by `id`, else by `externalId`, else by `username`.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct UserRow {
    /// The id, where the host application gives ids.
    #[oai(nullable)]
    id: Option<i64>,
    /// The host application's own id, 1 to 255 characters.
    #[oai(nullable)]
    external_id: Option<String>,
    /// 2 to 30 of `A-Z a-z 0-9 _ .` with at least one letter; unique, whatever the case.
    username: String,
    /// Shown name, at most 100 characters.
    #[oai(nullable)]
    display_name: Option<String>,
    /// About, at most 500 characters.
    #[oai(nullable)]
    bio: Option<String>,
    /// An http or https URL of at most 2,048 bytes.
    #[oai(nullable)]
    profile_picture_url: Option<String>,
    /// Unique e-mail address.
    #[oai(nullable)]
    email: Option<String>,
    /// Role; not for service keys.
    #[oai(nullable)]
    role: Option<Role>,
}

/// Somebody who follows somebody.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct FollowRow {
    /// Who, by username.
    follower: String,
    /// Whom, by username.
    followee: String,
}

/// What was done.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Upserted {
    /// New rows.
    inserted: u64,
    /// Changed rows.
    updated: u64,
    /// Rows that were so already.
    unchanged: u64,
}

#[OpenApi(tag = "Tag::Admin")]
impl AdminApi {
    /// Mirror users
    ///
    /// At most 1,000. All or nothing; `details` names each bad row. Fields that are left out or null stay as they
    /// are.
    #[oai(path = "/admin/users", method = "put", operation_id = "putUsers")]
    async fn put_users(&self, caller: AsMirror, body: Body<Vec<UserRow>>) -> Reply<Upserted> {
        let AsMirror(caller) = caller;
        let rows = at_most(body.0, "users")?;
        if caller.is_service {
            refuse_roles(&rows)?;
        }
        let rows = all_valid(rows, UserRow::into_upsert)?;
        let names = rows.iter().map(|row| row.username.to_string()).collect();
        let rules = UpsertRules {
            require_id: self.0.settings.ids_from_host,
            may_change_admins: !caller.is_service,
            now: self.0.clock.now(),
        };
        let counts = match self.0.store.upsert_users(rows, rules).await? {
            Ok(counts) => counts,
            Err(items) => return Err(refused(items, caller.is_service)),
        };
        if counts.updated > 0 {
            self.forget(names).await?;
        }
        if counts.inserted + counts.updated > 0 {
            self.0.presence.graph_changed();
        }
        ok(counts.into())
    }

    /// Mirror follows
    ///
    /// At most 1,000. All or nothing; `details` names each bad row. Nothing is ever removed by it.
    #[oai(path = "/admin/follows", method = "put", operation_id = "putFollows")]
    async fn put_follows(&self, _caller: AsMirror, body: Body<Vec<FollowRow>>) -> Reply<Upserted> {
        let rows = at_most(body.0, "follows")?;
        let rows = rows.into_iter().map(|row| FollowUpsert {
            follower: row.follower,
            followee: row.followee,
        });
        let counts = self.0.store.upsert_follows(rows.collect()).await?;
        let counts = counts.map_err(Error::InvalidItems)?;
        if counts.inserted + counts.updated > 0 {
            self.0.presence.graph_changed();
        }
        ok(counts.into())
    }

    /// Drops what is cached of these users.
    async fn forget(&self, names: Vec<String>) -> Result<()> {
        let people = self.0.store.people(None, PeopleRef::Names(names)).await?;
        for person in people.into_iter().flatten() {
            self.0.user_changed(person.id).await;
        }
        Ok(())
    }
}

fn at_most<T>(rows: Vec<T>, field: &'static str) -> Result<Vec<T>> {
    if rows.len() > MAX_ROWS {
        let message = format!("must be at most {MAX_ROWS}");
        return Err(Error::invalid(field, message));
    }
    Ok(rows)
}

/// Converts every row, or names each that is not valid.
fn all_valid<T, U>(rows: Vec<T>, convert: impl Fn(T) -> Result<U, FieldError>) -> Result<Vec<U>> {
    let mut good = Vec::with_capacity(rows.len());
    let mut bad = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        match convert(row) {
            Ok(row) => good.push(row),
            Err(error) => bad.push((index, error)),
        }
    }
    if bad.is_empty() {
        Ok(good)
    } else {
        Err(Error::InvalidItems(bad))
    }
}

/// A service key may not set a role, whatever it is.
fn refuse_roles(rows: &[UserRow]) -> Result<(), Failure> {
    let with_role = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.role.is_some());
    let items =
        with_role.map(|(index, _)| (index, FieldError::new("role", "is not for service keys")));
    let items: Vec<_> = items.collect();
    if items.is_empty() {
        Ok(())
    } else {
        Err(refused(items, true))
    }
}

/// Rows that were refused: 403 when one touches what a service key may not, else 422.
fn refused(items: Vec<(usize, FieldError)>, is_service: bool) -> Failure {
    let is_forbidden = is_service && items.iter().any(|(_, error)| error.field == "role");
    if !is_forbidden {
        return Error::InvalidItems(items).into();
    }
    let details = items.into_iter().map(|(index, error)| Detail {
        index: Some(index as u64),
        field: error.field.into(),
        message: error.message,
    });
    Failure::new(
        StatusCode::FORBIDDEN,
        "a service key may neither set a role nor change an admin",
    )
    .with_details(details.collect())
}

impl UserRow {
    fn into_upsert(self) -> Result<UserUpsert, FieldError> {
        if self.id.is_some_and(|id| id < 1) {
            return Err(FieldError::new("id", "must be at least 1"));
        }
        if let Some(external_id) = &self.external_id {
            validate::text("externalId", external_id, 1, 255)?;
        }
        let profile = ProfileFields {
            display_name: self.display_name,
            bio: self.bio,
            profile_picture_url: self.profile_picture_url,
            email: self.email,
        };
        profile.check()?;
        Ok(UserUpsert {
            id: self.id.map(UserId),
            external_id: self.external_id,
            username: Username::new(&self.username)?,
            profile,
            role: self.role,
        })
    }
}

impl From<UpsertCounts> for Upserted {
    fn from(counts: UpsertCounts) -> Self {
        Self {
            inserted: counts.inserted as u64,
            updated: counts.updated as u64,
            unchanged: counts.unchanged as u64,
        }
    }
}
