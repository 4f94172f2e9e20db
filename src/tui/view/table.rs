//! Rows in columns: only those that are seen are written out.

use super::parts::{Paint, after, columns};
use crate::tui::app::listing::{Listing, Row};
use crate::tui::app::{App, Target};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Scrollbar, ScrollbarOrientation, ScrollbarState};
use std::borrow::Cow;

/// What stands in a place of the table: clean text and its colour.
pub(super) type Cell<'a> = (Cow<'a, str>, Style);

/// A column.
pub(super) struct Column<R: Row> {
    pub(super) title: &'static str,
    /// How wide; a share of what is left with [`Constraint::Fill`].
    pub(super) width: Constraint,
    pub(super) is_right: bool,
    /// What it is sorted by, if it can be.
    pub(super) sorts: Option<R::Column>,
}

impl<R: Row> Column<R> {
    pub(super) fn new(title: &'static str, width: Constraint, sorts: Option<R::Column>) -> Self {
        Self {
            title,
            width,
            is_right: false,
            sorts,
        }
    }

    /// With its text at the right, as numbers are.
    pub(super) fn right(mut self) -> Self {
        self.is_right = true;
        self
    }
}

/// Draws the rows of `listing` that fit under a line of titles, and a bar at the right of `outer` where there are more.
/// `nothing` is said where there is no row.
pub(super) fn draw<R: Row>(
    frame: &mut Frame,
    app: &App,
    (outer, area): (Rect, Rect),
    columns: &[Column<R>],
    listing: &Listing<R>,
    nothing: &str,
    cells: impl Fn(&R) -> Vec<Cell<'_>>,
) {
    let theme = app.theme;
    let [titles, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let widths = columns.iter().map(|column| column.width);
    let places = Layout::horizontal(widths).spacing(1).split(titles);
    let mut paint = Paint::new(frame, theme);
    let (by, is_reversed) = listing.sorted_by();
    for (column, place) in columns.iter().zip(places.iter()) {
        let is_sorted = column.sorts.is_some_and(|sorts| sorts == by);
        let sign = match is_reversed {
            true => theme.sign("▴", "^"),
            false => theme.sign("▾", "v"),
        };
        let (title, style) = match is_sorted {
            true => (format!("{} {sign}", column.title), theme.accent()),
            false => (column.title.to_owned(), theme.quiet()),
        };
        put(&mut paint, column, *place, &title, style);
    }
    if listing.is_empty() {
        let row = Rect {
            height: body.height.min(1),
            ..body
        };
        paint.left(row, nothing, theme.quiet());
        return;
    }
    let (top, rows) = listing.window(usize::from(body.height));
    for (index, (row, line)) in rows.zip(body.rows()).enumerate() {
        for ((text, style), (column, place)) in cells(row)
            .into_iter()
            .zip(columns.iter().zip(places.iter()))
        {
            let place = Rect {
                y: line.y,
                ..*place
            };
            put(&mut paint, column, place, &text, style);
        }
        let whole = Rect {
            x: line.x.saturating_sub(1),
            width: line.width + 2,
            ..line
        };
        if top + index == listing.at() {
            paint.dye(whole, theme.chosen());
        }
        app.targets.borrow_mut().push((whole, Target::Row(index)));
    }
    let room = usize::from(body.height);
    if listing.len() > room {
        scrollbar(frame, app, outer, listing.len() - room, top);
    }
}

fn put<R: Row>(paint: &mut Paint, column: &Column<R>, place: Rect, text: &str, style: Style) {
    let free = place.width.saturating_sub(columns(text));
    let place = if column.is_right {
        after(place, free)
    } else {
        place
    };
    paint.left(place, text, style);
}

fn scrollbar(frame: &mut Frame, app: &App, outer: Rect, beyond: usize, top: usize) {
    let theme = app.theme;
    let bar = Scrollbar::new(ScrollbarOrientation::VerticalRight)
        .begin_symbol(None)
        .end_symbol(None)
        .track_symbol(Some(theme.sign("│", "|")))
        .track_style(theme.frame())
        .thumb_symbol(theme.sign("┃", "#"))
        .thumb_style(theme.accent());
    let mut state = ScrollbarState::new(beyond + 1).position(top);
    let inside = Rect {
        y: outer.y + 1,
        height: outer.height.saturating_sub(2),
        ..outer
    };
    frame.render_stateful_widget(bar, inside, &mut state);
}
