//! `lastseen export`: users, follows, activities and sessions as CSV or JSON lines, in the columns that `import` reads,
//! in memory that does not grow with the database. The next page is read while one is written.
//!
//! A file is written beside its place and takes it when it is whole, so that a failure leaves nothing half-done.

mod output_file;
mod rows;
#[cfg(test)]
mod tests;

use super::database::{self, Access, with_store};
use super::import::{Format, Kind};
use super::{output, usage};
use crate::config::Config;
use crate::export;
use crate::model::{Clock, LoggedActivity, Timestamp, User};
use crate::store::{FollowNames, SessionEntry, Store};
use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use output_file::OutputFile;
use rows::Exported;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Export users, follows, activities or sessions, as import reads them
#[derive(Args, Debug)]
#[command(
    after_help = "Columns (CSV with a header, or JSON lines with these keys):\n  users       id, externalId, username, displayName, email, bio, profilePictureUrl\n  follows     follower, followee (usernames)\n  activities  id, userId, username, action, targetType, targetId, metadata, ipAddress, deviceType, countryCode, region, timestamp\n  sessions    id, userId, username, deviceId, deviceType, ipAddress, countryCode, userAgent, startedAt, endedAt, endReason\nTimes are RFC 3339; oldest first. It is no backup: passwords, tokens, settings and messages are not in it.\n\nWorks beside a running server; what changes meanwhile is in it or not. A session that is open then has no endedAt, and import refuses it; without a running server it ended, as \"crash\", at the server's last proof of life.\n\nWith --json the report is on standard output, and on standard error when the rows are on standard output.\n\nExamples:\n  lastseen export users users.csv\n  lastseen export activities log.jsonl --json\n  lastseen export follows | head"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: database::DatabaseArguments,
    /// What to export
    #[arg(value_enum)]
    kind: Kind,
    /// The file, which must not exist; - is standard output
    #[arg(default_value = "-")]
    file: PathBuf,
    /// By the file's name if left out; CSV on standard output
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Report as a JSON object
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn is_to_stdout(&self) -> bool {
        self.file == Path::new("-")
    }

    /// By what is said, else by the file's name; text for a reader of standard output is CSV.
    fn format(&self) -> Option<Format> {
        let default = self.is_to_stdout().then_some(Format::Csv);
        self.format.or_else(|| Format::of(&self.file)).or(default)
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Some(format) = arguments.format() else {
        return Err(usage(
            "what to write into the file? Give --format csv or --format jsonl",
        ));
    };
    let config = arguments.database.settings()?;
    if arguments.is_to_stdout() {
        let bar = ProgressBar::hidden();
        let rows = export_kind(&config, arguments.kind, format, &mut Stdout, &bar)?;
        if arguments.json {
            // With standard error closed the rows still came.
            let _ = writeln!(io::stderr(), "{}", report(arguments.kind, rows));
        }
        return Ok(());
    }
    let mut file = OutputFile::create(&arguments.file)?;
    let bar = bar();
    let exported = export_kind(&config, arguments.kind, format, &mut file, &bar);
    bar.finish_and_clear();
    let rows = exported?;
    file.finish()?;
    if arguments.json {
        return output::print_json(&report(arguments.kind, rows));
    }
    let shown = output::plain(&arguments.file.display().to_string());
    output::print(format!("exported {rows} {} to {shown}\n", arguments.kind))
}

fn report(kind: Kind, rows: u64) -> serde_json::Value {
    serde_json::json!({ "kind": kind.to_string(), "rows": rows })
}

/// Draws nothing where standard error is no terminal.
fn bar() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
}

/// Gives the bar its end and its look.
fn dress(bar: &ProgressBar, total: u64) {
    bar.set_length(total);
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} rows {per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
}

/// Standard output, whose reader may go.
struct Stdout;

/// Where rows go.
trait Target {
    fn write(&mut self, text: &[u8]) -> anyhow::Result<()>;
}

impl Target for Stdout {
    fn write(&mut self, text: &[u8]) -> anyhow::Result<()> {
        output::write(text)
    }
}

/// Writes all rows of a kind; how many there were.
fn export_kind(
    config: &Config,
    kind: Kind,
    format: Format,
    target: &mut impl Target,
    bar: &ProgressBar,
) -> anyhow::Result<u64> {
    let format = match format {
        Format::Csv => export::Format::Csv,
        Format::Jsonl => export::Format::Jsonl,
    };
    with_store(config, Access::Read, async |store| {
        let mut export = Export {
            store,
            format,
            target,
            bar,
            path: &config.database,
        };
        match kind {
            Kind::Users => export.all::<User>(()).await,
            Kind::Follows => export.all::<FollowNames>(()).await,
            Kind::Activities => export.all::<LoggedActivity>(()).await,
            Kind::Sessions => {
                let dead_since = dead_since(store, Clock::system().now()).await;
                let dead_since = dead_since.map_err(|error| export.explain(error))?;
                export.all::<SessionEntry>(dead_since).await
            }
        }
    })
}

/// When the server was last alive, if it is not now.
async fn dead_since(store: &Store, now: Timestamp) -> crate::store::Result<Option<Timestamp>> {
    let boot = store.last_boot().await?;
    Ok(boot.and_then(|boot| boot.dead_since(now)))
}

struct Export<'a, T> {
    store: &'a Store,
    format: export::Format,
    target: &'a mut T,
    bar: &'a ProgressBar,
    path: &'a Path,
}

impl<T: Target> Export<'_, T> {
    async fn all<R: Exported>(&mut self, context: R::Context) -> anyhow::Result<u64> {
        // Nobody else needs it, and users and follows have to be counted for it.
        if !self.bar.is_hidden() {
            let total = R::total(self.store).await;
            dress(self.bar, total.map_err(|error| self.explain(error))?);
        }
        self.target.write(&export::header::<R>(self.format))?;
        let read = |after| {
            let store = self.store.clone();
            tokio::spawn(async move { R::page(&store, after, context).await })
        };
        let mut count = 0;
        let mut next = Some(read(None));
        while let Some(page) = next {
            let page = page.await.context("reading a page panicked")?;
            let page = page.map_err(|error| self.explain(error))?;
            next = match page.last() {
                Some(last) if page.len() == R::PAGE => Some(read(Some(last.key()))),
                _ => None,
            };
            self.target.write(&export::text(self.format, &page))?;
            count += page.len() as u64;
            self.bar.set_position(count);
        }
        Ok(count)
    }

    fn explain(&self, error: crate::store::StoreError) -> anyhow::Error {
        database::explain(error, self.path)
    }
}
