use super::archive::{Archive, Kind};
use super::*;
use crate::config::{self, Env, Flags};
use crate::model::{Activity, ActivityId, LoggedActivity, Timestamp, UserId, Username};
use clap::Parser as _;

#[derive(clap::Parser, Debug)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

fn parse(flags: &[&str]) -> Result<Arguments, clap::Error> {
    let all = ["prune"].iter().chain(flags);
    Command::try_parse_from(all).map(|command| command.arguments)
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn nonsense_is_refused() {
    for flags in [
        &["--older-than", "soon"][..],
        &["--older-than", "0s"],
        &["--older-than", "-5d"],
        &["--older-than", "90"],
        &["--older-than", "900y"],
        &["--sessions-older-than", ""],
        &["--keep", "login"],
        &["--keep", "login="],
        &["--keep", "=5d"],
        &["--keep", "Log in=5d"],
        &["--keep", "login=5 parsecs"],
    ] {
        let error = parse(flags).expect_err("nonsense");
        assert_eq!(error.exit_code(), 2, "{flags:?}");
    }
    let twice = parse(&["--keep", "login=5d", "--keep", "login=6d"]).expect("parsed");
    let why = rules::of_flags(None, &twice.keep, None).expect_err("twice");
    assert!(why.contains("login is there twice"), "{why}");
}

#[test]
fn flags_beat_variables_beat_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lastseen.toml");
    let text = "[prune]\nolder_than = \"90d\"\nsessions_older_than = \"80d\"\n[prune.keep]\nlogin = \"365d\"\nlogout = \"70d\"\n";
    std::fs::write(&file, text).expect("written");
    let env = Env::of([
        ("LASTSEEN_PRUNE_OLDER_THAN", "60d"),
        ("LASTSEEN_PRUNE_KEEP", "logout=50d, video_posted=40d"),
    ]);
    let resolved = config::resolve(&Flags::default(), Some(&file), &env).expect("good");
    let flags = rules::of_flags(None, &[("login".into(), 30 * DAY)], None).expect("good");
    let ages = rules::over(resolved.prune, flags);
    assert_eq!(ages.older_than, Some(60 * DAY));
    assert_eq!(ages.sessions_older_than, Some(80 * DAY));
    let keep = [("login", 30), ("logout", 50), ("video_posted", 40)];
    let keep = keep.map(|(action, days)| (action.to_owned(), days * DAY));
    assert_eq!(ages.keep, keep.into());
    let now = Timestamp::from_millis(100 * 86_400_000);
    let rules = rules::since(&ages, now);
    assert_eq!(
        rules.activities,
        Some(Timestamp::from_millis(40 * 86_400_000))
    );
    assert_eq!(
        rules.sessions,
        Some(Timestamp::from_millis(20 * 86_400_000))
    );
    for (name, value) in [
        ("LASTSEEN_PRUNE_OLDER_THAN", "soon"),
        ("LASTSEEN_PRUNE_OLDER_THAN", ""),
        ("LASTSEEN_PRUNE_KEEP", "login"),
    ] {
        let env = Env::of([(name, value)]);
        let error = config::resolve(&Flags::default(), None, &env).expect_err("nonsense");
        assert!(error.to_string().contains(name), "{error}");
    }
}

fn row(at: &str, metadata: &str) -> LoggedActivity {
    let timestamp = Timestamp::parse_rfc3339(at).expect("a time");
    LoggedActivity {
        username: Username::from_stored("ann"),
        activity: Activity {
            id: ActivityId::new(timestamp),
            user_id: UserId(7),
            action: "login".into(),
            target_type: None,
            target_id: None,
            metadata: Some(metadata.into()),
            ip_address: None,
            device_type: None,
            country_code: None,
            region: None,
            timestamp,
        },
    }
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = folder.read_dir().expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("an entry").file_name();
        name.into_string().expect("text")
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn a_file_has_its_name_only_when_it_is_whole_and_never_takes_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("archive");
    let mut archive = Archive::open(&folder).expect("made");
    archive.finish_file().expect("nothing to do");
    assert_eq!(names(&folder), [""; 0]);
    let rows = [
        row("2026-01-02T03:04:05.678Z", "{\"a\":[1, \"\\n\"]}"),
        row("2026-02-03T04:05:06Z", "{}"),
    ];
    for _ in 0..2 {
        for row in &rows {
            let at = row.activity.timestamp;
            archive.add(Kind::Activities, at, row).expect("added");
            let open = names(&folder)
                .into_iter()
                .filter(|name| name.ends_with(".tmp"));
            assert_eq!(open.count(), 1);
        }
        archive.finish_file().expect("written");
    }
    let whole = [
        "activities-20260102T030405Z-20260203T040506Z-1.ndjson.zst",
        "activities-20260102T030405Z-20260203T040506Z-2.ndjson.zst",
    ];
    assert_eq!(names(&folder), whole);
    let file = std::fs::File::open(folder.join(whole[0])).expect("there");
    let text = zstd::decode_all(file).expect("whole");
    let text = String::from_utf8(text).expect("text");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let expected = serde_json::json!({
        "id": rows[0].activity.id.to_string(), "userId": 7, "username": "ann", "action": "login",
        "targetType": null, "targetId": null, "metadata": {"a": [1, "\n"]}, "ipAddress": null,
        "deviceType": null, "countryCode": null, "region": null,
        "timestamp": "2026-01-02T03:04:05.678Z",
    });
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], expected);
    // What is not finished is taken away again.
    let at = rows[0].activity.timestamp;
    archive.add(Kind::Activities, at, &rows[0]).expect("added");
    drop(archive);
    assert_eq!(names(&folder), whole);
}

#[test]
fn a_directory_that_cannot_be_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    for path in [
        file.clone(),
        file.join("below"),
        folder.path().join("not/there"),
    ] {
        let error = Archive::open(&path).err().expect("refused").to_string();
        assert!(error.contains(path.to_str().expect("text")), "{error}");
    }
}
