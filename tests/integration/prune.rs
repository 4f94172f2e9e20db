//! `lastseen prune`: the program on real files, alone and beside a server, to its end and killed.

mod killed;

use crate::harness::process::{command, fail, run, succeed};
use crate::harness::server::read;
use crate::harness::{Http, Server, eventually, now};
use lastseen::model::{KeyRole, Timestamp};
use lastseen::store::Lock;
use rand::Rng as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A database with a log, and a directory for archives beside it.
struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    /// `rows` activities of three people, the oldest from 200 days ago to the newest of an hour ago.
    async fn new(rows: u32) -> Self {
        let bench = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        bench.fill(rows).await;
        bench
    }

    async fn fill(&self, rows: u32) {
        let users = "username\nann\nbob\ncleo\n";
        let database = self.database();
        let into = ["--format", "csv", "--database", text(&database)];
        let import = |kind| [&["import", kind, "-"][..], &into].concat();
        succeed(&import("users"), users).await;
        let mut log = "username,action,targetType,metadata,timestamp\n".to_owned();
        let mut sessions = "username,deviceId,startedAt,endedAt,endReason\n".to_owned();
        let start = now().minus(200 * DAY);
        let step = (now().minus(DAY / 24).since(start)) / rows;
        for n in 0..rows {
            let at = start.plus(step * n);
            let user = ["ann", "bob", "cleo"][n as usize % 3];
            let row = match n % 4 {
                0 => format!("{user},login,,\"{{\"\"method\"\":\"\"email\"\"}}\",{at}\n"),
                1 => format!("{user},video_posted,video,\"{{\"\"videoId\"\":{n}}}\",{at}\n"),
                _ => format!("{user},video_watched,video,,{at}\n"),
            };
            log += &row;
            if n % 50 == 0 {
                let end = at.plus(Duration::from_secs(90));
                sessions += &format!("{user},phone,{at},{end},lost\n");
            }
        }
        succeed(&import("activities"), &log).await;
        succeed(&import("sessions"), &sessions).await;
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("lastseen.db")
    }

    fn archive(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    fn read(&self, sql: &str) -> i64 {
        read(&self.database(), sql)
    }

    fn rows(&self) -> i64 {
        self.read("SELECT count(*) FROM user_activity_logs")
    }

    /// What the counts say there is and ever was, activities and sessions.
    fn counts(&self) -> [i64; 6] {
        [
            "SELECT live FROM activity_counts WHERE user_id = 0 AND action = ''",
            "SELECT ever FROM activity_counts WHERE user_id = 0 AND action = ''",
            "SELECT sum(live) FROM activity_rollups WHERE user_id = 0 AND action = '' AND span = 0",
            "SELECT sum(ever) FROM activity_rollups WHERE user_id = 0 AND action = '' AND span = 0",
            "SELECT sum(live) FROM session_rollups WHERE span = 0",
            "SELECT sum(ever * 1000000000 + duration_ms) FROM session_rollups WHERE span = 0",
        ]
        .map(|sql| self.read(sql))
    }

    fn arguments<'a>(&self, database: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
        [&["prune", "--database", text(database)], more].concat()
    }

    async fn prune(&self, more: &[&str]) -> Value {
        let database = self.database();
        let arguments = self.arguments(&database, &[more, &["--json"]].concat());
        let report = succeed(&arguments, "").await;
        serde_json::from_str(&report).expect("JSON")
    }

    fn ids_in_table(&self) -> BTreeSet<String> {
        let ids: String = read(
            &self.database(),
            "SELECT group_concat(lower(hex(id))) FROM user_activity_logs",
        );
        ids.split(',').map(str::to_owned).collect()
    }

    /// Files of the archive that have their names.
    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let Ok(entries) = self.archive().read_dir() else {
            return Vec::new();
        };
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let is_whole = |path: &PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy();
            name.starts_with(kind) && name.ends_with(".ndjson.zst")
        };
        let mut files: Vec<_> = paths.filter(is_whole).collect();
        files.sort();
        files
    }

    fn ids_in_archive(&self) -> BTreeSet<String> {
        let files = self.files("activities");
        files.iter().flat_map(|path| Self::ids_in(path)).collect()
    }

    fn ids_in(file: &Path) -> Vec<String> {
        let file = std::fs::File::open(file).expect("there");
        let text = String::from_utf8(zstd::decode_all(file).expect("whole")).expect("text");
        let id = |line: &str| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            row["id"].as_str().expect("an id").replace('-', "")
        };
        text.lines().map(id).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_rule_nothing_goes() {
    let bench = Bench::new(100).await;
    let database = bench.database();
    for more in [
        &[][..],
        &["--older-than", "soon"],
        &["--keep", "login=1d", "--keep", "login=2d"],
        &["--older-than", "0s"],
    ] {
        let output = run(&bench.arguments(&database, more), "").await;
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(output.stdout.is_empty(), "{more:?}");
    }
    assert_eq!(bench.rows(), 100);
    // A rule of the file is one.
    let config = bench.directory.path().join("lastseen.toml");
    std::fs::write(&config, "[prune.keep]\nlogin = \"100d\"\n").expect("written");
    let report = bench.prune(&["--config", text(&config)]).await;
    assert_eq!(report["rows"], report["actions"]["login"]["rows"]);
    let logins = "SELECT count(*) FROM user_activity_logs WHERE action = 'login'";
    assert_eq!(
        (bench.rows() - bench.read(logins), bench.read(logins)),
        (75, 12)
    );
    // There is nothing to prune where there is no database, and none is made.
    let missing = bench.directory.path().join("missing.db");
    fail(&bench.arguments(&missing, &["--older-than", "1d"])).await;
    assert!(!missing.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_says_what_then_goes_and_the_file_is_smaller() {
    let bench = Bench::new(8_000).await;
    let rules = [
        "--older-than",
        "90d",
        "--keep",
        "login=150d",
        "--keep",
        "video_posted=30d",
    ];
    let rules = [&rules[..], &["--sessions-older-than", "60d"]].concat();
    let before = bench.counts();
    let unpruned = std::fs::metadata(bench.database()).expect("there").len();
    let mut dry = bench.prune(&[&rules[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry["dryRun"], true);
    assert_eq!((bench.rows(), bench.counts()), (8_000, before));
    let report = bench.prune(&rules).await;
    dry["dryRun"] = json!(false);
    assert_eq!(report, dry);
    // 110 of 200 days of half of the rows, 50 and 170 days of a quarter each.
    let rows = |action: &str| {
        report["actions"][action]["rows"]
            .as_i64()
            .expect("a number")
    };
    assert_eq!(
        [rows("video_watched"), rows("login"), rows("video_posted")].map(|rows| rows / 10),
        [220, 50, 170]
    );
    let after = bench.counts();
    let (gone, sessions) = (report["rows"].as_i64(), report["sessions"].as_i64());
    let (gone, sessions) = (gone.expect("a number"), sessions.expect("a number"));
    let left = bench.read("SELECT count(*) FROM sessions");
    assert_eq!(sessions, 160 - left);
    assert!((110..115).contains(&sessions), "{sessions}");
    let [
        live,
        ever,
        live_by_time,
        ever_by_time,
        live_sessions,
        all_sessions,
    ] = before;
    let expected = [
        live - gone,
        ever,
        live_by_time - gone,
        ever_by_time,
        live_sessions - sessions,
        all_sessions,
    ];
    assert_eq!(after, expected);
    assert_eq!(bench.rows(), live - gone);
    let pruned = std::fs::metadata(bench.database()).expect("there").len();
    // The estimate is of what the rows took.
    let freed = (unpruned - pruned) as f64;
    let said = report["bytes"].as_f64().expect("a number");
    assert!(
        freed > 0.6 * said && freed < 2.0 * said,
        "{freed} of {said}"
    );
    let text = run(&bench.arguments(&bench.database(), &rules), "").await;
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(text.starts_with("removed 0 activities"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_holds_what_went_and_brings_it_back() {
    let bench = Bench::new(2_000).await;
    let (before, all) = (bench.counts(), bench.ids_in_table());
    let archive = bench.archive();
    let rules = ["--older-than", "90d", "--sessions-older-than", "90d"];
    let report = bench
        .prune(&[&rules[..], &["--archive", text(&archive)]].concat())
        .await;
    let left = bench.ids_in_table();
    let gone: BTreeSet<_> = all.difference(&left).cloned().collect();
    assert_eq!(report["rows"].as_u64(), Some(gone.len() as u64));
    assert_eq!(bench.ids_in_archive(), gone);
    let [file] = &bench.files("activities")[..] else {
        panic!("one file");
    };
    let [sessions] = &bench.files("sessions")[..] else {
        panic!("one file");
    };
    assert_eq!(archive.read_dir().expect("there").count(), 2);
    let ended = 40 - bench.read("SELECT count(*) FROM sessions");
    assert_eq!(report["sessions"], ended);
    let database = bench.database();
    let import = |kind, file| {
        [
            "import",
            kind,
            text(file),
            "--database",
            text(&database),
            "--json",
        ]
        .to_vec()
    };
    // Without saying so it is refused, and says what to do.
    let refused = run(&import("activities", file), "").await;
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8(refused.stderr).expect("text");
    assert!(
        why.starts_with("line 1: ") && why.contains("--restore"),
        "{why}"
    );
    assert_eq!(bench.ids_in_table(), left);
    for (kind, file, count) in [
        ("activities", file, gone.len() as u64),
        ("sessions", sessions, ended.unsigned_abs()),
    ] {
        for (inserted, unchanged) in [(count, 0), (0, count)] {
            let arguments = [import(kind, file), vec!["--restore"]].concat();
            let report: Value = serde_json::from_str(&succeed(&arguments, "").await).expect("JSON");
            assert_eq!(report["inserted"], inserted, "{kind}");
            assert_eq!(report["unchanged"], unchanged, "{kind}");
        }
    }
    assert_eq!((bench.counts(), bench.ids_in_table()), (before, all));
    let restore = [
        "import",
        "users",
        text(file),
        "--restore",
        "--database",
        text(&database),
    ];
    assert_eq!(run(&restore, "").await.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_one_and_one_without_an_archive_to_write_remove_nothing() {
    let bench = Bench::new(500).await;
    let database = bench.database();
    let lock = Lock::for_prune(&database).expect("free");
    let rule = ["--older-than", "1d"];
    let line = fail(&bench.arguments(&database, &rule)).await;
    assert!(line.contains("another prune"), "{line}");
    // To look does nobody harm.
    bench.prune(&["--older-than", "1d", "--dry-run"]).await;
    drop(lock);
    let file = bench.directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    for archive in [file.clone(), file.join("below")] {
        let more = [&rule[..], &["--archive", text(&archive)]].concat();
        let line = fail(&bench.arguments(&database, &more)).await;
        assert!(line.contains(text(&archive)), "{line}");
    }
    assert_eq!(bench.rows(), 500);
}

/// Runs the program where no file may grow beyond some 50 KB, as on a disk that is full.
#[cfg(unix)]
fn where_files_stay_small(arguments: &[&str]) -> std::process::Output {
    // A write beyond the limit fails only where its signal is ignored.
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"";
    std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_lastseen")])
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("ran")
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_finds_no_room_midway_removes_nothing() {
    const ROWS: u32 = 20_000;
    let bench = Bench::new(ROWS).await;
    let (database, archive) = (bench.database(), bench.archive());
    let rule = ["--older-than", "1d", "--archive", text(&archive)];
    let arguments = bench.arguments(&database, &rule);
    let output = where_files_stay_small(&arguments);
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(text(&archive)), "{stderr}");
    assert!(stderr.contains("make room"), "{stderr}");
    assert_eq!(bench.rows(), i64::from(ROWS));
    let left = std::fs::read_dir(&archive).expect("a directory").count();
    assert_eq!(left, 0, "nothing of it is left");
    // And once there is room, it goes.
    succeed(&arguments, "").await;
    assert!(bench.rows() < i64::from(ROWS) / 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_every_row_is_in_the_table_or_in_the_archive() {
    let bench = Bench::new(12_000).await;
    let (before, all) = (bench.counts(), bench.ids_in_table());
    let (database, archive) = (bench.database(), bench.archive());
    let more = ["--older-than", "1d", "--archive", text(&archive)];
    let arguments = bench.arguments(&database, &more);
    let mut killed = 0;
    for round in 0..6 {
        let rows = bench.rows();
        let mut child = command(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        // While the file is written, and then among the batches.
        let until = match round {
            0 => rows,
            _ => rows - rand::rng().random_range(1..=rows / 3),
        };
        let is_over = eventually("a moment to kill it", async || {
            let is_over = child.try_wait().expect("a state").is_some();
            let is_writing = archive
                .read_dir()
                .is_ok_and(|mut folder| folder.next().is_some());
            let is_there = if round == 0 {
                is_writing
            } else {
                bench.rows() <= until
            };
            (is_over || is_there).then_some(is_over)
        })
        .await;
        child.kill().expect("killed");
        child.wait().expect("its end");
        killed += u32::from(!is_over);
        let verdict: String = read(&database, "PRAGMA integrity_check");
        assert_eq!(verdict, "ok");
        let somewhere: BTreeSet<_> = &bench.ids_in_table() | &bench.ids_in_archive();
        assert_eq!(somewhere, all);
        let [live, ever, live_by_time, ever_by_time, ..] = bench.counts();
        assert_eq!([live, live_by_time], [bench.rows(); 2]);
        assert_eq!([ever, ever_by_time], [before[1], before[3]]);
    }
    assert!(killed > 0, "it was too fast for this test");
    bench.prune(&more).await;
    let left = bench.ids_in_table();
    assert!(left.len() < 100, "{}", left.len());
    let gone: BTreeSet<_> = all.difference(&left).cloned().collect();
    assert_eq!(bench.ids_in_archive(), gone);
    assert_eq!(bench.read("PRAGMA freelist_count"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_server_the_log_shrinks_and_the_figures_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let bench = Bench { directory };
    bench.fill(4_000).await;
    let clock = lastseen::model::Clock::system();
    let mut server = Server::on(&bench.database(), clock, |_| {})
        .await
        .expect("a server");
    let admin = Http::new(server.address, &server.key("admin", KeyRole::Admin).await);
    let ann = server.user("dora").await;
    let days = |count: u32| -> Timestamp { now().minus(count * DAY) };
    let series = format!(
        "/admin/analytics/timeseries?interval=day&metric=activities&startDate={}&endDate={}",
        days(190),
        days(10)
    );
    let sessions = format!(
        "/admin/analytics/user-sessions?startDate={}&endDate={}",
        &days(190).to_string()[..10],
        &days(10).to_string()[..10]
    );
    let figures = async || {
        let series = admin.get(&series).await.data(200);
        let sessions = admin.get(&sessions).await.data(200);
        let values = |key: &str| sessions[key].clone();
        let sessions = ["totalSessions", "averageSessionDuration", "topHours"].map(values);
        // Values between the ends: an end within a pruned quarter hour is widened.
        let points = series["points"].as_array().expect("a list");
        (points[1..points.len() - 1].to_vec(), sessions)
    };
    let before = figures().await;
    let rules = ["--older-than", "90d", "--sessions-older-than", "90d"];
    let database = bench.database();
    let arguments = bench.arguments(&database, &rules);
    let pruning = run(&arguments, "");
    // It writes all the while.
    let writing = async {
        for _ in 0..20 {
            let watched = json!({ "action": "video_watched" });
            ann.http.post("/activities", watched).await.data(201);
        }
    };
    let (pruned, ()) = tokio::join!(pruning, writing);
    let said = String::from_utf8_lossy(&pruned.stderr).into_owned();
    assert!(pruned.status.success(), "{said}");
    assert_eq!(figures().await, before);
    let left = bench.rows();
    assert!(left < 4_000 * 91 / 200 + 40, "{left}");
    let log = admin
        .get("/admin/analytics/user-activity?limit=1")
        .await
        .data(200);
    assert_eq!(log["total"], left);
    server.stop().await;
}
