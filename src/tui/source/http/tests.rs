//! Against a server of a few lines, which says what no server of ours would.

use super::*;
use crate::model::Status;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "lsk_precious";
const DEADLINE: Duration = Duration::from_secs(15);

/// What a connection is answered.
enum Script {
    /// This, and the end.
    Ends(Vec<u8>),
    /// This, and then nothing until the client goes.
    Holds(Vec<u8>),
}

/// A server that answers one connection after another, and what it was asked; `gone` when the client of a held one went.
struct Tiny {
    url: String,
    heard: mpsc::UnboundedReceiver<String>,
}

impl Tiny {
    async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let (sender, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for script in scripts {
                let (mut socket, _) = listener.accept().await.expect("a client");
                let Some(head) = read_head(&mut socket).await else {
                    continue;
                };
                // The test may have seen enough.
                let _ = sender.send(head);
                match script {
                    Script::Ends(answer) => {
                        // A client that has seen enough goes.
                        let _ = socket.write_all(&answer).await;
                    }
                    Script::Holds(answer) => {
                        socket.write_all(&answer).await.expect("written");
                        let rest = socket.read(&mut [0]).await;
                        assert!(matches!(rest, Ok(0) | Err(_)), "one request a connection");
                        let _ = sender.send("gone".into());
                    }
                }
            }
        });
        Self {
            url: format!("http://{address}/prefix/"),
            heard,
        }
    }

    fn source(&self) -> HttpSource {
        let key = Secret::new(KEY).expect("not empty");
        let mut source = HttpSource::new(&self.url, &key).expect("an address");
        source.pace.first_wait = Duration::from_millis(1);
        source
    }

    async fn hears(&mut self) -> String {
        let heard = tokio::time::timeout(DEADLINE, self.heard.recv()).await;
        heard.expect("in time").expect("a request")
    }
}

async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = socket.read_u8().await.ok()?;
        head.push(byte);
    }
    Some(String::from_utf8(head).expect("text"))
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

