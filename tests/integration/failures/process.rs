//! What keeps the program from starting: one line, exit status 1, and files as they were.

use crate::harness::Server;
use crate::harness::process::{Serving, fail};
use lastseen::model::Clock;
use std::path::{Path, PathBuf};

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// `serve` with this database; the line it fails with.
async fn refused(database: &Path, more: &[&str]) -> String {
    let mut all = vec![
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--database",
        text(database),
    ];
    all.extend(more);
    fail(&all).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_a_file_or_a_port_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("lastseen.db");
    let serving = Serving::start(&database, &[]).await;
    let line = refused(&database, &[]).await;
    assert!(line.contains(text(&database)), "{line}");
    // By another name it is the same file.
    let link = directory.path().join("link.db");
    std::os::unix::fs::symlink(&database, &link).expect("a link");
    refused(&link, &[]).await;
    let other = directory.path().join("other.db");
    let address = serving.address.to_string();
    let line = fail(&["serve", "--listen", &address, "--database", text(&other)]).await;
    assert!(line.contains(&address), "{line}");
    // The first one is not concerned.
    let http = crate::harness::Http::new(serving.address, "");
    assert_eq!(http.get("/readyz").await.status, 200);
    serving.signal("INT");
    assert_eq!(serving.end().await.0, Some(0));
    // And after it there may be another.
    let again = Serving::start(&database, &[]).await;
    again.signal("TERM");
    assert_eq!(again.end().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_wrong_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("lastseen.db");
    let config = directory.path().join("lastseen.toml");
    let with = async |content: &str| {
        std::fs::write(&config, content).expect("written");
        refused(&database, &["--config", text(&config)]).await
    };
    for (content, names) in [
        ("ofline_grace = \"5s\"\n", "ofline_grace"),
        ("offline_grace = \"5 parsecs\"\n", "offline_grace"),
        ("offline_grace = 5s\n", "lastseen.toml"),
        ("max_connections = -1\n", "max_connections"),
    ] {
        let line = with(content).await;
        assert!(line.contains(names), "{content}: {line}");
        assert!(line.contains(text(&config)), "{content}: {line}");
    }
    let missing = directory.path().join("missing.toml");
    let line = refused(&database, &["--config", text(&missing)]).await;
    assert!(line.contains("missing.toml"), "{line}");
    let secret = directory.path().join("secret");
    let line = refused(&database, &["--jwt-secret-file", text(&secret)]).await;
    assert!(line.contains(text(&secret)), "{line}");
    let places = directory.path().join("places.mmdb");
    for content in [None, Some("no database")] {
        if let Some(content) = content {
            std::fs::write(&places, content).expect("written");
        }
        let line = refused(&database, &["--geoip", text(&places)]).await;
        assert!(line.contains(text(&places)), "{line}");
    }
    assert!(!database.exists(), "nothing was made");
    // A secret that others may read is a warning.
    std::fs::write(&secret, "a secret of at least thirty-two bytes").expect("written");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&secret, open).expect("permitted");
    let serving = Serving::start(&database, &["--jwt-secret-file", text(&secret)]).await;
    serving.signal("TERM");
    let (status, log) = serving.end().await;
    assert_eq!(status, Some(0));
    let warned = log
        .lines()
        .any(|line| line.contains("WARN") && line.contains(text(&secret)));
    assert!(warned, "{log}");
    assert!(!log.contains("thirty-two"), "{log}");
}

/// Files that are no database of ours, or not one that can be used.
async fn unusable(directory: &Path) -> Vec<(PathBuf, &'static str)> {
    let foreign = directory.join("foreign.db");
    let connection = rusqlite::Connection::open(&foreign).expect("a database");
    connection
        .execute_batch("CREATE TABLE t (x)")
        .expect("a table");
    drop(connection);
    let prose = directory.join("prose.db");
    std::fs::write(&prose, "Dear diary, ".repeat(500)).expect("written");
    let newer = directory.join("newer.db");
    let make = async |path: &Path| {
        let mut server = Server::on(path, Clock::system(), |_| {})
            .await
            .expect("new");
        server.user("ann").await;
        server.stop().await;
    };
    make(&newer).await;
    let connection = rusqlite::Connection::open(&newer).expect("a database");
    connection
        .pragma_update(None, "user_version", 999)
        .expect("a version");
    let left = "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE";
    connection.execute_batch(left).expect("all in one file");
    drop(connection);
    let corrupt = directory.join("corrupt.db");
    make(&corrupt).await;
    let connection = rusqlite::Connection::open(&corrupt).expect("a database");
    connection.execute_batch(left).expect("all in one file");
    drop(connection);
    let mut bytes = std::fs::read(&corrupt).expect("read");
    let half = bytes.len() / 2;
    // The header stays; what comes after is nonsense.
    bytes[4096..half].fill(0x5a);
    std::fs::write(&corrupt, bytes).expect("written");
    vec![
        (foreign, "foreign.db"),
        (prose, "prose.db"),
        (newer, "newer"),
        (corrupt, "corrupt.db"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_ours_stays_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let databases = unusable(directory.path()).await;
    let listing = || {
        let files = std::fs::read_dir(directory.path()).expect("files");
        let mut names: Vec<_> = files
            .map(|file| file.expect("a file").file_name())
            .collect();
        names.sort();
        names
    };
    for (database, names) in databases {
        let before = std::fs::read(&database).expect("read");
        for command in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["migrate"],
            &["user", "list"],
            &["user", "add", "bob"],
        ] {
            let mut all = command.to_vec();
            all.extend(["--database", text(&database)]);
            let line = fail(&all).await;
            assert!(line.contains(names), "{command:?}: {line}");
            assert_eq!(
                std::fs::read(&database).expect("read"),
                before,
                "{command:?} {line}"
            );
        }
    }
    let left = listing();
    let beside = left.iter().filter(|name| {
        let name = name.to_string_lossy();
        name.ends_with("-wal") || name.ends_with("-shm") || name.ends_with("-journal")
    });
    assert_eq!(beside.count(), 0, "{left:?}");
}
