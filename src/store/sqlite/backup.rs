//! A copy of the whole database as it is at one moment, made while others write.
//!
//! `VACUUM INTO` and not SQLite's stepped backup, which begins again whenever another process writes.

use super::{Fault, open};
use crate::store::{Options, Result};
use std::path::Path;

/// Copies the database at `from` into `to`, which must be missing or empty.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let opened = open::open(from, &options)?;
    let connection = opened.location.open_reader()?;
    let copy = || -> std::result::Result<(), Fault> {
        // Else the copy could not be written either; the file itself is opened for reading only.
        connection.pragma_update(None, "query_only", false)?;
        let to = to.to_str().ok_or_else(|| {
            let why = format!("{} is not UTF-8", to.display());
            Fault::from(crate::store::StoreError::Unavailable(why))
        })?;
        connection.execute("VACUUM INTO ?1", [to])?;
        Ok(())
    };
    copy().map_err(|fault| fault.in_context("copying the database"))
}
