//! Everything the server holds about a user, for them to take away: one JSON document of any length, written a page
//! at a time as fast as its reader reads.
//!
//! What is in it is said here; how pages are read is the store's. One page is in memory for each export, and a user
//! has one at a time: without that, somebody who asks a thousand times and reads slowly would hold a thousand pages.
//! No other limit is needed, since an export costs no more than reading the same through the other routes.

mod pages;

use super::Services;
use super::activities::Metadata;
use super::document::Tag;
use super::envelope::Success;
use super::error::Failure;
use super::extract::AsUser;
use super::users::own_profile;
use super::wire::{Message, OwnProfile};
use crate::error::Error;
use crate::model::{DeviceType, EndReason, Provider, Timestamp, UserId};
use pages::Pages;
use parking_lot::Mutex;
use poem::{Body, IntoResponse, Response};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object, OpenApi};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// When somebody who has an export open may ask for another, as far as that can be said.
const BUSY_RETRY: Duration = Duration::from_secs(10);

/// Taking one's data away.
pub struct ExportApi {
    services: Arc<Services>,
    open: Open,
}

/// Who has an export open. Bounded by the connections that those are sent over.
type Open = Arc<Mutex<HashSet<UserId>>>;

/// Everything that is held about a user. Passwords and tokens are kept as hashes only, and are not in it.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Export {
    /// The profile and what belongs to it.
    profile: OwnProfile,
    /// Who one is at providers of social sign-in, oldest first.
    identities: Vec<ExportedIdentity>,
    /// Sign-ins, newest first, also those that have expired and are not removed yet.
    sign_ins: Vec<ExportedSignIn>,
    /// Stretches of being online on one device, newest first.
    sessions: Vec<ExportedSession>,
    /// Whom one follows, newest first.
    following: Vec<ExportedPerson>,
    /// Who follows one, newest first.
    followers: Vec<ExportedPerson>,
    /// Whom one blocks, newest first.
    blocks: Vec<ExportedPerson>,
    /// What one did, as far as it is still logged, newest first.
    activities: Vec<ExportedActivity>,
    /// Conversations that one is in, newest first.
    conversations: Vec<ExportedConversation>,
}

/// Who one is at a provider of social sign-in.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ExportedIdentity {
    /// The provider.
    provider: Provider,
    /// The provider's id of one.
    subject: String,
    /// Since when it is known.
    linked_at: Timestamp,
}

/// A sign-in.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ExportedSignIn {
    /// The id.
    id: i64,
    /// When.
    created_at: Timestamp,
    /// Until when.
    expires_at: Timestamp,
    /// The last request or message with it; true to a minute.
    last_used_at: Timestamp,
    /// `ios`, `android` or `web`.
    #[oai(nullable)]
    device_type: Option<DeviceType>,
    /// The address, as far as it is kept.
    #[oai(nullable)]
    ip_address: Option<String>,
    /// The country, where it is known.
    #[oai(nullable)]
    country_code: Option<String>,
    /// What the client called itself.
    #[oai(nullable)]
    user_agent: Option<String>,
}

/// A stretch of being online on one device.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ExportedSession {
    /// The id, a UUID.
    id: String,
    /// The device's own name, where it gave one.
    #[oai(nullable)]
    device_id: Option<String>,
    /// `ios`, `android` or `web`.
    #[oai(nullable)]
    device_type: Option<DeviceType>,
    /// The address, as far as it is kept.
    #[oai(nullable)]
    ip_address: Option<String>,
    /// The country, where it is known.
    #[oai(nullable)]
    country_code: Option<String>,
    /// What the client called itself.
    #[oai(nullable)]
    user_agent: Option<String>,
    /// When it began.
    started_at: Timestamp,
    /// When it ended; null while it is open.
    #[oai(nullable)]
    ended_at: Option<Timestamp>,
    /// Why; null while it is open.
    #[oai(nullable)]
    end_reason: Option<EndReason>,
}

