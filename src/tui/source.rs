//! Where the figures come from: one interface over the database file and over a server's API.
//!
//! The types are those of the API's JSON (its `data`), so that the one parses them and the other fills them in.

mod database;
mod http;
mod sse;

pub use database::DatabaseSource;
pub use http::HttpSource;

use crate::model::{DeviceType, EndReason, Status, Timestamp, Zone};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Why a source has no answer, in a form fit for a status line; holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nobody answers there now; worth trying again.
    #[error("{0}")]
    Lost(String),
    /// The key is wrong or not an administrator's; trying again is of no use.
    #[error("{0}")]
    Refused(String),
    /// What was asked for cannot be had, e.g. a user of that name.
    #[error("{0}")]
    Rejected(String),
}

/// What a source answers.
pub type Result<T> = std::result::Result<T, SourceError>;

/// Figures at a glance: of now, and of today in the zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// Users online now.
    pub online: i64,
    /// Connections now.
    pub connections: i64,
    /// Users active today, in 7 and in 30 days, today included.
    pub dau: i64,
    /// See `dau`.
    pub wau: i64,
    /// See `dau`.
    pub mau: i64,
    /// The most who were online at once today.
    pub peak_online: i64,
    /// Sign-ins today.
    pub sign_ins: i64,
    /// Sessions begun today.
    pub sessions: i64,
    /// Activities today.
    pub activities: i64,
}

/// The sessions of today in the zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionFigures {
    /// How many.
    pub total_sessions: i64,
    /// How long on average, in seconds, open ones so far.
    pub average_session_duration: f64,
    /// Hours of the day with their sessions, busiest first.
    pub top_hours: Vec<HourSessions>,
}

/// An hour of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourSessions {
    /// 0 to 23.
    pub hour: u32,
    /// How many began in it.
    pub sessions: i64,
}

/// A bucket of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// When it begins.
    pub timestamp: Timestamp,
    /// Its value.
    pub value: i64,
}

/// Who is online, one page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnlinePage {
    /// How many in all.
    pub total: u64,
    /// By id.
    pub users: Vec<OnlineUser>,
    /// For the next page.
    pub next_cursor: Option<String>,
}

/// Somebody who is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnlineUser {
    /// The id.
    pub user_id: i64,
    /// The name.
    pub username: String,
    /// Since when.
    pub since: Timestamp,
    /// When last active, where that is known.
    #[serde(default)]
    pub last_active_at: Option<Timestamp>,
    /// Open ones; over a database file those are its open sessions, and cannot be ended.
    pub connections: Vec<Connection>,
}

/// A connection of somebody who is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// For ending it; 0 where it cannot be ended.
    pub id: u64,
    /// `polling`, `websocket`, `raw`; empty where it is not known.
    pub transport: String,
    /// What it runs on.
    pub device_type: Option<DeviceType>,
    /// From where.
    pub ip_address: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// Whether the client is in the foreground.
    pub foreground: bool,
    /// Since when.
    pub connected_at: Timestamp,
}

/// Why somebody is online or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The name.
    pub username: String,
    /// Open connections, in the background too; none over a database file.
    pub connections: Vec<ProvenConnection>,
    /// The grace.
    pub grace: Grace,
    /// What the viewer sees.
    pub viewer: Viewer,
}

/// A connection and when its client was last there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvenConnection {
    /// For ending it.
    pub id: u64,
    /// What it runs on.
    pub device_type: Option<DeviceType>,
    /// Whether the client is in the foreground.
    pub foreground: bool,
    /// When anything last came from it.
    pub last_proof_at: Timestamp,
}

/// The grace of somebody without a connection in the foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grace {
    /// Whether it runs.
    pub active: bool,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// What a viewer sees of somebody, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Viewer {
    /// Online, to them.
    pub is_online: bool,
    /// When last seen, to them.
    pub last_seen: Option<Timestamp>,
    /// As `GET /admin/users/:username/why` has it.
    pub rule: String,
}

/// Sessions, newest first, one page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionPage {
    /// Newest first.
    pub sessions: Vec<Session>,
    /// For the next page.
    pub next_cursor: Option<String>,
}

