//! How things look: sixteen colours that every terminal has and the reader has chosen, or none; drawing characters, or
//! ASCII alone. What a colour says is also said by a word, a sign or a place.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::{bar, border};

/// The look of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Whether there are colours; bold, dim and reversed there are in any case.
    pub colour: bool,
    /// Whether there is only ASCII.
    pub ascii: bool,
}

/// Bars of ASCII: a foot, a half, a whole.
const ASCII_BARS: bar::Set<'static> = bar::Set {
    full: "#",
    seven_eighths: "#",
    three_quarters: "=",
    five_eighths: "=",
    half: "-",
    three_eighths: "-",
    one_quarter: ".",
    one_eighth: ".",
    empty: " ",
};

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

impl Theme {
    /// The highest level of warmth.
    pub const WARMEST: usize = 4;

    fn tint(self, colour: Color) -> Style {
        match self.colour {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    /// What the eye should find first.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Labels, units, axes.
    pub fn quiet(self) -> Style {
        match self.colour {
            true => self.tint(Color::DarkGray),
            false => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// Frames around things.
    pub fn frame(self) -> Style {
        self.quiet()
    }

    /// The program's own colour: what is chosen, headings.
    pub fn accent(self) -> Style {
        self.tint(Color::Cyan)
    }

    /// Bars and curves.
    pub fn bar(self) -> Style {
        self.tint(Color::Cyan)
    }

    /// Bars of what is known only roughly.
    pub fn faint_bar(self) -> Style {
        match self.colour {
            true => self.tint(Color::Blue),
            false => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// Online, all is well.
    pub fn good(self) -> Style {
        self.tint(Color::Green)
    }

    /// Something to look at.
    pub fn warn(self) -> Style {
        self.tint(Color::Yellow)
    }

    /// Something is wrong.
    pub fn bad(self) -> Style {
        self.tint(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// The chosen row.
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Laid over figures that are no longer true.
    pub fn stale(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A level of warmth from 0 (nothing) to [`Self::WARMEST`]: its sign, and its colour.
    pub fn warmth(self, level: usize) -> (&'static str, Style) {
        let signs = match self.ascii {
            true => [" ", ".", ":", "*", "#"],
            false => ["·", "░", "▒", "▓", "█"],
        };
        let colours = [
            Color::DarkGray,
            Color::Blue,
            Color::Blue,
            Color::Cyan,
            Color::LightCyan,
        ];
        let level = level.min(Self::WARMEST);
        (signs[level], self.tint(colours[level]))
    }

    /// One of two signs.
    pub fn sign(self, drawn: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { drawn }
    }

    /// A filled dot: online, alive.
    pub fn dot(self) -> &'static str {
        self.sign("●", "*")
    }

    /// An empty dot: in the background, gone.
    pub fn ring(self) -> &'static str {
        self.sign("○", "o")
    }

    /// What was cut ends with it.
    pub fn more(self) -> &'static str {
        self.sign("…", "~")
    }

    /// Nothing there.
    pub fn none(self) -> &'static str {
        self.sign("–", "-")
    }

    /// Between two things on a line.
    pub fn between(self) -> &'static str {
        self.sign(" · ", " | ")
    }

    /// Parts of a bar that grows upwards.
    pub fn bars(self) -> bar::Set<'static> {
        match self.ascii {
            true => ASCII_BARS,
            false => bar::NINE_LEVELS,
        }
    }

    /// The frame around a panel.
    pub fn border(self) -> border::Set<'static> {
        match self.ascii {
            true => ASCII_BORDER,
            false => border::ROUNDED,
        }
    }

    /// A bar that grows to the right, `eighths` long, in whole columns with ASCII.
    pub fn lying_bar(self, eighths: usize) -> String {
        let (whole, rest) = (eighths / 8, eighths % 8);
        if self.ascii {
            let shown = if eighths == 0 { 0 } else { whole.max(1) };
            return "#".repeat(shown);
        }
        let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        "█".repeat(whole) + part[rest]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_there_is_none() {
        let theme = Theme {
            colour: false,
            ascii: true,
        };
        let styles = [
            theme.quiet(),
            theme.accent(),
            theme.bar(),
            theme.faint_bar(),
            theme.good(),
            theme.warn(),
            theme.bad(),
            theme.chosen(),
            theme.warmth(9).1,
        ];
        let plain = |style: &Style| style.fg.is_none() && style.bg.is_none();
        assert!(styles.iter().all(plain));
        assert!((0..=Theme::WARMEST).all(|level| theme.warmth(level).0.is_ascii()));
    }

    #[test]
    fn a_bar_is_as_long_as_it_should_be() {
        let drawn = Theme {
            colour: true,
            ascii: false,
        };
        let ascii = Theme {
            ascii: true,
            ..drawn
        };
        assert_eq!(drawn.lying_bar(19), "██▍");
        assert_eq!(drawn.lying_bar(0), "");
        assert_eq!(ascii.lying_bar(19), "##");
        assert_eq!(ascii.lying_bar(1), "#", "a little is not nothing");
    }
}
