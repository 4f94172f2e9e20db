//! The end of the process: killed, or asked to stop.

use crate::harness::process::Serving;
use crate::harness::server::read;
use crate::harness::{Client, Connect, Http, Said, Server, Transport, eventually, now, time};
use lastseen::model::{Clock, Timestamp};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Signs up; the token.
async fn sign_up(serving: &Serving, name: &str) -> String {
    let new = json!({ "username": name, "password": "correct horse" });
    let http = Http::new(serving.address, "");
    let signed_up = http.post("/auth/signup", new).await.data(201);
    signed_up["token"].as_str().expect("a token").to_owned()
}

async fn connect(serving: &Serving, token: &str, transport: Transport) -> Client {
    let connect = Connect {
        token: token.to_owned(),
        ..Connect::default()
    };
    let mut client = Client::open(serving.address, transport, connect).await;
    if transport != Transport::Raw {
        assert_eq!(client.next().await, Said::Connected);
    }
    client.event("presence_snapshot").await;
    client
}

async fn stored(database: &Path, sql: &str, expected: i64) {
    eventually(sql, async || {
        (read::<i64>(database, sql) == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_nobody_is_stuck_online() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("lastseen.db");
    let serving = Serving::start(
        &database,
        &["--offline-grace", "1h", "--durability", "normal"],
    )
    .await;
    let ann = sign_up(&serving, "ann").await;
    let bob = sign_up(&serving, "bob").await;
    let cleo = sign_up(&serving, "cleo").await;
    let held = [
        connect(&serving, &ann, Transport::WebSocket).await,
        connect(&serving, &ann, Transport::Polling).await,
    ];
    // In the grace.
    let before = now();
    connect(&serving, &bob, Transport::Raw).await.close().await;
    let after = now();
    // Gone before, and long offline.
    let mut gone = connect(&serving, &cleo, Transport::Raw).await;
    gone.go("offline").await;
    stored(
        &database,
        "SELECT count(*) FROM sessions WHERE end_reason IS NULL",
        1,
    )
    .await;
    stored(&database, "SELECT count(*) FROM sessions", 3).await;
    stored(
        &database,
        "SELECT sum(is_online) FROM users WHERE username <> 'cleo'",
        2,
    )
    .await;
    let cleos: i64 = read(
        &database,
        "SELECT last_seen FROM users WHERE username = 'cleo'",
    );
    // Acknowledged just before, and so there afterwards.
    let followed = Http::new(serving.address, &cleo)
        .post("/users/ann/follow", Value::Null)
        .await;
    followed.data(201);
    let killed_after = now();
    serving.kill(&database).await;
    let killed_before = now();
    drop(held);

    assert_eq!(read::<String>(&database, "PRAGMA integrity_check"), "ok");
    assert_eq!(read::<i64>(&database, "SELECT count(*) FROM follows"), 1);
    let server = Server::on(&database, Clock::system(), |_| {})
        .await
        .expect("a server");
    let http = Http::new(server.address, &cleo);
    let seen = async |name: &str| {
        let seen = http.get(&format!("/users/{name}/presence")).await.data(200);
        assert_eq!(seen["isOnline"], false, "{seen}");
        time(&seen["lastSeen"])
    };
    let anns = seen("ann").await;
    let earliest = killed_after.minus(Duration::from_secs(6));
    assert!(
        earliest <= anns && anns <= killed_before,
        "{anns} {killed_after}"
    );
    let bobs = seen("bob").await;
    assert!(
        before <= bobs && bobs <= after,
        "their own moment: {before} {bobs} {after}"
    );
    assert_eq!(seen("cleo").await, Timestamp::from_millis(cleos));
    let online = "SELECT count(*) FROM users WHERE is_online";
    assert_eq!(server.read::<i64>(online), 0);
    let reasons = "SELECT group_concat(username || ':' || end_reason) FROM
        (SELECT username, end_reason FROM sessions JOIN users ON users.id = user_id ORDER BY username)";
    assert_eq!(
        server.read::<String>(reasons),
        "ann:crash,bob:client,cleo:client"
    );
    let end = "SELECT ended_at = (SELECT last_seen FROM users WHERE id = user_id) FROM sessions WHERE end_reason = 'crash'";
    assert!(server.read::<bool>(end));
    // The accounts and sign-ins are there, and they come back.
    let ann = server.user("dora").await;
    Client::connect(&server, Transport::Raw, &ann)
        .await
        .close()
        .await;
    let boots = "SELECT count(*) FROM boots WHERE ended_at IS NULL";
    assert_eq!(server.read::<i64>(boots), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_it_tells_everybody_and_exits_with_success() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("lastseen.db");
    let serving = Serving::start(
        &database,
        &["--offline-grace", "1h", "--log-level", "debug"],
    )
    .await;
    let password = "correct horse";
    let token = sign_up(&serving, "ann").await;
    let mut clients = Vec::new();
    for transport in Transport::ALL {
        clients.push(connect(&serving, &token, transport).await);
    }
    // The token in an address, which must not be logged.
    let path = format!("/ws?token={token}");
    let mut socket = crate::harness::socket::Socket::open(serving.address, &path).await;
    socket.frame().await.expect("a snapshot");
    let wrong = json!({ "username": "ann", "password": "wrong-horse" });
    let http = Http::new(serving.address, "");
    http.post("/auth/signin", wrong)
        .await
        .fails(401, "wrong_credentials");
    serving.signal("TERM");
    for client in &mut clients {
        let told = client.event("server_shutdown").await;
        assert!(told["reconnectAfterMs"].is_u64(), "{told}");
        let (code, _) = client.closed().await;
        if client.transport != Transport::Polling {
            assert_eq!(code, Some(4008), "{:?}", client.transport);
        }
    }
    assert_eq!(socket.close_code().await, Some(4008));
    let (status, log) = serving.end().await;
    assert_eq!(status, Some(0), "{log}");
    for secret in [&*token, password, "wrong-horse"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    assert!(!log.contains("panicked"), "{log}");
    assert_eq!(
        read::<i64>(&database, "SELECT count(*) FROM users WHERE is_online"),
        0
    );
    let reasons = "SELECT group_concat(DISTINCT end_reason) FROM sessions";
    assert_eq!(read::<String>(&database, reasons), "shutdown");
    assert_eq!(
        read::<i64>(
            &database,
            "SELECT count(*) FROM boots WHERE ended_at IS NULL"
        ),
        0
    );
}
