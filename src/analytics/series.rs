//! Values over time, by the zone's own hours and days.

use super::{Analytics, LOGIN, before, quarter_of, start_of};
use crate::error::{Error, Result};
use crate::model::{LocalHour, Range, Timestamp, Zone};
use crate::store::Series;
use std::time::Duration;

/// Points of an answer at most.
const MAX_POINTS: usize = 10_000;

/// What a range is where neither end is given: so long, until now.
const DEFAULT_LENGTH: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// A quarter hour.
    Quarter,
    /// An hour of the zone; one that is repeated makes two.
    Hour,
    /// A day of the zone.
    Day,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The most users online at once.
    Online,
    /// Activities, of one action or of all.
    Activities(Option<String>),
    /// Sessions by their beginning.
    Sessions,
    /// Sign-ins.
    SignIns,
}

/// A bucket's beginning and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When the bucket begins, also when the range begins within it.
    pub at: Timestamp,
    /// Its value; 0 if it is empty.
    pub value: i64,
}

/// Values over time.
#[derive(Clone, Debug)]
pub struct Timeseries {
    /// In order, empty buckets included.
    pub points: Vec<Point>,
    /// An end was widened to its quarter hour.
    pub is_approximate: bool,
}

impl Analytics {
    /// Values of `metric` over `range`, by default the last 24 hours. A bucket that the range cuts has what is in the
    /// range; of `online`, the highest of the quarter hours that it touches.
    ///
    /// # Errors
    /// Too many points, or the store cannot answer.
    pub async fn timeseries(
        &self,
        zone: Zone,
        range: Range,
        interval: Interval,
        metric: Metric,
    ) -> Result<Timeseries> {
        let to = range.to.unwrap_or_else(|| self.clock.now());
        let from = range.from.unwrap_or_else(|| to.minus(DEFAULT_LENGTH));
        let starts = buckets(zone, interval, from, to).ok_or_else(|| {
            let message = format!("has more than {MAX_POINTS} points in this range");
            Error::invalid("interval", message)
        })?;
        let is_peak = metric == Metric::Online;
        let series = match metric {
            Metric::Online => Series::Online,
            Metric::Activities(action) => Series::Activities(action),
            Metric::Sessions => Series::Sessions,
            Metric::SignIns => Series::Activities(Some(LOGIN.into())),
        };
        let (quarters, is_approximate) = self.quarters(series, from, to).await?;
        let mut points: Vec<_> = starts
            .into_iter()
            .map(|at| Point { at, value: 0 })
            .collect();
        for (quarter, value) in quarters {
            let behind = points.partition_point(|point| point.at <= start_of(quarter));
            let Some(point) = behind.checked_sub(1).and_then(|i| points.get_mut(i)) else {
                continue;
            };
            point.value = if is_peak {
                point.value.max(value)
            } else {
                point.value + value
            };
        }
        Ok(Timeseries {
            points,
            is_approximate,
        })
    }
}

/// Where the buckets that have something of `from..to` begin; `None` when they are too many.
fn buckets(
    zone: Zone,
    interval: Interval,
    from: Timestamp,
    to: Timestamp,
) -> Option<Vec<Timestamp>> {
    let mut starts: Vec<Timestamp> = Vec::new();
    if from >= to {
        return Some(starts);
    }
    let (first, last) = (quarter_of(from), quarter_of(before(to)));
    if interval == Interval::Day {
        let end = zone.local(before(to)).date;
        let mut date = zone.local(from).date;
        while date <= end {
            let start = zone.start_of_day(date);
            // A day that was skipped begins with the next one.
            if starts.last() != Some(&start) {
                starts.push(start);
            }
            if starts.len() > MAX_POINTS {
                return None;
            }
            date = date.succ_opt()?;
        }
        return Some(starts);
    }
    let key = |quarter: i64| -> (LocalHour, i64) {
        let part = if interval == Interval::Quarter {
            quarter
        } else {
            0
        };
        (zone.local(start_of(quarter)), part)
    };
    let mut first_of_bucket = first;
    while key(first_of_bucket - 1) == key(first) {
        first_of_bucket -= 1;
    }
    starts.push(start_of(first_of_bucket));
    let mut current = key(first);
    for quarter in first + 1..=last {
        let next = key(quarter);
        if next != current {
            starts.push(start_of(quarter));
            current = next;
        }
        if starts.len() > MAX_POINTS {
            return None;
        }
    }
    Some(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(zone: &str, interval: Interval, day: &str) -> Vec<String> {
        let zone: Zone = zone.parse().expect("a zone");
        let range = zone.range(Some(day), Some(day)).expect("a day");
        let (from, to) = (range.from.expect("a start"), range.to.expect("an end"));
        let starts = buckets(zone, interval, from, to).expect("not too many");
        starts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn hours_are_the_zones_own() {
        let la = |day| of("America/Los_Angeles", Interval::Hour, day).len();
        assert_eq!(
            (la("2026-03-08"), la("2026-11-01"), la("2026-11-02")),
            (23, 25, 24)
        );
        let kathmandu = of("Asia/Kathmandu", Interval::Hour, "2026-01-01");
        assert_eq!(kathmandu[1], "2025-12-31T19:15:00.000Z");
        // Half an hour is repeated: it is a bucket of its own.
        assert_eq!(
            of("Australia/Lord_Howe", Interval::Hour, "2026-04-05").len(),
            25
        );
    }

    #[test]
    fn a_cut_bucket_begins_before_the_range() {
        let at = |text| Timestamp::parse_rfc3339(text).expect("a time");
        let (from, to) = (at("2026-01-01T10:40:00Z"), at("2026-01-01T11:00:00.001Z"));
        let starts = |interval| buckets(Zone::UTC, interval, from, to).expect("few");
        let hours = [at("2026-01-01T10:00:00Z"), at("2026-01-01T11:00:00Z")];
        assert_eq!(starts(Interval::Hour), hours);
        assert_eq!(starts(Interval::Quarter).len(), 3);
        assert_eq!(starts(Interval::Day), [at("2026-01-01T00:00:00Z")]);
    }

    #[test]
    fn ten_thousand_and_no_more() {
        let at = |quarters: i64| start_of(quarters);
        let many = |n| buckets(Zone::UTC, Interval::Quarter, at(0), at(n)).map(|b| b.len());
        assert_eq!(many(10_000), Some(10_000));
        assert_eq!(many(10_001), None);
        let all = Zone::UTC
            .range(Some("0000-01-01"), Some("9999-12-31"))
            .expect("a range");
        let (from, to) = (all.from.expect("a start"), all.to.expect("an end"));
        for interval in [Interval::Quarter, Interval::Hour, Interval::Day] {
            assert_eq!(buckets(Zone::UTC, interval, from, to), None, "{interval:?}");
        }
    }
}
