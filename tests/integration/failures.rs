//! When things go wrong: what must be seen, and what must not be touched.

mod crash;
mod process;

use crate::harness::{Client, Server, Transport, eventually, soon};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Everything that a request could have written, counted.
fn rows(server: &Server) -> String {
    let count = |table: &str| format!("(SELECT count(*) FROM {table})");
    let tables = [
        "users",
        "follows",
        "blocks",
        "conversations",
        "participants",
        "messages",
        "sign_ins",
    ];
    let counts = tables.map(count).join(" || ',' || ");
    server.read(&format!(
        "SELECT {counts} || (SELECT group_concat(username || ifnull(bio, '') || activity_status) FROM users)"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_understood_is_refused_and_writes_nothing() {
    let server = Server::start().await;
    let (ann, _bob) = (server.user("ann").await, server.user("bob").await);
    let participants = json!({ "participants": ["bob"] });
    let opened = ann.http.post("/messages/conversations", participants).await;
    let id = opened.data(201)["conversationId"].clone();
    let messages = format!("/messages/conversations/{id}/messages");
    let before = rows(&server);
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let long = json!({ "text": "x".repeat(10_001) }).to_string();
    let many = json!({ "participants": vec!["bob"; 51] }).to_string();
    let lots = json!({ "usernames": vec!["bob"; 501] }).to_string();
    let cases: &[(&str, &str, &[u8], u16)] = &[
        ("POST", "/auth/signup", b" ", 400),
        ("POST", "/auth/signup", b"{", 400),
        ("POST", "/auth/signup", b"[]", 400),
        ("POST", "/auth/signup", b"null", 400),
        ("POST", "/auth/signup", b"\"x\"", 400),
        ("POST", "/auth/signup", deep.as_bytes(), 400),
        (
            "POST",
            "/auth/signup",
            b"{\"username\":\"\xff\",\"password\":\"12345678\"}",
            400,
        ),
        (
            "POST",
            "/auth/signup",
            b"{\"username\":\"\\ud800\",\"password\":\"12345678\"}",
            400,
        ),
        (
            "POST",
            "/auth/signup",
            b"{\"username\":\"a\\u0000b\",\"password\":\"12345678\"}",
            422,
        ),
        ("PATCH", "/users/me", b"{\"bio\":\"\\u0000\"}", 422),
        ("PATCH", "/users/me", b"{\"bio\":7}", 400),
        ("PATCH", "/users/me", b"{\"username\":null}", 400),
        ("PATCH", "/users/me", b"{\"username\":\"BOB\"}", 409),
        (
            "PATCH",
            "/users/me",
            b"{\"activityStatus\":\"friends\"}",
            422,
        ),
        (
            "POST",
            "/messages/conversations",
            b"{\"participants\":\"bob\"}",
            400,
        ),
        (
            "POST",
            "/messages/conversations",
            b"{\"participants\":[]}",
            422,
        ),
        (
            "POST",
            "/messages/conversations",
            b"{\"participants\":[\"nobody_here\"]}",
            422,
        ),
        (
            "POST",
            "/messages/conversations",
            b"{\"participants\":[\"ann\"]}",
            422,
        ),
        ("POST", "/messages/conversations", many.as_bytes(), 422),
        ("POST", &messages, b"{\"text\":\"\"}", 422),
        ("POST", &messages, b"{\"text\":\"a\\u0000\"}", 422),
        ("POST", &messages, long.as_bytes(), 422),
        (
            "POST",
            "/messages/conversations/999/messages",
            b"{\"text\":\"x\"}",
            404,
        ),
        (
            "POST",
            "/messages/conversations/99999999999999999999/messages",
            b"{\"text\":\"x\"}",
            400,
        ),
        (
            "POST",
            "/messages/conversations/x/messages",
            b"{\"text\":\"x\"}",
            400,
        ),
        ("POST", "/presence/query", b"{}", 422),
        ("POST", "/presence/query", b"{\"userIds\":[1e400]}", 400),
        (
            "POST",
            "/presence/query",
            b"{\"userIds\":[99999999999999999999]}",
            400,
        ),
        ("POST", "/presence/query", b"{\"userIds\":[1.5]}", 400),
        (
            "POST",
            "/presence/query",
            b"{\"usernames\":[\"a\"],\"userIds\":[1]}",
            422,
        ),
        ("POST", "/presence/query", lots.as_bytes(), 422),
        ("POST", "/users/nobody_here/follow", b"", 404),
        ("POST", "/users/ann/follow", b"", 422),
        ("POST", "/users/ann/block", b"", 422),
        ("GET", "/users/%00/presence", b"", 404),
        ("GET", "/users/%ff", b"", 400),
        ("GET", "/users/bob/followers?limit=0", b"", 422),
        ("GET", "/users/bob/followers?limit=1001", b"", 422),
        (
            "GET",
            "/users/bob/followers?limit=99999999999999999999",
            b"",
            400,
        ),
        ("GET", "/users/bob/followers?cursor=rubbish", b"", 422),
        ("GET", "/messages/conversations?cursor=%00", b"", 422),
        ("GET", "/nowhere", b"", 404),
        ("PUT", "/users/me", b"{}", 405),
        ("POST", "/healthz", b"", 405),
    ];
    let mut wrong = Vec::new();
    for (method, path, body, status) in cases {
        let mut request = ann.http.request(method, path);
        if !body.is_empty() {
            request = request
                .header("Content-Type", "application/json")
                .body(body.to_vec());
        }
        let answer = ann.http.send(request).await;
        let what = format!(
            "{method} {path} {}",
            String::from_utf8_lossy(&body[..body.len().min(60)])
        );
        if answer.status != *status {
            wrong.push(format!(
                "{what}: not {status} but {} {}",
                answer.status, answer.text
            ));
            continue;
        }
        let code = answer.json["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        answer.fails(*status, &code);
        assert!(!code.is_empty(), "{what}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let text = ann
        .http
        .request("POST", "/auth/signup")
        .header("Content-Type", "text/plain");
    let text = ann.http.send(text.body("{}")).await;
    text.fails(415, "unsupported_media_type");
    assert_eq!(rows(&server), before, "nothing is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_refused() {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let body = |length: usize| {
        let rest = json!({ "usernames": ["ann"], "x": "" }).to_string();
        rest.replace(
            r#""x":"""#,
            &format!(r#""x":"{}""#, "y".repeat(length - rest.len())),
        )
    };
    let send = async |body: String| {
        let request = ann.http.request("POST", "/presence/query");
        let request = request.header("Content-Type", "application/json");
        ann.http.send(request.body(body)).await
    };
    send(body(1 << 20)).await.data(200);
    send(body((1 << 20) + 1))
        .await
        .fails(413, "payload_too_large");
    // Without a length, which cannot be looked at beforehand.
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("a connection");
    let head = format!(
        "POST /presence/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        ann.token
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunk = format!("10000\r\n{}\r\n", "y".repeat(0x10000));
    for _ in 0..17 {
        // The server may have answered and closed already.
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    soon("an answer", stream.read_exact(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_its_time_is_cut_off() {
    let server = Server::with(|c| {
        c.header_timeout = Duration::from_millis(300);
        c.body_timeout = Duration::from_millis(300);
    })
    .await;
    let ann = server.user("ann").await;
    let slow = async |text: String| {
        let mut stream = TcpStream::connect(server.address)
            .await
            .expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        // Ends only when the server closes; a reset says so too.
        let _ = soon("the end", stream.read_to_end(&mut answer)).await;
        String::from_utf8(answer).expect("text")
    };
    let head = slow("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow".into()).await;
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 4"), "{head}");
    let body = slow(format!(
        "POST /presence/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        ann.token
    ))
    .await;
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    assert!(body.contains("request_timeout"), "{body}");
    // A flood of headers too, and others are not concerned.
    let flood =
        "GET /healthz HTTP/1.1\r\nHost: x\r\n".to_owned() + &"X-Flood: x\r\n".repeat(2000) + "\r\n";
    let flood = slow(flood).await;
    assert!(
        flood.is_empty() || flood.starts_with("HTTP/1.1 4"),
        "{flood}"
    );
    let http = server.http();
    assert_eq!(http.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_locked_reads_and_presence_go_on() {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut watching = Client::connect(&server, Transport::Raw, &bob).await;
    let lock = rusqlite::Connection::open(&server.database).expect("a database");
    lock.busy_timeout(Duration::from_secs(5))
        .expect("a setting");
    lock.execute_batch("BEGIN EXCLUSIVE").expect("the lock");
    let write = async { ann.http.post("/users/bob/follow", Value::Null).await };
    let meanwhile = async {
        let mut app = Client::connect(&server, Transport::Raw, &ann).await;
        watching.update(&ann, "online").await;
        app.go("offline").await;
        watching.update(&ann, "offline").await;
        app.go("online").await;
        watching.update(&ann, "online").await;
        let seen = bob.http.get("/users/ann").await.data(200);
        assert_eq!(seen["isOnline"], true);
        assert_eq!(server.http().get("/healthz").await.status, 200);
        app
    };
    let (refused, app) = tokio::join!(write, meanwhile);
    refused.fails(503, "unavailable");
    lock.execute_batch("COMMIT").expect("unlocked");
    // It recovers by itself, and what was refused was not written.
    assert_eq!(server.read::<i64>("SELECT count(*) FROM follows"), 1);
    let answer = eventually("writes", async || {
        let answer = ann.http.post("/users/bob/follow", Value::Null).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    answer.data(201);
    server
        .reads("SELECT is_online FROM users WHERE id = 1", 1)
        .await;
    drop(app);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_is_served_for_reading() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("lastseen.db");
    let clock = lastseen::model::Clock::system();
    let mut server = Server::on(&database, clock.clone(), |_| {})
        .await
        .expect("new");
    let ann = server.user("ann").await;
    server.stop().await;
    let permit = |file: u32, folder: u32| {
        for entry in std::fs::read_dir(directory.path()).expect("files") {
            let path = entry.expect("a file").path();
            std::fs::set_permissions(path, PermissionsExt::from_mode(file)).expect("permitted");
        }
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(folder))
            .expect("permitted");
    };
    permit(0o444, 0o555);
    let is_writable = std::fs::OpenOptions::new()
        .append(true)
        .open(&database)
        .is_ok();
    if is_writable {
        permit(0o644, 0o755);
        eprintln!("skipped: whoever runs this may write whatever the permissions are");
        return;
    }
    let read_only = Server::on(&database, clock, |_| {}).await;
    permit(0o644, 0o755);
    let server = read_only.expect("a server for reading");
    let http = crate::harness::Http::new(server.address, &ann.token);
    assert_eq!(http.get("/readyz").await.status, 200);
    http.get("/users/ann").await.data(200);
    let change = http.patch("/users/me", json!({ "bio": "x" })).await;
    change.fails(503, "unavailable");
}
