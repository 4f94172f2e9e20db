//! `lastseen import`: users, follows, activities and sessions from CSV or JSON lines, in batches, in memory that does
//! not grow with the file. A batch is written whole or not at all, while the next one is read; bad rows are named by
//! their line.
//!
//! Where no server runs on the database, batches are large and one waits for no other process: the import takes the
//! server's lock for as long as it lasts.

mod activities;
mod history;
mod report;
mod rows;
mod sessions;
#[cfg(test)]
mod tests;
mod text;

use super::database::{self, Access, with_store};
use super::{output, usage};
use crate::config::Config;
use crate::store::{FOREIGN_GAP, ImportSource, Lock, Store, StoreError, StretchRows, UpsertCounts};
use activities::ActivityRow;
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use history::Reading;
use report::Report;
use rows::{Follow, Row, Rules, Stretch, UserRow};
use sessions::EndedSession;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
pub(super) use text::Format;
use text::{Columns, Records};

/// Rows in one transaction beside a server at first and at most; how many it may be is learned from the last one.
const FIRST_ROWS: usize = 64;
const BATCH_ROWS: usize = 1_000;
/// What one takes then, about: a server waits for it.
const BATCH_TIME: Duration = Duration::from_millis(20);

/// Import users, follows, activities or sessions; the same file again changes nothing
#[derive(Args, Debug)]
#[command(
    after_help = "Columns (CSV with a header, or JSON lines with these keys):\n  users       id, externalId, username, displayName, email, bio, profilePictureUrl\n  follows     follower, followee (usernames)\n  activities  id, userId or username, action, targetType, targetId, metadata, ipAddress, deviceType, countryCode, region, timestamp\n  sessions    id, userId or username, deviceId, deviceType, ipAddress, countryCode, userAgent, startedAt, endedAt, endReason\nTimes are RFC 3339 or Unix seconds. Other columns are ignored.\n\nA row of users matches the user with its id, else its externalId, else its username; an empty cell leaves a field as it is. A row of activities or sessions without an id gets one from its content and from how many rows before it are the same: repeats stay, and the same file again adds nothing.\n\nA row that prune has removed is not taken a second time; --restore puts back what its archive holds.\n\nBatches are large, and a server cannot start meanwhile; beside a running server they are small. More activities than the log holds are written in one transaction of up to some millions, without a server beside it: it needs as much room again until it ends, and what is interrupted leaves nothing of it.\n\nExamples:\n  lastseen import users users.csv\n  lastseen import activities log.csv --json\n  lastseen import activities archive/activities-20260101T000000Z-20260131T235959Z-1.ndjson.zst --restore\n  lastseen import follows - --format jsonl --on-error skip < follows.jsonl"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: database::DatabaseArguments,
    /// What is in the file
    #[arg(value_enum)]
    kind: Kind,
    /// The file; - is standard input
    file: PathBuf,
    /// Needed where the file's name does not end in .csv, .jsonl or .ndjson, which .zst may follow
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// At a bad line: stop (what was written before stays), or skip it
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnError,
    /// Put back rows that `prune --archive` wrote to the file, without counting them twice
    #[arg(long)]
    restore: bool,
    /// Report as a JSON object
    #[arg(long)]
    json: bool,
}

/// What a file holds, in an import and in an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Users,
    Follows,
    Activities,
    Sessions,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Users => "users",
            Self::Follows => "follows",
            Self::Activities => "activities",
            Self::Sessions => "sessions",
        })
    }
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
    if arguments.restore && !matches!(arguments.kind, Kind::Activities | Kind::Sessions) {
        return Err(usage(
            "--restore puts back what prune removed: activities or sessions",
        ));
    }
    let config = arguments.database.settings()?;
    // Before the database is made: a wrong name must not leave an empty one behind.
    let (input, size_bytes) = open_input(&arguments.file)?;
    let records = Records::new(BufReader::with_capacity(1 << 16, input), format);
    let mut report = Report::new(size_bytes);
    let result = import_kind(&config, arguments, records, &mut report, None);
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
    if text::is_compressed(path) && metadata.is_file() {
        let input = zstd::Decoder::new(file).with_context(context)?;
        return Ok((Box::new(input), None));
    }
    if metadata.is_dir() {
        bail!("{} is a directory; give a file", path.display());
    }
    let size_bytes = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), size_bytes))
}

