//! What may be sent to be logged, and how it is refused.

use super::world::{Answer, World, request};
use serde_json::{Value, json};

impl World {
    async fn log(&self, token: &str, body: Value) -> Answer {
        self.call("POST", "/activities", token, body).await
    }

    async fn log_under(&self, token: &str, key: &[u8], body: Value) -> Answer {
        let key = poem::http::HeaderValue::from_bytes(key).expect("a header");
        let request = request("POST", "/activities")
            .header("Authorization", format!("Bearer {token}"))
            .header("Idempotency-Key", key)
            .content_type("application/json");
        self.send(request.body(body.to_string())).await
    }
}

/// Index and field of each detail.
fn details(error: &Value) -> Vec<(Option<u64>, &str)> {
    let details = error["details"].as_array().expect("details");
    details
        .iter()
        .map(|d| (d["index"].as_u64(), d["field"].as_str().unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn one_or_many() {
    let world = World::new().await;
    let one = world
        .log(&world.ann, json!({"action": "video_posted"}))
        .await;
    let one = one.data(201);
    assert_eq!(one["accepted"], 1);
    let ids = one["ids"].as_array().expect("ids");
    assert_eq!(
        ids[0].as_str().map(|id| (id.len(), &id[14..15])),
        Some((36, "7"))
    );
    let many = json!([
        {"action": "x", "userId": 1, "username": "ANN", "targetId": null, "unknown": 5},
        {"action": "y", "metadata": {}},
    ]);
    let many = world.log(&world.ann, many).await.data(201);
    assert_eq!(many["accepted"], 2);
    for key in [&world.service_key, &world.admin_key] {
        let login = json!({"action": "login", "username": "bob", "deviceType": "ios"});
        world.log(key, login).await.data(201);
    }
    let bob = world.get("/users/bob", &world.ann).await.data(200);
    assert_eq!(bob["lastLoginAt"], world.clock.now().to_string());
    let bob = world.get("/users/bob/presence", &world.ann).await.data(200);
    assert_eq!(bob["lastActiveAt"], world.clock.now().to_string());
}

#[tokio::test]
async fn whoever_may_not_is_refused() {
    let world = World::new().await;
    let x = json!({"action": "x"});
    world.log("", x.clone()).await.fails(401, "unauthorized");
    let others = json!({"action": "x", "userId": 2});
    let error = world.log(&world.ann, others.clone()).await;
    error.fails(403, "forbidden");
    let error = world.log(&world.boss, json!([x, others])).await;
    assert_eq!(
        details(&error.fails(403, "forbidden")),
        [(Some(1), "userId")]
    );
    // A key needs a user, and acts for nobody when it writes.
    let error = world.log(&world.service_key, json!([x])).await;
    assert_eq!(
        details(&error.fails(400, "bad_request")),
        [(Some(0), "userId")]
    );
    let request = request("POST", "/activities")
        .header("Authorization", format!("Bearer {}", world.service_key))
        .header("X-Act-As", "1")
        .content_type("application/json");
    let error = world.send(request.body(x.to_string())).await;
    error.fails(400, "bad_request");
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let world = World::new().await;
    for body in [json!(5), json!("x"), json!(true)] {
        world.log(&world.ann, body).await.fails(400, "bad_request");
    }
    for (body, field) in [
        (json!({}), "action"),
        (json!({"action": 5}), "action"),
        (json!({"action": "x", "metadata": []}), "metadata"),
        (json!({"action": "x", "metadata": "{}"}), "metadata"),
        (json!({"action": "x", "targetId": 5}), "targetId"),
        (json!({"action": "x", "userId": "1"}), "userId"),
        (json!({"action": "x", "userId": u64::MAX}), "userId"),
    ] {
        let error = world.log(&world.ann, body.clone()).await;
        let error = error.fails(400, "bad_request");
        assert_eq!(details(&error), [(None, field)], "{body}");
        let error = world.log(&world.ann, json!([{"action": "x"}, body])).await;
        let error = error.fails(400, "bad_request");
        assert_eq!(details(&error), [(Some(1), field)], "{body}");
    }
    for (body, field) in [
        (json!({"action": ""}), "action"),
        (json!({"action": "a\0"}), "action"),
        (json!({"action": "login"}), "action"),
        (json!({"action": "x", "targetType": ""}), "targetType"),
        (
            json!({"action": "x", "targetId": "x".repeat(101)}),
            "targetId",
        ),
        (json!({"action": "x", "deviceType": "fridge"}), "deviceType"),
        (json!({"action": "x", "region": "x"}), "region"),
        (
            json!({"action": "video_posted", "targetType": "user"}),
            "targetType",
        ),
        (
            json!({"action": "video_posted", "metadata": {"duration": "1"}}),
            "metadata.duration",
        ),
        (
            json!({"action": "x", "metadata": {"a": "x".repeat(17_000)}}),
            "metadata",
        ),
    ] {
        let error = world.log(&world.ann, body.clone()).await;
        assert_eq!(details(&error.fails(422, "invalid")), [(None, field)]);
        let error = world.log(&world.ann, json!([{"action": "x"}, body])).await;
        assert_eq!(details(&error.fails(422, "invalid")), [(Some(1), field)]);
    }
    for count in [0, 1_001] {
        let many = json!(vec![json!({"action": "x"}); count]);
        world.log(&world.ann, many).await.fails(422, "invalid");
    }
    let recent = world.services.activity.recent();
    assert_eq!(recent.newest(9).len(), 0, "nothing was written");
}

#[tokio::test]
async fn a_key_makes_a_repetition_harmless() {
    let world = World::new().await;
    let x = json!({"action": "x"});
    let first = world.log_under(&world.ann, b"k", x.clone()).await;
    let again = world.log_under(&world.ann, b"k", x.clone()).await;
    assert_eq!(again.data(201), first.data(201));
    let other = world.log_under(&world.ann, b"k", json!([x])).await;
    let error = other.fails(422, "invalid");
    assert_eq!(details(&error), [(None, "Idempotency-Key")]);
    world
        .log_under(&world.bob, b"k", json!([x]))
        .await
        .data(201);
    world
        .log_under(&world.ann, &[b'!'; 255], x.clone())
        .await
        .data(201);
    for bad in [&b""[..], &[b'x'; 256], b"a b", b"\xC3\xA4", b"a\tb"] {
        let error = world.log_under(&world.ann, bad, x.clone()).await;
        let error = error.fails(422, "invalid");
        assert_eq!(details(&error), [(None, "Idempotency-Key")], "{bad:?}");
    }
    assert_eq!(world.services.activity.recent().newest(9).len(), 3);
}
