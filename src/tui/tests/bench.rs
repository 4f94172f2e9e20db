//! The dashboard without a terminal: at rest, or with its loop running.

use super::fake::{Fake, now};
use crate::model::{Clock, Zone};
use crate::tui::app::{App, Command, Message, Settings, Tab};
use crate::tui::asking;
use crate::tui::run::{Input, RunError, Surroundings, run};
use crate::tui::source::LiveEvent;
use crate::tui::theme::Theme;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use futures_util::stream;
use parking_lot::Mutex;
use ratatui::Terminal;
use ratatui::backend::{Backend, ClearType, TestBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// No frame takes so long.
const DEADLINE: Duration = Duration::from_secs(120);

pub(super) fn press(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

pub(super) fn settings(tab: Tab, theme: Theme) -> Settings {
    Settings {
        tab,
        zones: vec!["Europe/Berlin".parse().expect("a zone"), Zone::UTC],
        refresh: Duration::from_secs(2),
        theme,
    }
}

/// What the dashboard knows once all is answered and the keys are pressed.
pub(super) async fn still(source: &Fake, tab: Tab, theme: Theme, keys: &[KeyEvent]) -> App {
    use crate::tui::source::Source as _;
    let (place, is_live) = (source.place(), source.is_live());
    let (mut app, mut commands) = App::new(settings(tab, theme), place, is_live, now());
    let mut keys = keys.iter();
    loop {
        for command in std::mem::take(&mut commands) {
            let Command::Ask(ticket, question) = command else {
                panic!("{command:?} at rest");
            };
            let answer = asking::ask(source, question).await;
            commands.extend(app.update(now(), Message::Answered(ticket, answer)).0);
        }
        if !commands.is_empty() {
            continue;
        }
        app.settle();
        let Some(key) = keys.next() else {
            return app;
        };
        commands = app.update(now(), Message::Key(*key)).0;
    }
}

/// A screen that the test and the loop share.
#[derive(Clone)]
struct Screen {
    backend: Arc<Mutex<TestBackend>>,
    frames: Arc<watch::Sender<usize>>,
}

impl Backend for Screen {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        self.backend.lock().draw(content)
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        self.backend.lock().hide_cursor()
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        self.backend.lock().show_cursor()
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        self.backend.lock().get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, at: P) -> Result<(), Infallible> {
        self.backend.lock().set_cursor_position(at)
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.backend.lock().clear()
    }

    fn clear_region(&mut self, region: ClearType) -> Result<(), Infallible> {
        self.backend.lock().clear_region(region)
    }

    fn size(&self) -> Result<Size, Infallible> {
        self.backend.lock().size()
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        self.backend.lock().window_size()
    }

    /// The last thing that is done to a frame.
    fn flush(&mut self) -> Result<(), Infallible> {
        self.frames.send_modify(|frames| *frames += 1);
        Ok(())
    }
}

/// The running loop, with everything around it in the hands of the test.
pub(super) struct Bench {
    pub(super) source: Arc<Fake>,
    pub(super) clock: Clock,
    pub(super) folder: tempfile::TempDir,
    pub(super) copied: Arc<Mutex<Vec<String>>>,
    screen: Screen,
    seen: watch::Receiver<usize>,
    inputs: mpsc::UnboundedSender<std::io::Result<Input>>,
    task: JoinHandle<Result<i32, RunError>>,
}

impl Bench {
    pub(super) fn new(source: Fake, tab: Tab) -> Self {
        let theme = Theme {
            colour: false,
            ascii: false,
        };
        let source = Arc::new(source);
        let clock = Clock::manual(now());
        let folder = tempfile::tempdir().expect("a folder");
        let copied = Arc::new(Mutex::new(Vec::new()));
        let (frames, seen) = watch::channel(0);
        let screen = Screen {
            backend: Arc::new(Mutex::new(TestBackend::new(100, 30))),
            frames: Arc::new(frames),
        };
        let (inputs, received) = mpsc::unbounded_channel();
        let received = stream::unfold(
            received,
            async |mut received: mpsc::UnboundedReceiver<_>| {
                Some((received.recv().await?, received))
            },
        );
        let Ok(mut terminal) = Terminal::new(screen.clone());
        let into = Arc::clone(&copied);
        let (of_run, time, path) = (Arc::clone(&source), clock.clone(), folder.path().to_owned());
        let task = tokio::spawn(async move {
            let mut clipboard = |text: &str| {
                into.lock().push(text.to_owned());
                Ok(())
            };
            let surroundings = Surroundings {
                source: of_run,
                clock: time,
                folder: path,
                clipboard: &mut clipboard,
            };
            let settings = settings(tab, theme);
            run(&mut terminal, Box::pin(received), settings, surroundings).await
        });
        Self {
            source,
            clock,
            folder,
            copied,
            screen,
            seen,
            inputs,
            task,
        }
    }

    pub(super) fn input(&self, input: Input) {
        self.inputs.send(Ok(input)).expect("the loop runs");
    }

    pub(super) fn key(&self, code: KeyCode) {
        self.input(Input::Terminal(Event::Key(press(code))));
    }

    pub(super) fn type_text(&self, text: &str) {
        text.chars()
            .for_each(|letter| self.key(KeyCode::Char(letter)));
    }

    pub(super) fn resize(&self, columns: u16, rows: u16) {
        self.screen.backend.lock().resize(columns, rows);
        self.input(Input::Terminal(Event::Resize(columns, rows)));
    }

    pub(super) async fn happen(&self, event: LiveEvent) {
        self.source
            .events
            .send(event)
            .await
            .expect("the loop listens");
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) fn text(&self) -> String {
        let backend = self.screen.backend.lock();
        crate::tui::once::lines(backend.buffer(), false)
    }

    /// The line of the last frame that is chosen, as it is drawn; empty while there is none.
    pub(super) fn chosen(&self) -> String {
        use ratatui::style::Modifier;
        let backend = self.screen.backend.lock();
        let buffer = backend.buffer();
        let is_chosen = |y: &u16| {
            let middle = &buffer[(4, *y)];
            middle.style().add_modifier.contains(Modifier::REVERSED)
        };
        let row = (0..buffer.area.height).find(is_chosen);
        let columns = row
            .into_iter()
            .flat_map(|y| (0..buffer.area.width).map(move |x| (x, y)));
        columns.map(|at| buffer[at].symbol()).collect()
    }

    pub(super) fn frames(&self) -> usize {
        *self.seen.borrow()
    }

    /// Waits for a frame that is so.
    pub(super) async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            self.seen.mark_unchanged();
            if is_so(self) {
                return;
            }
            let changed = tokio::time::timeout_at(deadline, self.seen.changed()).await;
            let is_running = matches!(changed, Ok(Ok(())));
            assert!(is_running, "never {what}:\n{}", self.text());
        }
    }

    pub(super) async fn until_text(&mut self, text: &str) {
        self.until(text, |bench| bench.text().contains(text)).await;
    }

    /// Waits for the end, and gives the exit status.
    pub(super) async fn end(self) -> i32 {
        let ended = tokio::time::timeout(DEADLINE, self.task).await;
        let status = ended.expect("in time").expect("no panic");
        status.expect("no error")
    }
}
