//! The first request of a session, and requests that belong to none.

use crate::harness::Server;
use crate::protocol::Echo;
use crate::protocol::peer::{Heard, Layer, Polling, Socket, opened, request};
use serde_json::{Value, json};

/// All of an open packet but the id.
fn open_of(mut open: Value) -> Value {
    let sid = open["sid"].take();
    assert!(
        sid.as_str().expect("text").len() >= 20,
        "unguessable: {sid}"
    );
    open.as_object_mut().expect("an object").remove("sid");
    open
}

#[tokio::test]
async fn over_polling_the_open_packet_says_everything() {
    let echo = Echo::as_the_suites_ask().await;
    for layer in [Layer::Engine, Layer::Socket] {
        let answer = request(echo.address, "GET", &layer.path("polling"), b"").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.content_type, "text/plain; charset=UTF-8");
        let expected = json!({
            "upgrades": ["websocket"],
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 1_000_000,
        });
        assert_eq!(open_of(opened(&answer.body)), expected);
    }
}

#[tokio::test]
async fn over_websocket_there_is_nothing_to_upgrade_to() {
    let echo = Echo::as_the_suites_ask().await;
    for layer in [Layer::Engine, Layer::Socket] {
        let (_socket, open) = Socket::open(&echo, layer).await;
        let expected = json!({
            "upgrades": [],
            "pingInterval": 300,
            "pingTimeout": 200,
            "maxPayload": 1_000_000,
        });
        assert_eq!(open_of(open), expected);
    }
}

#[tokio::test]
async fn every_session_has_an_id_of_its_own() {
    let echo = Echo::start().await;
    let one = Polling::open(&echo, Layer::Engine).await;
    let two = Polling::open(&echo, Layer::Engine).await;
    assert_ne!(one.sid(), two.sid());
    one.say("4one").await;
    two.say("4two").await;
    two.hear("4two").await;
    one.hear("4one").await;
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_answered_400_with_its_code() {
    let echo = Echo::start().await;
    let good = "EIO=4&transport=polling";
    for (method, query, code, message) in [
        ("GET", "EIO=4", 0, "Transport unknown"),
        ("GET", "EIO=4&transport=", 0, "Transport unknown"),
        ("GET", "EIO=4&transport=pigeon", 0, "Transport unknown"),
        ("GET", "EIO=4&transport=Polling", 0, "Transport unknown"),
        (
            "GET",
            "transport=polling",
            5,
            "Unsupported protocol version",
        ),
        (
            "GET",
            "EIO=&transport=polling",
            5,
            "Unsupported protocol version",
        ),
        (
            "GET",
            "EIO=abc&transport=polling",
            5,
            "Unsupported protocol version",
        ),
        (
            "GET",
            "EIO=3&transport=polling",
            5,
            "Unsupported protocol version",
        ),
        (
            "GET",
            "EIO=5&transport=polling",
            5,
            "Unsupported protocol version",
        ),
        ("POST", good, 2, "Bad handshake method"),
        ("PUT", good, 2, "Bad handshake method"),
        ("DELETE", good, 2, "Bad handshake method"),
        ("OPTIONS", good, 2, "Bad handshake method"),
        (
            "GET",
            "EIO=4&transport=polling&sid=nobody",
            1,
            "Session ID unknown",
        ),
        (
            "POST",
            "EIO=4&transport=polling&sid=nobody",
            1,
            "Session ID unknown",
        ),
        (
            "GET",
            "EIO=4&transport=polling&sid=",
            1,
            "Session ID unknown",
        ),
        ("GET", "EIO=4&transport=polling&j=0", 3, "Bad request"),
        ("GET", "EIO=4&transport=websocket", 3, "Bad request"),
    ] {
        for layer in ["engine.io", "socket.io"] {
            let path = format!("/{layer}/?{query}");
            let answer = request(echo.address, method, &path, b"").await;
            assert_eq!(answer.status, 400, "{method} {path}");
            assert_eq!(answer.content_type, "application/json", "{method} {path}");
            let body: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!(body, json!({"code": code, "message": message}), "{path}");
        }
    }
}

#[tokio::test]
async fn the_version_is_wanted_with_every_request() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    for (method, version) in [
        ("GET", ""),
        ("POST", ""),
        ("GET", "EIO=3&"),
        ("POST", "EIO=3&"),
    ] {
        let path = format!(
            "/engine.io/?{version}transport=polling&sid={}",
            polling.sid()
        );
        let answer = request(echo.address, method, &path, b"4lost").await;
        assert_eq!(answer.status, 400, "{method} {version}");
    }
    let path = format!("/engine.io/?transport=websocket&sid={}", polling.sid());
    assert_eq!(Socket::connect(echo.address, &path).await.err(), Some(400));
    // Nothing of it was taken, and nothing of it was held against the session.
    polling.say("4found").await;
    polling.hear("4found").await;
}

