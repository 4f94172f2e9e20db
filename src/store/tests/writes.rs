//! The writer: groups, failures, deadlines, a full disk.

use crate::store::sqlite::testing::*;
use crate::store::*;
use std::time::{Duration, Instant};

#[tokio::test]
async fn answers_come_after_the_commit_and_failures_stay_alone() {
    let f = fixture();
    // While somebody else holds the lock, commands gather; then they go in one transaction.
    let foreign = rusqlite::Connection::open(&f.path).expect("opens");
    foreign.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let before = f.store.stats();
    let tasks: Vec<_> = ["aa", "bb", "AA", "cc", "dd"]
        .into_iter()
        .map(|name| {
            let store = f.store.clone();
            tokio::spawn(async move { store.create_user(new_user(name)).await })
        })
        .collect();
    while f.store.stats().write_queue < 4 {
        tokio::task::yield_now().await;
    }
    assert!(tasks.iter().all(|task| !task.is_finished()));
    foreign.execute_batch("COMMIT").expect("let go");
    let mut taken = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(id) => {
                // Another connection sees it at once.
                let sql = format!("SELECT count(*) FROM users WHERE id = {id}");
                assert_eq!(f.number(&sql), Some(1));
            }
            Err(StoreError::Conflict("username")) => taken += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(taken, 1);
    let after = f.store.stats();
    assert_eq!(after.write_commands - before.write_commands, 5);
    assert_eq!(after.write_batches - before.write_batches, 1);
}

#[tokio::test]
async fn a_panic_rolls_back_its_own_and_the_writer_lives() {
    let f = fixture();
    let panicked = f
        .store
        .0
        .write("panicking", |c| {
            c.execute("DELETE FROM sqlite_sequence", [])?;
            c.execute(
                "INSERT INTO users (username, created_at, updated_at) VALUES ('gone', 1, 1)",
                [],
            )?;
            if c.is_autocommit() {
                return Ok(());
            }
            panic!("on purpose")
        })
        .await;
    assert!(matches!(panicked, Err(StoreError::Panicked("panicking"))));
    f.user("stays").await;
    assert_eq!(f.number("SELECT count(*) FROM users"), Some(1));
    let panicked = f
        .store
        .0
        .read("panicking", |c| {
            if c.is_autocommit() {
                panic!("on purpose");
            }
            Ok(())
        })
        .await;
    assert!(matches!(panicked, Err(StoreError::Panicked(_))));
    f.store.ready().await.expect("lives");
}

