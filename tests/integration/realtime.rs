//! Who may connect and what is refused, on every transport; what only `/ws` or only Socket.IO has is in the files
//! named so.

mod doors;
mod raw;
mod socketio;

use crate::harness::{
    Client, Connect, NEVER, Server, Transport, eventually, over_every_transport, soon,
};
use lastseen::model::{KeyRole, Role, Secret};
use serde_json::{Value, json};

over_every_transport!(
    a_bad_credential_is_refused,
    one_too_many_connections_of_a_user_is_refused,
    one_too_many_connections_in_all_is_refused,
    too_many_events_are_refused_and_change_nothing,
    bad_handshakes_are_refused,
);

async fn a_bad_credential_is_refused(transport: Transport) {
    let server = Server::start().await;
    let key = server.key("admin", KeyRole::Admin).await;
    let service = server.key("service", KeyRole::Service).await;
    let ann = server.user("ann").await;
    let unknown = format!("{}A", &ann.token[..ann.token.len() - 1]);
    let unknown = if unknown == ann.token {
        "lst_x".into()
    } else {
        unknown
    };
    for token in [&*key, &*service, "nonsense", &*unknown, "a.b.c"] {
        let connect = Connect {
            token: token.into(),
            ..Connect::default()
        };
        let mut client = Client::open(server.address, transport, connect).await;
        client.refused("unauthorized", 4001).await;
    }
    assert_eq!(server.read::<i64>("SELECT count(*) FROM sessions"), 0);
}

async fn one_too_many_connections_of_a_user_is_refused(transport: Transport) {
    let server = Server::with(|c| c.max_connections_per_user = 2).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let first = Client::connect(&server, transport, &ann).await;
    let mut second = Client::connect(&server, transport, &ann).await;
    let mut third = Client::open(server.address, transport, (&ann).into()).await;
    third.refused("too_many_connections", 4006).await;
    // Neither the others nor anybody else is concerned, and a place that is free can be taken.
    second.succeed("heartbeat", json!({})).await;
    let _bob = Client::connect(&server, transport, &bob).await;
    first.close().await;
    let _again = Client::connect(&server, transport, &ann).await;
}

async fn one_too_many_connections_in_all_is_refused(transport: Transport) {
    let server = Server::with(|c| c.max_connections = 1).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let first = Client::connect(&server, transport, &ann).await;
    let mut second = Client::open(server.address, transport, (&bob).into()).await;
    second.refused("too_many_connections", 4006).await;
    let seen = ann.http.get("/users/bob/presence").await.data(200);
    assert_eq!(seen["isOnline"], false, "who was refused was never here");
    assert_eq!(seen["lastSeen"], Value::Null);
    first.close().await;
    let _second = Client::connect(&server, transport, &bob).await;
}

async fn too_many_events_are_refused_and_change_nothing(transport: Transport) {
    let server = Server::with(|c| {
        (c.event_rate, c.event_burst) = (1, 3);
    })
    .await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let mut app = Client::connect(&server, transport, &ann).await;
    let mut codes = Vec::new();
    // At one a second, many at once are more than three and as many seconds as they take.
    for _ in 0..20 {
        let ack = app.ask("heartbeat", json!({})).await;
        codes.push(ack["error"]["code"].clone());
    }
    assert_eq!(codes[..3], [Value::Null, Value::Null, Value::Null]);
    assert!(codes.contains(&json!("rate_limited")), "{codes:?}");
    let wrong = |code: &Value| !code.is_null() && code != "rate_limited";
    assert!(!codes.iter().any(wrong), "{codes:?}");
    // The connection stays, and is let in again after a while.
    eventually("room for an event", async || {
        let ack = app
            .ask("update_presence", json!({ "status": "offline" }))
            .await;
        let is_refused = ack["error"]["code"] == "rate_limited";
        let seen = bob.http.get("/users/ann/presence").await.data(200);
        assert_eq!(
            seen["isOnline"], is_refused,
            "a refused event changes nothing"
        );
        (!is_refused).then_some(())
    })
    .await;
}

