use super::*;
use clap::{Args as _, FromArgMatches as _};

fn file(directory: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("lastseen.toml");
    std::fs::write(&path, text).expect("writable");
    path
}

fn parsed(arguments: &[&str]) -> Flags {
    let command = Flags::augment_args(clap::Command::new("serve").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).expect("good flags");
    Flags::from_arg_matches(&matches).expect("good flags")
}

fn failure(text: &str, variables: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, text);
    let env = Env::of(variables.iter().copied());
    let error = resolve(&Flags::default(), Some(&path), &env).expect_err("must fail");
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message:?}");
    message
}

/// One key of each type of value: key, then the value as text and as TOML for file, environment and flag.
const EACH_TYPE: [(&str, [&str; 3]); 12] = [
    ("listen", ["10.0.0.1:1", "10.0.0.2:2", "[::1]:0"]),
    ("database", ["a.db", "b.db", "c.db"]),
    ("durability", ["normal", "full", "normal"]),
    ("ping_interval", ["1s", "500ms", "90d"]),
    ("event_rate", ["1", "2", "3"]),
    ("max_connections", ["1", "2", "3"]),
    ("jwt_secret_file", ["a", "b", "c"]),
    (
        "google_jwks_url",
        [
            "https://a.example/k",
            "http://127.0.0.1:1/k",
            "http://[::1]/k",
        ],
    ),
    ("cors_origin", ["http://a", "http://b", "http://c"]),
    ("trusted_proxies", ["10.0.0.0/8", "10.0.0.2", "fd00::/8"]),
    ("country_header", ["cf-ipcountry", "x-country", "x-c"]),
    ("log_level", ["warn", "debug", "lastseen=trace,info"]),
];

#[test]
fn flags_beat_environment_beats_file_beats_default() {
    let directory = tempfile::tempdir().expect("a directory");
    for (key, [in_file, in_env, in_flag]) in EACH_TYPE {
        let setting = SETTINGS.iter().find(|s| s.key == key).expect("a setting");
        let number = in_file.parse::<u32>().is_ok();
        let toml = match (setting.is_list, number) {
            (true, _) => format!("{key} = [\"{in_file}\"]\n"),
            (_, true) => format!("{key} = {in_file}\n"),
            _ => format!("{key} = \"{in_file}\"\n"),
        };
        let path = file(&directory, &toml);
        let variable = setting.env();
        let env = Env::of([(variable.as_str(), in_env)]);
        let flag = format!("--{}={in_flag}", setting.flag());
        let flags = parsed(&[&flag]);
        let none = (Flags::default(), Env::default());

        let shown = |flags: &Flags, file: Option<&Path>, env: &Env| {
            let resolved = resolve(flags, file, env).expect("good settings");
            let json = resolved.to_json();
            let value = match &json[key]["value"] {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Array(items) => {
                    assert!(items.len() <= 1, "{items:?}");
                    items
                        .first()
                        .map_or("", |i| i.as_str().expect("text"))
                        .to_owned()
                }
                serde_json::Value::Null => String::new(),
                other => other.to_string(),
            };
            assert_eq!(
                json[key]["source"],
                resolved.source(key).expect("known").as_str()
            );
            (value, resolved.source(key).expect("known"))
        };
        let own = |text: &str, source| (text.to_owned(), source);
        assert_eq!(shown(&flags, Some(&path), &env), own(in_flag, Source::Flag));
        assert_eq!(shown(&none.0, Some(&path), &env), own(in_env, Source::Env));
        assert_eq!(
            shown(&none.0, Some(&path), &none.1),
            own(in_file, Source::File)
        );
        assert_eq!(
            shown(&none.0, None, &none.1),
            own(setting.default, Source::Default)
        );
    }
}

