//! The title, which says what is looked at and how it is, and the tabs.

use super::parts::{Paint, after};
use crate::tui::app::{App, Health, Tab, Target};
use crate::tui::text;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub(super) fn title(frame: &mut Frame, app: &App, row: Rect) {
    let theme = app.theme;
    let clock = text::clock(app.now, app.zone, "%H:%M:%S");
    let interval = humantime::format_duration(app.refresh).to_string();
    let zone = app.zone.name();
    let between = theme.between();
    let right = format!("{zone}{between}every {interval}{between}");
    let mut paint = Paint::new(frame, theme);
    let mut used = paint.left(row, " lastseen ", theme.accent().patch(theme.strong()));
    let (state, state_style, more) = state(app);
    used += paint.left(after(row, used), " ", Style::new());
    used += paint.left(after(row, used), &state, state_style);
    used += paint.left(after(row, used), "  ", Style::new());
    // What is wrong matters more than how often it is looked at.
    let is_well = matches!(app.health(), Health::Up | Health::Waiting);
    let shown = if is_well && row.width >= 80 {
        right.as_str()
    } else {
        ""
    };
    let end = format!("{shown}{clock} ");
    let room = Rect {
        width: row.width.saturating_sub(text_columns(&end) + 1),
        ..row
    };
    paint.left(after(room, used), &more, theme.quiet());
    paint.pieces_right(
        row,
        &[
            (shown, theme.quiet()),
            (&clock, theme.strong()),
            (" ", Style::new()),
        ],
    );
}

fn text_columns(text: &str) -> u16 {
    super::parts::columns(text)
}

/// How the source is, in a word; its colour; and more about it.
fn state(app: &App) -> (String, Style, String) {
    let theme = app.theme;
    let between = theme.between();
    let place = text::clean(&app.place, theme.ascii).into_owned();
    let cross = theme.sign("✖", "x");
    match app.health() {
        Health::Lost { why, retry_at } => {
            let left = retry_at.since(app.now).as_millis().div_ceil(1_000);
            let of = app.true_at.map(|at| text::clock(at, app.zone, "%H:%M:%S"));
            let of = of.map_or(String::new(), |of| format!("{between}figures of {of}"));
            let when = match left {
                0 => "trying again".to_owned(),
                left => format!("retry in {left}s"),
            };
            // Where it was is known; why comes too late in the line as it is.
            let why = why.strip_prefix(&*app.place).unwrap_or(&why);
            let why = text::clean(why.trim_start_matches([':', ' ']), theme.ascii);
            (
                format!("{cross} lost"),
                theme.bad(),
                format!("{when}{of}{between}{why}"),
            )
        }
        Health::Refused(_) => (format!("{cross} refused"), theme.bad(), place),
        Health::Waiting if !app.is_paused() => {
            (format!("{} asking", theme.ring()), theme.warn(), place)
        }
        Health::Up | Health::Waiting if app.is_paused() => {
            let sign = theme.sign("‖", "||");
            let word = match app.held() {
                0 => format!("{sign} paused"),
                rows => format!("{sign} paused, {} since", text::count(rows, "row")),
            };
            (word, theme.warn(), place)
        }
        Health::Up | Health::Waiting => {
            let word = if app.is_live { "live" } else { "file" };
            (format!("{} {word}", theme.dot()), theme.good(), place)
        }
    }
}

/// The names in one row, and under them a line that is heavy under the one that is shown.
pub(super) fn tabs(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let [names, line] = [0, 1].map(|y| Rect {
        y: area.y + y,
        height: 1,
        ..area
    });
    let (light, heavy) = (theme.sign("─", "-"), theme.sign("━", "="));
    let mut paint = Paint::new(frame, theme);
    paint.left(line, &light.repeat(usize::from(line.width)), theme.frame());
    // Where there is little room, the names stand closer together.
    let gap = if area.width < 76 { "" } else { "  " };
    let mut used = 1;
    for tab in Tab::ALL {
        let is_shown = tab == app.tab;
        let style = match is_shown {
            true => theme.accent().patch(theme.strong()),
            false => Style::new(),
        };
        let key = format!(" {} ", tab.key());
        let figure = figure(app, tab);
        let from = used;
        used += paint.left(after(names, used), &key, theme.quiet());
        used += paint.left(after(names, used), tab.name(), style);
        if let Some(figure) = figure {
            used += paint.left(after(names, used), &format!(" {figure}"), theme.quiet());
        }
        used += paint.left(after(names, used), " ", style);
        let under = Rect {
            x: area.x + from,
            width: (used - from).min(area.width.saturating_sub(from)),
            ..line
        };
        if is_shown {
            let heavy = heavy.repeat(usize::from(under.width));
            paint.left(under, &heavy, theme.accent());
        }
        let target = Rect {
            y: names.y,
            ..under
        };
        app.targets.borrow_mut().push((target, Target::Tab(tab)));
        used += paint.left(after(names, used), gap, Style::new());
    }
}

fn figure(app: &App, tab: Tab) -> Option<String> {
    match tab {
        Tab::Online => app.figures.overview.map(|o| text::number(o.online)),
        Tab::Overview | Tab::Sessions | Tab::Activity | Tab::Help => None,
    }
}