fn import_kind(
    config: &Config,
    arguments: &Arguments,
    records: Records<impl std::io::BufRead>,
    report: &mut Report,
    batch_rows: Option<usize>,
) -> anyhow::Result<()> {
    match arguments.kind {
        Kind::Users => import::<UserRow>(config, arguments, records, report, batch_rows),
        Kind::Follows => import::<Follow>(config, arguments, records, report, batch_rows),
        Kind::Activities => import::<ActivityRow>(config, arguments, records, report, batch_rows),
        Kind::Sessions => import::<EndedSession>(config, arguments, records, report, batch_rows),
    }
}

/// Imports `text`; what came of it, and the report. For tests of what is exported.
#[cfg(test)]
pub(super) fn import_text(
    config: &Config,
    kind: Kind,
    format: Format,
    text: &[u8],
) -> (anyhow::Result<()>, serde_json::Value) {
    let arguments = Arguments {
        database: database::DatabaseArguments::default(),
        kind,
        file: "-".into(),
        format: Some(format),
        on_error: OnError::Stop,
        restore: false,
        json: true,
    };
    let mut report = Report::new(None);
    let records = Records::new(text, format);
    let result = import_kind(config, &arguments, records, &mut report, None);
    (result, report.to_json())
}

/// `batch_rows` stands for the size of a batch where no server runs.
fn import<R: Row>(
    config: &Config,
    arguments: &Arguments,
    mut records: Records<impl std::io::BufRead>,
    report: &mut Report,
    batch_rows: Option<usize>,
) -> anyhow::Result<()> {
    let columns = records
        .columns(R::COLUMNS, R::REQUIRED)
        .with_context(|| arguments.file.display().to_string())?;
    // Where it cannot be taken the database cannot be written either, and opening it says why.
    let lock = Lock::acquire(&config.database).ok();
    let access = match lock {
        Some(_) => Access::CreateInBulk,
        None => Access::Create,
    };
    let stopped = with_store(config, access, async |store| {
        let mut import = Import {
            target: Target {
                store: store.clone(),
                rules: Rules {
                    require_id: config.jwt_sub == crate::config::JwtSub::Id,
                    source: if arguments.restore {
                        ImportSource::Archive
                    } else {
                        ImportSource::Elsewhere
                    },
                },
                skip: arguments.on_error == OnError::Skip,
                gap: lock.is_none().then_some(FOREIGN_GAP),
                database: config.database.clone(),
            },
            batch_rows: match (lock.is_some(), batch_rows) {
                (true, Some(rows)) => rows,
                (true, None) => R::ROWS_ALONE,
                (false, _) => FIRST_ROWS,
            },
            is_alone: lock.is_some(),
            stretch: None,
            reading: Reading::new(config),
            report: &mut *report,
        };
        let outcome = import.all::<R>(&mut records, &columns).await;
        // Also where it stopped: what was read before stays. When it was lost, this tells why.
        import.end_stretch().await?;
        let finished = R::finish(store, &import.reading).await;
        let outcome = outcome?;
        finished.map_err(|error| database::explain(error, &config.database))?;
        Ok(outcome)
    });
    match stopped? {
        Outcome::Done => Ok(()),
        Outcome::Stopped => bail!(
            "stopped at a bad line; what was written before it stays. Correct the file, or use --on-error skip, and import it again"
        ),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Stopped,
}

/// Good and bad rows of one batch with their lines; the bad ones are kept until it is written, so that they are
/// reported in the order of their lines whoever found them.
struct Batch<R> {
    rows: Vec<(u64, R)>,
    bad: Vec<(u64, String)>,
    /// How far the file was read.
    position_bytes: u64,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            bad: Vec::new(),
            position_bytes: 0,
        }
    }
}

