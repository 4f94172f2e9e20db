//! A source with the same people every time, which does as a test tells it.

use crate::model::{DeviceType, EndReason, Timestamp, Zone};
use crate::tui::source::*;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// The moment of every test: 14:30:15 in Berlin on a Tuesday.
pub(super) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-10T13:30:15Z").expect("a time")
}

pub(super) struct Fake {
    pub(super) state: Mutex<State>,
    is_live: bool,
    live: Mutex<Option<Receiver<LiveEvent>>>,
    pub(super) events: Sender<LiveEvent>,
}

pub(super) struct State {
    pub(super) fault: Option<SourceError>,
    pub(super) users: Vec<OnlineUser>,
    pub(super) sessions: Vec<Session>,
    pub(super) activities: Vec<Activity>,
    pub(super) overview: Overview,
    pub(super) disconnected: Vec<u64>,
    pub(super) zones: Vec<Zone>,
    pub(super) asked: usize,
}

const NAMES: [&str; 12] = [
    "ann", "bob", "carla", "dmitri", "elif", "farid", "grace", "hiro", "ines", "jonas", "kofi",
    "lena",
];
const COUNTRIES: [&str; 4] = ["DE", "PT", "JP", "GH"];
const DEVICES: [DeviceType; 3] = [DeviceType::Ios, DeviceType::Android, DeviceType::Web];

/// Names, then names with numbers.
pub(super) fn name(n: usize) -> String {
    let name = NAMES[n % NAMES.len()];
    match n / NAMES.len() {
        0 => name.to_owned(),
        round => format!("{name}{round}"),
    }
}

fn ago(seconds: usize) -> Timestamp {
    now().minus(Duration::from_secs(seconds as u64))
}

pub(super) fn user(n: usize) -> OnlineUser {
    let connection = |id: usize, device: usize| Connection {
        id: id as u64,
        transport: "websocket".to_owned(),
        device_type: Some(DEVICES[device % 3]),
        ip_address: Some(format!("203.0.113.{}", n % 250)),
        country_code: Some(COUNTRIES[n % 4].to_owned()),
        foreground: n % 5 != 4,
        connected_at: ago(n * 37),
    };
    let mut connections = vec![connection(n * 10 + 1, n)];
    if n % 4 == 1 {
        connections.push(connection(n * 10 + 2, n + 1));
    }
    OnlineUser {
        user_id: n as i64 + 1,
        username: name(n),
        since: ago(n * 37),
        last_active_at: (n % 7 != 6).then(|| ago(n * 11)),
        connections,
    }
}

pub(super) fn session(n: usize) -> Session {
    let reasons = [
        EndReason::Client,
        EndReason::Lost,
        EndReason::Signout,
        EndReason::Revoked,
        EndReason::Shutdown,
        EndReason::Crash,
    ];
    let is_open = n < 8;
    Session {
        id: format!("01957e00-0000-7000-8000-{n:012}"),
        user_id: n as i64 + 1,
        username: name(n),
        device_id: Some(format!("phone-{n}")),
        device_type: (n % 6 != 5).then(|| DEVICES[n % 3]),
        ip_address: Some(format!("203.0.113.{}", n % 250)),
        country_code: Some(COUNTRIES[n % 4].to_owned()),
        user_agent: Some("Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X)".to_owned()),
        started_at: ago(n * 401 + 20),
        ended_at: (!is_open).then(|| ago(n * 211)),
        end_reason: (!is_open).then(|| reasons[n % 6]),
    }
}

