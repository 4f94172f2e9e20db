//! Logging what people did: one activity or many, all or nothing.

use super::Services;
use super::document::Tag;
use super::envelope::{CreatedReply, created};
use super::error::Failure;
use super::extract::{AsAuthor, ClientOf};
use crate::activity::{self, Author, KEY_HEADER, MAX_ITEMS, MAX_KEY, NewActivity, RequestKey};
use crate::error::{Error, Result};
use crate::model::{DeviceType, Principal};
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::param::Header;
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions, Object, OpenApi};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::sync::Arc;

/// Logging activities.
pub struct ActivitiesApi(pub Arc<Services>);

/// What somebody did.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct ActivityItem {
    /// Whose, for keys; a user logs for themselves.
    #[oai(nullable)]
    user_id: Option<i64>,
    /// Whose, by name, instead of the id.
    #[oai(nullable)]
    username: Option<String>,
    /// What: `login`, `logout` (keys only), `video_posted`, `video_watched`, `livestream_started`,
    /// `livestream_ended`, `comment_posted`, `user_followed`, `message_sent`, or another word of 1 to 50 of
    /// `a-z 0-9 _` that begins with a letter.
    action: String,
    /// On what kind of thing, 1 to 30 characters; filled in for known actions.
    #[oai(nullable)]
    target_type: Option<String>,
    /// On which one, 1 to 100 characters.
    #[oai(nullable)]
    target_id: Option<String>,
    /// More about it, at most 16 KiB. The keys of known actions have their types, others may be there too.
    #[oai(nullable)]
    metadata: Option<Metadata>,
    /// When, RFC 3339, from 1970 to 5 minutes ahead; now if left out. For keys.
    #[oai(nullable)]
    timestamp: Option<String>,
    /// From where; kept as far as the settings allow. For keys.
    #[oai(nullable)]
    ip_address: Option<String>,
    /// On what. For keys.
    #[oai(nullable)]
    device_type: Option<DeviceType>,
    /// Two letters, ISO 3166-1. For keys.
    #[oai(nullable)]
    country_code: Option<String>,
    /// A part of the country, 1 to 100 characters. For keys.
    #[oai(nullable)]
    region: Option<String>,
}

/// What was logged.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Accepted {
    /// How many.
    accepted: u64,
    /// Their ids (UUIDv7), in the order sent.
    ids: Vec<String>,
}

#[OpenApi(tag = "Tag::Activities")]
impl ActivitiesApi {
    /// Log activities
    ///
    /// One object, or an array of 1 to 1,000; all or nothing, `details` names each bad item. A user logs for themselves
    /// and neither `login` nor `logout`; a key logs for anyone, and what it logs counts as activity and, for `login`,
    /// as signing in. 201 means that it is committed.
    #[oai(path = "/activities", method = "post", operation_id = "logActivities")]
    async fn log(
        &self,
        caller: AsAuthor,
        from: ClientOf,
        key: KeyOf,
        /// 1 to 255 visible ASCII characters. The same again under it is answered as it was, for 24 hours; another body
        /// is 422, and 409 while the first is still running.
        #[oai(name = "Idempotency-Key")]
        _documented: Header<Option<String>>,
        body: Activities,
    ) -> CreatedReply<Accepted> {
        let author = match caller.0.principal {
            Principal::User(user) => Author::User {
                id: user.id,
                username: user.username,
                client: from.0.info,
            },
            Principal::Key { id, .. } => Author::Key(id),
        };
        let Activities {
            items,
            is_array,
            hash,
        } = body;
        let key = key.0.map(|key| RequestKey { key, hash });
        let items = items.into_iter().map(NewActivity::from).collect();
        let service = self.0.activity.clone();
        let work = async move { service.log(&author, items, key).await };
        let logged = self.0.to_the_end(work).await;
        let logged = logged.map_err(|error| {
            if is_array {
                Failure::from(error)
            } else {
                Failure::from(of_one(error))
            }
        })?;
        created(logged.into())
    }
}

/// The error of an item that was sent alone, which has no index.
fn of_one(error: Error) -> Error {
    let only = |mut items: Vec<_>| items.pop().map(|(_, field)| field);
    match error {
        Error::InvalidItems(items) => only(items).map_or(Error::InvalidItems(vec![]), Error::from),
        Error::IncompleteItems(items) => Error::BadRequest(
            only(items).map_or_else(|| "something is missing".into(), |field| field.to_string()),
        ),
        Error::ForbiddenItems(items) => Error::Forbidden(
            only(items).map_or_else(|| "not allowed".into(), |field| field.to_string()),
        ),
        other => other,
    }
}

impl From<ActivityItem> for NewActivity {
    fn from(item: ActivityItem) -> Self {
        Self {
            user_id: item.user_id,
            username: item.username,
            action: item.action,
            target_type: item.target_type,
            target_id: item.target_id,
            metadata: item.metadata.map(|metadata| metadata.0),
            timestamp: item.timestamp,
            ip_address: item.ip_address,
            device_type: item.device_type,
            country_code: item.country_code,
            region: item.region,
        }
    }
}

impl From<activity::Accepted> for Accepted {
    fn from(logged: activity::Accepted) -> Self {
        Self {
            accepted: logged.accepted,
            ids: logged.ids.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The `Idempotency-Key` of a request.
struct KeyOf(Option<String>);

impl<'a> FromRequest<'a> for KeyOf {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(key_of(request).map_err(Failure::from)?))
    }
}

fn key_of(request: &Request) -> Result<Option<String>> {
    let mut values = request.headers().get_all(KEY_HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let bytes = value.as_bytes();
    let is_good = (1..=MAX_KEY).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    if !is_good || values.next().is_some() {
        let message = format!("must be one of 1 to {MAX_KEY} visible ASCII characters");
        return Err(Error::invalid(KEY_HEADER, message));
    }
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

/// A body that is one item or an array of them.
struct Activities {
    items: Vec<ActivityItem>,
    is_array: bool,
    /// SHA-256 of the bytes sent.
    hash: [u8; 32],
}

impl<'a> ApiExtractor<'a> for Activities {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        ActivityItem::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema = MetaSchema {
            one_of: vec![
                ActivityItem::schema_ref(),
                Vec::<ActivityItem>::schema_ref(),
            ],
            ..MetaSchema::ANY
        };
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: "application/json",
                schema: MetaSchemaRef::Inline(Box::new(schema)),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let bytes = super::body::read(request, body).await?;
        let hash = Sha256::digest(&bytes).into();
        let (items, is_array) = super::body::parse_one_or_many(&bytes, MAX_ITEMS)?;
        Ok(Self {
            items,
            is_array,
            hash,
        })
    }
}

/// Any JSON object.
#[derive(Debug)]
pub(super) struct Metadata(pub(super) Map<String, Value>);

impl Type for Metadata {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "object".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new("object")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Metadata {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::Object(map)) => Ok(Self(map)),
            _ => Err(ParseError::expected_input()),
        }
    }
}

impl ToJSON for Metadata {
    fn to_json(&self) -> Option<Value> {
        Some(Value::Object(self.0.clone()))
    }
}
