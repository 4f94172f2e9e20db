//! The most people online at once in each quarter hour, until it is written.
//!
//! Noted whenever somebody comes (with them) and goes (as it was before), so that nothing in between is missed, and now
//! and then for a quarter hour in which nobody does either.

use crate::model::Timestamp;
use crate::store::QUARTER_MS;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// A quarter hour's peak, and as much of it as is known to be written.
#[derive(Clone, Copy, Debug, Default)]
struct Peak {
    highest: i64,
    written: i64,
}

/// Peaks by quarter hour since the Unix epoch. A leaf lock: nothing is called under it.
#[derive(Debug, Default)]
pub struct Peaks(Mutex<BTreeMap<i64, Peak>>);

impl Peaks {
    /// So many were online at `at`.
    pub(super) fn note(&self, at: Timestamp, online: usize) {
        if online == 0 {
            return;
        }
        let online = i64::try_from(online).unwrap_or(i64::MAX);
        let quarter = at.as_millis().div_euclid(QUARTER_MS);
        let mut peaks = self.0.lock();
        let peak = peaks.entry(quarter).or_default();
        peak.highest = peak.highest.max(online);
    }

    /// Quarter hours whose peak is higher than what is written of it, in order.
    pub fn unwritten(&self) -> Vec<(i64, i64)> {
        let peaks = self.0.lock();
        let higher = peaks.iter().filter(|(_, peak)| peak.highest > peak.written);
        higher
            .map(|(quarter, peak)| (*quarter, peak.highest))
            .collect()
    }

    /// `highest` of `quarter` is written. What is written and over is forgotten.
    pub fn written(&self, quarter: i64, highest: i64) {
        let mut peaks = self.0.lock();
        if let Some(peak) = peaks.get_mut(&quarter) {
            peak.written = peak.written.max(highest);
        }
        let newest = peaks.keys().next_back().copied();
        peaks.retain(|quarter, peak| Some(*quarter) == newest || peak.highest > peak.written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_each_quarter_is_written_once() {
        let peaks = Peaks::default();
        let at = |quarter: i64| Timestamp::from_millis(quarter * QUARTER_MS + 5);
        for (quarter, online) in [(7, 2), (7, 5), (7, 4), (8, 3), (9, 0)] {
            peaks.note(at(quarter), online);
        }
        assert_eq!(peaks.unwritten(), [(7, 5), (8, 3)]);
        // One rises while it is written.
        peaks.note(at(8), 6);
        peaks.written(7, 5);
        peaks.written(8, 3);
        assert_eq!(peaks.unwritten(), [(8, 6)]);
        peaks.written(8, 6);
        peaks.note(at(8), 6);
        assert_eq!(peaks.unwritten(), []);
        peaks.note(at(9), 1);
        peaks.written(9, 1);
        assert_eq!(peaks.0.lock().len(), 1, "what is over is forgotten");
    }
}
