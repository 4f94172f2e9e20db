use super::*;
use crate::store::Options;
use clap::Parser as _;

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

/// A file to import, beside a database of its own.
struct Bench {
    directory: tempfile::TempDir,
    batch_rows: Option<usize>,
}

impl Bench {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            batch_rows: None,
        }
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("test.db")
    }

    /// Imports `text` and gives the counts read, inserted, unchanged, failed, and the bad lines; and whether it
    /// went through.
    fn import(
        &self,
        kind: &str,
        name: &str,
        text: &[u8],
        more: &[&str],
    ) -> (bool, [u64; 4], Vec<u64>) {
        let (is_ok, json) = self.report(kind, name, text, more);
        let errors = json["errors"].as_array().expect("a list").iter();
        let lines = errors.map(|error| error["line"].as_u64().expect("a line"));
        (is_ok, counts(&json), lines.collect())
    }

    fn report(
        &self,
        kind: &str,
        name: &str,
        text: &[u8],
        more: &[&str],
    ) -> (bool, serde_json::Value) {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("writable");
        let config = Config {
            database: self.database(),
            ..Config::defaults()
        };
        let path = path.to_str().expect("UTF-8");
        let command = ["import", kind, path]
            .into_iter()
            .chain(more.iter().copied());
        let arguments = Command::try_parse_from(command)
            .expect("good flags")
            .arguments;
        let format = Format::of(&arguments.file).expect("by its name");
        let records = Records::new(text, format);
        let mut report = Report::new(None);
        let result = import_kind(&config, &arguments, records, &mut report, self.batch_rows);
        (result.is_ok(), report.to_json())
    }

    /// What was wrong with each line, and the counts.
    fn errors(&self, kind: &str, name: &str, text: &[u8]) -> (Vec<String>, [u64; 4]) {
        let json = self.report(kind, name, text, &["--on-error", "skip"]).1;
        let errors = json["errors"].as_array().expect("a list").iter();
        let errors = errors.map(|error| error["message"].as_str().expect("text").to_owned());
        (errors.collect(), counts(&json))
    }

    fn usernames(&self) -> Vec<String> {
        let users = self.with(async |store| store.users_page(None, 100_000).await);
        let users = users.expect("users");
        users.iter().map(|user| user.username.to_string()).collect()
    }
}

fn counts(json: &serde_json::Value) -> [u64; 4] {
    ["read", "inserted", "unchanged", "failed"].map(|key| json[key].as_u64().expect("a number"))
}

const USERS: &[u8] = b"username,email,note\nann,ann@example.com,x\nbob,,\n";

#[test]
fn importing_again_adds_nothing() {
    let bench = Bench::new();
    assert_eq!(
        bench.import("users", "u.csv", USERS, &[]),
        (true, [2, 2, 0, 0], vec![])
    );
    assert_eq!(
        bench.import("users", "u.csv", USERS, &[]),
        (true, [2, 0, 2, 0], vec![])
    );
    let follows = b"{\"follower\":\"ann\",\"followee\":\"BOB\",\"more\":1}\n\n";
    assert_eq!(
        bench.import("follows", "f.ndjson", follows, &[]),
        (true, [1, 1, 0, 0], vec![])
    );
    assert_eq!(
        bench.import("follows", "f.ndjson", follows, &[]),
        (true, [1, 0, 1, 0], vec![])
    );
}

#[test]
fn bad_lines_are_skipped_in_order_whoever_found_them() {
    let bench = Bench::new();
    bench.import("users", "u.csv", USERS, &[]);
    let text =
        b"username,email\ncarl,ann@example.com\nx y,\ndora,nomail\n\xff,\n\"e\nve\",\neve\nfay,\n";
    let (ok, counts, lines) = bench.import("users", "b.csv", text, &["--on-error", "skip"]);
    assert!(ok);
    assert_eq!(counts, [7, 1, 0, 6]);
    assert_eq!(lines, [2, 3, 4, 5, 6, 8]);
    assert_eq!(bench.usernames(), ["ann", "bob", "fay"]);

    let text = b"[\"ann\",\"bob\"]\n{\"follower\":\"ann\",\"followee\":\"zoe\"}\n{\"follower\":1}\n{\"follower\":\"bob\",\"followee\":\"ann\"}";
    let (ok, counts, lines) = bench.import("follows", "f.jsonl", text, &["--on-error", "skip"]);
    assert_eq!((ok, counts, lines), (true, [4, 1, 0, 3], vec![1, 2, 3]));
}

