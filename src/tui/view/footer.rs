//! The last line: what is typed or asked, else what came of something, else what the keys do.

use super::parts::{Paint, after, columns};
use crate::tui::app::{App, Mode, Tab, fitting_zones, zone_of};
use crate::tui::keys::{Action, Binding, TABLE};
use crate::tui::text;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

pub(super) fn draw(frame: &mut Frame, app: &App, row: Rect) {
    let theme = app.theme;
    let row = after(row, 1);
    match &app.mode {
        Mode::Filter(typed, _) => {
            let words = match app.tab {
                Tab::Activity => "words, user:NAME, action:NAME",
                _ => "words, user:NAME",
            };
            prompt(frame, app, row, "filter: ", typed, words);
        }
        Mode::Zone(typed) => {
            let words = zone_words(app, typed);
            prompt(frame, app, row, "time zone: ", typed, &words);
        }
        Mode::Disconnect(name, ids) => {
            let name = text::clean(name, theme.ascii);
            let many = text::count(ids.len(), "connection");
            let question = format!("Disconnect {name}, {many}?  ");
            let mut paint = Paint::new(frame, theme);
            let used = paint.left(row, &question, theme.warn().patch(theme.strong()));
            hints(&mut paint, app, after(row, used));
        }
        Mode::Browse => {
            let mut paint = Paint::new(frame, theme);
            match &app.notice {
                Some(notice) => {
                    let style = if notice.is_bad {
                        theme.bad()
                    } else {
                        theme.good()
                    };
                    paint.left(row, &text::clean(&notice.text, theme.ascii), style);
                }
                None => hints(&mut paint, app, row),
            }
        }
    }
}

/// Whether what is typed is a zone, or which would fit.
fn zone_words(app: &App, typed: &str) -> String {
    if let Some(zone) = zone_of(typed) {
        let sign = app.theme.sign("✓", "ok:");
        return format!("{sign} {}", zone.name());
    }
    let fitting: Vec<_> = fitting_zones(typed).take(3).collect();
    match fitting.is_empty() {
        true => "no such zone".to_owned(),
        false => format!("tab: {}", fitting.join("  ")),
    }
}

/// What is typed, its end in any case, with the cursor behind it; words about it; what the keys do.
fn prompt(frame: &mut Frame, app: &App, row: Rect, label: &str, typed: &str, words: &str) {
    let theme = app.theme;
    let mut paint = Paint::new(frame, theme);
    let mut used = paint.left(row, label, theme.accent().patch(theme.strong()));
    let typed = text::clean(typed, theme.ascii);
    let room = usize::from(row.width.saturating_sub(used)) / 2;
    let mut tail = typed.as_ref();
    while text::width(tail) > room {
        let mut letters = tail.chars();
        letters.next();
        tail = letters.as_str();
    }
    used += paint.left(after(row, used), tail, Style::new());
    let cursor = Position::new(row.x + used, row.y);
    let rest = after(row, used + 3);
    let taken = paint.left(rest, words, theme.quiet());
    hints(&mut paint, app, after(rest, taken + 3));
    frame.set_cursor_position(cursor);
}

/// As many hints as there is room for, each whole; how to get help and out in any case.
fn hints(paint: &mut Paint, app: &App, row: Rect) {
    let theme = app.theme;
    let scopes = app.scopes();
    let shown = TABLE
        .iter()
        .filter(|binding| scopes.contains(&binding.scope));
    let is_always = |binding: &&Binding| matches!(binding.action, Action::Show(_) | Action::Quit);
    let (always, others): (Vec<&Binding>, Vec<&Binding>) = shown.partition(is_always);
    let strong = theme.accent().patch(theme.strong());
    let mut put = |place: Rect, (key, word): (&str, &str)| {
        let pieces = [(key, strong), (" ", Style::new()), (word, theme.quiet())];
        paint.pieces(place, &pieces)
    };
    let width = |hint: &(&str, &str)| columns(hint.0) + columns(hint.1) + 1;
    let always: Vec<_> = always.iter().filter_map(|binding| binding.hint).collect();
    let kept: u16 = always.iter().map(|hint| width(hint) + 2).sum();
    let mut rest = row;
    for hint in others.iter().filter_map(|binding| binding.hint) {
        if rest.width < width(&hint) + kept {
            break;
        }
        let used = put(rest, hint);
        rest = after(rest, used + 2);
    }
    for hint in always {
        let used = put(rest, hint);
        rest = after(rest, used + 2);
    }
}
