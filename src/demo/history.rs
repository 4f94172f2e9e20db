//! The last days before a demo begins, as an import brings them: sessions by everybody's rhythm, and what they did.

use super::people::Person;
use super::rhythm;
use crate::model::{
    Activity, ActivityId, ClientInfo, EndReason, SessionId, SessionRow, Timestamp, UserId,
};
use crate::store::{ActivityImport, ImportSource, Imported, SessionImport, Store, UserKey};
use anyhow::bail;
use rand::Rng;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Days of history.
pub(super) const DAYS: u64 = 10;
/// Sessions at most, on average: a demo is there at once.
const SESSIONS: f64 = 3_000.0;

/// How much was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// Sessions, all ended.
    pub sessions: usize,
    /// Rows of the log.
    pub activities: usize,
}

pub(super) struct Rows {
    pub(super) sessions: Vec<SessionImport>,
    pub(super) activities: Vec<ActivityImport>,
}

impl Rows {
    pub(super) async fn write(self, store: &Store) -> anyhow::Result<Written> {
        let source = ImportSource::Elsewhere;
        Ok(Written {
            sessions: inserted(store.import_sessions(self.sessions, source).await?)?,
            activities: inserted(store.import_activities(self.activities, source).await?)?,
        })
    }
}

fn inserted(imported: Imported) -> anyhow::Result<usize> {
    match imported {
        Ok(counts) => Ok(counts.inserted),
        Err(bad) => bail!("rows of the demo were refused: {:?}", bad.first()),
    }
}

/// Everybody's last days before `now`; `ids` are theirs, in their order.
pub(super) fn make(people: &[Person], ids: &[UserId], now: Timestamp, rng: &mut impl Rng) -> Rows {
    let wanted: f64 = people.iter().map(|person| person.sessions_a_day).sum();
    let share = (SESSIONS / (wanted * DAYS as f64)).min(1.0);
    let mut rows = Rows {
        sessions: Vec::new(),
        activities: Vec::new(),
    };
    for (person, id) in people.iter().zip(ids) {
        let client = Arc::new(ClientInfo {
            device_type: Some(person.device),
            ip_address: Some(person.address.to_string()),
            country_code: Some(person.country.to_owned()),
            ..ClientInfo::default()
        });
        // At the busiest hour; the others are thinned out below.
        let gap = Duration::from_secs(86_400).div_f64(person.sessions_a_day * share / rhythm::MEAN);
        let mut at = now.minus(Duration::from_secs(DAYS * 86_400));
        loop {
            at = at.plus(rhythm::wait(gap, rng));
            let length = rhythm::wait(rhythm::SESSION, rng) + Duration::from_secs(20);
            let end = at.plus(length);
            if end >= now {
                break;
            }
            let hour = at.as_millis() as f64 / 3_600_000.0 + person.hours_ahead;
            if !rng.random_bool(rhythm::at(hour)) {
                continue;
            }
            rows.sessions.push(SessionImport {
                user: UserKey::Id(*id),
                session: SessionRow {
                    id: SessionId(ActivityId::of(at, rng.random()).0),
                    user_id: *id,
                    device_id: Some(person.device_id.clone()),
                    client: client.clone(),
                    started_at: at,
                    ended: Some((end, reason(rng))),
                },
            });
            did(&mut rows.activities, *id, &client, (at, length), rng);
            at = end;
        }
    }
    rows
}

fn reason(rng: &mut impl Rng) -> EndReason {
    match rng.random_range(0..10) {
        0..6 => EndReason::Client,
        6..9 => EndReason::Lost,
        _ => EndReason::Signout,
    }
}

/// What somebody did in a session.
fn did<R: Rng>(
    rows: &mut Vec<ActivityImport>,
    id: UserId,
    client: &ClientInfo,
    (start, length): (Timestamp, Duration),
    rng: &mut R,
) {
    let mut log = |at: Timestamp, action: &str, target: Option<(&str, u32)>, more, rng: &mut R| {
        let metadata: serde_json::Value = more;
        rows.push(ActivityImport {
            user: UserKey::Id(id),
            activity: Activity {
                id: ActivityId::of(at, rng.random()),
                user_id: id,
                action: action.to_owned(),
                target_type: target.map(|(kind, _)| kind.to_owned()),
                target_id: target.map(|(_, number)| number.to_string()),
                metadata: (!metadata.is_null()).then(|| metadata.to_string()),
                ip_address: client.ip_address.clone(),
                device_type: client.device_type,
                country_code: client.country_code.clone(),
                region: None,
                timestamp: at,
            },
        });
    };
    if rng.random_bool(0.3) {
        log(start, "login", None, json!({ "method": "email" }), rng);
    }
    for _ in 0..rng.random_range(0..4) {
        let at = start.plus(length.mul_f64(rng.random()));
        let video = rng.random_range(1..400);
        let target = Some(("video", video));
        match rng.random_range(0..10) {
            0..6 => {
                let seconds = rng.random_range(3..240);
                let more = json!({ "videoId": video, "watchDuration": seconds });
                log(at, "video_watched", target, more, rng);
            }
            6..8 => log(
                at,
                "comment_posted",
                target,
                json!({ "videoId": video }),
                rng,
            ),
            8 => log(at, "profile_viewed", None, serde_json::Value::Null, rng),
            _ => log(at, "video_posted", target, json!({ "videoId": video }), rng),
        }
    }
}
