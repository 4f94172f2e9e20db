//! Text from strangers made fit for a terminal, cut by the columns it takes; times, spans and numbers as people read
//! them.

use crate::model::{Timestamp, Zone};
use chrono::{DateTime, Utc};
use ratatui::buffer::CellWidth as _;
use std::borrow::Cow;
use std::time::Duration;
use unicode_segmentation::UnicodeSegmentation as _;

/// A letter with more bytes than this of accents is no letter but mischief: each would reach the terminal.
const LONGEST_GRAPHEME: usize = 32;

/// `text` on one line, without what a terminal obeys or what hides or turns round its neighbours: a dot stands for each
/// of those. With `ascii`, a question mark stands for all that is not ASCII.
pub fn clean(text: &str, ascii: bool) -> Cow<'_, str> {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let stand_in = if ascii { '?' } else { '·' };
    let seen: String = text
        .chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() || is_invisible(c) => stand_in,
            c if ascii && !c.is_ascii() => stand_in,
            c => c,
        })
        .collect();
    let is_short = |part: &str| part.len() <= LONGEST_GRAPHEME;
    if seen.len() <= LONGEST_GRAPHEME || seen.graphemes(true).all(is_short) {
        return Cow::Owned(seen);
    }
    let mut short = String::with_capacity(seen.len());
    for part in seen.graphemes(true) {
        match is_short(part) {
            true => short.push_str(part),
            false => short.push(stand_in),
        }
    }
    Cow::Owned(short)
}

/// Characters without a width of their own that change what stands around them: joiners, marks of direction, tags.
fn is_invisible(c: char) -> bool {
    matches!(
        u32::from(c),
        0xAD | 0x34F
            | 0x61C
            | 0x115F..=0x1160
            | 0x17B4..=0x17B5
            | 0x180B..=0x180F
            | 0x200B..=0x200F
            | 0x2028..=0x202E
            | 0x2060..=0x206F
            | 0x3164
            | 0xFE00..=0xFE0F
            | 0xFEFF
            | 0xFFA0
            | 0xFFF9..=0xFFFB
            | 0xE0000..=0xE0FFF
    )
}

fn columns_of(grapheme: &str) -> usize {
    usize::from(grapheme.cell_width())
}

/// The columns that `text` takes, which is clean.
pub fn width(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => text.graphemes(true).map(columns_of).sum(),
    }
}

/// `text`, which is clean, in at most `columns`; what is cut ends with `mark`.
pub fn cut<'a>(text: &'a str, columns: usize, mark: &str) -> Cow<'a, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(width(mark)) else {
        return Cow::Borrowed("");
    };
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        used += columns_of(grapheme);
        if used > room {
            break;
        }
        kept.push_str(grapheme);
    }
    kept.push_str(mark);
    Cow::Owned(kept)
}

/// `text`, which is clean, broken into lines of at most `columns`, at spaces where there are any.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_inclusive(' ') {
            let whole = width(word.trim_end());
            if used > 0 && used + whole > columns {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
            for grapheme in word.graphemes(true) {
                let wide = columns_of(grapheme);
                if used + wide > columns && used > 0 && grapheme != " " {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push_str(grapheme);
                used += wide;
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// What a clock in `zone` shows at `at`, by a `chrono` format.
pub fn clock(at: Timestamp, zone: Zone, format: &str) -> String {
    let ahead = i64::from(zone.local(at).offset) * 1_000;
    let shown = DateTime::<Utc>::from_timestamp_millis(at.as_millis().saturating_add(ahead));
    match shown {
        Some(time) => time.format(format).to_string(),
        // Only of times that no row can hold.
        None => "?".to_owned(),
    }
}

/// The time of day of a moment of today, else its day and the time.
pub fn moment(at: Timestamp, now: Timestamp, zone: Zone) -> String {
    let (then, today) = (zone.local(at).date, zone.local(now).date);
    match then == today {
        true => clock(at, zone, "%H:%M:%S"),
        false => clock(at, zone, "%d %b %H:%M"),
    }
}

/// A span in its two largest units, such as `3m 05s`.
pub fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h {:02}m", minutes % 60),
        (_, _, _) => format!("{days}d {:02}h", hours % 24),
    }
}

/// How long ago, in its largest unit.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(at).as_secs();
    match seconds {
        0..5 => "now".to_owned(),
        5..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..86_400 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// A whole number with its thousands apart.
pub fn number(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 user`, `2 users`.
pub fn count(value: usize, one: &str) -> String {
    let shown = number(i64::try_from(value).unwrap_or(i64::MAX));
    match value {
        1 => format!("{shown} {one}"),
        _ => format!("{shown} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    #[test]
    fn a_terminal_obeys_nothing_of_a_name() {
        assert_eq!(clean("ann.b_2", false), "ann.b_2");
        assert_eq!(clean("\u{1b}[2Jx\u{9b}31m\u{7}\r", false), "·[2Jx·31m··");
        assert_eq!(clean("a\u{202e}b\u{200d}c\u{feff}", false), "a·b·c·");
        assert_eq!(clean("two\nlines\tand", false), "two lines and");
        assert_eq!(clean("naïve 世界", true), "na?ve ??");
    }

    #[test]
    fn a_tower_of_accents_is_one_dot() {
        let tower = format!("a{}b and more text here", "\u{301}".repeat(100));
        assert_eq!(clean(&tower, false), "·b and more text here");
        assert_eq!(clean("e\u{301}", false), "e\u{301}");
    }

    #[test]
    fn cut_by_columns_and_never_in_a_letter() {
        assert_eq!(width("世界"), 4);
        assert_eq!(cut("世界", 4, "…"), "世界");
        assert_eq!(cut("世界人", 4, "…"), "世…");
        assert_eq!(cut("abcdef", 4, "~"), "abc~");
        assert_eq!(cut("e\u{301}tude", 3, "…"), "e\u{301}t…");
        assert_eq!(cut("abc", 0, "…"), "");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_where_they_must() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a\n\nb", 4), ["a", "", "b"]);
        assert_eq!(wrap("世界世界", 5), ["世界", "世界"]);
    }

    #[test]
    fn times_as_people_read_them() {
        let zone: Zone = "Asia/Kathmandu".parse().expect("a zone");
        let now = at("2026-03-01T20:00:00Z");
        assert_eq!(moment(now, now, zone), "01:45:00");
        assert_eq!(
            moment(at("2026-03-01T12:00:00Z"), now, zone),
            "01 Mar 17:45"
        );
        assert_eq!(ago(at("2026-03-01T19:59:57Z"), now), "now");
        assert_eq!(ago(at("2026-03-01T19:55:57Z"), now), "4m ago");
        assert_eq!(ago(at("2026-03-02T19:55:57Z"), now), "now");
        assert_eq!(span(Duration::from_secs(185)), "3m 05s");
        assert_eq!(span(Duration::from_secs(90_000)), "1d 01h");
        assert!(!clock(Timestamp::from_millis(i64::MAX), zone, "%H").is_empty());
    }

    #[test]
    fn numbers_with_their_thousands_apart() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number(-123), "-123");
        assert_eq!(number(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(1_000, "row"), "1,000 rows");
    }
}
