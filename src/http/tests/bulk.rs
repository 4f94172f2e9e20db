//! Conversations, and what a host application mirrors: routes that name several people at once.

use super::world::World;
use serde_json::{Value, json};

#[tokio::test]
async fn conversations() {
    let world = World::new().await;
    let post =
        async |path: &str, token: &str, body: Value| world.call("POST", path, token, body).await;
    let open = async |names: Value| {
        post(
            "/messages/conversations",
            &world.ann,
            json!({"participants": names}),
        )
        .await
    };
    let opened = open(json!(["bob"])).await.data(201);
    let id = opened["conversationId"].to_string();
    assert_eq!(opened["participants"].as_array().map(Vec::len), Some(2));
    let again = open(json!(["BOB", "ann", "bob"])).await.data(200);
    assert_eq!(
        again["conversationId"].to_string(),
        id,
        "the two-person one there is"
    );
    let group = open(json!(["bob", "boss"])).await.data(201);
    let path = format!("/messages/conversations/{id}");
    let sent = post(
        &format!("{path}/messages"),
        &world.ann,
        json!({"text": "hello"}),
    )
    .await
    .data(201);
    assert_eq!(sent["text"], "hello");
    assert_eq!(sent["senderUsername"], "Ann");

    let list = world.get("/messages/conversations", &world.bob).await;
    let next = list.json["nextCursor"].clone();
    assert_eq!(next, Value::Null);
    let rows = list.data(200);
    assert_eq!(
        rows.as_array().map(Vec::len),
        Some(2),
        "data is the array itself"
    );
    let find = |id: &Value| {
        let rows = rows.as_array().expect("rows");
        rows.iter()
            .find(|row| row["conversationId"] == *id)
            .expect("the row")
            .clone()
    };
    let pair = find(&opened["conversationId"]);
    assert_eq!(pair["otherUser"]["username"], "Ann");
    assert_eq!(pair["lastMessage"]["text"], "hello");
    let group = find(&group["conversationId"]);
    assert_eq!(group["otherUser"], Value::Null);
    assert_eq!(group["lastMessage"], Value::Null);
    let page = world
        .get("/messages/conversations?limit=1", &world.bob)
        .await;
    let cursor = page.json["nextCursor"]
        .as_str()
        .expect("a second page")
        .to_owned();
    let path_next = format!("/messages/conversations?limit=1&cursor={cursor}");
    let rest = world.get(&path_next, &world.bob).await.data(200);
    assert_eq!(rest.as_array().map(Vec::len), Some(1));

    let detail = world.get(&path, &world.bob).await.data(200);
    assert_eq!(detail["messages"][0]["text"], "hello");
    // To others there is none.
    world.get(&path, &world.boss).await.fails(404, "not_found");
    post(
        &format!("{path}/messages"),
        &world.boss,
        json!({"text": "x"}),
    )
    .await
    .fails(404, "not_found");
    for text in ["".to_owned(), "a\0".to_owned(), "x".repeat(10_001)] {
        let error = post(
            &format!("{path}/messages"),
            &world.ann,
            json!({"text": text}),
        )
        .await;
        assert_eq!(error.fails(422, "invalid")["details"][0]["field"], "text");
    }
    post(
        &format!("{path}/messages"),
        &world.ann,
        json!({"text": "ä".repeat(10_000)}),
    )
    .await
    .data(201);
    for names in [json!([]), json!(["ann"]), json!(vec!["bob"; 51])] {
        open(names).await.fails(422, "invalid");
    }
    let error = open(json!(["bob", "nobody.here", "b\u{1}"]))
        .await
        .fails(422, "invalid");
    assert_eq!(error["details"][0]["index"], 1);
    assert_eq!(error["details"][1]["index"], 2);
    assert_eq!(error["details"][0]["field"], "participants");
}

#[tokio::test]
async fn mirroring() {
    let world = World::new().await;
    let put =
        async |path: &str, token: &str, body: Value| world.call("PUT", path, token, body).await;
    let key = world.service_key.as_str();
    let counts = put(
        "/admin/users",
        key,
        json!([{"username": "eve", "externalId": "e1"}]),
    )
    .await;
    assert_eq!(
        counts.data(200),
        json!({"inserted": 1, "updated": 0, "unchanged": 0})
    );
    let counts = put(
        "/admin/follows",
        key,
        json!([{"follower": "ann", "followee": "eve"}]),
    )
    .await;
    assert_eq!(counts.data(200)["inserted"], 1);
    let bad = json!([{"username": "fay"}, {"username": "x"}, {"username": "gus", "email": "?"}]);
    let error = put("/admin/users", key, bad).await.fails(422, "invalid");
    assert_eq!(error["details"].as_array().map(Vec::len), Some(2));
    assert_eq!(error["details"][0]["index"], 1);
    assert_eq!(error["details"][0]["field"], "username");
    assert_eq!(error["details"][1]["field"], "email");
    world.get("/users/fay", key).await.fails(404, "not_found");
    let error = put(
        "/admin/users",
        key,
        json!([{"username": "fay"}, {"username": 5}, 7]),
    )
    .await;
    let error = error.fails(400, "bad_request");
    assert_eq!(error["details"][0]["index"], 1);
    assert_eq!(error["details"][1]["index"], 2);
    for role in ["user", "admin"] {
        let rows = json!([{"username": "fay", "role": role}]);
        let error = put("/admin/users", key, rows).await.fails(403, "forbidden");
        assert_eq!(error["details"][0]["index"], 0);
    }
    put(
        "/admin/users",
        key,
        json!([{"username": "boss", "bio": "new"}]),
    )
    .await
    .fails(403, "forbidden");
    put(
        "/admin/users",
        &world.boss,
        json!([{"username": "fay", "role": "king"}]),
    )
    .await
    .fails(422, "invalid");
    put(
        "/admin/users",
        &world.boss,
        json!([{"username": "fay", "role": "user"}]),
    )
    .await
    .data(200);
    for (path, row) in [
        ("/admin/users", json!({"username": "ann"})),
        (
            "/admin/follows",
            json!({"follower": "ann", "followee": "bob"}),
        ),
    ] {
        put(path, key, json!(vec![row; 1001]))
            .await
            .fails(422, "invalid");
        put(path, key, json!({})).await.fails(400, "bad_request");
    }
    let error = put(
        "/admin/follows",
        key,
        json!([{"follower": "nobody.here", "followee": "ann"}]),
    )
    .await;
    assert_eq!(
        error.fails(422, "invalid")["details"][0]["field"],
        "follower"
    );

    let host = World::with(|settings| settings.ids_from_host = true).await;
    let rows = json!([{"username": "eve"}]);
    let error = host
        .call("PUT", "/admin/users", &host.service_key, rows)
        .await
        .fails(422, "invalid");
    assert_eq!(error["details"][0]["field"], "id");
}
