//! A pane about one thing: names and values, and text below them.

use super::parts::{Paint, after, panel};
use crate::model::{Timestamp, Zone};
use crate::tui::text;
use crate::tui::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Columns of the names.
const NAMES: u16 = 10;

/// Lines of a pane.
pub(super) struct Detail {
    theme: Theme,
    lines: Vec<(String, String, Style)>,
}

impl Detail {
    pub(super) fn new(theme: Theme) -> Self {
        let lines = Vec::new();
        Self { theme, lines }
    }

    /// A name and its value, which comes from anywhere.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        self.styled(name, value, Style::new());
    }

    /// The same in a colour.
    pub(super) fn styled(&mut self, name: &str, value: &str, style: Style) {
        let value = text::clean(value, self.theme.ascii).into_owned();
        self.lines.push((name.to_owned(), value, style));
    }

    /// A name and its value, if there is one.
    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// A value below another, if its name is empty, and not where a line without a name begins.
    pub(super) fn aligned(&mut self, name: &str, value: &str) {
        let name = if name.is_empty() { " " } else { name };
        self.field(name, value);
    }

    /// A line without a name.
    pub(super) fn line(&mut self, line: &str, style: Style) {
        self.styled("", line, style);
    }

    /// Draws them in a panel; values that are too long go on below themselves.
    pub(super) fn draw(&self, frame: &mut Frame, area: Rect, title: &str, right: Option<&str>) {
        let theme = self.theme;
        let title = text::clean(title, theme.ascii);
        let style = theme.accent().patch(theme.strong());
        let inner = panel(frame, theme, area, (&title, style), right);
        let mut paint = Paint::new(frame, theme);
        let mut rows = inner.rows();
        for (name, value, style) in &self.lines {
            let beside = if name.is_empty() { 0 } else { NAMES };
            let room = usize::from(inner.width.saturating_sub(beside).max(1));
            for (index, part) in text::wrap(value, room).iter().enumerate() {
                let Some(row) = rows.next() else {
                    return;
                };
                if index == 0 {
                    paint.left(row, name, theme.quiet());
                }
                paint.left(after(row, beside), part, *style);
            }
        }
    }
}

/// A moment in full, and how long ago it was.
pub(super) fn when(at: Timestamp, now: Timestamp, zone: Zone) -> String {
    let shown = text::clock(at, zone, "%Y-%m-%d %H:%M:%S");
    format!("{shown} ({})", text::ago(at, now))
}
