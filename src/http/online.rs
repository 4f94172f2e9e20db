//! Who is connected and why they are online or not, and ending that: for administrators.
//!
//! All of it is answered from memory, but for names; what a viewer may see is decided by `presence` as everywhere.

use super::Services;
use super::document::Tag;
use super::envelope::{Reply, ok};
use super::extract::AsAdmin;
use super::page::{user_cursor, user_page};
use super::users::path_name;
use crate::error::Error;
use crate::model::{ConnectionId, DeviceType, Timestamp};
use crate::presence::overview::{OnlineUser, OpenConnection};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use std::sync::Arc;

/// Who is connected, and ending that.
pub struct OnlineApi(pub Arc<Services>);

/// An open connection.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct ConnectionEntry {
    /// The id, for ending it; of this run of the server.
    id: u64,
    /// How it is connected now: `polling` or `websocket` (Socket.IO), `raw` (WebSocket at `/ws`).
    transport: String,
    /// `ios`, `android` or `web`, where it is known.
    #[oai(nullable)]
    device_type: Option<DeviceType>,
    /// The address, as far as it is kept.
    #[oai(nullable)]
    ip_address: Option<String>,
    /// The country, where it is known.
    #[oai(nullable)]
    country_code: Option<String>,
    /// Whether its client says that it is in the foreground.
    foreground: bool,
    /// Since when it is open.
    connected_at: Timestamp,
}

/// Somebody who is online.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct OnlineEntry {
    /// The id.
    user_id: i64,
    /// The name.
    username: String,
    /// Since when.
    since: Timestamp,
    /// When they last asked something or sent a message; null if that was not of late.
    #[oai(nullable)]
    last_active_at: Option<Timestamp>,
    /// In the order they came, in the background too; who is online for the grace alone may have none.
    connections: Vec<ConnectionEntry>,
}

/// A page of those who are online.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct OnlineList {
    /// How many are online in all.
    total: u64,
    /// By id, lowest first.
    users: Vec<OnlineEntry>,
    /// Asks for the next page; null on the last.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

/// A connection, and when its client was last there.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct ProvenConnection {
    /// The id, for ending it; of this run of the server.
    id: u64,
    /// `ios`, `android` or `web`, where it is known.
    #[oai(nullable)]
    device_type: Option<DeviceType>,
    /// Whether its client says that it is in the foreground.
    foreground: bool,
    /// When anything was last received from it, a pong included.
    last_proof_at: Timestamp,
}

/// The grace, in which a user stays online without a connection in the foreground.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Grace {
    /// Whether it runs.
    active: bool,
    /// When it ends; null when it does not run.
    #[oai(nullable)]
    until: Option<Timestamp>,
}

/// What somebody sees, and why.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct ViewerSees {
    /// Online, to them.
    is_online: bool,
    /// When the last stretch of being online ended, to them.
    #[oai(nullable)]
    last_seen: Option<Timestamp>,
    /// The rule by which they see it: `admin`, `own`, `visible`; or do not: `blocked`, `subject_nobody`,
    /// `subject_contacts`, `viewer_nobody`, `viewer_contacts` (whose activity status hides, and which it is).
    rule: String,
}

/// Why somebody is online or not.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct WhyOnline {
    /// The id.
    user_id: i64,
    /// The name.
    username: String,
    /// In the order they came, in the background too.
    connections: Vec<ProvenConnection>,
    /// The grace.
    grace: Grace,
    /// What the viewer sees.
    viewer: ViewerSees,
}

/// The connection is no more.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Ended {
    /// Always true.
    ended: bool,
}

/// The sign-ins are no longer valid.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct AllRevoked {
    /// How many there were.
    revoked: u64,
}

#[OpenApi(tag = "Tag::Admin")]
impl OnlineApi {
    /// Who is online
    ///
    /// With every connection. Who comes and goes between two pages is on one of them or not.
    #[oai(path = "/admin/online", method = "get", operation_id = "listOnline")]
    async fn online(
        &self,
        _admin: AsAdmin,
        /// 1 to 1,000, 100 if left out.
        limit: Query<Option<i64>>,
        /// `nextCursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Reply<OnlineList> {
        let (after, limit) = user_page(limit.0, cursor.0.as_deref())?;
        let page = self.0.presence.online_page(after, limit);
        ok(OnlineList {
            total: page.total as u64,
            users: page.users.into_iter().map(OnlineEntry::from).collect(),
            next_cursor: page.next.map(user_cursor),
        })
    }

