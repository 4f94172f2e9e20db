//! The view as a table for a file, and the chosen row as text.

use super::{App, Tab};
use crate::export;
use crate::model::{DeviceType, LoggedActivity, Timestamp};
use crate::store::SessionEntry;
use crate::tui::source::{Activity, OnlineUser, Session};
use serde::Serialize;

/// Rows under a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// The columns' names.
    pub header: Vec<&'static str>,
    /// As many values each.
    pub rows: Vec<Vec<String>>,
}

impl App {
    /// What the tab shows, whole and in its order: also what the screen has no room for. Sessions and activities are in
    /// the columns that `import` reads.
    pub fn sheet(&self) -> Sheet {
        let (header, rows): (&[&str], _) = match self.tab {
            Tab::Overview | Tab::Help => (&["figure", "value"], self.figure_rows()),
            Tab::Online => (
                &[
                    "userId",
                    "username",
                    "since",
                    "lastActiveAt",
                    "devices",
                    "countries",
                    "ipAddresses",
                    "connections",
                ],
                self.online.shown().map(online_row).collect(),
            ),
            Tab::Sessions => (
                <SessionEntry as export::Row>::COLUMNS,
                self.session_rows.shown().map(session_row).collect(),
            ),
            Tab::Activity => (
                <LoggedActivity as export::Row>::COLUMNS,
                self.activity.shown().map(|row| activity_row(row)).collect(),
            ),
        };
        Sheet {
            header: header.to_vec(),
            rows,
        }
    }

    /// The chosen row as JSON.
    pub(super) fn chosen_row(&self) -> Option<String> {
        fn json(row: &impl Serialize) -> Option<String> {
            serde_json::to_string(row).ok()
        }
        match self.tab {
            Tab::Online => self.online.chosen().and_then(json),
            Tab::Sessions => self.session_rows.chosen().and_then(json),
            Tab::Activity => self.activity.chosen().and_then(json),
            Tab::Overview | Tab::Help => None,
        }
    }

    fn figure_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![
            ["at".to_owned(), self.now.to_string()],
            ["tz".to_owned(), self.zone.name().to_owned()],
        ];
        let mut add = |name: &str, value: i64| rows.push([name.to_owned(), value.to_string()]);
        if let Some(overview) = self.figures.overview {
            add("online", overview.online);
            add("connections", overview.connections);
            add("peakOnline", overview.peak_online);
            add("dau", overview.dau);
            add("wau", overview.wau);
            add("mau", overview.mau);
            add("signIns", overview.sign_ins);
            add("sessions", overview.sessions);
            add("activities", overview.activities);
        }
        for hour in self.figures.sessions.iter().flat_map(|f| &f.top_hours) {
            add(&format!("sessions at {:02}", hour.hour), hour.sessions);
        }
        for action in self.figures.actions.iter().flatten() {
            add(&format!("action {}", action.action), action.count);
        }
        rows.into_iter().map(Vec::from).collect()
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

fn text(value: Option<&String>) -> String {
    value.cloned().unwrap_or_default()
}

fn device(device: Option<DeviceType>) -> String {
    device.map(|device| device.to_string()).unwrap_or_default()
}

fn online_row(user: &OnlineUser) -> Vec<String> {
    let addresses = user
        .connections
        .iter()
        .filter_map(|c| c.ip_address.as_deref());
    vec![
        user.user_id.to_string(),
        user.username.clone(),
        user.since.to_string(),
        time(user.last_active_at),
        user.devices().collect::<Vec<_>>().join(" "),
        user.countries().collect::<Vec<_>>().join(" "),
        addresses.collect::<Vec<_>>().join(" "),
        user.connections.len().to_string(),
    ]
}

fn session_row(session: &Session) -> Vec<String> {
    vec![
        session.id.clone(),
        session.user_id.to_string(),
        session.username.clone(),
        text(session.device_id.as_ref()),
        device(session.device_type),
        text(session.ip_address.as_ref()),
        text(session.country_code.as_ref()),
        text(session.user_agent.as_ref()),
        session.started_at.to_string(),
        time(session.ended_at),
        session
            .end_reason
            .map(|reason| reason.to_string())
            .unwrap_or_default(),
    ]
}

fn activity_row(row: &Activity) -> Vec<String> {
    vec![
        row.id.clone(),
        row.user_id.to_string(),
        row.username.clone(),
        row.action.clone(),
        text(row.target_type.as_ref()),
        text(row.target_id.as_ref()),
        row.metadata
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        text(row.ip_address.as_ref()),
        device(row.device_type),
        text(row.country_code.as_ref()),
        text(row.region.as_ref()),
        row.timestamp.to_string(),
    ]
}
