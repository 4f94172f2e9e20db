//! What each route answers when all is well, and the refusals that are about its meaning.

use super::world::{PRESENCE_RATE, World, request};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn signing_up_in_and_out() {
    let world = World::new().await;
    let account =
        json!({"username": "Dora", "password": "a good password", "displayName": "D", "extra": 1});
    let session = world
        .call("POST", "/auth/signup", "", account.clone())
        .await
        .data(201);
    let token = session["token"].as_str().expect("a token").to_owned();
    assert!(
        session["expiresAt"]
            .as_str()
            .is_some_and(|t| t.ends_with('Z'))
    );
    assert_eq!(session["user"]["username"], "Dora");
    assert_eq!(session["user"]["displayName"], "D");
    assert_eq!(session["user"]["email"], Value::Null);
    let again = world.call("POST", "/auth/signup", "", account).await;
    assert_eq!(
        again.fails(409, "conflict")["details"][0]["field"],
        "username"
    );

    let me = world.get("/users/me", &token).await.data(200);
    assert_eq!(me["username"], "Dora");
    assert_eq!(me["role"], "user");
    assert_eq!(me["activityStatus"], "everyone");
    let sign_in = async |body: Value| world.call("POST", "/auth/signin", "", body).await;
    sign_in(json!({"username": "dora", "password": "a good password"}))
        .await
        .data(200);
    // A name that begins like `me` is a name.
    let account = json!({"username": "melissa", "password": "a good password", "email": "m@x.y"});
    world
        .call("POST", "/auth/signup", "", account)
        .await
        .data(201);
    assert_eq!(
        world.get("/users/melissa", &token).await.data(200)["username"],
        "melissa"
    );
    for login in [
        json!({"email": "m@x.y", "password": "a good password"}),
        json!({"username": "m@x.y", "password": "a good password"}),
    ] {
        assert_eq!(
            sign_in(login).await.data(200)["user"]["username"],
            "melissa"
        );
    }
    for body in [
        json!({"username": "dora", "password": "wrong"}),
        json!({"username": "nobody.here", "password": "wrong"}),
    ] {
        sign_in(body).await.fails(401, "wrong_credentials");
    }
    sign_in(json!({"password": "a good password"}))
        .await
        .fails(400, "bad_request");

    let out = world
        .call("POST", "/auth/signout", &token, Value::Null)
        .await;
    out.data(200);
    world
        .get("/users/me", &token)
        .await
        .fails(401, "unauthorized");
}

#[tokio::test]
async fn changing_a_profile() {
    let world = World::new().await;
    let patch = async |body: Value| world.call("PATCH", "/users/me", &world.ann, body).await;
    let me = patch(
        json!({"displayName": "Ann", "bio": "b", "email": "a@b.c", "activityStatus": "contacts"}),
    )
    .await
    .data(200);
    assert_eq!(me["displayName"], "Ann");
    assert_eq!(me["activityStatus"], "contacts");
    let me = patch(json!({"bio": null, "profilePictureUrl": "https://x/y"}))
        .await
        .data(200);
    assert_eq!(me["bio"], Value::Null, "null empties");
    assert_eq!(me["displayName"], "Ann", "left out stays");
    assert_eq!(me["email"], "a@b.c");
    assert_eq!(me["profilePictureUrl"], "https://x/y");
    patch(json!({})).await.data(200);
    assert_eq!(
        patch(json!({"username": "Anna"})).await.data(200)["username"],
        "Anna"
    );
    patch(json!({"username": "Bob"}))
        .await
        .fails(409, "conflict");
    for (body, field) in [
        (json!({"activityStatus": "friends"}), "activityStatus"),
        (json!({"username": "admin"}), "username"),
        (json!({"username": "me"}), "username"),
        (json!({"email": ""}), "email"),
        (json!({"displayName": "a\0"}), "displayName"),
    ] {
        let error = patch(body).await.fails(422, "invalid");
        assert_eq!(error["details"][0]["field"], field);
    }
    for body in [
        json!({"username": null}),
        json!({"activityStatus": null}),
        json!({"activityStatus": 1}),
        json!({"bio": 1}),
    ] {
        patch(body).await.fails(400, "bad_request");
    }
}

