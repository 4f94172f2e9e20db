//! The store's verbs for what is one user's own: erased, and read whole to be taken away.

use super::sqlite::{erase, export};
use super::{MessageRow, Page, Result, Store};
use crate::model::*;

/// Position in the list of a user's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCursor {
    /// When the session there began.
    pub at: Timestamp,
    /// Its row, which tells it from others that began in the same millisecond.
    pub row_id: i64,
}

/// How a user stands to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Those they follow.
    Following,
    /// Those who follow them.
    Followers,
    /// Those they block.
    Blocks,
}

/// Somebody to whom a user stands in a relation.
#[derive(Clone, Debug)]
pub struct RelationRow {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub username: Username,
    /// Since when.
    pub since: Timestamp,
}

/// A conversation without its messages.
#[derive(Clone, Debug)]
pub struct ConversationRow {
    /// The id.
    pub id: ConversationId,
    /// Two people, or more.
    pub is_group: bool,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Everyone in it, in the order they were added.
    pub participants: Vec<(UserId, Username)>,
}

impl Store {
    /// Erases a user and every row that is theirs: profile, sign-ins, sessions, follows and blocks either way,
    /// participation, and the messages they sent. `false` when there is no such user.
    ///
    /// All at once, unless it is more than some hundred rows; then other writes come between the steps, and after an
    /// error the user is still there with what is left.
    pub async fn delete_user(&self, id: UserId) -> Result<bool> {
        let marks = self.0.marks();
        loop {
            let step = self
                .0
                .write("erasing a user", move |c| erase::step(c, marks, id))
                .await?;
            if let erase::Step::Done(was_there) = step {
                return Ok(was_there);
            }
            // A command that erases may have a server beside it, which is to have its turn.
            tokio::time::sleep(super::FOREIGN_GAP).await;
        }
    }
    /// A user's sessions, newest first, and the cursor of the next page.
    pub async fn own_sessions(
        &self,
        user: UserId,
        before: Option<SessionCursor>,
        limit: usize,
    ) -> Result<(Vec<SessionRow>, Option<SessionCursor>)> {
        self.0
            .read("reading sessions", move |c| {
                export::sessions(c, user, before, limit)
            })
            .await
    }
    /// Those to whom a user stands so, newest first, and the cursor of the next page.
    pub async fn own_relations(
        &self,
        user: UserId,
        relation: Relation,
        page: Page,
    ) -> Result<(Vec<RelationRow>, Option<i64>)> {
        self.0
            .read("reading relations", move |c| {
                export::relations(c, user, relation, page)
            })
            .await
    }
    /// Conversations that a user is in, newest first by their beginning, and the cursor of the next page.
    pub async fn own_conversations(
        &self,
        user: UserId,
        page: Page,
    ) -> Result<(Vec<ConversationRow>, Option<i64>)> {
        self.0
            .read("reading conversations", move |c| {
                export::conversations(c, user, page)
            })
            .await
    }
    /// Messages of a conversation that a user is in, newest first, and the cursor of the next page. Marks nothing
    /// read. `NoSuchUser` when they are not in it.
    pub async fn own_messages(
        &self,
        user: UserId,
        id: ConversationId,
        page: Page,
    ) -> Result<(Vec<MessageRow>, Option<i64>)> {
        self.0
            .read("reading messages", move |c| {
                export::messages(c, user, id, page)
            })
            .await
    }
}
