//! Mirroring a host application's users and follows: bulk upserts, all or nothing.

use super::document::Tag;
use super::envelope::{Reply, ok};
use super::error::{Detail, Failure};
use super::extract::AsMirror;
use super::{Body, Services};
use crate::error::{Error, Result};
use crate::model::{FieldError, ProfileFields, Role, UserId, Username, validate};
use crate::store::{FollowUpsert, StoreError, UpsertCounts, UpsertRules, UserUpsert};
use poem::http::StatusCode;
use poem_openapi::{Object, OpenApi};
use std::sync::Arc;

/// Rows in one request at most.
const MAX_ROWS: usize = 1_000;
const NOT_FOR_SERVICES: &str = "a service key may neither set a role nor change an admin";

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
        let rules = UpsertRules {
            require_id: self.0.settings.ids_from_host,
            may_change_admins: !caller.is_service,
            now: self.0.clock.now(),
        };
        let services = self.0.clone();
        let work = async move {
            let counts = services.store.upsert_users(rows, rules).await;
            let counts = counts.map_err(|error| match error {
                StoreError::Forbidden => Error::forbidden(NOT_FOR_SERVICES),
                other => other.into(),
            })?;
            services.graph_changed(counts.as_ref().ok());
            Ok(counts)
        };
        let counts = self.0.to_the_end(work).await?;
        ok(counts.map_err(Error::InvalidItems)?.into())
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
        let (services, rows) = (self.0.clone(), rows.collect());
        let work = async move {
            let counts = services.store.upsert_follows(rows).await?;
            services.graph_changed(counts.as_ref().ok());
            counts.map_err(Error::InvalidItems)
        };
        let counts = self.0.to_the_end(work).await?;
        ok(counts.into())
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
    let details: Vec<_> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.role.is_some())
        .map(|(index, _)| Detail {
            index: Some(index as u64),
            field: "role".into(),
            message: "is not for service keys".into(),
        })
        .collect();
    if details.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(StatusCode::FORBIDDEN, NOT_FOR_SERVICES).with_details(details))
    }
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
