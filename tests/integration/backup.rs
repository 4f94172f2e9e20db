//! `lastseen backup`: a copy beside a server, which is a database.

use crate::harness::process::{Serving, fail, succeed};
use crate::harness::server::read;
use crate::harness::{Http, Ingest, Server, soon};
use lastseen::model::Clock;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_beside_a_server_is_a_database_and_replaces_nothing() {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let logged = json!({ "action": "video_watched" });
    ann.http.post("/activities", logged).await.data(201);
    let directory = tempfile::tempdir().expect("a directory");
    let copy = directory.path().join("copy.db");
    let database = server.database.to_str().expect("text");
    let arguments = [
        "backup",
        copy.to_str().expect("text"),
        "--database",
        database,
    ];
    let report = succeed(&[&arguments[..], &["--json"]].concat(), "").await;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let size_bytes = std::fs::metadata(&copy).expect("there").len();
    assert_eq!(report, json!({ "file": copy, "bytes": size_bytes }));
    // Nothing else is left, and nobody else may read it.
    assert_eq!(directory.path().read_dir().expect("a folder").count(), 1);
    let permissions = std::fs::metadata(&copy).expect("there").permissions();
    let mode = std::os::unix::fs::PermissionsExt::mode(&permissions);
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(read::<String>(&copy, "PRAGMA integrity_check"), "ok");
    assert_eq!(read::<i64>(&copy, "PRAGMA auto_vacuum"), 2);
    let before = std::fs::read(&copy).expect("there");
    let line = fail(&arguments).await;
    assert!(line.contains("is there already"), "{line}");
    assert_eq!(std::fs::read(&copy).expect("there"), before);
    // A server serves it.
    let mut other = soon(
        "a server on the copy",
        Server::on(&copy, Clock::system(), |_| {}),
    )
    .await
    .expect("a server");
    let rows: i64 = other.read("SELECT count(*) FROM user_activity_logs");
    assert_eq!(rows, 1);
    other.stop().await;
    // Without a database there is nothing to copy.
    let missing = directory.path().join("missing.db");
    let nowhere = directory.path().join("nowhere.db");
    let missing = missing.to_str().expect("text");
    fail(&[
        "backup",
        nowhere.to_str().expect("text"),
        "--database",
        missing,
    ])
    .await;
    assert!(!nowhere.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_ingest_it_holds_all_that_was_acknowledged_before_and_whole_batches_only() {
    const SIZE: usize = 7;
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("lastseen.db");
    let file = database.to_str().expect("text");
    let on = ["--database", file];
    let users = [&["import", "users", "-", "--format", "csv"][..], &on].concat();
    succeed(&users, "username\ndora\n").await;
    let create = ["token", "create", "--role", "service", "--name", "ingest"];
    let key = succeed(&[&create[..], &on].concat(), "").await;
    let serving = Serving::start(&database, &[]).await;
    let ingest = Ingest::start(Http::new(serving.address, key.trim()), "dora", SIZE);
    ingest.more_than(20 * SIZE).await;
    for round in 0..5 {
        let copy = directory.path().join(format!("copy-{round}.db"));
        let before = ingest.acknowledged();
        succeed(
            &[&["backup", copy.to_str().expect("text")][..], &on].concat(),
            "",
        )
        .await;
        let after = ingest.acknowledged().len();
        assert!(after > before.len(), "it wrote all the while");
        assert_eq!(read::<String>(&copy, "PRAGMA integrity_check"), "ok");
        let ids: String = read(
            &copy,
            "SELECT group_concat(lower(hex(id))) FROM user_activity_logs",
        );
        let ids: BTreeSet<_> = ids.split(',').collect();
        let missing = before.iter().filter(|row| !ids.contains(&row.id[..]));
        assert_eq!(missing.count(), 0, "round {round}");
        let torn = format!(
            "SELECT count(*) FROM (SELECT 1 FROM user_activity_logs \
             GROUP BY json_extract(metadata, '$.batch') HAVING count(*) <> {SIZE})"
        );
        assert_eq!(read::<i64>(&copy, &torn), 0, "round {round}");
        let counted = "SELECT live FROM activity_counts WHERE user_id = 0 AND action = ''";
        let rows = i64::try_from(ids.len()).expect("few");
        assert_eq!(read::<i64>(&copy, counted), rows, "round {round}");
        ingest.more_than(after).await;
    }
    ingest.stop().await;
    serving.signal("TERM");
    let (code, log) = serving.end().await;
    assert_eq!(code, Some(0), "{log}");
}