#[tokio::test]
async fn following_and_blocking() {
    let world = World::new().await;
    let call =
        async |method: &str, path: &str| world.call(method, path, &world.ann, Value::Null).await;
    let following =
        async || world.get("/users/BOB", &world.ann).await.data(200)["isFollowing"].clone();
    assert_eq!(following().await, false);
    let followed = call("POST", "/users/BOB/follow").await.data(201);
    assert_eq!(followed["isFollowing"], true);
    assert_eq!(followed["username"], "bob");
    call("POST", "/users/bob/follow").await.data(200);
    assert_eq!(following().await, true);
    let as_key = world.get("/users/bob", &world.admin_key).await.data(200);
    assert_eq!(as_key["isFollowing"], false);
    let page = world
        .get("/users/bob/followers", &world.bob)
        .await
        .data(200);
    assert_eq!(page["users"][0]["username"], "Ann");
    assert_eq!(page["nextCursor"], Value::Null);
    let page = world
        .get("/users/ann/following", &world.bob)
        .await
        .data(200);
    assert_eq!(page["users"][0]["username"], "bob");
    call("DELETE", "/users/bob/follow").await.data(200);
    call("DELETE", "/users/bob/follow").await.data(200);
    assert_eq!(following().await, false);

    call("POST", "/users/bob/block").await.data(201);
    call("POST", "/users/bob/block").await.data(200);
    let blocks = call("GET", "/users/me/blocks").await.data(200);
    assert_eq!(blocks["users"][0]["username"], "bob");
    let refused = world
        .call("POST", "/users/ann/follow", &world.bob, Value::Null)
        .await;
    refused.fails(403, "forbidden");
    call("DELETE", "/users/bob/block").await.data(200);
    for verb in ["follow", "block"] {
        let own = call("POST", &format!("/users/ann/{verb}")).await;
        own.fails(422, "invalid");
        let unknown = call("POST", &format!("/users/nobody.here/{verb}")).await;
        unknown.fails(404, "not_found");
    }
}

#[tokio::test]
async fn pages_follow_each_other() {
    let world = World::new().await;
    for token in [&world.ann, &world.boss] {
        let followed = world
            .call("POST", "/users/bob/follow", token, Value::Null)
            .await;
        followed.data(201);
    }
    let first = world
        .get("/users/bob/followers?limit=1", &world.ann)
        .await
        .data(200);
    let cursor = first["nextCursor"].as_str().expect("a second page");
    let path = format!("/users/bob/followers?limit=1&cursor={cursor}");
    let second = world.get(&path, &world.ann).await.data(200);
    assert_eq!(first["users"][0]["username"], "boss");
    assert_eq!(second["users"][0]["username"], "Ann");
    assert_eq!(second["nextCursor"], Value::Null);
}

#[tokio::test]
async fn presence_is_limited_for_each_user() {
    let world = World::new().await;
    let path = "/users/bob/presence";
    for left in (0..PRESENCE_RATE).rev() {
        let answer = world.get(path, &world.ann).await;
        assert_eq!(answer.header("ratelimit-limit"), PRESENCE_RATE.to_string());
        assert_eq!(answer.header("ratelimit-remaining"), left.to_string());
        assert_eq!(answer.header("ratelimit-reset"), "60");
        let data = answer.data(200);
        assert_eq!(data["username"], "bob");
        assert_eq!(data["isOnline"], false);
        assert_eq!(data["lastSeen"], Value::Null);
    }
    world.clock.advance(Duration::from_secs(20));
    let refused = world.get(path, &world.ann).await;
    assert_eq!(refused.header("ratelimit-remaining"), "0");
    assert_eq!(refused.header("ratelimit-reset"), "40");
    assert_eq!(refused.header("retry-after"), "40");
    refused.fails(429, "rate_limited");
    // Another user, and keys, have nothing to do with it.
    world.get(path, &world.bob).await.data(200);
    for _ in 0..PRESENCE_RATE * 2 {
        let answer = world.get(path, &world.service_key).await;
        assert_eq!(answer.header("ratelimit-limit"), "");
        answer.data(200);
    }
    world.clock.advance(Duration::from_secs(40));
    // An unknown name is a request like any other, and tells where one stands.
    let unknown = world.get("/users/nobody.here/presence", &world.ann).await;
    assert_eq!(unknown.header("ratelimit-remaining"), "2");
    unknown.fails(404, "not_found");
    world.get(path, &world.ann).await.data(200);

    let free = World::with(|settings| settings.presence_rate = 0).await;
    for _ in 0..50 {
        let answer = free.get(path, &free.ann).await;
        assert_eq!(answer.header("ratelimit-limit"), "");
        answer.data(200);
    }
}

#[tokio::test]
async fn presence_of_many() {
    let world = World::with(|settings| settings.presence_query_rate = 0).await;
    let query = async |body: Value| {
        world
            .call("POST", "/presence/query", &world.ann, body)
            .await
    };
    let names = json!({"usernames": ["nobody.here", "BOB", "ann", "BOB"]});
    let users = query(names).await.data(200)["users"].clone();
    assert_eq!(users[0]["userId"], Value::Null);
    assert_eq!(users[0]["username"], "nobody.here");
    assert_eq!(users[0]["isOnline"], false);
    assert_eq!(users[0]["lastActiveAt"], Value::Null);
    assert_eq!(users[1]["username"], "bob");
    assert_eq!(users[3], users[1]);
    let id = users[1]["userId"].clone();
    let users = query(json!({"userIds": [id, 999, -1]})).await.data(200)["users"].clone();
    assert_eq!(users[0]["username"], "bob");
    assert_eq!(users[1]["userId"], 999);
    assert_eq!(users[1]["username"], Value::Null);
    assert_eq!(
        query(json!({"usernames": []})).await.data(200)["users"],
        json!([])
    );
    query(json!({"userIds": vec![1; 500]})).await.data(200);
    for body in [
        json!({}),
        json!({"usernames": null}),
        json!({"usernames": ["bob"], "userIds": [1]}),
        json!({"usernames": vec!["bob"; 501]}),
        json!({"userIds": vec![1; 501]}),
        json!({"usernames": ["b\0b"]}),
    ] {
        query(body).await.fails(422, "invalid");
    }
    for body in [
        json!({"usernames": ["bob", 5]}),
        json!({"userIds": ["1"]}),
        json!({"userIds": [18446744073709551615u64]}),
        json!({"userIds": [1.5]}),
        json!({"usernames": "bob"}),
    ] {
        query(body).await.fails(400, "bad_request");
    }
}

