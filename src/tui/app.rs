//! What the dashboard knows and shows, and how a message changes it. No I/O: what is to be done is given back as
//! [`Command`]s, and what comes of it is a message again.

mod answers;
pub mod asks;
pub mod figures;
pub mod filter;
mod input;
pub mod listing;
pub mod rows;
mod sheet;
mod tab;

use super::source::{Activity, LiveEvent, OnlineUser, Session, SourceError, Why};
use super::theme::Theme;
use crate::model::{Timestamp, Zone};
use asks::{ALL, Answer, Asks, Kind, Question, Ticket};
use crossterm::event::{KeyEvent, MouseEvent};
use figures::Figures;
use filter::Filter;
pub use input::{fitting_zones, zone_of};
use listing::Listing;
use ratatui::layout::Rect;
use rows::{ActivityColumn, OnlineColumn, SessionColumn};
pub use sheet::Sheet;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
pub use tab::Tab;

/// How it begins.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The tab.
    pub tab: Tab,
    /// Zones to go through with a key; the first is the one to begin with.
    pub zones: Vec<Zone>,
    /// How often to look.
    pub refresh: Duration,
    /// The look.
    pub theme: Theme,
}

/// What changes it.
#[derive(Debug)]
pub enum Message {
    /// Time passes.
    Tick,
    /// A key.
    Key(KeyEvent),
    /// The mouse.
    Mouse(MouseEvent),
    /// Text that was pasted.
    Paste(String),
    /// The terminal has another size.
    Resize,
    /// The source answers.
    Answered(Ticket, Result<Answer, SourceError>),
    /// What happened by itself.
    Live(Vec<LiveEvent>),
    /// Somebody was disconnected.
    Disconnected(String, Result<(), SourceError>),
    /// The view is in a file, or why not.
    Exported(Result<PathBuf, String>),
    /// The terminal was asked to copy, or why not.
    Copied(Result<(), String>),
}

/// What it wants done.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Ask the source.
    Ask(Ticket, Question),
    /// End the connections of somebody.
    Disconnect(String, Vec<u64>),
    /// Write a view into a file of that name.
    Export(String, Sheet),
    /// Give a text to the clipboard.
    Copy(String),
    /// End.
    Quit,
}

/// How the source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing was answered yet.
    Waiting,
    /// It answers.
    Up,
    /// It does not, and is tried again.
    Lost {
        /// Why, in a line.
        why: String,
        /// When it is tried again.
        retry_at: Timestamp,
    },
    /// It will not, whatever is tried.
    Refused(String),
}

/// What is going on beside the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Browse,
    /// A filter is typed; the filter that was there before.
    Filter(String, Filter),
    /// A time zone is typed.
    Zone(String),
    /// Whether to disconnect a user's connections.
    Disconnect(String, Vec<u64>),
}

/// A line that says what came of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The line.
    pub text: String,
    /// Whether it went wrong.
    pub is_bad: bool,
    until: Timestamp,
}

/// The pane that says why somebody is online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyPane {
    /// Who.
    pub username: String,
    /// The answer, or why there is none; none yet.
    pub answer: Option<Result<Why, String>>,
}

/// What a click meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A tab's name.
    Tab(Tab),
    /// A line of the rows, from the first that is seen.
    Row(usize),
}

