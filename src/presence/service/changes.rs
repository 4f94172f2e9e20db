//! What people change of themselves and each other, and what is changed beside the server: written first, then told
//! to the hub.

use super::PresenceService;
use crate::error::Result;
use crate::model::*;
use crate::presence::link::{Encoded, NewMessage};
use crate::presence::viewer::Privacy;
use crate::store::{SentMessage, UserChange};
use serde_json::json;
use tracing::warn;

impl PresenceService {
    // --- what people change -------------------------------------------------------------------------------

    /// Follows; `true` when it is new.
    ///
    /// # Errors
    /// `Forbidden` when one blocks the other.
    pub async fn follow(&self, follower: UserId, followee: UserId) -> Result<bool> {
        let is_new = self
            .0
            .store
            .follow(follower, followee, self.0.clock.now())
            .await?;
        if is_new {
            self.facts_changed(&[follower, followee]).await;
        }
        Ok(is_new)
    }

    /// Unfollows; `false` when there was nothing to do.
    ///
    /// # Errors
    /// When the store cannot take it.
    pub async fn unfollow(&self, follower: UserId, followee: UserId) -> Result<bool> {
        let is_gone = self.0.store.unfollow(follower, followee).await?;
        if is_gone {
            self.facts_changed(&[follower, followee]).await;
        }
        Ok(is_gone)
    }

    /// Blocks, which also removes follows both ways; `true` when it is new.
    ///
    /// # Errors
    /// When the store cannot take it.
    pub async fn block(&self, blocker: UserId, blocked: UserId) -> Result<bool> {
        let is_new = self
            .0
            .store
            .block(blocker, blocked, self.0.clock.now())
            .await?;
        if is_new {
            self.facts_changed(&[blocker, blocked]).await;
        }
        Ok(is_new)
    }

    /// Unblocks; `false` when there was nothing to do.
    ///
    /// # Errors
    /// When the store cannot take it.
    pub async fn unblock(&self, blocker: UserId, blocked: UserId) -> Result<bool> {
        let is_gone = self.0.store.unblock(blocker, blocked).await?;
        if is_gone {
            self.facts_changed(&[blocker, blocked]).await;
        }
        Ok(is_gone)
    }

    /// Changes a user; with an activity status, those who see them and those they see are told.
    /// `false` when there is no such user.
    ///
    /// # Errors
    /// `Conflict` when a unique value is taken.
    pub async fn update_user(&self, user: UserId, change: UserChange) -> Result<bool> {
        let concerns_privacy = change.activity_status.is_some() || change.role.is_some();
        let name = change.username.clone();
        let is_there = self.0.store.update_user(user, change).await?;
        if let Some(name) = name.filter(|_| is_there) {
            self.0.tracker.renamed(user, &name.shared());
            self.0.hub.renamed(user, &name.shared());
        }
        if is_there && concerns_privacy {
            self.user_changed(user).await;
        }
        Ok(is_there)
    }

    /// The two-person conversation that there is, or a new one (`true`).
    ///
    /// # Errors
    /// `Forbidden` when a block stands in between.
    pub async fn create_conversation(
        &self,
        creator: UserId,
        others: Vec<UserId>,
    ) -> Result<(ConversationId, bool)> {
        let mut everybody = others.clone();
        everybody.push(creator);
        let (id, is_new) = self
            .0
            .store
            .create_conversation(creator, others, self.0.clock.now())
            .await?;
        if is_new {
            self.facts_changed(&everybody).await;
        }
        Ok((id, is_new))
    }

    /// Sends a message and pushes it to the others. `None` when there is no such conversation, or not for `sender`.
    ///
    /// # Errors
    /// `Forbidden` when a block stands in between.
    pub async fn send_message(
        &self,
        sender: UserId,
        id: ConversationId,
        text: String,
    ) -> Result<Option<SentMessage>> {
        let Some(sent) = self
            .0
            .store
            .send_message(sender, id, text, self.0.clock.now())
            .await?
        else {
            return Ok(None);
        };
        if sent.is_first {
            let mut everybody = sent.recipients.clone();
            everybody.push(sender);
            self.facts_changed(&everybody).await;
        }
        let message = &sent.message;
        let pushed = Encoded::new(NewMessage {
            conversation_id: id,
            message: json!({
                "id": message.id,
                "senderId": message.sender_id,
                "senderUsername": message.sender_username,
                "text": message.text,
                "createdAt": message.created_at,
            }),
        });
        for recipient in &sent.recipients {
            self.0.hub.send_message(*recipient, &pushed);
        }
        Ok(Some(sent))
    }

    /// What was written is committed; if the hub cannot read it now, it will.
    async fn facts_changed(&self, people: &[UserId]) {
        if let Err(error) = self.0.hub.facts_changed(people).await {
            warn!(%error, "who is told of whom could not be read; trying again");
            self.0.stale.notify_one();
        }
    }

    // --- changes from outside -----------------------------------------------------------------------------

    /// A user's row was changed: what they show and see follows.
    pub async fn user_changed(&self, user: UserId) {
        self.forget_privacy(user);
        match self.settle_privacy(user, None).await {
            Ok(true) => {}
            Ok(false) => self.user_erased(user),
            Err(error) => {
                warn!(%error, %user, "a changed user could not be read; trying again");
                self.0.stale.notify_one();
            }
        }
    }

    /// Tells the hub of a user's row until the last it was told is the one there is: of two changes at once the
    /// older may be told later. `false` when there is no such user.
    pub(super) async fn settle_privacy(
        &self,
        user: UserId,
        mut told: Option<Privacy>,
    ) -> Result<bool> {
        loop {
            match self.privacy(user).await? {
                Some(row) if told == Some(row) => return Ok(true),
                Some(row) => {
                    #[cfg(test)]
                    crate::presence::model_tests::chance().await;
                    self.0.hub.privacy_changed(user, row);
                    told = Some(row);
                }
                None => return Ok(false),
            }
        }
    }

    /// Erases a user and all that is theirs; `false` when there is no such user.
    ///
    /// # Errors
    /// When the store cannot take it. Of a user who has very much, part may be gone then; the rest stays theirs, and
    /// to be erased again.
    pub async fn erase_user(&self, user: UserId) -> Result<bool> {
        let was_there = self.0.store.delete_user(user).await?;
        self.user_erased(user);
        Ok(was_there)
    }

    /// A user was erased: their connections end, and nobody sees anything of them. Who saw them is told once, that
    /// they are never seen: that they went offline just now would be a last seen of somebody who does not exist.
    pub fn user_erased(&self, user: UserId) {
        self.forget_privacy(user);
        self.0.hub.erased(user);
        self.end_user(user);
    }

    /// Many users or follows changed: everybody's interests are read again, in the background.
    pub fn graph_changed(&self) {
        {
            let mut forgotten = self.0.settings.forgotten.lock();
            *forgotten += 1;
            self.0.settings.cache.clear();
        }
        self.0.stale.notify_one();
    }
}
