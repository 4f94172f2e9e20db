//! `lastseen prune`: removes what has become too old, beside a running server too, and gives the space back.
//!
//! What goes is read in order of time, up to [`WINDOW_ROWS`] rows of it written to an archive, and only then deleted, in
//! short batches. An interruption at any point leaves whole batches: run it again, and it goes on where it was.

mod archive;
mod report;
mod rules;
#[cfg(test)]
mod tests;

use super::{database, output, usage};
use crate::config::{PruneAges, parse_age, parse_keep};
use crate::model::Clock;
use crate::store::{
    GoingActivity, GoingSession, Lock, PruneBatch, PruneRules, Pruner, SessionWalk, StoreError,
    Walk,
};
use archive::{Archive, Kind};
use clap::Args;
use report::Report;
use std::path::PathBuf;
use std::time::Duration;

/// Rows read at a time.
const PAGE_ROWS: usize = 1_000;
/// Rows that are read before any of them goes, and in a file of an archive, at most: some 20 MB.
const WINDOW_ROWS: usize = 200_000;

/// Remove activities and sessions that have become too old; what they counted for stays counted
#[derive(Args, Debug)]
#[command(
    after_help = "Nothing goes without a rule: a flag, or in the config file\n  [prune]\n  older_than = \"90d\"\n  sessions_older_than = \"1y\"\n  [prune.keep]\n  login = \"365d\"\nor LASTSEEN_PRUNE_OLDER_THAN, LASTSEEN_PRUNE_SESSIONS_OLDER_THAN, LASTSEEN_PRUNE_KEEP (login=365d,logout=365d).\nA flag overrides the variable, and that the file; rules of --keep do so action by action.\n\nIt works beside a running server in short batches. Interrupted at any point, run it again. A file of the archive whose name ends in .tmp was not finished and can be removed: its rows are still in the database.\n\nExamples:\n  lastseen prune --older-than 90d --keep login=365d --dry-run\n  lastseen prune --older-than 90d --sessions-older-than 365d --archive /var/backups/lastseen\n  lastseen prune --keep video_watched=30d --json"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: database::DatabaseArguments,
    /// Remove activities older than this, such as 90d
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: Option<Duration>,
    /// Another age for one action, longer or shorter; repeatable. Alone it removes only those
    #[arg(long, value_name = "ACTION=AGE", value_parser = parse_keep)]
    keep: Vec<(String, Duration)>,
    /// Remove sessions that ended longer ago than this; open ones never go
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    sessions_older_than: Option<Duration>,
    /// Say what would go, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Write what goes to compressed files in this directory first; `import --restore` puts it back
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Report as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let flags = rules::of_flags(
        arguments.older_than,
        &arguments.keep,
        arguments.sessions_older_than,
    )
    .map_err(usage)?;
    let resolved = arguments.database.resolve()?;
    let ages = rules::over(resolved.prune, flags);
    if ages == PruneAges::default() {
        return Err(usage(
            "what is too old? Give --older-than, --keep or --sessions-older-than, or [prune] in the config file",
        ));
    }
    let rules = rules::since(&ages, Clock::system().now());
    let path = &resolved.config.database;
    let explained = |error: StoreError| database::explain(error, path);
    let pruner =
        Pruner::open(path, resolved.config.durability, arguments.dry_run).map_err(explained)?;
    let _lock = match arguments.dry_run {
        true => None,
        false => Some(Lock::for_prune(path).map_err(explained)?),
    };
    let archive = match &arguments.archive {
        Some(folder) if !arguments.dry_run => Some(Archive::open(folder)?),
        _ => None,
    };
    let report = Report::new(arguments.dry_run, pruner.estimate(&rules).unwrap_or(0));
    let mut prune = Prune {
        pruner,
        rules,
        archive,
        report,
        explain: &explained,
    };
    let result = prune.all();
    let Prune { report, pruner, .. } = prune;
    report.end_bar();
    pruner.finish();
    // Also after a failure: what is gone is gone, and how much that is must be known.
    if result.is_ok() || report.has_rows() {
        if arguments.json {
            output::print_json(&report.to_json())?;
        } else {
            output::print(report.to_text())?;
        }
    }
    result
}

struct Prune<'a> {
    pruner: Pruner,
    rules: PruneRules,
    archive: Option<Archive>,
    report: Report,
    explain: &'a dyn Fn(StoreError) -> anyhow::Error,
}

