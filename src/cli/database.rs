//! What all commands that open the database have in common.

use crate::config::{self, Config, Env, Flags, Resolved};
use crate::store::{Options, Store, StoreError};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Which database, and which config file names it.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct DatabaseArguments {
    /// The database file [default: lastseen.db] [env: LASTSEEN_DATABASE]
    #[arg(long, global = true, value_name = "FILE")]
    database: Option<String>,
    /// A TOML file with settings [env: LASTSEEN_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl DatabaseArguments {
    /// Whether the command line names the file.
    pub(super) fn is_given(&self) -> bool {
        self.database.is_some()
    }

    /// The settings of this process.
    pub(super) fn settings(&self) -> anyhow::Result<Config> {
        Ok(self.resolve()?.config)
    }

    /// The same with what is not of [`Config`].
    pub(super) fn resolve(&self) -> anyhow::Result<Resolved> {
        let flags = Flags::database(self.database.as_deref());
        let resolved = config::resolve(&flags, self.config.as_deref(), &Env::of_process())?;
        Ok(resolved)
    }
}

/// What a command does with the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads it.
    Read,
    /// Changes it.
    Write,
    /// Changes it, and makes it when there is none.
    Create,
    /// The same with large transactions, while no server runs.
    CreateInBulk,
}

/// Opens the database. An older schema is refused also for [`Access::Create`]: an older server may be running.
pub(super) fn open(config: &Config, access: Access) -> anyhow::Result<Store> {
    let path = &config.database;
    let options = Options {
        create: matches!(access, Access::Create | Access::CreateInBulk),
        is_bulk: access == Access::CreateInBulk,
        read_only: access == Access::Read,
        durability: config.durability,
        ..Options::default()
    };
    Store::open(path, options).map_err(|error| explain(error, path))
}

/// Opens the database, does `work` with it, and closes it whatever came of that.
pub(super) fn with_store<T>(
    config: &Config,
    access: Access,
    work: impl AsyncFnOnce(&Store) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    runtime()?.block_on(async {
        let store = open(config, access)?;
        let result = work(&store).await;
        store.close().await;
        result
    })
}

/// What a command's async work runs on.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("lastseen-command")
        .enable_all()
        .build()
        .context("cannot start threads")
}

/// As [`explain`], for what may be a store's error.
pub(super) fn explain_any(error: anyhow::Error, path: &Path) -> anyhow::Error {
    match error.downcast::<StoreError>() {
        Ok(error) => explain(error, path),
        Err(error) => error,
    }
}

/// What to do about a store's error, where its text does not say so itself.
pub(super) fn explain(error: StoreError, path: &Path) -> anyhow::Error {
    let shown = path.display();
    let folder = super::files::folder_of(path);
    if matches!(error, StoreError::Missing(_) | StoreError::Unusable { .. }) && !folder.exists() {
        return anyhow::anyhow!(
            "{shown} is in a directory that does not exist; make {}, or give another file with --database",
            folder.display()
        );
    }
    match &error {
        StoreError::Foreign(_) => anyhow::anyhow!("{error}; give another file with --database"),
        StoreError::Newer { .. } => {
            anyhow::anyhow!("{error}; use a newer lastseen, or another file with --database")
        }
        StoreError::Unavailable(_) => {
            anyhow::anyhow!("{error}; check that {shown} can be written, and try again")
        }
        StoreError::Conflict(_) => anyhow::anyhow!("{error}; choose another"),
        StoreError::Missing(_)
        | StoreError::Outdated(_)
        | StoreError::Held(_)
        | StoreError::Pruning(_) => error.into(),
        StoreError::Unusable { .. } => {
            anyhow::anyhow!("{error}; check its permissions, or restore a backup")
        }
        _ => anyhow::anyhow!("{shown}: {error}; check the file, or restore a backup"),
    }
}
