//! Files of what goes: JSON lines as `import` reads them, compressed.
//!
//! A file has another name until all of it is on the disk, and its rows are deleted only after that, so that after an
//! interruption a row may be in two files but never in none.

use crate::cli::files;
use crate::model::{LoggedActivity, SessionRow, Timestamp, Username};
use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::value::RawValue;
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

/// An activity as it stands in a file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'a> {
    id: String,
    user_id: i64,
    username: &'a str,
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    timestamp: String,
}

impl<'a> From<&'a LoggedActivity> for Line<'a> {
    fn from(row: &'a LoggedActivity) -> Self {
        let activity = &row.activity;
        // What is not JSON cannot be read again either.
        let metadata = activity.metadata.as_deref();
        Self {
            id: activity.id.to_string(),
            user_id: activity.user_id.0,
            username: row.username.as_str(),
            action: &activity.action,
            target_type: activity.target_type.as_deref(),
            target_id: activity.target_id.as_deref(),
            metadata: metadata.and_then(|text| serde_json::from_str(text).ok()),
            ip_address: activity.ip_address.as_deref(),
            device_type: activity.device_type.map(|device| device.as_str()),
            country_code: activity.country_code.as_deref(),
            region: activity.region.as_deref(),
            timestamp: activity.timestamp.to_string(),
        }
    }
}

/// A session as it stands in a file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionLine<'a> {
    id: String,
    user_id: i64,
    username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<&'a str>,
}

impl<'a> SessionLine<'a> {
    pub(super) fn new(session: &'a SessionRow, username: &'a Username) -> Self {
        let client = &session.client;
        // An import refuses what is there and empty.
        let some = |text: Option<&'a str>| text.filter(|text| !text.is_empty());
        Self {
            id: session.id.0.to_string(),
            user_id: session.user_id.0,
            username: username.as_str(),
            device_id: some(session.device_id.as_deref()),
            device_type: client.device_type.map(|device| device.as_str()),
            ip_address: some(client.ip_address.as_deref()),
            country_code: some(client.country_code.as_deref()),
            user_agent: some(client.user_agent.as_deref()),
            started_at: session.started_at.to_string(),
            ended_at: session.ended.map(|(at, _)| at.to_string()),
            end_reason: session.ended.map(|(_, reason)| reason.as_str()),
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

    /// Adds a line to the file, a new one where there is none.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        at: Timestamp,
        line: &impl Serialize,
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
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        file.lines.write_all(&line).with_context(context)?;
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
