//! How presence ends: signing out, revocation, expiry, a transport or a network that is lost, the server's own end.

use super::{Marker, presence_of};
use crate::harness::{
    Client, Connect, NEVER, Server, Transport, User, now, over_every_transport, process, time,
};
use lastseen::model::Role;
use serde_json::{Value, json};
use std::time::Duration;

over_every_transport!(
    signing_out_ends_presence_at_once,
    signing_out_ends_the_grace,
    a_password_set_beside_the_server_ends_connections,
    a_deleted_account_ends_connections,
    a_credential_that_expires_ends_connections,
    a_lost_transport_has_the_grace,
    a_silent_network_is_noticed,
    a_stopping_server_tells_its_clients,
);

async fn signing_out_ends_presence_at_once(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut marker = Marker::new(&server, &bob).await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let mut app = Client::connect(&server, transport, &ann).await;
    let mut second = Client::connect(&server, transport, Connect::on_device(&ann, "b")).await;
    watching.update(&ann, "online").await;
    // Another sign-in of the same person stays.
    let token = server.sign_in(ann.id, NEVER).await;
    let other = Connect {
        token: token.clone(),
        ..Connect::default()
    };
    let mut other = Client::connect(&server, transport, other).await;
    ann.http.post("/auth/signout", Value::Null).await.data(200);
    app.ended("revoked", 4003).await;
    second.ended("revoked", 4003).await;
    marker.proves_silence(&mut watching).await;
    other.succeed("heartbeat", json!({})).await;
    // The last one's end is the end.
    let before = now();
    let http = crate::harness::Http::new(server.address, &token);
    http.post("/auth/signout", Value::Null).await.data(200);
    let after = now();
    let update = watching.update(&ann, "offline").await;
    let at = time(&update["lastSeen"]);
    assert!(before <= at && at <= after, "{update}");
    other.ended("revoked", 4003).await;
    ann.http.get("/users/me").await.fails(401, "unauthorized");
    session_ended(&server, &ann, "signout").await;
    // And what was signed out does not connect again.
    let mut again = Client::open(server.address, transport, (&ann).into()).await;
    again.refused("unauthorized", 4001).await;
}

/// Every session of `user` has ended for this reason.
async fn session_ended(server: &Server, user: &User, reason: &str) {
    let id = user.id;
    let sql = format!(
        "SELECT ifnull(group_concat(DISTINCT ifnull(end_reason, 'open')), '') FROM sessions WHERE user_id = {id}"
    );
    server.reads(&sql, reason.to_owned()).await;
}

async fn signing_out_ends_the_grace(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut marker = Marker::new(&server, &bob).await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let app = Client::connect(&server, transport, &ann).await;
    watching.update(&ann, "online").await;
    let before = now();
    app.close().await;
    let after = now();
    marker.proves_silence(&mut watching).await;
    ann.http.post("/auth/signout", Value::Null).await.data(200);
    let update = watching.update(&ann, "offline").await;
    let at = time(&update["lastSeen"]);
    assert!(
        before <= at && at <= after,
        "when the connection ended, not when the user signed out: {update}"
    );
}

async fn a_password_set_beside_the_server_ends_connections(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let mut app = Client::connect(&server, transport, &ann).await;
    watching.update(&ann, "online").await;
    ann.http.get("/users/me").await.data(200);
    let database = server.database.to_str().expect("text");
    let command = [
        "user",
        "--database",
        database,
        "set-password",
        "ann",
        "--password-stdin",
    ];
    process::succeed(&command, "a new password").await;
    watching.update(&ann, "offline").await;
    app.ended("revoked", 4002).await;
    ann.http.get("/users/me").await.fails(401, "unauthorized");
    session_ended(&server, &ann, "revoked").await;
}

async fn a_deleted_account_ends_connections(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let mut app = Client::connect(&server, transport, &ann).await;
    watching.update(&ann, "online").await;
    let database = server.database.to_str().expect("text");
    process::succeed(
        &["user", "--database", database, "delete", "ann", "--yes"],
        "",
    )
    .await;
    watching.update(&ann, "offline").await;
    app.ended("revoked", 4002).await;
    ann.http.get("/users/me").await.fails(401, "unauthorized");
    bob.http.get("/users/ann").await.fails(404, "not_found");
    assert_eq!(
        server.read::<i64>("SELECT count(*) FROM sessions WHERE user_id = 1"),
        0
    );
}

