//! The figures of the Overview, and what can be said of them only over time: the last hour, and how much in a minute.

use crate::model::Timestamp;
use crate::tui::source::{ActionCount, Overview, Point, SessionFigures};
use std::collections::VecDeque;
use std::time::Duration;

/// The time that one sample of ours stands for.
const SLOT: Duration = Duration::from_secs(15);
/// How far back samples go, and how many there are at most.
const HOUR: Duration = Duration::from_secs(3_600);
const SLOTS: usize = 241;
/// What a point of the source's series stands for.
const QUARTER: Duration = Duration::from_secs(900);
/// Rates are over so long.
const RATE_WINDOW: Duration = Duration::from_secs(60);
const MOST_TOTALS: usize = 300;

/// What is known.
#[derive(Debug, Default)]
pub struct Figures {
    /// Figures at a glance.
    pub overview: Option<Overview>,
    /// Sessions of today.
    pub sessions: Option<SessionFigures>,
    /// Busiest actions.
    pub actions: Option<Vec<ActionCount>>,
    /// Weekday and hour.
    pub heatmap: Option<Box<[[i64; 24]; 7]>>,
    series: Vec<Point>,
    slots: VecDeque<(i64, i64)>,
    totals: VecDeque<(Timestamp, i64, i64)>,
}

/// How much in a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Activities.
    pub activities: f64,
    /// Sign-ins.
    pub sign_ins: f64,
}

/// The most that were online in a part of the last hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How many.
    pub online: i64,
    /// Known only to a quarter of an hour.
    pub is_rough: bool,
}

impl Figures {
    /// Takes new figures.
    pub fn set_overview(&mut self, overview: Overview, now: Timestamp) {
        self.sample(overview.online, now);
        let (activities, sign_ins) = (overview.activities, overview.sign_ins);
        // A new day begins at nothing, and a rate must not be below it.
        let is_less = |&(_, a, s): &(Timestamp, i64, i64)| activities < a || sign_ins < s;
        if self.totals.back().is_some_and(is_less) {
            self.totals.clear();
        }
        self.totals.push_back((now, activities, sign_ins));
        // One that is older than the window stays, so that there is always one to count from.
        let is_over = |totals: &VecDeque<(Timestamp, i64, i64)>| {
            let second = totals.get(1);
            second.is_some_and(|(at, ..)| now.since(*at) >= RATE_WINDOW)
        };
        while is_over(&self.totals) || self.totals.len() > MOST_TOTALS {
            self.totals.pop_front();
        }
        self.overview = Some(overview);
    }

    /// Takes counters that came by themselves.
    pub fn set_counters(&mut self, online: i64, connections: i64, now: Timestamp) {
        self.sample(online, now);
        if let Some(overview) = &mut self.overview {
            overview.online = online;
            overview.connections = connections;
            overview.peak_online = overview.peak_online.max(online);
        }
    }

    /// Takes the peaks of quarter hours.
    pub fn set_series(&mut self, series: Vec<Point>) {
        self.series = series;
    }

    /// Forgets what belongs to a day of another zone.
    pub fn forget_totals(&mut self) {
        self.totals.clear();
    }

    fn sample(&mut self, online: i64, now: Timestamp) {
        let slot = now.as_millis().div_euclid(millis(SLOT));
        match self.slots.back_mut() {
            Some((last, most)) if *last == slot => *most = online.max(*most),
            // A clock that was set back: what came later is not true of the hour before it.
            Some((last, _)) if *last > slot => {
                self.slots.retain(|(at, _)| *at < slot);
                self.slots.push_back((slot, online));
            }
            _ => self.slots.push_back((slot, online)),
        }
        while self.slots.len() > SLOTS {
            self.slots.pop_front();
        }
    }