async fn bad_handshakes_are_refused(transport: Transport) {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let bad = Connect {
        device_type: Some("toaster".into()),
        ..(&ann).into()
    };
    let long = Connect::on_device(&ann, &"x".repeat(101));
    for connect in [bad, long] {
        let mut client = Client::open(server.address, transport, connect.clone()).await;
        match transport {
            Transport::Raw => {
                assert_eq!(client.event("error").await["code"], "invalid");
                assert_eq!(client.closed().await.0, Some(1008));
            }
            _ => match client.next().await {
                crate::harness::Said::Refused(why) => {
                    let field = if connect.device_type.is_some() {
                        "deviceType"
                    } else {
                        "deviceId"
                    };
                    assert!(
                        why["message"].as_str().is_some_and(|m| m.contains(field)),
                        "{why}"
                    );
                }
                other => panic!("{other:?}"),
            },
        }
    }
    assert_eq!(server.read::<i64>("SELECT count(*) FROM sessions"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_origin_is_refused() {
    let server = Server::with(|c| {
        c.cors_origin = vec!["https://app.example".parse().expect("an origin")];
    })
    .await;
    let http = server.http();
    let own = format!("http://{}", server.address);
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (path, headers, accepted) in [
        ("/socket.io/?EIO=4&transport=polling", &[][..], 200),
        ("/socket.io/?EIO=4&transport=websocket", &upgrade[..], 101),
        ("/ws", &upgrade[..], 101),
    ] {
        let status = async |origin: Option<&str>| {
            let mut request = http.request("GET", path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(origin) = origin {
                request = request.header("Origin", origin);
            }
            // After a 101 there is no body to wait for.
            let answer = soon("an answer", request.send()).await.expect("an answer");
            let status = answer.status().as_u16();
            if status == 403 {
                let text = answer.text().await.expect("a body");
                let body: Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(body["error"]["code"], "forbidden", "{text}");
            }
            status
        };
        for foreign in [
            "https://evil.example",
            "null",
            "https://app.example:444",
            "http://localhost",
        ] {
            assert_eq!(status(Some(foreign)).await, 403, "{path} {foreign}");
        }
        for welcome in [None, Some(&*own), Some("https://app.example")] {
            assert_eq!(status(welcome).await, accepted, "{path} {welcome:?}");
        }
    }
    // The requests of a session are looked at too.
    let open = http.get("/socket.io/?EIO=4&transport=polling").await;
    let open: Value = serde_json::from_str(&open.text[1..]).expect("JSON");
    let path = format!(
        "/socket.io/?EIO=4&transport=polling&sid={}",
        open["sid"].as_str().expect("an id")
    );
    let post = http
        .request("POST", &path)
        .body("40")
        .header("Origin", "https://evil.example");
    http.send(post).await.fails(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_may_hold_so_many_that_are_not_signed_in() {
    let server = Server::with(|c| c.max_unauthenticated_per_address = 2).await;
    let open = "/socket.io/?EIO=4&transport=polling";
    assert_eq!(server.http().get(open).await.status, 200);
    let held = crate::harness::socket::Socket::open(server.address, "/ws").await;
    let refused = server.http().get(open).await;
    refused.fails(429, "rate_limited");
    server.http().get("/ws").await.fails(429, "rate_limited");
    // Whoever signs in gives the place back.
    drop(held);
    eventually("a place", async || {
        let (status, text) = {
            let answer = server.http().get(open).await;
            (answer.status, answer.text)
        };
        assert!(matches!(status, 200 | 429), "{text}");
        (status == 200).then_some(())
    })
    .await;
    server.http().get(open).await.fails(429, "rate_limited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_signed_in_no_longer_counts() {
    let server = Server::with(|c| c.max_unauthenticated_per_address = 1).await;
    let ann = server.user("ann").await;
    let mut held = Vec::new();
    // Twice, so that each transport is followed by another.
    for transport in [Transport::ALL, Transport::ALL].concat() {
        held.push(Client::connect(&server, transport, &ann).await);
    }
    for client in &mut held {
        client.succeed("heartbeat", json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_applications_token_connects() {
    use jsonwebtoken::{EncodingKey, Header, encode};
    let secret = "a secret of at least thirty-two bytes";
    let server = Server::with(|c| c.jwt_secret = Secret::new(secret)).await;
    let id = server.never_seen("ann", Role::User).await;
    server.write(&format!(
        "UPDATE users SET external_id = 'host-7' WHERE id = {id}"
    ));
    let bob = server.user("bob").await;
    server.follow(&bob, "ann").await;
    let exp = crate::harness::now().plus(NEVER).as_millis() / 1000;
    let claims = json!({ "sub": "host-7", "exp": exp });
    let key = EncodingKey::from_secret(secret.as_bytes());
    let token = encode(&Header::default(), &claims, &key).expect("a token");
    for transport in Transport::ALL {
        let mut watching = Client::connect(&server, Transport::Raw, &bob).await;
        let connect = Connect {
            token: token.clone(),
            ..Connect::default()
        };
        let client = Client::connect(&server, transport, connect).await;
        assert_eq!(watching.event("presence_update").await["userId"], id);
        client.close().await;
        assert_eq!(watching.event("presence_update").await["status"], "offline");
        watching.close().await;
    }
    let sessions = format!("SELECT count(*) FROM sessions WHERE user_id = {id}");
    assert_eq!(
        server.read::<i64>(&sessions),
        1,
        "the same credential, and soon enough"
    );
}
