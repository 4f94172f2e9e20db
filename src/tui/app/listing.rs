//! Rows in an order, of which some pass a filter and one is chosen: by its id, so that it stays chosen when rows come,
//! go and move.

use super::filter::Filter;
use crate::model::Timestamp;
use crate::tui::keys::Step;
use std::cell::Cell;
use std::cmp::Ordering;

/// What can be listed.
pub trait Row {
    /// What tells it from the others, whatever else of it changes.
    type Id: Clone + PartialEq;
    /// Its columns that can be sorted by.
    type Column: Copy + PartialEq + 'static;
    /// In the order in which they stand.
    const COLUMNS: &'static [Self::Column];

    /// Its id.
    fn id(&self) -> Self::Id;
    /// Which comes first; what is equal stays in the order in which it came.
    fn compare(&self, other: &Self, column: Self::Column, now: Timestamp) -> Ordering;
    /// Whether a filter lets it through.
    fn passes(&self, filter: &Filter) -> bool;
}

/// The rows, and what of them is seen.
#[derive(Debug)]
pub struct Listing<R: Row> {
    rows: Vec<R>,
    /// Those that pass, in order, as places in `rows`.
    order: Vec<u32>,
    filter: Filter,
    column: R::Column,
    is_reversed: bool,
    chosen: Option<R::Id>,
    /// Where the chosen row is in `order`; where it was, once it is gone.
    at: usize,
    /// The first row stays chosen while nobody chose another, as a log's newest should.
    follows_first: bool,
    /// What the last frame had room for and began with: the view's, which alone knows.
    room: Cell<usize>,
    top: Cell<usize>,
}

impl<R: Row> Listing<R> {
    /// An empty one.
    pub fn new(column: R::Column, is_reversed: bool, follows_first: bool) -> Self {
        Self {
            rows: Vec::new(),
            order: Vec::new(),
            filter: Filter::default(),
            column,
            is_reversed,
            chosen: None,
            at: 0,
            follows_first,
            room: Cell::new(1),
            top: Cell::new(0),
        }
    }

    /// Takes new rows for the old ones.
    pub fn set(&mut self, rows: Vec<R>, now: Timestamp) {
        self.rows = rows;
        self.arrange(now);
    }

    /// Every row, whether it passes or not.
    pub fn rows(&self) -> &[R] {
        &self.rows
    }

    /// How many pass.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none passes.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Those that pass, in order.
    pub fn shown(&self) -> impl Iterator<Item = &R> {
        self.order.iter().map(|&place| &self.rows[place as usize])
    }

    /// The chosen one.
    pub fn chosen(&self) -> Option<&R> {
        let place = *self.order.get(self.at)?;
        self.rows.get(place as usize)
    }

    /// Where the chosen one stands.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The part that fits into `room` rows, with the chosen one in it, and where it begins.
    pub fn window(&self, room: usize) -> (usize, impl Iterator<Item = &R>) {
        self.room.set(room.max(1));
        let lowest = (self.at + 1).saturating_sub(room);
        let last_page = self.order.len().saturating_sub(room);
        let top = self
            .top
            .get()
            .clamp(lowest, self.at.max(lowest))
            .min(last_page);
        self.top.set(top);
        (top, self.shown().skip(top).take(room))
    }

    /// What of the rows is seen.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Sees other rows.
    pub fn set_filter(&mut self, filter: Filter, now: Timestamp) {
        self.filter = filter;
        self.arrange(now);
    }

    /// By which column, and whether the other way.
    pub fn sorted_by(&self) -> (R::Column, bool) {
        (self.column, self.is_reversed)
    }

    /// Sorts by the next column, the natural way.
    pub fn sort_by_next(&mut self, now: Timestamp) {
        let columns = R::COLUMNS;
        let place = columns.iter().position(|column| *column == self.column);
        let next = place.map_or(0, |place| (place + 1) % columns.len());
        self.column = columns[next];
        self.is_reversed = false;
        self.arrange(now);
    }

    /// The other way round.
    pub fn reverse(&mut self, now: Timestamp) {
        self.is_reversed = !self.is_reversed;
        self.arrange(now);
    }

    /// Chooses another row.
    pub fn step(&mut self, step: Step) {
        let page = self.room.get().saturating_sub(1).max(1);
        let last = self.order.len().saturating_sub(1);
        let to = match step {
            Step::Up => self.at.saturating_sub(1),
            Step::Down => self.at + 1,
            Step::PageUp => self.at.saturating_sub(page),
            Step::PageDown => self.at + page,
            Step::First => 0,
            Step::Last => last,
        };
        self.choose(to);
    }

