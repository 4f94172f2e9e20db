//! Every key there is, out of the table of keys.

use super::parts::{Paint, after, panel};
use crate::tui::app::App;
use crate::tui::keys::{Scope, TABLE};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;

/// Where keys work, in the order of the help.
const PARTS: [(Scope, &str); 5] = [
    (Scope::Everywhere, "Everywhere"),
    (Scope::Rows, "In a list"),
    (Scope::LiveOnline, "Among those online"),
    (Scope::Prompt, "While typing"),
    (Scope::Question, "To a question"),
];

/// Columns of the keys' names.
const NAMES: u16 = 17;

enum Line {
    Title(&'static str),
    Key(&'static str, &'static str),
    Nothing,
}

pub(super) fn draw(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let lines = lines();
    let is_wide = area.width >= super::WIDE;
    let version = concat!("lastseen ", env!("CARGO_PKG_VERSION"));
    let inner = panel(frame, theme, area, ("Keys", theme.accent()), Some(version));
    let room = usize::from(inner.height);
    let mut paint = Paint::new(frame, theme);
    if is_wide && lines.len() <= room * 2 {
        let halves = [Constraint::Fill(1), Constraint::Fill(1)];
        let [left, right] = Layout::horizontal(halves).spacing(2).areas(inner);
        // Between two parts, so that none is torn.
        let half = lines.len() / 2;
        let gaps = lines
            .iter()
            .enumerate()
            .filter(|(_, l)| matches!(l, Line::Nothing));
        let gap = gaps.map(|(at, _)| at).min_by_key(|at| at.abs_diff(half));
        let (first, second) = lines.split_at(gap.unwrap_or(half));
        write(&mut paint, app, left, first);
        write(&mut paint, app, right, second.get(1..).unwrap_or_default());
        return;
    }
    let top = app.help_top.min(lines.len().saturating_sub(room));
    write(&mut paint, app, inner, &lines[top..]);
    if top + room < lines.len() {
        let below = Rect {
            y: area.bottom().saturating_sub(1),
            height: 1,
            ..inner
        };
        let words = format!(" {} j for more ", theme.sign("▾", "v"));
        paint.right(below, &words, theme.accent());
    }
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for (scope, title) in PARTS {
        if !lines.is_empty() {
            lines.push(Line::Nothing);
        }
        lines.push(Line::Title(title));
        let of_it = TABLE.iter().filter(|binding| binding.scope == scope);
        let shown = of_it.filter(|binding| !binding.help.is_empty());
        lines.extend(shown.map(|binding| Line::Key(binding.shown, binding.help)));
    }
    lines
}

fn write(paint: &mut Paint, app: &App, area: Rect, lines: &[Line]) {
    let theme = app.theme;
    for (line, row) in lines.iter().zip(area.rows()) {
        match line {
            Line::Nothing => {}
            Line::Title(title) => {
                paint.left(row, title, theme.strong());
            }
            Line::Key(keys, help) => {
                let names = Rect {
                    width: NAMES,
                    ..after(row, 2)
                };
                paint.left(names, keys, theme.accent());
                paint.left(after(row, 2 + NAMES), help, Style::new());
            }
        }
    }
}
