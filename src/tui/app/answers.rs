//! What the source answers, and what it tells by itself.

use super::asks::{Answer, Kind, Ticket};
use super::rows::newest_first;
use super::{App, Health, Tab};
use crate::model::Timestamp;
use crate::tui::source::{Activity, ActivityQuery, LiveEvent, SourceError};
use std::sync::Arc;
use std::time::Duration;

/// The newest rows of the log that are kept.
pub const TAIL: usize = 1_000;

/// A lost source is tried again after so long, then after twice as long, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

impl App {
    pub(super) fn answered(&mut self, ticket: Ticket, answer: Result<Answer, SourceError>) -> bool {
        let Some(is_urgent) = self.asks.end(ticket, self.now) else {
            return false;
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.failed(ticket.kind, error),
        };
        let was_up = matches!(self.health, Health::Up);
        let was_lost = matches!(self.health, Health::Lost { .. } | Health::Refused(_));
        self.failures = 0;
        self.health = Health::Up;
        if was_lost {
            // What is on the screen is older than the loss.
            self.want_tab();
        }
        // Standing still means that nothing moves but what somebody just asked for.
        if self.is_paused() && !is_urgent {
            return !was_up;
        }
        self.true_at = Some(self.now);
        self.take(answer)
    }

    fn failed(&mut self, kind: Kind, error: SourceError) -> bool {
        match error {
            SourceError::Lost(why) => {
                let wait = FIRST_RETRY * 2_u32.saturating_pow(self.failures.min(10));
                let retry_at = self.now.plus(wait.min(LONGEST_RETRY));
                // Questions that fail together are one failure.
                if !matches!(&self.health, Health::Lost { retry_at, .. } if *retry_at > self.now) {
                    self.failures += 1;
                    self.health = Health::Lost { why, retry_at };
                }
                // Asked again once it is back.
                self.asks.want(kind);
            }
            SourceError::Refused(why) => self.health = Health::Refused(why),
            SourceError::Rejected(why) => match (kind, &mut self.why) {
                (Kind::Why, Some(pane)) => pane.answer = Some(Err(why)),
                _ => self.complain(why),
            },
        }
        true
    }

    fn take(&mut self, answer: Answer) -> bool {
        let now = self.now;
        match answer {
            Answer::Overview(overview) => self.figures.set_overview(overview, now),
            Answer::Figures(figures) => self.figures.sessions = Some(figures),
            Answer::Series(series) => self.figures.set_series(series),
            Answer::Actions(actions) => self.figures.actions = Some(actions),
            Answer::Heatmap(heatmap) => self.figures.heatmap = Some(heatmap),
            Answer::Online(total, users, has_more) => {
                self.online_total = Some(total);
                self.has_more_online = has_more;
                if self.online.rows() == users {
                    return self.tab == Tab::Online;
                }
                self.online.set(users, now);
                self.look_at_chosen();
            }
            Answer::Why(why) => {
                if let Some(pane) = &mut self.why
                    && pane.username == why.username
                {
                    pane.answer = Some(Ok(*why));
                }
            }
            Answer::Sessions(rows, has_more) => {
                (self.has_sessions, self.has_more_sessions) = (true, has_more);
                if self.session_rows.rows() != rows {
                    self.session_rows.set(rows, now);
                }
            }
            Answer::Activities(page) => {
                self.activity_total = Some(page.total);
                let rows = page.activities.into_iter().map(Arc::new).collect();
                match self.activity_query() == ActivityQuery::default() {
                    true => self.add_to_tail(rows),
                    false => {
                        self.found = rows;
                        self.is_unlisted = true;
                    }
                }
            }
        }
        true
    }

    pub(super) fn activity_query(&self) -> ActivityQuery {
        let filter = self.activity.filter();
        ActivityQuery {
            username: filter.user().map(str::to_owned),
            action: filter.action().map(str::to_owned),
        }
    }

    /// Adds rows to the newest, each once, and lets the oldest go.
    pub(super) fn add_to_tail(&mut self, rows: Vec<Arc<Activity>>) {
        merge(&mut self.tail, rows);
        self.is_unlisted = true;
    }

    /// Lists the newest, and older ones that were found, each once.
    pub(super) fn list_activities(&mut self) {
        let mut rows = self.tail.clone();
        for row in &self.found {
            if let Err(at) = place(&rows, row) {
                rows.insert(at, Arc::clone(row));
            }
        }
        self.activity.set(rows, self.now);
        self.is_unlisted = false;
    }

    pub(super) fn live(&mut self, events: Vec<LiveEvent>) -> bool {
        let mut is_changed = false;
        let mut rows: Vec<Arc<Activity>> = Vec::new();
        for event in events {
            match event {
                LiveEvent::Activity(row) => rows.push(Arc::from(row)),
                event => is_changed |= self.live_event(event),
            }
        }
        if rows.is_empty() {
            return is_changed;
        }
        if let Some(total) = &mut self.activity_total {
            let filter = self.activity.filter();
            let of_these = rows.iter().filter(|row| {
                let is = |asked: Option<&str>, text: &str| {
                    asked.is_none_or(|asked| asked.eq_ignore_ascii_case(text))
                };
                is(filter.user(), &row.username) && is(filter.action(), &row.action)
            });
            *total += i64::try_from(of_these.count()).unwrap_or(i64::MAX);
        }
        match &mut self.held {
            Some(held) => merge(held, rows),
            None => self.add_to_tail(rows),
        }
        is_changed || self.tab == Tab::Activity
    }

    fn live_event(&mut self, event: LiveEvent) -> bool {
        match event {
            LiveEvent::Connected => {
                self.stream_lost = None;
                if let Health::Lost { retry_at, .. } = &mut self.health {
                    *retry_at = self.now;
                }
                self.want_tab();
                // What happened meanwhile did not come by itself.
                self.asks.want(Kind::Activities);
            }
            LiveEvent::Lost { why, retry_in } => {
                self.stream_lost = Some((why, self.now.plus(retry_in)));
            }
            LiveEvent::Counters {
                online,
                connections,
            } => {
                if self.is_paused() {
                    return false;
                }
                self.figures.set_counters(online, connections, self.now);
            }
            LiveEvent::Lagged(events) => {
                self.missed = self.missed.saturating_add(events);
                self.asks.want(Kind::Activities);
            }
            // The lists are looked at often enough.
            LiveEvent::Presence { .. } | LiveEvent::Session(_) => return false,
            // Taken out before.
            LiveEvent::Activity(row) => self.add_to_tail(vec![Arc::from(row)]),
        }
        true
    }

    /// When the figures on the screen were true, if they are no longer.
    pub fn stale_since(&self) -> Option<Timestamp> {
        match self.health() {
            Health::Lost { .. } | Health::Refused(_) => self.true_at,
            Health::Waiting | Health::Up => None,
        }
    }
}

/// Adds rows to those that are there, newest first, each once, up to the bound.
fn merge(into: &mut Vec<Arc<Activity>>, rows: Vec<Arc<Activity>>) {
    for row in rows {
        if let Err(at) = place(into, &row) {
            into.insert(at, row);
        }
    }
    into.truncate(TAIL);
}

/// Where the row is, or else where it belongs.
fn place(rows: &[Arc<Activity>], row: &Activity) -> Result<usize, usize> {
    rows.binary_search_by(|other| newest_first(other, row))
}