/// Everything the dashboard knows.
#[derive(Debug)]
pub struct App {
    /// The moment that the screen shows.
    pub now: Timestamp,
    /// The look.
    pub theme: Theme,
    /// The tab.
    pub tab: Tab,
    /// The zone of days and times.
    pub zone: Zone,
    zones: Vec<Zone>,
    /// How often the source is asked.
    pub refresh: Duration,
    /// What the source is.
    pub place: String,
    /// Whether it tells by itself and can end connections.
    pub is_live: bool,
    /// What is typed or asked.
    pub mode: Mode,
    /// What came of something.
    pub notice: Option<Notice>,
    /// The Overview.
    pub figures: Figures,
    /// Who is online.
    pub online: Listing<OnlineUser>,
    /// How many are online in all: more than are loaded, where they are too many.
    pub online_total: Option<u64>,
    /// Whether there are.
    pub has_more_online: bool,
    /// The pane beside them.
    pub why: Option<WhyPane>,
    /// Whether sessions were answered yet.
    pub has_sessions: bool,
    /// Open and recent ones.
    pub session_rows: Listing<Session>,
    /// Whether there are more than are loaded.
    pub has_more_sessions: bool,
    /// The log's newest rows.
    pub activity: Listing<Arc<Activity>>,
    /// How many rows the log has for the filter that the source knows.
    pub activity_total: Option<i64>,
    /// Newest first: what came by itself or was looked up without a filter, and what was looked up with one.
    tail: Vec<Arc<Activity>>,
    found: Vec<Arc<Activity>>,
    /// Whether `activity` lacks what came since it was listed: thousands of rows in a second are listed once a frame.
    is_unlisted: bool,
    /// Whether the pane about the chosen row is open.
    pub is_detailed: bool,
    /// Lines that the help is scrolled by.
    pub help_top: usize,
    /// While it stands still, what came meanwhile.
    held: Option<Vec<Arc<Activity>>>,
    /// Events that came faster than they were read.
    pub missed: u64,
    asks: Asks,
    health: Health,
    /// The live stream is lost, though questions may be answered.
    stream_lost: Option<(String, Timestamp)>,
    failures: u32,
    /// When the figures that are shown were true.
    pub true_at: Option<Timestamp>,
    /// What is where on the screen, as the last frame has it.
    pub targets: RefCell<Vec<(Rect, Target)>>,
    commands: Vec<Command>,
}

impl App {
    /// How it begins, and what it wants first.
    pub fn new(
        settings: Settings,
        place: String,
        is_live: bool,
        now: Timestamp,
    ) -> (Self, Vec<Command>) {
        let mut app = Self {
            now,
            theme: settings.theme,
            tab: settings.tab,
            zone: settings.zones.first().copied().unwrap_or(Zone::UTC),
            zones: settings.zones,
            refresh: settings.refresh,
            place,
            is_live,
            mode: Mode::Browse,
            notice: None,
            figures: Figures::default(),
            online: Listing::new(OnlineColumn::User, false, false),
            online_total: None,
            has_more_online: false,
            why: None,
            has_sessions: false,
            session_rows: Listing::new(SessionColumn::Started, false, false),
            has_more_sessions: false,
            activity: Listing::new(ActivityColumn::Time, false, true),
            activity_total: None,
            tail: Vec::new(),
            found: Vec::new(),
            is_unlisted: false,
            is_detailed: false,
            help_top: 0,
            held: None,
            missed: 0,
            asks: Asks::default(),
            health: Health::Waiting,
            stream_lost: None,
            failures: 0,
            true_at: None,
            targets: RefCell::default(),
            commands: Vec::new(),
        };
        app.want_tab();
        app.ask();
        let commands = std::mem::take(&mut app.commands);
        (app, commands)
    }

    /// Changes by a message that came at `now`; what is to be done then, and whether another frame is due.
    pub fn update(&mut self, now: Timestamp, message: Message) -> (Vec<Command>, bool) {
        let seconds = |at: Timestamp| at.as_millis().div_euclid(1_000);
        let mut is_changed = seconds(now) != seconds(self.now);
        self.now = now;
        if self
            .notice
            .as_ref()
            .is_some_and(|notice| now >= notice.until)
        {
            self.notice = None;
            is_changed = true;
        }
        match message {
            Message::Tick => {}
            Message::Key(event) => is_changed |= self.key(event),
            Message::Mouse(event) => is_changed |= self.mouse(event),
            Message::Paste(text) => is_changed |= self.paste(&text),
            Message::Resize => is_changed = true,
            Message::Answered(ticket, answer) => is_changed |= self.answered(ticket, answer),
            Message::Live(events) => is_changed |= self.live(events),
            Message::Disconnected(name, result) => {
                is_changed = true;
                match result {
                    Ok(()) => self.tell(format!("{name} is disconnected")),
                    Err(error) => self.complain(format!("{name} is not disconnected: {error}")),
                }
                self.asks.want(Kind::Online);
                self.asks.want(Kind::Overview);
            }
            Message::Exported(result) => {
                is_changed = true;
                match result {
                    Ok(path) => self.tell(format!("exported to {}", path.display())),
                    Err(why) => self.complain(format!("not exported: {why}")),
                }
            }
            Message::Copied(result) => {
                is_changed = true;
                match result {
                    Ok(()) => self.tell("copied, if the terminal allows it".to_owned()),
                    Err(why) => self.complain(format!("not copied: {why}")),
                }
            }
        }
        self.want_what_is_due();
        self.ask();
        (std::mem::take(&mut self.commands), is_changed)
    }

