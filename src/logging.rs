//! Logs: to standard error, for people or as JSON lines, and panics among them.

use crate::config::LogFormat;
use anyhow::Context as _;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Sets up logging for the process, coloured only on a terminal and without `NO_COLOR` (no-color.org).
///
/// # Errors
/// The filter is bad, or logging was set up before.
pub fn init(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("bad log_level")?;
    // Standard error may be closed: a line that cannot be written is lost, and nothing is said about it there.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let result = match format {
        LogFormat::Text => builder.with_ansi(wants_colour()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    result.map_err(|error| anyhow::anyhow!("cannot set up logging: {error}"))?;
    log_panics();
    Ok(())
}

/// Shows what `work` logs as [`init`] would, and nothing after it: for commands whose log is a warning of their settings.
///
/// # Errors
/// The filter is bad.
pub fn during<T>(filter: &str, work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let filter = EnvFilter::try_new(filter).context("bad log_level")?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(wants_colour())
        .log_internal_errors(false)
        .finish();
    Ok(tracing::subscriber::with_default(subscriber, work))
}

fn wants_colour() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_color && std::io::stderr().is_terminal()
}

/// A panic is one log line, wherever it happened; whoever catches it need not log it again.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(
            target: "lastseen",
            at = place.as_deref().unwrap_or("unknown"),
            thread = thread.name().unwrap_or("unnamed"),
            "panic: {}",
            info.payload_as_str().unwrap_or("no message")
        );
    }));
}
