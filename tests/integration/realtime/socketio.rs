//! What only Socket.IO has: namespaces, packets that are none, Engine.IO's own errors.

use crate::harness::{Client, Said, Server, Transport, over_socketio};
use serde_json::{Value, json};

over_socketio!(
    other_namespaces_are_refused,
    a_broken_packet_ends_the_connection,
    binary_events_are_parsed,
);

async fn other_namespaces_are_refused(transport: Transport) {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let mut client = Client::connect(&server, transport, &ann).await;
    let connect = format!("40/admin,{}", json!({ "token": ann.token }));
    client.send_text(&connect).await;
    // The answer names the namespace, which the harness leaves out.
    let expected = json!({ "message": "Invalid namespace" });
    assert_eq!(client.next().await, Said::Refused(expected));
    client.succeed("heartbeat", json!({})).await;
}

async fn a_broken_packet_ends_the_connection(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = std::time::Duration::ZERO).await;
    for bad in [
        "4zzz",
        "42",
        "42{}",
        "42[]",
        "42[null]",
        "45",
        "43x",
        "9",
        "451-[\"x\",{\"_placeholder\":true,\"num\":1}]",
        "40{\"token\":7}",
    ] {
        let name = format!("a{}", server.read::<i64>("SELECT count(*) FROM users"));
        let ann = server.user(&name).await;
        let mut client = Client::connect(&server, transport, &ann).await;
        client.send_anyhow(bad).await;
        let (code, _) = client.closed().await;
        if transport != Transport::Polling {
            assert_eq!(code, Some(4007), "{bad}");
        }
        server.stored_offline(ann.id).await;
    }
}

async fn binary_events_are_parsed(transport: Transport) {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let mut client = Client::connect(&server, transport, &ann).await;
    client
        .send_text(
            r#"451-7["update_presence",{"status":"offline","x":{"_placeholder":true,"num":0}}]"#,
        )
        .await;
    client.send_binary(b"\x00\x01\x02").await;
    let expected = json!({ "success": true, "data": { "status": "offline" } });
    assert_eq!(client.next().await, Said::Ack(7, expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engine_io_fails_as_it_prescribes() {
    let server = Server::start().await;
    let http = server.http();
    for (method, path, code, message) in [
        ("GET", "/socket.io/?EIO=4", 0, "Transport unknown"),
        (
            "GET",
            "/socket.io/?EIO=4&transport=pigeon",
            0,
            "Transport unknown",
        ),
        (
            "GET",
            "/socket.io/?EIO=4&transport=polling&sid=nobody",
            1,
            "Session ID unknown",
        ),
        (
            "POST",
            "/socket.io/?EIO=4&transport=polling",
            2,
            "Bad handshake method",
        ),
        (
            "GET",
            "/socket.io/?EIO=4&transport=websocket",
            3,
            "Bad request",
        ),
        (
            "GET",
            "/socket.io/?EIO=3&transport=polling",
            5,
            "Unsupported protocol version",
        ),
    ] {
        let answer = http.send(http.request(method, path)).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(
            answer.json,
            json!({ "code": code, "message": message }),
            "{path}"
        );
    }
    // With and without the last slash: clients differ.
    let open = http.get("/socket.io/?EIO=4&transport=polling").await;
    assert_eq!(open.status, 200);
    let open: Value = serde_json::from_str(&open.text[1..]).expect("JSON");
    assert_eq!(
        (&open["pingInterval"], &open["pingTimeout"]),
        (&json!(25_000), &json!(20_000))
    );
    let sid = open["sid"].as_str().expect("an id");
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let long = http.request("POST", &path).body("4".repeat(65_537));
    assert_eq!(http.send(long).await.status, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_may_be_in_a_header_or_the_query() {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let polling = "/socket.io/?EIO=4&transport=polling";
    for (http, path) in [
        (ann.http.clone(), polling.to_owned()),
        (server.http(), format!("{polling}&token={}", ann.token)),
    ] {
        let open = http.get(&path).await;
        let open: Value = serde_json::from_str(&open.text[1..]).expect("JSON");
        let sid = open["sid"].as_str().expect("an id");
        let path = format!("{polling}&sid={sid}");
        let post = server.http().request("POST", &path).body("40");
        assert_eq!(http.send(post).await.text, "ok");
        let answer = server.http().get(&path).await;
        assert!(answer.text.starts_with("40{"), "{}", answer.text);
        assert!(answer.text.contains("presence_snapshot"), "{}", answer.text);
    }
}
