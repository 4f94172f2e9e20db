//! `lastseen tui`: the dashboard in a terminal, or one frame of it as text.

use super::source::{Opened, SourceArguments};
use super::{output, stats};
use crate::config::{Env, TuiSettings, parse_refresh};
use crate::model::{Clock, Zone};
use crate::tui::app::{Settings, Tab};
use crate::tui::once;
use crate::tui::run::{Surroundings, run as run_loop};
use crate::tui::source::Source;
use crate::tui::terminal::{self, Taken};
use crate::tui::theme::Theme;
use anyhow::Context as _;
use clap::Args;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

const REFRESH: &str = "LASTSEEN_REFRESH";
const ASCII: &str = "LASTSEEN_ASCII";
const MOUSE: &str = "LASTSEEN_MOUSE";

const DEFAULT_REFRESH: Duration = Duration::from_secs(2);

/// The size of one frame where there is no terminal, and the largest that anyone can mean.
const COLUMNS: u16 = 80;
const ROWS: u16 = 24;
const MOST: u16 = 1_000;

/// Watch who is online and what happens, in the terminal
#[derive(Args, Debug)]
#[command(
    after_help = "From the database file, with or without a server beside it, or with --url from a server, as an admin: then it is live, and can disconnect people. ? shows the keys.\n\nNO_COLOR turns colours off. In the config file the table is [tui] with url, token_file, refresh, ascii and mouse. With --once, one frame goes to standard output, as wide as COLUMNS and as high as LINES where that is no terminal.\n\nExamples:\n  lastseen tui\n  lastseen tui --url https://presence.example.com --token-file key\n  lastseen tui --once --tab online --ascii"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// How often to look, from 250ms to 1h [default: 2s] [env: LASTSEEN_REFRESH]
    #[arg(long, value_name = "DURATION", value_parser = parse_refresh)]
    refresh: Option<Duration>,
    /// Draw with ASCII alone [env: LASTSEEN_ASCII]
    #[arg(long)]
    ascii: bool,
    /// Click tabs and rows, scroll with the wheel [env: LASTSEEN_MOUSE]
    #[arg(long)]
    mouse: bool,
    /// Print one frame and exit
    #[arg(long)]
    once: bool,
    /// The tab to begin with
    #[arg(long, value_enum, default_value = "overview")]
    tab: Tab,
}

impl Arguments {
    fn refresh(&self, env: &Env, set: &TuiSettings) -> anyhow::Result<Duration> {
        match (self.refresh, env.get(REFRESH)?) {
            (Some(refresh), _) => Ok(refresh),
            (None, Some(text)) => parse_refresh(text)
                .map_err(|why| anyhow::anyhow!("environment variable {REFRESH}: {why}")),
            (None, None) => Ok(set.refresh.unwrap_or(DEFAULT_REFRESH)),
        }
    }

    fn settings(
        &self,
        env: &Env,
        set: &TuiSettings,
        zone: Zone,
        has_colours: bool,
    ) -> anyhow::Result<Settings> {
        Ok(Settings {
            tab: self.tab,
            zones: zones(zone),
            refresh: self.refresh(env, set)?,
            theme: Theme {
                colour: has_colours,
                ascii: switch(self.ascii, env, ASCII, set.ascii)?,
            },
        })
    }
}

/// The flag, else the environment, else the config file.
fn switch(flag: bool, env: &Env, name: &str, set: Option<bool>) -> anyhow::Result<bool> {
    match env.get(name)? {
        _ if flag => Ok(true),
        Some(text) => text.parse().map_err(|_| {
            anyhow::anyhow!("environment variable {name}: must be true or false, not {text:?}")
        }),
        None => Ok(set.unwrap_or(false)),
    }
}

/// The one that was asked for, this machine's, and UTC.
fn zones(first: Zone) -> Vec<Zone> {
    // Where the system does not say, two are enough.
    let here = iana_time_zone::get_timezone().ok();
    // Servers are often set so, and it is no other zone.
    let here = here.filter(|name| name != "Etc/UTC");
    let here = here.and_then(|name| name.parse().ok());
    let mut zones = vec![first];
    for zone in here.into_iter().chain([Zone::UTC]) {
        if !zones.contains(&zone) {
            zones.push(zone);
        }
    }
    zones
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let env = Env::of_process();
    let is_terminal = std::io::stdout().is_terminal();
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if !arguments.once && (!is_terminal || is_dumb) {
        anyhow::bail!(
            "standard output is no terminal to draw on; use --once for one frame, or lastseen stats"
        );
    }
    let has_colours = is_terminal && !is_dumb && !no_colour;
    let status = arguments
        .source
        .with_source(async |Opened { source, zone, tui }| {
            let settings = arguments.settings(&env, &tui, zone, has_colours)?;
            if arguments.once {
                print_once(&*source, settings, is_terminal).await?;
                return Ok(0);
            }
            let with_mouse = switch(arguments.mouse, &env, MOUSE, tui.mouse)?;
            watch(source, settings, with_mouse).await
        })?;
    if status != 0 {
        // As a program that the signal had ended: everything is closed by now.
        std::process::exit(status);
    }
    Ok(())
}

