//! The text of an export, chunk by chunk: which part comes next, and what stands between the parts.

use super::{
    ExportedActivity, ExportedConversation, ExportedIdentity, ExportedParticipant, ExportedPerson,
    ExportedSession, ExportedSignIn, Place,
};
use crate::error::Result;
use crate::http::Services;
use crate::http::activities::Metadata;
use crate::http::sign_ins::last_used;
use crate::http::wire::{Message, OwnProfile};
use crate::model::{
    Activity, ActivityId, ConversationId, LoggedActivity, SessionRow, Timestamp, UserId,
};
use crate::store::{
    ActivityFilter, ActivityPlace, ConversationRow, IdentitySummary, Page, Relation, RelationRow,
    SessionCursor, SignInSummary,
};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use poem_openapi::types::ToJSON;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::vec;

/// Rows of a page.
const ROWS: usize = 100;
/// Messages of a page: each can be 10,000 characters.
const MESSAGES: usize = 50;

/// A list of the document.
#[derive(Clone, Copy)]
enum List {
    SignIns,
    Sessions,
    Relation(Relation),
    Activities,
    Conversations,
}

/// The lists, by their keys, in the order they are written.
const LISTS: [(&str, List); 7] = [
    ("signIns", List::SignIns),
    ("sessions", List::Sessions),
    ("following", List::Relation(Relation::Following)),
    ("followers", List::Relation(Relation::Followers)),
    ("blocks", List::Relation(Relation::Blocks)),
    ("activities", List::Activities),
    ("conversations", List::Conversations),
];

/// Where the next page of a list begins.
#[derive(Clone, Copy)]
enum Cursor {
    Row(i64),
    Session(SessionCursor),
    Activity(ActivityId),
}

impl Cursor {
    fn row(self) -> Option<i64> {
        match self {
            Self::Row(id) => Some(id),
            Self::Session(_) | Self::Activity(_) => None,
        }
    }

    fn session(self) -> Option<SessionCursor> {
        match self {
            Self::Session(cursor) => Some(cursor),
            Self::Row(_) | Self::Activity(_) => None,
        }
    }

    fn activity(self) -> Option<ActivityId> {
        match self {
            Self::Activity(id) => Some(id),
            Self::Row(_) | Self::Session(_) => None,
        }
    }
}

/// What comes next.
enum Next {
    Profile(Box<OwnProfile>),
    /// A page of a list, by the list's number.
    Page {
        list: usize,
        after: Option<Cursor>,
    },
    /// The rest of a page of conversations, and where the page after it begins.
    Conversation {
        left: vec::IntoIter<ConversationRow>,
        after: Option<i64>,
    },
    /// A page of messages of a conversation, and what comes after the conversation.
    Messages {
        id: ConversationId,
        before: Option<i64>,
        left: vec::IntoIter<ConversationRow>,
        after: Option<i64>,
    },
    End,
}

/// An export on its way.
pub(super) struct Pages {
    services: Arc<Services>,
    user: UserId,
    next: Next,
    /// Whether nothing stands in the list yet; in that of messages within that of conversations, likewise.
    is_first: bool,
    is_first_message: bool,
    _place: Place,
}

impl Pages {
    pub(super) fn new(
        services: Arc<Services>,
        user: UserId,
        profile: OwnProfile,
        place: Place,
    ) -> Self {
        Self {
            services,
            user,
            next: Next::Profile(Box::new(profile)),
            is_first: true,
            is_first_message: true,
            _place: place,
        }
    }

