//! Standard output, which may be a pipe that its reader closed, and text that must not reach a terminal as it is.

/// Names come from strangers, and a terminal obeys control characters.
pub(super) use crate::error::plain;
use std::io::{self, Write};

/// Standard output was closed by its reader.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(super) struct Closed;

/// Writes `text` to standard output and flushes it.
pub(super) fn print(text: impl AsRef<str>) -> anyhow::Result<()> {
    write(text.as_ref().as_bytes())
}

/// As [`print`], for what may be no text.
pub(super) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error).context("cannot write to standard output"),
    })
}

/// Writes `value` as one line of JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string(value)? + "\n")
}
