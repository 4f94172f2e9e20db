//! What an event looks like on the wire: `event:` with a word, `data:` with JSON, and an empty line.

use crate::bus::live::{LiveEvent, PresenceChange, SessionChange, Told};
use crate::export;
use crate::model::{DeviceType, EndReason, LoggedActivity, SessionId, Status, Timestamp, UserId};
use serde::Serialize;

/// A comment, which clients ignore.
pub(super) const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// Figures of now.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Counters {
    /// Users online, also within the grace.
    pub online: usize,
    /// Open connections.
    pub connections: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Presence<'a> {
    user_id: UserId,
    username: &'a str,
    status: Status,
    timestamp: Timestamp,
    /// There exactly when offline, as in `presence_update`.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<Option<Timestamp>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'a> {
    state: &'static str,
    id: SessionId,
    user_id: UserId,
    username: &'a str,
    device_id: Option<&'a str>,
    device_type: Option<DeviceType>,
    ip_address: Option<&'a str>,
    country_code: Option<&'a str>,
    user_agent: Option<&'a str>,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    end_reason: Option<EndReason>,
}

#[derive(Serialize)]
struct Lagged {
    missed: u64,
}

/// Writes figures.
pub(super) fn counters(text: &mut String, counters: Counters) {
    write(text, "counters", &counters);
}

/// Writes what somebody who follows is told.
pub(super) fn told(text: &mut String, told: &Told) {
    match told {
        Told::Missed(missed) => write(text, "lagged", &Lagged { missed: *missed }),
        Told::Event(event) => match &**event {
            LiveEvent::Presence(change) => write(text, "presence", &Presence::from(change)),
            LiveEvent::Session(change) => write(text, "session", &Session::from(change)),
            LiveEvent::Activity(logged) => activity(text, logged),
        },
    }
}

/// Writes an activity.
pub(super) fn activity(text: &mut String, logged: &LoggedActivity) {
    write_json(text, "activity", &export::json(logged));
}

fn write(text: &mut String, event: &str, data: &impl Serialize) {
    let json = serde_json::to_string(data).expect("our own events always have a JSON form");
    write_json(text, event, &json);
}

/// Writes JSON on one line: a line break would end the data.
fn write_json(text: &mut String, event: &str, json: &str) {
    text.push_str("event: ");
    text.push_str(event);
    text.push_str("\ndata: ");
    text.push_str(json);
    text.push_str("\n\n");
}

impl<'a> From<&'a PresenceChange> for Presence<'a> {
    fn from(change: &'a PresenceChange) -> Self {
        Self {
            user_id: change.user_id,
            username: &change.username,
            status: change.status,
            timestamp: change.at,
            last_seen: (change.status == Status::Offline).then_some(change.last_seen),
        }
    }
}

impl<'a> From<&'a SessionChange> for Session<'a> {
    fn from(change: &'a SessionChange) -> Self {
        let (row, client) = (&change.row, &change.row.client);
        Self {
            state: match row.ended {
                Some(_) => "ended",
                None if change.is_resumed => "resumed",
                None => "started",
            },
            id: row.id,
            user_id: row.user_id,
            username: &change.username,
            device_id: row.device_id.as_deref(),
            device_type: client.device_type,
            ip_address: client.ip_address.as_deref(),
            country_code: client.country_code.as_deref(),
            user_agent: client.user_agent.as_deref(),
            started_at: row.started_at,
            ended_at: row.ended.map(|(at, _)| at),
            end_reason: row.ended.map(|(_, reason)| reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Activity as Row, ActivityId, Username};
    use std::sync::Arc;

    fn shown(event: LiveEvent) -> String {
        let mut text = String::new();
        told(&mut text, &Told::Event(Arc::new(event)));
        text
    }

    #[test]
    fn an_activity_is_shown_as_the_log_shows_it() {
        let at = Timestamp::from_millis(1_800_000_000_000);
        let id = ActivityId::of(at, [7; 16]);
        let text = shown(LiveEvent::Activity(LoggedActivity {
            activity: Row {
                id,
                user_id: UserId(3),
                action: "video_watched".into(),
                target_type: Some("video".into()),
                target_id: Some("v1".into()),
                metadata: Some("{\"n\":\n 12345678901234567890123,\r\n\"s\":\"a\\nb\"}".into()),
                ip_address: Some("203.0.113.7".into()),
                device_type: Some(DeviceType::Ios),
                country_code: Some("DE".into()),
                region: None,
                timestamp: at,
            },
            username: Username::new("ann").expect("a name"),
        }));
        let data = format!(
            "{{\"id\":\"{id}\",\"userId\":3,\"username\":\"ann\",\"action\":\"video_watched\",\
             \"targetType\":\"video\",\"targetId\":\"v1\",\
             \"metadata\":{{\"n\":  12345678901234567890123,  \"s\":\"a\\nb\"}},\"ipAddress\":\"203.0.113.7\",\
             \"deviceType\":\"ios\",\"countryCode\":\"DE\",\"region\":null,\"timestamp\":\"{at}\"}}"
        );
        assert_eq!(text, format!("event: activity\ndata: {data}\n\n"));
    }

    #[test]
    fn last_seen_is_there_exactly_when_offline() {
        let change = |status, last_seen| {
            let (user_id, at) = (UserId(1), Timestamp::from_millis(0));
            shown(LiveEvent::Presence(PresenceChange {
                user_id,
                username: "ann".into(),
                status,
                at,
                last_seen,
            }))
        };
        let seen = Some(Timestamp::from_millis(5));
        assert!(!change(Status::Online, seen).contains("lastSeen"));
        assert!(change(Status::Offline, None).contains("\"lastSeen\":null"));
        let text = change(Status::Offline, seen);
        assert!(
            text.starts_with("event: presence\ndata: {\"userId\":1,"),
            "{text}"
        );
        assert!(
            text.ends_with("\"lastSeen\":\"1970-01-01T00:00:00.005Z\"}\n\n"),
            "{text}"
        );
    }

    #[test]
    fn what_was_missed_is_counted() {
        let mut text = String::new();
        told(&mut text, &Told::Missed(12));
        assert_eq!(text, "event: lagged\ndata: {\"missed\":12}\n\n");
    }
}
