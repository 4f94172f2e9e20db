//! The figures of a database file, read-only: beside a running server, or with none.
//!
//! A server that runs is a moment ahead of its file, and one that died left people online in it. So before each answer
//! the newest proof of life is looked at: when there is none of late, everybody is offline and what is open ended then,
//! as the next start of the server will write it.

#[cfg(test)]
mod tests;

use super::{
    ActionCount, Activity, ActivityPage, ActivityQuery, Connection, Grace, HourSessions, LiveEvent,
    OnlinePage, OnlineUser, Overview, Point, Result, Session, SessionFigures, SessionPage,
    SessionQuery, Source, SourceError, Viewer, Why, today,
};
use crate::analytics::{Analytics, Interval, Metric};
use crate::error::Error;
use crate::model::{
    ActivityId, Clock, EndReason, LoggedActivity, Range, Timestamp, User, UserId, Zone,
};
use crate::store::{
    ActivityFilter, ActivityPlace, SessionCursor, SessionEntry, SessionFilter, Store,
};
use async_trait::async_trait;
use std::fmt::Display;

/// Rows of a page at most.
const MAX_LIMIT: usize = 1_000;

/// The figures of a database file.
pub struct DatabaseSource {
    store: Store,
    place: String,
    clock: Clock,
}

impl DatabaseSource {
    /// Reads `store`, which is shown as `place`.
    pub fn new(store: Store, place: String, clock: Clock) -> Self {
        Self {
            store,
            place,
            clock,
        }
    }

    /// When the server was last alive, if it is not now.
    async fn dead_since(&self) -> Result<Option<Timestamp>> {
        let now = self.clock.now();
        let boot = self.store.last_boot().await.map_err(lost)?;
        // Where no server ever ran nobody was ever online.
        Ok(boot.map_or(Some(now), |boot| boot.dead_since(now)))
    }

    async fn analytics(&self) -> Result<Analytics> {
        let dead_since = self.dead_since().await?;
        let (store, clock) = (self.store.clone(), self.clock.clone());
        Ok(Analytics::beside(store, clock, dead_since))
    }

    /// Whose rows are asked for: `Some(None)` is anyone's, `None` no one's.
    async fn whose(&self, name: Option<&str>) -> Result<Option<Option<UserId>>> {
        let Some(name) = name else {
            return Ok(Some(None));
        };
        let user = self.store.user_by_username(name).await.map_err(lost)?;
        Ok(user.map(|user| Some(user.id)))
    }

    /// Whether a user whom the store has as online is in the grace, and when they were last seen if the server died.
    async fn stretch(
        &self,
        user: &User,
        dead_since: Option<Timestamp>,
    ) -> Result<(bool, Option<Timestamp>)> {
        let newest = async |is_open| {
            let filter = SessionFilter {
                user_id: Some(user.id),
                is_open: Some(is_open),
                ..SessionFilter::default()
            };
            let page = self.store.sessions(filter, None, 1).await.map_err(lost)?;
            Ok::<_, SourceError>(page.0.into_iter().next())
        };
        let open = newest(true).await?;
        let Some(dead_since) = dead_since else {
            return Ok((open.is_none(), user.last_seen));
        };
        let seen = match open {
            Some(open) => Some(dead_since.max(open.session.started_at)),
            None => newest(false)
                .await?
                .and_then(|last| last.session.ended)
                .map(|(at, _)| at),
        };
        Ok((false, user.last_seen.max(seen)))
    }
}

fn lost(error: impl Display) -> SourceError {
    SourceError::Lost(error.to_string())
}

/// The services speak to clients of a server, from whom the cause is hidden; whoever reads the file may know it.
fn no_figures(error: Error) -> SourceError {
    match error {
        Error::Unavailable => lost("the database cannot be read now"),
        Error::Internal(cause) => lost(cause),
        other => lost(other),
    }
}

fn bad_cursor() -> SourceError {
    SourceError::Rejected("no page begins there".into())
}

