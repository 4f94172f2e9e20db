//! `lastseen tui` as a program: one frame into a pipe, and what it says where it cannot draw. The dashboard itself is
//! tested beside its source.

use crate::harness::Server;
use crate::harness::process::{fail, succeed};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_frame_of_a_file_beside_its_server_goes_into_a_pipe() {
    let mut server = Server::start().await;
    let ann = server.user("ann").await;
    let logged = json!({ "action": "video_watched" });
    ann.http.post("/activities", logged).await.data(201);
    let database = server.database.to_str().expect("text").to_owned();
    let base = ["tui", "--database", &database, "--once"];
    let frame = succeed(&[&base[..], &["--tab", "activity", "--ascii"]].concat(), "").await;
    assert!(
        frame.contains("ann") && frame.contains("video_watched"),
        "{frame}"
    );
    assert!(frame.is_ascii() && !frame.contains('\x1b'), "{frame:?}");
    let overview = succeed(&base, "").await;
    for title in ["Online now", "Active users", "Sessions by hour"] {
        assert!(overview.contains(title), "{overview}");
    }
    assert!(!overview.contains('\x1b'), "{overview:?}");
    let widest = overview.lines().map(|line| line.chars().count()).max();
    let of = |name: &str, default: usize| {
        let value = std::env::var(name).ok().and_then(|text| text.parse().ok());
        value.unwrap_or(default)
    };
    let size = (widest, overview.lines().count());
    assert_eq!(size, (Some(of("COLUMNS", 80)), of("LINES", 24)));
    server.stop().await;
}

#[tokio::test]
async fn where_it_cannot_draw_it_says_what_can_be_done() {
    let line = fail(&["tui"]).await;
    assert!(line.contains("--once") && line.contains("stats"), "{line}");
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.db");
    let missing = missing.to_str().expect("text");
    let line = fail(&["tui", "--once", "--database", missing]).await;
    assert!(line.contains("does not exist"), "{line}");
    // Port 1 of this machine: nobody listens there.
    let key = folder.path().join("key");
    std::fs::write(&key, "lsk_secret_that_stays").expect("written");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&key, private).expect("its owner's");
    let key = key.to_str().expect("text");
    let url = "http://127.0.0.1:1";
    let line = fail(&["tui", "--once", "--url", url, "--token-file", key]).await;
    assert!(
        line.contains("that the server runs") && !line.contains("secret_that"),
        "{line}"
    );
}