async fn a_credential_that_expires_ends_connections(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let bob = server.user("bob").await;
    let ttl = Duration::from_millis(1500);
    let ann = server.user_with("ann", Role::User, ttl).await;
    server.follow(&bob, "ann").await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let mut app = Client::connect(&server, transport, &ann).await;
    watching.update(&ann, "online").await;
    watching.update(&ann, "offline").await;
    app.ended("revoked", 4003).await;
    session_ended(&server, &ann, "revoked").await;
    let mut again = Client::open(server.address, transport, (&ann).into()).await;
    again.refused("unauthorized", 4001).await;
}

async fn a_lost_transport_has_the_grace(transport: Transport) {
    let server = Server::with(|c| {
        c.ping_interval = Duration::from_millis(500);
        c.ping_timeout = Duration::from_millis(500);
    })
    .await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let app = Client::connect(&server, transport, &ann).await;
    watching.update(&ann, "online").await;
    let before = now();
    app.lose().await;
    let update = watching.update(&ann, "offline").await;
    let (at, over) = (time(&update["lastSeen"]), time(&update["timestamp"]));
    assert!(before <= at, "{before} {update}");
    assert!(at.plus(Duration::from_millis(300)) <= over, "{update}");
    session_ended(&server, &ann, "lost").await;
}

async fn a_silent_network_is_noticed(transport: Transport) {
    let timeout = Duration::from_millis(400);
    let server = Server::with(|c| {
        c.offline_grace = Duration::ZERO;
        c.ping_interval = Duration::from_millis(300);
        c.ping_timeout = timeout;
    })
    .await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let mut app = Client::connect(&server, transport, &ann).await;
    watching.update(&ann, "online").await;
    let before = now();
    app.succeed("heartbeat", json!({})).await;
    app.freeze().await;
    let update = watching.update(&ann, "offline").await;
    let (at, noticed) = (time(&update["lastSeen"]), time(&update["timestamp"]));
    assert!(before <= at, "{before} {update}");
    assert!(
        at.plus(timeout) <= noticed,
        "the last that was received, not when that was noticed: {update}"
    );
    server.stored_presence(ann.id, (false, Some(at))).await;
    session_ended(&server, &ann, "lost").await;
    // Whoever answers its pings stays, however long that takes.
    assert_eq!(presence_of(&bob, "bob").await["isOnline"], true);
}

async fn a_stopping_server_tells_its_clients(transport: Transport) {
    let mut server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let mut app = Client::connect(&server, transport, &ann).await;
    let gone = Client::connect(&server, transport, &bob).await;
    let before = now();
    gone.close().await;
    let after = now();
    server.stop().await;
    let stopped = now();
    let told = app.event("server_shutdown").await;
    let wait = told["reconnectAfterMs"].as_u64().expect("milliseconds");
    assert!(wait <= 60_000, "{told}");
    // No DISCONNECT, after which a stock client would not come back.
    let (code, reason) = app.closed().await;
    if transport != Transport::Polling {
        assert_eq!(code, Some(4008));
        let reason: Value = serde_json::from_str(&reason).expect("JSON");
        assert_eq!(reason, told);
    }
    let end = "SELECT end_reason FROM sessions WHERE user_id = ";
    assert_eq!(
        server.read::<String>(&format!("{end}{}", ann.id)),
        "shutdown"
    );
    assert_eq!(server.read::<String>(&format!("{end}{}", bob.id)), "client");
    assert_eq!(
        server.read::<i64>("SELECT count(*) FROM users WHERE is_online"),
        0
    );
    let seen = |user: i64| {
        let sql = format!("SELECT last_seen FROM users WHERE id = {user}");
        lastseen::model::Timestamp::from_millis(server.read(&sql))
    };
    assert!(after <= seen(ann.id) && seen(ann.id) <= stopped);
    assert!(before <= seen(bob.id) && seen(bob.id) <= after, "in grace");
}
