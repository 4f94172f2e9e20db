//! What only raw WebSockets at `/ws` have: the `auth` frame, close codes of RFC 6455, slow consumers.

use crate::harness::socket::Socket;
use crate::harness::{Client, Connect, Server, Transport, User, eventually};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// Signed in with the first frame; the snapshot is read.
async fn signed_in(server: &Server, user: &User) -> Socket {
    let mut socket = Socket::open(server.address, "/ws").await;
    let auth = json!({ "event": "auth", "data": { "token": user.token } });
    socket.send(TEXT, auth.to_string().as_bytes(), true).await;
    let (opcode, payload) = socket.frame().await.expect("a snapshot");
    let text = String::from_utf8(payload).expect("text");
    assert_eq!(opcode, 1);
    assert!(
        text.starts_with(r#"{"event":"presence_snapshot""#),
        "{text}"
    );
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_frame_may_bring_the_token() {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let nobody = Connect::default();
    let auth = |data: Value| json!({ "event": "auth", "data": data, "ack": 7 }).to_string();
    let mut client = Client::open(server.address, Transport::Raw, nobody.clone()).await;
    let data = json!({ "token": ann.token, "deviceId": "phone", "deviceType": "android" });
    client.send_text(&auth(data)).await;
    let ack = crate::harness::Said::Ack(7, json!({ "success": true, "data": {} }));
    assert_eq!(client.next().await, ack);
    client.event("presence_snapshot").await;
    let device = "SELECT ifnull(max(device_id || ' ' || device_type), '') FROM sessions";
    server.reads(device, "phone android".to_owned()).await;
    // A second one is an event that there is not.
    assert_eq!(client.fail("auth", json!({})).await, "unknown_event");

    for first in [
        auth(json!({ "token": "nonsense" })),
        auth(json!({})),
        auth(json!("x")),
        json!({ "event": "heartbeat", "data": {} }).to_string(),
        "[]".into(),
        "{".into(),
    ] {
        let mut client = Client::open(server.address, Transport::Raw, nobody.clone()).await;
        client.send_text(&first).await;
        let code = loop {
            match client.next().await {
                crate::harness::Said::Closed(code, _) => break code,
                crate::harness::Said::Event(name, _) => assert_eq!(name, "error"),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(code, Some(4001), "{first}");
    }
    // In the query too, for browsers, which cannot send a header.
    let path = format!("/ws?token={}&deviceId=tab", ann.token);
    let mut socket = Socket::open(server.address, &path).await;
    let (_, payload) = socket.frame().await.expect("a snapshot");
    assert!(String::from_utf8_lossy(&payload).contains("presence_snapshot"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_in_time_it_is_closed() {
    let server = Server::start().await;
    let mut client = Client::open(server.address, Transport::Raw, Connect::default()).await;
    assert_eq!(client.closed().await.0, Some(4004));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_frame_that_is_no_event_is_answered() {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let mut client = Client::connect(&server, Transport::Raw, &ann).await;
    for bad in [
        "",
        "x",
        "[]",
        "{}",
        "null",
        r#"{"event":7}"#,
        r#"{"event":"heartbeat","ack":-1}"#,
    ] {
        client.send_text(bad).await;
        let error = client.event("error").await;
        assert_eq!(error["code"], "bad_frame", "{bad}");
        assert!(error["message"].is_string());
    }
    let deep = format!(
        r#"{{"event":"heartbeat","data":{}1{}}}"#,
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    client.send_text(&deep).await;
    assert_eq!(client.ask("heartbeat", json!({})).await["success"], true);
    // As long as may be: 64 KiB in all.
    let frame = |length: usize| {
        let frame = json!({ "event": "heartbeat", "data": { "x": "" }, "ack": 99 }).to_string();
        frame.replace(
            r#""x":"""#,
            &format!(r#""x":"{}""#, "x".repeat(length - frame.len())),
        )
    };
    let longest = frame(65_536);
    assert_eq!(longest.len(), 65_536);
    client.send_text(&longest).await;
    loop {
        match client.next().await {
            crate::harness::Said::Ack(99, _) => break,
            // What the deep one was answered.
            crate::harness::Said::Event(name, _) => assert_eq!(name, "error"),
            other => panic!("{other:?}"),
        }
    }
    client.send_text(&frame(65_537)).await;
    assert_eq!(client.closed().await.0, Some(1009));
    let mut client = Client::connect(&server, Transport::Raw, &ann).await;
    client.send_message(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(client.closed().await.0, Some(1003));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_protocol_is_closed_with_its_code() {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    for (first, payload, masked, code) in [
        (TEXT, &b"{\"event\":\"heartbeat\"}"[..], false, 1002),
        (TEXT, b"\xff\xfe", true, 1007),
        (TEXT, b"{\"event\":\"\xc3\"}", true, 1007),
        (BINARY, b"x", true, 1003),
        // A reserved bit, a reserved opcode, a continuation of nothing, a control frame too long or in parts.
        (0xC1, b"x", true, 1002),
        (0x83, b"x", true, 1002),
        (0x80, b"x", true, 1002),
        (PING, &[0; 126], true, 1002),
        (0x09, b"x", true, 1002),
        (CLOSE, b"\x03", true, 1002),
        (CLOSE, b"\x03\xed", true, 1002),
        (TEXT, &[b' '; 65_537], true, 1009),
    ] {
        let mut socket = signed_in(&server, &ann).await;
        socket.send(first, payload, masked).await;
        let got = socket.close_code().await;
        assert_eq!(
            got,
            Some(code),
            "{first:#x} {masked} {:?}",
            &payload[..payload.len().min(8)]
        );
    }
    // A ping is answered with its own payload, a close with its own code.
    let mut socket = signed_in(&server, &ann).await;
    socket.send(PING, b"you there?", true).await;
    assert_eq!(socket.frame().await, Some((10, b"you there?".to_vec())));
    socket.send(CLOSE, &4242u16.to_be_bytes(), true).await;
    assert_eq!(socket.close_code().await, Some(4242));
    server
        .reads("SELECT count(*) FROM sessions WHERE end_reason IS NULL", 0)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_upgrade_it_is_426() {
    let server = Server::start().await;
    let answer = server.http().get("/ws").await;
    answer.fails(426, "upgrade_required");
    assert_eq!(answer.header("upgrade"), "websocket");
    assert!(answer.header("connection").eq_ignore_ascii_case("upgrade"));
    let old = server
        .http()
        .request("GET", "/ws")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "8")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let answer = server.http().send(old).await;
    answer.fails(426, "upgrade_required");
    assert_eq!(answer.header("sec-websocket-version"), "13");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_closed() {
    let server = Server::with(|c| c.offline_grace = Duration::ZERO).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let participants = json!({ "participants": ["ann"] });
    let opened = bob.http.post("/messages/conversations", participants);
    let id = opened.await.data(201)["conversationId"].clone();
    let mut slow = signed_in(&server, &ann).await;
    let mut other = Client::connect(&server, Transport::Raw, &ann).await;
    let path = format!("/messages/conversations/{id}/messages");
    let text = "\u{1F980}".repeat(10_000);
    let connections = "SELECT count(*) FROM sessions WHERE end_reason IS NULL";
    server.reads(connections, 1).await;
    let mut sent = 0;
    let mut code = None;
    // 1 MiB may wait, and what the system's buffers take beside that.
    while sent < 300 {
        let posted = bob.http.post(&path, json!({ "text": text })).await;
        posted.data(201);
        assert_eq!(other.event("message").await["message"]["text"], text);
        sent += 1;
        if sent % 30 == 0 {
            let why = server.metric("lastseen_connections").await;
            if why < 2.0 {
                code = slow.close_code().await;
                break;
            }
        }
    }
    assert_eq!(code, Some(4005), "after {sent} messages");
    // Nobody else is concerned.
    other.succeed("heartbeat", json!({})).await;
    eventually("one connection", async || {
        (server.metric("lastseen_connections").await == 1.0).then_some(())
    })
    .await;
}