fn read_cursor<T>(cursor: Option<&str>, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>> {
    let place = cursor.map(|text| read(text).ok_or_else(bad_cursor));
    place.transpose()
}

fn session_cursor(text: &str) -> Option<SessionCursor> {
    let (at, row_id) = text.split_once('.')?;
    Some(SessionCursor {
        at: Timestamp::from_millis(at.parse().ok()?),
        row_id: row_id.parse().ok()?,
    })
}

#[async_trait]
impl Source for DatabaseSource {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn is_live(&self) -> bool {
        false
    }

    async fn overview(&self, zone: Zone) -> Result<Overview> {
        let analytics = self.analytics().await?;
        let figures = analytics.overview(zone, Range::default()).await;
        let figures = figures.map_err(no_figures)?;
        let [dau, wau, mau] = figures.active;
        Ok(Overview {
            online: figures.online,
            connections: figures.connections,
            dau,
            wau,
            mau,
            // A server writes its peaks every few seconds.
            peak_online: figures.peak_online.max(figures.online),
            sign_ins: figures.sign_ins,
            sessions: figures.sessions,
            activities: figures.activities,
        })
    }

    async fn session_figures(&self, zone: Zone) -> Result<SessionFigures> {
        let today = today(zone, self.clock.now());
        let range = zone.range(Some(&today), Some(&today)).map_err(lost)?;
        let analytics = self.analytics().await?;
        let sessions = analytics
            .user_sessions(zone, range)
            .await
            .map_err(no_figures)?;
        let top_hours = sessions.top_hours.into_iter();
        Ok(SessionFigures {
            total_sessions: sessions.total,
            average_session_duration: sessions.average_seconds,
            top_hours: top_hours
                .map(|(hour, sessions)| HourSessions { hour, sessions })
                .collect(),
        })
    }

    async fn online_series(&self, zone: Zone) -> Result<Vec<Point>> {
        let analytics = self.analytics().await?;
        let (range, quarter) = (Range::default(), Interval::Quarter);
        let series = analytics.timeseries(zone, range, quarter, Metric::Online);
        let points = series.await.map_err(no_figures)?.points.into_iter();
        let points = points.map(|point| Point {
            timestamp: point.at,
            value: point.value,
        });
        Ok(points.collect())
    }

    async fn busiest_actions(&self, zone: Zone, limit: usize) -> Result<Vec<ActionCount>> {
        let analytics = self.analytics().await?;
        let actions = analytics.actions(zone, Range::default(), limit).await;
        let counts = actions.map_err(no_figures)?.counts.into_iter();
        Ok(counts
            .map(|(action, count)| ActionCount { action, count })
            .collect())
    }

    async fn heatmap(&self, zone: Zone) -> Result<[[i64; 24]; 7]> {
        let analytics = self.analytics().await?;
        let heatmap = analytics.heatmap(zone, Range::default()).await;
        Ok(heatmap.map_err(no_figures)?.cells)
    }

    async fn online(&self, cursor: Option<&str>, limit: usize) -> Result<OnlinePage> {
        let after = read_cursor(cursor, |text| text.parse().ok().map(UserId))?;
        if self.dead_since().await?.is_some() {
            return Ok(OnlinePage::default());
        }
        let (total, _) = self.store.stored_online().await.map_err(lost)?;
        let page = self
            .store
            .stored_online_page(after, limit.clamp(1, MAX_LIMIT));
        let (found, has_more) = page.await.map_err(lost)?;
        let next_cursor = found.last().filter(|_| has_more);
        let next_cursor = next_cursor.map(|user| user.user_id.to_string());
        let users = found.into_iter().map(|user| OnlineUser {
            user_id: user.user_id.0,
            username: user.username.to_string(),
            since: user.since,
            last_active_at: user.last_active_at,
            connections: user
                .sessions
                .into_iter()
                .map(|(connected_at, client)| Connection {
                    id: 0,
                    transport: String::new(),
                    device_type: client.device_type,
                    ip_address: client.ip_address.clone(),
                    country_code: client.country_code.clone(),
                    foreground: true,
                    connected_at,
                })
                .collect(),
        });
        Ok(OnlinePage {
            total: u64::try_from(total).unwrap_or_default(),
            users: users.collect(),
            next_cursor,
        })
    }

    async fn why(&self, username: &str) -> Result<Why> {
        let user = self.store.user_by_username(username).await.map_err(lost)?;
        let user = user.ok_or_else(|| SourceError::Rejected("user not found".into()))?;
        let dead_since = self.dead_since().await?;
        let (in_grace, last_seen) = if user.is_online {
            self.stretch(&user, dead_since).await?
        } else {
            (false, user.last_seen)
        };
        Ok(Why {
            username: user.username.to_string(),
            connections: Vec::new(),
            grace: Grace {
                active: in_grace,
                until: None,
            },
            viewer: Viewer {
                is_online: user.is_online && dead_since.is_none(),
                last_seen,
                rule: "admin".into(),
            },
        })
    }

    async fn sessions(
        &self,
        query: &SessionQuery,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<SessionPage> {
        let before = read_cursor(cursor, session_cursor)?;
        let dead_since = self.dead_since().await?;
        let Some(user_id) = self.whose(query.username.as_deref()).await? else {
            return Ok(SessionPage::default());
        };
        // Of a dead server none is open, and all have ended.
        let is_open = match (dead_since, query.open) {
            (Some(_), Some(true)) => return Ok(SessionPage::default()),
            (Some(_), Some(false)) => None,
            (_, open) => open,
        };
        let filter = SessionFilter {
            user_id,
            is_open,
            ..SessionFilter::default()
        };
        let page = self
            .store
            .sessions(filter, before, limit.clamp(1, MAX_LIMIT));
        let (found, has_more) = page.await.map_err(lost)?;
        let next_cursor = found.last().filter(|_| has_more).map(|entry| {
            let cursor = &entry.cursor;
            format!("{}.{}", cursor.at.as_millis(), cursor.row_id)
        });
        let sessions = found.into_iter().map(|entry| session(entry, dead_since));
        Ok(SessionPage {
            sessions: sessions.collect(),
            next_cursor,
        })
    }

    async fn activities(
        &self,
        query: &ActivityQuery,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActivityPage> {
        let before: Option<ActivityId> = read_cursor(cursor, |text| text.parse().ok())?;
        let Some(user_id) = self.whose(query.username.as_deref()).await? else {
            return Ok(ActivityPage::default());
        };
        let filter = ActivityFilter {
            user_id,
            action: query.action.clone(),
            ..ActivityFilter::default()
        };
        let place = before.map_or(ActivityPlace::Offset(0), ActivityPlace::Before);
        let limit = limit.clamp(1, MAX_LIMIT);
        let page = self.store.activities(filter, place, limit, true).await;
        let page = page.map_err(lost)?;
        Ok(ActivityPage {
            total: page.total.unwrap_or_default(),
            activities: page.activities.into_iter().map(activity).collect(),
            next_cursor: page.next.map(|id| id.to_string()),
        })
    }

    async fn disconnect(&self, _connection: u64) -> Result<()> {
        Err(SourceError::Rejected(
            "a connection is ended by its server, not in the file; give its address with --url"
                .into(),
        ))
    }

    fn follow(&self) -> Option<tokio::sync::mpsc::Receiver<LiveEvent>> {
        None
    }
}

fn session(entry: SessionEntry, dead_since: Option<Timestamp>) -> Session {
    let row = entry.session;
    let ended = row
        .ended
        .or_else(|| dead_since.map(|at| (at.max(row.started_at), EndReason::Crash)));
    let client = &row.client;
    Session {
        id: row.id.to_string(),
        user_id: row.user_id.0,
        username: entry.username.to_string(),
        device_id: row.device_id.as_deref().map(Into::into),
        device_type: client.device_type,
        ip_address: client.ip_address.clone(),
        country_code: client.country_code.clone(),
        user_agent: client.user_agent.clone(),
        started_at: row.started_at,
        ended_at: ended.map(|(at, _)| at),
        end_reason: ended.map(|(_, reason)| reason),
    }
}

fn activity(row: LoggedActivity) -> Activity {
    let activity = row.activity;
    // What is stored was JSON when it was.
    let metadata = activity.metadata.as_deref().map(serde_json::from_str);
    Activity {
        id: activity.id.to_string(),
        user_id: activity.user_id.0,
        username: row.username.to_string(),
        action: activity.action,
        target_type: activity.target_type,
        target_id: activity.target_id,
        timestamp: activity.timestamp,
        metadata: metadata.and_then(std::result::Result::ok),
        ip_address: activity.ip_address,
        device_type: activity.device_type,
        country_code: activity.country_code,
        region: activity.region,
    }
}