    /// How much in a minute, once there were two looks.
    pub fn rates(&self) -> Option<Rates> {
        let (first, last) = (self.totals.front()?, self.totals.back()?);
        let minutes = last.0.since(first.0).as_secs_f64() / 60.0;
        let per_minute = |from: i64, to: i64| (to - from) as f64 / minutes;
        (minutes > 0.0).then(|| Rates {
            activities: per_minute(first.1, last.1),
            sign_ins: per_minute(first.2, last.2),
        })
    }

    /// The last hour in so many parts, oldest first; nothing where nothing is known.
    pub fn last_hour(&self, now: Timestamp, parts: usize) -> Vec<Option<Sample>> {
        let (start, length) = (now.minus(HOUR).as_millis(), millis(HOUR));
        let edge = |part: usize| {
            let part = i64::try_from(part).unwrap_or(i64::MAX);
            let parts = i64::try_from(parts).unwrap_or(i64::MAX).max(1);
            start + length * part / parts
        };
        (0..parts)
            .map(|part| self.most(edge(part), edge(part + 1)))
            .collect()
    }

    fn most(&self, from: i64, to: i64) -> Option<Sample> {
        let meets = |at: i64, length: Duration| at < to && at + millis(length) > from;
        let own = self
            .slots
            .iter()
            .filter(|(slot, _)| meets(slot * millis(SLOT), SLOT))
            .map(|(_, online)| *online);
        if let Some(online) = own.max() {
            let is_rough = false;
            return Some(Sample { online, is_rough });
        }
        let points = self.series.iter();
        let known = points.filter(|point| meets(point.timestamp.as_millis(), QUARTER));
        known.map(|point| point.value).max().map(|online| Sample {
            online,
            is_rough: true,
        })
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn overview(online: i64, activities: i64) -> Overview {
        Overview {
            online,
            activities,
            sign_ins: activities / 10,
            ..Overview::default()
        }
    }

    #[test]
    fn rates_are_of_the_last_minute_and_begin_anew_with_the_day() {
        let mut figures = Figures::default();
        let second = Duration::from_secs(1);
        figures.set_overview(overview(1, 100), START);
        assert_eq!(figures.rates(), None);
        figures.set_overview(overview(1, 110), START.plus(second * 30));
        let rates = figures.rates().expect("two looks");
        assert_eq!((rates.activities, rates.sign_ins), (20.0, 2.0));
        figures.set_overview(overview(1, 110), START.plus(second * 90));
        assert_eq!(figures.rates().expect("three looks").activities, 0.0);
        figures.set_overview(overview(1, 5), START.plus(second * 92));
        assert_eq!(figures.rates(), None);
    }

    #[test]
    fn own_samples_cover_the_rough_ones() {
        let mut figures = Figures::default();
        let quarter = |n: u32| START.minus(QUARTER * n);
        figures.set_series(vec![
            Point {
                timestamp: quarter(4),
                value: 40,
            },
            Point {
                timestamp: quarter(2),
                value: 20,
            },
        ]);
        figures.set_counters(7, 9, START);
        figures.set_counters(5, 9, START.plus(Duration::from_secs(1)));
        let hour = figures.last_hour(START.plus(Duration::from_secs(2)), 4);
        let rough = |online| {
            Some(Sample {
                online,
                is_rough: true,
            })
        };
        assert_eq!(hour[..3], [rough(40), rough(20), rough(20)][..]);
        assert_eq!(
            hour[3],
            Some(Sample {
                online: 7,
                is_rough: false
            })
        );
    }

    #[test]
    fn samples_have_a_bound() {
        let mut figures = Figures::default();
        for n in 0..10_000 {
            figures.set_overview(
                overview(n, i64::from(n as i32)),
                START.plus(SLOT * n as u32),
            );
        }
        assert_eq!(figures.slots.len(), SLOTS);
        assert!(figures.totals.len() <= 6);
        figures.set_overview(overview(1, 20_000), START);
        assert_eq!(figures.slots.len(), 1, "the clock was set back");
    }
}