impl Prune<'_> {
    fn all(&mut self) -> anyhow::Result<()> {
        self.activities()?;
        self.sessions()?;
        if self.report.is_dry_run() {
            return Ok(());
        }
        self.report.giving_back();
        while self.pruner.give_back().map_err(self.explain)? > 0 {
            self.report.tick();
        }
        Ok(())
    }

    fn activities(&mut self) -> anyhow::Result<()> {
        for mut walk in self.rules.walks() {
            let mut going: Vec<GoingActivity> = Vec::new();
            while let Some(rows) = self.next_activities(&mut walk)? {
                going.extend(rows);
                let is_full = self.archive.as_ref().is_some_and(Archive::is_full);
                if is_full || going.len() + PAGE_ROWS > WINDOW_ROWS {
                    self.remove_activities(&mut going)?;
                }
            }
            self.remove_activities(&mut going)?;
        }
        Ok(())
    }

    /// The next rows that go, which are in the archive then; `None` at the end of the walk.
    fn next_activities(&mut self, walk: &mut Walk) -> anyhow::Result<Option<Vec<GoingActivity>>> {
        let Self { pruner, rules, .. } = self;
        let Some(archive) = &mut self.archive else {
            return pruner
                .next_activities(rules, walk, PAGE_ROWS)
                .map_err(self.explain);
        };
        let Some(rows) = pruner
            .next_whole_activities(rules, walk, PAGE_ROWS)
            .map_err(self.explain)?
        else {
            return Ok(None);
        };
        for row in &rows {
            archive.add(Kind::Activities, row.activity.timestamp, row)?;
        }
        let going = rows.iter().map(|row| GoingActivity::from(&row.activity));
        Ok(Some(going.collect()))
    }

    /// Leaves `going` empty.
    fn remove_activities(&mut self, going: &mut Vec<GoingActivity>) -> anyhow::Result<()> {
        if let Some(archive) = &mut self.archive {
            archive.finish_file()?;
        }
        let report = &mut self.report;
        if report.is_dry_run() {
            going.drain(..).for_each(|row| report.activity(&row));
            return Ok(());
        }
        let pruner = &mut self.pruner;
        let mut rest = &mut going[..];
        while !rest.is_empty() {
            let window;
            (window, rest) = rest.split_at_mut(pruner.window_rows().min(rest.len()));
            // A page of the largest indexes is then written once for all of its rows that go, and not once for each.
            window.sort_unstable_by_key(|row| (row.user_id, row.id));
            in_batches(
                window,
                |left| pruner.delete_activities(left),
                |row| report.activity(row),
            )
            .map_err(self.explain)?;
        }
        going.clear();
        Ok(())
    }

    fn sessions(&mut self) -> anyhow::Result<()> {
        let Some(before) = self.rules.sessions else {
            return Ok(());
        };
        let mut walk = SessionWalk::new(before);
        let mut going: Vec<GoingSession> = Vec::new();
        while let Some(rows) = self
            .pruner
            .next_sessions(&mut walk, PAGE_ROWS)
            .map_err(self.explain)?
        {
            for row in &rows {
                let Some((ended_at, _)) = row.session.ended else {
                    continue;
                };
                if let Some(archive) = &mut self.archive {
                    archive.add(Kind::Sessions, ended_at, row)?;
                }
                going.push(GoingSession {
                    id: row.session.id,
                    ended_at,
                });
            }
            let is_full = self.archive.as_ref().is_some_and(Archive::is_full);
            if is_full || going.len() + PAGE_ROWS > WINDOW_ROWS {
                self.remove_sessions(&going)?;
                going.clear();
            }
        }
        self.remove_sessions(&going)
    }

    fn remove_sessions(&mut self, going: &[GoingSession]) -> anyhow::Result<()> {
        if let Some(archive) = &mut self.archive {
            archive.finish_file()?;
        }
        let report = &mut self.report;
        if report.is_dry_run() {
            going.iter().for_each(|_| report.session());
            return Ok(());
        }
        let pruner = &mut self.pruner;
        in_batches(
            going,
            |left| pruner.delete_sessions(left),
            |_| report.session(),
        )
        .map_err(self.explain)
    }
}

/// Deletes everything, a batch at a time, and tells of each row that is gone.
fn in_batches<T>(
    mut going: &[T],
    mut delete: impl FnMut(&[T]) -> crate::store::Result<PruneBatch>,
    mut gone: impl FnMut(&T),
) -> crate::store::Result<()> {
    while !going.is_empty() {
        let batch = delete(going)?;
        let rows = batch.gone.iter().filter_map(|index| going.get(*index));
        rows.for_each(&mut gone);
        going = going.get(batch.taken.max(1)..).unwrap_or_default();
    }
    Ok(())
}
