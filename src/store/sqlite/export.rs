//! What there is of one user, a page at a time, for them to take away.
//!
//! Each page is a short read of its own by keyset, so that an export holds neither memory nor a snapshot however long
//! its reader takes. Pages of different moments stand side by side in it.

use super::{Fault, messages, rows, snapshot};
use crate::model::*;
use crate::store::{
    ConversationRow, MessageRow, Page, Relation, RelationRow, SessionCursor, StoreError,
};
use rusqlite::{Connection, Row};
use std::collections::HashMap;
use std::sync::Arc;

/// One more than asked says whether there is a next page.
fn limit(page: Page) -> i64 {
    i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX)
}

/// Takes the row too many away; the key of the last of the others, if there was one.
fn cut<T, K>(found: &mut Vec<(T, K)>, limit: usize) -> Option<K>
where
    K: Copy,
{
    let has_more = found.len() > limit;
    found.truncate(limit);
    found.last().filter(|_| has_more).map(|(_, key)| *key)
}

fn without_keys<T, K>(found: Vec<(T, K)>) -> Vec<T> {
    found.into_iter().map(|(row, _)| row).collect()
}

pub(super) const SESSIONS: &str = "SELECT device_type, ip_address, country_code, user_agent, id, device_id, \
     started_at, ended_at, end_reason, rowid FROM sessions \
     WHERE user_id = ?1 AND (started_at, rowid) < (?2, ?3) ORDER BY started_at DESC, rowid DESC LIMIT ?4";

/// A user's sessions, newest first.
pub fn sessions(
    connection: &Connection,
    user: UserId,
    before: Option<SessionCursor>,
    limit: usize,
) -> Result<(Vec<SessionRow>, Option<SessionCursor>), Fault> {
    let (at, row_id) = before.map_or((i64::MAX, i64::MAX), |c| (c.at.as_millis(), c.row_id));
    let most = i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX);
    let mut found = connection
        .prepare_cached(SESSIONS)?
        .query_map((user.0, at, row_id, most), |row| {
            let session = session(row, user)?;
            let cursor = SessionCursor {
                at: session.started_at,
                row_id: row.get(9)?,
            };
            Ok((session, cursor))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let next = cut(&mut found, limit);
    Ok((without_keys(found), next))
}

fn session(row: &Row<'_>, user: UserId) -> rusqlite::Result<SessionRow> {
    let ended_at = rows::optional_time(row, 7)?;
    Ok(SessionRow {
        id: rows::session_id(row, 4)?,
        user_id: user,
        device_id: row.get_ref(5)?.as_str_or_null()?.map(Arc::from),
        client: Arc::new(rows::client(row, 0)?),
        started_at: rows::time(row, 6)?,
        ended: ended_at.zip(rows::optional_word(row, 8)?),
    })
}

pub(super) const FOLLOWING: &str = "SELECT u.id, u.username, f.created_at, f.id \
     FROM follows f CROSS JOIN users u ON u.id = f.followee_id \
     WHERE f.follower_id = ?1 AND f.id < ?2 ORDER BY f.id DESC LIMIT ?3";
pub(super) const FOLLOWERS: &str = "SELECT u.id, u.username, f.created_at, f.id \
     FROM follows f CROSS JOIN users u ON u.id = f.follower_id \
     WHERE f.followee_id = ?1 AND f.id < ?2 ORDER BY f.id DESC LIMIT ?3";
pub(super) const BLOCKS: &str = "SELECT u.id, u.username, b.created_at, b.id \
     FROM blocks b CROSS JOIN users u ON u.id = b.blocked_id \
     WHERE b.blocker_id = ?1 AND b.id < ?2 ORDER BY b.id DESC LIMIT ?3";

/// Those to whom a user stands so, newest first.
pub fn relations(
    connection: &Connection,
    user: UserId,
    relation: Relation,
    page: Page,
) -> Result<(Vec<RelationRow>, Option<i64>), Fault> {
    let sql = match relation {
        Relation::Following => FOLLOWING,
        Relation::Followers => FOLLOWERS,
        Relation::Blocks => BLOCKS,
    };
    let before = page.before.unwrap_or(i64::MAX);
    let mut found = connection
        .prepare_cached(sql)?
        .query_map((user.0, before, limit(page)), |row| {
            let relation = RelationRow {
                user_id: UserId(row.get(0)?),
                username: rows::username(row, 1)?,
                since: rows::time(row, 2)?,
            };
            Ok((relation, row.get(3)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let next = cut(&mut found, page.limit);
    Ok((without_keys(found), next))
}

pub(super) const CONVERSATIONS: &str = "SELECT c.id, c.is_group, c.created_at \
     FROM participants p CROSS JOIN conversations c ON c.id = p.conversation_id \
     WHERE p.user_id = ?1 AND p.conversation_id < ?2 ORDER BY p.conversation_id DESC LIMIT ?3";
pub(super) const PARTICIPANTS: &str = "SELECT p.conversation_id, u.id, u.username FROM json_each(?1) j \
     CROSS JOIN participants p ON p.conversation_id = j.value CROSS JOIN users u ON u.id = p.user_id \
     ORDER BY p.position";

/// Conversations that a user is in, the newest first by when they were begun.
pub fn conversations(
    connection: &Connection,
    user: UserId,
    page: Page,
) -> Result<(Vec<ConversationRow>, Option<i64>), Fault> {
    let before = page.before.unwrap_or(i64::MAX);
    snapshot(connection, |connection| {
        let mut found = connection
            .prepare_cached(CONVERSATIONS)?
            .query_map((user.0, before, limit(page)), |row| {
                let id: i64 = row.get(0)?;
                let conversation = ConversationRow {
                    id: ConversationId(id),
                    is_group: row.get(1)?,
                    created_at: rows::time(row, 2)?,
                    participants: Vec::new(),
                };
                Ok((conversation, id))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let next = cut(&mut found, page.limit);
        let mut found = without_keys(found);
        let ids: Vec<_> = found.iter().map(|c| c.id).collect();
        let mut everyone: HashMap<i64, Vec<(UserId, Username)>> = HashMap::new();
        let mut statement = connection.prepare_cached(PARTICIPANTS)?;
        let mut people = statement.query([serde_json::json!(ids).to_string()])?;
        while let Some(row) = people.next()? {
            let person = (UserId(row.get(1)?), rows::username(row, 2)?);
            everyone.entry(row.get(0)?).or_default().push(person);
        }
        for conversation in &mut found {
            conversation.participants = everyone.remove(&conversation.id.0).unwrap_or_default();
        }
        Ok((found, next))
    })
}

const IS_IN: &str = "SELECT 1 FROM participants WHERE conversation_id = ?1 AND user_id = ?2";

/// Messages of a conversation that a user is in, newest first.
pub fn messages(
    connection: &Connection,
    user: UserId,
    id: ConversationId,
    page: Page,
) -> Result<(Vec<MessageRow>, Option<i64>), Fault> {
    snapshot(connection, |connection| {
        if !connection.prepare_cached(IS_IN)?.exists((id.0, user.0))? {
            // Only somebody who was erased meanwhile is out of a conversation they were in.
            return Err(StoreError::NoSuchUser.into());
        }
        messages::page(connection, id, page)
    })
}