fn stream(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

async fn next(events: &mut mpsc::Receiver<LiveEvent>) -> LiveEvent {
    let event = tokio::time::timeout(DEADLINE, events.recv()).await;
    event.expect("in time").expect("an event")
}

fn lost(event: LiveEvent) -> (String, Duration) {
    match event {
        LiveEvent::Lost { why, retry_in } => (why, retry_in),
        other => panic!("not lost: {other:?}"),
    }
}

const COUNTERS: &str = ": hello\n\nevent: counters\ndata: {\"online\":3,\"connections\":4}\n\n";

fn activity(id: &str) -> String {
    let row = serde_json::json!({
        "id": id, "userId": 1, "username": "ann", "action": "login", "targetType": null, "targetId": null,
        "timestamp": "2026-01-01T00:00:00.000Z", "metadata": {"k": [1]}, "ipAddress": null, "deviceType": "ios",
        "countryCode": null, "region": null,
    });
    format!("event: activity\ndata: {row}\n\n")
}

#[tokio::test]
async fn the_key_is_in_its_header_and_nowhere_else() {
    let why = r#"{"success":true,"data":{"userId":1,"username":"ann","connections":[],"grace":{"active":false,"until":null},"viewer":{"isOnline":false,"lastSeen":null,"rule":"admin"}}}"#;
    let mut tiny = Tiny::start(vec![
        Script::Ends(answer("200 OK", why)),
        Script::Ends(b"nonsense\r\n\r\n".to_vec()),
    ])
    .await;
    let source = tiny.source();
    assert_eq!(
        source.why("a/n?n").await.expect("an answer").username,
        "ann"
    );
    let head = tiny.hears().await;
    assert!(
        head.starts_with("GET /prefix/admin/users/a%2Fn%3Fn/why HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("authorization: Bearer {KEY}\r\n")),
        "{head}"
    );
    assert_eq!(head.matches(KEY).count(), 1, "{head}");
    let error = source.why("ann").await.expect_err("no HTTP");
    assert!(matches!(error, SourceError::Lost(_)), "{error:?}");
    let shown = format!(
        "{error} {error:?} {:?} {}",
        source.requests.client,
        source.place()
    );
    assert!(!shown.contains(KEY), "{shown}");
}

#[tokio::test]
async fn failures_say_whether_to_try_again() {
    let failure = |message: &str| {
        serde_json::json!({"success": false, "error": {"code": "x", "message": message}})
            .to_string()
    };
    let named = failure("user\u{1b}[2J not\nfound");
    let cases = [
        (
            "401 Unauthorized",
            failure("who?"),
            SourceError::Refused(REFUSED.into()),
        ),
        (
            "403 Forbidden",
            failure("no"),
            SourceError::Refused(REFUSED.into()),
        ),
        (
            "404 Not Found",
            named.clone(),
            SourceError::Rejected("user [2J not found".into()),
        ),
        (
            "422 Unprocessable Entity",
            failure("limit"),
            SourceError::Rejected("limit".into()),
        ),
        (
            "429 Too Many Requests",
            failure("slow"),
            SourceError::Lost("slow".into()),
        ),
        (
            "503 Service Unavailable",
            failure("busy"),
            SourceError::Lost("busy".into()),
        ),
        (
            "502 Bad Gateway",
            "<html>".into(),
            SourceError::Lost("is it a lastseen server?".into()),
        ),
        (
            "404 Not Found",
            "<html>".into(),
            SourceError::Lost("is it a lastseen server?".into()),
        ),
        (
            "302 Found",
            String::new(),
            SourceError::Lost("is it a lastseen server?".into()),
        ),
        (
            "200 OK",
            "{}".into(),
            SourceError::Lost("no lastseen's".into()),
        ),
        (
            "200 OK",
            " ".repeat(MAX_BYTES + 1),
            SourceError::Lost("more than".into()),
        ),
    ];
    for (status, body, expected) in cases {
        let tiny = Tiny::start(vec![Script::Ends(answer(status, &body))]).await;
        let error = tiny.source().why("ann").await.expect_err(status);
        match &expected {
            SourceError::Lost(part) => {
                let text = error.to_string();
                let is_named = text.starts_with(&tiny.url) && text.contains(part.as_str());
                assert!(
                    matches!(error, SourceError::Lost(_)) && is_named,
                    "{status}: {text}"
                );
            }
            _ => assert_eq!(error, expected, "{status}"),
        }
    }
    // Nobody there: a port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let key = Secret::new(KEY).expect("not empty");
    let source = HttpSource::new(&format!("http://{address}"), &key).expect("an address");
    let error = source.overview(Zone::UTC).await.expect_err("nobody");
    assert!(matches!(error, SourceError::Lost(_)), "{error:?}");
    assert_eq!(error.to_string().lines().count(), 1);
}

#[test]
fn addresses_that_are_none_of_a_server() {
    let key = Secret::new(KEY).expect("not empty");
    for (address, part) in [
        ("", "no URL"),
        ("127.0.0.1:8080", "no URL"),
        ("localhost:8080", "http://"),
        ("ftp://host", "http://"),
        ("data:x", "http://"),
        ("http://", "no URL"),
        ("http://ann:secret@host", "no user"),
        ("http://host/?token=secret", "without ?"),
        ("http://host/#x", "without ?"),
    ] {
        let error = HttpSource::new(address, &key).err().expect(address);
        assert!(
            error.contains(part) && !error.contains("secret"),
            "{address}: {error}"
        );
    }
    let bad = Secret::new("a\nb").expect("not empty");
    let error = HttpSource::new("http://host", &bad).err().expect("no key");
    assert!(error.contains("characters"), "{error}");
}

#[tokio::test]
async fn what_is_followed_is_told_once_over_a_loss() {
    let first = format!("{COUNTERS}{}{}", activity("a"), activity("b"));
    let presence = "event: presence\ndata: {\"userId\":1,\"username\":\"ann\",\"status\":\"offline\",\
        \"timestamp\":\"2026-01-01T00:00:00.000Z\",\"lastSeen\":null}\n\nevent: lagged\ndata: {\"missed\":7}\n\n";
    let again = format!(
        "{}{}{presence}event: news\ndata: of later versions\n\n",
        activity("b"),
        activity("c")
    );
    let mut tiny = Tiny::start(vec![
        Script::Ends(stream(&first)),
        Script::Holds(stream(&again)),
    ])
    .await;
    let mut events = tiny.source().follow().expect("live");
    assert_eq!(next(&mut events).await, LiveEvent::Connected);
    let head = tiny.hears().await;
    assert!(
        head.starts_with("GET /prefix/admin/live?recent=100 "),
        "{head}"
    );
    let counters = LiveEvent::Counters {
        online: 3,
        connections: 4,
    };
    assert_eq!(next(&mut events).await, counters);
    let mut ids = Vec::new();
    loop {
        match next(&mut events).await {
            LiveEvent::Activity(activity) => ids.push(activity.id),
            LiveEvent::Lost { .. } => ids.push("lost".into()),
            LiveEvent::Connected => ids.push("connected".into()),
            LiveEvent::Presence {
                username, status, ..
            } => {
                assert_eq!((username.as_str(), status), ("ann", Status::Offline));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ids, ["a", "b", "lost", "connected", "c"]);
    assert_eq!(next(&mut events).await, LiveEvent::Lagged(7));
    let head = tiny.hears().await;
    assert!(
        head.starts_with("GET /prefix/admin/live?recent=1000 "),
        "{head}"
    );
    // Nobody receives any more: the connection is given up.
    drop(events);
    assert_eq!(tiny.hears().await, "gone");
}

#[tokio::test]
async fn silence_is_a_loss_and_so_is_what_is_not_understood() {
    let mut tiny = Tiny::start(vec![
        Script::Holds(stream(COUNTERS)),
        Script::Holds(Vec::new()),
        Script::Holds(stream("event: counters\ndata: {}\n\n")),
        Script::Holds(stream(&"data: x\n".repeat(200_000))),
    ])
    .await;
    let mut source = tiny.source();
    source.pace.silence = Duration::from_millis(100);
    let mut events = source.follow().expect("live");
    assert_eq!(next(&mut events).await, LiveEvent::Connected);
    assert!(matches!(
        next(&mut events).await,
        LiveEvent::Counters { .. }
    ));
    let (why, _) = lost(next(&mut events).await);
    assert!(why.contains("nothing came"), "{why}");
    // Not even an answer.
    let (why, _) = lost(next(&mut events).await);
    assert!(why.contains("nothing came"), "{why}");
    for part in ["counters: missing field", "too long"] {
        assert_eq!(next(&mut events).await, LiveEvent::Connected);
        let (why, _) = lost(next(&mut events).await);
        assert!(why.contains(part), "{why}");
    }
    while tiny.heard.try_recv().is_ok() {}
}

#[tokio::test]
async fn a_refusal_is_not_tried_again_soon() {
    let mut tiny = Tiny::start(vec![
        Script::Ends(answer("500 Internal Server Error", "")),
        Script::Ends(answer("401 Unauthorized", "")),
    ])
    .await;
    let mut source = tiny.source();
    source.pace.longest_wait = Duration::from_secs(3600);
    let mut events = source.follow().expect("live");
    let (_, wait) = lost(next(&mut events).await);
    assert!(wait <= Duration::from_millis(1), "{wait:?}");
    let refused = (REFUSED.to_owned(), Duration::from_secs(3600));
    assert_eq!(lost(next(&mut events).await), refused);
    tiny.hears().await;
}

#[test]
fn waits_double_up_to_the_longest() {
    let key = Secret::new(KEY).expect("not empty");
    let requests = Requests::new("http://host", &key).expect("an address");
    let mut follower = Follower::new(requests, Pace::default());
    let error = SourceError::Lost("gone".into());
    for most in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
        let wait = follower.next_wait(&error).as_secs_f64();
        assert!((most / 2.0..=most).contains(&wait), "{wait} of {most}");
    }
}
