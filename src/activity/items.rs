//! What is sent to be logged, and whether it may be: one item against the rules, and whose it is.

use super::actions::{self, LOGIN, LOGOUT, MAX_TARGET_ID};
use crate::error::{Error, Result};
use crate::model::*;
use crate::store::{Idempotency, PeopleRef, Store};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// How far ahead of our clock a service's may be.
const MAX_AHEAD: Duration = Duration::from_secs(5 * 60);
/// Characters of a region at most.
const MAX_REGION: usize = 100;

/// An activity as it is sent.
#[derive(Clone, Debug, Default)]
pub struct NewActivity {
    /// Whose, by id.
    pub user_id: Option<i64>,
    /// Whose, by name.
    pub username: Option<String>,
    /// What.
    pub action: String,
    /// On what kind of thing.
    pub target_type: Option<String>,
    /// On which one.
    pub target_id: Option<String>,
    /// More about it.
    pub metadata: Option<Map<String, Value>>,
    /// When, RFC 3339.
    pub timestamp: Option<String>,
    /// From where.
    pub ip_address: Option<String>,
    /// On what.
    pub device_type: Option<DeviceType>,
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// Name of a part of the country.
    pub region: Option<String>,
}

/// Who sends activities.
#[derive(Clone, Debug)]
pub enum Author {
    /// A user, who logs what they do themselves.
    User {
        /// Who.
        id: UserId,
        /// Their name.
        username: Username,
        /// From where.
        client: ClientInfo,
    },
    /// A service or an admin with a key, which logs for anyone.
    Key(ApiKeyId),
}

impl Author {
    /// The caller that an `Idempotency-Key` belongs to.
    pub(super) fn caller(&self) -> String {
        match self {
            Self::User { id, .. } => Idempotency::user_caller(*id),
            Self::Key(id) => format!("key:{}", id.0),
        }
    }
}

/// Which rules hold.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Known actions only.
    pub strict_actions: bool,
    /// What is kept of an address.
    pub ip_privacy: IpPrivacy,
}

/// Turns items into rows, all or none; every bad one is named.
pub(super) async fn check(
    store: &Store,
    rules: Rules,
    author: &Author,
    items: Vec<NewActivity>,
    now: Timestamp,
) -> Result<Vec<LoggedActivity>> {
    let owners = match author {
        Author::User { id, username, .. } => own(*id, username, &items)?,
        Author::Key(_) => named(store, &items).await?,
    };
    let mut rows = Vec::with_capacity(items.len());
    let mut bad = Vec::new();
    for (index, (item, owner)) in items.into_iter().zip(owners).enumerate() {
        let row = owner.and_then(|owner| item.into_row(rules, author, owner, now));
        match row {
            Ok(row) => rows.push(row),
            Err(error) => bad.push((index, error)),
        }
    }
    if !bad.is_empty() {
        return Err(Error::InvalidItems(bad));
    }
    put_in_order(&mut rows);
    Ok(rows)
}

/// Rows of one millisecond are in the log as they were sent, whatever ids others were given in between.
fn put_in_order(rows: &mut [LoggedActivity]) {
    let mut ids: Vec<_> = rows.iter().map(|row| row.activity.id).collect();
    ids.sort_unstable();
    let mut by_time: Vec<_> = rows.iter_mut().map(|row| &mut row.activity).collect();
    by_time.sort_by_key(|row| row.timestamp);
    for (row, id) in by_time.into_iter().zip(ids) {
        row.id = id;
    }
}

type Owner = Result<(UserId, Username), FieldError>;

/// The user's own, or refused for the items that name another.
fn own(id: UserId, username: &Username, items: &[NewActivity]) -> Result<Vec<Owner>> {
    let foreign = |item: &NewActivity| {
        if item.user_id.is_some_and(|other| other != id.0) {
            return Some("userId");
        }
        let is_own = |name: &String| name.eq_ignore_ascii_case(username.as_str());
        let other_name = item.username.as_ref().filter(|name| !is_own(name));
        other_name.map(|_| "username")
    };
    let bad: Vec<_> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let field = foreign(item)?;
            let message = "must be your own: a user logs for themselves alone";
            Some((index, FieldError::new(field, message)))
        })
        .collect();
    if bad.is_empty() {
        Ok(vec![Ok((id, username.clone())); items.len()])
    } else {
        Err(Error::ForbiddenItems(bad))
    }
}

