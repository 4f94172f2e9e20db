//! `lastseen stats`, the program itself.

use super::harness::process::{command, fail, run, succeed};
use super::harness::{Client, Server, Transport};
use lastseen::model::KeyRole;
use serde_json::{Value, json};
use std::process::Output;

fn with_env(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command(arguments);
    command.envs(variables.iter().copied());
    command.output().expect("its end")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_same_figures_from_a_file_and_from_a_server() {
    let server = Server::start().await;
    let key = server.key("boss", KeyRole::Admin).await;
    let ann = server.user("ann").await;
    let _phone = Client::connect(&server, Transport::Raw, &ann).await;
    let row = json!({"action": "a_thing"});
    ann.http.post("/activities", row).await.data(201);
    server.stored_presence(ann.id, (true, None)).await;

    let folder = tempfile::tempdir().expect("a folder");
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, format!("{key}\n")).expect("written");
    protect(&key_file, 0o600);
    let (key_file, database) = (
        key_file.to_str().expect("text"),
        server.database.to_str().expect("text"),
    );
    let url = format!("http://{}", server.address);
    let by_file = ["stats", "--database", database];
    let by_url = ["stats", "--url", &url, "--token-file", key_file];
    for (arguments, source) in [(&by_file[..], database), (&by_url, &url)] {
        let all = [arguments, &["--json", "--tz", "Asia/Kathmandu"]].concat();
        let stats: Value = serde_json::from_str(&succeed(&all, "").await).expect("JSON");
        assert_eq!(stats["tz"], "Asia/Kathmandu");
        let place = stats["source"].as_str().expect("a text");
        assert!(place.starts_with(source), "{place}");
        let overview = &stats["overview"];
        assert_eq!(
            (&overview["online"], &overview["activities"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(stats["sessions"]["totalSessions"], 1);
        assert_eq!(stats["actions"], json!([{"action": "a_thing", "count": 1}]));
        let series = stats["onlineSeries"].as_array().expect("a series");
        assert!((96..=97).contains(&series.len()), "{}", series.len());
        let text = succeed(arguments, "").await;
        assert!(
            text.lines()
                .next()
                .is_some_and(|line| line.ends_with(", UTC")),
            "{text}"
        );
        let has = |name: &str, value: &str| {
            let mut lines = text.lines();
            lines.any(|line| line.starts_with(name) && line.ends_with(&format!(" {value}")))
        };
        assert!(has("online now", "1") && has("a_thing", "1"), "{text}");
    }

    // The same by the environment; what the command line says is stronger.
    let address = ("LASTSEEN_URL", url.as_str());
    let secret = ("LASTSEEN_TOKEN", key.as_str());
    for variables in [
        [address, secret],
        [address, ("LASTSEEN_TOKEN_FILE", key_file)],
    ] {
        let output = with_env(&["stats"], &variables);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.starts_with(&url),
            "{output:?}"
        );
    }
    let output = with_env(&by_file, &[address, secret]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with(database));
    let both = [address, secret, ("LASTSEEN_TOKEN_FILE", key_file)];
    let output = with_env(&["stats"], &both);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("both set"), "{}", stderr(&output));

    // A key that others can read is used and warned of.
    protect(std::path::Path::new(key_file), 0o644);
    let output = run(&by_url, "").await;
    assert!(output.status.success());
    assert!(stderr(&output).contains("chmod 600"), "{}", stderr(&output));
}

#[cfg(unix)]
fn protect(file: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(file, permissions).expect("set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_cannot_be_had_is_one_line() {
    let server = Server::start().await;
    let service = server.key("service", KeyRole::Service).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (wrong, other) = (path("wrong"), path("service"));
    std::fs::write(&wrong, "nonsense").expect("written");
    std::fs::write(&other, &service).expect("written");
    for file in [&wrong, &other] {
        protect(std::path::Path::new(file), 0o600);
    }
    let url = format!("http://{}", server.address);
    for key in [&wrong, &other] {
        let said = fail(&["stats", "--url", &url, "--token-file", key]).await;
        assert!(
            said.contains("lastseen token create --role admin"),
            "{said}"
        );
        assert!(
            !said.contains(&service) && !said.contains("nonsense"),
            "{said}"
        );
    }
    let nobody = [
        "stats",
        "--url",
        "http://127.0.0.1:9",
        "--token-file",
        &wrong,
    ];
    let said = fail(&nobody).await;
    assert!(said.contains("check the address"), "{said}");
    let said = fail(&["stats", "--url", "ftp://host", "--token-file", &wrong]).await;
    assert!(said.contains("http://"), "{said}");
    let missing = path("missing");
    let said = fail(&["stats", "--url", &url, "--token-file", &missing]).await;
    assert!(said.contains("token_file"), "{said}");
    let said = fail(&["stats", "--database", &missing]).await;
    assert!(said.contains("does not exist"), "{said}");
    let said = fail(&["stats", "--database", &wrong]).await;
    assert!(said.contains("--database"), "{said}");

    for usage in [
        &["stats", "--database", "a.db", "--url", &url][..],
        &["stats", "--database", "a.db", "--token-file", &wrong],
        &["stats", "--token-file", &wrong],
        &["stats", "--url", &url],
        &["stats", "--tz", "Mars"],
        &["stats", "extra"],
    ] {
        let output = run(usage, "").await;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{usage:?}: {}",
            stderr(&output)
        );
        assert!(output.stdout.is_empty());
    }
}