    /// Brings in order what is about to be looked at.
    pub fn settle(&mut self) {
        if self.is_unlisted && self.tab == Tab::Activity {
            self.list_activities();
        }
    }

    /// When time should pass next, if nothing happens before.
    pub fn wake_at(&self) -> Timestamp {
        let millis = self.now.as_millis();
        let second = Timestamp::from_millis(millis - millis.rem_euclid(1_000) + 1_000);
        if self.is_paused() || !matches!(self.health, Health::Up | Health::Waiting) {
            return second;
        }
        let due = self
            .periods()
            .filter_map(|(kind, period)| self.asks.due_at(kind, period));
        due.min().map_or(second, |due| due.min(second))
    }

    /// Whether it stands still.
    pub fn is_paused(&self) -> bool {
        self.held.is_some()
    }

    /// How many rows came since it stands still.
    pub fn held(&self) -> usize {
        self.held.as_ref().map_or(0, Vec::len)
    }

    /// How the source is.
    pub fn health(&self) -> Health {
        match (&self.health, &self.stream_lost) {
            (Health::Up | Health::Waiting, Some((why, retry_at))) => Health::Lost {
                why: why.clone(),
                retry_at: *retry_at,
            },
            (health, _) => health.clone(),
        }
    }

    /// Says what came of something.
    fn tell(&mut self, text: String) {
        self.say(text, false);
    }

    fn complain(&mut self, text: String) {
        self.say(text, true);
    }

    fn say(&mut self, text: String, is_bad: bool) {
        let until = self.now.plus(Duration::from_secs(5));
        self.notice = Some(Notice {
            text,
            is_bad,
            until,
        });
    }

    /// What is looked at again and again, and how often.
    fn periods(&self) -> impl Iterator<Item = (Kind, Duration)> {
        let (refresh, is_live) = (self.refresh, self.is_live);
        let minute = Duration::from_secs(60);
        let why = self.why.as_ref().filter(|_| self.tab == Tab::Online);
        let kinds = self.tab.kinds().iter().copied();
        let all = [Kind::Overview].into_iter().chain(kinds);
        all.chain(why.map(|_| Kind::Why)).filter_map(move |kind| {
            let period = match kind {
                // What follows comes by itself.
                Kind::Activities if is_live => return None,
                Kind::Series | Kind::Heatmap => refresh.max(minute),
                _ => refresh,
            };
            Some((kind, period))
        })
    }

    fn want_what_is_due(&mut self) {
        if self.is_paused() {
            return;
        }
        let (now, periods) = (self.now, self.periods().collect::<Vec<_>>());
        for (kind, period) in periods {
            self.asks.want_every(kind, period, now);
        }
    }

    /// Everything that is on the screen.
    fn want_tab(&mut self) {
        self.asks.want(Kind::Overview);
        for kind in self.tab.kinds() {
            self.asks.want(*kind);
        }
    }

    /// Asks what is wanted. A lost source is tried with one small question when its time has come, and one that refuses
    /// only when somebody says so.
    fn ask(&mut self) {
        let only = match &self.health {
            Health::Waiting | Health::Up => None,
            Health::Lost { retry_at, .. } if self.now < *retry_at => return,
            Health::Lost { .. } => {
                self.asks.want(Kind::Overview);
                Some(Kind::Overview)
            }
            Health::Refused(_) => return,
        };
        for kind in ALL {
            let is_asked = only.is_none_or(|only| only == kind);
            if is_asked && self.asks.is_ready(kind, self.is_paused()) {
                self.begin(kind);
            }
        }
    }

    fn begin(&mut self, kind: Kind) {
        let zone = self.zone;
        let question = match kind {
            Kind::Overview => Question::Overview(zone),
            Kind::Figures => Question::Figures(zone),
            Kind::Series => Question::Series(zone),
            Kind::Actions => Question::Actions(zone),
            Kind::Heatmap => Question::Heatmap(zone),
            Kind::Online => Question::Online,
            Kind::Why => match &self.why {
                Some(pane) => Question::Why(pane.username.clone()),
                None => return,
            },
            Kind::Sessions => {
                Question::Sessions(self.session_rows.filter().user().map(str::to_owned))
            }
            Kind::Activities => Question::Activities(self.activity_query()),
        };
        let ticket = self.asks.begin(kind, self.now);
        self.commands.push(Command::Ask(ticket, question));
    }
}