/// What came of a batch.
struct Finished {
    outcome: Outcome,
    counts: UpsertCounts,
    bad: Vec<(u64, String)>,
    position_bytes: u64,
    /// Rows of the last transaction, and how long it took with the wait for its turn.
    pace: (usize, Duration),
}

struct Import<'a> {
    target: Target,
    batch_rows: usize,
    /// No server runs.
    is_alone: bool,
    /// What the batches are a part of.
    stretch: Option<Stretch>,
    reading: Reading,
    report: &'a mut Report,
}

/// The batch that is being written.
type Writing = tokio::task::JoinHandle<anyhow::Result<Finished>>;

impl Import<'_> {
    async fn all<R: Row>(
        &mut self,
        records: &mut Records<impl std::io::BufRead>,
        columns: &Columns,
    ) -> anyhow::Result<Outcome> {
        let mut batch = Batch::<R>::default();
        let mut writing: Option<Writing> = None;
        let mut bad_line = None;
        loop {
            let record = match records.next().context("cannot read the file any further") {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error) => {
                    self.report_written(writing).await?;
                    return Err(error);
                }
            };
            let (line, record) = record;
            self.report.read += 1;
            match record.and_then(|record| R::read(record, columns, &mut self.reading)) {
                Ok(row) => batch.rows.push((line, row)),
                Err(why) if self.target.skip => batch.bad.push((line, why)),
                Err(why) => {
                    bad_line = Some((line, why));
                    break;
                }
            }
            if batch.rows.len() + batch.bad.len() >= self.batch_rows {
                batch.position_bytes = records.position_bytes();
                if self.report_written(writing.take()).await? == Outcome::Stopped {
                    return Ok(Outcome::Stopped);
                }
                self.steer::<R>(batch.rows.len() as u64, batch.position_bytes)
                    .await?;
                let (target, rows) = (self.target.clone(), self.stretch_rows());
                let batch = std::mem::take(&mut batch);
                writing = Some(tokio::spawn(async move { target.write(batch, rows).await }));
            }
        }
        if self.report_written(writing).await? == Outcome::Stopped {
            return Ok(Outcome::Stopped);
        }
        if let Some((line, why)) = bad_line {
            self.report.bad_line(line, &why);
            return Ok(Outcome::Stopped);
        }
        let finished = self.target.write(batch, self.stretch_rows()).await?;
        Ok(self.report(finished))
    }

    fn stretch_rows(&self) -> Option<StretchRows> {
        self.stretch
            .as_ref()
            .map(|stretch| stretch.activities.rows())
    }

    /// Before a batch of so many rows: ends the stretch if it is full, and begins one where that is of use.
    async fn steer<R: Row>(&mut self, rows: u64, position_bytes: u64) -> anyhow::Result<()> {
        if !self.is_alone {
            return Ok(());
        }
        if let Some(stretch) = &mut self.stretch {
            if let Some(room) = stretch.room.checked_sub(rows) {
                stretch.room = room;
                return Ok(());
            }
            self.end_stretch().await?;
        }
        let expected = rows + self.report.expected(position_bytes);
        let begun = R::begin_stretch(&self.target.store, self.target.rules, expected).await;
        self.stretch = begun.map_err(|error| self.target.explain(error))?;
        Ok(())
    }

    /// Builds the indexes and commits; only then do its rows count.
    async fn end_stretch(&mut self) -> anyhow::Result<()> {
        if let Some(stretch) = self.stretch.take() {
            self.report.say("building indexes");
            let finished = stretch.activities.finish().await;
            self.report.say("");
            finished.map_err(|error| self.target.explain(error))?;
            self.report.count(stretch.counts);
        }
        Ok(())
    }

    async fn report_written(&mut self, writing: Option<Writing>) -> anyhow::Result<Outcome> {
        match writing {
            Some(writing) => {
                let finished = writing.await.context("writing a batch panicked")??;
                Ok(self.report(finished))
            }
            None => Ok(Outcome::Done),
        }
    }

    fn report(&mut self, finished: Finished) -> Outcome {
        match &mut self.stretch {
            Some(stretch) => stretch.counts.add(finished.counts),
            None => self.report.count(finished.counts),
        }
        for (line, why) in &finished.bad {
            self.report.bad_line(*line, why);
        }
        self.report.at(finished.position_bytes);
        if self.target.gap.is_some() {
            self.batch_rows = rows_in_time(finished.pace);
        }
        finished.outcome
    }
}