pub(super) fn activity(n: usize) -> Activity {
    let (action, target, metadata) = match n % 4 {
        0 => (
            "video_watched",
            Some("video"),
            r#"{"videoId":"v7","watchDuration":31.5}"#,
        ),
        1 => (
            "message_sent",
            Some("conversation"),
            r#"{"conversationId":"c9"}"#,
        ),
        2 => ("login", None, r#"{"method":"email","device":"ios"}"#),
        _ => ("user_followed", Some("user"), r#"{"targetUserId":"4"}"#),
    };
    Activity {
        id: format!("01957e11-0000-7000-8000-{:012}", 999_999 - n),
        user_id: (n % 12) as i64 + 1,
        username: name(n % 12),
        action: action.to_owned(),
        target_type: target.map(str::to_owned),
        target_id: target.map(|_| format!("t{n}")),
        timestamp: ago(n * 23),
        metadata: Some(serde_json::from_str(metadata).expect("JSON")),
        ip_address: Some("203.0.113.7".to_owned()),
        device_type: Some(DEVICES[n % 3]),
        country_code: Some(COUNTRIES[n % 4].to_owned()),
        region: Some("Lisbon".to_owned()),
    }
}

impl Fake {
    pub(super) fn new(is_live: bool) -> Self {
        let (events, live) = mpsc::channel(64);
        let state = State {
            fault: None,
            users: (0..40).map(user).collect(),
            sessions: (0..30).map(session).collect(),
            activities: (0..60).map(activity).collect(),
            overview: Overview {
                online: 1_284,
                connections: 1_610,
                dau: 3_204,
                wau: 8_112,
                mau: 20_051,
                peak_online: 1_311,
                sign_ins: 412,
                sessions: 2_750,
                activities: 48_213,
            },
            disconnected: Vec::new(),
            zones: Vec::new(),
            asked: 0,
        };
        Self {
            state: Mutex::new(state),
            is_live,
            live: Mutex::new(Some(live)),
            events,
        }
    }

    /// What of the state is the answer, unless something is wrong.
    fn answer<T>(&self, take: impl FnOnce(&mut State) -> T) -> Result<T> {
        let mut state = self.state.lock();
        state.asked += 1;
        match &state.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(take(&mut state)),
        }
    }
}

#[async_trait]
impl Source for Fake {
    fn place(&self) -> String {
        match self.is_live {
            true => "http://127.0.0.1:8080".to_owned(),
            false => "lastseen.db".to_owned(),
        }
    }

    fn is_live(&self) -> bool {
        self.is_live
    }

    async fn overview(&self, zone: Zone) -> Result<Overview> {
        self.answer(|state| {
            state.zones.push(zone);
            state.overview
        })
    }

    async fn session_figures(&self, _: Zone) -> Result<SessionFigures> {
        let hours = (0..24_u32).filter(|hour| *hour < 15);
        let mut top_hours: Vec<HourSessions> = hours
            .map(|hour| HourSessions {
                hour,
                sessions: i64::from(40 + (hour * hour * 3) % 260),
            })
            .collect();
        top_hours.sort_by_key(|top| std::cmp::Reverse(top.sessions));
        self.answer(|state| SessionFigures {
            total_sessions: state.overview.sessions,
            average_session_duration: 754.25,
            top_hours,
        })
    }

    async fn online_series(&self, _: Zone) -> Result<Vec<Point>> {
        let quarter = Duration::from_secs(900);
        let start = Timestamp::from_millis(now().as_millis() / 900_000 * 900_000);
        let point = |n: u32| Point {
            timestamp: start.minus(quarter * (95 - n)),
            value: i64::from(600 + (n * 97) % 700),
        };
        self.answer(|_| (0..96).map(point).collect())
    }

    async fn busiest_actions(&self, _: Zone, limit: usize) -> Result<Vec<ActionCount>> {
        let counts = [
            ("video_watched", 31_022),
            ("message_sent", 9_480),
            ("comment_posted", 4_011),
            ("user_followed", 2_350),
            ("login", 412),
            ("video_posted", 388),
            ("logout", 201),
            ("livestream_started", 7),
        ];
        let count = |(action, count): &(&str, i64)| ActionCount {
            action: (*action).to_owned(),
            count: *count,
        };
        self.answer(|_| counts.iter().take(limit).map(count).collect())
    }

    async fn heatmap(&self, _: Zone) -> Result<[[i64; 24]; 7]> {
        let cell = |day: usize, hour: usize| ((hour * (24 - hour)) * (day + 2)) as i64;
        self.answer(|_| std::array::from_fn(|day| std::array::from_fn(|hour| cell(day, hour))))
    }

    async fn online(&self, cursor: Option<&str>, limit: usize) -> Result<OnlinePage> {
        let from: usize = cursor.map_or(0, |cursor| cursor.parse().expect("ours"));
        self.answer(|state| {
            let users: Vec<_> = state.users.iter().skip(from).take(limit).cloned().collect();
            let end = from + users.len();
            OnlinePage {
                total: state.users.len() as u64,
                users,
                next_cursor: (end < state.users.len()).then(|| end.to_string()),
            }
        })
    }

    async fn why(&self, username: &str) -> Result<Why> {
        self.answer(|state| {
            let user = state.users.iter().find(|user| user.username == username);
            let user = user.ok_or_else(|| SourceError::Rejected("no such user".to_owned()))?;
            let proven = |connection: &Connection| ProvenConnection {
                id: connection.id,
                device_type: connection.device_type,
                foreground: connection.foreground,
                last_proof_at: ago(7),
            };
            Ok(Why {
                username: username.to_owned(),
                connections: user.connections.iter().map(proven).collect(),
                grace: Grace {
                    active: false,
                    until: None,
                },
                viewer: Viewer {
                    is_online: true,
                    last_seen: None,
                    rule: "admin".to_owned(),
                },
            })
        })?
    }

    async fn sessions(
        &self,
        query: &SessionQuery,
        _: Option<&str>,
        limit: usize,
    ) -> Result<SessionPage> {
        self.answer(|state| {
            let fits = |session: &&Session| {
                let is_open = session.ended_at.is_none();
                query.open.is_none_or(|open| open == is_open)
                    && query
                        .username
                        .as_ref()
                        .is_none_or(|name| *name == session.username)
            };
            let sessions = state.sessions.iter().filter(fits).take(limit).cloned();
            SessionPage {
                sessions: sessions.collect(),
                next_cursor: None,
            }
        })
    }

    async fn activities(
        &self,
        query: &ActivityQuery,
        _: Option<&str>,
        limit: usize,
    ) -> Result<ActivityPage> {
        self.answer(|state| {
            let is = |asked: &Option<String>, text: &str| {
                asked.as_ref().is_none_or(|asked| asked == text)
            };
            let fits = |row: &&Activity| {
                is(&query.username, &row.username) && is(&query.action, &row.action)
            };
            let rows: Vec<_> = state.activities.iter().filter(fits).cloned().collect();
            ActivityPage {
                total: rows.len() as i64,
                activities: rows.into_iter().take(limit).collect(),
                next_cursor: None,
            }
        })
    }

    async fn disconnect(&self, connection: u64) -> Result<()> {
        self.answer(|state| {
            state.disconnected.push(connection);
            state
                .users
                .retain(|user| user.connections.iter().all(|c| c.id != connection));
        })
    }

    fn follow(&self) -> Option<Receiver<LiveEvent>> {
        self.live.lock().take().filter(|_| self.is_live)
    }
}
