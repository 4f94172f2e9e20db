//! What happens to a dashboard that runs for long: a lost server, a refusal, other sizes, text that means harm, floods.

use super::bench::{Bench, still};
use super::fake::{Fake, activity, user};
use crate::tui::app::{App, Message, Tab};
use crate::tui::run::Input;
use crate::tui::source::{LiveEvent, SourceError};
use crate::tui::theme::Theme;
use crate::tui::view;
use crossterm::event::KeyCode::{Char, Enter};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::time::{Duration, Instant};

#[tokio::test(start_paused = true)]
async fn lost_and_back() {
    let mut bench = Bench::new(Fake::new(true), Tab::Online);
    bench.until_text("40 online").await;
    bench.source.state.lock().fault = Some(SourceError::Lost("connection refused".to_owned()));
    let why = "connection refused".to_owned();
    let retry_in = Duration::from_secs(4);
    bench.happen(LiveEvent::Lost { why, retry_in }).await;
    bench
        .until_text("✖ lost  retry in 4s · figures of 14:30:15 · connection refused")
        .await;
    assert!(bench.text().contains("carla"), "what was known stays");
    bench.advance(3);
    // Questions fail by now too, and are tried again ever more seldom.
    bench.until_text("retry in 1s").await;
    for _ in 0..6 {
        bench.advance(30);
        bench.until_text("retry in ").await;
    }
    {
        let mut state = bench.source.state.lock();
        state.fault = None;
        state.users.truncate(3);
    }
    bench.happen(LiveEvent::Connected).await;
    bench.until_text("● live").await;
    bench.until_text("3 online").await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_whole_and_not_asked_again() {
    let source = Fake::new(true);
    let why = "the key in admin.key is not an administrator's; make one with lastseen token create";
    source.state.lock().fault = Some(SourceError::Refused(why.to_owned()));
    let mut bench = Bench::new(source, Tab::Overview);
    bench.until_text("Refused").await;
    bench.until_text("r tries again, q quits").await;
    let text = bench.text();
    let words = why.split(' ').filter(|word| !text.contains(*word));
    assert_eq!(words.count(), 0, "{text}");
    let asked = bench.source.state.lock().asked;
    bench.advance(60);
    bench.until_text("14:31:15").await;
    assert_eq!(bench.source.state.lock().asked, asked);
    bench.source.state.lock().fault = None;
    bench.key(Char('r'));
    bench.until_text("1,311").await;
}

#[tokio::test(start_paused = true)]
async fn any_size_and_back() {
    let mut bench = Bench::new(Fake::new(true), Tab::Overview);
    bench.until_text("livestream_started").await;
    let before = bench.text();
    bench.resize(20, 5);
    bench.until_text("lastseen needs 60").await;
    for (columns, rows) in [(1, 1), (59, 15), (60, 14), (60, 15), (300, 100), (61, 60)] {
        for tab in "1234?".chars() {
            bench.key(Char(tab));
            bench.key(Enter);
            bench.resize(columns, rows);
            let frames = bench.frames();
            bench
                .until("another frame", |bench| bench.frames() > frames)
                .await;
        }
    }
    bench.key(Char('1'));
    bench.resize(100, 30);
    bench
        .until("as it was", |bench| bench.text() == before)
        .await;
}

#[tokio::test(start_paused = true)]
async fn text_that_means_harm_is_text() {
    let source = Fake::new(true);
    let evil = "\u{1b}[2J\u{1b}]0;mine\u{7}\u{9b}31m\u{202e}世界\u{200d}";
    {
        let mut state = source.state.lock();
        let mut row = activity(0);
        (row.username, row.action) = (evil.to_owned(), evil.to_owned());
        row.target_type = Some(evil.to_owned());
        row.metadata = Some(serde_json::json!({ evil: evil }));
        state.activities.insert(0, row);
        let mut one = user(0);
        (one.username, one.user_id) = (evil.to_owned(), 999);
        one.connections[0].country_code = Some(evil.to_owned());
        state.users.insert(0, one);
    }
    let mut bench = Bench::new(source, Tab::Activity);
    bench.key(Enter);
    bench.until_text("metadata").await;
    let is_harmless = |bench: &Bench| {
        let text = bench.text();
        assert!(text.contains("世"), "{text}");
        let bad = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{200d}".contains(c);
        assert!(!text.contains(bad), "{text:?}");
    };
    is_harmless(&bench);
    bench.key(Char('2'));
    bench.until_text("online").await;
    bench.key(Char('g'));
    bench
        .until("the first row", |bench| bench.text().contains("世"))
        .await;
    is_harmless(&bench);
    bench.key(Char('x'));
    bench.until_text("Disconnect ·[2J").await;
    is_harmless(&bench);
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_drawn_seldom_and_kept_short() {
    let mut bench = Bench::new(Fake::new(true), Tab::Activity);
    bench.until_text("60 activities").await;
    let before = bench.frames();
    for n in 0..5_000 {
        let mut row = activity(0);
        row.id = format!("f-{n:05}");
        bench.happen(LiveEvent::Activity(Box::new(row))).await;
    }
    bench.until_text("5,060 activities").await;
    assert!(
        bench.frames() - before < 50,
        "{} frames",
        bench.frames() - before
    );
    bench.key(Char('/'));
    bench.type_text("video");
    bench.until_text("1,000 rows with").await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_drawn_where_nothing_changed() {
    let mut bench = Bench::new(Fake::new(true), Tab::Online);
    bench.until_text("40 online").await;
    bench.key(Char('?'));
    bench.until_text("In a list").await;
    let before = bench.frames();
    // Keys that mean nothing, and time that does not pass.
    for _ in 0..100 {
        bench.key(Char('§'));
    }
    bench.key(Char('1'));
    bench.until_text("Online now").await;
    assert!(bench.frames() - before <= 3, "{}", bench.frames() - before);
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_it_and_so_does_the_end_of_the_input() {
    let bench = Bench::new(Fake::new(true), Tab::Overview);
    bench.input(Input::Signal(143));
    assert_eq!(bench.end().await, 143);
}

#[tokio::test]
async fn ten_thousand_rows_are_drawn_in_no_time() {
    let source = Fake::new(true);
    source.state.lock().users = (0..12_000).map(user).collect();
    let theme = Theme {
        colour: true,
        ascii: false,
    };
    let app: App = still(&source, Tab::Online, theme, &[]).await;
    assert_eq!(app.online.rows().len(), 10_000);
    let Ok(mut terminal) = Terminal::new(TestBackend::new(200, 60));
    let Ok(_) = terminal.draw(|frame| view::draw(frame, &app));
    let text = crate::tui::once::lines(terminal.backend().buffer(), false);
    assert!(text.contains("only the first 10,000 are listed"), "{text}");
    let start = Instant::now();
    for _ in 0..20 {
        let Ok(_) = terminal.draw(|frame| view::draw(frame, &app));
    }
    // What is not seen costs nothing: also without optimisation, on a busy machine.
    assert!(start.elapsed() / 20 < Duration::from_millis(100));
}

#[tokio::test]
async fn a_click_and_the_wheel_choose() {
    use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    let theme = Theme {
        colour: false,
        ascii: false,
    };
    let mut app = still(&Fake::new(true), Tab::Online, theme, &[]).await;
    let Ok(mut terminal) = Terminal::new(TestBackend::new(80, 24));
    let Ok(_) = terminal.draw(|frame| view::draw(frame, &app));
    let mouse = |app: &mut App, kind: MouseEventKind, column: u16, row: u16| {
        let event = MouseEvent {
            kind,
            column,
            row,
            modifiers: KeyModifiers::NONE,
        };
        app.update(super::fake::now(), Message::Mouse(event));
    };
    let click = MouseEventKind::Down(MouseButton::Left);
    mouse(&mut app, click, 10, 8);
    assert_eq!(app.online.at(), 3);
    mouse(&mut app, MouseEventKind::ScrollDown, 10, 8);
    assert_eq!(app.online.at(), 4);
    mouse(&mut app, click, 79, 23);
    assert_eq!(app.online.at(), 4);
    mouse(&mut app, click, 5, 1);
    assert_eq!(app.tab, Tab::Overview);
}
