//! A frame of what the [`App`] knows: the title, the tabs, one tab's own file, and the last line.

mod activity;
mod detail;
mod digits;
mod footer;
mod header;
mod heatmap;
mod help;
mod online;
mod overview;
mod parts;
mod sessions;
mod table;

use super::app::{App, Health, Tab};
use super::text;
use parts::{Paint, panel};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::Clear;

/// Less is not enough to be read.
const LEAST: (u16, u16) = (60, 15);

/// From so many columns on there is room for something beside the rows.
const WIDE: u16 = 110;

/// Draws all of it.
pub fn draw(frame: &mut Frame, app: &App) {
    app.targets.borrow_mut().clear();
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return too_small(frame, app, area);
    }
    let rows = [
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [title, tabs, body, last] = Layout::vertical(rows).areas(area);
    header::title(frame, app, title);
    header::tabs(frame, app, tabs);
    match app.tab {
        Tab::Overview => overview::draw(frame, app, body),
        Tab::Online => online::draw(frame, app, body),
        Tab::Sessions => sessions::draw(frame, app, body),
        Tab::Activity => activity::draw(frame, app, body),
        Tab::Help => help::draw(frame, app, body),
    }
    if app.stale_since().is_some() {
        frame.buffer_mut().set_style(body, app.theme.stale());
    }
    if let Health::Refused(why) = app.health() {
        refused(frame, app, body, &why);
    }
    footer::draw(frame, app, last);
}

fn too_small(frame: &mut Frame, app: &App, area: Rect) {
    let sentence = format!(
        "lastseen needs {} columns and {} rows; here are {} and {}",
        LEAST.0, LEAST.1, area.width, area.height
    );
    let lines = text::wrap(&sentence, usize::from(area.width.max(1)));
    let mut paint = Paint::new(frame, app.theme);
    let top = (usize::from(area.height).saturating_sub(lines.len())) / 2;
    let rows = area.rows().skip(top);
    for (line, row) in lines.iter().zip(rows) {
        paint.centred(row, line, app.theme.strong());
    }
}

/// The whole message in the middle: nothing else will come.
fn refused(frame: &mut Frame, app: &App, body: Rect, why: &str) {
    let theme = app.theme;
    let width = body.width.saturating_sub(8).min(72);
    let why = text::clean(why, theme.ascii);
    let mut lines = text::wrap(&why, usize::from(width.saturating_sub(4)));
    lines.push(String::new());
    lines.push("r tries again, q quits".to_owned());
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area = body.centered(
        Constraint::Length(width),
        Constraint::Length(height.min(body.height)),
    );
    frame.render_widget(Clear, area);
    let inner = panel(frame, theme, area, ("Refused", theme.bad()), None);
    let mut paint = Paint::new(frame, theme);
    let last = lines.len() - 1;
    for (index, (line, row)) in lines.iter().zip(inner.rows()).enumerate() {
        let style = if index == last {
            theme.quiet()
        } else {
            theme.strong()
        };
        paint.left(row, line, style);
    }
}
