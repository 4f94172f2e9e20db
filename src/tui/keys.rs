//! The one table of keys: what a key does and where, its hint in the last line, its words in the help. Whoever reads a
//! key, a hint or the help reads it here.

use super::app::Tab;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Shows a tab.
    Show(Tab),
    /// The tab to the right.
    NextTab,
    /// The tab to the left.
    PreviousTab,
    /// Moves the choice.
    Move(Step),
    /// Opens or closes the pane about the chosen row.
    Open,
    /// Backs out: of a pane, a filter.
    Back,
    /// Opens the filter's prompt.
    Filter,
    /// The next column to sort by.
    Sort,
    /// Turns the order round.
    Reverse,
    /// Stands still, and goes on.
    Pause,
    /// Looks more often.
    Faster,
    /// Looks less often.
    Slower,
    /// Looks now.
    Refresh,
    /// The next time zone.
    Zone,
    /// Opens the prompt for a time zone.
    NameZone,
    /// Copies the chosen row.
    Copy,
    /// Writes the view to a file.
    Export,
    /// Asks whether to disconnect the chosen user.
    Disconnect,
    /// Ends the program.
    Quit,
    /// Yes to a question.
    Yes,
    /// No to a question.
    No,
    /// Takes what is in the prompt.
    Accept,
    /// Takes the prompt's proposal.
    Complete,
}

/// How far the choice moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A row up.
    Up,
    /// A row down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first.
    First,
    /// To the last.
    Last,
}

/// Where a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On every tab.
    Everywhere,
    /// On tabs with rows.
    Rows,
    /// On the Online tab of a server.
    LiveOnline,
    /// While something is typed.
    Prompt,
    /// While a question waits.
    Question,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The keys, any of them.
    pub keys: &'static [KeyCode],
    /// With Ctrl held.
    pub is_control: bool,
    /// What it does.
    pub action: Action,
    /// Where.
    pub scope: Scope,
    /// How the help writes the keys.
    pub shown: &'static str,
    /// The hint's key and word; none has no hint.
    pub hint: Option<(&'static str, &'static str)>,
    /// The help's words; an empty one has no line of its own.
    pub help: &'static str,
}

use KeyCode::{
    BackTab, Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab as TabKey, Up,
};

/// A line of the table, shorter to read.
const fn key(
    scope: Scope,
    keys: &'static [KeyCode],
    action: Action,
    shown: &'static str,
    hint: Option<(&'static str, &'static str)>,
    help: &'static str,
) -> Binding {
    Binding {
        keys,
        is_control: false,
        action,
        scope,
        shown,
        hint,
        help,
    }
}

const fn control(mut binding: Binding) -> Binding {
    binding.is_control = true;
    binding
}

use Scope::{Everywhere, LiveOnline, Prompt, Question, Rows};

