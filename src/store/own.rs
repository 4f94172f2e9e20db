//! The store's verbs for what is one user's own: erased, and read whole to be taken away.

use super::sqlite::{erase, export};
use super::{
    ConversationRow, MessageRow, Page, Relation, RelationRow, Result, SessionCursor, Store,
};
use crate::model::*;

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
