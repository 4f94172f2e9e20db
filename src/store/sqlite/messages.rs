//! Messages: sent and read.

use super::{Fault, blocks, rows};
use crate::model::*;
use crate::store::{MessageRow, Page, SentMessage, StoreError};
use rusqlite::{Connection, OptionalExtension, Row};

/// The columns that [`from_row`] reads: message `m` and its sender `s`.
macro_rules! message_columns {
    () => {
        "m.id, m.sender_id, s.username, m.text, m.created_at"
    };
}
pub(super) use message_columns;

/// How many columns those are.
pub(super) const MESSAGE_COLUMNS: usize = 5;

/// Reads [`message_columns`].
pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        id: MessageId(row.get(0)?),
        sender_id: row.get::<_, Option<i64>>(1)?.map(UserId),
        sender_username: row.get_ref(2)?.as_str_or_null()?.map(Username::from_stored),
        text: row.get(3)?,
        created_at: rows::time(row, 4)?,
    })
}

pub(super) const PAGE: &str = concat!(
    "SELECT ",
    message_columns!(),
    " FROM messages m LEFT JOIN users s ON s.id = m.sender_id \
     WHERE m.conversation_id = ?1 AND m.id < ?2 ORDER BY m.id DESC LIMIT ?3"
);

/// Newest first, and the cursor of the next page.
pub(super) fn page(
    connection: &Connection,
    id: ConversationId,
    page: Page,
) -> Result<(Vec<MessageRow>, Option<i64>), Fault> {
    let before = page.before.unwrap_or(i64::MAX);
    let limit = i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut found = connection
        .prepare_cached(PAGE)?
        .query_map((id.0, before, limit), from_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let has_more = found.len() > page.limit;
    found.truncate(page.limit);
    let next = found.last().filter(|_| has_more).map(|row| row.id.0);
    Ok((found, next))
}

const MEMBERSHIP: &str = "SELECT c.is_group, p.wrote, u.username \
     FROM participants p JOIN conversations c ON c.id = p.conversation_id JOIN users u ON u.id = p.user_id \
     WHERE p.conversation_id = ?1 AND p.user_id = ?2";
const OTHERS: &str = "SELECT user_id FROM participants WHERE conversation_id = ?1 AND user_id <> ?2 ORDER BY position";
const INSERT: &str =
    "INSERT INTO messages (conversation_id, sender_id, text, created_at) VALUES (?1, ?2, ?3, ?4)";
// A clock that was put back must not move a conversation down the list.
const TOUCH: &str = "UPDATE conversations SET last_message_id = ?2, activity_at = max(activity_at, ?3) WHERE id = ?1";
const WROTE: &str = "UPDATE participants SET wrote = 1 WHERE conversation_id = ?1 AND user_id = ?2";

pub fn send(
    connection: &Connection,
    sender: UserId,
    id: ConversationId,
    text: String,
    now: Timestamp,
) -> Result<Option<SentMessage>, Fault> {
    let membership = connection
        .prepare_cached(MEMBERSHIP)?
        .query_row((id.0, sender.0), |row| {
            Ok((
                row.get::<_, bool>(0)?,
                row.get::<_, bool>(1)?,
                rows::username(row, 2)?,
            ))
        })
        .optional()?;
    let Some((is_group, has_written, username)) = membership else {
        return Ok(None);
    };
    let recipients = connection
        .prepare_cached(OTHERS)?
        .query_map((id.0, sender.0), |row| row.get(0).map(UserId))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if !is_group {
        for other in &recipients {
            if blocks::between(connection, sender, *other)? {
                return Err(StoreError::Forbidden.into());
            }
        }
    }
    connection
        .prepare_cached(INSERT)?
        .execute((id.0, sender.0, &text, now.as_millis()))?;
    let message_id = connection.last_insert_rowid();
    connection
        .prepare_cached(TOUCH)?
        .execute((id.0, message_id, now.as_millis()))?;
    if !has_written {
        connection
            .prepare_cached(WROTE)?
            .execute((id.0, sender.0))?;
    }
    Ok(Some(SentMessage {
        message: MessageRow {
            id: MessageId(message_id),
            sender_id: Some(sender),
            sender_username: Some(username),
            text,
            created_at: now,
        },
        recipients,
        is_first: !has_written,
    }))
}