#[test]
fn stopping_keeps_the_batches_before() {
    let bench = Bench::new();
    let mut text = "username\n".to_owned();
    for number in 0..UserRow::ROWS_ALONE + 10 {
        text += &format!("user{number}\n");
    }
    text += "x y\nlast\n";
    let bad = UserRow::ROWS_ALONE as u64 + 12;
    let (ok, counts, lines) = bench.import("users", "u.csv", text.as_bytes(), &[]);
    assert!(!ok);
    assert_eq!(counts, [bad - 1, UserRow::ROWS_ALONE as u64, 0, 1]);
    assert_eq!(lines, [bad]);
    assert_eq!(bench.usernames().len(), UserRow::ROWS_ALONE);

    let (ok, counts, _) = bench.import("users", "u.csv", text.as_bytes(), &["--on-error=skip"]);
    assert!(ok);
    assert_eq!(counts, [bad, 11, UserRow::ROWS_ALONE as u64, 1]);
}

#[test]
fn a_bad_header_makes_no_database() {
    let bench = Bench::new();
    assert!(
        !bench
            .import("follows", "f.csv", USERS, &["--on-error=skip"])
            .0
    );
    assert!(!bench.database().exists());
}

const LOG: &[u8] =
    b"username,action,targetType,targetId,metadata,ipAddress,deviceType,timestamp,more\n\
    ann,login,,,\"{\"\"method\"\":\"\"email\"\"}\",203.0.113.9,web,1082040961,x\n\
    ANN,message_sent,,7,,,,2004-04-15T14:56:01.5Z,x\n\
    ann,message_sent,,7,,,,1082040961.5,x\n\
    bob,message_sent,,7,,,,1082040961,x\n";

impl Bench {
    /// Works on the store in a runtime of its own.
    fn with<T>(&self, work: impl AsyncFnOnce(&Store) -> T) -> T {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let options = Options {
                read_only: true,
                ..Options::default()
            };
            let store = Store::open(&self.database(), options).expect("a database");
            let result = work(&store).await;
            store.close().await;
            result
        })
    }

    fn activities(&self) -> Vec<crate::model::LoggedActivity> {
        self.with(async |store| store.activities_after(None, 10_000).await.expect("rows"))
    }
}

#[test]
fn activities_keep_their_repeats_and_are_imported_once() {
    let bench = Bench::new();
    bench.import("users", "u.csv", USERS, &[]);
    let imported = bench.import("activities", "a.csv", LOG, &[]);
    assert_eq!(imported, (true, [4, 4, 0, 0], vec![]));
    let rows = bench.activities();
    let times: Vec<_> = rows
        .iter()
        .map(|row| {
            let activity = &row.activity;
            assert!(activity.id.is_of(activity.timestamp));
            (row.username.as_str(), activity.timestamp.as_millis())
        })
        .collect();
    assert_eq!(times.len(), 4);
    assert_eq!(times[2..], [("ann", 1_082_040_961_500); 2]);
    let sent = &rows[3].activity;
    assert_eq!(
        sent.target_type.as_deref(),
        Some("conversation"),
        "filled in"
    );
    let login = rows.iter().find(|row| row.activity.action == "login");
    let login = &login.expect("the sign-in").activity;
    assert_eq!(login.metadata.as_deref(), Some("{\"method\":\"email\"}"));
    assert_eq!(login.ip_address.as_deref(), Some("203.0.113.9"));

    let again = bench.import("activities", "a.csv", LOG, &[]);
    assert_eq!(again, (true, [4, 0, 4, 0], vec![]));
    // What was exported has ids, and is the same.
    let line = |row: &crate::model::LoggedActivity| {
        let activity = &row.activity;
        format!(
            "{{\"id\":\"{}\",\"userId\":{},\"action\":\"{}\",\"timestamp\":\"{}\"}}\n",
            activity.id, activity.user_id, activity.action, activity.timestamp
        )
    };
    let lines: String = rows.iter().map(line).collect();
    let again = bench.import("activities", "a.jsonl", lines.as_bytes(), &[]);
    assert_eq!(again, (true, [4, 0, 4, 0], vec![]));
    // Last login and last active follow from them.
    let ann = bench.with(async |store| store.user_by_username("ann").await);
    let ann = ann.expect("read").expect("ann");
    let millis = |at: Option<crate::model::Timestamp>| at.map(|at| at.as_millis());
    assert_eq!(millis(ann.last_login_at), Some(1_082_040_961_000));
    assert_eq!(millis(ann.last_active_at), Some(1_082_040_961_500));
}

