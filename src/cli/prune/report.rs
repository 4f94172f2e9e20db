//! What went, or would: by action, and a progress bar on a terminal.

use crate::store::GoingActivity;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;

/// Rows, and about what they took in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    rows: u64,
    size_bytes: u64,
}

pub(super) struct Report {
    is_dry_run: bool,
    actions: BTreeMap<String, Tally>,
    sessions: u64,
    bar: ProgressBar,
}

impl Report {
    /// `expected` rows, about.
    pub(super) fn new(is_dry_run: bool, expected: u64) -> Self {
        // Draws nothing where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(expected), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} rows {per_sec}, {eta} left");
        Self {
            is_dry_run,
            actions: BTreeMap::new(),
            sessions: 0,
            bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
        }
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.is_dry_run
    }

    pub(super) fn activity(&mut self, row: &GoingActivity) {
        let tally = match self.actions.get_mut(&row.action) {
            Some(tally) => tally,
            None => self.actions.entry(row.action.clone()).or_default(),
        };
        tally.rows += 1;
        tally.size_bytes += row.size_bytes;
        self.bar.inc(1);
    }

    pub(super) fn session(&mut self) {
        self.sessions += 1;
        self.bar.inc(1);
    }

    pub(super) fn giving_back(&self) {
        let style = ProgressStyle::with_template("{spinner} giving the space back");
        if let Ok(style) = style {
            self.bar.set_style(style);
        }
    }

    pub(super) fn tick(&self) {
        self.bar.tick();
    }

    pub(super) fn end_bar(&self) {
        self.bar.finish_and_clear();
    }

    fn total(&self) -> Tally {
        let mut total = Tally::default();
        for tally in self.actions.values() {
            total.rows += tally.rows;
            total.size_bytes += tally.size_bytes;
        }
        total
    }

    pub(super) fn has_rows(&self) -> bool {
        self.sessions > 0 || !self.actions.is_empty()
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        let tally =
            |tally: &Tally| serde_json::json!({ "rows": tally.rows, "bytes": tally.size_bytes });
        let actions = self.actions.iter();
        let actions: serde_json::Map<String, serde_json::Value> = actions
            .map(|(action, of_action)| (action.clone(), tally(of_action)))
            .collect();
        let total = self.total();
        serde_json::json!({
            "dryRun": self.is_dry_run,
            "rows": total.rows,
            "bytes": total.size_bytes,
            "actions": actions,
            "sessions": self.sessions,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let total = self.total();
        let mut text = String::new();
        let widest = self.actions.keys().map(String::len).max();
        let width = widest.unwrap_or(0).max("ACTION".len());
        if !self.actions.is_empty() {
            text += &format!("{:<width$}  {:>12}  {:>12}\n", "ACTION", "ROWS", "ABOUT");
        }
        for (action, tally) in &self.actions {
            let size = indicatif::HumanBytes(tally.size_bytes).to_string();
            text += &format!("{action:<width$}  {:>12}  {size:>12}\n", tally.rows);
        }
        let verb = if self.is_dry_run {
            "would remove"
        } else {
            "removed"
        };
        let size = indicatif::HumanBytes(total.size_bytes);
        text + &format!(
            "{verb} {} activities (about {size}) and {} sessions\n",
            total.rows, self.sessions
        )
    }
}
