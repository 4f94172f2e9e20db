//! What the analytics routes answer.

use crate::analytics::{Actions, Heatmap, Overview, Timeseries, UserSessions};
use crate::model::{DeviceType, EndReason, Timestamp, Zone};
use crate::store::{ActivityPage, OnlineAt, SessionEntry};
use poem_openapi::Object;
use poem_openapi::types::Any;

/// `true` or left out.
fn only_if(is: bool) -> Option<bool> {
    is.then_some(true)
}

/// Rows of the log.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct UserActivity {
    /// How many rows there are in all.
    total: i64,
    /// Newest first.
    activities: Vec<ActivityRow>,
    /// For the next page; null on the last.
    #[oai(nullable)]
    next_cursor: Option<String>,
    /// The zone of the dates.
    tz: String,
}

/// A row of the log.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ActivityRow {
    /// The id, a UUID.
    id: String,
    /// Whose.
    user_id: i64,
    /// Whose, by name.
    username: String,
    /// What they did.
    action: String,
    /// On what kind of thing.
    #[oai(nullable)]
    target_type: Option<String>,
    /// On which one.
    #[oai(nullable)]
    target_id: Option<String>,
    /// When.
    timestamp: Timestamp,
    /// More about it.
    #[oai(nullable)]
    metadata: Option<Any<serde_json::Value>>,
    /// The address, as far as it is kept.
    #[oai(nullable)]
    ip_address: Option<String>,
    /// `ios`, `android` or `web`.
    #[oai(nullable)]
    device_type: Option<DeviceType>,
    /// ISO 3166-1 alpha-2.
    #[oai(nullable)]
    country_code: Option<String>,
    /// A part of the country.
    #[oai(nullable)]
    region: Option<String>,
}

impl UserActivity {
    pub fn none(zone: Zone) -> Self {
        Self {
            total: 0,
            activities: Vec::new(),
            next_cursor: None,
            tz: zone.to_string(),
        }
    }

    pub fn new(page: ActivityPage, next_cursor: Option<String>, zone: Zone) -> Self {
        let rows = page.activities.into_iter().map(|row| {
            let activity = row.activity;
            // What is stored was JSON when it was.
            let parsed = activity.metadata.as_deref().map(serde_json::from_str);
            ActivityRow {
                id: activity.id.to_string(),
                user_id: activity.user_id.0,
                username: row.username.to_string(),
                action: activity.action,
                target_type: activity.target_type,
                target_id: activity.target_id,
                timestamp: activity.timestamp,
                metadata: parsed.and_then(Result::ok).map(Any),
                ip_address: activity.ip_address,
                device_type: activity.device_type,
                country_code: activity.country_code,
                region: activity.region,
            }
        });
        Self {
            total: page.total.unwrap_or_default(),
            activities: rows.collect(),
            next_cursor,
            tz: zone.to_string(),
        }
    }
}

/// Figures of sessions.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct SessionFigures {
    /// How many began in the range.
    total_sessions: i64,
    /// In seconds; 0 if there are none.
    average_session_duration: f64,
    /// Users last active today in the zone, whatever the range.
    active_users_today: i64,
    /// Hours with at least one session, busiest first.
    top_hours: Vec<HourSessions>,
    /// The zone.
    tz: String,
    /// An end within a pruned period was widened to its quarter hour; else left out.
    #[oai(skip_serializing_if_is_none)]
    approximate: Option<bool>,
}

/// Sessions of an hour of the day.
#[derive(Debug, Object)]
struct HourSessions {
    /// 0 to 23.
    hour: u32,
    /// How many began in it.
    sessions: i64,
}

impl SessionFigures {
    pub fn new(figures: UserSessions, zone: Zone) -> Self {
        let hours = figures.top_hours.into_iter();
        Self {
            total_sessions: figures.total,
            average_session_duration: figures.average_seconds,
            active_users_today: figures.active_today,
            top_hours: hours
                .map(|(hour, sessions)| HourSessions { hour, sessions })
                .collect(),
            tz: zone.to_string(),
            approximate: only_if(figures.is_approximate),
        }
    }
}

/// The figures at a glance.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct OverviewFigures {
    /// Users online now.
    online: i64,
    /// Connections now.
    connections: i64,
    /// Users active today.
    dau: i64,
    /// Users active today or in the 6 days before.
    wau: i64,
    /// Users active today or in the 29 days before.
    mau: i64,
    /// The most users online at once, by whole quarter hours.
    peak_online: i64,
    /// Sign-ins.
    sign_ins: i64,
    /// Sessions begun.
    sessions: i64,
    /// Activities.
    activities: i64,
    /// The zone.
    tz: String,
    /// An end within a pruned period was widened to its quarter hour; else left out.
    #[oai(skip_serializing_if_is_none)]
    approximate: Option<bool>,
}

impl OverviewFigures {
    pub fn new(figures: Overview, zone: Zone) -> Self {
        let [dau, wau, mau] = figures.active;
        Self {
            online: figures.online,
            connections: figures.connections,
            dau,
            wau,
            mau,
            peak_online: figures.peak_online,
            sign_ins: figures.sign_ins,
            sessions: figures.sessions,
            activities: figures.activities,
            tz: zone.to_string(),
            approximate: only_if(figures.is_approximate),
        }
    }
}

/// How often each action was done.
#[derive(Debug, Object)]
pub struct ActionFigures {
    /// The zone.
    tz: String,
    /// Busiest first, ties by name.
    actions: Vec<ActionFigure>,
    /// An end within a pruned period was widened to its quarter hour; else left out.
    #[oai(skip_serializing_if_is_none)]
    approximate: Option<bool>,
}

