//! What is believed of a client's address and of the page it is on, with a proxy in front and without.

use crate::harness::{Answer, Server, soon};
use serde_json::Value;

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";

/// Each way to begin a connection, with the status of one that is accepted.
const DOORS: [(&str, u16); 3] = [
    (OPEN, 200),
    ("/socket.io/?EIO=4&transport=websocket", 101),
    ("/ws", 101),
];

async fn behind_a_proxy() -> Server {
    Server::with(|c| c.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")]).await
}

/// Knocks at a door; a WebSocket lives as long as the answer.
async fn knock(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> reqwest::Response {
    let mut request = server.http().request("GET", path);
    if !path.contains("polling") {
        for (name, value) in [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            request = request.header(name, value);
        }
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    soon("an answer", request.send()).await.expect("an answer")
}

async fn status(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    knock(server, path, headers).await.status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_that_a_proxy_names_counts_if_it_is_trusted() {
    let (behind, open) = (behind_a_proxy().await, Server::start().await);
    let page = [
        ("Origin", "https://chat.example"),
        ("X-Forwarded-Host", "chat.example"),
    ];
    for (path, accepted) in DOORS {
        assert_eq!(status(&behind, path, &page).await, accepted, "{path}");
        assert_eq!(status(&open, path, &page).await, 403, "{path}");
        let own = format!("http://{}", behind.address);
        let other = [("Origin", &*own), ("X-Forwarded-Host", "chat.example")];
        assert_eq!(status(&behind, path, &other).await, 403, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_apps_can_be_listed() {
    let server = Server::with(|c| {
        c.cors_origin = vec!["capacitor://localhost".parse().expect("an origin")];
    })
    .await;
    for (path, accepted) in DOORS {
        let own = [("Origin", "capacitor://localhost")];
        assert_eq!(status(&server, path, &own).await, accepted, "{path}");
        let other = [("Origin", "ionic://localhost")];
        assert_eq!(status(&server, path, &other).await, 403, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_before_the_sign_in_are_by_the_address_behind_the_proxy() {
    for (path, accepted) in DOORS {
        let server = Server::with(|c| {
            c.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
            c.max_unauthenticated_per_address = 1;
        })
        .await;
        let from = async |address: &str| {
            let headers = [("X-Forwarded-For", address)];
            knock(&server, path, &headers).await
        };
        let held = from("2001:db8:7:7::1").await;
        assert_eq!(held.status().as_u16(), accepted, "{path}");
        // The rest of the /64 is the same customer's, whatever stands further left.
        for same in ["2001:db8:7:7::1", "203.0.113.9, 2001:db8:7:7:ffff::2"] {
            let refused = from(same).await;
            assert_eq!(refused.status().as_u16(), 429, "{path} {same}");
            let retry = refused.headers().get("retry-after").expect("a time");
            assert!(
                retry
                    .to_str()
                    .expect("text")
                    .parse::<u64>()
                    .expect("seconds")
                    > 0
            );
        }
        for other in ["2001:db8:7:8::1", "203.0.113.9"] {
            let other = from(other).await;
            assert_eq!(other.status().as_u16(), accepted, "{path}");
        }
        drop(held);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_cannot_be_had_by_making_up_an_address_or_a_session() {
    let server = Server::with(|c| c.max_unauthenticated_per_address = 1).await;
    let first = [("X-Forwarded-For", "192.0.2.1")];
    assert_eq!(status(&server, OPEN, &first).await, 200);
    for headers in [
        &[("X-Forwarded-For", "192.0.2.2")][..],
        &[("Forwarded", "for=192.0.2.2")],
    ] {
        for (path, _) in DOORS {
            assert_eq!(status(&server, path, headers).await, 429, "{path}");
        }
    }
    // What only looks like a session's request opens one, and needs a place as well.
    for more in ["&xsid=1", "&x=sid=", "&Sid=1"] {
        for transport in ["polling", "websocket"] {
            let path = format!("/socket.io/?EIO=4&transport={transport}{more}");
            assert_eq!(status(&server, &path, &[]).await, 429, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_kept_with_the_address_behind_the_proxy() {
    let (behind, open) = (behind_a_proxy().await, Server::start().await);
    for (server, expected) in [(&behind, "198.51.100.7"), (&open, "127.0.0.1")] {
        let headers = [(
            "Forwarded",
            "for=203.0.113.9, for=\"198.51.100.7:4711\";proto=https, for=127.0.0.5",
        )];
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let raw = knock(server, &format!("/ws?token={}", ann.token), &headers).await;
        assert_eq!(raw.status().as_u16(), 101);
        let text = knock(server, OPEN, &headers).await.text();
        let opened: Value = serde_json::from_str(&text.await.expect("a body")[1..]).expect("JSON");
        let path = format!("{OPEN}&sid={}", opened["sid"].as_str().expect("an id"));
        let packet = format!("40{{\"token\":\"{}\"}}", bob.token);
        let post = server.http().request("POST", &path).body(packet);
        let answer: Answer = server.http().send(post).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        for user in [ann, bob] {
            let sql = format!(
                "SELECT count(*) FROM sessions WHERE user_id = {} AND ip_address = '{expected}'",
                user.id
            );
            server.reads::<i64>(&sql, 1).await;
        }
        drop(raw);
    }
}