#[test]
fn the_table_has_every_type_once_at_least() {
    // A setting whose default does not read would only be found at run time.
    let config = Config::defaults();
    assert_eq!(config.token_ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(config.metrics_listen, None);
    assert_eq!(config.audience, Audience::Contacts);
}

#[test]
fn every_flag_has_a_variable_and_a_key() {
    let mut serve = crate::cli::command();
    let serve = serve.find_subcommand_mut("serve").expect("serve");
    let mut seen = 0;
    for argument in serve.get_arguments() {
        let flag = argument.get_long().expect("only long flags");
        if ["config", "print-config", "json"].contains(&flag) {
            continue;
        }
        seen += 1;
        let key = flag.replace('-', "_");
        let setting = SETTINGS.iter().find(|s| s.key == key).expect("a key");
        let help = argument.get_help().expect("help").to_string();
        assert!(help.contains(&setting.env()), "{help}");
        // A bad variable fails whatever the type; a bad TOML type likewise: both are looked at.
        // Every text is a path, an issuer, an audience or an id.
        if !["FILE", "ISSUER", "AUDIENCE", "ID"].contains(&setting.value_name) {
            let bad = failure("", &[(&setting.env(), "=")]);
            assert!(bad.contains(&setting.env()), "{bad}");
        }
        let bad = failure(&format!("{key} = {{}}"), &[]);
        assert!(bad.contains(&key) && bad.contains("lastseen.toml"), "{bad}");
    }
    assert_eq!(seen, SETTINGS.len());
}

#[test]
fn what_is_printed_is_a_config_file_that_gives_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut arguments: Vec<String> = EACH_TYPE
        .iter()
        .map(|(key, values)| format!("--{}={}", key.replace('_', "-"), values[2]))
        .collect();
    arguments.push("--cors-origin=capacitor://localhost".to_owned());
    arguments.push("--database=it's \"odd\"\\ #1.db".to_owned());
    arguments.retain(|flag| flag != "--database=c.db");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for flags in [Flags::default(), parsed(&arguments)] {
        let first = resolve(&flags, None, &Env::default()).expect("good settings");
        let path = file(&directory, &first.to_toml());
        let again = resolve(&Flags::default(), Some(&path), &Env::default()).expect("readable");
        assert_eq!(again.config, first.config);
        assert!(
            SETTINGS
                .iter()
                .all(|s| again.source(s.key) == Some(Source::File))
        );
    }
}

#[test]
fn unknown_keys_are_refused_and_tables_of_commands_are_not() {
    assert!(failure("offline-grace = \"5s\"", &[]).contains("offline-grace"));
    assert!(failure("[prune]\nolder = \"5s\"", &[]).contains("prune.older"));
    assert!(failure("[prune.keep]\nlogin = 5", &[]).contains("prune.keep.login"));
    assert!(failure("a = ", &[]).contains("line 1"));
    assert!(failure("event_rate = 1\nevent_rate = 2", &[]).contains("line 2"));
    assert!(failure("jwt_secret = \"x\"", &[]).contains("LASTSEEN_JWT_SECRET"));

    let directory = tempfile::tempdir().expect("a directory");
    let text = "event_rate = 7\n[prune]\nolder_than = \"90d\"\n[prune.keep]\nlogin = \"365d\"\n";
    let path = file(&directory, text);
    let resolved = resolve(&Flags::default(), Some(&path), &Env::default()).expect("good");
    assert_eq!(resolved.config.event_rate, 7);
    let missing = directory.path().join("missing.toml");
    let error = resolve(&Flags::default(), Some(&missing), &Env::default()).expect_err("missing");
    assert!(error.to_string().contains("missing.toml"), "{error}");
}

#[test]
fn bad_values_name_their_source_and_key() {
    let bad = failure("", &[("LASTSEEN_EVENT_RATE", "-1")]);
    assert!(
        bad.starts_with("environment variable LASTSEEN_EVENT_RATE:"),
        "{bad}"
    );
    for text in [
        "event_rate = \"20\"",
        "event_rate = -1",
        "event_rate = 0",
        "event_rate = 5000000000",
        "ping_interval = \"0s\"",
        "ping_interval = 25",
        "ping_interval = \"1000000y\"",
        "listen = \"8080\"",
        "cors_origin = \"http://a\"",
        "cors_origin = [\"http://a/b\"]",
        "trusted_proxies = [\"10.0.0.0/33\"]",
        "audience = \"all\"",
        "country_header = \"x country\"",
        "log_level = \"a=b=c\"",
    ] {
        let key = text.split(' ').next().expect("a key");
        assert!(
            failure(text, &[]).contains(&format!("key {key}: ")),
            "{text}"
        );
    }
}

#[test]
fn a_bad_flag_is_for_clap() {
    let command = || Flags::augment_args(clap::Command::new("serve").no_binary_name(true));
    for flag in [
        "--event-rate=x",
        "--ping-interval=0s",
        "--audience=all",
        "--listen=x",
        "--nope",
    ] {
        assert_eq!(
            command()
                .try_get_matches_from([flag])
                .expect_err(flag)
                .exit_code(),
            2
        );
    }
}

