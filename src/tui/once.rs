//! One frame as text, for a pipe or a glance.

use super::app::{App, Command, Message, Settings};
use super::source::{Result, Source};
use super::{asking, view};
use crate::model::Clock;
use crossterm::style::StyledContent;
use ratatui::Terminal;
use ratatui::backend::{IntoCrossterm as _, TestBackend};
use ratatui::buffer::{Buffer, CellWidth as _};
use ratatui::style::Style;
use std::fmt::Write as _;

/// Asks the source what the tab shows, and draws it.
///
/// # Errors
/// The source has no answer.
pub async fn frame(
    source: &dyn Source,
    settings: Settings,
    clock: &Clock,
    (columns, rows): (u16, u16),
) -> Result<Buffer> {
    let place = source.place();
    let (mut app, commands) = App::new(settings, place, source.is_live(), clock.now());
    for command in commands {
        if let Command::Ask(ticket, question) = command {
            let answer = asking::ask(source, question).await?;
            app.update(clock.now(), Message::Answered(ticket, Ok(answer)));
        }
    }
    app.settle();
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, rows));
    let Ok(_) = terminal.draw(|frame| view::draw(frame, &app));
    Ok(terminal.backend().buffer().clone())
}

/// The frame's lines, without spaces at their ends; with or without the colours.
pub fn lines(buffer: &Buffer, with_colours: bool) -> String {
    let mut text = String::new();
    for y in buffer.area.rows().map(|row| row.y) {
        let mut line: Vec<(String, Style)> = Vec::new();
        let mut x = buffer.area.x;
        while x < buffer.area.right() {
            let cell = &buffer[(x, y)];
            // Of a wide letter the second column is its own.
            x += cell.symbol().cell_width().max(1);
            match line.last_mut() {
                Some((run, style)) if *style == cell.style() => run.push_str(cell.symbol()),
                _ => line.push((cell.symbol().to_owned(), cell.style())),
            }
        }
        let plain = |style: &Style| {
            !style
                .add_modifier
                .contains(ratatui::style::Modifier::REVERSED)
        };
        if let Some((run, style)) = line.last_mut()
            && plain(style)
        {
            run.truncate(run.trim_end().len());
        }
        for (run, style) in line {
            match with_colours && style != Style::reset() && !run.is_empty() {
                true => {
                    let styled = StyledContent::new(style.into_crossterm(), run);
                    // Into a text: it cannot fail.
                    let _ = write!(text, "{styled}");
                }
                false => text.push_str(&run),
            }
        }
        text.push('\n');
    }
    text
}
