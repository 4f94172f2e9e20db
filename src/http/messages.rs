//! Conversations and their messages. Only participants learn that there is one.

use super::document::Tag;
use super::envelope::{CreatedReply, MadeReply, Reply, created, made, ok};
use super::error::Failure;
use super::extract::{AsUser, ClientOf, UserReads};
use super::page::{conversation_cursor, conversation_page, cursor, page};
use super::wire::{Message, PersonEntry};
use super::{Body, Services};
use crate::error::{Error, Result};
use crate::model::{ConversationId, FieldError, Person, UserId, validate};
use crate::presence::{PresenceService, Viewer};
use crate::store::{ConversationSummary, PeopleRef};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use std::sync::Arc;

/// Other participants of a conversation at most.
const MAX_PARTICIPANTS: usize = 50;
/// Characters of a message at most.
const MAX_TEXT: usize = 10_000;

/// Conversations and messages.
pub struct MessagesApi(pub Arc<Services>);

/// With whom to talk.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct NewConversation {
    /// 1 to 50 names of others, any case.
    participants: Vec<String>,
}

/// A conversation that one may write to.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct OpenedConversation {
    /// The id.
    conversation_id: i64,
    /// Everyone in it, the caller too.
    participants: Vec<PersonEntry>,
}

/// A conversation in the list.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct ConversationEntry {
    /// The id.
    conversation_id: i64,
    /// The other one of two; null for groups, and when the other was erased.
    #[oai(nullable)]
    other_user: Option<PersonEntry>,
    /// Everyone in it, the caller too.
    participants: Vec<PersonEntry>,
    /// The newest message.
    #[oai(nullable)]
    last_message: Option<Message>,
    /// Messages of others since one last read.
    unread_count: i64,
}

/// A page of conversations.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct ConversationList {
    /// Always true.
    success: bool,
    /// Newest first.
    data: Vec<ConversationEntry>,
    /// Asks for the next page; null on the last.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

/// An answer with a page of conversations.
#[derive(ApiResponse)]
enum ListReply {
    /// Done
    #[oai(status = 200)]
    Ok(Json<ConversationList>),
}

/// A conversation with a page of its messages.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Conversation {
    /// The id.
    conversation_id: i64,
    /// Everyone in it, the caller too.
    participants: Vec<PersonEntry>,
    /// Newest first.
    messages: Vec<Message>,
    /// Asks for the next page; null on the last.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

/// What to say.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct NewMessage {
    /// 1 to 10,000 characters.
    text: String,
}

