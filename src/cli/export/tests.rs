use super::*;
use crate::cli::import::import_text;
use crate::config::Config;
use crate::model::{BootId, ClientInfo, DeviceType, EndReason, SessionId, SessionRow, UserId};
use crate::store::DEAD_AFTER;
use crate::store::{FlushBatch, Options, Store};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const KINDS: [Kind; 4] = [Kind::Users, Kind::Follows, Kind::Activities, Kind::Sessions];

impl Target for Vec<u8> {
    fn write(&mut self, text: &[u8]) -> anyhow::Result<()> {
        self.extend_from_slice(text);
        Ok(())
    }
}

/// A database of its own.
struct Bench {
    directory: tempfile::TempDir,
    config: Config,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = Config {
            database: directory.path().join("test.db"),
            ..Config::defaults()
        };
        Self { directory, config }
    }

    /// Imports what must be good; how many rows are new.
    fn import(&self, kind: Kind, format: Format, text: &str) -> u64 {
        let (result, report) = import_text(&self.config, kind, format, text.as_bytes());
        result.unwrap_or_else(|error| panic!("{kind}: {error:#}: {report}\n{text}"));
        report["inserted"].as_u64().expect("a number")
    }

    fn export(&self, kind: Kind, format: Format) -> String {
        let (mut text, bar) = (Vec::new(), ProgressBar::hidden());
        let rows = export_kind(&self.config, kind, format, &mut text, &bar).expect("exported");
        let text = String::from_utf8(text).expect("UTF-8");
        if format == Format::Jsonl {
            assert_eq!(text.lines().count() as u64, rows, "{kind}");
        }
        text
    }

    /// Works on the store as a server would.
    fn with<T>(&self, work: impl AsyncFnOnce(&Store) -> T) -> T {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let options = Options {
                create: true,
                migrate: true,
                ..Options::default()
            };
            let store = Store::open(&self.config.database, options).expect("a database");
            let result = work(&store).await;
            store.close().await;
            result
        })
    }
}

const USERS: &str = r#"{"id":7,"username":"Zoe.1","externalId":"a,\"b\"\n","displayName":"Zoé \"Z\", O’Neil","email":"zoe@example.com","bio":"two\r\nlines, ü 😀; 'x'","profilePictureUrl":"https://example.com/a?b=1,2"}
{"id":3,"username":"bob"}
{"id":9,"username":"carl","bio":" spaces "}
"#;
const FOLLOWS: &str = "follower,followee\nzoe.1,bob\ncarl,bob\nbob,zoe.1\n";
const ACTIVITIES: &str = r#"{"username":"bob","action":"login","metadata":{"method":"email"},"deviceType":"web","timestamp":1082040961.123}
{"username":"bob","action":"login","metadata":{"method":"email"},"deviceType":"web","timestamp":1082040961.123}
{"username":"zoe.1","action":"read_it","targetType":"a,b","targetId":"\"q\"\r\nc","metadata":{"z":"line\nline","a":{"list":[1,2.5,null,"é😀"],"t":true}},"ipAddress":"2001:db8::1","countryCode":"FR","region":"Île-de-France, \"IDF\"","timestamp":1}
{"username":"carl","action":"user_followed","targetId":"3","metadata":{"targetUserId":3},"timestamp":5}
"#;
const SESSIONS: &str = r#"{"username":"bob","deviceId":"a \"b\", c","deviceType":"ios","ipAddress":"203.0.113.9","countryCode":"DE","userAgent":"Agent/1.0 (X; \"Y\", ü)","startedAt":100,"endedAt":160.5,"endReason":"lost"}
{"username":"zoe.1","startedAt":100,"endedAt":100,"endReason":"signout"}
{"username":"zoe.1","startedAt":50,"endedAt":1000}
"#;

