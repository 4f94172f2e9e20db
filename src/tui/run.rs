//! The loop: input, answers, live events and time become messages; what the [`App`] then wants is done in tasks beside
//! it, and a frame is drawn when something changed, at most some thirty in a second.
//!
//! It knows neither the terminal nor where its input comes from, so that tests drive this very loop.

use super::app::{App, Command, Message, Settings};
use super::source::{LiveEvent, Source};
use super::{asking, export, view};
use crate::model::Clock;
use crossterm::event::Event;
use futures_util::{Stream, StreamExt as _};
use ratatui::Terminal;
use ratatui::backend::Backend;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// From one frame to the next at least.
const FRAME: Duration = Duration::from_millis(33);
/// Time passes no faster than this, whatever the clock says.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);
/// Live events that are taken at once.
const BATCH: usize = 512;

/// What comes from outside.
#[derive(Debug)]
pub enum Input {
    /// From the terminal.
    Terminal(Event),
    /// A signal to end, and the exit status that goes with it.
    Signal(i32),
}

/// Gives a text to the clipboard.
pub type Clipboard<'a> = dyn FnMut(&str) -> io::Result<()> + Send + 'a;

/// Why the dashboard cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The terminal takes no frame.
    #[error("cannot draw: {0}")]
    Draw(String),
    /// The terminal gives no input.
    #[error("cannot read the terminal: {0}")]
    Input(#[from] io::Error),
}

/// What the loop has around it.
pub struct Surroundings<'a> {
    /// Where the figures come from.
    pub source: Arc<dyn Source>,
    /// The time.
    pub clock: Clock,
    /// Where files are exported to.
    pub folder: PathBuf,
    /// Where copied text goes.
    pub clipboard: &'a mut Clipboard<'a>,
}

/// Runs until somebody quits, a signal comes or the input ends; the exit status.
///
/// # Errors
/// The terminal fails.
pub async fn run<B: Backend>(
    terminal: &mut Terminal<B>,
    mut inputs: impl Stream<Item = io::Result<Input>> + Unpin,
    settings: Settings,
    surroundings: Surroundings<'_>,
) -> Result<i32, RunError> {
    let Surroundings {
        source,
        clock,
        folder,
        clipboard,
    } = surroundings;
    let mut live = source.follow();
    let mut tasks = JoinSet::new();
    let mut events = Vec::with_capacity(BATCH);
    let place = source.place();
    let (mut app, mut commands) = App::new(settings, place, source.is_live(), clock.now());
    let (mut is_changed, mut next_frame) = (true, Instant::now());
    loop {
        for command in commands.drain(..) {
            match command {
                Command::Quit => return Ok(0),
                Command::Copy(text) => {
                    let result = clipboard(&text).map_err(|error| error.to_string());
                    tasks.spawn(std::future::ready(Message::Copied(result)));
                }
                Command::Ask(ticket, question) => {
                    let source = Arc::clone(&source);
                    tasks.spawn(async move {
                        let answer = asking::ask(&*source, question).await;
                        Message::Answered(ticket, answer)
                    });
                }
                Command::Disconnect(name, connections) => {
                    tasks.spawn(disconnect(Arc::clone(&source), name, connections));
                }
                Command::Export(view, sheet) => {
                    let (folder, now) = (folder.clone(), clock.now());
                    tasks.spawn_blocking(move || {
                        let written = export::write(&folder, &view, now, &sheet);
                        Message::Exported(written.map_err(|error| error.to_string()))
                    });
                }
            }
        }
        if is_changed && Instant::now() >= next_frame {
            app.settle();
            let drawn = terminal.draw(|frame| view::draw(frame, &app));
            drawn.map_err(|error| RunError::Draw(error.to_string()))?;
            (is_changed, next_frame) = (false, Instant::now() + FRAME);
        }
        let wait = app.wake_at().since(clock.now()).clamp(SHORTEST, LONGEST);
        let message = tokio::select! {
            biased;
            input = inputs.next() => match input {
                None => return Ok(0),
                Some(Err(error)) => return Err(error.into()),
                Some(Ok(Input::Signal(status))) => return Ok(status),
                Some(Ok(Input::Terminal(event))) => match message_of(event) {
                    Some(message) => message,
                    None => continue,
                },
            },
            () = tokio::time::sleep_until(next_frame), if is_changed => continue,
            Some(done) = tasks.join_next() => match done {
                Ok(message) => message,
                // A defect: as loud as it would be without a task around it.
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => continue,
            },
            () = tokio::time::sleep(wait) => Message::Tick,
            taken = next_events(&mut live, &mut events) => {
                if taken == 0 {
                    live = None;
                    continue;
                }
                Message::Live(std::mem::take(&mut events))
            }
        };
        let (wanted, changed) = app.update(clock.now(), message);
        commands = wanted;
        is_changed |= changed;
    }
}

/// The next events, as many as there are; none once there will be none.
async fn next_events(live: &mut Option<Receiver<LiveEvent>>, events: &mut Vec<LiveEvent>) -> usize {
    match live {
        Some(receiver) => receiver.recv_many(events, BATCH).await,
        None => std::future::pending().await,
    }
}

fn message_of(event: Event) -> Option<Message> {
    match event {
        Event::Key(key) => Some(Message::Key(key)),
        Event::Mouse(mouse) => Some(Message::Mouse(mouse)),
        Event::Paste(text) => Some(Message::Paste(text)),
        Event::Resize(..) => Some(Message::Resize),
        Event::FocusGained | Event::FocusLost => None,
    }
}

/// Ends all of them, also when one is gone already; the first that could not be ended tells why.
async fn disconnect(source: Arc<dyn Source>, name: String, connections: Vec<u64>) -> Message {
    let mut result = Ok(());
    for id in connections {
        result = result.and(source.disconnect(id).await);
    }
    Message::Disconnected(name, result)
}