    /// Reads the next page only when the one before was sent.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        try_unfold(self, |mut pages| async move {
            match pages.chunk().await {
                Ok(chunk) => Ok(chunk.map(|text| (Bytes::from(text), pages))),
                Err(error) => {
                    tracing::warn!(%error, "an export broke off");
                    Err(io::Error::other(error))
                }
            }
        })
    }

    /// The next piece of text; `None` after the last.
    async fn chunk(&mut self) -> Result<Option<String>> {
        let mut text = String::new();
        self.next = match std::mem::replace(&mut self.next, Next::End) {
            Next::Profile(profile) => {
                text += "{\"success\":true,\"data\":{\"profile\":";
                text += &json(&*profile);
                text += ",\"identities\":";
                let identities = self.services.store.identities(self.user).await?;
                text += &json(&identities.into_iter().map(identity).collect::<Vec<_>>());
                self.begin(0, &mut text)
            }
            Next::Page { list, after } => self.page(list, after, &mut text).await?,
            Next::Conversation { mut left, after } => match (left.next(), after) {
                (Some(row), _) => {
                    self.separate(&mut text);
                    self.is_first_message = true;
                    let id = row.id;
                    text += &open_conversation(row);
                    let before = None;
                    self.messages(id, before, left, after, &mut text).await?
                }
                (None, Some(after)) => Next::Page {
                    list: LISTS.len() - 1,
                    after: Some(Cursor::Row(after)),
                },
                (None, None) => self.end_list(LISTS.len() - 1, &mut text),
            },
            Next::Messages {
                id,
                before,
                left,
                after,
            } => self.messages(id, before, left, after, &mut text).await?,
            Next::End => return Ok(None),
        };
        Ok(Some(text))
    }

    /// A page of a list.
    async fn page(
        &mut self,
        list: usize,
        after: Option<Cursor>,
        text: &mut String,
    ) -> Result<Next> {
        let (store, user) = (&self.services.store, self.user);
        let page = Page {
            before: after.and_then(Cursor::row),
            limit: ROWS,
        };
        let (items, next) = match LISTS[list].1 {
            List::SignIns => {
                // Whatever has not been removed is held.
                let begin = Timestamp::from_millis(0);
                let (rows, next) = store.sign_ins(user, begin, page).await?;
                let entry = |row| json(&sign_in(&self.services, user, row));
                (rows.into_iter().map(entry).collect(), next.map(Cursor::Row))
            }
            List::Sessions => {
                let before = after.and_then(Cursor::session);
                let (rows, next) = store.own_sessions(user, before, ROWS).await?;
                let entry = |row| json(&session(row));
                let items: Vec<_> = rows.into_iter().map(entry).collect();
                (items, next.map(Cursor::Session))
            }
            List::Relation(relation) => {
                let (rows, next) = store.own_relations(user, relation, page).await?;
                let entry = |row| json(&person(row));
                (rows.into_iter().map(entry).collect(), next.map(Cursor::Row))
            }
            List::Activities => {
                let own = ActivityFilter {
                    user_id: Some(user),
                    ..ActivityFilter::default()
                };
                let before = after.and_then(Cursor::activity);
                let place = before.map_or(ActivityPlace::Offset(0), ActivityPlace::Before);
                let page = store.activities(own, place, ROWS, false).await?;
                let entry = |row: LoggedActivity| json(&activity(row.activity));
                let items: Vec<_> = page.activities.into_iter().map(entry).collect();
                (items, page.next.map(Cursor::Activity))
            }
            List::Conversations => {
                let (rows, after) = store.own_conversations(user, page).await?;
                let left = rows.into_iter();
                return Ok(Next::Conversation { left, after });
            }
        };
        for item in items {
            self.separate(text);
            *text += &item;
        }
        Ok(match next {
            Some(after) => Next::Page {
                list,
                after: Some(after),
            },
            None => self.end_list(list, text),
        })
    }

    /// A page of messages, and the end of their conversation if it is the last.
    async fn messages(
        &mut self,
        id: ConversationId,
        before: Option<i64>,
        left: vec::IntoIter<ConversationRow>,
        after: Option<i64>,
        text: &mut String,
    ) -> Result<Next> {
        let page = Page {
            before,
            limit: MESSAGES,
        };
        let store = &self.services.store;
        let (rows, next) = store.own_messages(self.user, id, page).await?;
        for row in rows {
            if !std::mem::replace(&mut self.is_first_message, false) {
                text.push(',');
            }
            *text += &json(&Message::from(row));
        }
        Ok(match next {
            Some(before) => Next::Messages {
                id,
                before: Some(before),
                left,
                after,
            },
            None => {
                *text += "]}";
                Next::Conversation { left, after }
            }
        })
    }

    fn begin(&mut self, list: usize, text: &mut String) -> Next {
        self.is_first = true;
        *text += ",\"";
        *text += LISTS[list].0;
        *text += "\":[";
        Next::Page { list, after: None }
    }

    fn end_list(&mut self, list: usize, text: &mut String) -> Next {
        text.push(']');
        if list + 1 < LISTS.len() {
            return self.begin(list + 1, text);
        }
        *text += "}}";
        Next::End
    }

    fn separate(&mut self, text: &mut String) {
        if !std::mem::replace(&mut self.is_first, false) {
            text.push(',');
        }
    }
}

fn json(item: &impl ToJSON) -> String {
    item.to_json().unwrap_or(Value::Null).to_string()
}

/// A conversation up to its messages.
fn open_conversation(row: ConversationRow) -> String {
    let participant = |(id, name): (UserId, crate::model::Username)| ExportedParticipant {
        user_id: id.0,
        username: name.to_string(),
    };
    let conversation = ExportedConversation {
        conversation_id: row.id.0,
        is_group: row.is_group,
        created_at: row.created_at,
        participants: row.participants.into_iter().map(participant).collect(),
        messages: Vec::new(),
    };
    let mut fields = match conversation.to_json() {
        Some(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    fields.remove("messages");
    let mut text = Value::Object(fields).to_string();
    text.pop();
    text + ",\"messages\":["
}

fn identity(row: IdentitySummary) -> ExportedIdentity {
    ExportedIdentity {
        provider: row.identity.provider,
        subject: row.identity.subject,
        linked_at: row.created_at,
    }
}

fn sign_in(services: &Services, user: UserId, row: SignInSummary) -> ExportedSignIn {
    ExportedSignIn {
        id: row.id.0,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: last_used(services, user, &row),
        device_type: row.client.device_type,
        ip_address: row.client.ip_address,
        country_code: row.client.country_code,
        user_agent: row.client.user_agent,
    }
}

fn session(row: SessionRow) -> ExportedSession {
    ExportedSession {
        id: row.id.to_string(),
        device_id: row.device_id.map(|id| id.to_string()),
        device_type: row.client.device_type,
        ip_address: row.client.ip_address.clone(),
        country_code: row.client.country_code.clone(),
        user_agent: row.client.user_agent.clone(),
        started_at: row.started_at,
        ended_at: row.ended.map(|(at, _)| at),
        end_reason: row.ended.map(|(_, reason)| reason),
    }
}

fn activity(row: Activity) -> ExportedActivity {
    let metadata = row.metadata.as_deref();
    let metadata = metadata.and_then(|text| serde_json::from_str(text).ok());
    ExportedActivity {
        id: row.id.to_string(),
        action: row.action,
        target_type: row.target_type,
        target_id: row.target_id,
        metadata: metadata.map(Metadata),
        device_type: row.device_type,
        ip_address: row.ip_address,
        country_code: row.country_code,
        region: row.region,
        timestamp: row.timestamp,
    }
}

fn person(row: RelationRow) -> ExportedPerson {
    ExportedPerson {
        user_id: row.user_id.0,
        username: row.username.to_string(),
        since: row.since,
    }
}
