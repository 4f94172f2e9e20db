//! The command line: one file a subcommand, named as there. Each is thin: read the settings, open the store or start
//! the app, call it, print. Exit status 0, 1 failed (one line on standard error), 2 usage.

mod backup;
mod completions;
mod database;
mod demo;
mod export;
mod files;
mod import;
mod man;
mod migrate;
mod output;
mod password;
mod prune;
mod serve;
mod source;
mod stats;
#[cfg(test)]
mod tests;
mod token;
mod tui;
mod user;

use clap::{CommandFactory as _, Parser, Subcommand};
use std::io::Write as _;
use std::process::ExitCode;

/// Presence and activity for social and messaging apps: who is online, and when were they last seen.
#[derive(Parser, Debug)]
#[command(
    name = "lastseen",
    version,
    propagate_version = true,
    after_help = "Examples:\n  lastseen serve\n  lastseen user add ann --role admin\n  lastseen token create --role service --name backend\n\nEvery setting is also a LASTSEEN_* variable and a key of the TOML file given by --config."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Serve(serve::Arguments),
    Migrate(migrate::Arguments),
    User(user::Arguments),
    Token(token::Arguments),
    Import(import::Arguments),
    Export(export::Arguments),
    Prune(prune::Arguments),
    Backup(backup::Arguments),
    Stats(stats::Arguments),
    Tui(tui::Arguments),
    Demo(demo::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// The definition of the whole command line, from which help, man pages and completions are made.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what the command line of this process says, and gives its exit status. Ends the process itself on a usage
/// error, and after `--help`.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Migrate(arguments) => migrate::run(arguments),
        Command::User(arguments) => user::run(arguments),
        Command::Token(arguments) => token::run(arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Prune(arguments) => prune::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Stats(arguments) => stats::run(&arguments),
        Command::Tui(arguments) => tui::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    // Whoever reads our output has seen enough, as `head` does: that is no failure.
    if error.is::<output::Closed>() {
        return ExitCode::SUCCESS;
    }
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        usage.exit();
    }
    complain(&one_line(&error));
    ExitCode::FAILURE
}

/// The error and its causes on one line.
fn one_line(error: &anyhow::Error) -> String {
    let line = format!("{error:#}");
    output::plain(line.trim())
}

/// A line on standard error. That it is closed is nothing we could say anywhere.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "lastseen: {line}");
}

/// A usage error (exit status 2) found after parsing, with the usage of the command that this process was asked for.
fn usage(message: impl std::fmt::Display) -> anyhow::Error {
    let kind = clap::error::ErrorKind::MissingRequiredArgument;
    let mut root = command();
    root.build();
    // No flag comes before the command's name.
    let asked = std::env::args().nth(1);
    match asked.and_then(|name| root.find_subcommand_mut(name)) {
        Some(command) => command.error(kind, message).into(),
        None => root.error(kind, message).into(),
    }
}
