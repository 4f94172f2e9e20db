//! Analytics: dates and zones in, counts out.
//!
//! What is kept is counted by quarter hours of UTC, with which every zone's hours and days begin; here those are put
//! together in the zone that is asked for. Where a range begins or ends within a quarter hour, that one is counted
//! from the rows; only in a pruned period is it widened, and the answer says that it is approximate.

mod present;
mod series;

use present::Present;
pub use series::{Interval, Metric, Point, Timeseries};

use crate::error::Result;
use crate::model::{Clock, FieldError, Range, Timestamp, Zone};
use crate::presence::PresenceService;
use crate::store::{QUARTER_MS, Series, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The action that counts as signing in.
const LOGIN: &str = "login";

/// Days before today with which today makes a week, and a month.
const WEEK: u64 = 6;
const MONTH: u64 = 29;

/// Answers what administrators ask of counts.
#[derive(Clone)]
pub struct Analytics {
    store: Store,
    present: Present,
    clock: Clock,
    default_zone: Zone,
}

/// The sessions of a range.
#[derive(Clone, Debug)]
pub struct UserSessions {
    /// How many began in it.
    pub total: i64,
    /// How long they lasted on average, in seconds, open ones so far; 0 if there are none.
    pub average_seconds: f64,
    /// Users last active today in the zone, whatever the range.
    pub active_today: i64,
    /// Hours of the day with their sessions, busiest first.
    pub top_hours: Vec<(u32, i64)>,
    /// An end was widened to its quarter hour.
    pub is_approximate: bool,
}

/// The figures at a glance.
#[derive(Clone, Copy, Debug)]
pub struct Overview {
    /// Users online now.
    pub online: i64,
    /// Connections now.
    pub connections: i64,
    /// Users active today, in the last 7 and in the last 30 days, today included.
    pub active: [i64; 3],
    /// The most users online at once in the range.
    pub peak_online: i64,
    /// Sign-ins in the range.
    pub sign_ins: i64,
    /// Sessions begun in the range.
    pub sessions: i64,
    /// Activities in the range.
    pub activities: i64,
    /// An end was widened to its quarter hour.
    pub is_approximate: bool,
}

/// How often each action was done.
#[derive(Clone, Debug)]
pub struct Actions {
    /// Busiest first, ties by name.
    pub counts: Vec<(String, i64)>,
    /// An end was widened to its quarter hour.
    pub is_approximate: bool,
}

/// Sessions by weekday (0 is Monday) and hour.
#[derive(Clone, Debug)]
pub struct Heatmap {
    /// All of a week.
    pub cells: [[i64; 24]; 7],
    /// An end was widened to its quarter hour.
    pub is_approximate: bool,
}

impl Analytics {
    /// Counts of a running server, in `default_zone` where a request names none.
    pub fn new(store: Store, presence: PresenceService, clock: Clock, default_zone: Zone) -> Self {
        Self {
            store,
            present: Present::Here(presence),
            clock,
            default_zone,
        }
    }

    /// Counts of what is in the store alone, beside a server or without one. When that died, at `dead_since`, what it
    /// left open ended then.
    pub fn beside(store: Store, clock: Clock, dead_since: Option<Timestamp>) -> Self {
        Self {
            store,
            present: Present::Elsewhere { dead_since },
            clock,
            default_zone: Zone::UTC,
        }
    }

    /// The zone that a request asks for.
    ///
    /// # Errors
    /// There is no such zone.
    pub fn zone(&self, tz: Option<&str>) -> Result<Zone> {
        match tz {
            None => Ok(self.default_zone),
            Some(name) => Ok(name.parse().map_err(|why| FieldError::new("tz", why))?),
        }
    }

    /// Sessions of `range`: how many, how long, and at what hours.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn user_sessions(&self, zone: Zone, range: Range) -> Result<UserSessions> {
        let now = self.clock.now();
        let (from, to) = self.session_range(range).await?;
        let open_until = self.present.open_until(now);
        // None waits for another.
        let (tally, (quarters, _), active) = tokio::try_join!(
            async { Ok(self.store.tally_sessions(from, to, open_until).await?) },
            self.quarters(Series::Sessions, from, to),
            self.active(vec![zone.days_before(now, 0)]),
        )?;
        let mut hours = [0; 24];
        for (quarter, sessions) in quarters {
            hours[zone.local(start_of(quarter)).hour as usize] += sessions;
        }
        let mut top_hours: Vec<_> = (0..).zip(hours).filter(|(_, n)| *n > 0).collect();
        top_hours.sort_by_key(|(hour, sessions)| (std::cmp::Reverse(*sessions), *hour));
        Ok(UserSessions {
            total: tally.tally.count,
            average_seconds: average(tally.duration_ms, tally.tally.count),
            active_today: active.first().copied().unwrap_or_default(),
            top_hours,
            is_approximate: tally.tally.is_approximate,
        })
    }

    /// The figures at a glance, those of a range by default of today.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn overview(&self, zone: Zone, range: Range) -> Result<Overview> {
        let now = self.clock.now();
        let today = zone.days_before(now, 0);
        let (from, to) = today_unless(zone, now, range);
        let since = vec![
            today,
            zone.days_before(now, WEEK),
            zone.days_before(now, MONTH),
        ];
        let of_range = async {
            Ok(tokio::try_join!(
                self.store.tally_activities(Some(LOGIN.into()), from, to),
                self.store.tally_activities(None, from, to),
                self.store.tally_sessions(from, to, now),
                self.store.peak_online(from, to),
            )?)
        };
        let ((sign_ins, activities, sessions, peak), active, (online, connections)) =
            tokio::try_join!(of_range, self.active(since), self.present.now(&self.store))?;
        let sessions = sessions.tally;
        let unwritten = self.present.unwritten_peaks();
        let quarters = quarter_of(from)..=quarter_of(before(to));
        let peak_online = unwritten
            .into_iter()
            .filter(|(quarter, _)| quarters.contains(quarter))
            .map(|(_, peak)| peak)
            .fold(peak, i64::max);
        Ok(Overview {
            online,
            connections,
            active: [0, 1, 2].map(|i| active.get(i).copied().unwrap_or_default()),
            peak_online,
            sign_ins: sign_ins.count,
            sessions: sessions.count,
            activities: activities.count,
            is_approximate: sign_ins.is_approximate
                || activities.is_approximate
                || sessions.is_approximate,
        })
    }

    /// The actions of `range`, by default of today: the busiest `limit` of those that were done in it.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn actions(&self, zone: Zone, range: Range, limit: usize) -> Result<Actions> {
        let (from, to) = today_unless(zone, self.clock.now(), range);
        let mut tallies = self.store.tally_each_action(from, to).await?;
        let is_approximate = tallies.iter().any(|(_, tally)| tally.is_approximate);
        tallies.sort_by(|(a, x), (b, y)| y.count.cmp(&x.count).then_with(|| a.cmp(b)));
        tallies.truncate(limit);
        Ok(Actions {
            counts: tallies
                .into_iter()
                .map(|(action, tally)| (action, tally.count))
                .collect(),
            is_approximate,
        })
    }

    /// Sessions of `range` by weekday and hour.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn heatmap(&self, zone: Zone, range: Range) -> Result<Heatmap> {
        let (from, to) = self.session_range(range).await?;
        let (quarters, is_approximate) = self.quarters(Series::Sessions, from, to).await?;
        let mut cells = [[0; 24]; 7];
        for (quarter, sessions) in quarters {
            let local = zone.local(start_of(quarter));
            cells[local.weekday as usize][local.hour as usize] += sessions;
        }
        Ok(Heatmap {
            cells,
            is_approximate,
        })
    }

    /// Writes the most that were online in each quarter hour, unless more were.
    ///
    /// # Errors
    /// When the store cannot take it; what is not written is kept for the next time.
    pub async fn write_peaks(&self) -> Result<()> {
        let unwritten = self.present.unwritten_peaks();
        if unwritten.is_empty() {
            return Ok(());
        }
        self.store.note_peaks(unwritten.clone()).await?;
        self.present.peaks_written(&unwritten);
        Ok(())
    }

    async fn active(&self, since: Vec<Timestamp>) -> Result<Vec<i64>> {
        Ok(self
            .store
            .active_users(since, self.present.lately_active())
            .await?)
    }

    /// `range` with the ends that it leaves open where sessions begin and end.
    async fn session_range(&self, range: Range) -> Result<(Timestamp, Timestamp)> {
        let span = self.store.session_span().await?.unwrap_or_default();
        let from = range.from.unwrap_or(start_of(span.0));
        let to = range.to.unwrap_or(start_of(span.1.saturating_add(1)));
        Ok((from, to.max(from)))
    }

    /// Quarter hours with what `from..to` has of each, and whether an end is approximate.
    async fn quarters(
        &self,
        series: Series,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(Vec<(i64, i64)>, bool)> {
        if from >= to {
            return Ok((Vec::new(), false));
        }
        let (first, last) = (quarter_of(from), quarter_of(before(to)));
        let mut values = self.store.series(series.clone(), first, last + 1).await?;
        if series == Series::Online {
            let mut peaks: BTreeMap<i64, i64> = values.into_iter().collect();
            for (quarter, peak) in self.present.unwritten_peaks() {
                if (first..=last).contains(&quarter) {
                    let highest = peaks.entry(quarter).or_default();
                    *highest = peak.max(*highest);
                }
            }
            return Ok((peaks.into_iter().collect(), false));
        }
        let mut is_approximate = false;
        for quarter in BTreeSet::from([first, last]) {
            let part = (from.max(start_of(quarter)), to.min(start_of(quarter + 1)));
            if part == (start_of(quarter), start_of(quarter + 1)) {
                continue;
            }
            let tally = match &series {
                Series::Online => continue,
                Series::Sessions => {
                    self.store
                        .tally_sessions(part.0, part.1, part.1)
                        .await?
                        .tally
                }
                Series::Activities(action) => {
                    let action = action.clone();
                    self.store.tally_activities(action, part.0, part.1).await?
                }
            };
            is_approximate |= tally.is_approximate;
            if let Some(value) = values.iter_mut().find(|(q, _)| *q == quarter) {
                value.1 = tally.count;
            }
        }
        Ok((values, is_approximate))
    }
}

/// Later than any row.
const FAR: Timestamp = Timestamp::from_millis(253_402_300_800_000);

/// The ends of `range`. One end alone leaves the other open; neither is today.
fn today_unless(zone: Zone, now: Timestamp, range: Range) -> (Timestamp, Timestamp) {
    match (range.from, range.to) {
        (None, None) => (
            zone.days_before(now, 0),
            zone.start_of_day(tomorrow(zone, now)),
        ),
        (from, to) => (from.unwrap_or(Timestamp::from_millis(0)), to.unwrap_or(FAR)),
    }
}

fn tomorrow(zone: Zone, now: Timestamp) -> chrono::NaiveDate {
    let today = zone.local(now).date;
    today.succ_opt().unwrap_or(today)
}

fn before(at: Timestamp) -> Timestamp {
    at.minus(Duration::from_millis(1))
}

fn quarter_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(QUARTER_MS)
}

fn start_of(quarter: i64) -> Timestamp {
    Timestamp::from_millis(quarter.saturating_mul(QUARTER_MS))
}

/// In seconds, to the millisecond.
fn average(duration_ms: i64, count: i64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    (duration_ms as f64 / count as f64).round() / 1000.0
}
