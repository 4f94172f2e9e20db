//! What is listed: people online, sessions, the log; by what they are sorted and found.

use super::filter::Filter;
use super::listing::Row;
use crate::model::{DeviceType, Timestamp};
use crate::tui::source::{Activity, OnlineUser, Session};
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// Columns of the people who are online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlineColumn {
    /// The name.
    User,
    /// What they are on.
    Device,
    /// Where.
    Country,
    /// Since when, the newest first.
    Since,
    /// Last active, the newest first.
    LastActive,
}

impl Row for OnlineUser {
    type Id = i64;
    type Column = OnlineColumn;
    const COLUMNS: &'static [OnlineColumn] = &[
        OnlineColumn::User,
        OnlineColumn::Device,
        OnlineColumn::Country,
        OnlineColumn::Since,
        OnlineColumn::LastActive,
    ];

    fn id(&self) -> i64 {
        self.user_id
    }

    fn compare(&self, other: &Self, column: OnlineColumn, _: Timestamp) -> Ordering {
        match column {
            OnlineColumn::User => by_name(&self.username, &other.username),
            OnlineColumn::Device => self.devices().cmp(other.devices()),
            OnlineColumn::Country => last_if_none(self.countries().min(), other.countries().min()),
            OnlineColumn::Since => other.since.cmp(&self.since),
            OnlineColumn::LastActive => other.last_active_at.cmp(&self.last_active_at),
        }
    }

    fn passes(&self, filter: &Filter) -> bool {
        let addresses = self
            .connections
            .iter()
            .filter_map(|c| c.ip_address.as_deref());
        let texts = self.devices().chain(self.countries()).chain(addresses);
        filter.passes(&self.username, None, texts)
    }
}

impl OnlineUser {
    /// What they are on, as words.
    pub fn devices(&self) -> impl Iterator<Item = &str> + Clone + '_ {
        let word = |device: DeviceType| -> &str { device.as_str() };
        let connections = self.connections.iter();
        connections.filter_map(move |c| c.device_type.map(word))
    }

    /// Where they are.
    pub fn countries(&self) -> impl Iterator<Item = &str> + Clone {
        let connections = self.connections.iter();
        connections.filter_map(|c| c.country_code.as_deref())
    }
}

/// Columns of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionColumn {
    /// The name.
    User,
    /// What it runs on.
    Device,
    /// Where.
    Country,
    /// When it began, the newest first.
    Started,
    /// How long, the longest first.
    Duration,
    /// How it ended, open ones first.
    Ended,
}

impl Row for Session {
    type Id = String;
    type Column = SessionColumn;
    const COLUMNS: &'static [SessionColumn] = &[
        SessionColumn::User,
        SessionColumn::Device,
        SessionColumn::Country,
        SessionColumn::Started,
        SessionColumn::Duration,
        SessionColumn::Ended,
    ];

    fn id(&self) -> String {
        self.id.clone()
    }

    fn compare(&self, other: &Self, column: SessionColumn, now: Timestamp) -> Ordering {
        match column {
            SessionColumn::User => by_name(&self.username, &other.username),
            SessionColumn::Device => last_if_none(
                self.device_type.map(DeviceType::as_str),
                other.device_type.map(DeviceType::as_str),
            ),
            SessionColumn::Country => {
                last_if_none(self.country_code.as_deref(), other.country_code.as_deref())
            }
            SessionColumn::Started => other.started_at.cmp(&self.started_at),
            SessionColumn::Duration => other.length(now).cmp(&self.length(now)),
            SessionColumn::Ended => self.ending().cmp(other.ending()),
        }
    }

    fn passes(&self, filter: &Filter) -> bool {
        let texts = [
            self.device_type.map(DeviceType::as_str),
            self.device_id.as_deref(),
            self.country_code.as_deref(),
            self.ip_address.as_deref(),
            self.user_agent.as_deref(),
            Some(self.word()),
        ];
        filter.passes(&self.username, None, texts.into_iter().flatten())
    }
}

impl Session {
    /// How long it was, so far if it is open.
    pub fn length(&self, now: Timestamp) -> Duration {
        self.ended_at.unwrap_or(now).since(self.started_at)
    }

    /// `open`, or why it ended.
    pub fn word(&self) -> &'static str {
        match self.ended_at {
            None => "open",
            Some(_) => self.end_reason.map_or("ended", |reason| reason.as_str()),
        }
    }

    /// Sorts open ones before the others.
    fn ending(&self) -> &'static str {
        if self.ended_at.is_none() {
            ""
        } else {
            self.word()
        }
    }
}

/// Columns of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityColumn {
    /// When, the newest first.
    Time,
    /// The name.
    User,
    /// What they did.
    Action,
    /// On what.
    Target,
}

impl Row for Arc<Activity> {
    type Id = String;
    type Column = ActivityColumn;
    const COLUMNS: &'static [ActivityColumn] = &[
        ActivityColumn::Time,
        ActivityColumn::User,
        ActivityColumn::Action,
        ActivityColumn::Target,
    ];

    fn id(&self) -> String {
        self.id.clone()
    }

    fn compare(&self, other: &Self, column: ActivityColumn, _: Timestamp) -> Ordering {
        match column {
            ActivityColumn::Time => newest_first(self, other),
            ActivityColumn::User => by_name(&self.username, &other.username),
            ActivityColumn::Action => self.action.cmp(&other.action),
            ActivityColumn::Target => last_if_none(self.target(), other.target()),
        }
    }

    fn passes(&self, filter: &Filter) -> bool {
        // Written out only for a filter that asks for words.
        let metadata = self.metadata.as_ref().filter(|_| filter.has_words());
        let metadata = metadata.map(ToString::to_string);
        let texts = [
            self.target_type.as_deref(),
            self.target_id.as_deref(),
            self.device_type.map(DeviceType::as_str),
            self.country_code.as_deref(),
            self.region.as_deref(),
            self.ip_address.as_deref(),
            metadata.as_deref(),
        ];
        let texts = texts.into_iter().flatten();
        filter.passes(&self.username, Some(&self.action), texts)
    }
}

impl Activity {
    fn target(&self) -> Option<(&str, &str)> {
        let id = self.target_id.as_deref().unwrap_or_default();
        let kind = self.target_type.as_deref();
        kind.map(|kind| (kind, id))
    }
}

/// By time, then id: the order of the log itself.
pub fn newest_first(one: &Activity, other: &Activity) -> Ordering {
    let of = |row: &Activity| row.timestamp;
    let by_time = of(other).cmp(&of(one));
    by_time.then_with(|| other.id.cmp(&one.id))
}

fn by_name(one: &str, other: &str) -> Ordering {
    // Without a copy: names are ASCII, and of others the order of their bytes will do.
    let one = one.bytes().map(|byte| byte.to_ascii_lowercase());
    one.cmp(other.bytes().map(|byte| byte.to_ascii_lowercase()))
}

fn last_if_none<T: Ord>(one: Option<T>, other: Option<T>) -> Ordering {
    match (one, other) {
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (one, other) => one.cmp(&other),
    }
}
