//! `lastseen import`: users and follows from CSV or JSON lines, in batches, in memory that does not grow with the
//! file. A batch is written whole or not at all; bad rows are named by their line.

mod report;
mod rows;
#[cfg(test)]
mod tests;
mod text;

use super::database::{self, Access, with_store};
use super::{output, usage};
use crate::config::Config;
use crate::store::Store;
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use report::Report;
use rows::{Follow, Row, Rules, UserRow};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use text::{Columns, Format, Records};

/// Rows in one transaction: many enough for speed, few enough that a server beside it does not wait long.
const BATCH_ROWS: usize = 2_000;

/// Import users or follows; the same file again changes nothing
#[derive(Args, Debug)]
#[command(
    after_help = "Columns (CSV with a header, or JSON lines with these keys):\n  users    id, externalId, username, displayName, email, bio, profilePictureUrl\n  follows  follower, followee (usernames)\nA row matches the user with its id, else its externalId, else its username. An empty cell leaves a field as it is; other columns are ignored.\n\nExamples:\n  lastseen import users users.csv\n  lastseen import follows - --format jsonl --on-error skip < follows.jsonl"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: database::DatabaseArguments,
    /// What is in the file
    #[arg(value_enum)]
    kind: Kind,
    /// The file; - is standard input
    file: PathBuf,
    /// Needed where the file's name does not end in .csv, .jsonl or .ndjson
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// At a bad line: stop (what was written before stays), or skip it
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnError,
    /// Report as a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Users,
    Follows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnError {
    Stop,
    Skip,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let format = match arguments.format.or_else(|| Format::of(&arguments.file)) {
        Some(format) => format,
        None => {
            return Err(usage(
                "what is in the file? Give --format csv or --format jsonl",
            ));
        }
    };
    let config = arguments.database.settings()?;
    // Before the database is made: a wrong name must not leave an empty one behind.
    let (input, size_bytes) = open_input(&arguments.file)?;
    let records = Records::new(BufReader::with_capacity(1 << 16, input), format);
    let mut report = Report::new(size_bytes);
    let result = match arguments.kind {
        Kind::Users => import::<UserRow>(&config, arguments, records, &mut report),
        Kind::Follows => import::<Follow>(&config, arguments, records, &mut report),
    };
    report.end_bar();
    // Also after a failure: what was written stays, and how much that is must be known.
    if result.is_ok() || report.read > 0 {
        if arguments.json {
            output::print_json(&report.to_json())?;
        } else {
            output::print(report.to_text())?;
        }
    }
    result
}

fn open_input(path: &Path) -> anyhow::Result<(Box<dyn Read>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let context = || format!("cannot read {}; check the path", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let metadata = file.metadata().with_context(context)?;
    if metadata.is_dir() {
        bail!("{} is a directory; give a file", path.display());
    }
    let size_bytes = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), size_bytes))
}

fn import<R: Row>(
    config: &Config,
    arguments: &Arguments,
    mut records: Records<impl std::io::BufRead>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let columns = records
        .columns(R::COLUMNS, R::REQUIRED)
        .with_context(|| arguments.file.display().to_string())?;
    let rules = Rules {
        require_id: config.jwt_sub == crate::config::JwtSub::Id,
    };
    let skip = arguments.on_error == OnError::Skip;
    let stopped = with_store(config, Access::Create, async |store| {
        let mut import = Import {
            store,
            config,
            rules,
            skip,
            report: &mut *report,
        };
        import.all::<R>(&mut records, &columns).await
    });
    match stopped? {
        Outcome::Done => Ok(()),
        Outcome::Stopped => bail!(
            "stopped at a bad line; what was written before it stays. Correct the file, or use --on-error skip, and import it again"
        ),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Stopped,
}

struct Import<'a> {
    store: &'a Store,
    config: &'a Config,
    rules: Rules,
    skip: bool,
    report: &'a mut Report,
}

/// Good and bad rows of one batch with their lines; the bad ones are kept until it is written, so that they are
/// reported in the order of their lines whoever found them.
struct Batch<R> {
    rows: Vec<(u64, R)>,
    bad: Vec<(u64, String)>,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            bad: Vec::new(),
        }
    }
}

impl Import<'_> {
    async fn all<R: Row>(
        &mut self,
        records: &mut Records<impl std::io::BufRead>,
        columns: &Columns,
    ) -> anyhow::Result<Outcome> {
        let mut batch = Batch::<R>::default();
        loop {
            let record = records.next().context("cannot read the file any further")?;
            let Some((line, record)) = record else {
                return self.write_and_report(batch).await;
            };
            self.report.read += 1;
            match record.and_then(|record| R::read(record, columns)) {
                Ok(row) => batch.rows.push((line, row)),
                Err(why) if self.skip => batch.bad.push((line, why)),
                Err(why) => {
                    self.report.bad_line(line, &why);
                    return Ok(Outcome::Stopped);
                }
            }
            if batch.rows.len() + batch.bad.len() >= BATCH_ROWS {
                let batch = std::mem::take(&mut batch);
                if self.write_and_report(batch).await? == Outcome::Stopped {
                    return Ok(Outcome::Stopped);
                }
                self.report.at(records.position_bytes());
            }
        }
    }

    async fn write_and_report<R: Row>(&mut self, mut batch: Batch<R>) -> anyhow::Result<Outcome> {
        let outcome = self.write(&mut batch).await;
        batch.bad.sort_by_key(|(line, _)| *line);
        for (line, why) in &batch.bad {
            self.report.bad_line(*line, why);
        }
        outcome
    }

    /// Writes the rows; with `skip` as often as there are bad rows left, which the store names all at once.
    async fn write<R: Row>(&mut self, batch: &mut Batch<R>) -> anyhow::Result<Outcome> {
        while !batch.rows.is_empty() {
            let rows = batch.rows.iter().map(|(_, row)| row.clone()).collect();
            let written = R::write(self.store, rows, self.rules).await;
            let written =
                written.map_err(|error| database::explain(error, &self.config.database))?;
            let bad = match written {
                Ok(counts) => {
                    self.report.count(counts);
                    return Ok(Outcome::Done);
                }
                Err(bad) => bad,
            };
            let mut reasons: Vec<Option<String>> = vec![None; batch.rows.len()];
            for (index, why) in bad {
                let reason = reasons.get_mut(index);
                *reason.context("the store named no row of the batch")? = Some(why.to_string());
            }
            let before = batch.rows.len();
            for ((line, row), reason) in std::mem::take(&mut batch.rows).into_iter().zip(reasons) {
                match reason {
                    None => batch.rows.push((line, row)),
                    Some(why) => batch.bad.push((line, why)),
                }
            }
            // Else this would not end.
            anyhow::ensure!(
                batch.rows.len() < before,
                "the store refused the batch without a reason"
            );
            if !self.skip {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Done)
    }
}
