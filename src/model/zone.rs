//! Time zones by their IANA names: when a day begins in one, and which hour of which day an instant is in.

use super::{FieldError, Timestamp};
use chrono::{
    DateTime, Datelike, Days, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::Tz;
use std::fmt;
use std::str::FromStr;

/// The longest gap that clocks have jumped, a whole day, and some.
const LONGEST_GAP_MINUTES: i64 = 26 * 60;

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

/// A moment as clocks in a zone show it, to the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalHour {
    /// The day.
    pub date: NaiveDate,
    /// 0 is Monday.
    pub weekday: u32,
    /// 0 to 23.
    pub hour: u32,
    /// Seconds ahead of UTC: tells an hour from the same one repeated when clocks go back.
    pub offset: i32,
}

/// A range of time: from its start to before its end; an end that is not given is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
}

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(Tz::UTC);

    /// The IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What clocks show at `at`.
    pub fn local(self, at: Timestamp) -> LocalHour {
        let utc = DateTime::<Utc>::from_timestamp_millis(at.as_millis()).unwrap_or(
            // Only of times that no request and no row can hold.
            DateTime::<Utc>::UNIX_EPOCH,
        );
        let local = utc.with_timezone(&self.0);
        LocalHour {
            date: local.date_naive(),
            weekday: local.weekday().num_days_from_monday(),
            hour: local.hour(),
            offset: local.offset().fix().local_minus_utc(),
        }
    }

    /// When `date` begins. Where midnight does not exist it is the end of the gap; a day that was skipped begins, and
    /// ends, where the next one does.
    pub fn start_of_day(self, date: NaiveDate) -> Timestamp {
        let midnight = date.and_time(NaiveTime::MIN);
        for minutes in 0..=LONGEST_GAP_MINUTES {
            let local = midnight + TimeDelta::minutes(minutes);
            if let Some(found) = self.0.from_local_datetime(&local).earliest() {
                return Timestamp::from_millis(found.timestamp_millis());
            }
        }
        Timestamp::from_millis(midnight.and_utc().timestamp_millis())
    }

    /// When the day `days` before that of `at` begins.
    pub fn days_before(self, at: Timestamp, days: u64) -> Timestamp {
        let date = self.local(at).date;
        self.start_of_day(date.checked_sub_days(Days::new(days)).unwrap_or(date))
    }

    /// The range of the two texts: RFC 3339 instants (the start is in it, the end is not) or days `YYYY-MM-DD` of the
    /// zone (both are in it).
    ///
    /// # Errors
    /// A text is neither, or the end is before the start.
    pub fn range(self, start: Option<&str>, end: Option<&str>) -> Result<Range, FieldError> {
        let from = start
            .map(|text| self.bound("startDate", text, false))
            .transpose()?;
        let to = end
            .map(|text| self.bound("endDate", text, true))
            .transpose()?;
        // Of an end that is a day, the whole day has to be before the start.
        let is_reversed = match (start.and_then(day), end.and_then(day)) {
            (Some(start), Some(end)) => start > end,
            (None, Some(_)) => from.zip(to).is_some_and(|(from, to)| from >= to),
            _ => from.zip(to).is_some_and(|(from, to)| from > to),
        };
        if is_reversed {
            return Err(FieldError::new("endDate", "must not be before startDate"));
        }
        Ok(Range { from, to })
    }

    fn bound(self, field: &'static str, text: &str, is_end: bool) -> Result<Timestamp, FieldError> {
        let wrong = || FieldError::new(field, "must be an RFC 3339 time or a day as YYYY-MM-DD");
        let Some(date) = day(text) else {
            return instant(text).ok_or_else(wrong);
        };
        let date = if is_end {
            date.succ_opt().ok_or_else(wrong)?
        } else {
            date
        };
        Ok(self.start_of_day(date))
    }
}

/// Reads an RFC 3339 instant.
fn instant(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text).ok()
}

/// Reads `YYYY-MM-DD`, and nothing like it.
fn day(text: &str) -> Option<NaiveDate> {
    let is_shaped = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    is_shaped.then(|| text.parse().ok()).flatten()
}