#[test]
fn secrets_are_never_shown() {
    let env = Env::of([("LASTSEEN_JWT_SECRET", "hunter2hunter2")]);
    let resolved = resolve(&Flags::default(), None, &env).expect("good");
    let secret = resolved.config.jwt_secret.as_ref().expect("set");
    assert_eq!(secret.expose(), "hunter2hunter2");
    assert_eq!(resolved.to_json()["jwt_secret"]["value"], "***");
    let shown = format!(
        "{resolved:?}{}{}{env:?}",
        resolved.to_toml(),
        resolved.to_json()
    );
    assert!(
        shown.contains("***") && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(resolved.to_toml().parse::<toml::Table>().is_ok());
}

#[test]
fn the_stronger_source_of_the_jwt_secret_wins() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "jwt_secret_file = \"weaker\"");
    let env = Env::of([("LASTSEEN_JWT_SECRET", "s")]);
    let config = resolve(&Flags::default(), Some(&path), &env)
        .expect("good")
        .config;
    assert_eq!(
        (config.jwt_secret, config.jwt_secret_file),
        (Secret::new("s"), None)
    );
    let source = resolve(&Flags::default(), Some(&path), &env).expect("good");
    assert_eq!(source.source("jwt_secret_file"), Some(Source::Env));
    let flags = Flags::of("jwt_secret_file", "stronger");
    let config = resolve(&flags, None, &env).expect("good").config;
    assert_eq!(
        (config.jwt_secret, config.jwt_secret_file),
        (None, Some("stronger".into()))
    );
    let both = [
        ("LASTSEEN_JWT_SECRET", "s"),
        ("LASTSEEN_JWT_SECRET_FILE", "f"),
    ];
    assert!(failure("", &both).contains("keep one"));
    assert!(failure("", &[("LASTSEEN_JWT_SECRET", "")]).contains("empty"));
}

#[test]
fn a_secret_file_loses_one_line_break_and_must_not_be_empty() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("secret");
    let read = |text: &str| {
        std::fs::write(&path, text).expect("writable");
        let mut config = Config::defaults();
        config.jwt_secret_file = Some(path.clone());
        config.read_secrets().map(|()| config.jwt_secret)
    };
    assert_eq!(read("key\n").expect("good"), Secret::new("key"));
    assert_eq!(read("key\r\n").expect("good"), Secret::new("key"));
    assert_eq!(read("key\n\n").expect("good"), Secret::new("key\n"));
    for empty in ["", "\n"] {
        let why = read(empty).expect_err("empty").to_string();
        assert!(
            why.contains("empty") && why.contains("jwt_secret_file"),
            "{why}"
        );
    }
}

#[test]
fn durations_are_written_in_their_largest_whole_unit() {
    for text in ["0s", "500ms", "2s", "90d", "90s", "36h", "5us", "7ns"] {
        let canonical = if text == "36h" { "36h" } else { text };
        let read = Duration::from_text(text).expect("a duration");
        assert_eq!(read.to_json(), canonical);
    }
    assert_eq!(
        Duration::from_text("120s").expect("a duration").to_json(),
        "2m"
    );
}

#[test]
fn a_switch_may_stand_alone_and_be_taken_back() {
    let config = |arguments: &[&str], variables: &[(&str, &str)]| {
        let secret = (
            "LASTSEEN_JWT_SECRET",
            "a secret of thirty-two bytes or more",
        );
        let env = Env::of(variables.iter().copied().chain([secret]));
        let resolved = resolve(&parsed(arguments), None, &env).expect("good settings");
        resolved.config.jwt_provision
    };
    let on = [("LASTSEEN_JWT_PROVISION", "true")];
    assert!(!config(&[], &[]));
    assert!(config(&["--jwt-provision"], &[]));
    assert!(config(&["--jwt-provision=true"], &[]));
    assert!(config(&[], &on));
    assert!(!config(&["--jwt-provision=false"], &on));
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "jwt_provision = true\njwks_file = \"keys\"");
    let resolved = resolve(&Flags::default(), Some(&path), &Env::default());
    assert!(resolved.expect("good settings").config.jwt_provision);
    let message = failure("jwt_provision = \"yes\"", &[]);
    assert!(message.contains("jwt_provision"), "{message}");
}

#[test]
fn the_host_application_signs_with_one_key() {
    let pairs = [
        "jwks_file = \"a\"\njwks_url = \"https://a.example\"",
        "jwks_file = \"a\"\njwt_secret_file = \"b\"",
        "jwt_secret_file = \"a\"\njwks_url = \"https://a.example\"",
    ];
    for text in pairs {
        let message = failure(text, &[]);
        assert!(message.contains("both set"), "{message}");
    }
    let secret = [(
        "LASTSEEN_JWT_SECRET",
        "a secret of thirty-two bytes or more",
    )];
    let message = failure("jwks_file = \"a\"", &secret);
    assert!(message.contains("jwt_secret and jwks_file"), "{message}");
    let message = failure("jwt_provision = true", &[]);
    assert!(message.contains("jwt_provision"), "{message}");
    let message = failure("jwks_url = \"http://a.example/keys\"", &[]);
    assert!(
        message.contains("jwks_url") && message.contains("https"),
        "{message}"
    );
}

#[test]
fn an_origin_is_written_as_browsers_write_it() {
    for (text, plain) in [
        ("https://App.example.com:443/", "https://app.example.com"),
        ("http://a:80", "http://a"),
        ("http://a:443", "http://a:443"),
        ("https://a:8443", "https://a:8443"),
        ("capacitor://localhost", "capacitor://localhost"),
    ] {
        assert_eq!(text.parse::<Origin>().expect("good").as_str(), plain);
    }
}
