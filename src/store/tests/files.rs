//! Which files are opened and which are refused, and that those stay as they were.

use crate::store::sqlite::testing::*;
use crate::store::*;
use std::fs;
use std::path::Path;

fn refused(path: &Path, options: Options) -> StoreError {
    let before = fs::read(path).ok();
    let beside = |path: &Path| {
        let mut names: Vec<_> = path
            .parent()
            .expect("a folder")
            .read_dir()
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        names
    };
    let files = beside(path);
    let Err(error) = Store::open(path, options) else {
        panic!("{} was opened", path.display());
    };
    assert_eq!(fs::read(path).ok(), before, "the file is untouched");
    assert_eq!(beside(path), files, "nothing is left beside it");
    error
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_untouched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);

    assert!(matches!(
        refused(&path("none.db"), Options::default()),
        StoreError::Missing(_)
    ));
    fs::write(
        path("text.db"),
        "this is no database, but long enough to be looked at ".repeat(50),
    )
    .expect("written");
    assert!(matches!(
        refused(&path("text.db"), options()),
        StoreError::Foreign(_)
    ));
    fs::write(path("short.db"), "x").expect("written");
    assert!(matches!(
        refused(&path("short.db"), options()),
        StoreError::Foreign(_)
    ));
    for journal in ["DELETE", "WAL"] {
        let path = path(&format!("foreign-{journal}.db"));
        let foreign = rusqlite::Connection::open(&path).expect("opens");
        foreign
            .query_row(&format!("PRAGMA journal_mode = {journal}"), [], |_| Ok(()))
            .expect("set");
        foreign
            .execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY)")
            .expect("a table");
        drop(foreign);
        assert!(matches!(refused(&path, options()), StoreError::Foreign(_)));
    }
    let other = rusqlite::Connection::open(path("other.db")).expect("opens");
    other
        .execute_batch("PRAGMA application_id = 7")
        .expect("set");
    drop(other);
    assert!(matches!(
        refused(&path("other.db"), options()),
        StoreError::Foreign(_)
    ));
    assert!(matches!(
        refused(folder.path(), options()),
        StoreError::Unusable { .. }
    ));
}

#[tokio::test]
async fn newer_older_and_damaged_ones_are_refused_and_untouched() {
    let f = fixture();
    f.user("anna").await;
    f.store.close().await;
    let whole = fs::read(&f.path).expect("read");
    let set_version = |version: i64| {
        fs::write(&f.path, &whole).expect("written");
        rusqlite::Connection::open(&f.path)
            .expect("opens")
            .execute_batch(&format!("PRAGMA user_version = {version}"))
            .expect("set");
    };
    set_version(99);
    assert!(matches!(
        refused(&f.path, options()),
        StoreError::Newer { found: 99, .. }
    ));
    assert!(matches!(
        migrate::status(&f.path),
        Err(StoreError::Newer { .. })
    ));
    set_version(2);
    for read_only in [false, true] {
        let options = Options {
            read_only,
            ..Options::default()
        };
        assert!(matches!(refused(&f.path, options), StoreError::Outdated(_)));
    }
    // Garbage behind a valid header; garbage in a later page; half a file.
    let mut damaged = whole.clone();
    damaged[100..4_096].fill(0xA5);
    let mut late = whole.clone();
    late[4_096 * 3..4_096 * 5].fill(0xA5);
    for bytes in [&damaged[..], &late[..], &whole[..4_096 * 4]] {
        fs::write(&f.path, bytes).expect("written");
        let error = refused(&f.path, options());
        assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
        assert!(!error.to_string().contains('\n'));
    }
    fs::write(&f.path, &whole).expect("written");
    let again = Store::open(&f.path, Options::default()).expect("whole again");
    assert!(
        again
            .user_by_username("anna")
            .await
            .expect("read")
            .is_some()
    );
}

#[tokio::test]
async fn new_files_are_private_incremental_and_ours() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("empty.db");
    fs::write(&path, "").expect("written");
    assert!(matches!(
        refused(&path, Options::default()),
        StoreError::Foreign(_)
    ));
    // Empty counts as new; it had its mode before.
    Store::open(&path, options()).expect("opens").close().await;

    let f = fixture();
    f.user("anna").await;
    #[cfg(unix)]
    for entry in f.folder.path().read_dir().expect("a folder") {
        use std::os::unix::fs::PermissionsExt;
        let metadata = entry.expect("an entry").metadata().expect("metadata");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(f.number("PRAGMA auto_vacuum"), Some(2));
    assert_eq!(
        f.number("PRAGMA application_id"),
        Some(crate::store::sqlite::open::APPLICATION_ID)
    );
    let wal: String = rusqlite::Connection::open(&f.path)
        .expect("opens")
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .expect("a row");
    assert_eq!(wal, "wal");
}

