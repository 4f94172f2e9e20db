//! The tabs, and what each shows of the source.

use super::asks::Kind;

/// The tabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tab {
    /// Figures at a glance.
    Overview,
    /// Who is online.
    Online,
    /// Stretches of being online.
    Sessions,
    /// The log.
    Activity,
    /// The keys.
    Help,
}

impl Tab {
    /// All, from left to right.
    pub const ALL: [Self; 5] = [
        Self::Overview,
        Self::Online,
        Self::Sessions,
        Self::Activity,
        Self::Help,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Online => "Online",
            Self::Sessions => "Sessions",
            Self::Activity => "Activity",
            Self::Help => "Help",
        }
    }

    /// The key that shows it.
    pub const fn key(self) -> char {
        match self {
            Self::Overview => '1',
            Self::Online => '2',
            Self::Sessions => '3',
            Self::Activity => '4',
            Self::Help => '?',
        }
    }

    /// What it shows of the source.
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Overview => &[Kind::Figures, Kind::Series, Kind::Actions],
            Self::Online => &[Kind::Online],
            Self::Sessions => &[Kind::Sessions, Kind::Heatmap],
            Self::Activity => &[Kind::Activities],
            Self::Help => &[],
        }
    }
}
