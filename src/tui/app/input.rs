//! Keys, the mouse and pasted text, by the table of keys.

use super::filter::Filter;
use super::{App, Command, Health, Kind, Mode, Tab, Target, WhyPane};
use crate::model::Zone;
use crate::tui::keys::{self, Action, Scope, Step};
use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::layout::Position;
use std::time::Duration;

/// The longest text that a prompt takes.
const LONGEST: usize = 200;

/// Steps from one refresh interval to the next; flags may set another one between the ends.
const INTERVALS_MS: [u64; 10] = [
    250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000,
];

impl App {
    /// Where keys work now.
    pub fn scopes(&self) -> &'static [Scope] {
        match (&self.mode, self.tab) {
            (Mode::Filter(..) | Mode::Zone(_), _) => &[Scope::Prompt],
            (Mode::Disconnect(..), _) => &[Scope::Question],
            (Mode::Browse, Tab::Online) if self.is_live => {
                &[Scope::Everywhere, Scope::Rows, Scope::LiveOnline]
            }
            (Mode::Browse, Tab::Online | Tab::Sessions | Tab::Activity) => {
                &[Scope::Everywhere, Scope::Rows]
            }
            (Mode::Browse, Tab::Overview | Tab::Help) => &[Scope::Everywhere],
        }
    }

    pub(super) fn key(&mut self, event: KeyEvent) -> bool {
        if event.kind == KeyEventKind::Release {
            return false;
        }
        if let Some(action) = keys::action(event, self.scopes()) {
            return self.act(action);
        }
        // Ctrl-C quits whatever is typed or asked; the help scrolls as rows move.
        match keys::action(event, &[Scope::Everywhere, Scope::Rows]) {
            Some(Action::Quit) if event.modifiers.contains(KeyModifiers::CONTROL) => {
                return self.act(Action::Quit);
            }
            Some(Action::Move(step)) if self.tab == Tab::Help && self.mode == Mode::Browse => {
                return self.act(Action::Move(step));
            }
            _ => {}
        }
        self.typed(event)
    }

    fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Show(tab) => self.show(tab),
            Action::NextTab => self.show_beside(1),
            Action::PreviousTab => self.show_beside(Tab::ALL.len() - 1),
            Action::Move(step) => self.step(step),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::Filter => {
                let before = self.filter();
                self.mode = Mode::Filter(before.text().to_owned(), before);
            }
            Action::Sort => self.sort(false),
            Action::Reverse => self.sort(true),
            Action::Pause => self.pause(),
            Action::Faster => self.set_interval(true),
            Action::Slower => self.set_interval(false),
            Action::Refresh => self.refresh_now(),
            Action::Zone => self.next_zone(),
            Action::NameZone => self.mode = Mode::Zone(String::new()),
            Action::Copy => match self.chosen_row() {
                Some(text) => self.commands.push(Command::Copy(text)),
                None => self.complain("there is no row to copy".to_owned()),
            },
            Action::Export => {
                let name = self.tab.name().to_lowercase();
                let sheet = self.sheet();
                self.commands.push(Command::Export(name, sheet));
            }
            Action::Disconnect => self.ask_to_disconnect(),
            Action::Quit => self.commands.push(Command::Quit),
            Action::Yes => {
                if let Mode::Disconnect(name, ids) = std::mem::replace(&mut self.mode, Mode::Browse)
                {
                    self.commands.push(Command::Disconnect(name, ids));
                }
            }
            Action::No => self.mode = Mode::Browse,
            Action::Accept => self.accept(),
            Action::Complete => {
                if let Mode::Zone(text) = &self.mode
                    && let Some(name) = fitting_zones(text).next()
                {
                    self.mode = Mode::Zone(name.to_owned());
                }
            }
        }
        true
    }

    /// Shows another tab.
    pub(super) fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.help_top = 0;
        self.want_tab();
    }

    fn show_beside(&mut self, by: usize) {
        let place = Tab::ALL.iter().position(|tab| *tab == self.tab);
        let next = (place.unwrap_or_default() + by) % Tab::ALL.len();
        self.show(Tab::ALL[next]);
    }

    fn step(&mut self, step: Step) {
        match self.tab {
            Tab::Online => self.online.step(step),
            Tab::Sessions => self.session_rows.step(step),
            Tab::Activity => self.activity.step(step),
            Tab::Overview => {}
            Tab::Help => {
                self.help_top = match step {
                    Step::Up => self.help_top.saturating_sub(1),
                    Step::Down => self.help_top + 1,
                    Step::PageUp => self.help_top.saturating_sub(10),
                    Step::PageDown => self.help_top + 10,
                    Step::First => 0,
                    Step::Last => usize::MAX,
                }
                // No more than there are, so that the way back is as long as it looks.
                .min(keys::TABLE.len());
            }
        }
        self.look_at_chosen();
    }

    /// The pane about a user follows the choice.
    pub(super) fn look_at_chosen(&mut self) {
        let (Some(pane), Some(user)) = (&self.why, self.online.chosen()) else {
            return;
        };
        if pane.username != user.username {
            let username = user.username.clone();
            self.ask_why(username);
        }
    }

    fn ask_why(&mut self, username: String) {
        self.why = Some(WhyPane {
            username,
            answer: None,
        });
        self.asks.want_anew(Kind::Why);
    }

    fn open(&mut self) {
        match self.tab {
            Tab::Online => {
                if let (None, Some(user)) = (self.why.take(), self.online.chosen()) {
                    let username = user.username.clone();
                    self.ask_why(username);
                }
            }
            Tab::Sessions | Tab::Activity => self.is_detailed = !self.is_detailed,
            Tab::Overview | Tab::Help => {}
        }
    }

    fn back(&mut self) {
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Filter(_, before) => return self.set_filter(before),
            Mode::Zone(_) | Mode::Disconnect(..) => return,
            Mode::Browse => {}
        }
        match self.tab {
            Tab::Online if self.why.is_some() => self.why = None,
            Tab::Sessions | Tab::Activity if self.is_detailed => self.is_detailed = false,
            Tab::Online | Tab::Sessions | Tab::Activity => self.set_filter(Filter::default()),
            Tab::Overview => {}
            Tab::Help => self.show(Tab::Overview),
        }
    }

    /// The filter of the tab.
    pub fn filter(&self) -> Filter {
        match self.tab {
            Tab::Online => self.online.filter().clone(),
            Tab::Sessions => self.session_rows.filter().clone(),
            Tab::Activity => self.activity.filter().clone(),
            Tab::Overview | Tab::Help => Filter::default(),
        }
    }

    fn set_filter(&mut self, filter: Filter) {
        let before = self.filter();
        let is_other_user = before.user() != filter.user();
        let is_other = is_other_user || before.action() != filter.action();
        match self.tab {
            Tab::Online => {
                self.online.set_filter(filter, self.now);
                self.look_at_chosen();
            }
            Tab::Sessions => {
                self.session_rows.set_filter(filter, self.now);
                if is_other_user {
                    self.asks.want_anew(Kind::Sessions);
                }
            }
            Tab::Activity => {
                self.activity.set_filter(filter, self.now);
                if is_other {
                    self.found.clear();
                    self.activity_total = None;
                    self.is_unlisted = true;
                    self.asks.want_anew(Kind::Activities);
                }
            }
            Tab::Overview | Tab::Help => {}
        }
    }

    fn sort(&mut self, is_reverse: bool) {
        let now = self.now;
        match (self.tab, is_reverse) {
            (Tab::Online, false) => self.online.sort_by_next(now),
            (Tab::Online, true) => self.online.reverse(now),
            (Tab::Sessions, false) => self.session_rows.sort_by_next(now),
            (Tab::Sessions, true) => self.session_rows.reverse(now),
            (Tab::Activity, false) => self.activity.sort_by_next(now),
            (Tab::Activity, true) => self.activity.reverse(now),
            (Tab::Overview | Tab::Help, _) => {}
        }
        self.look_at_chosen();
    }

    fn pause(&mut self) {
        match self.held.take() {
            None => self.held = Some(Vec::new()),
            Some(rows) => {
                self.add_to_tail(rows);
                self.want_tab();
            }
        }
    }

    fn set_interval(&mut self, is_faster: bool) {
        let mut intervals = INTERVALS_MS.map(Duration::from_millis).into_iter();
        let next = match is_faster {
            true => intervals.rfind(|interval| *interval < self.refresh),
            false => intervals.find(|interval| *interval > self.refresh),
        };
        if let Some(next) = next {
            self.refresh = next;
        }
        let shown = humantime::format_duration(self.refresh);
        self.tell(format!("refreshed every {shown}"));
    }

    fn refresh_now(&mut self) {
        match &mut self.health {
            Health::Lost { retry_at, .. } => *retry_at = self.now,
            Health::Refused(_) => self.health = Health::Waiting,
            Health::Up | Health::Waiting => {}
        }
        for kind in [Kind::Overview].iter().chain(self.tab.kinds()) {
            self.asks.want_anew(*kind);
        }
    }

    fn next_zone(&mut self) {
        let place = self.zones.iter().position(|zone| *zone == self.zone);
        let next = place.map_or(0, |place| (place + 1) % self.zones.len());
        match self.zones.get(next) {
            Some(zone) if *zone != self.zone => self.set_zone(*zone),
            // The only one: another must be typed.
            _ => self.mode = Mode::Zone(String::new()),
        }
    }

    fn set_zone(&mut self, zone: Zone) {
        if !self.zones.contains(&zone) {
            self.zones.push(zone);
        }
        self.zone = zone;
        self.figures.forget_totals();
        for kind in [
            Kind::Overview,
            Kind::Figures,
            Kind::Series,
            Kind::Actions,
            Kind::Heatmap,
        ] {
            self.asks.want_anew(kind);
        }
        self.tell(format!("times and days of {}", zone.name()));
    }

    fn ask_to_disconnect(&mut self) {
        let Some(user) = self.online.chosen() else {
            return self.complain("there is nobody to disconnect".to_owned());
        };
        let ids: Vec<u64> = user
            .connections
            .iter()
            .map(|c| c.id)
            .filter(|id| *id != 0)
            .collect();
        match ids.is_empty() {
            true => {
                let name = user.username.clone();
                self.complain(format!("{name} has no connection any more"));
            }
            false => self.mode = Mode::Disconnect(user.username.clone(), ids),
        }
    }

    fn accept(&mut self) {
        match std::mem::replace(&mut self.mode, Mode::Browse) {
            Mode::Zone(text) => match zone_of(&text) {
                Some(zone) => self.set_zone(zone),
                // What would fit is taken first, and looked at.
                None => {
                    let proposal = fitting_zones(&text).next().map(str::to_owned);
                    self.mode = Mode::Zone(proposal.unwrap_or(text));
                }
            },
            Mode::Filter(..) | Mode::Disconnect(..) | Mode::Browse => {}
        }
    }

    /// A letter for the prompt, if there is one.
    fn typed(&mut self, event: KeyEvent) -> bool {
        let is_control = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Char('u') if is_control => self.edit(String::clear),
            KeyCode::Char('h') if is_control => self.edit(erase),
            KeyCode::Char('w') if is_control => self.edit(|text| {
                let rest = text.trim_end().rfind(' ').map_or(0, |space| space + 1);
                text.truncate(rest);
            }),

            KeyCode::Backspace => self.edit(erase),
            KeyCode::Char(letter) if !is_control => self.edit(|text| text.push(letter)),
            _ => false,
        }
    }

    pub(super) fn paste(&mut self, pasted: &str) -> bool {
        let line = pasted.lines().next().unwrap_or_default();
        self.edit(|text| text.push_str(line))
    }

    fn edit(&mut self, change: impl FnOnce(&mut String)) -> bool {
        let (Mode::Filter(text, _) | Mode::Zone(text)) = &mut self.mode else {
            return false;
        };
        change(text);
        text.retain(|letter| !letter.is_control());
        let end = text.char_indices().nth(LONGEST).map(|(at, _)| at);
        text.truncate(end.unwrap_or(text.len()));
        if let Mode::Filter(text, _) = &self.mode {
            let filter = Filter::new(text);
            self.set_filter(filter);
        }
        true
    }

    pub(super) fn mouse(&mut self, event: MouseEvent) -> bool {
        if self.mode != Mode::Browse {
            return false;
        }
        match event.kind {
            MouseEventKind::ScrollDown => self.act(Action::Move(Step::Down)),
            MouseEventKind::ScrollUp => self.act(Action::Move(Step::Up)),
            MouseEventKind::Down(MouseButton::Left) => {
                let at = Position::new(event.column, event.row);
                let targets = self.targets.borrow();
                let met = targets.iter().find(|(area, _)| area.contains(at));
                let met = met.map(|(_, target)| *target);
                drop(targets);
                match met {
                    Some(Target::Tab(tab)) => self.show(tab),
                    Some(Target::Row(line)) => self.choose_line(line),
                    None => return false,
                }
                true
            }
            _ => false,
        }
    }

    fn choose_line(&mut self, line: usize) {
        match self.tab {
            Tab::Online => self.online.choose_line(line),
            Tab::Sessions => self.session_rows.choose_line(line),
            Tab::Activity => self.activity.choose_line(line),
            Tab::Overview | Tab::Help => {}
        }
        self.look_at_chosen();
    }
}

