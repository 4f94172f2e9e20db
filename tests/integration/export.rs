//! `lastseen export`, the program itself.

use super::harness::process::{command, fail, run, succeed};
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;

/// A database with users who have done something, and room for files.
struct Place {
    folder: TempDir,
}

impl Place {
    async fn new(users: usize) -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let names: String = (0..users).map(|n| format!("user{n}\n")).collect();
        let names = format!("username\n{names}");
        place
            .succeed(&["import", "users", "-", "--format=csv"], &names)
            .await;
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    async fn succeed(&self, arguments: &[&str], input: &str) -> String {
        let database = self.text("test.db");
        let all = [arguments, &["--database", &database]].concat();
        succeed(&all, input).await
    }

    fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).expect("a folder");
        let names = files.map(|file| file.expect("a file").file_name());
        let names = names.map(|name| name.into_string().expect("text"));
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("test.db")).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn to_a_file_and_to_standard_output() {
    let place = Place::new(2).await;
    let expected = "id,externalId,username,displayName,email,bio,profilePictureUrl\n\
        1,,user0,,,,\n2,,user1,,,,\n";
    for arguments in [&["export", "users"][..], &["export", "users", "-"]] {
        assert_eq!(place.succeed(arguments, "").await, expected);
    }
    let file = place.text("users.csv");
    let report = place
        .succeed(&["export", "users", &file, "--json"], "")
        .await;
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report, serde_json::json!({"kind": "users", "rows": 2}));
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), expected);
    let lines = place.text("users.ndjson");
    let said = place.succeed(&["export", "users", &lines], "").await;
    assert!(said.starts_with("exported 2 users to "), "{said}");
    assert_eq!(place.files(), ["users.csv", "users.ndjson"]);
    // As it came out, so it goes in.
    let said = place
        .succeed(&["import", "users", &lines, "--json"], "")
        .await;
    assert!(said.contains("\"unchanged\":2"), "{said}");

    // The report keeps out of the rows' way.
    let database = place.text("test.db");
    let all = [
        "export",
        "follows",
        "--json",
        "--format=jsonl",
        "--database",
        &database,
    ];
    let output = run(&all, "").await;
    assert!(output.status.success());
    assert!(output.stdout.is_empty());
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(stderr, "{\"kind\":\"follows\",\"rows\":0}\n");
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let place = Place::new(1).await;
    let database = place.text("test.db");
    let there = place.text("there.csv");
    std::fs::write(&there, "precious").expect("written");
    let said = fail(&["export", "users", &there, "--database", &database]).await;
    assert!(said.contains("exists already"), "{said}");
    assert_eq!(std::fs::read_to_string(&there).expect("a file"), "precious");

    let nowhere = place.text("no/users.csv");
    let said = fail(&["export", "users", &nowhere, "--database", &database]).await;
    assert!(said.contains("check the path"), "{said}");
    let missing = place.text("missing.db");
    let new = place.text("new.csv");
    let said = fail(&["export", "users", &new, "--database", &missing]).await;
    assert!(said.contains("does not exist"), "{said}");
    assert_eq!(place.files(), ["there.csv"]);

    for usage in [
        &["export", "users", "users.txt"][..],
        &["export", "messages"],
        &["export", "users", "--format=xml"],
        &["export"],
    ] {
        let output = run(usage, "").await;
        assert_eq!(output.status.code(), Some(2), "{usage:?}");
    }
}

#[tokio::test]
async fn a_reader_who_has_seen_enough_is_no_failure() {
    // More than a pipe holds, so that the export is still writing when its reader goes.
    let place = Place::new(20_000).await;
    let database = place.text("test.db");
    let mut child = command(&["export", "users", "--database", &database])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    drop(child.stdout.take());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = ended.await.expect("no panic").expect("its end");
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""));
}
