//! The program that is measured: its server, and its commands beside it.

use super::super::target::loopback;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a server may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, and the database that it works on.
pub struct Program {
    pub binary: PathBuf,
    pub database: PathBuf,
}

impl Program {
    /// A command on the database, with nothing of this process's environment that could change its settings. It ends with
    /// whoever holds it.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LASTSEEN_")) {
            command.env_remove(name);
        }
        command
            .args(words)
            .arg("--database")
            .arg(&self.database)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end; what it printed.
    pub async fn run(&self, words: &[&str]) -> Result<String> {
        let output = self.command(words).output().await;
        let output = output.with_context(|| self.binary.display().to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{}: {}",
            words.join(" "),
            said.trim()
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs a command that reports in JSON, and reads one of its numbers.
    pub async fn number(&self, words: &[&str], key: &str) -> Result<u64> {
        let report: Value = serde_json::from_str(&self.run(words).await?)?;
        let number = report[key].as_u64();
        number.with_context(|| format!("{}: no {key} in {report}", words.join(" ")))
    }

    /// Starts a server on a free port.
    pub async fn serve(&self) -> Result<Server> {
        let mut child = self
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| self.binary.display().to_string())?;
        let stderr = child.stderr.take().context("standard error is a pipe")?;
        let mut lines = BufReader::new(stderr).lines();
        let starting = async {
            let mut last = String::new();
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = address(&line)? {
                    return Ok(address);
                }
                last = line;
            }
            bail!("the server did not start: {last}");
        };
        let address = tokio::time::timeout(PATIENCE, starting)
            .await
            .context("the server says no address")??;
        // Somebody has to read what it logs, or it would wait.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Server { address, child })
    }
}

/// The address in the line that tells of it.
fn address(line: &str) -> Result<Option<SocketAddr>> {
    let Some((_, rest)) = line.split_once("listening on ") else {
        return Ok(None);
    };
    let url = rest.split_whitespace().next().unwrap_or_default();
    loopback(url).map(Some)
}

/// A server, killed when it is dropped without having been stopped.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
}

impl Server {
    /// Asks it to stop, and waits for that.
    pub async fn stop(mut self) -> Result<()> {
        let id = self.child.id().context("the server has ended by itself")?;
        let words = ["-s", "TERM", &id.to_string()];
        let asked = Command::new("kill").args(words).status().await?;
        ensure!(asked.success(), "the server cannot be asked to stop");
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.context("the server does not stop")??;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

/// The write-ahead log of a database.
pub fn wal_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_log() {
        let line =
            "2026-01-02T03:04:05Z  INFO lastseen: listening on http://127.0.0.1:8080 (pid 7)";
        let expected = "127.0.0.1:8080".parse().expect("an address");
        assert_eq!(address(line).expect("one"), Some(expected));
        assert_eq!(address("migrated").expect("none"), None);
        assert!(address("listening on http://192.0.2.1:80").is_err());
    }

    #[test]
    fn the_log_is_beside_the_database() {
        assert_eq!(wal_of(Path::new("a/b.db")), Path::new("a/b.db-wal"));
    }
}
