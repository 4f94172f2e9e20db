//! Keys through the running loop, by what is seen afterwards.

use super::bench::Bench;
use super::fake::{Fake, activity, user};
use crate::tui::app::Tab;
use crate::tui::run::Input;
use crate::tui::source::LiveEvent;
use crossterm::event::KeyCode::{self, Backspace, Char, Down, End, Enter, Esc, PageDown};
use crossterm::event::{Event, KeyEvent, KeyModifiers};

#[tokio::test(start_paused = true)]
async fn tabs_by_number_and_one_after_the_other() {
    let mut bench = Bench::new(Fake::new(false), Tab::Overview);
    bench.until_text("Online in the last hour").await;
    bench.key(Char('3'));
    bench.until_text("8 open, 22 ended").await;
    bench.key(KeyCode::Tab);
    bench.until_text("60 activities").await;
    bench.key(KeyCode::BackTab);
    bench.until_text("8 open, 22 ended").await;
    bench.key(Char('?'));
    bench.until_text("Export the view to a CSV file here").await;
    bench.key(Char('q'));
    assert_eq!(bench.end().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_filter_works_as_it_is_typed_and_escape_backs_out() {
    let mut bench = Bench::new(Fake::new(true), Tab::Online);
    bench.until_text("40 online").await;
    bench.key(Char('/'));
    bench.type_text("bob");
    bench.until_text("40 online, 4 with \"bob\"").await;
    assert!(!bench.text().contains("carla"));
    bench.key(Backspace);
    bench.type_text("b3");
    bench.until_text("1 with \"bob3\"").await;
    bench.key(Enter);
    bench.until_text("jk move").await;
    assert!(bench.text().contains("1 with \"bob3\""), "it stays");
    bench.key(Char('/'));
    bench.type_text("x");
    bench.until_text("nobody passes the filter").await;
    bench.key(Esc);
    bench.until_text("1 with \"bob3\"").await;
    bench.key(Esc);
    bench
        .until("no filter", |bench| !bench.text().contains("with"))
        .await;
    assert!(bench.text().contains("carla"));
}

#[tokio::test(start_paused = true)]
async fn a_filter_by_user_looks_further_back_than_what_is_listed() {
    let source = Fake::new(true);
    let mut old = activity(3);
    (old.username, old.id) = ("zoe".to_owned(), "old".to_owned());
    // Behind as many as are looked up at first.
    let mut rows: Vec<_> = (0..600).map(activity).collect();
    rows.push(old);
    source.state.lock().activities = rows;
    let mut bench = Bench::new(source, Tab::Activity);
    bench.until_text("601 activities").await;
    bench.key(Char('/'));
    bench.type_text("user:zoe action:user_followed");
    bench
        .until("the old row", |bench| {
            bench
                .text()
                .lines()
                .any(|line| line.contains("zoe") && line.contains("user t3"))
        })
        .await;
    bench.key(Esc);
    bench.until_text("601 activities").await;
}

#[tokio::test(start_paused = true)]
async fn the_chosen_row_survives_a_refresh() {
    let mut bench = Bench::new(Fake::new(true), Tab::Online);
    bench.until_text("40 online").await;
    bench.key(Down);
    bench.key(Char('j'));
    let third = |bench: &Bench| bench.chosen().contains("ann2 ");
    bench.until("the third by name", third).await;
    bench.key(End);
    bench
        .until("the last", |bench| bench.chosen().contains("lena2"))
        .await;
    // Two that sort before it are gone, and one came.
    let mut newcomer = user(500);
    newcomer.username = "aaron".to_owned();
    {
        let mut state = bench.source.state.lock();
        state
            .users
            .retain(|user| user.username != "ann" && user.username != "bob");
        state.users.push(newcomer);
    }
    bench.advance(2);
    bench.until_text("39 online").await;
    assert!(bench.chosen().contains("lena2"));
    bench.key(Char('g'));
    bench
        .until("the first", |bench| bench.chosen().contains("aaron"))
        .await;
    bench.key(PageDown);
    bench
        .until("a page on", |bench| !bench.chosen().contains("aaron"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn sorted_by_another_column_and_the_other_way() {
    let mut bench = Bench::new(Fake::new(true), Tab::Online);
    bench.until_text("40 online").await;
    assert!(bench.chosen().contains("ann "));
    bench.type_text("sss");
    bench.until_text("Since ▾").await;
    bench.key(Char('g'));
    bench.key(Char('S'));
    bench.until_text("Since ▴").await;
    // 40 people, 37 seconds apart; the chosen one stays chosen.
    bench
        .until("the newest, last", |bench| bench.chosen().contains("ann "))
        .await;
    bench.key(Char('g'));
    bench
        .until("the oldest, first", |bench| {
            bench.chosen().contains("dmitri3")
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn it_stands_still_until_told_otherwise() {
    let mut bench = Bench::new(Fake::new(true), Tab::Activity);
    bench.until_text("60 activities").await;
    bench.key(Char(' '));
    bench.until_text("‖ paused").await;
    let mut row = activity(0);
    (row.id, row.action) = ("f-new".to_owned(), "brand_new".to_owned());
    bench.happen(LiveEvent::Activity(Box::new(row))).await;
    bench.advance(10);
    bench.until_text("paused, 1 row since").await;
    assert!(!bench.text().contains("brand_new"));
    bench.key(Char(' '));
    bench.until_text("brand_new").await;
    assert!(bench.text().contains("● live"));
}

#[tokio::test(start_paused = true)]
async fn a_live_row_comes_at_the_top_and_the_choice_stays() {
    let mut bench = Bench::new(Fake::new(true), Tab::Activity);
    bench.until_text("60 activities").await;
    let row = |id: &str, action: &str| {
        let mut row = activity(0);
        (row.id, row.action) = (id.to_owned(), action.to_owned());
        LiveEvent::Activity(Box::new(row))
    };
    bench.happen(row("f-1", "first_news")).await;
    bench
        .until("the newest is chosen", |bench| {
            bench.chosen().contains("first_news")
        })
        .await;
    assert!(bench.text().contains("61 activities"));
    bench.key(Down);
    bench
        .until("the next", |bench| bench.chosen().contains("video_watched"))
        .await;
    bench.happen(row("f-2", "second_news")).await;
    bench.until_text("second_news").await;
    assert!(bench.chosen().contains("video_watched"));
}

#[tokio::test(start_paused = true)]
async fn zones_in_turn_and_by_name() {
    let mut bench = Bench::new(Fake::new(true), Tab::Overview);
    bench.until_text("14:30:15").await;
    bench.key(Char('t'));
    bench.until_text("13:30:15").await;
    bench.until_text("Today in UTC").await;
    bench.key(Char('T'));
    bench.type_text("kathm");
    bench.until_text("tab: Asia/Kathmandu").await;
    bench.key(Enter);
    bench.until_text("✓ Asia/Kathmandu").await;
    bench.type_text("x");
    bench.until_text("no such zone").await;
    bench.key(Enter);
    bench.key(Backspace);
    bench.until_text("✓ Asia/Kathmandu").await;
    bench.key(Enter);
    bench.until_text("Today in Asia/Kathmandu").await;
    assert!(bench.text().contains("19:15:15"));
    let asked = bench.source.state.lock().zones.clone();
    let names: Vec<_> = asked.iter().map(|zone| zone.name()).collect();
    assert_eq!(names, ["Europe/Berlin", "UTC", "Asia/Kathmandu"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_disconnected_without_a_yes() {
    let mut bench = Bench::new(Fake::new(true), Tab::Online);
    bench.until_text("40 online").await;
    bench.key(Char('/'));
    bench.type_text("bob3");
    bench.key(Enter);
    bench.until_text("x disconnect").await;
    bench.key(Char('x'));
    bench
        .until_text("Disconnect bob3, 2 connections?  y yes  n no")
        .await;
    bench.key(Char('n'));
    bench.until_text("x disconnect").await;
    assert!(bench.source.state.lock().disconnected.is_empty());
    bench.key(Char('x'));
    bench.key(Char('y'));
    bench.until_text("bob3 is disconnected").await;
    assert_eq!(bench.source.state.lock().disconnected, [371, 372]);
    bench.until_text("39 online").await;
}

#[tokio::test(start_paused = true)]
async fn a_file_has_nobody_to_disconnect() {
    let mut bench = Bench::new(Fake::new(false), Tab::Online);
    bench.until_text("40 online").await;
    assert!(!bench.text().contains("x disconnect"));
    bench.key(Char('x'));
    bench.key(Char('q'));
    let state = std::sync::Arc::clone(&bench.source);
    assert_eq!(bench.end().await, 0, "no question kept the q");
    assert!(state.state.lock().disconnected.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_row_is_copied_and_the_view_exported() {
    let mut bench = Bench::new(Fake::new(true), Tab::Online);
    bench.until_text("40 online").await;
    bench.key(Char('c'));
    bench.until_text("copied").await;
    let copied = bench.copied.lock().first().cloned().expect("a text");
    let row: serde_json::Value = serde_json::from_str(&copied).expect("JSON");
    assert_eq!(row["username"], "ann");
    bench.key(Char('/'));
    bench.type_text("bob");
    bench.key(Enter);
    bench.key(Char('e'));
    bench.until_text("exported to").await;
    let mut files = std::fs::read_dir(bench.folder.path()).expect("a folder");
    let file = files.next().expect("a file").expect("readable").path();
    let text = std::fs::read_to_string(&file).expect("text");
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.split(',').nth(1))
        .collect();
    assert_eq!(names, ["username", "bob", "bob1", "bob2", "bob3"]);
}

#[tokio::test(start_paused = true)]
async fn the_interval_grows_and_shrinks() {
    let mut bench = Bench::new(Fake::new(true), Tab::Overview);
    bench.until_text("every 2s").await;
    bench.key(Char('-'));
    bench.until_text("refreshed every 5s").await;
    bench.type_text("++++++++");
    bench.until_text("refreshed every 250ms").await;
}

#[tokio::test(start_paused = true)]
async fn control_c_quits_whatever_is_typed_and_pasted_text_is_no_key() {
    let mut bench = Bench::new(Fake::new(true), Tab::Online);
    bench.until_text("40 online").await;
    bench.input(Input::Terminal(Event::Paste("q".to_owned())));
    bench.key(Char('/'));
    bench.input(Input::Terminal(Event::Paste("bo\u{1b}b3\nxy".to_owned())));
    bench.until_text("1 with \"bob3\"").await;
    let control_c = KeyEvent::new(Char('c'), KeyModifiers::CONTROL);
    bench.input(Input::Terminal(Event::Key(control_c)));
    assert_eq!(bench.end().await, 0);
}