impl FromStr for Zone {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| "must be the IANA name of a time zone, such as Europe/Berlin")
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_of(zone: &str, text: &str) -> (String, i64) {
        let zone: Zone = zone.parse().expect("a zone");
        let range = zone.range(Some(text), Some(text)).expect("a day");
        let (from, to) = (range.from.expect("a start"), range.to.expect("an end"));
        (
            from.to_string(),
            (to.as_millis() - from.as_millis()) / 60_000,
        )
    }

    #[test]
    fn days_are_as_long_as_the_zone_has_them() {
        let cases = [
            ("UTC", "2026-03-08", "2026-03-08T00:00:00.000Z", 1440),
            (
                "America/Los_Angeles",
                "2026-03-08",
                "2026-03-08T08:00:00.000Z",
                1380,
            ),
            (
                "America/Los_Angeles",
                "2026-11-01",
                "2026-11-01T07:00:00.000Z",
                1500,
            ),
            (
                "Asia/Kathmandu",
                "2026-01-01",
                "2025-12-31T18:15:00.000Z",
                1440,
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-05",
                "2026-04-04T13:00:00.000Z",
                1470,
            ),
            // Midnight does not exist.
            (
                "America/Sao_Paulo",
                "2018-11-04",
                "2018-11-04T03:00:00.000Z",
                1380,
            ),
            (
                "America/Sao_Paulo",
                "2018-02-17",
                "2018-02-17T02:00:00.000Z",
                1500,
            ),
            // The day does not exist.
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00.000Z", 0),
            (
                "Pacific/Apia",
                "2011-12-31",
                "2011-12-30T10:00:00.000Z",
                1440,
            ),
        ];
        for (zone, day, start, minutes) in cases {
            assert_eq!(day_of(zone, day), (start.into(), minutes), "{zone} {day}");
        }
    }

    #[test]
    fn ends_may_be_mixed_but_not_reversed() {
        let range = Zone::UTC.range(Some("2026-01-01T12:00:00+02:00"), Some("2026-01-01"));
        let range = range.expect("a range");
        assert_eq!(
            range.from.expect("given").to_string(),
            "2026-01-01T10:00:00.000Z"
        );
        assert_eq!(
            range.to.expect("given").to_string(),
            "2026-01-02T00:00:00.000Z"
        );
        for (start, end) in [
            ("2026-01-02", "2026-01-01"),
            ("2026-01-02", "2025-12-31"),
            ("2026-01-02T00:00:00Z", "2026-01-01"),
            ("2026-01-02T00:00:01Z", "2026-01-02T00:00:00Z"),
            ("2026-01-02", "2026-01-01T23:59:59Z"),
        ] {
            let error = Zone::UTC.range(Some(start), Some(end));
            assert_eq!(error.expect_err(start).field, "endDate", "{start} {end}");
        }
        let at = "2026-01-02T00:00:00Z";
        assert!(Zone::UTC.range(Some(at), Some(at)).is_ok(), "an empty one");
    }

    #[test]
    fn rubbish_is_refused_and_named() {
        for bad in [
            "",
            "x",
            "2026-1-1",
            "2026-02-30",
            "+12026-01-01",
            "12026-01-01",
            "2026-01-01T00:00",
            "262144-01-01",
        ] {
            let error = Zone::UTC.range(Some(bad), None).expect_err(bad);
            assert_eq!(error.field, "startDate", "{bad}");
        }
        for edge in ["0000-01-01", "9999-12-31"] {
            assert!(Zone::UTC.range(Some(edge), Some(edge)).is_ok(), "{edge}");
        }
        assert!("Mars/Olympus".parse::<Zone>().is_err());
        assert!("".parse::<Zone>().is_err());
    }

    #[test]
    fn repeated_hours_differ_by_their_offset() {
        let zone: Zone = "America/Los_Angeles".parse().expect("a zone");
        let at = |text| zone.local(Timestamp::parse_rfc3339(text).expect("a time"));
        let (first, second) = (at("2026-11-01T08:30:00Z"), at("2026-11-01T09:30:00Z"));
        assert_eq!((first.hour, second.hour, first.weekday), (1, 1, 6));
        assert_ne!(first, second);
    }
}
