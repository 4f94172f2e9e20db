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
}

impl Bench {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
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
        let result = match arguments.kind {
            Kind::Users => import::<UserRow>(&config, &arguments, records, &mut report),
            Kind::Follows => import::<Follow>(&config, &arguments, records, &mut report),
        };
        let json = report.to_json();
        let counts = ["read", "inserted", "unchanged", "failed"];
        let counts = counts.map(|key| json[key].as_u64().expect("a number"));
        let errors = json["errors"].as_array().expect("a list");
        let lines = errors
            .iter()
            .map(|error| error["line"].as_u64().expect("a line"));
        (result.is_ok(), counts, lines.collect())
    }

    fn usernames(&self) -> Vec<String> {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let options = Options {
                read_only: true,
                ..Options::default()
            };
            let store = Store::open(&self.database(), options).expect("a database");
            let users = store.users_page(None, 10_000).await.expect("users");
            store.close().await;
            users.iter().map(|user| user.username.to_string()).collect()
        })
    }
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
    for number in 0..BATCH_ROWS + 10 {
        text += &format!("user{number}\n");
    }
    text += "x y\nlast\n";
    let bad = BATCH_ROWS as u64 + 12;
    let (ok, counts, lines) = bench.import("users", "u.csv", text.as_bytes(), &[]);
    assert!(!ok);
    assert_eq!(counts, [bad - 1, BATCH_ROWS as u64, 0, 1]);
    assert_eq!(lines, [bad]);
    assert_eq!(bench.usernames().len(), BATCH_ROWS);

    let (ok, counts, _) = bench.import("users", "u.csv", text.as_bytes(), &["--on-error=skip"]);
    assert!(ok);
    assert_eq!(counts, [bad, 11, BATCH_ROWS as u64, 1]);
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
