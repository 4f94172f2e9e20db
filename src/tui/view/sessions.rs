//! Sessions, open and recent, and the week by its hours.

use super::detail::{Detail, when};
use super::heatmap;
use super::parts::panel;
use super::table::{self, Cell, Column};
use crate::tui::app::App;
use crate::tui::app::rows::SessionColumn;
use crate::tui::source::Session;
use crate::tui::text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;

/// Which column is the country.
const COUNTRY: usize = 2;

pub(super) fn draw(frame: &mut Frame, app: &App, area: Rect) {
    let has_room = area.height >= heatmap::HEIGHT + 6;
    if area.width >= super::WIDE && has_room {
        let parts = [Constraint::Fill(1), Constraint::Length(heatmap::HEIGHT)];
        let [list, below] = Layout::vertical(parts).areas(area);
        let sides = [Constraint::Length(56), Constraint::Fill(1)];
        let [map, pane] = Layout::horizontal(sides).areas(below);
        rows(frame, app, list);
        heatmap::draw(frame, app, map);
        detail(frame, app, pane, None);
        return;
    }
    // Rows come first: where there is little room, the map is what has to go.
    let below = match area.height {
        _ if has_room => heatmap::HEIGHT,
        height if app.is_detailed => height / 2,
        _ => 0,
    };
    let parts = [Constraint::Fill(1), Constraint::Length(below)];
    let [list, pane] = Layout::vertical(parts).areas(area);
    rows(frame, app, list);
    match app.is_detailed {
        true => detail(frame, app, pane, Some("esc closes")),
        false if below > 0 => heatmap::draw(frame, app, pane),
        false => {}
    }
}

fn rows(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let listing = &app.session_rows;
    let open = listing
        .shown()
        .filter(|session| session.ended_at.is_none())
        .count();
    let mut title = format!(
        "{} open, {} ended",
        text::number(i64::try_from(open).unwrap_or(i64::MAX)),
        text::number(i64::try_from(listing.len() - open).unwrap_or(i64::MAX))
    );
    if !listing.filter().is_empty() {
        let typed = text::clean(listing.filter().text(), theme.ascii);
        title += &format!(", with {typed:?}");
    }
    let right = app.has_more_sessions.then_some("the newest");
    let inner = panel(frame, theme, area, (&title, theme.accent()), right);
    let is_wide = inner.width >= 100;
    let mut columns = vec![
        Column::new("User", Constraint::Fill(1), Some(SessionColumn::User)),
        Column::new("Device", Constraint::Length(8), Some(SessionColumn::Device)),
        Column::new(
            "Country",
            Constraint::Length(9),
            Some(SessionColumn::Country),
        ),
        Column::new(
            "Started",
            Constraint::Length(12),
            Some(SessionColumn::Started),
        ),
        Column::new(
            "Duration",
            Constraint::Length(10),
            Some(SessionColumn::Duration),
        )
        .right(),
        Column::new("Ended", Constraint::Length(10), Some(SessionColumn::Ended)),
    ];
    if is_wide {
        columns.push(Column::new("Address", Constraint::Length(16), None));
        columns.push(Column::new("Agent", Constraint::Fill(1), None));
    }
    // The name is worth more than where it was.
    let is_narrow = inner.width < 64;
    if is_narrow {
        columns.remove(COUNTRY);
    }
    let nothing = match (app.has_sessions, listing.filter().is_empty()) {
        (false, _) => "asking",
        (true, true) => "there was no session yet",
        (true, false) => "no session passes the filter",
    };
    table::draw(
        frame,
        app,
        (area, inner),
        &columns,
        listing,
        nothing,
        |session| {
            let mut cells = cells(app, session);
            if is_narrow {
                cells.remove(COUNTRY);
            }
            if is_wide {
                let shown = |text: Option<&'_ str>| {
                    let text = text.unwrap_or(theme.none());
                    text::clean(text, theme.ascii).into_owned().into()
                };
                cells.push((shown(session.ip_address.as_deref()), theme.quiet()));
                cells.push((shown(session.user_agent.as_deref()), theme.quiet()));
            }
            cells
        },
    );
}

fn cells<'a>(app: &App, session: &'a Session) -> Vec<Cell<'a>> {
    let theme = app.theme;
    let is_open = session.ended_at.is_none();
    let device = session
        .device_type
        .map_or(theme.none(), |device| device.as_str());
    let country = session.country_code.as_deref().unwrap_or(theme.none());
    let (word, style) = match (is_open, session.word()) {
        (true, word) => (format!("{} {word}", theme.dot()), theme.good()),
        (false, word @ ("lost" | "crash")) => (format!("  {word}"), theme.warn()),
        (false, word) => (format!("  {word}"), theme.quiet()),
    };
    vec![
        (text::clean(&session.username, theme.ascii), Style::new()),
        (device.into(), Style::new()),
        (text::clean(country, theme.ascii), Style::new()),
        (
            text::moment(session.started_at, app.now, app.zone).into(),
            Style::new(),
        ),
        (text::span(session.length(app.now)).into(), Style::new()),
        (word.into(), style),
    ]
}

fn detail(frame: &mut Frame, app: &App, area: Rect, right: Option<&str>) {
    let mut detail = Detail::new(app.theme);
    let Some(session) = app.session_rows.chosen() else {
        return detail.draw(frame, area, "Session", right);
    };
    detail.field("started", &when(session.started_at, app.now, app.zone));
    match session.ended_at {
        Some(at) => detail.field("ended", &when(at, app.now, app.zone)),
        None => detail.styled("ended", "not yet", app.theme.good()),
    }
    detail.field("why", session.word());
    detail.field("lasted", &text::span(session.length(app.now)));
    let device = session.device_type.map(|device| device.as_str());
    let device: Vec<&str> = device
        .into_iter()
        .chain(session.device_id.as_deref())
        .collect();
    if !device.is_empty() {
        detail.field("device", &device.join(" "));
    }
    let from = [
        session.country_code.as_deref(),
        session.ip_address.as_deref(),
    ];
    let from: Vec<&str> = from.into_iter().flatten().collect();
    if !from.is_empty() {
        detail.field("from", &from.join(" "));
    }
    detail.maybe("agent", session.user_agent.as_deref());
    detail.field("user id", &session.user_id.to_string());
    detail.field("id", &session.id);
    detail.draw(frame, area, &session.username, right);
}
