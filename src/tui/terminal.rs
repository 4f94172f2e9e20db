//! The real terminal: taken on entering, given back as it was on leaving, whatever the reason; the clipboard behind it.

use super::run::Input;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
    EventStream,
};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute};
use futures_util::{Stream, StreamExt as _, stream};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// A frame is one write.
const BUFFER: usize = 64 * 1024;

/// Whether the terminal is taken; a panic must know.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal, while it is ours.
pub struct Taken {
    /// For drawing.
    pub terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Taken {
    /// Takes it: no echo, a screen of its own, and the mouse if that is wanted. Pasted text comes as such, so that it is
    /// not taken for keys.
    ///
    /// # Errors
    /// Standard output is no terminal, or does not do as it is told.
    pub fn new(with_mouse: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            // What a panic says must be seen, and not on a screen that is about to go.
            std::panic::set_hook(Box::new(move |info| {
                give_back();
                before(info);
            }));
        });
        IS_TAKEN.store(true, Ordering::SeqCst);
        let taken = Self::enter(with_mouse);
        if taken.is_err() {
            give_back();
        }
        taken
    }

    fn enter(with_mouse: bool) -> io::Result<Self> {
        enable_raw_mode()?;
        let mut out = io::stdout();
        execute!(
            out,
            EnterAlternateScreen,
            EnableBracketedPaste,
            cursor::Hide
        )?;
        if with_mouse {
            execute!(out, EnableMouseCapture)?;
        }
        let writer = BufWriter::with_capacity(BUFFER, out);
        let terminal = Terminal::new(CrosstermBackend::new(writer))?;
        Ok(Self { terminal })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, once. What fails here fails because it is gone.
fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(
        io::stdout(),
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

/// Keys and the like, and the signals that end a program.
///
/// # Errors
/// Signals cannot be listened to.
pub fn inputs() -> io::Result<impl Stream<Item = io::Result<Input>> + Unpin> {
    let events = EventStream::new().map(|event| event.map(Input::Terminal));
    let signals = signals()?.map(|status| Ok(Input::Signal(status)));
    Ok(stream::select(Box::pin(signals), events))
}

#[cfg(unix)]
fn signals() -> io::Result<impl Stream<Item = i32>> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [
        (SignalKind::interrupt(), 130),
        (SignalKind::terminate(), 143),
        (SignalKind::hangup(), 129),
        (SignalKind::quit(), 131),
    ];
    let mut streams = Vec::new();
    for (kind, status) in kinds {
        let received = signal(kind)?;
        streams.push(Box::pin(stream::unfold(
            received,
            move |mut received| async move {
                received.recv().await?;
                Some((status, received))
            },
        )));
    }
    Ok(stream::select_all(streams))
}

#[cfg(not(unix))]
fn signals() -> io::Result<impl Stream<Item = i32>> {
    Ok(stream::once(async {
        // Without Ctrl-C there is no way to be told.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        130
    }))
}

/// Has the terminal put `text` into the clipboard of whoever sits before it, also over a remote shell (OSC 52). Whether
/// it does is its own affair, and it does not say.
///
/// # Errors
/// The terminal is gone.
pub fn copy(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(clipboard_sequence(text).as_bytes())?;
    out.flush()
}

fn clipboard_sequence(text: &str) -> String {
    format!("\x1b]52;c;{}\x07", BASE64_STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_cannot_end_the_sequence() {
        assert_eq!(clipboard_sequence("a\x07\x1b"), "\x1b]52;c;YQcb\x07");
    }
}
