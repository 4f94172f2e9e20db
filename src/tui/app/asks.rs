//! What has been asked of the source and not been answered: at most one question of a kind at a time, and no answer to
//! a question that is no longer the one.

use crate::model::{Timestamp, Zone};
use crate::tui::source::{
    ActionCount, ActivityPage, ActivityQuery, OnlineUser, Overview, Point, Session, SessionFigures,
    Why,
};
use std::time::Duration;

/// Kinds of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Figures at a glance; also what is tried first at a lost source.
    Overview,
    /// Sessions of today.
    Figures,
    /// Online over time.
    Series,
    /// Busiest actions.
    Actions,
    /// Weekday and hour.
    Heatmap,
    /// Who is online.
    Online,
    /// Why somebody is.
    Why,
    /// Open and recent sessions.
    Sessions,
    /// The log.
    Activities,
}

const KINDS: usize = 9;

/// A question with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// See [`Kind::Overview`].
    Overview(Zone),
    /// See [`Kind::Figures`].
    Figures(Zone),
    /// See [`Kind::Series`].
    Series(Zone),
    /// See [`Kind::Actions`].
    Actions(Zone),
    /// See [`Kind::Heatmap`].
    Heatmap(Zone),
    /// See [`Kind::Online`].
    Online,
    /// See [`Kind::Why`]: of this name.
    Why(String),
    /// See [`Kind::Sessions`]: of this name only.
    Sessions(Option<String>),
    /// See [`Kind::Activities`].
    Activities(ActivityQuery),
}

/// An answer to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Question::Overview`].
    Overview(Overview),
    /// To [`Question::Figures`].
    Figures(SessionFigures),
    /// To [`Question::Series`].
    Series(Vec<Point>),
    /// To [`Question::Actions`].
    Actions(Vec<ActionCount>),
    /// To [`Question::Heatmap`].
    Heatmap(Box<[[i64; 24]; 7]>),
    /// To [`Question::Online`]: how many there are, those that are loaded, and whether there are more.
    Online(u64, Vec<OnlineUser>, bool),
    /// To [`Question::Why`].
    Why(Box<Why>),
    /// To [`Question::Sessions`]: open ones, then ended ones, and whether there are more.
    Sessions(Vec<Session>, bool),
    /// To [`Question::Activities`].
    Activities(ActivityPage),
}

/// Which question an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its kind.
    pub kind: Kind,
    epoch: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Grows when what is asked changes.
    epoch: u64,
    is_wanted: bool,
    /// Somebody waits for it, also when nothing else moves.
    is_urgent: bool,
    outstanding: bool,
    asked_at: Option<Timestamp>,
    took: Duration,
}

/// All questions.
#[derive(Debug, Default)]
pub struct Asks([Slot; KINDS]);

impl Asks {
    /// Wants an answer.
    pub fn want(&mut self, kind: Kind) {
        self.0[kind as usize].is_wanted = true;
    }

    /// Wants an answer to something else than before; one that is on its way is dropped.
    pub fn want_anew(&mut self, kind: Kind) {
        let slot = &mut self.0[kind as usize];
        slot.epoch += 1;
        slot.is_wanted = true;
        slot.is_urgent = true;
    }

    /// Wants an answer if the last one was asked for so long ago. A source that takes its time is asked less often.
    pub fn want_every(&mut self, kind: Kind, period: Duration, now: Timestamp) {
        let slot = &mut self.0[kind as usize];
        let period = period.max(slot.took * 4);
        // A clock that was set back is no reason to wait.
        let is_due = slot
            .asked_at
            .is_none_or(|at| now.since(at) >= period || at > now);
        slot.is_wanted |= is_due && !slot.outstanding;
    }

    /// When [`Self::want_every`] is due.
    pub fn due_at(&self, kind: Kind, period: Duration) -> Option<Timestamp> {
        let slot = &self.0[kind as usize];
        let at = slot.asked_at.filter(|_| !slot.outstanding)?;
        Some(at.plus(period.max(slot.took * 4)))
    }

    /// Whether one of that kind is wanted and none is on its way.
    pub fn is_ready(&self, kind: Kind, only_urgent: bool) -> bool {
        let slot = &self.0[kind as usize];
        slot.is_wanted && !slot.outstanding && (slot.is_urgent || !only_urgent)
    }

    /// One of that kind is asked.
    pub fn begin(&mut self, kind: Kind, now: Timestamp) -> Ticket {
        let slot = &mut self.0[kind as usize];
        slot.is_wanted = false;
        slot.outstanding = true;
        slot.asked_at = Some(now);
        Ticket {
            kind,
            epoch: slot.epoch,
        }
    }

    /// It is answered; whether the answer is still of use, and whether somebody waited for it.
    pub fn end(&mut self, ticket: Ticket, now: Timestamp) -> Option<bool> {
        let slot = &mut self.0[ticket.kind as usize];
        slot.outstanding = false;
        slot.took = slot.asked_at.map_or(Duration::ZERO, |at| now.since(at));
        if ticket.epoch != slot.epoch {
            return None;
        }
        Some(std::mem::take(&mut slot.is_urgent))
    }
}

/// All kinds, in the order in which they are asked.
pub const ALL: [Kind; KINDS] = [
    Kind::Overview,
    Kind::Figures,
    Kind::Series,
    Kind::Actions,
    Kind::Heatmap,
    Kind::Online,
    Kind::Why,
    Kind::Sessions,
    Kind::Activities,
];

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn one_of_a_kind_and_the_newest() {
        let mut asks = Asks::default();
        asks.want(Kind::Activities);
        assert!(asks.is_ready(Kind::Activities, false));
        let first = asks.begin(Kind::Activities, START);
        asks.want_anew(Kind::Activities);
        assert!(!asks.is_ready(Kind::Activities, false), "one is on its way");
        assert_eq!(asks.end(first, START), None, "of an older question");
        assert!(asks.is_ready(Kind::Activities, true));
        let second = asks.begin(Kind::Activities, START);
        assert_eq!(asks.end(second, START), Some(true));
        assert!(!asks.is_ready(Kind::Activities, false));
        assert!(!asks.is_ready(Kind::Online, false));
    }

    #[test]
    fn a_slow_source_is_asked_less_often() {
        let mut asks = Asks::default();
        let second = Duration::from_secs(1);
        asks.want_every(Kind::Online, second, START);
        let ticket = asks.begin(Kind::Online, START);
        asks.end(ticket, START.plus(second));
        asks.want_every(Kind::Online, second, START.plus(second * 3));
        assert!(!asks.is_ready(Kind::Online, false));
        assert_eq!(
            asks.due_at(Kind::Online, second),
            Some(START.plus(second * 4))
        );
        asks.want_every(Kind::Online, second, START.plus(second * 4));
        assert!(asks.is_ready(Kind::Online, false));
    }
}