/// An action and how often it was done.
#[derive(Debug, Object)]
struct ActionFigure {
    /// The action.
    action: String,
    /// How often.
    count: i64,
}

impl ActionFigures {
    pub fn new(actions: Actions, zone: Zone) -> Self {
        let counts = actions.counts.into_iter();
        Self {
            tz: zone.to_string(),
            actions: counts
                .map(|(action, count)| ActionFigure { action, count })
                .collect(),
            approximate: only_if(actions.is_approximate),
        }
    }
}

/// Values over time.
#[derive(Debug, Object)]
pub struct Values {
    /// The zone.
    tz: String,
    /// As it was asked for.
    interval: String,
    /// In order, without gaps.
    points: Vec<ValueAt>,
    /// An end within a pruned period was widened to its quarter hour; else left out.
    #[oai(skip_serializing_if_is_none)]
    approximate: Option<bool>,
}

/// A value of a bucket.
#[derive(Debug, Object)]
struct ValueAt {
    /// When the bucket begins.
    timestamp: Timestamp,
    /// Its value.
    value: i64,
}

impl Values {
    pub fn new(series: Timeseries, interval: String, zone: Zone) -> Self {
        let points = series.points.into_iter().map(|point| ValueAt {
            timestamp: point.at,
            value: point.value,
        });
        Self {
            tz: zone.to_string(),
            interval,
            points: points.collect(),
            approximate: only_if(series.is_approximate),
        }
    }
}

/// Sessions by weekday and hour.
#[derive(Debug, Object)]
pub struct HeatmapCells {
    /// The zone.
    tz: String,
    /// All 168, Monday's first hour first.
    cells: Vec<HeatmapCell>,
    /// An end within a pruned period was widened to its quarter hour; else left out.
    #[oai(skip_serializing_if_is_none)]
    approximate: Option<bool>,
}

/// An hour of a weekday.
#[derive(Debug, Object)]
struct HeatmapCell {
    /// 0 is Monday.
    weekday: u32,
    /// 0 to 23.
    hour: u32,
    /// How many sessions began in it.
    sessions: i64,
}

impl HeatmapCells {
    pub fn new(heatmap: &Heatmap, zone: Zone) -> Self {
        let days = (0..).zip(&heatmap.cells);
        let cells = days.flat_map(|(weekday, hours)| {
            (0..).zip(hours).map(move |(hour, sessions)| HeatmapCell {
                weekday,
                hour,
                sessions: *sessions,
            })
        });
        Self {
            tz: zone.to_string(),
            cells: cells.collect(),
            approximate: only_if(heatmap.is_approximate),
        }
    }
}

/// Who was online at a moment.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct OnlineThen {
    /// The moment.
    at: Timestamp,
    /// How many.
    total: i64,
    /// A page of them, by id.
    users: Vec<OnlineUser>,
    /// For the next page; null on the last.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

/// Somebody who was online.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct OnlineUser {
    /// The id.
    user_id: i64,
    /// The name.
    username: String,
}

impl OnlineThen {
    pub fn new(at: Timestamp, found: OnlineAt, next_cursor: Option<String>) -> Self {
        let users = found.users.into_iter().map(|(id, username)| OnlineUser {
            user_id: id.0,
            username: username.to_string(),
        });
        Self {
            at,
            total: found.total,
            users: users.collect(),
            next_cursor,
        }
    }
}

/// Sessions.
#[derive(Debug, Default, Object)]
#[oai(rename_all = "camelCase")]
pub struct SessionList {
    /// Newest first.
    sessions: Vec<ListedSession>,
    /// For the next page; null on the last.
    #[oai(nullable)]
    next_cursor: Option<String>,
}

/// A stretch of being online on one device.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct ListedSession {
    /// The id, a UUID.
    id: String,
    /// Whose.
    user_id: i64,
    /// Whose, by name.
    username: String,
    /// The device's own name, where it gave one.
    #[oai(nullable)]
    device_id: Option<String>,
    /// `ios`, `android` or `web`.
    #[oai(nullable)]
    device_type: Option<DeviceType>,
    /// The address, as far as it is kept.
    #[oai(nullable)]
    ip_address: Option<String>,
    /// The country, where it is known.
    #[oai(nullable)]
    country_code: Option<String>,
    /// What the client called itself.
    #[oai(nullable)]
    user_agent: Option<String>,
    /// When it began.
    started_at: Timestamp,
    /// When it ended; null while it is open.
    #[oai(nullable)]
    ended_at: Option<Timestamp>,
    /// Why; null while it is open.
    #[oai(nullable)]
    end_reason: Option<EndReason>,
}

impl SessionList {
    pub fn new(found: Vec<SessionEntry>, next_cursor: Option<String>) -> Self {
        let sessions = found.into_iter().map(|entry| {
            let (session, client) = (&entry.session, &entry.session.client);
            ListedSession {
                id: session.id.to_string(),
                user_id: session.user_id.0,
                username: entry.username.to_string(),
                device_id: session.device_id.as_deref().map(Into::into),
                device_type: client.device_type,
                ip_address: client.ip_address.clone(),
                country_code: client.country_code.clone(),
                user_agent: client.user_agent.clone(),
                started_at: session.started_at,
                ended_at: session.ended.map(|(at, _)| at),
                end_reason: session.ended.map(|(_, reason)| reason),
            }
        });
        Self {
            sessions: sessions.collect(),
            next_cursor,
        }
    }
}