#[test]
fn what_is_exported_imports_again_as_it_was() {
    let bench = Bench::new();
    bench.import(Kind::Users, Format::Jsonl, USERS);
    bench.import(Kind::Follows, Format::Csv, FOLLOWS);
    bench.import(Kind::Activities, Format::Jsonl, ACTIVITIES);
    bench.import(Kind::Sessions, Format::Jsonl, SESSIONS);
    let counts = [3, 3, 4, 3];
    for format in [Format::Csv, Format::Jsonl] {
        let copy = Bench::new();
        for (kind, count) in KINDS.into_iter().zip(counts) {
            let text = bench.export(kind, format);
            assert_eq!(copy.import(kind, format, &text), count, "{kind}");
            for again in [Format::Csv, Format::Jsonl] {
                let copied = copy.export(kind, again);
                assert_eq!(copied, bench.export(kind, again), "{kind}");
            }
            // To where it came from it adds nothing.
            assert_eq!(bench.import(kind, format, &text), 0, "{kind}");
        }
    }
    // In the order they were made, and with the values that they had.
    assert_eq!(
        bench.export(Kind::Follows, Format::Csv),
        "follower,followee\nZoe.1,bob\ncarl,bob\nbob,Zoe.1\n"
    );
    let users = bench.export(Kind::Users, Format::Csv);
    assert!(users.starts_with(
        "id,externalId,username,displayName,email,bio,profilePictureUrl\n3,,bob,,,,\n7,\"a,"
    ));
    let first = |kind| -> serde_json::Value {
        let text = bench.export(kind, Format::Jsonl);
        serde_json::from_str(text.lines().next().expect("a row")).expect("JSON")
    };
    let oldest = first(Kind::Activities);
    assert_eq!(oldest["timestamp"], "1970-01-01T00:00:01.000Z");
    assert_eq!(oldest["targetId"], "\"q\"\r\nc");
    assert_eq!(oldest["metadata"]["a"]["list"][3], "é😀");
    let oldest = first(Kind::Sessions);
    assert_eq!(oldest["endedAt"], "1970-01-01T00:16:40.000Z");
    assert_eq!(oldest["endReason"], "client");
}

#[test]
fn the_end_is_known_before() {
    let bench = Bench::new();
    let totals = || {
        bench.with(async |store| {
            [
                User::total(store).await,
                FollowNames::total(store).await,
                LoggedActivity::total(store).await,
                SessionEntry::total(store).await,
            ]
            .map(|total| total.expect("counted"))
        })
    };
    assert_eq!(totals(), [0; 4]);
    bench.import(Kind::Users, Format::Jsonl, USERS);
    bench.import(Kind::Follows, Format::Csv, "follower,followee\nbob,carl\n");
    bench.import(Kind::Activities, Format::Jsonl, ACTIVITIES);
    let open = vec![session(1, 5, None), session(2, 5, Some(9))];
    bench.with(async |store| {
        let rows = open.into_iter().map(|row| SessionRow {
            user_id: UserId(3),
            ..row
        });
        server(store, rows.collect(), Clock::system().now()).await
    });
    assert_eq!(totals(), [3, 1, 4, 2]);
}

#[test]
fn an_empty_database_gives_headers() {
    let bench = Bench::new();
    bench.with(async |_| ());
    for kind in KINDS {
        assert_eq!(bench.export(kind, Format::Csv).lines().count(), 1, "{kind}");
        assert_eq!(bench.export(kind, Format::Jsonl), "", "{kind}");
    }
}

fn session(number: usize, started_at: i64, ended_at: Option<i64>) -> SessionRow {
    SessionRow {
        id: SessionId(Uuid::from_u128(number as u128)),
        user_id: UserId(1),
        device_id: None,
        client: Arc::new(ClientInfo {
            device_type: Some(DeviceType::Web),
            ..ClientInfo::default()
        }),
        started_at: Timestamp::from_millis(started_at),
        ended: ended_at.map(|at| (Timestamp::from_millis(at), EndReason::Lost)),
    }
}