    /// Chooses the row that stands `to`, or the last.
    pub fn choose(&mut self, to: usize) {
        self.at = to.min(self.order.len().saturating_sub(1));
        let is_free = self.follows_first && self.at == 0;
        self.chosen = self.chosen().filter(|_| !is_free).map(R::id);
    }

    /// Chooses the row that stands in the given line of the last frame, if there is one.
    pub fn choose_line(&mut self, line: usize) {
        let to = self.top.get() + line;
        if to < self.order.len() {
            self.choose(to);
        }
    }

    fn arrange(&mut self, now: Timestamp) {
        let (rows, filter) = (&self.rows, &self.filter);
        let all = 0..u32::try_from(rows.len()).unwrap_or(u32::MAX);
        self.order = match filter.is_empty() {
            true => all.collect(),
            false => all
                .filter(|&place| rows[place as usize].passes(filter))
                .collect(),
        };
        let (column, is_reversed) = (self.column, self.is_reversed);
        self.order.sort_by(|&a, &b| {
            let order = rows[a as usize].compare(&rows[b as usize], column, now);
            if is_reversed { order.reverse() } else { order }
        });
        let chosen = self.chosen.as_ref();
        let found = chosen.and_then(|id| self.shown().position(|row| row.id() == *id));
        match found {
            Some(at) => self.at = at,
            None if self.chosen.is_none() && self.follows_first => self.at = 0,
            // Gone: the one that took its place.
            None => self.choose(self.at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    struct Named(u32, &'static str);

    impl Row for Named {
        type Id = u32;
        type Column = bool;
        const COLUMNS: &'static [bool] = &[false, true];

        fn id(&self) -> u32 {
            self.0
        }

        fn compare(&self, other: &Self, by_name: bool, _: Timestamp) -> Ordering {
            match by_name {
                true => self.1.cmp(other.1),
                false => self.0.cmp(&other.0),
            }
        }

        fn passes(&self, filter: &Filter) -> bool {
            filter.passes(self.1, None, std::iter::empty())
        }
    }

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn listing(follows_first: bool) -> Listing<Named> {
        let mut listing = Listing::new(false, false, follows_first);
        listing.set(vec![Named(1, "c"), Named(2, "b"), Named(3, "a")], NOW);
        listing
    }

    #[test]
    fn the_chosen_row_stays_chosen() {
        let mut listing = listing(false);
        listing.step(Step::Down);
        assert_eq!(listing.chosen().expect("a row").0, 2);
        listing.set(vec![Named(0, "x"), Named(1, "c"), Named(2, "b")], NOW);
        assert_eq!((listing.chosen().expect("a row").0, listing.at()), (2, 2));
        listing.sort_by_next(NOW);
        assert_eq!((listing.chosen().expect("a row").0, listing.at()), (2, 0));
        listing.reverse(NOW);
        assert_eq!((listing.chosen().expect("a row").0, listing.at()), (2, 2));
        listing.set(vec![Named(0, "x"), Named(1, "c")], NOW);
        assert_eq!(listing.at(), 1, "gone: the last there is");
        listing.set(Vec::new(), NOW);
        assert!(listing.chosen().is_none());
    }

    #[test]
    fn the_newest_is_followed_until_another_is_chosen() {
        let mut listing = listing(true);
        listing.set(vec![Named(0, "x"), Named(1, "c")], NOW);
        assert_eq!(listing.chosen().expect("a row").0, 0);
        listing.step(Step::Down);
        listing.set(vec![Named(0, "x"), Named(5, "y"), Named(1, "c")], NOW);
        assert_eq!(listing.chosen().expect("a row").0, 1);
        listing.step(Step::First);
        listing.set(vec![Named(7, "z"), Named(0, "x")], NOW);
        assert_eq!(listing.at(), 0);
    }

    #[test]
    fn the_window_moves_no_more_than_it_must() {
        let mut listing = Listing::new(false, false, false);
        listing.set((0..100).map(|id| Named(id, "n")).collect(), NOW);
        let top = |listing: &Listing<Named>| listing.window(10).0;
        assert_eq!(top(&listing), 0);
        listing.step(Step::PageDown);
        assert_eq!((listing.at(), top(&listing)), (9, 0));
        listing.step(Step::Down);
        assert_eq!((listing.at(), top(&listing)), (10, 1));
        listing.step(Step::Last);
        assert_eq!((listing.at(), top(&listing)), (99, 90));
        listing.step(Step::PageUp);
        assert_eq!((listing.at(), top(&listing)), (90, 90));
        listing.choose_line(3);
        assert_eq!(listing.at(), 93);
        listing.set_filter(Filter::new("nobody"), NOW);
        assert_eq!((listing.len(), top(&listing)), (0, 0));
    }
}
