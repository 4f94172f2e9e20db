//! `lastseen migrate`: makes the database, brings its schema up to date, says where it stands.

use super::{database, output};
use crate::config::Config;
use crate::store::migrate;
use clap::{Args, ValueEnum};
use serde::Serialize;

/// Create the database or bring its schema up to date
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  lastseen migrate\n  lastseen migrate --dry-run\n  lastseen migrate status --json"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: database::DatabaseArguments,
    /// up applies what is pending, status only shows it
    #[arg(value_enum, default_value = "up")]
    action: Action,
    /// Show what would be applied; create and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Report as a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    Up,
    Status,
}

/// Where a database stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    database: String,
    /// Whether the file is there (after the command).
    exists: bool,
    /// The schema's version now.
    version: usize,
    /// The newest version that this lastseen knows.
    latest: usize,
    /// Names of the migrations that are not applied.
    pending: Vec<&'static str>,
    /// Names of those applied just now.
    applied: Vec<&'static str>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = arguments.database.settings()?;
    let apply = arguments.action == Action::Up && !arguments.dry_run;
    let report = report(&config, apply)?;
    if arguments.json {
        return output::print_json(&report);
    }
    output::print(to_text(&report))
}

fn to_text(report: &Report) -> String {
    let mut text = format!("{}: ", report.database);
    text += &match report.exists {
        true => format!("schema version {} of {}\n", report.version, report.latest),
        false => "does not exist yet\n".to_owned(),
    };
    for (word, names) in [("applied", &report.applied), ("pending", &report.pending)] {
        for name in names {
            text += &format!("{word} {name}\n");
        }
    }
    text
}

fn report(config: &Config, apply: bool) -> anyhow::Result<Report> {
    let path = &config.database;
    let explain = |error| database::explain(error, path);
    let applied = if apply {
        migrate::up(path).map_err(explain)?
    } else {
        Vec::new()
    };
    let status = migrate::status(path).map_err(explain)?;
    Ok(Report {
        database: path.display().to_string(),
        exists: status.exists,
        version: status.applied.len(),
        latest: status.applied.len() + status.pending.len(),
        pending: status.pending,
        applied,
    })
}
