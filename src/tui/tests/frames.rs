//! Whole frames as text, compared letter by letter. `LASTSEEN_REWRITE=1` writes them anew; look at what changed.

use super::bench::{press, still};
use super::fake::Fake;
use crate::tui::app::Tab;
use crate::tui::once;
use crate::tui::theme::Theme;
use crate::tui::view;
use crossterm::event::KeyCode::{Char, Enter};
use crossterm::event::KeyEvent;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::path::Path;

const SIZES: [(u16, u16); 2] = [(80, 24), (120, 40)];

async fn compare(name: &str, tab: Tab, is_live: bool, keys: &[KeyEvent]) {
    for (columns, rows) in SIZES {
        for ascii in [false, true] {
            let theme = Theme {
                colour: false,
                ascii,
            };
            let app = still(&Fake::new(is_live), tab, theme, keys).await;
            let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, rows));
            let Ok(_) = terminal.draw(|frame| view::draw(frame, &app));
            let text = once::lines(terminal.backend().buffer(), false);
            assert!(!ascii || text.is_ascii(), "{name}: {text}");
            let kind = if ascii { "-ascii" } else { "" };
            same(&format!("{name}-{columns}x{rows}{kind}.txt"), &text);
        }
    }
}

fn same(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/tui/frames")
        .join(name);
    if std::env::var("LASTSEEN_REWRITE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, text).expect("written");
        return;
    }
    let expected = std::fs::read_to_string(&path).expect("a frame; LASTSEEN_REWRITE=1 writes it");
    assert!(expected == text, "{name} is not as it was, but:\n{text}");
}

#[tokio::test]
async fn overview() {
    compare("overview", Tab::Overview, true, &[]).await;
}

#[tokio::test]
async fn online() {
    compare("online", Tab::Online, true, &[]).await;
}

#[tokio::test]
async fn why() {
    compare("why", Tab::Online, true, &[press(Char('j')), press(Enter)]).await;
}

#[tokio::test]
async fn sessions() {
    compare("sessions", Tab::Sessions, false, &[]).await;
}

#[tokio::test]
async fn session_detail() {
    compare("session", Tab::Sessions, false, &[press(Enter)]).await;
}

#[tokio::test]
async fn activity() {
    compare("activity", Tab::Activity, true, &[]).await;
}

#[tokio::test]
async fn activity_detail() {
    compare("detail", Tab::Activity, true, &[press(Enter)]).await;
}

#[tokio::test]
async fn help() {
    compare("help", Tab::Help, false, &[]).await;
}
