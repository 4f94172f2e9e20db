//! What is for administrators: who may ask, and the live stream as one who follows it reads it.

use super::world::{World, request};
use crate::bus::live::{LiveEvent, MAX_FOLLOWERS, PresenceChange};
use crate::model::*;
use crate::store::UserChange;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use poem::Endpoint as _;
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

/// Whatever is waited for is there by then, or never.
const DEADLINE: Duration = Duration::from_secs(15);

const ROUTES: [(&str, &str); 5] = [
    ("GET", "/admin/online"),
    ("GET", "/admin/users/ann/why"),
    ("DELETE", "/admin/connections/1"),
    ("DELETE", "/admin/users/ann/sessions"),
    ("GET", "/admin/live"),
];

/// One who follows.
struct Events {
    chunks: BoxStream<'static, io::Result<Bytes>>,
    text: String,
}

impl Events {
    async fn follow(world: &World, token: &str) -> Self {
        let request =
            request("GET", "/admin/live").header("Authorization", format!("Bearer {token}"));
        let response = world.api.get_response(request.finish()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.content_type(), Some("text/event-stream"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let chunks = response.into_body().into_bytes_stream().boxed();
        Self::of(chunks)
    }

    fn of(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self {
            chunks: chunks.boxed(),
            text: String::new(),
        }
    }

    /// The next event or comment; `None` at the end.
    async fn next_block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let next = tokio::time::timeout(DEADLINE, self.chunks.next());
            let chunk = next.await.expect("an event or the end")?;
            let chunk = chunk.expect("no failure");
            self.text += std::str::from_utf8(&chunk).expect("UTF-8");
        }
    }

    /// The next event.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.next_block().await?;
            if block == ": keep-alive" {
                continue;
            }
            let (event, data) = block.split_once('\n').expect("two lines");
            let event = event.strip_prefix("event: ").expect("a word");
            let data = data.strip_prefix("data: ").expect("data");
            let data = serde_json::from_str(data).expect("JSON");
            return Some((event.to_owned(), data));
        }
    }

    /// The next event that is no figures.
    async fn happening(&mut self) -> Option<(String, Value)> {
        loop {
            let next = self.next().await?;
            if next.0 != "counters" {
                return Some(next);
            }
        }
    }

    /// Reads until the stream ends.
    async fn ends(&mut self) {
        while self.next_block().await.is_some() {}
    }
}

fn publish(world: &World, at: i64) {
    world.services.presence.live().publish(|| {
        LiveEvent::Presence(PresenceChange {
            user_id: UserId(1),
            username: "Ann".into(),
            status: Status::Online,
            at: Timestamp::from_millis(at),
            last_seen: None,
        })
    });
}

fn presence(at: i64) -> (String, Value) {
    let timestamp = Timestamp::from_millis(at);
    let data = json!({"userId": 1, "username": "Ann", "status": "online", "timestamp": timestamp});
    ("presence".into(), data)
}