fn erase(text: &mut String) {
    text.pop();
}

/// The zone of that name, however its letters are written.
pub fn zone_of(text: &str) -> Option<Zone> {
    let text = text.trim();
    let named = |name: &&str| name.eq_ignore_ascii_case(text);
    let name = zone_names().find(named)?;
    name.parse().ok()
}

/// Names of zones with `text` in them, those that begin with it or have a place that does first.
pub fn fitting_zones(text: &str) -> impl Iterator<Item = &'static str> + use<> {
    let part = text.trim().to_lowercase().replace(' ', "_");
    let starts = move |name: &str, part: &str| {
        let name = name.to_lowercase();
        name.starts_with(part) || name.split('/').any(|place| place.starts_with(part))
    };
    let (first, then) = (part.clone(), part);
    let leading = zone_names().filter(move |name| starts(name, &first));
    let others = zone_names()
        .filter(move |name| name.to_lowercase().contains(&then) && !starts(name, &then));
    leading.chain(others)
}

fn zone_names() -> impl Iterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_a_part_of_their_names() {
        assert_eq!(fitting_zones("berl").next(), Some("Europe/Berlin"));
        assert_eq!(fitting_zones("new york").next(), Some("America/New_York"));
        assert_eq!(fitting_zones("nowhere").next(), None);
        assert_eq!(zone_of(" utc ").map(Zone::name), Some("UTC"));
        assert_eq!(
            zone_of("europe/paris").map(Zone::name),
            Some("Europe/Paris")
        );
        assert_eq!(zone_of("Europe/"), None);
    }
}