#[test]
fn a_stretch_stops_and_skips_as_batches_do() {
    let mut bench = Bench::new();
    bench.import("users", "u.csv", USERS, &[]);
    bench.batch_rows = Some(10);
    let line = |n: u64| format!("ann,login,{}\n", 1_082_040_961 + n);
    let mut text = "username,action,timestamp\n".to_owned();
    text.extend((0..44).map(line));
    let good = text.len();
    text += "zoe,login,1082041961\n";
    text.extend((44..95).map(line));
    // The batch with the bad line is not written, and those before it stay.
    let stopped = bench.import("activities", "a.csv", text.as_bytes(), &[]);
    assert_eq!(stopped, (false, [60, 40, 0, 1], vec![46]));
    assert_eq!(bench.activities().len(), 40);
    let skipped = bench.import("activities", "a.csv", text.as_bytes(), &["--on-error=skip"]);
    assert_eq!(skipped, (true, [96, 55, 40, 1], vec![46]));
    // A few more for a log of many do not build its indexes anew.
    let few = bench.import("activities", "a.csv", &text.as_bytes()[..good], &[]);
    assert_eq!(few, (true, [44, 0, 44, 0], vec![]));
    assert_eq!(bench.activities().len(), 95);
}

#[test]
fn bad_activities_are_named() {
    let bench = Bench::new();
    bench.import("users", "u.csv", USERS, &[]);
    for (line, part) in [
        (
            "{\"username\":\"ann\",\"timestamp\":1}",
            "action is missing",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"login\"}",
            "timestamp is missing",
        ),
        (
            "{\"action\":\"login\",\"timestamp\":1}",
            "userId or username",
        ),
        (
            "{\"userId\":0,\"action\":\"login\",\"timestamp\":1}",
            "userId",
        ),
        (
            "{\"userId\":99,\"action\":\"login\",\"timestamp\":1}",
            "userId is no user",
        ),
        (
            "{\"username\":\"zoe\",\"action\":\"login\",\"timestamp\":1}",
            "username is no user",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"Login\",\"timestamp\":1}",
            "action",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"login\",\"timestamp\":-1}",
            "timestamp",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"login\",\"timestamp\":99999999999}",
            "timestamp",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"login\",\"timestamp\":\"noon\"}",
            "timestamp",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"login\",\"targetType\":\"video\",\"timestamp\":1}",
            "targetType",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"login\",\"metadata\":[],\"timestamp\":1}",
            "metadata",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"logout\",\"metadata\":{\"duration_seconds\":-1},\"timestamp\":1}",
            "metadata",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"login\",\"ipAddress\":\"x\",\"timestamp\":1}",
            "ipAddress",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"login\",\"deviceType\":\"tv\",\"timestamp\":1}",
            "deviceType",
        ),
        (
            "{\"username\":\"ann\",\"action\":\"login\",\"countryCode\":\"NPL\",\"timestamp\":1}",
            "countryCode",
        ),
    ] {
        let (errors, counts) = bench.errors("activities", "a.jsonl", line.as_bytes());
        assert_eq!(counts, [1, 0, 0, 1], "{line}");
        assert!(errors[0].contains(part), "{line}: {}", errors[0]);
    }
    assert!(bench.activities().is_empty());
}

