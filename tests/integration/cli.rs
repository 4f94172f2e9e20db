//! The command line as a whole: every command's help, exit statuses, what goes to which output, and readers that go.

use crate::harness::process::{self, fail, run, succeed};
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

/// Every command with those in it, as words.
fn commands() -> Vec<Vec<String>> {
    fn add(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        all.push(words.to_vec());
        for inner in command.get_subcommands() {
            add(
                inner,
                &[words, &[inner.get_name().to_owned()]].concat(),
                all,
            );
        }
    }
    let mut all = Vec::new();
    add(&lastseen::cli::command(), &[], &mut all);
    assert!(all.len() > 15, "{all:?}");
    all
}

/// A command on a database in a folder of the test's own.
struct Place(tempfile::TempDir);

impl Place {
    /// With ann, who has no password, and a key.
    async fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a directory"));
        place.succeed(&["user", "add", "ann"]).await;
        let key = ["token", "create", "--role", "service", "--name", "backend"];
        place.succeed(&key).await;
        place
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        path.to_str().expect("text").to_owned()
    }

    fn with<'a>(&self, arguments: &[&'a str], database: &'a str) -> Vec<&'a str> {
        [arguments, &["--database", database]].concat()
    }

    async fn succeed(&self, arguments: &[&str]) -> String {
        let database = self.path("lastseen.db");
        succeed(&self.with(arguments, &database), "").await
    }

    async fn fail(&self, arguments: &[&str]) -> String {
        let database = self.path("lastseen.db");
        fail(&self.with(arguments, &database)).await
    }
}

#[tokio::test]
async fn every_command_has_help_on_standard_output_and_refuses_an_unknown_flag() {
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let help = succeed(&[&words[..], &["--help"]].concat(), "").await;
        assert!(help.contains("Usage: lastseen"), "{words:?}: {help}");
        assert!(help.contains("Examples:\n  "), "{words:?}: {help}");
        let output = run(&[&words[..], &["--no-such-flag"]].concat(), "").await;
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{words:?}");
        assert!(stderr.contains("--no-such-flag"), "{words:?}: {stderr}");
    }
}

#[tokio::test]
async fn a_usage_error_found_late_shows_the_usage_of_its_command() {
    let place = Place::new().await;
    for (arguments, shown) in [
        (&["prune"][..], "Usage: lastseen prune"),
        (&["import", "users", "a.txt"], "Usage: lastseen import"),
        (
            &["import", "users", "a.csv", "--restore"],
            "Usage: lastseen import",
        ),
        (&["export", "users", "a.txt"], "Usage: lastseen export"),
    ] {
        let database = place.path("lastseen.db");
        let output = run(&place.with(arguments, &database), "").await;
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(shown), "{arguments:?}: {stderr}");
    }
}

#[tokio::test]
async fn a_failure_says_what_to_do_next() {
    let place = Place::new().await;
    for (arguments, advice) in [
        (&["user", "show", "zed"][..], "lastseen user list"),
        (&["user", "set-role", "zed", "admin"], "lastseen user list"),
        (&["user", "add", "ann"], "choose another"),
        (
            &["user", "add", "bea", "--email", "nowhere"],
            "give another value",
        ),
        (&["user", "set-password", "ann"], "--password-stdin"),
        (&["user", "delete", "ann"], "--yes"),
        (&["token", "revoke", "zed"], "lastseen token list"),
        (
            &["token", "create", "--role", "admin", "--name", ""],
            "choose another",
        ),
        (&["import", "users", "no such file.csv"], "check the path"),
        (
            &["export", "users", "/no such directory/a.csv"],
            "check the path",
        ),
        (
            &["backup", "/no such directory/a.db"],
            "check its directory",
        ),
    ] {
        let line = place.fail(arguments).await;
        assert!(line.contains(advice), "{arguments:?}: {line}");
    }
}