/// Somebody one stands in a relation to.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ExportedPerson {
    /// The id.
    user_id: i64,
    /// The name.
    username: String,
    /// Since when.
    since: Timestamp,
}

/// Something one did.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ExportedActivity {
    /// The id, a UUID.
    id: String,
    /// What.
    action: String,
    /// On what kind of thing.
    #[oai(nullable)]
    target_type: Option<String>,
    /// On which one.
    #[oai(nullable)]
    target_id: Option<String>,
    /// More about it.
    #[oai(nullable)]
    metadata: Option<Metadata>,
    /// `ios`, `android` or `web`.
    #[oai(nullable)]
    device_type: Option<DeviceType>,
    /// The address, as far as it is kept.
    #[oai(nullable)]
    ip_address: Option<String>,
    /// The country, where it is known.
    #[oai(nullable)]
    country_code: Option<String>,
    /// A part of the country, where it is known.
    #[oai(nullable)]
    region: Option<String>,
    /// When.
    timestamp: Timestamp,
}

/// Somebody in a conversation.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ExportedParticipant {
    /// The id.
    user_id: i64,
    /// The name.
    username: String,
}

/// A conversation.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ExportedConversation {
    /// The id.
    conversation_id: i64,
    /// Whether it is one of more than two.
    is_group: bool,
    /// When it was begun.
    created_at: Timestamp,
    /// Everyone in it.
    participants: Vec<ExportedParticipant>,
    /// Every message in it, newest first.
    messages: Vec<Message>,
}

/// The document, while it is written. Its schema is that of an [`Export`] in the envelope.
struct Streamed(Body);

impl Payload for Streamed {
    const CONTENT_TYPE: &'static str = <Json<Success<Export>> as Payload>::CONTENT_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        Success::<Export>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        Success::<Export>::register(registry);
    }
}

impl IntoResponse for Streamed {
    fn into_response(self) -> Response {
        Response::builder()
            .content_type(Self::CONTENT_TYPE)
            .body(self.0)
    }
}

#[derive(ApiResponse)]
enum ExportReply {
    /// Done
    #[oai(status = 200)]
    Ok(
        Streamed,
        /// `attachment`, with the name of a file
        #[oai(header = "Content-Disposition")]
        String,
    ),
}

impl ExportApi {
    /// With no export open.
    pub fn new(services: Arc<Services>) -> Self {
        Self {
            services,
            open: Open::default(),
        }
    }
}

#[OpenApi(tag = "Tag::Users")]
impl ExportApi {
    /// Everything that is held about one
    ///
    /// Streamed: what was changed meanwhile is in it or not, and a document that breaks off (the database could not
    /// answer any more) ends without its closing brackets and, as HTTP has it, incomplete. One at a time for each
    /// user; another meanwhile is answered 429.
    #[oai(
        path = "/users/me/export",
        method = "get",
        operation_id = "exportOwnData"
    )]
    async fn export(&self, user: AsUser) -> Result<ExportReply, Failure> {
        let AsUser(user) = user;
        let place = Place::take(&self.open, user.id()).ok_or(Error::RateLimited {
            retry_after: BUSY_RETRY,
        })?;
        let row = self.services.store.user(user.id()).await?;
        let row = row.ok_or(Error::NotFound("user"))?;
        let name = format!("attachment; filename=\"lastseen-{}.json\"", row.username);
        let viewer = user.viewer(&self.services).await?;
        let profile = own_profile(&self.services, &viewer, row);
        let pages = Pages::new(self.services.clone(), user.id(), profile, place);
        let body = Body::from_bytes_stream(pages.into_stream());
        Ok(ExportReply::Ok(Streamed(body), name))
    }
}

/// A user's place among those who have an export open, until it is dropped.
struct Place {
    open: Open,
    user: UserId,
}

impl Place {
    /// `None` when the user has one.
    fn take(open: &Open, user: UserId) -> Option<Self> {
        open.lock().insert(user).then(|| Self {
            open: open.clone(),
            user,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.lock().remove(&self.user);
    }
}