/// Every key there is. The order is that of the hints and of the help.
#[rustfmt::skip]
pub const TABLE: &[Binding] = &[
    key(Question, &[Char('y'), Char('Y')], Action::Yes, "y", Some(("y", "yes")), "Yes"),
    key(Question, &[Char('n'), Char('N'), Esc, Char('q')], Action::No, "n", Some(("n", "no")), "No"),
    key(Prompt, &[Enter], Action::Accept, "Enter", Some(("enter", "take")), "Take what is typed"),
    key(Prompt, &[TabKey], Action::Complete, "Tab", None, "Take the first zone that fits"),
    key(Prompt, &[Esc], Action::Back, "Esc", Some(("esc", "back out")), "Back out, as it was before"),
    key(Rows, &[Up, Char('k')], Action::Move(Step::Up), "Up k  Down j", Some(("jk", "move")), "The row above, the row below"),
    key(Rows, &[Down, Char('j')], Action::Move(Step::Down), "", None, ""),
    key(Rows, &[PageUp], Action::Move(Step::PageUp), "PgUp  PgDn", None, "A page up, a page down"),
    key(Rows, &[PageDown], Action::Move(Step::PageDown), "", None, ""),
    key(Rows, &[Home, Char('g')], Action::Move(Step::First), "Home g  End G", None, "The first row, the last row"),
    key(Rows, &[End, Char('G')], Action::Move(Step::Last), "", None, ""),
    key(Rows, &[Enter], Action::Open, "Enter", Some(("enter", "more")), "More about the row: why, or all of it"),
    key(LiveOnline, &[Char('x')], Action::Disconnect, "x", Some(("x", "disconnect")), "Disconnect the user (of a server)"),
    key(Rows, &[Char('/')], Action::Filter, "/", Some(("/", "filter")), "Filter: words, user:NAME, action:NAME"),
    key(Rows, &[Char('s')], Action::Sort, "s  S", Some(("s", "sort")), "Sort by the next column, the other way"),
    key(Rows, &[Char('S')], Action::Reverse, "", None, ""),
    key(Rows, &[Char('c')], Action::Copy, "c", None, "Copy the row to the clipboard (OSC 52)"),
    key(Everywhere, &[Esc], Action::Back, "Esc", None, "Close the pane, drop the filter"),
    key(Everywhere, &[Char('1')], Action::Show(Tab::Overview), "1 2 3 4", None, "Overview, Online, Sessions, Activity"),
    key(Everywhere, &[Char('2')], Action::Show(Tab::Online), "", None, ""),
    key(Everywhere, &[Char('3')], Action::Show(Tab::Sessions), "", None, ""),
    key(Everywhere, &[Char('4')], Action::Show(Tab::Activity), "", None, ""),
    key(Everywhere, &[TabKey, Right, Char('l')], Action::NextTab, "Tab l Right", None, "The next tab"),
    key(Everywhere, &[BackTab, Left, Char('h')], Action::PreviousTab, "S-Tab h Left", None, "The tab before"),
    key(Everywhere, &[Char(' ')], Action::Pause, "Space", Some(("space", "pause")), "Stand still; go on"),
    key(Everywhere, &[Char('+'), Char('=')], Action::Faster, "+  -", None, "Refresh more often, less often"),
    key(Everywhere, &[Char('-')], Action::Slower, "", None, ""),
    key(Everywhere, &[Char('r')], Action::Refresh, "r", None, "Refresh now; try a lost server now"),
    key(Everywhere, &[Char('t')], Action::Zone, "t  T", Some(("t", "zone")), "The next time zone; type one"),
    key(Everywhere, &[Char('T')], Action::NameZone, "", None, ""),
    key(Everywhere, &[Char('e')], Action::Export, "e", Some(("e", "export")), "Export the view to a CSV file here"),
    key(Everywhere, &[Char('?')], Action::Show(Tab::Help), "?", Some(("?", "help")), "This help"),
    key(Everywhere, &[Char('q')], Action::Quit, "q  Ctrl-C", Some(("q", "quit")), "Quit"),
    control(key(Everywhere, &[Char('c')], Action::Quit, "", None, "")),
];

/// What `event` does, of the keys in these scopes; the first that fits.
pub fn action(event: KeyEvent, scopes: &[Scope]) -> Option<Action> {
    let held = event.modifiers;
    let is_control = held.contains(KeyModifiers::CONTROL);
    if held.intersects(KeyModifiers::ALT | KeyModifiers::SUPER) {
        return None;
    }
    let fits = |binding: &&Binding| {
        binding.is_control == is_control
            && scopes.contains(&binding.scope)
            && binding.keys.contains(&event.code)
    };
    TABLE.iter().find(fits).map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn no_key_has_two_meanings_in_one_place() {
        let meets = |a: Scope, b: Scope| {
            a == b || !matches!((a, b), (Prompt | Question, _) | (_, Prompt | Question))
        };
        for (index, one) in TABLE.iter().enumerate() {
            for other in &TABLE[index + 1..] {
                let same = one.keys.iter().any(|code| other.keys.contains(code));
                let clash = same && one.is_control == other.is_control;
                assert!(
                    !clash || !meets(one.scope, other.scope),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn every_key_is_in_the_help_by_itself_or_with_its_neighbour() {
        assert!(!TABLE[0].help.is_empty());
        for pair in TABLE.windows(2) {
            assert!(
                !(pair[0].help.is_empty() && pair[1].help.is_empty())
                    || matches!(pair[1].action, Action::Show(_)),
                "{pair:?}"
            );
        }
        for binding in TABLE {
            assert_eq!(binding.help.is_empty(), binding.shown.is_empty());
        }
    }

    #[test]
    fn where_a_key_works() {
        let rows = [Everywhere, Rows];
        assert_eq!(
            action(press(Char('j')), &rows),
            Some(Action::Move(Step::Down))
        );
        assert_eq!(action(press(Char('j')), &[Everywhere]), None);
        assert_eq!(action(press(Char('c')), &rows), Some(Action::Copy));
        let with_control = KeyEvent::new(Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(with_control, &rows), Some(Action::Quit));
        let with_alt = KeyEvent::new(Char('q'), KeyModifiers::ALT);
        assert_eq!(action(with_alt, &rows), None);
    }
}
