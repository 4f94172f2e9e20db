//! `contention`: how long durable writes take while something else is at work on the same database.

mod figures;
mod program;

use anyhow::{Context, Result, bail, ensure};
use figures::{Figures, Measured, table};
use program::{Program, wal_of};
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;

/// Between two looks at the size of the log.
const LOOK: Duration = Duration::from_millis(20);

/// Writes of each writer before anything is measured.
const WARM_UP: u32 = 20;

/// Options of `contention`.
#[derive(clap::Args)]
#[command(
    after_help = "Each writer keeps one connection and posts one activity at a time, of itself and of now, and waits for the answer: a stall counts once for each writer. Writes last as long as the other command; alone, and beside an export, as long as --seconds.\n\nEach time there is a new server, so that the size of the write-ahead log is of this time.\n\nThe database is changed: activities are added and removed. It must hold the people that `load history` makes."
)]
pub struct Args {
    /// The program
    #[arg(long, value_name = "PATH", default_value = "lastseen")]
    lastseen: PathBuf,
    /// A database that is there, and that nobody serves; it will be changed
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// Activities to import, which are not in it yet; without it there is no import
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// What prune removes
    #[arg(long, value_name = "AGE", default_value = "45d")]
    older_than: String,
    /// Writers at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..1000))]
    writers: u32,
    /// How long to write alone, and beside backups and an export
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How much of the export is read in a second, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 1_024, value_parser = clap::value_parser!(u64).range(16..))]
    export_rate: u64,
    /// As JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Writes alone and then beside each command, and reports.
pub async fn run(args: Args) -> Result<(Value, bool)> {
    let is_there = args.database.try_exists().unwrap_or(false);
    ensure!(
        is_there,
        "--database {}: not there",
        args.database.display()
    );
    let program = Program {
        binary: args.lastseen.clone(),
        database: args.database.clone(),
    };
    let name = format!("load-contention-{}", std::process::id());
    let create = ["token", "create", "--role", "service", "--name", &name];
    let key = program.run(&create).await?;
    let bench = Bench {
        key: key.trim().to_owned(),
        writers: args.writers,
        wal: wal_of(&args.database),
        program,
    };
    let measured = bench.phases(&args).await;
    let revoked = bench.program.run(&["token", "revoke", &name]).await;
    let all = measured?;
    revoked?;
    let passed = all.iter().all(|figures| figures.refused == 0);
    let report = match args.json {
        true => json!({ "writers": args.writers, "phases": all }),
        false => Value::String(table(&all)),
    };
    Ok((report, passed))
}

struct Bench {
    program: Program,
    key: String,
    writers: u32,
    wal: PathBuf,
}

impl Bench {
    async fn phases(&self, args: &Args) -> Result<Vec<Figures>> {
        let time = Duration::from_secs(args.seconds);
        let program = &self.program;
        let alone = async {
            tokio::time::sleep(time).await;
            Ok(None)
        };
        let alone = self.phase(None, alone).await?;
        let mut all = vec![alone.clone()];
        // Before the prune, whose rows could not come back.
        if let Some(file) = &args.import {
            let file = file.to_str().context("--import is no text")?;
            let import = async {
                let words = ["import", "activities", file, "--json"];
                program.number(&words, "inserted").await.map(Some)
            };
            all.push(self.phase(Some("import"), import).await?.against(&alone));
        }
        let backups = backups(program, time);
        all.push(self.phase(Some("backup"), backups).await?.against(&alone));
        let export = read_slowly(program, time, args.export_rate);
        all.push(self.phase(Some("export"), export).await?.against(&alone));
        let prune = async {
            let words = ["prune", "--older-than", &args.older_than, "--json"];
            program.number(&words, "rows").await.map(Some)
        };
        all.push(self.phase(Some("prune"), prune).await?.against(&alone));
        Ok(all)
    }