/// A user, and these sessions of theirs under a boot that was alive then.
async fn server(store: &Store, sessions: Vec<SessionRow>, alive: Timestamp) -> BootId {
    let boot = store.begin_boot(Timestamp::from_millis(0)).await;
    let boot = boot.expect("a boot");
    let batch = FlushBatch {
        sessions,
        ..FlushBatch::default()
    };
    store.flush(boot, batch).await.expect("written");
    store.prove_life(boot, alive).await.expect("alive");
    boot
}

#[test]
fn every_row_once_across_pages() {
    const PAGE: usize = <SessionEntry as Exported>::PAGE;
    // The last page is full, short of one, and one row long; most began in the same millisecond.
    for count in [2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 1] {
        let bench = Bench::new();
        bench.import(Kind::Users, Format::Csv, "username\nann\n");
        let rows = (0..count).map(|n| session(count - n, i64::from(n > 5), Some(9)));
        let rows: Vec<_> = rows.collect();
        bench.with(async |store| server(store, rows, Clock::system().now()).await);
        let text = bench.export(Kind::Sessions, Format::Jsonl);
        let ids: std::collections::BTreeSet<_> =
            text.lines().map(|line| line[..46].to_owned()).collect();
        assert_eq!((text.lines().count(), ids.len()), (count, count));
    }

    const USERS: usize = 2 * <User as Exported>::PAGE + 1;
    let bench = Bench::new();
    let users: String = (0..USERS).map(|n| format!("user{n}\n")).collect();
    bench.import(Kind::Users, Format::Csv, &format!("username\n{users}"));
    let follows: String = (1..USERS).map(|n| format!("user{n},user0\n")).collect();
    let follows = format!("follower,followee\n{follows}");
    bench.import(Kind::Follows, Format::Csv, &follows);
    let log: String = (0..USERS).map(|n| format!("user{n},looked,7\n")).collect();
    let log = format!("username,action,timestamp\n{log}");
    bench.import(Kind::Activities, Format::Csv, &log);
    assert_eq!(
        bench.export(Kind::Users, Format::Csv).lines().count(),
        USERS + 1
    );
    assert_eq!(bench.export(Kind::Follows, Format::Csv), follows);
    let text = bench.export(Kind::Activities, Format::Csv);
    let ids: Vec<_> = text.lines().skip(1).map(|line| &line[..36]).collect();
    assert_eq!(ids.len(), USERS);
    assert!(ids.is_sorted_by(|a, b| a < b), "oldest first, each once");
}

#[test]
fn open_sessions_end_with_a_dead_server() {
    let bench = Bench::new();
    bench.import(Kind::Users, Format::Csv, "username\nann\n");
    let now = Clock::system().now();
    let ago = |seconds| now.minus(Duration::from_secs(seconds));
    let (begun, proven, later) = (ago(7_200), ago(3_600), ago(3_590));
    let ends = || -> Vec<(String, String)> {
        let text = bench.export(Kind::Sessions, Format::Csv);
        let rows = text.lines().skip(1).map(|line| {
            let mut cells = line.rsplit(',').map(str::to_owned);
            let reason = cells.next().expect("a reason");
            (cells.next().expect("an end"), reason)
        });
        rows.collect()
    };
    let end = |at: Timestamp, reason: &str| (at.to_string(), reason.to_owned());
    let closed = end(Timestamp::from_millis(50), "lost");

    let rows = vec![
        session(1, 0, Some(50)),
        session(2, begun.as_millis(), None),
        // It began after the last proof of life, and is not to end before it began.
        session(3, later.as_millis(), None),
    ];
    let boot = bench.with(async |store| server(store, rows, proven).await);
    let dead = [closed.clone(), end(proven, "crash"), end(later, "crash")];
    assert_eq!(ends(), dead);
    // That imports, as what the next start would make of it.
    let copy = Bench::new();
    copy.import(Kind::Users, Format::Csv, "username\nann\n");
    let text = bench.export(Kind::Sessions, Format::Csv);
    assert_eq!(copy.import(Kind::Sessions, Format::Csv, &text), 3);

    bench
        .with(async |store| store.prove_life(boot, Clock::system().now()).await)
        .expect("alive");
    let open = (String::new(), String::new());
    assert_eq!(ends(), [closed, open.clone(), open]);
    let text = bench.export(Kind::Sessions, Format::Jsonl);
    assert!(text.ends_with("\"endedAt\":null,\"endReason\":null}\n"));
    let (result, report) =
        import_text(&copy.config, Kind::Sessions, Format::Jsonl, text.as_bytes());
    assert!(result.is_err(), "{report}");
    assert!(report.to_string().contains("endedAt"), "{report}");
}

