//! What administrators are shown of who is connected, before anyone's privacy.

use super::link::Vitals;
use super::visibility::Rule;
use crate::model::{ClientInfo, ConnectionId, PresenceView, Timestamp, UserId};
use std::sync::Arc;

/// One open connection.
#[derive(Clone, Debug)]
pub struct OpenConnection {
    /// Its number.
    pub id: ConnectionId,
    /// Where it comes from.
    pub client: Arc<ClientInfo>,
    /// Whether its client says that it is in the foreground.
    pub foreground: bool,
    /// Since when it is open.
    pub connected_at: Timestamp,
    /// What it knows of itself.
    pub vitals: Vitals,
}

/// Somebody who is online, also within the grace.
#[derive(Clone, Debug)]
pub struct OnlineUser {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub username: Arc<str>,
    /// Since when.
    pub since: Timestamp,
    /// When last active, if that was of late.
    pub last_active_at: Option<Timestamp>,
    /// Their connections; none within the grace.
    pub connections: Vec<OpenConnection>,
}

/// Some of those who are online, by id.
#[derive(Clone, Debug)]
pub struct OnlinePage {
    /// How many are online in all.
    pub total: usize,
    /// These.
    pub users: Vec<OnlineUser>,
    /// There are more, with ids above this.
    pub next: Option<UserId>,
}

/// Why somebody is online or not, to whom.
#[derive(Clone, Debug)]
pub struct Why {
    /// Their connections, in the background too.
    pub connections: Vec<OpenConnection>,
    /// When the grace ends that keeps them online.
    pub grace_until: Option<Timestamp>,
    /// What the viewer sees.
    pub view: PresenceView,
    /// By which rule.
    pub rule: Rule,
}
