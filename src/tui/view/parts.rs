//! What every tab is drawn with: text on a line, cut where it must be, and panels around things.

use crate::tui::text;
use crate::tui::theme::Theme;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Block;

/// Writes clean text into a frame.
pub(super) struct Paint<'a> {
    buffer: &'a mut Buffer,
    theme: Theme,
}

impl<'a> Paint<'a> {
    pub(super) fn new<'f: 'a>(frame: &'a mut Frame<'f>, theme: Theme) -> Self {
        Self {
            buffer: frame.buffer_mut(),
            theme,
        }
    }

    /// At the left of `row`; the columns that it took.
    pub(super) fn left(&mut self, row: Rect, text: &str, style: Style) -> u16 {
        if row.is_empty() {
            return 0;
        }
        let shown = text::cut(text, usize::from(row.width), self.theme.more());
        let room = usize::from(row.width);
        let (end, _) = self.buffer.set_stringn(row.x, row.y, &shown, room, style);
        end.saturating_sub(row.x)
    }

    /// At the right of `row`; the columns that it took.
    pub(super) fn right(&mut self, row: Rect, text: &str, style: Style) -> u16 {
        let width = columns(text).min(row.width);
        let at = after(row, row.width - width);
        self.left(at, text, style)
    }

    /// In the middle of `row`.
    pub(super) fn centred(&mut self, row: Rect, text: &str, style: Style) {
        let width = columns(text).min(row.width);
        self.left(after(row, (row.width - width) / 2), text, style);
    }

    /// Pieces one after the other from the left; the columns that they took.
    pub(super) fn pieces(&mut self, row: Rect, pieces: &[(&str, Style)]) -> u16 {
        let mut used = 0;
        for (text, style) in pieces {
            used += self.left(after(row, used), text, *style);
        }
        used
    }

    /// Pieces that end at the right of `row`; the columns that they took.
    pub(super) fn pieces_right(&mut self, row: Rect, pieces: &[(&str, Style)]) -> u16 {
        let width: u16 = pieces.iter().map(|(text, _)| columns(text)).sum();
        let width = width.min(row.width);
        self.pieces(after(row, row.width - width), pieces);
        width
    }

    /// Lays a style over what is there.
    pub(super) fn dye(&mut self, area: Rect, style: Style) {
        self.buffer.set_style(area, style);
    }
}

/// What is left of `row` after so many columns.
pub(super) fn after(row: Rect, columns: u16) -> Rect {
    let used = columns.min(row.width);
    Rect {
        x: row.x + used,
        width: row.width - used,
        ..row
    }
}

/// The columns of a clean text.
pub(super) fn columns(text: &str) -> u16 {
    u16::try_from(text::width(text)).unwrap_or(u16::MAX)
}

/// A frame with a title at the left and words at the right; the room in it, with a margin at both sides.
pub(super) fn panel(
    frame: &mut Frame,
    theme: Theme,
    area: Rect,
    title: (&str, Style),
    right: Option<&str>,
) -> Rect {
    let room = usize::from(area.width.saturating_sub(4));
    let right = right.filter(|text| text::width(text) + text::width(title.0) + 4 <= room);
    let for_title = room.saturating_sub(right.map_or(0, |text| text::width(text) + 4));
    let name = format!(" {} ", text::cut(title.0, for_title, theme.more()));
    let mut block = Block::bordered()
        .border_set(theme.border())
        .border_style(theme.frame())
        .title_top(Line::from(Span::styled(name, title.1)));
    if let Some(text) = right {
        let words = Span::styled(format!(" {text} "), theme.quiet());
        block = block.title_top(Line::from(words).right_aligned());
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner.inner(Margin::new(1, 0))
}

/// As a chart takes it.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
