//! Figures at a glance: now, the last hour, today.

use super::digits;
use super::parts::{Paint, after, columns, panel, unsigned};
use crate::tui::app::App;
use crate::tui::text;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Bar, BarChart, Sparkline, SparklineBar};
use std::time::Duration;

/// Rows of the figures of now, and how many more they get where there is room.
const TOP: u16 = 7;
const MORE_TOP: u16 = 5;
const MIDDLE: u16 = 4;

pub(super) fn draw(frame: &mut Frame, app: &App, area: Rect) {
    let spare = area.height.saturating_sub(20);
    let rows = [
        Constraint::Length(TOP + (spare / 3).min(MORE_TOP)),
        Constraint::Length(MIDDLE),
        Constraint::Fill(1),
    ];
    let [top, middle, bottom] = Layout::vertical(rows).areas(area);
    let is_wide = area.width >= super::WIDE;
    let left = if is_wide { 42 } else { 28 };
    let halves = [Constraint::Length(left), Constraint::Fill(1)];
    let [now, hour] = Layout::horizontal(halves).areas(top);
    online_now(frame, app, now);
    last_hour(frame, app, hour);
    let parts = [Constraint::Fill(2), Constraint::Fill(3)];
    let [people, today] = Layout::horizontal(parts).areas(middle);
    active_users(frame, app, people);
    of_today(frame, app, today);
    // A chart needs a few rows to say anything. It stands where its bars come out even.
    if bottom.height >= 5 {
        let halves = [Constraint::Length(left), Constraint::Fill(1)];
        let [narrow, wide] = Layout::horizontal(halves).areas(bottom);
        let (hours, actions) = match is_wide {
            true => (wide, narrow),
            false => (narrow, wide),
        };
        busiest_hours(frame, app, hours);
        busiest_actions(frame, app, actions);
    }
}

fn online_now(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let inner = panel(frame, theme, area, ("Online now", theme.accent()), None);
    let mut paint = Paint::new(frame, theme);
    let Some(overview) = app.figures.overview else {
        paint.left(first(inner), "asking", theme.quiet());
        return;
    };
    let lines = [
        ("peak today", overview.peak_online),
        ("connections", overview.connections),
    ];
    let room = usize::from(inner.height.saturating_sub(2));
    let large = digits::large(overview.online, theme, usize::from(inner.width), room);
    let style = theme.good().patch(theme.strong());
    let gap = room.saturating_sub(large.len()).div_ceil(2);
    for (line, row) in large.iter().zip(inner.rows().skip(gap.min(1))) {
        paint.left(row, line, style);
    }
    let below = inner.height.saturating_sub(2);
    for ((name, value), row) in lines.iter().zip(inner.rows().skip(usize::from(below))) {
        paint.left(row, name, theme.quiet());
        paint.left(after(row, 13), &text::number(*value), theme.strong());
    }
}

fn last_hour(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let title = ("Online in the last hour", theme.accent());
    let inner = panel(frame, theme, area, title, None);
    let rows = [Constraint::Fill(1), Constraint::Length(1)];
    let [chart, axis] = Layout::vertical(rows).areas(inner);
    // The scale beside it is as wide as its largest number, which depends on the width: two looks are enough.
    let known = |parts: u16| app.figures.last_hour(app.now, usize::from(parts));
    let most = known(chart.width).iter().flatten().map(|s| s.online).max();
    let most = most.unwrap_or(0).max(1);
    let label = text::number(most);
    let scale = columns(&label) + 1;
    let (chart, axis) = (after(chart, scale), after(axis, scale));
    let bars = known(chart.width).into_iter().map(|sample| match sample {
        None => SparklineBar::from(None::<u64>),
        Some(sample) => {
            let style = if sample.is_rough {
                theme.faint_bar()
            } else {
                theme.bar()
            };
            SparklineBar::from(unsigned(sample.online)).style(style)
        }
    });
    let line = Sparkline::default()
        .data(bars)
        .max(unsigned(most))
        .bar_set(theme.bars())
        .absent_value_symbol(theme.sign("·", "."))
        .absent_value_style(theme.quiet());
    frame.render_widget(line, chart);
    let mut paint = Paint::new(frame, theme);
    let beside = Rect {
        x: inner.x,
        width: scale - 1,
        ..chart
    };
    let mut rows = beside.rows();
    if let Some(row) = rows.next() {
        paint.right(row, &label, theme.quiet());
    }
    if let Some(row) = rows.next_back() {
        paint.right(row, "0", theme.quiet());
    }
    let count = if axis.width >= 60 { 4 } else { 2 };
    for part in 0..count {
        let ago = Duration::from_secs(3_600 * u64::from(count - part) / u64::from(count));
        let shown = text::clock(app.now.minus(ago), app.zone, "%H:%M");
        paint.left(
            after(axis, axis.width * part / count),
            &shown,
            theme.quiet(),
        );
    }
    paint.right(axis, "now", theme.quiet());
}

fn active_users(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let inner = panel(frame, theme, area, ("Active users", theme.accent()), None);
    let overview = app.figures.overview;
    let of = |value: fn(&crate::tui::source::Overview) -> i64| {
        overview.as_ref().map(|o| text::number(value(o)))
    };
    let (week, month) = match inner.width < 23 {
        true => ("7 d", "30 d"),
        false => ("7 days", "30 days"),
    };
    let cards = [
        ("today", of(|o| o.dau), None),
        (week, of(|o| o.wau), None),
        (month, of(|o| o.mau), None),
    ];
    cards_in(frame, app, inner, &cards);
}

