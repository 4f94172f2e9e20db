//! The activity log over the network: what the server logs, what is sent to it, and what a restart leaves.

use crate::harness::{Answer, Client, Http, Server, Transport, now, places};
use lastseen::model::{Clock, KeyRole};
use serde_json::{Value, json};
use std::time::Duration;

/// The rows there are, oldest first, each as action, target and metadata.
const ROWS: &str = "SELECT ifnull(group_concat(action || ' ' || ifnull(target_type || ':' || target_id, '-') \
     || ' ' || metadata, '\n'), '') FROM (SELECT * FROM user_activity_logs ORDER BY id)";

async fn log(http: &Http, key: Option<&str>, body: &Value) -> Answer {
    let mut request = http
        .request("POST", "/activities")
        .header("Content-Type", "application/json")
        .body(body.to_string());
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    http.send(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_do_is_logged_by_itself() {
    // Moved by hand, so that rows are in order and the sign-in lasted a minute.
    let clock = Clock::manual(now());
    let server = Server::with_clock(clock.clone(), |_| {}).await;
    let later = || clock.advance(Duration::from_secs(15));
    let account = json!({"username": "ann", "password": "a good password"});
    let sign = async |path: &str| {
        let nobody = server.http();
        let request = nobody
            .request("POST", path)
            .header("X-Device-Type", "ios")
            .header("Content-Type", "application/json")
            .body(account.to_string());
        nobody.send(request).await
    };
    let signed_up = sign("/auth/signup").await.data(201);
    let id = signed_up["user"]["id"].as_i64().expect("an id");
    let login = r#"login - {"device":"ios","method":"email"}"#.to_owned();
    server.reads(ROWS, login.clone()).await;
    later();
    let token = sign("/auth/signin").await.data(200)["token"].clone();
    let ann = Http::new(server.address, token.as_str().expect("a token"));
    let bob = server.user("bob").await;
    later();
    // The second one is nothing new.
    for status in [201, 200] {
        let answer = ann.post("/users/bob/follow", Value::Null).await;
        answer.data(status);
    }
    let with = json!({ "participants": ["bob"] });
    let opened = ann.post("/messages/conversations", with).await.data(201);
    let to = &opened["conversationId"];
    let path = format!("/messages/conversations/{to}/messages");
    later();
    ann.post(&path, json!({"text": "hello"})).await.data(201);
    clock.advance(Duration::from_millis(30_999));
    ann.post("/auth/signout", Value::Null).await.data(200);
    // What fails is not logged.
    let wrong = json!({"username": "ann", "password": "a wrong password"});
    let answer = server.http().post("/auth/signin", wrong).await;
    answer.fails(401, "wrong_credentials");
    let expected = [
        login.clone(),
        login,
        format!(r#"user_followed user:{0} {{"targetUserId":{0}}}"#, bob.id),
        format!(r#"message_sent conversation:{to} {{"conversationId":{to}}}"#),
        r#"logout - {"duration_seconds":60}"#.to_owned(),
    ];
    server.reads(ROWS, expected.join("\n")).await;
    let whose = format!("SELECT count(*) FROM user_activity_logs WHERE user_id = {id}");
    assert_eq!(server.read::<i64>(&whose), 5);
    let from = "SELECT group_concat(DISTINCT ip_address) FROM user_activity_logs";
    assert_eq!(server.read::<String>(from), "127.0.0.1");
    assert_eq!(server.metric("lastseen_activity_dropped_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_with_its_own_sign_in_logs_it_here() {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let key = server.key("service", KeyRole::Service).await;
    let service = Http::new(server.address, &key);
    server.never_seen("bob", lastseen::model::Role::User).await;
    let at = "2026-01-02T03:04:05.678Z";
    let sent = json!([
        {"action": "login", "username": "bob", "timestamp": at, "ipAddress": "192.0.2.1"},
        {"action": "video_watched", "username": "bob", "timestamp": "2026-01-02T03:04:06.000Z"},
    ]);
    let logged = log(&service, None, &sent).await.data(201);
    assert_eq!(logged["accepted"], 2);
    let bob = ann.http.get("/users/bob").await.data(200);
    assert_eq!(bob["lastLoginAt"], at);
    let bob = ann.http.get("/users/bob/presence").await.data(200);
    assert_eq!(bob["lastActiveAt"], "2026-01-02T03:04:06.000Z");
    let bad = json!([
        {"action": "x", "username": "bob"},
        {"action": "x", "username": "nobody.here"},
        {"action": "video_posted", "userId": 1, "targetType": "user"},
    ]);
    let error = log(&service, None, &bad).await.fails(422, "invalid");
    let details = error["details"].as_array().expect("details");
    let named: Vec<_> = details
        .iter()
        .map(|d| (d["index"].as_u64(), d["field"].as_str()))
        .collect();
    let expected = [(Some(1), Some("username")), (Some(2), Some("targetType"))];
    assert_eq!(named, expected);
    let count = "SELECT count(*) FROM user_activity_logs";
    assert_eq!(server.read::<i64>(count), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_after_a_restart_is_answered_as_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("lastseen.db");
    let on = async || Server::on(&database, Clock::system(), |_| {}).await;
    let mut server = on().await.expect("a server on a new database");
    let ann = server.user("ann").await;
    let sent = json!([{"action": "x"}, {"action": "y"}]);
    let first = log(&ann.http, Some("k"), &sent).await.data(201);
    server.stop().await;
    let server = on().await.expect("a server on the same database");
    let ann = Http::new(server.address, &ann.token);
    assert_eq!(log(&ann, Some("k"), &sent).await.data(201), first);
    let count = "SELECT count(*) FROM user_activity_logs";
    assert_eq!(server.read::<i64>(count), 2);
    let other = log(&ann, Some("k"), &json!({"action": "x"})).await;
    other.fails(422, "invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_locked_what_is_sent_is_refused_and_not_written_later() {
    let server = Server::start().await;
    let ann = server.user("ann").await;
    let lock = rusqlite::Connection::open(&server.database).expect("a database");
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let refused = log(&ann.http, Some("k"), &json!({"action": "x"})).await;
    refused.fails(503, "unavailable");
    lock.execute_batch("COMMIT").expect("unlocked");
    // Only an answer that was given is kept: another body may come under the key.
    let answer = log(&ann.http, Some("k"), &json!({"action": "y"})).await;
    answer.data(201);
    let actions = "SELECT group_concat(action) FROM user_activity_logs";
    assert_eq!(server.read::<String>(actions), "y");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_known_actions_where_that_is_asked() {
    let server = Server::with(|config| config.strict_actions = true).await;
    let ann = server.user("ann").await;
    let error = log(&ann.http, None, &json!({"action": "story_viewed"})).await;
    error.fails(422, "invalid");
    log(&ann.http, None, &json!({"action": "video_posted"}))
        .await
        .data(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_people_are_is_kept_with_what_they_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("places.mmdb");
    let rows = [("127.0.0.0/8", "NP", &["Bagmati", "Kathmandu"][..])];
    std::fs::write(&path, places::database(&rows)).expect("written");
    let server = Server::with(|config| {
        config.geoip = Some(path);
        config.ip_privacy = lastseen::model::IpPrivacy::Truncated;
    })
    .await;
    let ann = server.user("ann").await;
    log(&ann.http, None, &json!({"action": "x"}))
        .await
        .data(201);
    let place = "SELECT country_code || ' ' || region || ' ' || ip_address FROM user_activity_logs";
    assert_eq!(server.read::<String>(place), "NP Bagmati 127.0.0.0");
    // A key tells for others, and of itself nothing is taken.
    let key = server.key("service", KeyRole::Service).await;
    let service = Http::new(server.address, &key);
    let sent = json!({"action": "y", "userId": ann.id, "ipAddress": "203.0.113.9"});
    log(&service, None, &sent).await.data(201);
    let place = "SELECT ifnull(country_code, 'none') || ' ' || ip_address FROM user_activity_logs WHERE action = 'y'";
    assert_eq!(server.read::<String>(place), "none 203.0.113.0");
    let connected = Client::connect(&server, Transport::Raw, &ann).await;
    let country = "SELECT group_concat(country_code) FROM sessions";
    server.reads(country, Some("NP".to_owned())).await;
    drop(connected);
}
