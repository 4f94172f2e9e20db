//! The program itself.

use super::{DEADLINE, server::is_held, soon};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

/// `lastseen` with these arguments and nothing of this process's environment that could change its settings.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lastseen"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LASTSEEN_")) {
        command.env_remove(name);
    }
    command.args(arguments).env("NO_COLOR", "1");
    command
}

/// Runs a command to its end, with this on its standard input.
pub async fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = command(arguments);
    let input = input.to_owned();
    let running = tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that refuses does not read it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("its end")
    });
    soon(&format!("{arguments:?} to end"), running)
        .await
        .expect("no panic")
}

/// Runs a command that must succeed; its output.
pub async fn succeed(arguments: &[&str], input: &str) -> String {
    let output = run(arguments, input).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs a command that must fail with exit status 1 and one line on standard error; that line.
pub async fn fail(arguments: &[&str]) -> String {
    let output = run(arguments, "").await;
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("lastseen: "), "{stderr}");
    stderr
}

/// `lastseen serve` in a process of its own; killed when dropped.
pub struct Serving {
    pub address: SocketAddr,
    child: Child,
    /// What it logged and has been read.
    first: Vec<String>,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Serving {
    /// On a free port, with short settings.
    pub async fn start(database: &Path, arguments: &[&str]) -> Self {
        let database = database.to_str().expect("text");
        let mut all = vec!["serve", "--listen", "127.0.0.1:0", "--database", database];
        all.extend(arguments);
        let mut command = tokio::process::Command::from(command(&all));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut first = Vec::new();
        let address = soon("the line with the address", async {
            loop {
                let line = lines.next_line().await.expect("text");
                let line = line.unwrap_or_else(|| panic!("ended: {first:#?}"));
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let url = rest.split_whitespace().next().expect("an address");
                    let (scheme, address) = url.split_once("://").expect("a URL");
                    assert!(["http", "https"].contains(&scheme), "{line}");
                    first.push(line.clone());
                    return address.parse().expect("an address");
                }
                first.push(line);
            }
        })
        .await;
        Self {
            address,
            child,
            first,
            lines,
        }
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().expect("running").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// A line of its log that has been read.
    pub fn logged(&self, text: &str) -> String {
        let mut lines = self.first.iter();
        let line = lines.find(|line| line.contains(text));
        line.unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.first))
            .clone()
    }

    /// Waits for a line in its log.
    pub async fn logs(&mut self, text: &str) -> String {
        soon(&format!("{text:?} in the log"), async {
            loop {
                let line = self.lines.next_line().await.expect("text");
                let line = line.unwrap_or_else(|| panic!("ended: {:#?}", self.first));
                self.first.push(line.clone());
                if line.contains(text) {
                    return line;
                }
            }
        })
        .await
    }

    /// Kills it, and waits until nobody holds the database any more.
    pub async fn kill(mut self, database: &Path) {
        self.child.kill().await.expect("killed");
        assert!(!is_held(database), "the lock goes with the process");
    }

    /// Waits for its end; its exit status and what it logged.
    pub async fn end(mut self) -> (Option<i32>, String) {
        let mut log = self.first.join("\n") + "\n";
        let reading = async {
            while let Ok(Some(line)) = self.lines.next_line().await {
                log += &line;
                log.push('\n');
            }
            self.child.wait().await.expect("its end")
        };
        let status = tokio::time::timeout(DEADLINE + Duration::from_secs(5), reading).await;
        let code = status.expect("an end").code();
        (code, log)
    }
}