#[test]
fn a_server_is_dead_without_a_proof_for_fifteen_seconds() {
    let bench = Bench::new();
    let proof = Timestamp::from_millis(1_000_000);
    let (at_last, after) = (
        proof.plus(DEAD_AFTER),
        proof.plus(DEAD_AFTER + Duration::from_millis(1)),
    );
    bench.with(async |store| {
        let dead = async |now| dead_since(store, now).await.expect("read");
        assert_eq!(dead(proof).await, None, "no server, no session");
        let boot = server(store, Vec::new(), proof).await;
        assert_eq!(dead(at_last).await, None);
        assert_eq!(dead(after).await, Some(proof));
        store.end_boot(boot, proof).await.expect("ended");
        assert_eq!(dead(proof).await, Some(proof));
    });
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let bench = Bench::new();
    let folder = bench.directory.path().join("out");
    std::fs::create_dir(&folder).expect("a folder");
    let names = || {
        let files = std::fs::read_dir(&folder).expect("a folder");
        let mut names: Vec<_> = files
            .map(|file| {
                file.expect("a file")
                    .file_name()
                    .into_string()
                    .expect("text")
            })
            .collect();
        names.sort();
        names
    };
    let path = folder.join("a.csv");
    let mut file = OutputFile::create(&path).expect("writable");
    file.write(b"half").expect("written");
    assert_eq!(names(), ["a.csv.tmp"]);
    drop(file);
    assert_eq!(names(), [""; 0]);

    // What an earlier one left when it was killed is in nobody's way.
    std::fs::write(folder.join("a.csv.tmp"), "a longer text").expect("written");
    let mut file = OutputFile::create(&path).expect("writable");
    file.write(b"whole").expect("written");
    file.finish().expect("its name");
    assert_eq!(names(), ["a.csv"]);
    let refused = OutputFile::create(&path)
        .map(drop)
        .expect_err("it is there");
    assert!(refused.to_string().contains("exists already"), "{refused}");
    assert_eq!(std::fs::read(&path).expect("readable"), b"whole");

    // Somebody else's that came meanwhile stays.
    let other = folder.join("b.csv");
    let file = OutputFile::create(&other).expect("writable");
    std::fs::write(&other, "theirs").expect("written");
    file.finish().expect_err("it is there");
    assert_eq!(names(), ["a.csv", "b.csv"]);
    assert_eq!(std::fs::read(&other).expect("readable"), b"theirs");
}

#[test]
fn the_format_is_said_or_seen_or_csv() {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }
    let format = |more: &[&str]| {
        let command = ["export", "users"].into_iter().chain(more.iter().copied());
        let command = <Command as clap::Parser>::try_parse_from(command);
        command.expect("good flags").arguments.format()
    };
    for (more, expected) in [
        (&[][..], Some(Format::Csv)),
        (&["-"], Some(Format::Csv)),
        (&["-", "--format", "jsonl"], Some(Format::Jsonl)),
        (&["--format=ndjson"], Some(Format::Jsonl)),
        (&["a.JSONL"], Some(Format::Jsonl)),
        (&["a.csv"], Some(Format::Csv)),
        (&["a.csv", "--format", "jsonl"], Some(Format::Jsonl)),
        (&["a.txt"], None),
        (&["a"], None),
    ] {
        assert_eq!(format(more), expected, "{more:?}");
    }
}