    /// Why somebody is online or not
    ///
    /// `viewer` is what the user named there sees of them, and by which rule; without `viewer`, what an admin sees,
    /// which is everything.
    #[oai(
        path = "/admin/users/:username/why",
        method = "get",
        operation_id = "explainPresence"
    )]
    async fn why(
        &self,
        _admin: AsAdmin,
        /// The name, any case.
        username: Path<String>,
        /// The name of a user who looks, any case.
        viewer: Query<Option<String>>,
    ) -> Reply<WhyOnline> {
        let name = path_name(&username)?;
        let why = self
            .0
            .presence
            .why(name.as_str(), viewer.0.as_deref())
            .await?;
        let (person, why) = why.ok_or(Error::NotFound("user"))?;
        ok(WhyOnline {
            user_id: person.id.0,
            username: person.username.to_string(),
            connections: why.connections.iter().map(ProvenConnection::from).collect(),
            grace: Grace {
                active: why.grace_until.is_some(),
                until: why.grace_until,
            },
            viewer: ViewerSees {
                is_online: why.view.is_online,
                last_seen: why.view.last_seen,
                rule: why.rule.as_str().into(),
            },
        })
    }

    /// End a connection
    ///
    /// Its session ends as `revoked`, and its user stays online for the grace; the credential is still good, and the
    /// client may come back.
    #[oai(
        path = "/admin/connections/:id",
        method = "delete",
        operation_id = "endConnection"
    )]
    async fn end(
        &self,
        _admin: AsAdmin,
        /// Which.
        id: Path<i64>,
    ) -> Reply<Ended> {
        let id = u64::try_from(id.0).ok().map(ConnectionId);
        if !id.is_some_and(|id| self.0.presence.end_connection(id)) {
            return Err(Error::NotFound("connection").into());
        }
        ok(Ended { ended: true })
    }

    /// Revoke every sign-in of somebody
    ///
    /// Their connections end at once and their sessions as `revoked`, those of a host application's tokens too; such a
    /// token itself is the host application's to revoke.
    #[oai(
        path = "/admin/users/:username/sessions",
        method = "delete",
        operation_id = "revokeSignIns"
    )]
    async fn revoke(
        &self,
        _admin: AsAdmin,
        /// The name, any case.
        username: Path<String>,
    ) -> Reply<AllRevoked> {
        let name = path_name(&username)?;
        let user = self.0.store.user_by_username(name.as_str()).await?;
        let id = user.ok_or(Error::NotFound("user"))?.id;
        let services = self.0.clone();
        let work = async move {
            let revoked = services.auth.revoke_all(id).await?;
            services.presence.end_user(id);
            Ok(revoked.len() as u64)
        };
        let revoked = self.0.to_the_end(work).await?;
        ok(AllRevoked { revoked })
    }
}

impl From<OnlineUser> for OnlineEntry {
    fn from(user: OnlineUser) -> Self {
        Self {
            user_id: user.user_id.0,
            username: user.username.to_string(),
            since: user.since,
            last_active_at: user.last_active_at,
            connections: user.connections.iter().map(ConnectionEntry::from).collect(),
        }
    }
}

impl From<&OpenConnection> for ConnectionEntry {
    fn from(connection: &OpenConnection) -> Self {
        let client = &connection.client;
        Self {
            id: connection.id.0,
            transport: connection.vitals.transport.as_str().into(),
            device_type: client.device_type,
            ip_address: client.ip_address.clone(),
            country_code: client.country_code.clone(),
            foreground: connection.foreground,
            connected_at: connection.connected_at,
        }
    }
}

impl From<&OpenConnection> for ProvenConnection {
    fn from(connection: &OpenConnection) -> Self {
        Self {
            id: connection.id.0,
            device_type: connection.client.device_type,
            foreground: connection.foreground,
            last_proof_at: connection.vitals.heard_at,
        }
    }
}