/// How many rows take [`BATCH_TIME`] where so many took so long; not many more at once.
fn rows_in_time((rows, took): (usize, Duration)) -> usize {
    let share = took.div_duration_f64(BATCH_TIME).max(0.5);
    ((rows as f64 / share) as usize).clamp(FIRST_ROWS, BATCH_ROWS)
}

/// Where batches go.
#[derive(Clone)]
struct Target {
    store: Store,
    rules: Rules,
    skip: bool,
    /// What is left to a server after each transaction.
    gap: Option<Duration>,
    database: PathBuf,
}

impl Target {
    fn explain(&self, error: StoreError) -> anyhow::Error {
        database::explain(error, &self.database)
    }

    /// Writes the rows; with `skip` as often as there are bad rows left, which the store names all at once.
    async fn write<R: Row>(
        &self,
        mut batch: Batch<R>,
        stretch: Option<StretchRows>,
    ) -> anyhow::Result<Finished> {
        let mut finished = Finished {
            outcome: Outcome::Done,
            counts: UpsertCounts::default(),
            bad: Vec::new(),
            position_bytes: batch.position_bytes,
            pace: (batch.rows.len(), BATCH_TIME),
        };
        while !batch.rows.is_empty() {
            let lines: Vec<u64> = batch.rows.iter().map(|(line, _)| *line).collect();
            // Only where some may be left out are they needed again.
            let again = self.skip.then(|| batch.rows.clone());
            let rows = batch.rows.drain(..).map(|(_, row)| row).collect();
            let written = match &stretch {
                Some(stretch) => {
                    let written = R::write_in(stretch, rows).await;
                    written.context("the transaction was lost")?
                }
                None => {
                    let begun = Instant::now();
                    let written = R::write(&self.store, rows, self.rules).await;
                    finished.pace = (lines.len(), begun.elapsed());
                    if let Some(gap) = self.gap {
                        tokio::time::sleep(gap).await;
                    }
                    written.map_err(|error| self.explain(error))?
                }
            };
            let bad = match written {
                Ok(counts) => {
                    finished.counts = counts;
                    break;
                }
                Err(bad) => bad,
            };
            let mut reasons: Vec<Option<String>> = vec![None; lines.len()];
            for (index, why) in bad {
                let reason = reasons.get_mut(index);
                *reason.context("the store named no row of the batch")? = Some(why.to_string());
            }
            // Else this would not end.
            anyhow::ensure!(
                reasons.iter().any(Option::is_some),
                "the store refused the batch without a reason"
            );
            let mut rows = again.into_iter().flatten();
            for (line, reason) in lines.into_iter().zip(reasons) {
                let row = rows.next();
                match reason {
                    None => batch.rows.extend(row),
                    Some(why) => batch.bad.push((line, why)),
                }
            }
            if !self.skip {
                finished.outcome = Outcome::Stopped;
                break;
            }
        }
        batch.bad.sort_by_key(|(line, _)| *line);
        finished.bad = batch.bad;
        Ok(finished)
    }
}
