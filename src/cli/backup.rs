//! `lastseen backup`: a copy of the database as it is at one moment, also while a server runs.

use super::{database, files, output};
use crate::store;
use anyhow::{Context as _, bail};
use clap::Args;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;

/// Copy the whole database to a new file, also while a server runs
#[derive(Args, Debug)]
#[command(
    after_help = "The copy is of one moment, and a database like any other: put it in the place of a lost one while no server runs.\nA file that is there is never replaced.\n\nExamples:\n  lastseen backup /var/backups/lastseen-20260131.db\n  lastseen backup copy.db --json"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: database::DatabaseArguments,
    /// The new file
    file: PathBuf,
    /// Report as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = arguments.database.settings()?;
    let to = &arguments.file;
    let shown = to.display();
    let exists = || format!("{shown} is there already; give another name, or remove it");
    let context = || format!("cannot write {shown}; check its directory, and make room");
    if to.try_exists().with_context(context)? {
        bail!(exists());
    }
    let name = to.file_name().with_context(context)?.to_string_lossy();
    let (partial, file) = files::create(files::folder_of(to), &name).with_context(context)?;
    drop(file);
    let made = store::backup(&config.database, &partial)
        .map_err(|error| database::explain(error, &config.database))
        .and_then(|()| {
            File::open(&partial)
                .and_then(|file| file.sync_all())
                .with_context(context)
        })
        .and_then(|()| {
            files::place(&partial, to).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => anyhow::anyhow!(exists()),
                _ => anyhow::Error::new(error).context(context()),
            })
        });
    if let Err(error) = made {
        // Nobody takes it for a backup; that it stays would be the lesser harm.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    let size_bytes = fs::metadata(to).with_context(context)?.len();
    if arguments.json {
        return output::print_json(&serde_json::json!({ "file": to, "bytes": size_bytes }));
    }
    let size = indicatif::HumanBytes(size_bytes);
    output::print(format!(
        "copied to {} ({size})\n",
        output::plain(&shown.to_string())
    ))
}
