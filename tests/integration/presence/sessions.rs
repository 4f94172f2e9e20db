//! The rows of `sessions`: one for each stretch of being online on one device.

use crate::harness::{Client, Connect, NEVER, Server, Transport, User, over_every_transport};
use serde_json::{Value, json};
use std::time::Duration;

over_every_transport!(
    a_device_comes_back_to_its_session,
    after_signing_out_a_session_is_another,
    each_device_has_its_own_session,
    without_a_device_the_sign_in_is_it,
    after_the_resume_time_a_session_is_another,
);

/// Sessions of a user: device, whether open, end reason; oldest first.
async fn sessions(server: &Server, user: &User, expected: &[(&str, &str)]) {
    let sql = format!(
        "SELECT ifnull(group_concat(ifnull(device_id, '-') || ':' || ifnull(end_reason, 'open'), ' '), '')
         FROM (SELECT * FROM sessions WHERE user_id = {} ORDER BY id)",
        user.id
    );
    let expected: Vec<String> = expected.iter().map(|(d, r)| format!("{d}:{r}")).collect();
    server.reads(&sql, expected.join(" ")).await;
}

fn on(user: &User, device: &str) -> Connect {
    Connect {
        device_type: Some("ios".into()),
        ..Connect::on_device(user, device)
    }
}

async fn a_device_comes_back_to_its_session(transport: Transport) {
    let server = Server::with(|c| c.session_resume = NEVER).await;
    let ann = server.user("ann").await;
    let mut app = Client::connect(&server, transport, on(&ann, "phone")).await;
    sessions(&server, &ann, &[("phone", "open")]).await;
    let id: String = server.read("SELECT id FROM sessions");
    let started: i64 = server.read("SELECT started_at FROM sessions");
    let stamp = i64::from_str_radix(&id.replace('-', "")[..12], 16).expect("hexadecimal");
    assert_eq!(stamp, started, "a UUIDv7 of the start: {id}");
    assert_eq!(&id[14..15], "7");
    let columns = "SELECT device_type || ' ' || ip_address || ' ' || boot_id FROM sessions";
    assert_eq!(server.read::<String>(columns), "ios 127.0.0.1 1");

    app.go("offline").await;
    sessions(&server, &ann, &[("phone", "client")]).await;
    let end = "SELECT ended_at = (SELECT last_seen FROM users WHERE id = user_id) FROM sessions";
    server.reads(end, true).await;
    app.go("online").await;
    sessions(&server, &ann, &[("phone", "open")]).await;
    app.close().await;
    sessions(&server, &ann, &[("phone", "client")]).await;
    let app = Client::connect(&server, transport, on(&ann, "phone")).await;
    sessions(&server, &ann, &[("phone", "open")]).await;
    app.lose().await;
    sessions(&server, &ann, &[("phone", "lost")]).await;
    let _app = Client::connect(&server, transport, on(&ann, "phone")).await;
    sessions(&server, &ann, &[("phone", "open")]).await;
    assert_eq!(
        server.read::<String>("SELECT id FROM sessions"),
        id,
        "the same one"
    );
    assert_eq!(
        server.read::<i64>("SELECT started_at FROM sessions"),
        started
    );
}

async fn after_signing_out_a_session_is_another(transport: Transport) {
    let server = Server::with(|c| c.session_resume = NEVER).await;
    let ann = server.user("ann").await;
    let _app = Client::connect(&server, transport, on(&ann, "phone")).await;
    ann.http.post("/auth/signout", Value::Null).await.data(200);
    sessions(&server, &ann, &[("phone", "signout")]).await;
    let token = server.sign_in(ann.id, NEVER).await;
    let ann = User { token, ..ann };
    let _app = Client::connect(&server, transport, on(&ann, "phone")).await;
    sessions(&server, &ann, &[("phone", "signout"), ("phone", "open")]).await;
}

async fn each_device_has_its_own_session(transport: Transport) {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let phone = Client::connect(&server, transport, on(&ann, "phone")).await;
    let twice = Client::connect(&server, transport, on(&ann, "phone")).await;
    let mut tablet = Client::connect(&server, transport, on(&ann, "tablet")).await;
    sessions(&server, &ann, &[("phone", "open"), ("tablet", "open")]).await;
    phone.close().await;
    tablet.go("offline").await;
    sessions(&server, &ann, &[("phone", "open"), ("tablet", "client")]).await;
    twice.close().await;
    sessions(&server, &ann, &[("phone", "client"), ("tablet", "client")]).await;
    server
        .reads("SELECT is_online FROM users WHERE id = 1", 0)
        .await;
}

async fn without_a_device_the_sign_in_is_it(transport: Transport) {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let first = Client::connect(&server, transport, &ann).await;
    sessions(&server, &ann, &[("-", "open")]).await;
    let token = server.sign_in(ann.id, NEVER).await;
    let other = User {
        token,
        ..ann.clone()
    };
    let _second = Client::connect(&server, transport, &other).await;
    sessions(&server, &ann, &[("-", "open"), ("-", "open")]).await;
    first.close().await;
    sessions(&server, &ann, &[("-", "client"), ("-", "open")]).await;
    let _first = Client::connect(&server, transport, &ann).await;
    sessions(&server, &ann, &[("-", "open"), ("-", "open")]).await;
}

async fn after_the_resume_time_a_session_is_another(transport: Transport) {
    let server = Server::with(|c| {
        c.session_resume = Duration::ZERO;
        c.offline_grace = Duration::ZERO;
    })
    .await;
    let ann = server.user("ann").await;
    let mut app = Client::connect(&server, transport, on(&ann, "phone")).await;
    app.go("offline").await;
    sessions(&server, &ann, &[("phone", "client")]).await;
    app.go("online").await;
    sessions(&server, &ann, &[("phone", "client"), ("phone", "open")]).await;
    assert_eq!(app.ask("heartbeat", json!({})).await["success"], true);
}