#[OpenApi(tag = "Tag::Messages")]
impl MessagesApi {
    /// Open a conversation
    ///
    /// Two people have one conversation, which is given when there is one already; groups are new each time.
    #[oai(
        path = "/messages/conversations",
        method = "post",
        operation_id = "openConversation"
    )]
    async fn open(
        &self,
        user: AsUser,
        body: Body<NewConversation>,
    ) -> MadeReply<OpenedConversation> {
        let AsUser(user) = user;
        let viewer = user.viewer(&self.0).await?;
        let people = self.invited(user.id(), body.0.participants).await?;
        let others = people.iter().map(|p| p.id).filter(|id| *id != user.id());
        let others: Vec<_> = others.collect();
        let me = user.id();
        let call = |presence: PresenceService| async move {
            presence.create_conversation(me, others).await
        };
        let (id, is_new) = self.0.with_presence(call).await?;
        made(
            is_new,
            OpenedConversation {
                conversation_id: id.0,
                participants: self.entries(&viewer, people),
            },
        )
    }

    /// One's conversations
    ///
    /// Newest first by last message. `data` is the array itself.
    #[oai(
        path = "/messages/conversations",
        method = "get",
        operation_id = "listConversations"
    )]
    async fn list(
        &self,
        user: UserReads,
        /// 1 to 100, 50 if left out.
        limit: Query<Option<i64>>,
        /// `nextCursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<ListReply, Failure> {
        let UserReads(user) = user;
        let page = conversation_page(limit.0, cursor.0.as_deref())?;
        let (rows, next) = self.0.store.conversations(user.id, page).await?;
        let viewer = user.reader.viewer(&self.0).await?;
        let entry = |row| self.entry(&viewer, user.id, row);
        Ok(ListReply::Ok(Json(ConversationList {
            success: true,
            data: rows.into_iter().map(entry).collect(),
            next_cursor: next.map(conversation_cursor),
        })))
    }

    /// A conversation
    ///
    /// With a page of messages, newest first. Marks it as read.
    #[oai(
        path = "/messages/conversations/:id",
        method = "get",
        operation_id = "getConversation"
    )]
    async fn get(
        &self,
        user: UserReads,
        /// Which.
        id: Path<i64>,
        /// 1 to 100, 50 if left out.
        limit: Query<Option<i64>>,
        /// `nextCursor` of the page before.
        #[oai(name = "cursor")]
        after: Query<Option<String>>,
    ) -> Reply<Conversation> {
        let UserReads(user) = user;
        let page = page(limit.0, after.0.as_deref())?;
        let id = ConversationId(id.0);
        // A key that acts for a user only reads.
        let marks_read = user.reader.asking_user().is_some();
        let found = self.0.store.conversation(user.id, id, page, marks_read);
        let found = found.await?;
        let found = found.ok_or(Error::NotFound("conversation"))?;
        let viewer = user.reader.viewer(&self.0).await?;
        ok(Conversation {
            conversation_id: found.id.0,
            participants: self.entries(&viewer, found.participants),
            messages: found.messages.into_iter().map(Message::from).collect(),
            next_cursor: found.next.map(cursor),
        })
    }

    /// Write a message
    ///
    /// The others in the conversation are sent it at once.
    #[oai(
        path = "/messages/conversations/:id/messages",
        method = "post",
        operation_id = "sendMessage"
    )]
    async fn send(
        &self,
        user: AsUser,
        from: ClientOf,
        /// Where.
        id: Path<i64>,
        body: Body<NewMessage>,
    ) -> CreatedReply<Message> {
        let text = body.0.text;
        validate::text("text", &text, 1, MAX_TEXT).map_err(Error::from)?;
        let (me, id) = (user.0.user, ConversationId(id.0));
        let services = self.0.clone();
        let work = async move {
            let sent = services.presence.send_message(me.id, id, text).await?;
            if sent.is_some() {
                let client = &from.0.info;
                services
                    .activity
                    .message_sent(me.id, &me.username, id, client);
            }
            Ok(sent)
        };
        let sent = self.0.to_the_end(work).await?;
        let sent = sent.ok_or(Error::NotFound("conversation"))?;
        created(Message::from(sent.message))
    }

    /// The people named, and the caller, each once; every unknown name is an error.
    async fn invited(&self, caller: UserId, names: Vec<String>) -> Result<Vec<Person>> {
        if names.is_empty() || names.len() > MAX_PARTICIPANTS {
            return Err(Error::invalid(
                "participants",
                format!("must have 1 to {MAX_PARTICIPANTS} names"),
            ));
        }
        let store = &self.0.store;
        let me = store
            .people(Some(caller), PeopleRef::Ids(vec![caller]))
            .await?;
        let named = store.people(Some(caller), PeopleRef::Names(names)).await?;
        let mut people: Vec<Person> = me.into_iter().flatten().collect();
        let mut unknown = Vec::new();
        for (index, person) in named.into_iter().enumerate() {
            match person {
                None => unknown.push((
                    index,
                    FieldError::new("participants", "is nobody's username"),
                )),
                Some(person) if people.iter().any(|p| p.id == person.id) => {}
                Some(person) => people.push(person),
            }
        }
        if !unknown.is_empty() {
            return Err(Error::InvalidItems(unknown));
        }
        if people.iter().all(|p| p.id == caller) {
            return Err(Error::invalid("participants", "must name somebody else"));
        }
        Ok(people)
    }

    fn entry(
        &self,
        viewer: &Viewer,
        reader: UserId,
        row: ConversationSummary,
    ) -> ConversationEntry {
        let other = (!row.is_group)
            .then(|| row.participants.iter().find(|p| p.id != reader).cloned())
            .flatten();
        ConversationEntry {
            conversation_id: row.id.0,
            other_user: other.map(|person| self.person(viewer, person)),
            participants: self.entries(viewer, row.participants),
            last_message: row.last_message.map(Message::from),
            unread_count: row.unread_count,
        }
    }

    fn person(&self, viewer: &Viewer, person: Person) -> PersonEntry {
        let seen = self.0.presence.view(viewer, &person);
        PersonEntry::new(person, seen)
    }

    fn entries(&self, viewer: &Viewer, people: Vec<Person>) -> Vec<PersonEntry> {
        let entry = |person| self.person(viewer, person);
        people.into_iter().map(entry).collect()
    }
}
