//! `lastseen demo`: people are there, do things and leave, and nothing stays.

use crate::harness::process::{self, fail};
use crate::harness::server::read;
use crate::harness::{DEADLINE, Http, soon};
use lastseen::model::Clock;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it printed: where everything is.
    open: Value,
}

impl Demo {
    /// With temporary folders in `place`, whose environment it gets.
    async fn start(place: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut all = vec!["demo", "--listen", "127.0.0.1:0", "--users", "40", "--json"];
        all.extend(arguments);
        let mut command = tokio::process::Command::from(process::command(&all));
        let mut child = command
            .env("TMPDIR", place)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = soon("what to open", lines.next_line()).await.expect("text");
        let open = serde_json::from_str(&line.expect("a line")).expect("JSON");
        Self { child, lines, open }
    }

    fn text(&self, key: &str) -> &str {
        self.open[key].as_str().expect("text")
    }

    fn http(&self, token: &str) -> Http {
        let address = self.text("url").strip_prefix("http://").expect("a URL");
        Http::new(address.parse().expect("an address"), token)
    }

    fn admin(&self) -> Http {
        let key = std::fs::read_to_string(self.text("adminKeyFile")).expect("a key");
        self.http(key.trim())
    }

    /// Its exit status, and that it had nothing to complain of.
    async fn end(mut self) -> Option<i32> {
        let status = soon("its end", self.child.wait()).await.expect("its end");
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        stderr.read_to_string(&mut log).await.expect("text");
        assert_eq!(log, "");
        assert_eq!(self.lines.next_line().await.expect("text"), None);
        status.code()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().expect("running").to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &id])
            .status();
        assert!(sent.expect("kill runs").success());
    }
}

/// Asks until `is_there` of the answer's data.
async fn asks(http: &Http, path: &str, is_there: impl Fn(&Value) -> bool) {
    let until = Instant::now() + DEADLINE;
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    loop {
        pause.tick().await;
        let data = http.get(path).await.data(200);
        if is_there(&data) {
            return;
        }
        assert!(Instant::now() < until, "{path}: {data}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_come_do_things_and_go_and_nothing_stays() {
    let place = tempfile::tempdir().expect("a directory");
    let begun = Clock::system().now();
    // A day in ten seconds, so that everything happens soon.
    let demo = Demo::start(place.path(), &["--speed", "8640"], &[]).await;
    let folder = Path::new(demo.text("folder")).to_owned();
    assert_eq!(folder.parent(), Some(place.path()));
    for file in [&folder, Path::new(demo.text("adminKeyFile"))] {
        let mode = std::fs::metadata(file).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file:?}");
    }
    let admin = demo.admin();
    // History, at once.
    let past = demo.open["history"]["sessions"].as_u64().expect("a number");
    assert!(past > 100, "{past}");
    let overview = admin.get("/admin/analytics/overview").await.data(200);
    assert!(overview["mau"].as_u64() >= Some(20), "{overview}");
    let heat = admin.get("/admin/analytics/heatmap").await.data(200);
    let cells = heat["cells"].as_array().expect("cells");
    let busy = cells
        .iter()
        .filter(|cell| cell["sessions"].as_u64() > Some(0));
    assert!(busy.count() > 40, "{heat}");
    // Life: both doors, several people, all that the server logs by itself.
    let transports = |data: &Value, wanted: &str| {
        let users = data["users"].as_array().expect("a list");
        let connections = users.iter().flat_map(|user| user["connections"].as_array());
        let mut connections = connections.flatten();
        connections.any(|connection| connection["transport"] == wanted)
    };
    for wanted in ["websocket", "raw"] {
        asks(&admin, "/admin/online?limit=100", |data| {
            transports(data, wanted)
        })
        .await;
    }
    asks(&admin, "/admin/online", |data| {
        data["total"].as_u64() >= Some(3)
    })
    .await;
    for action in ["login", "message_sent", "video_watched"] {
        let since = "startDate=2000-01-01";
        let path = format!("/admin/analytics/user-activity?limit=1&action={action}&{since}");
        asks(&admin, &path, |data| data["total"].as_u64() > Some(0)).await;
    }
    // Somebody is lost, and somebody says goodbye, of those who came after the history.
    let database = Path::new(demo.text("database")).to_owned();
    for reason in ["lost", "client"] {
        let sql = format!(
            "SELECT count(*) FROM sessions WHERE started_at >= {} AND end_reason = '{reason}'",
            begun.as_millis()
        );
        let until = Instant::now() + DEADLINE;
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        while read::<i64>(&database, &sql) == 0 {
            assert!(Instant::now() < until, "{sql}");
            pause.tick().await;
        }
    }
    // The guest can sign in.
    let sign_in = std::fs::read_to_string(demo.text("signInFile")).expect("there");
    let sign_in: Value = serde_json::from_str(&sign_in).expect("JSON");
    let answer = demo.http("").post("/auth/signin", sign_in).await.data(200);
    assert_eq!(answer["user"]["username"], demo.text("username"));
    assert!(answer["user"]["followingCount"].as_i64() > Some(0));
    demo.signal("TERM");
    assert_eq!(demo.end().await, Some(0));
    assert!(!folder.exists());
}

#[tokio::test]
async fn it_ends_by_itself_and_heeds_its_variables() {
    let place = tempfile::tempdir().expect("a directory");
    let variables = [
        ("LASTSEEN_DEMO_FOR", "300ms"),
        ("LASTSEEN_DEMO_SPEED", "864"),
    ];
    let demo = Demo::start(place.path(), &[], &variables).await;
    assert_eq!(demo.text("day"), "1m 40s");
    assert_eq!(demo.open["users"], 40);
    assert_eq!(demo.end().await, Some(0));
    assert_eq!(place.path().read_dir().expect("a folder").count(), 0);
}

#[tokio::test]
async fn ctrl_c_at_once_and_a_closed_terminal_leave_nothing_either() {
    let place = tempfile::tempdir().expect("a directory");
    for signal in ["INT", "HUP"] {
        let demo = Demo::start(place.path(), &[], &[]).await;
        demo.signal(signal);
        assert_eq!(demo.end().await, Some(0), "{signal}");
        let left = place.path().read_dir().expect("a folder").count();
        assert_eq!(left, 0, "{signal}");
    }
}

#[tokio::test]
async fn a_busy_port_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let line = fail(&["demo", "--listen", &address]).await;
    assert!(
        line.contains(&address) && line.contains("--listen"),
        "{line}"
    );
}
