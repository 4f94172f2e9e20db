//! Sessions by weekday and hour: the warmer, the more began then.

use super::parts::{Paint, after, panel};
use crate::tui::app::App;
use crate::tui::text;
use crate::tui::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;

/// Rows that it takes with its frame.
pub(super) const HEIGHT: u16 = 10;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const NAMES: u16 = 4;

pub(super) fn draw(frame: &mut Frame, app: &App, area: Rect) {
    let theme = app.theme;
    let cells = app.figures.heatmap.as_deref();
    let most = cells.and_then(|cells| cells.iter().flatten().max().copied());
    let most = most.unwrap_or(0);
    let legend: String = (0..=Theme::WARMEST)
        .map(|level| theme.warmth(level).0)
        .collect();
    let right = format!("0 {legend} {}", text::number(most));
    let title = ("Sessions by weekday and hour", theme.accent());
    let inner = panel(frame, theme, area, title, Some(&right));
    let mut paint = Paint::new(frame, theme);
    let mut rows = inner.rows();
    let Some(cells) = cells else {
        if let Some(row) = rows.next() {
            paint.left(row, "asking", theme.quiet());
        }
        return;
    };
    let wide = (inner.width.saturating_sub(NAMES) / 24).clamp(1, 4);
    if let Some(row) = rows.next() {
        for hour in (0..24).step_by(3) {
            let at = after(row, NAMES + hour * wide);
            paint.left(at, &format!("{hour:02}"), theme.quiet());
        }
    }
    let today = app.zone.local(app.now);
    for ((day, hours), row) in cells.iter().enumerate().zip(rows) {
        let is_today = u32::try_from(day).is_ok_and(|day| day == today.weekday);
        let style = if is_today {
            theme.accent()
        } else {
            theme.quiet()
        };
        paint.left(row, DAYS[day], style);
        for (hour, sessions) in hours.iter().enumerate() {
            let (sign, style) = theme.warmth(level(*sessions, most));
            let hour = u16::try_from(hour).unwrap_or(0);
            let at = Rect {
                width: wide,
                ..after(row, NAMES + hour * wide)
            };
            paint.left(at, &sign.repeat(usize::from(wide)), style);
        }
    }
}

/// From 0 for none to the warmest for the most.
fn level(sessions: i64, most: i64) -> usize {
    if sessions <= 0 || most <= 0 {
        return 0;
    }
    let share = sessions as f64 / most as f64;
    ((share * Theme::WARMEST as f64).ceil() as usize).clamp(1, Theme::WARMEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_is_not_nothing_and_only_the_most_is_the_most() {
        assert_eq!(level(0, 100), 0);
        assert_eq!(level(1, 1_000_000), 1);
        assert_eq!(level(75, 100), 3);
        assert_eq!(level(100, 100), 4);
        assert_eq!(level(i64::MAX, i64::MAX), 4);
        assert_eq!(level(3, 0), 0);
    }
}
