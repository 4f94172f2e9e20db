//! Files of what goes: JSON lines as `import` reads them, compressed.
//!
//! A file has another name until all of it is on the disk, and its rows are deleted only after that, so that after an
//! interruption a row may be in two files but never in none.

use crate::cli::files;
use crate::export;
use crate::model::Timestamp;
use anyhow::{Context as _, bail};
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// A file's lines before they are compressed: its rows wait in memory by their ids, and large ones should not be many.
const FILE_BYTES: u64 = 256 << 20;
/// The default of `zstd`: ten times faster than the disk needs.
const LEVEL: i32 = 3;

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Activities,
    Sessions,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Activities => "activities",
            Self::Sessions => "sessions",
        }
    }
}

/// A directory, and the file that is being written there.
pub(super) struct Archive {
    folder: PathBuf,
    open: Option<OpenFile>,
}

struct OpenFile {
    path: PathBuf,
    kind: Kind,
    lines: zstd::Encoder<'static, BufWriter<File>>,
    size_bytes: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Archive {
    /// Makes the directory where it is missing, and proves that files can be made in it.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let context = || unwritable(folder);
        match fs::create_dir(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(context),
        }
        if !fs::metadata(folder).with_context(context)?.is_dir() {
            bail!("{} is not a directory; give one", folder.display());
        }
        let archive = Self {
            folder: folder.to_owned(),
            open: None,
        };
        let (path, _file) = files::create(folder, "probe").with_context(context)?;
        fs::remove_file(path).with_context(context)?;
        Ok(archive)
    }

    /// Whether the file has lines enough.
    pub(super) fn is_full(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|file| file.size_bytes >= FILE_BYTES)
    }

    /// Adds a row to the file, a new one where there is none.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        at: Timestamp,
        row: &impl export::Row,
    ) -> anyhow::Result<()> {
        let folder = self.folder.clone();
        let context = || unwritable(&folder);
        if self.open.as_ref().is_some_and(|file| file.kind != kind) {
            self.finish_file()?;
        }
        let file = match &mut self.open {
            Some(file) => file,
            none => {
                let name = format!("{}-{}", kind.as_str(), compact(at));
                let created = files::create(&folder, &name).with_context(context)?;
                none.insert(OpenFile::new(created, kind, at).with_context(context)?)
            }
        };
        let mut line = export::json(row);
        line.push('\n');
        file.lines
            .write_all(line.as_bytes())
            .with_context(context)?;
        file.size_bytes += line.len() as u64;
        file.first = file.first.min(at);
        file.last = file.last.max(at);
        Ok(())
    }

    /// Brings the file to the disk under its name; nothing where there is none. After this its rows may go.
    pub(super) fn finish_file(&mut self) -> anyhow::Result<()> {
        let Some(file) = self.open.take() else {
            return Ok(());
        };
        let path = file.path.clone();
        self.put(file)
            .inspect_err(|_| drop(fs::remove_file(path)))
            .with_context(|| unwritable(&self.folder))
    }

    fn put(&self, file: OpenFile) -> anyhow::Result<()> {
        let mut buffer = file.lines.finish()?;
        buffer.flush()?;
        buffer.get_ref().sync_all()?;
        let (start, end) = (compact(file.first), compact(file.last));
        let mut number = 1_u64;
        loop {
            let name = format!("{}-{start}-{end}-{number}.ndjson.zst", file.kind.as_str());
            let path = self.folder.join(name);
            match files::place(&file.path, &path) {
                Ok(()) => break,
                // Of another database, or of a run that was interrupted before these rows went.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Drop for Archive {
    /// What was not finished is no archive of anything: its rows are still there.
    fn drop(&mut self) {
        if let Some(file) = self.open.take() {
            let _ = fs::remove_file(file.path);
        }
    }
}

impl OpenFile {
    fn new((path, file): (PathBuf, File), kind: Kind, at: Timestamp) -> std::io::Result<Self> {
        let mut lines = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
        lines.include_checksum(true)?;
        Ok(Self {
            path,
            kind,
            lines,
            size_bytes: 0,
            first: at,
            last: at,
        })
    }
}

/// `20261124T140734Z`.
fn compact(at: Timestamp) -> String {
    let text = at.to_string();
    let digits = text.chars().filter(|c| c.is_ascii_digit() || *c == 'T');
    digits.take(15).chain(['Z']).collect()
}

fn unwritable(folder: &Path) -> String {
    format!(
        "the archive in {} cannot be written, and nothing that is not in it was removed; make room or check its permissions, and run it again",
        folder.display()
    )
}
