//! What a phase comes to, compared with writers that have the database for themselves, as JSON or as a table.

use serde::Serialize;
use std::time::Duration;

/// What was seen while something else was at work, or nothing.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// What else was at work; null is nothing.
    pub beside: Option<&'static str>,
    /// How long.
    pub seconds: f64,
    /// Writes that were acknowledged.
    pub writes: usize,
    /// Writes that were answered 503.
    pub refused: usize,
    pub writes_per_second: f64,
    pub p50_millis: f64,
    pub p99_millis: f64,
    pub worst_millis: f64,
    /// The highest size of the write-ahead log that was seen.
    pub wal_bytes: u64,
    /// Rows of the other command, where it has any.
    pub rows: Option<u64>,
    pub rows_per_second: Option<f64>,
    /// Divided by the figures of nothing else at work.
    pub to_alone: Option<Ratios>,
}

/// How many times the same figure alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ratios {
    pub p50: f64,
    pub p99: f64,
    pub worst: f64,
    pub writes_per_second: f64,
}

/// What was measured in a phase.
#[derive(Debug, Default)]
pub struct Measured {
    /// How long each acknowledged write took.
    pub latencies: Vec<Duration>,
    /// Writes that were answered 503.
    pub refused: usize,
    /// How long the phase was.
    pub elapsed: Duration,
    /// The highest size of the write-ahead log that was seen.
    pub wal_bytes: u64,
    /// Rows of the other command, where it has any.
    pub rows: Option<u64>,
}

impl Figures {
    /// Without a comparison; `None` where nothing was written, which has no latency.
    pub fn of(beside: Option<&'static str>, mut measured: Measured) -> Option<Self> {
        measured.latencies.sort_unstable();
        let latencies = &measured.latencies;
        let worst = latencies.last()?;
        let seconds = measured.elapsed.as_secs_f64();
        let per_second = |count: f64| tenths(count / seconds.max(f64::MIN_POSITIVE));
        Some(Self {
            beside,
            seconds: tenths(seconds),
            writes: latencies.len(),
            refused: measured.refused,
            writes_per_second: per_second(latencies.len() as f64),
            p50_millis: millis(at(latencies, 50)?),
            p99_millis: millis(at(latencies, 99)?),
            worst_millis: millis(*worst),
            wal_bytes: measured.wal_bytes,
            rows: measured.rows,
            rows_per_second: measured.rows.map(|rows| per_second(rows as f64)),
            to_alone: None,
        })
    }

    /// The same, compared.
    pub fn against(self, alone: &Self) -> Self {
        let ratio = |figure: fn(&Self) -> f64| {
            let hundredths = (figure(&self) / figure(alone) * 100.0).round();
            hundredths / 100.0
        };
        let ratios = Ratios {
            p50: ratio(|figures| figures.p50_millis),
            p99: ratio(|figures| figures.p99_millis),
            worst: ratio(|figures| figures.worst_millis),
            writes_per_second: ratio(|figures| figures.writes_per_second),
        };
        Self {
            to_alone: Some(ratios),
            ..self
        }
    }
}

/// The smallest latency that so many of a hundred do not exceed.
fn at(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// A line for each, with the ratios in parentheses.
pub fn table(all: &[Figures]) -> String {
    let mut text = format!(
        "{:<8}{:>9}{:>18}{:>18}{:>18}{:>20}{:>10}{:>9}{:>10}",
        "beside",
        "seconds",
        "p50 ms",
        "p99 ms",
        "worst ms",
        "writes/s",
        "refused",
        "wal MB",
        "rows/s"
    );
    for figures in all {
        let with = |figure: f64, ratio: fn(&Ratios) -> f64| match &figures.to_alone {
            Some(ratios) => format!("{figure} (x{})", ratio(ratios)),
            None => figure.to_string(),
        };
        let rows = figures.rows_per_second;
        text += &format!(
            "\n{:<8}{:>9}{:>18}{:>18}{:>18}{:>20}{:>10}{:>9}{:>10}",
            figures.beside.unwrap_or("nothing"),
            figures.seconds,
            with(figures.p50_millis, |ratios| ratios.p50),
            with(figures.p99_millis, |ratios| ratios.p99),
            with(figures.worst_millis, |ratios| ratios.worst),
            with(figures.writes_per_second, |ratios| ratios.writes_per_second),
            figures.refused,
            tenths(figures.wal_bytes as f64 / 1e6),
            rows.map_or("-".to_owned(), |rows| rows.round().to_string()),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(latencies: impl IntoIterator<Item = u64>) -> Measured {
        Measured {
            latencies: latencies.into_iter().map(Duration::from_millis).collect(),
            refused: 1,
            elapsed: Duration::from_secs(4),
            wal_bytes: 12_345_678,
            rows: Some(1_000),
        }
    }

    #[test]
    fn a_hundred_latencies_have_the_ranks_they_should() {
        let figures = Figures::of(Some("prune"), measured((1..=100).rev())).expect("some");
        let Figures {
            p50_millis,
            p99_millis,
            worst_millis,
            ..
        } = figures;
        assert_eq!([p50_millis, p99_millis, worst_millis], [50.0, 99.0, 100.0]);
        assert_eq!((figures.writes, figures.writes_per_second), (100, 25.0));
        assert_eq!(figures.rows_per_second, Some(250.0));
        let one = Figures::of(None, measured([7])).expect("some");
        assert_eq!([one.p50_millis, one.p99_millis, one.worst_millis], [7.0; 3]);
        assert!(Figures::of(None, measured([])).is_none());
    }

    #[test]
    fn ratios_are_to_the_writers_alone() {
        let alone = Figures::of(None, measured([2, 2, 4, 4])).expect("some");
        let beside = Figures::of(Some("backup"), measured([3, 3, 40])).expect("some");
        let beside = beside.against(&alone);
        let expected = Ratios {
            p50: 1.5,
            p99: 10.0,
            worst: 10.0,
            writes_per_second: 0.8,
        };
        assert_eq!(beside.to_alone, Some(expected));
        assert_eq!(alone.to_alone, None);
    }

    #[test]
    fn a_table_has_a_line_each_of_one_width() {
        let alone = Figures::of(None, measured([2, 4])).expect("some");
        let none = Measured {
            rows: None,
            ..measured([3])
        };
        let beside = Figures::of(Some("backup"), none).expect("some");
        let text = table(&[alone.clone(), beside.against(&alone)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines.iter().all(|line| line.len() == lines[0].len()),
            "{text}"
        );
        assert!(
            lines[1].starts_with("nothing") && lines[1].ends_with(" 250"),
            "{text}"
        );
        assert!(
            lines[2].contains("3 (x1.5)") && lines[2].ends_with(" -"),
            "{text}"
        );
        assert!(lines[2].contains(" 12.3 "), "{text}");
    }
}
