//! The log's newest rows, and all of the one that is chosen.

use super::detail::{Detail, when};
use super::online::split;
use super::parts::panel;
use super::table::{self, Cell, Column};
use crate::tui::app::App;
use crate::tui::app::rows::ActivityColumn;
use crate::tui::source::Activity;
use crate::tui::text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;

pub(super) fn draw(frame: &mut Frame, app: &App, area: Rect) {
    let is_wide = area.width >= super::WIDE;
    if !is_wide && !app.is_detailed {
        return rows(frame, app, area);
    }
    let (list, pane) = split(area);
    rows(frame, app, list);
    detail(frame, app, pane, (!is_wide).then_some("esc closes"));
}

fn rows(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let listing = &app.activity;
    let (title, right) = titles(app);
    let inner = panel(
        frame,
        theme,
        area,
        (&title, theme.accent()),
        right.as_deref(),
    );
    let is_narrow = inner.width < 70;
    let mut columns = vec![
        Column::new("Time", Constraint::Length(12), Some(ActivityColumn::Time)),
        Column::new("User", Constraint::Fill(3), Some(ActivityColumn::User)),
        Column::new("Action", Constraint::Fill(3), Some(ActivityColumn::Action)),
        Column::new("Target", Constraint::Fill(3), Some(ActivityColumn::Target)),
    ];
    if !is_narrow {
        columns.push(Column::new("Device", Constraint::Length(7), None));
        columns.push(Column::new("From", Constraint::Length(4), None));
    }
    let nothing = match (app.activity_total, listing.filter().is_empty()) {
        (None, _) => "asking",
        (Some(_), true) => "nothing was logged yet",
        (Some(_), false) => "no row passes the filter",
    };
    table::draw(
        frame,
        app,
        (area, inner),
        &columns,
        listing,
        nothing,
        |row| cells(app, row),
    );
}

fn titles(app: &App) -> (String, Option<String>) {
    let theme = app.theme;
    let filter = app.activity.filter();
    let total = app.activity_total.map(text::number);
    let title = match (total, filter.is_empty()) {
        (None, _) => "Activity".to_owned(),
        (Some(total), true) => format!("{total} activities"),
        (Some(_), false) => {
            let typed = text::clean(filter.text(), theme.ascii);
            format!("{} with {typed:?}", text::count(app.activity.len(), "row"))
        }
    };
    let missed = (app.missed > 0).then(|| {
        let missed = i64::try_from(app.missed).unwrap_or(i64::MAX);
        format!("{} events came too fast", text::number(missed))
    });
    let tail = app.is_live.then(|| "as it happens".to_owned());
    (title, missed.or(tail))
}

fn cells<'a>(app: &App, row: &'a Activity) -> Vec<Cell<'a>> {
    let theme = app.theme;
    let device = row
        .device_type
        .map_or(theme.none(), |device| device.as_str());
    let country = row.country_code.as_deref().unwrap_or(theme.none());
    vec![
        (
            text::moment(row.timestamp, app.now, app.zone).into(),
            theme.quiet(),
        ),
        (text::clean(&row.username, theme.ascii), theme.strong()),
        (text::clean(&row.action, theme.ascii), theme.accent()),
        (target(app, row).into(), Style::new()),
        (device.into(), theme.quiet()),
        (text::clean(country, theme.ascii), theme.quiet()),
    ]
}

fn target(app: &App, row: &Activity) -> String {
    let parts = [row.target_type.as_deref(), row.target_id.as_deref()];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => app.theme.none().to_owned(),
        false => text::clean(&parts.join(" "), app.theme.ascii).into_owned(),
    }
}

fn detail(frame: &mut Frame, app: &App, area: Rect, right: Option<&str>) {
    let theme = app.theme;
    let mut detail = Detail::new(theme);
    let Some(row) = app.activity.chosen() else {
        return detail.draw(frame, area, "Activity", right);
    };
    detail.field("user", &format!("{} ({})", row.username, row.user_id));
    detail.field("at", &when(row.timestamp, app.now, app.zone));
    if row.target_type.is_some() || row.target_id.is_some() {
        detail.field("target", &target(app, row));
    }
    metadata(row, &mut detail, theme.quiet());
    let from = [
        row.country_code.as_deref(),
        row.region.as_deref(),
        row.ip_address.as_deref(),
    ];
    let device = row.device_type.map(|device| device.as_str());
    let from: Vec<&str> = device
        .into_iter()
        .chain(from.into_iter().flatten())
        .collect();
    if !from.is_empty() {
        detail.field("from", &from.join(" "));
    }
    detail.field("id", &row.id);
    detail.draw(frame, area, &row.action, right);
}

/// As JSON, written over several lines, without the braces around all of it.
fn metadata(row: &Activity, detail: &mut Detail, quiet: Style) {
    let written = row.metadata.as_ref();
    let written = written.and_then(|data| serde_json::to_string_pretty(data).ok());
    let Some(written) = written.filter(|text| text != "{}") else {
        return detail.styled("metadata", "none", quiet);
    };
    let mut name = "metadata";
    for line in written.lines().filter(|line| !matches!(*line, "{" | "}")) {
        detail.aligned(name, line.strip_prefix("  ").unwrap_or(line));
        name = "";
    }
}