#[tokio::test]
async fn no_database_a_foreign_one_and_no_directory_are_told_apart_by_every_command() {
    let place = Place::new().await;
    let foreign = place.path("foreign.db");
    std::fs::write(&foreign, "this is no database, but it is long enough").expect("written");
    let missing = place.path("missing.db");
    let nowhere = place.path("no such directory/lastseen.db");
    let copy = place.path("copy.db");
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for (arguments, makes_one) in [
        (&serve[..], true),
        (&["migrate"], true),
        (&["user", "add", "bea"], true),
        (&["user", "list"], false),
        (&["token", "list"], false),
        (&["export", "users"], false),
        (&["prune", "--older-than", "90d"], false),
        (&["backup", copy.as_str()], false),
    ] {
        let line = fail(&place.with(arguments, &foreign)).await;
        assert!(
            line.contains("not a lastseen database; give another file"),
            "{line}"
        );
        let line = fail(&place.with(arguments, &nowhere)).await;
        assert!(
            line.contains("directory that does not exist; make "),
            "{line}"
        );
        if !makes_one {
            let line = fail(&place.with(arguments, &missing)).await;
            assert!(line.contains("`lastseen migrate` creates it"), "{line}");
        }
        assert!(!Path::new(&missing).exists() && !Path::new(&copy).exists());
    }
}

#[tokio::test]
async fn whatever_reports_does_so_in_json_too() {
    let place = Place::new().await;
    let users = place.path("users.csv");
    for arguments in [
        &["migrate"][..],
        &["migrate", "status"],
        &["user", "add", "bea"],
        &["user", "list"],
        &["user", "show", "bea"],
        &["user", "set-role", "bea", "admin"],
        &["user", "delete", "bea", "--yes"],
        &["token", "create", "--role", "admin", "--name", "me"],
        &["token", "list"],
        &["token", "revoke", "me"],
        &["export", "users", &users],
        &["import", "users", &users],
        &["prune", "--older-than", "90d"],
        &["backup", &place.path("copy.db")],
    ] {
        let text = place.succeed(&[arguments, &["--json"]].concat()).await;
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        assert!(
            value.is_object() || value.is_array(),
            "{arguments:?}: {text}"
        );
    }
    let database = place.path("lastseen.db");
    let arguments = ["user", "set-password", "ann", "--password-stdin", "--json"];
    let text = succeed(&place.with(&arguments, &database), "a long password\n").await;
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&value["username"], &value["signInsEnded"]),
        (&"ann".into(), &0.into())
    );
    let pages = place.path("pages");
    let text = succeed(&["man", &pages, "--json"], "").await;
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let files = value["files"].as_array().expect("a list");
    assert_eq!(files.len(), commands().len());
    assert_eq!(
        Path::new(&pages).read_dir().expect("there").count(),
        files.len()
    );
}

/// Runs a command whose standard output is closed before it writes; its exit status and standard error.
fn unread(arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = process::command(arguments)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut text = String::new();
    let mut stderr = child.stderr.take().expect("piped");
    stderr.read_to_string(&mut text).expect("text");
    (child.wait().expect("its end").code(), text)
}

#[tokio::test]
async fn a_reader_that_goes_is_no_failure() {
    let place = Place::new().await;
    let database = place.path("lastseen.db");
    let mut all: Vec<Vec<&str>> = vec![
        vec!["--help"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["serve", "--print-config"],
        vec!["demo", "--listen", "127.0.0.1:0", "--users", "10"],
    ];
    for arguments in [
        &["user", "list"][..],
        &["token", "list"],
        &["export", "users"],
        &["migrate", "status"],
        &["prune", "--older-than", "90d", "--dry-run"],
    ] {
        all.push(place.with(arguments, &database));
    }
    for arguments in all {
        assert_eq!(
            unread(&arguments),
            (Some(0), String::new()),
            "{arguments:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_behind_standard_output_is_one_line() {
    let place = Place::new().await;
    let database = place.path("lastseen.db");
    let list = place.with(&["user", "list"], &database);
    for arguments in [&["completions", "zsh"][..], &["man"], &list] {
        let full = std::fs::File::create("/dev/full").expect("there");
        let output = process::command(arguments).stdout(full).output();
        let output = output.expect("its end");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(
            stderr.starts_with("lastseen: cannot write to standard output"),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn a_shell_takes_its_completions() {
    let script = succeed(&["completions", "bash"], "").await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("lastseen.bash");
    std::fs::write(&file, &script).expect("written");
    // As bash asks when a person presses Tab after "lastseen user s".
    let ask = "source \"$1\"; COMP_WORDS=(lastseen user s); COMP_CWORD=2; \
               _lastseen lastseen s user; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", ask, "bash"])
        .arg(&file)
        .output()
        .expect("bash runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let words = String::from_utf8(output.stdout).expect("text");
    let mut words: Vec<&str> = words.lines().collect();
    words.sort_unstable();
    assert_eq!(words, ["set-password", "set-role", "show"], "{stderr}");
}