#[tokio::test]
async fn a_foreign_lock_is_waited_for_until_the_deadline_and_no_longer() {
    let f = fixture_with(impatient());
    let foreign = rusqlite::Connection::open(&f.path).expect("opens");
    foreign.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let start = Instant::now();
    let (one, other) = tokio::join!(
        f.store.create_user(new_user("one")),
        f.store.create_user(new_user("other")),
    );
    assert!(matches!(one, Err(StoreError::Unavailable(_))), "{one:?}");
    assert!(matches!(other, Err(StoreError::Unavailable(_))));
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(f.store.stats().write_refused, 2);
    // Reads go on.
    assert!(
        f.store
            .user_by_username("one")
            .await
            .expect("read")
            .is_none()
    );
    foreign.execute_batch("COMMIT").expect("let go");
    // What was refused has not been and will not be written.
    f.user("third").await;
    assert_eq!(f.number("SELECT count(*) FROM users"), Some(1));
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_the_write_behind() {
    let f = fixture();
    let foreign = rusqlite::Connection::open(&f.path).expect("opens");
    foreign.execute_batch("BEGIN IMMEDIATE").expect("locked");
    {
        let mut write = std::pin::pin!(f.store.create_user(new_user("left")));
        assert!(futures_util::poll!(&mut write).is_pending());
    }
    foreign.execute_batch("COMMIT").expect("let go");
    f.user("second").await;
    assert_eq!(f.number("SELECT count(*) FROM users"), Some(2));
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_recovers_by_itself() {
    let f = fixture();
    let user = f.user("anna").await;
    let limit = async |pages: i64| {
        f.store
            .0
            .write("limiting", move |c| {
                let sql = format!("PRAGMA max_page_count = {pages}");
                Ok(c.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
            })
            .await
            .expect("limited")
    };
    limit(1).await; // Rounded up to what there is.
    let (talk, _) = {
        let other = f.user("bert").await;
        f.store
            .create_conversation(user, vec![other], at(1))
            .await
            .expect("fits into the pages there are")
    };
    let long = "x".repeat(10_000);
    let mut refused = None;
    for n in 0..100 {
        let sent = f.store.send_message(user, talk, long.clone(), at(n)).await;
        if let Err(error) = sent {
            refused = Some(error);
            break;
        }
    }
    assert!(
        matches!(refused, Some(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(f.store.user(user).await.expect("reads go on").is_some());
    // A lone small write may still fit: it is not refused for another's sake.
    limit(1_000_000).await;
    let sent = f.store.send_message(user, talk, long, at(9)).await;
    assert!(sent.expect("there is room again").is_some());
    let ok: String = rusqlite::Connection::open(&f.path)
        .expect("opens")
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("checked");
    assert_eq!(ok, "ok");
}

#[tokio::test]
async fn a_thousand_writes_survive_closing_at_once() {
    let f = fixture();
    let tasks: Vec<_> = (0..1_000)
        .map(|n| {
            let store = f.store.clone();
            tokio::spawn(async move { store.create_user(new_user(&format!("user{n}"))).await })
        })
        .collect();
    tokio::task::yield_now().await;
    f.store.close().await;
    let mut written = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(_) => written += 1,
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    // One file is left, with every write that was acknowledged.
    assert_eq!(f.folder.path().read_dir().expect("a folder").count(), 1);
    assert_eq!(f.number("SELECT count(*) FROM users"), Some(written));
    f.store.close().await;
    assert!(matches!(
        f.store.create_user(new_user("late")).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        f.store.ready().await,
        Err(StoreError::Unavailable(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_writes_than_the_queue_holds_wait_their_time_and_none_is_lost() {
    let f = fixture_with(impatient());
    let foreign = rusqlite::Connection::open(&f.path).expect("opens");
    foreign.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let spawn = |count: usize| -> Vec<_> {
        (0..count)
            .map(|n| {
                let store = f.store.clone();
                tokio::spawn(async move { store.create_user(new_user(&format!("u{n}"))).await })
            })
            .collect()
    };
    let start = Instant::now();
    for task in spawn(6_000) {
        let refused = task.await.expect("no panic");
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    }
    // All at about the same time, not one deadline after the other.
    assert!(start.elapsed() < Duration::from_secs(5));
    foreign.execute_batch("COMMIT").expect("let go");
    f.user("after").await;
    assert_eq!(f.number("SELECT count(*) FROM users"), Some(1));
    // Where there is room and time, all go through.
    let mut written = 1;
    for task in spawn(6_000) {
        match task.await.expect("no panic") {
            Ok(_) => written += 1,
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(written > 1);
    assert_eq!(f.number("SELECT count(*) FROM users"), Some(written));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_test_clock_does_not_expire_a_write() {
    let f = fixture();
    let foreign = rusqlite::Connection::open(&f.path).expect("opens");
    foreign.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let mut write = std::pin::pin!(f.store.create_user(new_user("anna")));
    assert!(futures_util::poll!(&mut write).is_pending());
    // tokio's clock jumps over the deadline, the real one does not.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(futures_util::poll!(&mut write).is_pending());
    foreign.execute_batch("COMMIT").expect("let go");
    write.await.expect("written");
}

#[tokio::test]
async fn a_dropped_store_ends_its_threads_and_leaves_one_file() {
    let f = fixture();
    f.user("anna").await;
    let Fixture {
        store,
        path,
        folder,
    } = f;
    drop(store);
    let deadline = Instant::now() + Duration::from_secs(10);
    while folder.path().read_dir().expect("a folder").count() > 1 {
        assert!(Instant::now() < deadline, "the log is still there");
        std::thread::yield_now();
    }
    assert!(path.exists());
}

#[tokio::test]
async fn reads_are_refused_when_no_connection_becomes_free() {
    let f = fixture_with(Options {
        readers: 1,
        ..impatient()
    });
    let (release, held) = std::sync::mpsc::channel::<()>();
    let store = f.store.clone();
    let long = tokio::spawn(async move {
        let wait = move |_: &rusqlite::Connection| Ok(held.recv().is_ok());
        store.0.read("holding", wait).await
    });
    // Until it has the one connection.
    let refused = loop {
        match f.store.user_by_username("anna").await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Unavailable(_)));
    release.send(()).expect("it waits");
    assert!(long.await.expect("no panic").expect("read"));
    f.store.user_by_username("anna").await.expect("free again");
}
