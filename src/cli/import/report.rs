//! What an import did: counts, bad lines as they are found, a progress bar on a terminal.

use super::output;
use crate::store::UpsertCounts;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write as _;
use std::num::NonZeroU64;

/// Bad lines kept for the JSON report; all of them are counted and shown on standard error.
const MAX_ERRORS_KEPT: usize = 1_000;

pub(super) struct Report {
    /// Records, good and bad, without the header and blank lines.
    pub(super) read: u64,
    counts: UpsertCounts,
    failed: u64,
    errors: Vec<(u64, String)>,
    bar: ProgressBar,
}

impl Report {
    /// `size_bytes` of the file, where it is known.
    pub(super) fn new(size_bytes: Option<u64>) -> Self {
        // Draws nothing where standard error is no terminal.
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(size_bytes, target);
        let template = match size_bytes {
            Some(_) => "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left {msg}",
            None => "{spinner} {bytes} {bytes_per_sec} {msg}",
        };
        let style = ProgressStyle::with_template(template);
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            read: 0,
            counts: UpsertCounts::default(),
            failed: 0,
            errors: Vec::new(),
            bar,
        }
    }

    pub(super) fn count(&mut self, counts: UpsertCounts) {
        self.counts.add(counts);
    }

    /// About how many records are still to come. Where the size is not known, as many again.
    pub(super) fn expected(&self, position_bytes: u64) -> u64 {
        match self.bar.length().zip(NonZeroU64::new(position_bytes)) {
            Some((size_bytes, position_bytes)) => {
                let left_bytes = u128::from(size_bytes.saturating_sub(position_bytes.get()));
                let left = u128::from(self.read) * left_bytes / u128::from(position_bytes.get());
                u64::try_from(left).unwrap_or(u64::MAX)
            }
            None => self.read,
        }
    }

    /// What it is doing beside reading.
    pub(super) fn say(&self, what: &'static str) {
        self.bar.set_message(what);
    }

    pub(super) fn at(&self, position_bytes: u64) {
        self.bar.set_position(position_bytes);
    }

    pub(super) fn bad_line(&mut self, line: u64, why: &str) {
        let why = output::plain(why);
        self.failed += 1;
        self.bar.suspend(|| {
            // With standard error closed the counts still tell.
            let _ = writeln!(std::io::stderr(), "line {line}: {why}");
        });
        if self.errors.len() < MAX_ERRORS_KEPT {
            self.errors.push((line, why));
        }
    }

    pub(super) fn end_bar(&self) {
        self.bar.finish_and_clear();
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        let error = |(line, message): &(u64, String)| serde_json::json!({ "line": line, "message": message });
        serde_json::json!({
            "read": self.read,
            "inserted": self.counts.inserted,
            "updated": self.counts.updated,
            "unchanged": self.counts.unchanged,
            "failed": self.failed,
            "errors": self.errors.iter().map(error).collect::<Vec<_>>(),
        })
    }

    pub(super) fn to_text(&self) -> String {
        let counts = &self.counts;
        format!(
            "read {}, inserted {}, updated {}, unchanged {}, failed {}\n",
            self.read, counts.inserted, counts.updated, counts.unchanged, self.failed
        )
    }
}
