//! Asking for presence: one person, or many at once.

use super::document::Tag;
use super::envelope::Success;
use super::error::Failure;
use super::extract::{Reader, SignedIn};
use super::limits::{RateLimit, Standing};
use super::users::path_name;
use super::wire::PresenceEntry;
use super::{Body, Services};
use crate::error::{Error, Result};
use crate::model::{Timestamp, UserId};
use crate::store::PeopleRef;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use poem_openapi::{ApiResponse, Object, OpenApi};
use std::sync::Arc;

/// People in one query at most.
const MAX_QUERY: usize = 500;

/// Asking for presence.
pub struct PresenceApi {
    services: Arc<Services>,
    one: RateLimit,
    many: RateLimit,
}

/// Whom to ask for: one of the two, not both.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct PresenceQuery {
    /// At most 500 names, any case.
    #[oai(nullable)]
    usernames: Option<Vec<String>>,
    /// At most 500 ids.
    #[oai(nullable)]
    user_ids: Option<Vec<i64>>,
}

/// The presence of those asked for.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct PresenceList {
    /// In the order asked.
    users: Vec<QueriedPresence>,
}

/// Somebody's presence. Hidden looks like never seen, and so does somebody who does not exist.
#[derive(Debug, Default, Object)]
#[oai(rename_all = "camelCase")]
pub struct QueriedPresence {
    /// The id; null when nobody has the name asked for.
    #[oai(nullable)]
    user_id: Option<i64>,
    /// The name; null when nobody has the id asked for.
    #[oai(nullable)]
    username: Option<String>,
    /// Online now.
    is_online: bool,
    /// When the last stretch of being online ended.
    #[oai(nullable)]
    last_seen: Option<Timestamp>,
    /// Last authenticated request or realtime message.
    #[oai(nullable)]
    last_active_at: Option<Timestamp>,
}

/// An answer that tells how much the limit leaves.
#[derive(ApiResponse)]
enum Limited<T: Type + ParseFromJSON + ToJSON> {
    /// Done
    #[oai(status = 200)]
    Ok(
        Json<Success<T>>,
        /// Requests let through in any minute
        #[oai(header = "RateLimit-Limit")]
        Option<u64>,
        /// How many more are let through now
        #[oai(header = "RateLimit-Remaining")]
        Option<u64>,
        /// Seconds until the oldest request no longer counts
        #[oai(header = "RateLimit-Reset")]
        Option<u64>,
    ),
}

type LimitedReply<T> = std::result::Result<Limited<T>, Failure>;

impl PresenceApi {
    /// With the limits of the settings.
    pub fn new(services: Arc<Services>) -> Self {
        let (settings, clock) = (&services.settings, &services.clock);
        Self {
            one: RateLimit::new(settings.presence_rate, clock.clone()),
            many: RateLimit::new(settings.presence_query_rate, clock.clone()),
            services,
        }
    }

    async fn find(&self, reader: &Reader, username: &str) -> Result<PresenceEntry> {
        let name = path_name(username)?;
        let viewer = reader.viewer(&self.services).await?;
        let presence = &self.services.presence;
        let found = presence.presence_of(&viewer, name.as_str()).await?;
        let (person, seen) = found.ok_or(Error::NotFound("user"))?;
        Ok(PresenceEntry::new(&person, seen))
    }

    async fn query(&self, reader: &Reader, asked: Asked) -> Result<PresenceList> {
        let viewer = reader.viewer(&self.services).await?;
        let store = &self.services.store;
        let people = store.people(reader.user_id(), asked.reference()).await?;
        let mut unknown = asked.unknown();
        let entry = people.into_iter().map(|person| {
            let blank = unknown.next().unwrap_or_default();
            let Some(person) = person else { return blank };
            let seen = self.services.presence.view(&viewer, &person);
            QueriedPresence {
                user_id: Some(person.id.0),
                username: Some(person.username.to_string()),
                is_online: seen.is_online,
                last_seen: seen.last_seen,
                last_active_at: seen.last_active_at,
            }
        });
        Ok(PresenceList {
            users: entry.collect(),
        })
    }
}

#[OpenApi(tag = "Tag::Presence")]
impl PresenceApi {
    /// Somebody's presence
    ///
    /// Limited for each asking user in any sliding minute; API keys are exempt.
    #[oai(
        path = "/users/:username/presence",
        method = "get",
        operation_id = "getPresence"
    )]
    async fn presence(
        &self,
        caller: SignedIn,
        /// The name, any case.
        username: Path<String>,
    ) -> LimitedReply<PresenceEntry> {
        let standing = self.one.count(&caller.0)?;
        limited(standing, self.find(&caller.0, &username).await)
    }

    /// The presence of many
    ///
    /// By `usernames` or by `userIds`, at most 500. Unknown ones are answered as never seen.
    #[oai(
        path = "/presence/query",
        method = "post",
        operation_id = "queryPresence"
    )]
    async fn presence_query(
        &self,
        caller: SignedIn,
        body: Body<PresenceQuery>,
    ) -> LimitedReply<PresenceList> {
        let asked = Asked::new(body.0)?;
        let standing = self.many.count(&caller.0)?;
        limited(standing, self.query(&caller.0, asked).await)
    }
}

fn limited<T: Type + ParseFromJSON + ToJSON>(
    standing: Standing,
    answer: Result<T>,
) -> LimitedReply<T> {
    let data = answer.map_err(|error| standing.on(error))?;
    let json = Json(Success {
        success: true,
        data,
    });
    Ok(Limited::Ok(
        json,
        standing.limit,
        standing.remaining,
        standing.reset_seconds,
    ))
}

/// A query that is well formed.
enum Asked {
    Names(Vec<String>),
    Ids(Vec<i64>),
}

impl Asked {
    fn new(query: PresenceQuery) -> Result<Self> {
        let (field, length, asked) = match (query.usernames, query.user_ids) {
            (Some(names), None) => ("usernames", names.len(), Self::Names(names)),
            (None, Some(ids)) => ("userIds", ids.len(), Self::Ids(ids)),
            _ => {
                return Err(Error::invalid(
                    "usernames",
                    "or userIds must be given, not both",
                ));
            }
        };
        if length > MAX_QUERY {
            return Err(Error::invalid(
                field,
                format!("must have at most {MAX_QUERY} items"),
            ));
        }
        Ok(asked)
    }

    fn reference(&self) -> PeopleRef {
        match self {
            Self::Names(names) => PeopleRef::Names(names.clone()),
            Self::Ids(ids) => PeopleRef::Ids(ids.iter().copied().map(UserId).collect()),
        }
    }

    /// What to answer for each where there is no such person.
    fn unknown(self) -> impl Iterator<Item = QueriedPresence> {
        let (names, ids) = match self {
            Self::Names(names) => (names, Vec::new()),
            Self::Ids(ids) => (Vec::new(), ids),
        };
        let names = names.into_iter().map(|name| (None, Some(name)));
        let ids = ids.into_iter().map(|id| (Some(id), None));
        names.chain(ids).map(|(user_id, username)| QueriedPresence {
            user_id,
            username,
            ..QueriedPresence::default()
        })
    }
}
