//! One's own sign-ins: where one is signed in, and ending one of them.
//!
//! A token of the host application is no sign-in here: it is neither listed nor to be revoked. Whoever comes with one
//! sees the account's own sign-ins, if it has any, and may end them; none of them is the current one.

use super::Services;
use super::document::Tag;
use super::envelope::{Reply, ok};
use super::extract::AsUser;
use super::page::{cursor, page};
use crate::model::{Credential, DeviceType, SignInId, Timestamp, UserId};
use crate::store::SignInSummary;
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use std::sync::Arc;

/// One's own sign-ins.
pub struct SignInsApi(pub Arc<Services>);

/// A place where one is signed in.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct SignInEntry {
    /// The id, for ending it.
    id: i64,
    /// When one signed in there.
    created_at: Timestamp,
    /// The last request or message with it, now while it has an open connection; true to a minute.
    last_used_at: Timestamp,
    /// `ios`, `android` or `web`, where it is known.
    #[oai(nullable)]
    device_type: Option<DeviceType>,
    /// The address one signed in from, as far as it is kept.
    #[oai(nullable)]
    ip_address: Option<String>,
    /// Whether this request came with it.
    current: bool,
}

/// A page of sign-ins.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct SignInList {
    /// Newest first.
    sessions: Vec<SignInEntry>,
    /// Asks for the next page; null on the last.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

/// The sign-in is no longer valid.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Revoked {
    /// Always true.
    revoked: bool,
}

#[OpenApi(tag = "Tag::Auth")]
impl SignInsApi {
    /// One's sign-ins
    ///
    /// Those that are neither revoked nor expired. Tokens of the host application are not among them; whoever comes
    /// with one sees the account's own sign-ins, none of them `current`.
    #[oai(
        path = "/auth/sessions",
        method = "get",
        operation_id = "listOwnSignIns"
    )]
    async fn list(
        &self,
        user: AsUser,
        /// 1 to 100, 50 if left out.
        limit: Query<Option<i64>>,
        /// `nextCursor` of the page before.
        #[oai(name = "cursor")]
        after: Query<Option<String>>,
    ) -> Reply<SignInList> {
        let AsUser(user) = user;
        let page = page(limit.0, after.0.as_deref())?;
        let now = self.0.clock.now();
        let (rows, next) = self.0.store.sign_ins(user.id(), now, page).await?;
        let current = match user.user.credential {
            Credential::SignIn(id) => Some(id),
            Credential::Jwt { .. } => None,
        };
        let entry = |row: SignInSummary| SignInEntry {
            id: row.id.0,
            created_at: row.created_at,
            last_used_at: last_used(&self.0, user.id(), &row),
            device_type: row.client.device_type,
            ip_address: row.client.ip_address,
            current: current == Some(row.id),
        };
        ok(SignInList {
            sessions: rows.into_iter().map(entry).collect(),
            next_cursor: next.map(cursor),
        })
    }

    /// End one of one's sign-ins
    ///
    /// Revokes it and ends its connections at once; others stay. It may be the current one.
    #[oai(
        path = "/auth/sessions/:id",
        method = "delete",
        operation_id = "revokeOwnSignIn"
    )]
    async fn revoke(
        &self,
        user: AsUser,
        /// Which.
        id: Path<i64>,
    ) -> Reply<Revoked> {
        let (me, sign_in) = (user.0.id(), SignInId(id.0));
        let services = self.0.clone();
        let work = async move {
            services.auth.sign_out(me, sign_in).await?;
            services.presence.revoke_sign_in(me, sign_in);
            Ok(())
        };
        self.0.to_the_end(work).await?;
        ok(Revoked { revoked: true })
    }
}

/// When a sign-in was last used: what is in memory, where the store is behind.
pub(super) fn last_used(services: &Services, user: UserId, row: &SignInSummary) -> Timestamp {
    let newer = services.presence.last_used(user, row.id);
    newer.map_or(row.last_used_at, |at| at.max(row.last_used_at))
}