/// A stretch of being online on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// The id, a UUID.
    pub id: String,
    /// Whose.
    pub user_id: i64,
    /// Whose, by name.
    pub username: String,
    /// The device's own name.
    pub device_id: Option<String>,
    /// What it runs on.
    pub device_type: Option<DeviceType>,
    /// From where.
    pub ip_address: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// What the client called itself.
    pub user_agent: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none while it is open.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
}

/// Which sessions; what is not given is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionQuery {
    /// Whose, by name; an unknown one has none.
    pub username: Option<String>,
    /// Open ones or ended ones.
    pub open: Option<bool>,
}

/// The log, newest first, one page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityPage {
    /// How many there are in all.
    pub total: i64,
    /// Newest first.
    pub activities: Vec<Activity>,
    /// For the next page.
    pub next_cursor: Option<String>,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// The id, a UUID.
    pub id: String,
    /// Who.
    pub user_id: i64,
    /// Who, by name.
    pub username: String,
    /// What.
    pub action: String,
    /// On what kind of thing.
    pub target_type: Option<String>,
    /// On which.
    pub target_id: Option<String>,
    /// When.
    pub timestamp: Timestamp,
    /// More about it.
    pub metadata: Option<serde_json::Value>,
    /// From where.
    pub ip_address: Option<String>,
    /// On what.
    pub device_type: Option<DeviceType>,
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// Part of the country.
    pub region: Option<String>,
}

/// Which rows; what is not given is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityQuery {
    /// Whose, by name; an unknown one has none.
    pub username: Option<String>,
    /// Which action, whole.
    pub action: Option<String>,
}

/// An action and how often it was done today.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionCount {
    /// The action.
    pub action: String,
    /// How often.
    pub count: i64,
}

/// The day in the zone, as the API takes it.
fn today(zone: Zone, now: Timestamp) -> String {
    zone.local(now).date.to_string()
}

/// What a live source tells by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveEvent {
    /// It is connected, and from here on nothing is missed.
    Connected,
    /// It is not, and tries again by itself after the given time.
    Lost {
        /// Why, in a line.
        why: String,
        /// When it tries again.
        retry_in: std::time::Duration,
    },
    /// Figures of now.
    Counters {
        /// Users online.
        online: i64,
        /// Connections.
        connections: i64,
    },
    /// Somebody went online or offline.
    Presence {
        /// The name.
        username: String,
        /// Which.
        status: Status,
        /// When.
        timestamp: Timestamp,
    },
    /// A session began or ended.
    Session(Box<Session>),
    /// A row was logged.
    Activity(Box<Activity>),
    /// So many events came faster than they were read.
    Lagged(u64),
}

/// Where the figures come from. Each call may take its time and is made beside the drawing.
#[async_trait]
pub trait Source: Send + Sync {
    /// What it is, for the title: the file or the address.
    fn place(&self) -> String;

    /// Whether a server answers, which tells what happens by itself and can end connections.
    fn is_live(&self) -> bool;

    /// Figures of now and today.
    async fn overview(&self, zone: Zone) -> Result<Overview>;

    /// Sessions of today.
    async fn session_figures(&self, zone: Zone) -> Result<SessionFigures>;

    /// The most that were online in each quarter hour of the last 24 hours, oldest first.
    async fn online_series(&self, zone: Zone) -> Result<Vec<Point>>;

    /// The busiest actions of today, busiest first, at most `limit`.
    async fn busiest_actions(&self, zone: Zone, limit: usize) -> Result<Vec<ActionCount>>;

    /// Sessions by weekday (0 is Monday) and hour, of all time.
    async fn heatmap(&self, zone: Zone) -> Result<[[i64; 24]; 7]>;

    /// Who is online, by id, at most 1,000 a page.
    async fn online(&self, cursor: Option<&str>, limit: usize) -> Result<OnlinePage>;

    /// Why somebody is online or not.
    async fn why(&self, username: &str) -> Result<Why>;

    /// Sessions, newest first.
    async fn sessions(
        &self,
        query: &SessionQuery,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<SessionPage>;

    /// The log, newest first.
    async fn activities(
        &self,
        query: &ActivityQuery,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActivityPage>;

    /// Ends a connection.
    async fn disconnect(&self, connection: u64) -> Result<()>;

    /// What happens, as it happens, until the receiver is dropped; `None` of a source that is not live. A lost server
    /// is told and tried again with back-off.
    fn follow(&self) -> Option<tokio::sync::mpsc::Receiver<LiveEvent>>;
}
