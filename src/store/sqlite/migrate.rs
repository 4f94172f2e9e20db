//! The schema's history: `migrations/NNNN_name.sql`, all pending ones applied in one transaction.

use super::fault::classify;
use super::open::{self, Found};
use crate::store::{Options, Result, StoreError};
use rusqlite::{Connection, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use std::path::Path;

macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each, in order; a database's `user_version` is how many of them it has.
        const MIGRATIONS: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../migrations/", $name, ".sql")))),*
        ];
    };
}

migrations![
    "0001_users",
    "0002_messages",
    "0003_sessions",
    "0004_auth",
    "0005_changes",
    "0006_identities",
    "0007_activities",
    "0008_prune",
];

/// The schema version of this lastseen.
pub(super) const fn latest() -> i64 {
    MIGRATIONS.len() as i64
}

/// Applies what is pending. Another process may be doing the same at this moment.
pub(super) fn apply(connection: &mut Connection) -> Result<()> {
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    let migrations = Migrations::new(MIGRATIONS.iter().map(|(_, sql)| M::up(sql)).collect());
    let Err(error) = migrations.to_latest(connection) else {
        return Ok(());
    };
    let version: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| classify("reading the schema version", error))?;
    if version == latest() {
        // The other one was first.
        return Ok(());
    }
    Err(match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => classify("migrating", err),
        other => StoreError::Unavailable(other.to_string()),
    })
}

/// Which migrations a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Whether there is a database at all.
    pub exists: bool,
    /// Names of those it has, oldest first.
    pub applied: Vec<&'static str>,
    /// Names of those it lacks, in the order in which they will be applied.
    pub pending: Vec<&'static str>,
}

/// Looks, and changes nothing. A missing file has everything pending.
///
/// # Errors
/// `Foreign`, `Newer`, or `Unusable` when it is damaged or cannot be read.
pub fn status(path: &Path) -> Result<MigrationStatus> {
    let (exists, version) = match open::inspect(path)? {
        Found::Missing => (false, 0),
        Found::Empty => (true, 0),
        Found::Ours { version } => (true, version),
    };
    let names = || MIGRATIONS.iter().map(|(name, _)| *name);
    let count = usize::try_from(version).unwrap_or(usize::MAX);
    if count > MIGRATIONS.len() {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version,
            known: latest(),
        });
    }
    Ok(MigrationStatus {
        exists,
        applied: names().take(count).collect(),
        pending: names().skip(count).collect(),
    })
}

/// What [`up`] would apply; creates and changes nothing, also for a missing file.
///
/// # Errors
/// As [`status`].
pub fn dry_run(path: &Path) -> Result<Vec<&'static str>> {
    status(path).map(|status| status.pending)
}

/// Creates the database when it is missing and applies what is pending; the names of what was applied.
///
/// # Errors
/// As [`status`], and `Unusable` when it cannot be written.
pub fn up(path: &Path) -> Result<Vec<&'static str>> {
    let pending = status(path)?.pending;
    if !pending.is_empty() {
        let opened = open::open(
            path,
            &Options {
                create: true,
                migrate: true,
                ..Options::default()
            },
        )?;
        drop(opened);
    }
    Ok(pending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_and_in_order() {
        let mut files: Vec<_> =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
                .expect("the folder is there")
                .map(|entry| {
                    let name = entry.expect("an entry").file_name();
                    name.to_string_lossy().trim_end_matches(".sql").to_owned()
                })
                .collect();
        files.sort();
        let listed: Vec<_> = MIGRATIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, files);
        for (index, name) in listed.iter().enumerate() {
            assert!(name.starts_with(&format!("{:04}_", index + 1)), "{name}");
        }
    }

    #[test]
    fn status_and_dry_run_create_nothing_and_up_is_idempotent() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new.db");
        assert_eq!(dry_run(&path).expect("a plan").len(), MIGRATIONS.len());
        assert!(!status(&path).expect("a status").exists);
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
        assert_eq!(up(&path).expect("created").len(), MIGRATIONS.len());
        assert!(up(&path).expect("nothing to do").is_empty());
        let after = status(&path).expect("a status");
        assert!(after.exists && after.pending.is_empty());
        // Closed in good order: neither log nor shared memory stays.
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 1);
    }

    #[test]
    fn many_at_once_all_succeed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new.db");
        let threads: Vec<_> = (0..6)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || up(&path).map(|_| ()))
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic").expect("migrated");
        }
        assert!(status(&path).expect("a status").pending.is_empty());
    }
}
