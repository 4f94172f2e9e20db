//! Conversations: begun, listed, opened.

use super::people::{self, PERSON_COLUMNS, facts, facts_join, facts_with, person_columns};
use super::{Fault, blocks, messages, snapshot};
use crate::model::*;
use crate::store::{
    ConversationCursor, ConversationDetail, ConversationPage, ConversationSummary, Page, StoreError,
};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;

const PAIR: &str = "SELECT id FROM conversations WHERE pair_low = ?1 AND pair_high = ?2";
const CREATE: &str = "INSERT INTO conversations (is_group, pair_low, pair_high, created_at, activity_at) \
     VALUES (?1, ?2, ?3, ?4, ?4)";
const ADD: &str =
    "INSERT INTO participants (conversation_id, user_id, position) VALUES (?1, ?2, ?3)";

pub fn create(
    connection: &Connection,
    creator: UserId,
    others: &[UserId],
    now: Timestamp,
) -> Result<(ConversationId, bool), Fault> {
    let mut everyone = vec![creator];
    for other in others {
        if !everyone.contains(other) {
            everyone.push(*other);
        }
    }
    for other in &everyone[1..] {
        if blocks::between(connection, creator, *other)? {
            return Err(StoreError::Forbidden.into());
        }
    }
    let pair = match everyone[..] {
        [_] => return Err(StoreError::Forbidden.into()),
        [one, other] => Some((one.min(other).0, one.max(other).0)),
        _ => None,
    };
    if let Some(pair) = pair {
        let there_is = connection
            .prepare_cached(PAIR)?
            .query_row(pair, |row| row.get(0))
            .optional()?;
        if let Some(id) = there_is {
            return Ok((ConversationId(id), false));
        }
    }
    connection.prepare_cached(CREATE)?.execute((
        pair.is_none(),
        pair.map(|(low, _)| low),
        pair.map(|(_, high)| high),
        now.as_millis(),
    ))?;
    let id = connection.last_insert_rowid();
    let mut add = connection.prepare_cached(ADD)?;
    for (position, user) in (0_i64..).zip(&everyone) {
        add.execute((id, user.0, position))?;
    }
    Ok((ConversationId(id), true))
}

// The page first, so that messages are counted for the rows that are shown only.
pub(super) const LIST: &str = concat!(
    "WITH page AS MATERIALIZED \
     (SELECT c.id, c.is_group, c.activity_at, c.last_message_id, p.last_read_id \
     FROM participants p CROSS JOIN conversations c ON c.id = p.conversation_id \
     WHERE p.user_id = ?1 AND (c.activity_at, c.id) < (?2, ?3) \
     ORDER BY c.activity_at DESC, c.id DESC LIMIT ?4) \
     SELECT ",
    messages::message_columns!(),
    ", page.id, page.is_group, page.activity_at, \
     (SELECT count(*) FROM messages n WHERE n.conversation_id = page.id AND n.id > page.last_read_id \
     AND n.sender_id IS NOT ?1) \
     FROM page LEFT JOIN messages m ON m.id = page.last_message_id LEFT JOIN users s ON s.id = m.sender_id \
     ORDER BY page.activity_at DESC, page.id DESC"
);

pub fn list(
    connection: &Connection,
    viewer: UserId,
    page: ConversationPage,
) -> Result<(Vec<ConversationSummary>, Option<ConversationCursor>), Fault> {
    let (before_at, before_id) = page.before.map_or((i64::MAX, i64::MAX), |cursor| {
        (cursor.at.as_millis(), cursor.id.0)
    });
    let limit = i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX);
    snapshot(connection, |connection| {
        let mut found = connection
            .prepare_cached(LIST)?
            .query_map((viewer.0, before_at, before_id, limit), |row| {
                let width = messages::MESSAGE_COLUMNS;
                let id = ConversationId(row.get(width)?);
                let last_message = row
                    .get::<_, Option<i64>>(0)?
                    .map(|_| messages::from_row(row))
                    .transpose()?;
                let at = Timestamp::from_millis(row.get(width + 2)?);
                Ok((
                    ConversationSummary {
                        id,
                        is_group: row.get(width + 1)?,
                        participants: Vec::new(),
                        last_message,
                        unread_count: row.get(width + 3)?,
                    },
                    ConversationCursor { at, id },
                ))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let has_more = found.len() > page.limit;
        found.truncate(page.limit);
        let next = found.last().filter(|_| has_more).map(|(_, cursor)| *cursor);
        let ids: Vec<_> = found.iter().map(|(summary, _)| summary.id).collect();
        let mut everyone = participants(connection, viewer, &ids)?;
        let summaries = found
            .into_iter()
            .map(|(mut summary, _)| {
                summary.participants = everyone.remove(&summary.id).unwrap_or_default();
                summary
            })
            .collect();
        Ok((summaries, next))
    })
}

pub(super) const PARTICIPANTS: &str = concat!(
    "WITH ",
    facts_with!(),
    "SELECT ",
    person_columns!(),
    ", p.conversation_id FROM json_each(?2) j CROSS JOIN participants p ON p.conversation_id = j.value \
     CROSS JOIN users u ON u.id = p.user_id",
    facts_join!(),
    "ORDER BY p.position"
);

/// Everyone in these conversations, in the order they were added.
fn participants(
    connection: &Connection,
    viewer: UserId,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, Vec<Person>>, Fault> {
    let list = serde_json::json!(ids).to_string();
    let mut everyone: HashMap<_, Vec<_>> = HashMap::with_capacity(ids.len());
    let mut statement = connection.prepare_cached(PARTICIPANTS)?;
    let mut found = statement.query((viewer.0, list))?;
    while let Some(row) = found.next()? {
        let id = ConversationId(row.get(PERSON_COLUMNS)?);
        everyone.entry(id).or_default().push(people::from_row(row)?);
    }
    Ok(everyone)
}

const OPEN: &str = "SELECT c.is_group, c.last_message_id, p.last_read_id \
     FROM participants p JOIN conversations c ON c.id = p.conversation_id \
     WHERE p.conversation_id = ?1 AND p.user_id = ?2";

/// A conversation, and the message up to which it is to be marked read, if it is not.
pub fn open(
    connection: &Connection,
    viewer: UserId,
    id: ConversationId,
    page: Page,
) -> Result<Option<(ConversationDetail, Option<MessageId>)>, Fault> {
    snapshot(connection, |connection| {
        let head = connection
            .prepare_cached(OPEN)?
            .query_row((id.0, viewer.0), |row| {
                let newest: Option<i64> = row.get(1)?;
                let read: i64 = row.get(2)?;
                Ok((row.get(0)?, newest.filter(|newest| *newest > read)))
            })
            .optional()?;
        let Some((is_group, unread_up_to)) = head else {
            return Ok(None);
        };
        let (messages, next) = messages::page(connection, id, page)?;
        let mut everyone = participants(connection, viewer, &[id])?;
        let detail = ConversationDetail {
            id,
            is_group,
            participants: everyone.remove(&id).unwrap_or_default(),
            messages,
            next,
        };
        Ok(Some((detail, unread_up_to.map(MessageId))))
    })
}

const MARK_READ: &str = "UPDATE participants SET last_read_id = ?3 \
     WHERE conversation_id = ?1 AND user_id = ?2 AND last_read_id < ?3";

pub fn mark_read(
    connection: &Connection,
    viewer: UserId,
    id: ConversationId,
    up_to: MessageId,
) -> Result<(), Fault> {
    connection
        .prepare_cached(MARK_READ)?
        .execute((id.0, viewer.0, up_to.0))?;
    Ok(())
}