#[tokio::test]
async fn administrators_alone() {
    let world = World::new().await;
    for (method, path) in ROUTES {
        let call = async |token: &str| world.call(method, path, token, Value::Null).await;
        call("").await.fails(401, "unauthorized");
        call("nonsense").await.fails(401, "unauthorized");
        call(&world.ann).await.fails(403, "forbidden");
        call(&world.service_key).await.fails(403, "forbidden");
    }
    for token in [&world.boss, &world.admin_key] {
        let nobody = json!({"total": 0, "users": [], "nextCursor": null});
        assert_eq!(world.get("/admin/online", token).await.data(200), nobody);
        world.get("/admin/users/ann/why", token).await.data(200);
        Events::follow(&world, token)
            .await
            .next()
            .await
            .expect("figures");
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let world = World::new().await;
    let get = async |path: &str| world.get(path, &world.boss).await;
    let delete = async |path: &str| world.call("DELETE", path, &world.boss, Value::Null).await;
    for (query, status, field) in [
        ("limit=x", 400, "limit"),
        ("limit=0", 422, "limit"),
        ("limit=-1", 422, "limit"),
        ("limit=1001", 422, "limit"),
        ("cursor=", 422, "cursor"),
        ("cursor=AAAA", 422, "cursor"),
        ("cursor=%00", 422, "cursor"),
    ] {
        let code = if status == 400 {
            "bad_request"
        } else {
            "invalid"
        };
        let error = get(&format!("/admin/online?{query}"))
            .await
            .fails(status, code);
        let message = error["message"].as_str().expect("a text");
        assert!(message.contains(field), "{query}: {message}");
    }
    get("/admin/online?limit=1000").await.data(200);
    for path in [
        "/admin/users/nobody.here/why",
        "/admin/users/a/why",
        "/admin/users/me/why",
    ] {
        get(path).await.fails(404, "not_found");
    }
    for viewer in ["", "nobody.here", "%00", "a%20b"] {
        let path = format!("/admin/users/ann/why?viewer={viewer}");
        let error = get(&path).await.fails(422, "invalid");
        assert_eq!(error["details"][0]["field"], "viewer", "{error}");
    }
    delete("/admin/connections/x")
        .await
        .fails(400, "bad_request");
    for id in ["0", "-1", "1", "9223372036854775807"] {
        let path = format!("/admin/connections/{id}");
        delete(&path).await.fails(404, "not_found");
    }
    delete("/admin/users/nobody.here/sessions")
        .await
        .fails(404, "not_found");
    let answer = world
        .call("POST", "/admin/live", &world.boss, Value::Null)
        .await;
    assert_eq!(answer.header("allow"), "GET, HEAD");
    answer.fails(405, "method_not_allowed");
}

#[tokio::test]
async fn figures_at_once_and_again_with_a_comment() {
    let world = World::new().await;
    let mut events = Events::follow(&world, &world.boss).await;
    for _ in 0..3 {
        assert_eq!(events.next_block().await.as_deref(), Some(": keep-alive"));
        let figures = json!({"online": 0, "connections": 0});
        assert_eq!(events.next().await, Some(("counters".into(), figures)));
    }
}

#[tokio::test]
async fn what_happens_is_told_in_order_and_a_slow_reader_learns_what_was_missed() {
    let world = World::new().await;
    let mut quick = Events::follow(&world, &world.boss).await;
    let mut slow = Events::follow(&world, &world.admin_key).await;
    publish(&world, -1);
    assert_eq!(quick.happening().await, Some(presence(-1)));
    assert_eq!(slow.happening().await, Some(presence(-1)));
    // The slow one reads nothing while more happens than is kept.
    for at in 0..2000 {
        publish(&world, at);
        if at % 100 == 99 {
            for at in at - 99..=at {
                assert_eq!(quick.happening().await, Some(presence(at)));
            }
        }
    }
    let (event, data) = slow.happening().await.expect("an event");
    assert_eq!(event, "lagged");
    let missed = data["missed"].as_i64().expect("a number");
    assert!((1..2000).contains(&missed), "{missed}");
    for at in missed..2000 {
        assert_eq!(
            slow.happening().await,
            Some(presence(at)),
            "none twice, none left out"
        );
    }
}

#[tokio::test]
async fn so_many_streams_and_no_more() {
    let world = World::new().await;
    let mut all = Vec::new();
    for _ in 0..MAX_FOLLOWERS {
        all.push(Events::follow(&world, &world.boss).await);
    }
    let get = async || world.get("/admin/live", &world.boss).await;
    get().await.fails(503, "unavailable");
    all.pop();
    // Its place is free again; HEAD takes one for a moment only.
    for _ in 0..3 {
        let head = request("HEAD", "/admin/live")
            .header("Authorization", format!("Bearer {}", world.boss));
        let response = world.api.get_response(head.finish()).await;
        assert_eq!(response.status(), 200);
    }
    drop(all);
    assert_eq!(world.services.presence.live().followers(), 0);
}

#[tokio::test]
async fn a_stream_ends_with_its_credential() {
    let world = World::new().await;
    let services = &world.services;
    let boss = world
        .store
        .user_by_username("boss")
        .await
        .expect("an answer");
    let boss = boss.expect("a user").id;

    let mut events = Events::follow(&world, &world.admin_key).await;
    let now = world.clock.now();
    let revoked = world.store.revoke_api_key("admin", now).await;
    assert!(revoked.expect("a write"));
    services.auth.forget_keys();
    events.ends().await;

    let role = |role| UserChange {
        role: Some(role),
        ..UserChange::default()
    };
    let mut events = Events::follow(&world, &world.boss).await;
    let changed = services.change_user(boss, role(Role::User)).await;
    changed.expect("a write");
    events.ends().await;
    let changed = services.change_user(boss, role(Role::Admin)).await;
    changed.expect("a write");

    let mut events = Events::follow(&world, &world.boss).await;
    world.clock.advance(Duration::from_secs(3601));
    events.ends().await;
    assert_eq!(
        services.presence.live().followers(),
        0,
        "places are given back"
    );
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let world = World::new().await;
    let mut events = Events::follow(&world, &world.boss).await;
    events.next().await.expect("figures");
    world.stopping.cancel();
    events.ends().await;
    let again = world.get("/admin/live", &world.boss).await;
    again.fails(503, "unavailable");
}