#[test]
fn sessions_bring_counts_peaks_and_last_seen() {
    use crate::model::Timestamp;
    let bench = Bench::new();
    bench.import("users", "u.csv", USERS, &[]);
    // Two devices of ann are one person; bob comes when she has just left one of them.
    let text = b"username,startedAt,endedAt,endReason,deviceType\n\
        ann,1082039400,1082040000,lost,ios\n\
        ann,1082039700,1082041200,,web\n\
        bob,1082040000,1082040300,,\n\
        bob,1082041200,1082041260,,\n\
        ann,1082127600,1082127600,,\n";
    let first = bench.import("sessions", "s.csv", text, &[]);
    assert_eq!(first, (true, [5, 5, 0, 0], vec![]));
    let again = bench.import("sessions", "s.csv", text, &[]);
    assert_eq!(again, (true, [5, 0, 5, 0], vec![]));
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
    bench.with(async |store| {
        let tally = store.tally_sessions(at(0), at(2_000_000_000), at(2_000_000_000));
        let tally = tally.await.expect("a tally");
        assert_eq!(tally.tally.count, 5);
        assert_eq!(tally.duration_ms, (600 + 1500 + 300 + 60) * 1000);
        let quarter = 1_082_039_400 / 900;
        let peaks = store.series(crate::store::Series::Online, quarter - 1, quarter + 200);
        let expected = vec![(quarter, 2), (quarter + 1, 1), (quarter + 2, 1)];
        assert_eq!(peaks.await.expect("peaks"), expected);
        let ann = store
            .user_by_username("ann")
            .await
            .expect("read")
            .expect("ann");
        assert_eq!(ann.last_seen, Some(at(1_082_127_600)));
        assert_eq!(ann.last_active_at, Some(at(1_082_127_600)));
    });
    for (line, part) in [
        (
            "{\"username\":\"ann\",\"startedAt\":5}",
            "endedAt is missing",
        ),
        (
            "{\"username\":\"ann\",\"startedAt\":5,\"endedAt\":4}",
            "before startedAt",
        ),
        (
            "{\"username\":\"ann\",\"startedAt\":5,\"endedAt\":6,\"endReason\":\"x\"}",
            "endReason",
        ),
    ] {
        let (errors, counts) = bench.errors("sessions", "s.jsonl", line.as_bytes());
        assert_eq!(counts, [1, 0, 0, 1], "{line}");
        assert!(errors[0].contains(part), "{line}: {}", errors[0]);
    }
}

#[test]
fn beside_a_server_batches_are_small() {
    let bench = Bench::new();
    bench.import("users", "u.csv", USERS, &[]);
    let lock = Lock::acquire(&bench.database()).expect("free");
    let mut text = "username,action,timestamp\n".to_owned();
    for second in 0..BATCH_ROWS {
        text += &format!("ann,login,{second}\n");
    }
    text += "ann,login,noon\n";
    // What comes before the bad line's batch stays, and that one is small.
    let (ok, [read, inserted, unchanged, failed], lines) =
        bench.import("activities", "a.csv", text.as_bytes(), &[]);
    assert!(!ok);
    assert_eq!((read, unchanged, failed), (BATCH_ROWS as u64 + 1, 0, 1));
    assert!(inserted >= FIRST_ROWS as u64, "{inserted}");
    assert_eq!(lines, [BATCH_ROWS as u64 + 2]);
    let there: u64 = rusqlite::Connection::open(bench.database())
        .and_then(|database| {
            database.query_row("SELECT count(*) FROM user_activity_logs", [], |row| {
                row.get::<_, i64>(0)
            })
        })
        .expect("a count")
        .unsigned_abs();
    assert_eq!(there, inserted);
    drop(lock);
}

#[test]
fn a_batch_is_as_large_as_its_time_allows() {
    let rows = |rows, share| rows_in_time((rows, BATCH_TIME.mul_f64(share)));
    assert_eq!(rows(400, 2.0), 200);
    assert_eq!(rows(400, 0.8), 500);
    assert_eq!(rows(400, 0.1), 800, "twice as many at most");
    assert_eq!(rows(900, 0.5), BATCH_ROWS);
    assert_eq!(rows(100, 50.0), FIRST_ROWS);
}