/// Whose each item is, by id or by name.
async fn named(store: &Store, items: &[NewActivity]) -> Result<Vec<Owner>> {
    let missing: Vec<_> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| item.user_id.is_none() && item.username.is_none())
        .map(|(index, _)| (index, FieldError::new("userId", "or username is required")))
        .collect();
    if !missing.is_empty() {
        return Err(Error::IncompleteItems(missing));
    }
    let mut ids: Vec<_> = items.iter().filter_map(|item| item.user_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let ids: Vec<_> = ids.into_iter().map(UserId).collect();
    let lower = |item: &NewActivity| item.username.as_ref().map(|name| name.to_ascii_lowercase());
    let mut names: Vec<_> = items.iter().filter_map(lower).collect();
    names.sort_unstable();
    names.dedup();
    let by_id = store.people(None, PeopleRef::Ids(ids.clone())).await?;
    let by_id: HashMap<_, _> = ids.into_iter().zip(by_id).collect();
    let by_name = store.people(None, PeopleRef::Names(names.clone())).await?;
    let by_name: HashMap<_, _> = names.into_iter().zip(by_name).collect();
    let owner = |item: &NewActivity| {
        let id = item.user_id.map(|id| by_id.get(&UserId(id)));
        let name = lower(item).map(|name| by_name.get(&name));
        let unknown = |field, message| move || FieldError::new(field, message);
        let id = id
            .map(|found| found.and_then(Option::as_ref))
            .map(|found| found.ok_or_else(unknown("userId", "is nobody's id")))
            .transpose()?;
        let name = name
            .map(|found| found.and_then(Option::as_ref))
            .map(|found| found.ok_or_else(unknown("username", "is nobody's username")))
            .transpose()?;
        match (id, name) {
            (Some(id), Some(name)) if id.id != name.id => Err(FieldError::new(
                "username",
                "must be the name of userId, or be left out",
            )),
            (Some(person), _) | (None, Some(person)) => Ok((person.id, person.username.clone())),
            (None, None) => Err(FieldError::new("userId", "or username is required")),
        }
    };
    Ok(items.iter().map(owner).collect())
}

impl NewActivity {
    fn into_row(
        self,
        rules: Rules,
        author: &Author,
        (user_id, username): (UserId, Username),
        now: Timestamp,
    ) -> Result<LoggedActivity, FieldError> {
        if let Author::User { .. } = author {
            self.refuse_what_services_set()?;
        }
        let action = actions::check_name(&self.action, rules.strict_actions)?;
        let target_type = actions::check_target_type(action, self.target_type)?;
        if let Some(id) = &self.target_id {
            validate::text("targetId", id, 1, MAX_TARGET_ID)?;
        }
        let metadata = self
            .metadata
            .map(|metadata| actions::check_metadata(action, &metadata))
            .transpose()?;
        let place = match author {
            Author::User { client, .. } => client.clone(),
            Author::Key(_) => ClientInfo {
                ip_address: address(self.ip_address.as_deref(), rules.ip_privacy)?,
                device_type: self.device_type,
                country_code: self.country_code.as_deref().map(country).transpose()?,
                region: self.region.as_deref().map(region).transpose()?,
                user_agent: None,
            },
        };
        let timestamp = self
            .timestamp
            .map_or(Ok(now), |text| timestamp(&text, now))?;
        Ok(LoggedActivity {
            username,
            activity: Activity {
                id: ActivityId::new(timestamp),
                user_id,
                action: self.action,
                target_type,
                target_id: self.target_id,
                metadata,
                ip_address: place.ip_address,
                device_type: place.device_type,
                country_code: place.country_code,
                region: place.region,
                timestamp,
            },
        })
    }

    /// What a user may not say of themselves.
    fn refuse_what_services_set(&self) -> Result<(), FieldError> {
        if [LOGIN, LOGOUT].contains(&self.action.as_str()) {
            let message = "must not be login or logout: the server logs those";
            return Err(FieldError::new("action", message));
        }
        let set = [
            ("timestamp", self.timestamp.is_some()),
            ("ipAddress", self.ip_address.is_some()),
            ("deviceType", self.device_type.is_some()),
            ("countryCode", self.country_code.is_some()),
            ("region", self.region.is_some()),
        ];
        match set.into_iter().find(|(_, is_set)| *is_set) {
            Some((field, _)) => Err(FieldError::new(
                field,
                "must be left out: only a service may set it",
            )),
            None => Ok(()),
        }
    }
}

/// From 1970 to five minutes ahead.
fn timestamp(text: &str, now: Timestamp) -> Result<Timestamp, FieldError> {
    let wrong = |message| FieldError::new("timestamp", message);
    let at = Timestamp::parse_rfc3339(text).map_err(|_| wrong("must be an RFC 3339 time"))?;
    if at < Timestamp::from_millis(0) || at > now.plus(MAX_AHEAD) {
        return Err(wrong("must be from 1970 to 5 minutes ahead"));
    }
    Ok(at)
}

/// Checks an address; what is kept of it.
///
/// # Errors
/// When it is none.
pub fn address(text: Option<&str>, privacy: IpPrivacy) -> Result<Option<String>, FieldError> {
    let Some(text) = text else { return Ok(None) };
    let address: IpAddr = text
        .parse()
        .map_err(|_| FieldError::new("ipAddress", "must be an IP address"))?;
    Ok(privacy.apply(address))
}

/// Checks a country and writes it in capitals.
///
/// # Errors
/// When it is not two letters.
pub fn country(text: &str) -> Result<String, FieldError> {
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    Err(FieldError::new(
        "countryCode",
        "must be two letters (ISO 3166-1 alpha-2)",
    ))
}

/// Checks a region.
///
/// # Errors
/// When it is empty or too long.
pub fn region(text: &str) -> Result<String, FieldError> {
    validate::text("region", text, 1, MAX_REGION)?;
    Ok(text.to_owned())
}