    /// Writes to a server of its own, whose log begins empty, until `other` has ended and said how many rows it had.
    async fn phase(
        &self,
        beside: Option<&'static str>,
        other: impl Future<Output = Result<Option<u64>>>,
    ) -> Result<Figures> {
        eprintln!("writing beside {}", beside.unwrap_or("nothing"));
        let server = self.program.serve().await?;
        let mut writers = Vec::new();
        for number in 0..self.writers {
            // Person 1 owns a fifth of everything, which is not what most are like.
            let writer = Writer::new(self, server.address, number + 2)?;
            // Until the connection is open and the database in memory.
            for _ in 0..WARM_UP {
                writer.write().await?;
            }
            writers.push(writer);
        }
        let is_over = Arc::<AtomicBool>::default();
        let began = Instant::now();
        let writing = writers.into_iter();
        let writing = writing.map(|writer| writer.write_until(is_over.clone()));
        let mut writing: JoinSet<_> = writing.collect();
        let mut measured = Measured::default();
        let mut looks = tokio::time::interval(LOOK);
        let mut other = pin!(other);
        let rows = loop {
            tokio::select! {
                rows = &mut other => break rows,
                _ = looks.tick() => {
                    let size = std::fs::metadata(&self.wal).map_or(0, |wal| wal.len());
                    measured.wal_bytes = measured.wal_bytes.max(size);
                }
                // None ends by itself but by a failure.
                Some(ended) = writing.join_next() => {
                    ended??;
                    bail!("a writer has ended");
                }
            }
        };
        is_over.store(true, Ordering::SeqCst);
        measured.rows = rows?;
        while let Some(ended) = writing.join_next().await {
            let (latencies, refused) = ended??;
            measured.latencies.extend(latencies);
            measured.refused += refused;
        }
        measured.elapsed = began.elapsed();
        server.stop().await?;
        Figures::of(beside, measured).context("nothing was written")
    }
}

/// One connection.
struct Writer {
    client: reqwest::Client,
    url: String,
    key: String,
    body: String,
}

impl Writer {
    fn new(bench: &Bench, address: SocketAddr, user: u32) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(1)
            .timeout(Duration::from_secs(60))
            .build()?;
        let metadata = json!({ "videoId": user, "watchDuration": 30 });
        let body = json!({ "userId": user, "action": "video_watched", "metadata": metadata });
        Ok(Self {
            client,
            url: format!("http://{address}/activities"),
            key: bench.key.clone(),
            body: body.to_string(),
        })
    }

    /// Whether it was acknowledged, else refused for now.
    async fn write(&self) -> Result<bool> {
        let request = self
            .client
            .post(&self.url)
            .bearer_auth(&self.key)
            .header("Content-Type", "application/json")
            .body(self.body.clone());
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        match status.as_u16() {
            201 => Ok(true),
            503 => Ok(false),
            _ => bail!("a write was answered {status}: {text}"),
        }
    }

    /// How long each one took, and how many were refused.
    async fn write_until(self, is_over: Arc<AtomicBool>) -> Result<(Vec<Duration>, usize)> {
        let (mut latencies, mut refused) = (Vec::new(), 0);
        while !is_over.load(Ordering::SeqCst) {
            let began = Instant::now();
            match self.write().await? {
                true => latencies.push(began.elapsed()),
                false => refused += 1,
            }
        }
        Ok((latencies, refused))
    }
}

/// One copy after the other, beside the database, until the time is over; each is removed.
async fn backups(program: &Program, time: Duration) -> Result<Option<u64>> {
    let mut copy = program.database.as_os_str().to_owned();
    copy.push(format!("-copy-{}", std::process::id()));
    let copy = PathBuf::from(copy);
    let began = Instant::now();
    while began.elapsed() < time {
        let name = copy.to_str().context("--database is no text")?;
        program.run(&["backup", name]).await?;
        std::fs::remove_file(&copy).with_context(|| copy.display().to_string())?;
    }
    Ok(None)
}

/// Reads an export at so many KiB a second until the time is over, or to its end; how many rows were read.
async fn read_slowly(program: &Program, time: Duration, rate: u64) -> Result<Option<u64>> {
    let words = ["export", "activities", "--format", "jsonl"];
    let mut child = program.command(&words).spawn()?;
    let mut stdout = child.stdout.take().context("standard output is a pipe")?;
    let mut buffer = vec![0; usize::try_from(rate * 1024 / 10)?];
    let mut turns = tokio::time::interval(Duration::from_millis(100));
    let (began, mut rows) = (Instant::now(), 0);
    while began.elapsed() < time {
        turns.tick().await;
        let mut filled = 0;
        while filled < buffer.len() {
            let read = stdout.read(&mut buffer[filled..]).await?;
            if read == 0 {
                let output = child.wait_with_output().await?;
                let said = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success(), "export: {}", said.trim());
                return Ok(Some(rows + lines(&buffer[..filled])));
            }
            filled += read;
        }
        rows += lines(&buffer);
    }
    child.kill().await?;
    Ok(Some(rows))
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
