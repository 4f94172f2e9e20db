//! A number large enough to be read from across the room.

use crate::tui::text;
use crate::tui::theme::Theme;

/// Three columns and five rows of points for each digit, the topmost row first, its left point the highest bit.
const DIGITS: [[u8; 5]; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b001, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];

/// The number as lines of at most `columns` and `rows`, as large as fits; in plain digits where no large one does.
pub(super) fn large(value: i64, theme: Theme, columns: usize, rows: usize) -> Vec<String> {
    let plain = text::number(value);
    let points = points(&plain);
    let sizes: &[(usize, usize)] = if theme.ascii {
        &[(2, 1), (1, 1)]
    } else {
        &[(2, 2), (1, 1)]
    };
    for &(wide, high) in sizes {
        let height = match theme.ascii {
            true => 5 * high,
            false => (5 * high).div_ceil(2),
        };
        let fits = points[0].len() * wide <= columns && height <= rows;
        if fits {
            return (0..height)
                .map(|row| line(&points, theme, row, wide, high))
                .collect();
        }
    }
    vec![plain]
}

/// The points of all digits and separators, with a gap between them.
fn points(text: &str) -> [Vec<bool>; 5] {
    let mut rows: [Vec<bool>; 5] = std::array::from_fn(|_| Vec::new());
    for letter in text.chars() {
        for (index, row) in rows.iter_mut().enumerate() {
            if !row.is_empty() {
                row.push(false);
            }
            match letter.to_digit(10) {
                Some(digit) => {
                    let bits = DIGITS[digit as usize][index];
                    row.extend([0b100, 0b010, 0b001].map(|bit| bits & bit != 0));
                }
                // A separator, or the sign of a number that no count is.
                None => row.push(index == 4),
            }
        }
    }
    rows
}

fn line(points: &[Vec<bool>; 5], theme: Theme, row: usize, wide: usize, high: usize) -> String {
    let is_set = |y: usize, x: usize| {
        let row = points.get(y / high);
        row.is_some_and(|row| row.get(x / wide).copied().unwrap_or(false))
    };
    let width = points[0].len() * wide;
    let sign = |x: usize| match theme.ascii {
        true => {
            if is_set(row, x) {
                '#'
            } else {
                ' '
            }
        }
        false => match (is_set(row * 2, x), is_set(row * 2 + 1, x)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        },
    };
    (0..width).map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWN: Theme = Theme {
        colour: false,
        ascii: false,
    };

    #[test]
    fn as_large_as_fits() {
        let small = large(10, DRAWN, 10, 4);
        assert_eq!(small, ["▄█  █▀█", " █  █ █", "▀▀▀ ▀▀▀"]);
        assert_eq!(large(10, DRAWN, 14, 5).len(), 5);
        assert_eq!(large(1_234_567, DRAWN, 12, 5), ["1,234,567"]);
        let ascii = Theme {
            ascii: true,
            ..DRAWN
        };
        assert!(
            large(1_234, ascii, 40, 5)
                .iter()
                .all(|line| line.is_ascii())
        );
    }
}