#[tokio::test]
async fn a_reading_store_stands_beside_a_writing_one() {
    let f = fixture();
    let reader = Store::open(
        &f.path,
        Options {
            read_only: true,
            ..Options::default()
        },
    )
    .expect("opens");
    assert!(reader.is_read_only() && !f.store.is_read_only());
    f.user("anna").await;
    assert!(
        reader
            .user_by_username("anna")
            .await
            .expect("read")
            .is_some()
    );
    assert!(matches!(
        reader.create_user(new_user("bert")).await,
        Err(StoreError::Unavailable(_))
    ));
    reader.ready().await.expect("ready");
}

#[tokio::test]
async fn marks_of_commands_reach_the_server_and_its_own_do_not() {
    let f = fixture();
    let user = f.user("anna").await;
    let command = Store::open(&f.path, Options::default()).expect("opens");
    let start = f.store.newest_change().await.expect("read");
    assert!(
        f.store
            .poll_changes(start)
            .await
            .expect("polled")
            .is_empty()
    );
    // The server's own change leaves none.
    f.store
        .update_user(user, UserChange::default())
        .await
        .expect("changed");
    assert!(
        f.store
            .poll_changes(start)
            .await
            .expect("polled")
            .is_empty()
    );
    command
        .update_user(user, UserChange::default())
        .await
        .expect("changed");
    command
        .create_api_key("app", crate::model::KeyRole::Admin, [1; 32], at(1))
        .await
        .expect("made");
    command.delete_user(user).await.expect("erased");
    let marks = f.store.poll_changes(start).await.expect("polled");
    let changes: Vec<_> = marks.iter().map(|(_, change)| change.clone()).collect();
    assert_eq!(
        changes,
        [Change::User(user), Change::Keys, Change::UserErased(user)]
    );
    let last = marks.last().expect("some").0;
    assert!(f.store.poll_changes(last).await.expect("polled").is_empty());
    // Whoever missed some is told that everything may have changed.
    f.store
        .0
        .write("forgetting", |c| {
            Ok(c.execute("DELETE FROM changes WHERE id < ?1", [3])?)
        })
        .await
        .expect("deleted");
    let missed = f.store.poll_changes(0).await.expect("polled");
    assert_eq!(missed[0].1, Change::Graph);
    assert_eq!(missed[2].1, Change::UserErased(user));
}

/// Root may write anything: run by root, this says nothing.
#[cfg(unix)]
#[tokio::test]
async fn a_read_only_file_serves_reads_if_its_schema_is_current() {
    use std::os::unix::fs::PermissionsExt;
    let f = fixture();
    f.user("anna").await;
    f.store.close().await;
    let whole = fs::read(&f.path).expect("read");
    let set_mode = |mode| {
        fs::set_permissions(&f.path, fs::Permissions::from_mode(mode)).expect("set");
    };
    set_mode(0o400);
    if fs::OpenOptions::new().append(true).open(&f.path).is_ok() {
        return;
    }
    let store = Store::open(&f.path, options()).expect("opens");
    assert!(store.is_read_only());
    store.ready().await.expect("ready");
    assert!(
        store
            .user_by_username("anna")
            .await
            .expect("read")
            .is_some()
    );
    assert!(matches!(
        store.create_user(new_user("bert")).await,
        Err(StoreError::Unavailable(_))
    ));
    store.close().await;
    // Writable again, it is written again, whatever mode the files beside it were left with.
    set_mode(0o600);
    let store = Store::open(&f.path, options()).expect("opens");
    store.create_user(new_user("bert")).await.expect("created");
    store.close().await;
    fs::write(&f.path, &whole).expect("written");
    rusqlite::Connection::open(&f.path)
        .expect("opens")
        .execute_batch("PRAGMA user_version = 2")
        .expect("set");
    set_mode(0o400);
    assert!(matches!(
        Store::open(&f.path, options()).err(),
        Some(StoreError::Unusable { .. })
    ));
}