async fn print_once(
    source: &dyn Source,
    settings: Settings,
    is_terminal: bool,
) -> anyhow::Result<()> {
    let has_colours = settings.theme.colour;
    let size = size(is_terminal);
    let frame = once::frame(source, settings, &Clock::system(), size).await;
    let frame = frame.map_err(|error| stats::explain(error, source.is_live()))?;
    output::print(once::lines(&frame, has_colours))
}

/// As large as the terminal, with a line left for the prompt that follows; else as the environment says.
fn size(is_terminal: bool) -> (u16, u16) {
    if is_terminal && let Ok((columns, rows)) = crossterm::terminal::size() {
        return (columns.max(1), rows.saturating_sub(1).max(1));
    }
    let of = |name: &str, default: u16| {
        let value = std::env::var(name).ok();
        let value = value.and_then(|text| text.trim().parse::<u16>().ok());
        value
            .filter(|value| (1..=MOST).contains(value))
            .unwrap_or(default)
    };
    (of("COLUMNS", COLUMNS), of("LINES", ROWS))
}

async fn watch(
    source: Arc<dyn Source>,
    settings: Settings,
    with_mouse: bool,
) -> anyhow::Result<i32> {
    // First, so that no signal finds the terminal taken and nobody to give it back.
    let inputs = terminal::inputs().context("cannot listen for signals")?;
    let folder = std::env::current_dir().context("cannot tell the current directory")?;
    let mut taken = Taken::new(with_mouse).context("cannot use the terminal")?;
    let surroundings = Surroundings {
        source,
        clock: Clock::system(),
        folder,
        clipboard: &mut terminal::copy,
    };
    let status = run_loop(&mut taken.terminal, inputs, settings, surroundings).await;
    drop(taken);
    Ok(status?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_beat_the_environment_and_that_the_file() {
        let env = Env::of([(ASCII, "true"), (MOUSE, "yes")]);
        let none = Env::default();
        assert!(switch(false, &env, ASCII, Some(false)).expect("a switch"));
        assert!(switch(true, &env, MOUSE, None).expect("the flag is enough"));
        assert!(switch(false, &none, ASCII, Some(true)).expect("the file's"));
        assert!(!switch(false, &none, ASCII, None).expect("off"));
        let error = switch(false, &env, MOUSE, Some(true)).expect_err("no switch");
        let error = error.to_string();
        assert!(error.contains("LASTSEEN_MOUSE: must be true or false"));
    }

    #[test]
    fn how_often_it_looks() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            arguments: Arguments,
        }
        use clap::Parser as _;
        let refresh = |flags: &[&str], env: &Env, set| {
            let flags = ["tui"].iter().chain(flags);
            let command = Command::try_parse_from(flags).expect("good flags");
            let set = TuiSettings {
                refresh: set,
                ..TuiSettings::default()
            };
            command.arguments.refresh(env, &set)
        };
        let (env, none) = (Env::of([(REFRESH, "9s")]), Env::default());
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(
            refresh(&["--refresh=1s"], &env, Some(minute)).ok(),
            Some(second)
        );
        assert_eq!(
            refresh(&[], &env, Some(minute)).ok(),
            Some(Duration::from_secs(9))
        );
        assert_eq!(refresh(&[], &none, Some(minute)).ok(), Some(minute));
        assert_eq!(refresh(&[], &none, None).ok(), Some(DEFAULT_REFRESH));
        assert!(refresh(&[], &Env::of([(REFRESH, "9h")]), None).is_err());
    }

    #[test]
    fn each_zone_once() {
        let berlin: Zone = "Europe/Berlin".parse().expect("a zone");
        let list = zones(berlin);
        assert_eq!(list[0], berlin);
        assert!(list.contains(&Zone::UTC));
        assert!(zones(Zone::UTC).len() < 3);
    }
}