fn of_today(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let title = format!("Today in {}", app.zone.name());
    let inner = panel(frame, theme, area, (&title, theme.accent()), None);
    let (overview, rates) = (app.figures.overview, app.figures.rates());
    let per_minute = |rate: f64| format!("{}/min", rounded(rate));
    let length = app.figures.sessions.as_ref();
    let length = length
        .filter(|sessions| sessions.total_sessions > 0)
        .map(|sessions| {
            let seconds = sessions.average_session_duration.clamp(0.0, 1e12);
            format!(
                "{}{}",
                theme.sign("ø ", "~"),
                text::span(Duration::from_secs_f64(seconds))
            )
        });
    let cards = [
        (
            "activities",
            overview.map(|o| text::number(o.activities)),
            rates.map(|rates| per_minute(rates.activities)),
        ),
        (
            "sign-ins",
            overview.map(|o| text::number(o.sign_ins)),
            rates.map(|rates| per_minute(rates.sign_ins)),
        ),
        (
            "sessions",
            overview.map(|o| text::number(o.sessions)),
            length,
        ),
    ];
    cards_in(frame, app, inner, &cards);
}

/// A rate as short as it can be said.
fn rounded(rate: f64) -> String {
    match rate {
        rate if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        // Of what is shown in millions a minute, nobody reads the last digits.
        rate => text::number(rate.round().clamp(0.0, 1e15) as i64),
    }
}

/// A figure over its name and what else there is to say, side by side.
fn cards_in(
    frame: &mut Frame,
    app: &App,
    area: Rect,
    cards: &[(&str, Option<String>, Option<String>)],
) {
    let theme = app.theme;
    let widths = cards.iter().map(|_| Constraint::Fill(1));
    let places = Layout::horizontal(widths).spacing(1).split(area);
    let mut paint = Paint::new(frame, theme);
    for ((name, value, more), place) in cards.iter().zip(places.iter()) {
        let mut rows = place.rows();
        let (Some(above), Some(below)) = (rows.next(), rows.next()) else {
            return;
        };
        let shown = value.as_deref().unwrap_or(theme.none());
        let used = paint.left(above, shown, theme.strong());
        if let Some(more) = more {
            let rest = after(above, used + 1);
            // A part of a number is worse than none.
            let fits = columns(more) <= rest.width;
            paint.left(rest, if fits { more } else { "" }, theme.quiet());
        }
        paint.left(below, name, theme.quiet());
    }
}

fn busiest_hours(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let mut hours = [0_i64; 24];
    let figures = app.figures.sessions.as_ref();
    for top in figures.iter().flat_map(|figures| &figures.top_hours) {
        if let Some(hour) = hours.get_mut(top.hour as usize) {
            *hour = top.sessions;
        }
    }
    let top = figures.and_then(|figures| figures.top_hours.first());
    let right = top.map(|top| format!("{} at {:02}:00", text::number(top.sessions), top.hour));
    let title = ("Sessions by hour", theme.accent());
    let inner = panel(frame, theme, area, title, right.as_deref());
    let rows = [Constraint::Fill(1), Constraint::Length(1)];
    let [chart, axis] = Layout::vertical(rows).areas(inner);
    let each = (inner.width / 24).max(1);
    let gap = u16::from(each > 1);
    let now = app.zone.local(app.now).hour as usize;
    let bars: Vec<Bar> = hours
        .iter()
        .enumerate()
        .map(|(hour, sessions)| {
            let style = if hour == now {
                theme.good()
            } else {
                theme.bar()
            };
            Bar::new(unsigned(*sessions)).text_value("").style(style)
        })
        .collect();
    let bars = BarChart::vertical(bars)
        .bar_width(each - gap)
        .bar_gap(gap)
        .bar_set(theme.bars())
        .max(unsigned(hours.iter().copied().max().unwrap_or(0)).max(1));
    frame.render_widget(bars, chart);
    let mut paint = Paint::new(frame, theme);
    let step = if each >= 2 { 3 } else { 6 };
    for hour in (0..24).step_by(step) {
        let at = after(axis, u16::try_from(hour).unwrap_or(0) * each);
        paint.left(at, &format!("{hour:02}"), theme.quiet());
    }
}

fn busiest_actions(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let title = ("Busiest actions today", theme.accent());
    let inner = panel(frame, theme, area, title, None);
    let mut paint = Paint::new(frame, theme);
    let Some(actions) = &app.figures.actions else {
        paint.left(first(inner), "asking", theme.quiet());
        return;
    };
    if actions.is_empty() {
        paint.left(first(inner), "nothing was logged yet", theme.quiet());
    }
    let most = actions.iter().map(|action| action.count).max().unwrap_or(0);
    let widest = |width: fn(&crate::tui::source::ActionCount) -> u16| {
        let shown = actions.iter().take(usize::from(inner.height));
        shown.map(width).max().unwrap_or(0)
    };
    let names = widest(|action| columns(&action.action)).min(inner.width / 2);
    let numbers = widest(|action| columns(&text::number(action.count)));
    let room = inner.width.saturating_sub(names + numbers + 2);
    for (action, row) in actions.iter().zip(inner.rows()) {
        let name = text::clean(&action.action, theme.ascii);
        let names_at = Rect {
            width: names,
            ..row
        };
        paint.left(names_at, &name, Style::new());
        let share = action.count.max(0) as f64 / most.max(1) as f64;
        let eighths = (share * f64::from(room) * 8.0).round() as usize;
        paint.left(
            after(row, names + 1),
            &theme.lying_bar(eighths),
            theme.bar(),
        );
        paint.right(row, &text::number(action.count), theme.strong());
    }
}

fn first(area: Rect) -> Rect {
    Rect {
        height: area.height.min(1),
        ..area
    }
}
