//! Following and blocking, and the lists of both.

use super::Services;
use super::document::Tag;
use super::envelope::{MadeReply, Reply, made, ok};
use super::extract::{AsUser, ClientOf, Reader, UserReads};
use super::page::{cursor, page};
use super::users::path_name;
use super::wire::{PeoplePage, PersonEntry};
use crate::error::{Error, Result};
use crate::model::{Person, User, UserId};
use crate::presence::PresenceService;
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use std::sync::Arc;

/// Following and blocking.
pub struct PeopleApi(pub Arc<Services>);

/// How one stands to somebody.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Following {
    /// Whom.
    user_id: i64,
    /// Their name.
    username: String,
    /// Whether one follows them now.
    is_following: bool,
}

/// How one stands to somebody.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Blocking {
    /// Whom.
    user_id: i64,
    /// Their name.
    username: String,
    /// Whether one blocks them now.
    is_blocked: bool,
}

#[OpenApi(tag = "Tag::People")]
impl PeopleApi {
    /// Follow
    ///
    /// Idempotent. Refused where one of the two blocks the other.
    #[oai(
        path = "/users/:username/follow",
        method = "post",
        operation_id = "follow"
    )]
    async fn follow(
        &self,
        user: AsUser,
        from: ClientOf,
        /// The name, any case.
        username: Path<String>,
    ) -> MadeReply<Following> {
        let other = self.other(&username, user.0.id(), "follow").await?;
        let (me, id) = (user.0.user, other.id);
        let services = self.0.clone();
        let work = async move {
            let is_new = services.presence.follow(me.id, id).await?;
            if is_new {
                let client = &from.0.info;
                services.activity.followed(me.id, &me.username, id, client);
            }
            Ok(is_new)
        };
        let is_new = self.0.to_the_end(work).await?;
        made(is_new, Following::new(&other, true))
    }

    /// Unfollow
    ///
    /// Idempotent.
    #[oai(
        path = "/users/:username/follow",
        method = "delete",
        operation_id = "unfollow"
    )]
    async fn unfollow(
        &self,
        user: AsUser,
        /// The name, any case.
        username: Path<String>,
    ) -> Reply<Following> {
        let other = self.named(&username).await?;
        let (me, id) = (user.0.id(), other.id);
        let call = |presence: PresenceService| async move { presence.unfollow(me, id).await };
        self.0.with_presence(call).await?;
        ok(Following::new(&other, false))
    }

    /// Who follows somebody
    ///
    /// Newest first.
    #[oai(
        path = "/users/:username/followers",
        method = "get",
        operation_id = "listFollowers"
    )]
    async fn followers(
        &self,
        user: UserReads,
        /// The name, any case.
        username: Path<String>,
        /// 1 to 100, 50 if left out.
        limit: Query<Option<i64>>,
        /// `nextCursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Reply<PeoplePage> {
        let page = page(limit.0, cursor.0.as_deref())?;
        let of = self.named(&username).await?.id;
        let rows = self.0.store.followers(Some(user.0.id), of, page).await?;
        ok(self.people(&user.0.reader, rows).await?)
    }

    /// Whom somebody follows
    ///
    /// Newest first.
    #[oai(
        path = "/users/:username/following",
        method = "get",
        operation_id = "listFollowing"
    )]
    async fn following(
        &self,
        user: UserReads,
        /// The name, any case.
        username: Path<String>,
        /// 1 to 100, 50 if left out.
        limit: Query<Option<i64>>,
        /// `nextCursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Reply<PeoplePage> {
        let page = page(limit.0, cursor.0.as_deref())?;
        let of = self.named(&username).await?.id;
        let rows = self.0.store.following(Some(user.0.id), of, page).await?;
        ok(self.people(&user.0.reader, rows).await?)
    }

    /// Block
    ///
    /// Idempotent. Removes follows both ways and hides presence both ways.
    #[oai(
        path = "/users/:username/block",
        method = "post",
        operation_id = "block"
    )]
    async fn block(
        &self,
        user: AsUser,
        /// The name, any case.
        username: Path<String>,
    ) -> MadeReply<Blocking> {
        let other = self.other(&username, user.0.id(), "block").await?;
        let (me, id) = (user.0.id(), other.id);
        let call = |presence: PresenceService| async move { presence.block(me, id).await };
        let is_new = self.0.with_presence(call).await?;
        made(is_new, Blocking::new(&other, true))
    }

    /// Unblock
    ///
    /// Idempotent.
    #[oai(
        path = "/users/:username/block",
        method = "delete",
        operation_id = "unblock"
    )]
    async fn unblock(
        &self,
        user: AsUser,
        /// The name, any case.
        username: Path<String>,
    ) -> Reply<Blocking> {
        let other = self.named(&username).await?;
        let (me, id) = (user.0.id(), other.id);
        let call = |presence: PresenceService| async move { presence.unblock(me, id).await };
        self.0.with_presence(call).await?;
        ok(Blocking::new(&other, false))
    }

    /// Whom one blocks
    ///
    /// Newest first.
    #[oai(path = "/users/me/blocks", method = "get", operation_id = "listBlocks")]
    async fn blocks(
        &self,
        user: UserReads,
        /// 1 to 100, 50 if left out.
        limit: Query<Option<i64>>,
        /// `nextCursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Reply<PeoplePage> {
        let page = page(limit.0, cursor.0.as_deref())?;
        let rows = self.0.store.blocks(user.0.id, page).await?;
        ok(self.people(&user.0.reader, rows).await?)
    }

    async fn named(&self, username: &str) -> Result<User> {
        let name = path_name(username)?;
        let user = self.0.store.user_by_username(name.as_str()).await?;
        user.ok_or(Error::NotFound("user"))
    }

    /// Somebody else than the caller.
    async fn other(&self, username: &str, caller: UserId, verb: &str) -> Result<User> {
        let user = self.named(username).await?;
        if user.id == caller {
            return Err(Error::invalid(
                "username",
                format!("must not be your own: nobody can {verb} themselves"),
            ));
        }
        Ok(user)
    }

    async fn people(
        &self,
        reader: &Reader,
        (people, next): (Vec<Person>, Option<i64>),
    ) -> Result<PeoplePage> {
        let viewer = reader.viewer(&self.0).await?;
        let entry = |person: Person| {
            let seen = self.0.presence.view(&viewer, &person);
            PersonEntry::new(person, seen)
        };
        Ok(PeoplePage {
            users: people.into_iter().map(entry).collect(),
            next_cursor: next.map(cursor),
        })
    }
}

impl Following {
    fn new(user: &User, is_following: bool) -> Self {
        Self {
            user_id: user.id.0,
            username: user.username.to_string(),
            is_following,
        }
    }
}

impl Blocking {
    fn new(user: &User, is_blocked: bool) -> Self {
        Self {
            user_id: user.id.0,
            username: user.username.to_string(),
            is_blocked,
        }
    }
}