#[tokio::test]
async fn a_service_key_reads_as_a_user() {
    let world = World::new().await;
    let follow = world
        .call("POST", "/users/bob/follow", &world.ann, Value::Null)
        .await;
    follow.data(201);
    let ann = world.get("/users/me", &world.ann).await.data(200)["id"].to_string();
    let acting = async |method: &str, path: &str, token: &str, user: &str| {
        let request = request(method, path)
            .header("Authorization", format!("Bearer {token}"))
            .header("X-Act-As", user);
        world.send(request.finish()).await
    };
    let key = world.service_key.as_str();
    assert_eq!(
        acting("GET", "/users/bob", key, &ann).await.data(200)["isFollowing"],
        true
    );
    assert_eq!(
        acting("GET", "/users/me", key, &ann).await.data(200)["username"],
        "Ann"
    );
    acting("GET", "/messages/conversations", key, &ann)
        .await
        .data(200);
    for unknown in ["999", "x", "", "99999999999999999999"] {
        let error = acting("GET", "/users/bob", key, unknown)
            .await
            .fails(422, "invalid");
        assert_eq!(error["details"][0]["field"], "X-Act-As");
    }
    for (method, path) in [("POST", "/users/bob/follow"), ("POST", "/auth/signout")] {
        acting(method, path, key, &ann)
            .await
            .fails(403, "forbidden");
    }
    // From anyone else it is ignored.
    let as_bob = acting("GET", "/users/me", &world.bob, &ann).await.data(200);
    assert_eq!(as_bob["username"], "bob");
    acting("GET", "/users/me", &world.admin_key, &ann)
        .await
        .fails(403, "forbidden");
    acting("GET", "/users/bob", &world.admin_key, "x")
        .await
        .data(200);
}

/// Hidden looks exactly like never seen, on every surface, for all but the user and an admin.
#[tokio::test]
async fn hidden_looks_like_never_seen() {
    let world = World::new().await;
    for token in [&world.ann, &world.boss] {
        let body = json!({"participants": ["bob"]});
        let opened = world
            .call("POST", "/messages/conversations", token, body)
            .await;
        opened.data(201);
        let followed = world
            .call("POST", "/users/bob/follow", token, Value::Null)
            .await;
        followed.data(201);
    }
    let seen = async |token: &str| {
        world.get("/users/bob", token).await.data(200)["lastLoginAt"].is_string()
    };
    for token in [
        &world.ann,
        &world.service_key,
        &world.boss,
        &world.admin_key,
        &world.bob,
    ] {
        assert!(seen(token).await, "open to everyone");
    }
    let hide = json!({"activityStatus": "nobody"});
    world
        .call("PATCH", "/users/me", &world.bob, hide)
        .await
        .data(200);
    for token in [&world.boss, &world.admin_key, &world.bob] {
        assert!(seen(token).await, "not for oneself and admins");
    }
    for token in [&world.ann, &world.service_key] {
        assert!(!seen(token).await, "hidden");
        let entry = world.get("/users/bob/presence", token).await.data(200);
        never_seen(&entry, &["lastSeen", "lastActiveAt"]);
        let names = json!({"usernames": ["bob"]});
        let query = world
            .call("POST", "/presence/query", token, names)
            .await
            .data(200);
        never_seen(&query["users"][0], &["lastSeen", "lastActiveAt"]);
    }
    let list = world
        .get("/messages/conversations", &world.ann)
        .await
        .data(200);
    never_seen(&list[0]["otherUser"], &["lastSeen"]);
    let following = world
        .get("/users/ann/following", &world.ann)
        .await
        .data(200);
    never_seen(&following["users"][0], &["lastSeen"]);
    let own = world.get("/users/me", &world.bob).await.data(200);
    assert!(own["lastLoginAt"].is_string());
}

fn never_seen(entry: &Value, times: &[&str]) {
    assert_eq!(entry["username"], "bob");
    assert_eq!(entry["isOnline"], false);
    for time in times {
        assert_eq!(entry.get(*time), Some(&Value::Null), "{time}");
    }
}
