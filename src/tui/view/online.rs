//! Who is online, and beside or below them why one of them is.

use super::detail::{Detail, when};
use super::parts::panel;
use super::table::{self, Cell, Column};
use crate::tui::app::rows::OnlineColumn;
use crate::tui::app::{App, WhyPane};
use crate::tui::source::{OnlineUser, Why};
use crate::tui::text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use std::borrow::Cow;

pub(super) fn draw(frame: &mut Frame, app: &App, area: Rect) {
    let Some(pane) = &app.why else {
        return rows(frame, app, area);
    };
    let (list, beside) = split(area);
    rows(frame, app, list);
    why(frame, app, beside, pane);
}

/// The rows, and a pane beside them, or below where they need the width.
pub(super) fn split(area: Rect) -> (Rect, Rect) {
    let [list, pane] = match area.width >= super::WIDE {
        true => Layout::horizontal([Constraint::Fill(1), Constraint::Length(44)]).areas(area),
        false => {
            let height = (area.height / 2).max(5);
            Layout::vertical([Constraint::Fill(1), Constraint::Length(height)]).areas(area)
        }
    };
    (list, pane)
}

fn rows(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let (title, right) = titles(app);
    let inner = panel(
        frame,
        theme,
        area,
        (&title, theme.accent()),
        right.as_deref(),
    );
    // What is least asked for goes first where it is narrow.
    let (is_wide, is_narrow) = (inner.width >= 100, inner.width < 64);
    let mut columns = vec![
        Column::new("User", Constraint::Fill(1), Some(OnlineColumn::User)),
        Column::new("Device", Constraint::Length(15), Some(OnlineColumn::Device)),
        Column::new(
            "Country",
            Constraint::Length(9),
            Some(OnlineColumn::Country),
        ),
        Column::new("Since", Constraint::Length(12), Some(OnlineColumn::Since)),
        Column::new(
            "Last active",
            Constraint::Length(13),
            Some(OnlineColumn::LastActive),
        ),
    ];
    if is_narrow {
        columns[1].width = Constraint::Length(9);
    }
    if is_wide {
        columns.push(Column::new("Online for", Constraint::Length(11), None).right());
        columns.push(Column::new("Address", Constraint::Length(24), None));
    }
    let nothing = match (app.online_total, app.online.filter().is_empty()) {
        (None, _) => "asking",
        (Some(_), true) => "nobody is online",
        (Some(_), false) => "nobody passes the filter",
    };
    table::draw(
        frame,
        app,
        (area, inner),
        &columns,
        &app.online,
        nothing,
        |user| {
            let mut cells = cells(app, user);
            if is_wide {
                let length = text::span(app.now.since(user.since));
                cells.push((length.into(), Style::new()));
                let addresses = user
                    .connections
                    .iter()
                    .filter_map(|c| c.ip_address.as_deref());
                cells.push((each(addresses, app), theme.quiet()));
            }
            cells
        },
    );
}

fn titles(app: &App) -> (String, Option<String>) {
    let loaded = app.online.rows().len();
    let total = app.online_total.unwrap_or_default();
    let total_shown = text::number(i64::try_from(total).unwrap_or(i64::MAX));
    let mut title = format!("{total_shown} online");
    let filter = app.online.filter();
    if !filter.is_empty() {
        let typed = text::clean(filter.text(), app.theme.ascii);
        let passing = i64::try_from(app.online.len()).unwrap_or(i64::MAX);
        title += &format!(", {} with {typed:?}", text::number(passing));
    }
    let right = app.has_more_online.then(|| {
        let loaded = i64::try_from(loaded).unwrap_or(i64::MAX);
        format!("only the first {} are listed", text::number(loaded))
    });
    (title, right)
}

fn cells<'a>(app: &App, user: &'a OnlineUser) -> Vec<Cell<'a>> {
    let theme = app.theme;
    let is_near = user.connections.iter().any(|c| c.foreground);
    let (sign, style) = match is_near {
        true => (theme.dot(), Style::new()),
        false => (theme.ring(), theme.quiet()),
    };
    let name = text::clean(&user.username, theme.ascii);
    let active = match user.last_active_at {
        Some(at) => text::ago(at, app.now),
        None => theme.none().to_owned(),
    };
    vec![
        (format!("{sign} {name}").into(), style),
        (each(user.devices(), app), Style::new()),
        (each(user.countries(), app), Style::new()),
        (
            text::moment(user.since, app.now, app.zone).into(),
            Style::new(),
        ),
        (active.into(), theme.quiet()),
    ]
}

/// Each different one once; a sign for none.
fn each<'a>(texts: impl Iterator<Item = &'a str>, app: &App) -> Cow<'a, str> {
    let mut different: Vec<&str> = texts.collect();
    different.sort_unstable();
    different.dedup();
    match different[..] {
        [] => app.theme.none().into(),
        [one] => text::clean(one, app.theme.ascii),
        _ => text::clean(&different.join(" "), app.theme.ascii)
            .into_owned()
            .into(),
    }
}

fn why(frame: &mut Frame, app: &App, area: Rect, pane: &WhyPane) {
    let theme = app.theme;
    let mut detail = Detail::new(theme);
    match &pane.answer {
        None => detail.line("asking", theme.quiet()),
        Some(Err(why)) => detail.line(why, theme.bad()),
        Some(Ok(why)) => explain(app, why, &mut detail),
    }
    let title = format!("Why {}", pane.username);
    detail.draw(frame, area, &title, Some("esc closes"));
}

fn explain(app: &App, why: &Why, detail: &mut Detail) {
    let theme = app.theme;
    let (word, style) = match why.viewer.is_online {
        true => ("online", theme.good()),
        false => ("offline", theme.quiet()),
    };
    detail.styled("is", word, style);
    detail.field("rule", &why.viewer.rule);
    if let Some(seen) = why.viewer.last_seen {
        detail.field("last seen", &when(seen, app.now, app.zone));
    }
    let grace = match (why.grace.active, why.grace.until) {
        (true, Some(until)) => format!("until {}", text::moment(until, app.now, app.zone)),
        (true, None) => "runs".to_owned(),
        (false, _) => "does not run".to_owned(),
    };
    detail.field("grace", &grace);
    if why.connections.is_empty() {
        detail.field("open", "no connection is known");
    }
    for connection in &why.connections {
        let (sign, place) = match connection.foreground {
            true => (theme.dot(), "foreground"),
            false => (theme.ring(), "background"),
        };
        let device = connection
            .device_type
            .map_or("device", |device| device.as_str());
        let heard = text::ago(connection.last_proof_at, app.now);
        let line = format!(
            "{sign} {} {device} in {place}, heard {heard}",
            connection.id
        );
        detail.line(&line, Style::new());
    }
}
