//! The shape of the source: who may import whom, how long files are, and that every migration is in the binary.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of a file at most.
const LONGEST: usize = 500;

/// Each module of the crate and what of the others it may name; `*` is everything. The order is the design, from
/// the bottom up: data goes from socket or request through a service to the store, and from a transition over the
/// bus to the hub, an outbox and a socket.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("store", &["model"]),
    // The one error of the services says what the store said.
    ("error", &["model", "store::StoreError"]),
    ("bus", &["model"]),
    ("tasks", &[]),
    ("metrics", &[]),
    ("config", &["model", "store::Durability"]),
    ("logging", &["config::LogFormat"]),
    // The services.
    ("auth", &["model", "error", "store", "tasks"]),
    ("presence", &["model", "error", "store", "bus", "tasks"]),
    ("activity", &["model", "error", "store", "bus", "tasks"]),
    ("analytics", &["model", "error", "store", "presence"]),
    // Rows as text, for the API and the command line.
    ("export", &["model", "store"]),
    // The transports. A connection speaks to services and never to the store.
    (
        "realtime",
        &["model", "error", "metrics", "auth", "presence"],
    ),
    (
        "http",
        &[
            "model",
            "error",
            "metrics",
            "auth",
            "presence",
            "activity",
            "analytics",
            "export",
            "bus",
            "store",
        ],
    ),
    ("server", &["realtime::stream"]),
    // Figures over the API's JSON or, read-only, over the store.
    ("tui", &["model", "error", "analytics", "export", "store"]),
    // People over the network, and their history in the store.
    ("demo", &["model", "auth", "store"]),
    // What puts it together.
    ("app", &["*"]),
    ("cli", &["*"]),
];

/// Files that may name more than their module.
const EXCEPTIONS: &[(&str, &str)] = &[("http/realtime.rs", "realtime")];

/// What of `realtime` lies below users, presence and the store, and knows of none of them.
const GENERIC: &[&str] = &[
    "frame",
    "outbox",
    "flusher",
    "heartbeat",
    "stream",
    "websocket",
    "socketio",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every `.rs` file under `src`, by its path in there, with its text.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut folders = vec![src.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path
                    .strip_prefix(&src)
                    .expect("in src")
                    .to_str()
                    .expect("text");
                files.push((
                    name.to_owned(),
                    std::fs::read_to_string(&path).expect("text"),
                ));
            }
        }
    }
    files.sort();
    assert!(files.len() > 50, "the source is here");
    files
}

/// The text without its tests: they may look wherever they like.
fn without_tests<'a>(name: &str, text: &'a str) -> &'a str {
    if name.contains("/tests") || name.ends_with("/testing.rs") {
        return "";
    }
    match text.find("#[cfg(test)]\nmod tests {") {
        Some(at) => &text[..at],
        None => text,
    }
}

/// What comes after each `crate::` outside comments: one path for each name in braces.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut paths = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let path = rest[..end].trim_end_matches(':');
        if !path.is_empty() {
            paths.insert(path.to_owned());
            continue;
        }
        // `use crate::{…}`: the first part of each.
        let inner = rest
            .trim_start_matches('{')
            .split("};")
            .next()
            .unwrap_or_default();
        paths.extend(inner.split(',').map(|part| {
            let part = part.trim().trim_start_matches('{');
            part.split("::").next().unwrap_or_default().to_owned()
        }));
    }
    paths.retain(|path| !path.is_empty());
    paths
}

fn covers(allowed: &str, path: &str) -> bool {
    let rest = path.strip_prefix(allowed);
    allowed == "*" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// `store::{Durability, …}` is read as `store`, so a permission for one name is checked by the text.
fn names_in(text: &str, module: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in text.split(&format!("crate::{module}::{{")).skip(1) {
        let inner = rest.split('}').next().unwrap_or_default();
        names.extend(
            inner
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty()),
        );
    }
    names
}

#[test]
fn imports_follow_the_layers() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let text = without_tests(&file, &text);
        let module = file.split(['/', '.']).next().expect("a module");
        if matches!(module, "main" | "lib") {
            continue;
        }
        let layer = LAYERS.iter().find(|(name, _)| *name == module);
        let Some((_, allowed)) = layer else {
            wrong.push(format!("{file}: {module} is in no layer"));
            continue;
        };
        for path in crate_paths(text) {
            let to = path.split("::").next().expect("a part");
            let excepted = EXCEPTIONS
                .iter()
                .any(|(from, what)| *from == file && covers(what, &path));
            if to == module || excepted || allowed.iter().any(|one| covers(one, &path)) {
                continue;
            }
            let names = names_in(text, &path);
            let each = |name: &String| {
                allowed
                    .iter()
                    .any(|one| covers(one, &format!("{path}::{name}")))
            };
            if names.is_empty() || !names.iter().all(each) {
                wrong.push(format!("{file} names {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_generic_half_of_realtime_knows_of_no_users() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let Some(part) = file.strip_prefix("realtime/") else {
            continue;
        };
        let name = part.split(['/', '.']).next().expect("a name");
        if !GENERIC.contains(&name) {
            continue;
        }
        for path in crate_paths(without_tests(&file, &text)) {
            let is_generic = |name: &&&str| covers(&format!("realtime::{name}"), &path);
            if path != "realtime" && GENERIC.iter().find(is_generic).is_none() {
                wrong.push(format!("{file} names {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn sql_stays_in_the_store() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let text = without_tests(&file, &text);
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let is_sql = |line: &str| {
            line.contains("rusqlite") || line.contains("r2d2") || line.contains("SELECT ")
        };
        if file != "store.rs" && !file.starts_with("store/") && code.into_iter().any(is_sql) {
            wrong.push(file);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_is_too_long() {
    let lines = |(file, text): (String, String)| (file, text.lines().count());
    let long: Vec<_> = sources()
        .into_iter()
        .map(lines)
        .filter(|(_, n)| *n > LONGEST)
        .collect();
    assert!(long.is_empty(), "split by noun: {long:?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = |(file, text): (String, String)| {
        let is_silent = !file.ends_with("tests.rs") && !text.starts_with("//! ");
        is_silent.then_some(file)
    };
    let silent: Vec<_> = sources().into_iter().filter_map(silent).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn every_migration_is_in_the_binary() {
    let folder = std::fs::read_dir(root().join("migrations")).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("a file").file_name().into_string();
        let name = name.expect("text");
        name.strip_suffix(".sql").expect("SQL only").to_owned()
    };
    let mut names: Vec<String> = folder.map(name).collect();
    names.sort();
    for (index, name) in names.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", index + 1)), "{names:?}");
    }
    let nowhere = root().join("no such database");
    let pending = lastseen::store::migrate::dry_run(&nowhere).expect("what a new file gets");
    assert_eq!(pending, names);
    assert!(!nowhere.exists());
}