#[tokio::test]
async fn a_session_has_no_other_method_or_transport() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    for method in ["PUT", "DELETE", "PATCH"] {
        let answer = request(echo.address, method, &polling.path(), b"4no").await;
        assert_eq!(answer.status, 400, "{method}");
    }
    let path = polling
        .path()
        .replace("transport=polling", "transport=pigeon");
    let answer = request(echo.address, "GET", &path, b"").await;
    assert_eq!(answer.status, 400);
    polling.say("4yes").await;
    polling.hear("4yes").await;
}

#[tokio::test]
async fn a_websocket_with_bad_parameters_is_refused() {
    let echo = Echo::start().await;
    for query in [
        "transport=websocket",
        "EIO=abc&transport=websocket",
        "EIO=3&transport=websocket",
        "EIO=4",
        "EIO=4&transport=pigeon",
        "EIO=4&transport=polling",
    ] {
        let path = format!("/engine.io/?{query}");
        let refused = Socket::connect(echo.address, &path).await.err();
        // A poll is answered as such, whatever else the request asks for.
        let expected = if query.ends_with("polling") { 200 } else { 400 };
        assert_eq!(refused, Some(expected), "{query}");
    }
}

#[tokio::test]
async fn a_websocket_for_a_session_that_there_is_not_is_closed() {
    let echo = Echo::start().await;
    for layer in [Layer::Engine, Layer::Socket] {
        let path = format!("{}&sid=nobody", layer.path("websocket"));
        let mut socket = Socket::connect(echo.address, &path)
            .await
            .expect("accepted");
        assert_eq!(socket.next().await, Heard::End(Some(4007)));
    }
}

#[tokio::test]
async fn the_last_slash_may_be_missing() {
    let echo = Echo::start().await;
    for path in ["/engine.io", "/socket.io"] {
        let path = format!("{path}?EIO=4&transport=polling");
        assert_eq!(request(echo.address, "GET", &path, b"").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_an_origin_that_is_trusted_may_ask_first() {
    let server = Server::with(|c| {
        c.cors_origin = vec!["https://app.example".parse().expect("an origin")];
    })
    .await;
    let http = server.http();
    let path = "/socket.io/?EIO=4&transport=polling";
    let ask = |origin: &str| {
        http.request("OPTIONS", path)
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "content-type")
    };
    let allowed = http.send(ask("https://app.example")).await;
    assert!((200..300).contains(&allowed.status), "{}", allowed.status);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "https://app.example"
    );
    let other = http.send(ask("https://evil.example")).await;
    assert_eq!(other.header("access-control-allow-origin"), "");
    let open = http
        .request("GET", path)
        .header("Origin", "https://app.example");
    let open = http.send(open).await;
    assert_eq!(open.status, 200);
    assert_eq!(
        open.header("access-control-allow-origin"),
        "https://app.example"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parameter_that_only_looks_like_an_id_opens_a_session_and_is_counted() {
    let server = Server::with(|c| c.max_unauthenticated_per_address = 1).await;
    let http = server.http();
    let path = "/socket.io/?EIO=4&transport=polling&residence=1&xsid=1";
    assert_eq!(http.get(path).await.status, 200);
    http.get(path).await.fails(429, "rate_limited");
}
