//! `lastseen stats`: the dashboard's figures once, as text or JSON.

use super::output;
use super::source::{Opened, SourceArguments};
use crate::model::Zone;
use crate::tui::source::{
    ActionCount, Overview, Point, Result, SessionFigures, Source, SourceError,
};
use clap::Args;
use serde::Serialize;

/// Actions that are shown at most.
const MAX_ACTIONS: usize = 10;

/// Hours of the day that are shown as text.
const MAX_HOURS: usize = 5;

/// Show who is online and what happened today
#[derive(Args, Debug)]
#[command(
    after_help = "From the database file, with or without a server beside it, or with --url from a server, as an admin. Where no server has been alive for 15 seconds, nobody is online in a file. In the config file the address and the key's file are url and token_file of [tui].\n\nThe key goes over the network as it is: give an https:// address outside of your own machine and network.\n\nExamples:\n  lastseen stats\n  lastseen stats --tz Europe/Berlin --json\n  lastseen stats --url https://presence.example.com --token-file key"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// As a JSON object, with who was online over the last 24 hours
    #[arg(long)]
    json: bool,
}

/// The figures, of now and of today in the zone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    source: String,
    tz: &'static str,
    overview: Overview,
    sessions: SessionFigures,
    actions: Vec<ActionCount>,
    online_series: Vec<Point>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let stats = arguments
        .source
        .with_source(async |Opened { source, zone, .. }| {
            let stats = ask(&*source, zone).await;
            stats.map_err(|error| explain(error, source.is_live()))
        })?;
    if arguments.json {
        return output::print_json(&stats);
    }
    output::print(text(&stats))
}

async fn ask(source: &dyn Source, zone: Zone) -> Result<Stats> {
    Ok(Stats {
        source: source.place(),
        tz: zone.name(),
        overview: source.overview(zone).await?,
        sessions: source.session_figures(zone).await?,
        actions: source.busiest_actions(zone, MAX_ACTIONS).await?,
        online_series: source.online_series(zone).await?,
    })
}

/// What to do about it, where the error does not say so itself.
pub(super) fn explain(error: SourceError, is_live: bool) -> anyhow::Error {
    match error {
        SourceError::Lost(_) if is_live => {
            anyhow::anyhow!("{error}; check the address, and that the server runs")
        }
        SourceError::Lost(_) => anyhow::anyhow!("{error}; check the file, and try again"),
        SourceError::Refused(_) | SourceError::Rejected(_) => error.into(),
    }
}

fn text(stats: &Stats) -> String {
    let overview = &stats.overview;
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    row("online now", overview.online.to_string());
    row("connections", overview.connections.to_string());
    row("most online today", overview.peak_online.to_string());
    row("active today", overview.dau.to_string());
    row("active in 7 days", overview.wau.to_string());
    row("active in 30 days", overview.mau.to_string());
    row("sign-ins today", overview.sign_ins.to_string());
    row("sessions today", overview.sessions.to_string());
    let seconds = stats.sessions.average_session_duration;
    row("their average length", duration(seconds));
    row("activities today", overview.activities.to_string());
    for hour in stats.sessions.top_hours.iter().take(MAX_HOURS) {
        row(
            &format!("sessions from {:02}:00", hour.hour),
            hour.sessions.to_string(),
        );
    }
    for action in &stats.actions {
        row(&output::plain(&action.action), action.count.to_string());
    }
    let names = rows.iter().map(|(name, _)| name.chars().count());
    let name_width = names.max().unwrap_or_default();
    let value_width = rows.iter().map(|(_, value)| value.len()).max();
    let value_width = value_width.unwrap_or_default();
    let source = output::plain(&stats.source);
    let mut text = format!("{source}, {}\n", stats.tz);
    for (name, value) in rows {
        text += &format!("{name:<name_width$}  {value:>value_width$}\n");
    }
    text
}

/// In the two largest units.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::source::HourSessions;

    #[test]
    fn text_is_aligned_and_holds_no_control_characters() {
        let stats = Stats {
            source: "a\x1b[2Jb.db".into(),
            tz: "UTC",
            overview: Overview {
                online: 12_345,
                ..Overview::default()
            },
            sessions: SessionFigures {
                total_sessions: 2,
                average_session_duration: 3725.4,
                top_hours: vec![HourSessions {
                    hour: 7,
                    sessions: 2,
                }],
            },
            actions: vec![ActionCount {
                action: "video_watched".into(),
                count: 9,
            }],
            online_series: Vec::new(),
        };
        let text = text(&stats);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "a [2Jb.db, UTC");
        assert_eq!(lines[1], "online now            12345");
        assert!(text.contains("\ntheir average length  1h 2m\n"), "{text}");
        assert!(text.contains("\nsessions from 07:00       2\n"), "{text}");
        assert!(text.ends_with("\nvideo_watched             9\n"), "{text}");
        assert!(
            lines[1..].iter().all(|line| line.len() == lines[1].len()),
            "{text}"
        );
    }

    #[test]
    fn lengths_are_short() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (59.4, "59s"),
            (61.0, "1m 1s"),
            (86_400.0, "24h 0m"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }
}
