//! What one does with one's own account: sign-ins, the export, erasure.

use super::world::{World, request};
use crate::model::{ProfileFields, Role, UserId, Username};
use crate::store::NewUser;
use poem::Endpoint;
use serde_json::{Value, json};

#[tokio::test]
async fn only_a_users_own_token_will_do() {
    let world = World::new().await;
    for (method, path) in [
        ("GET", "/auth/sessions"),
        ("DELETE", "/auth/sessions/1"),
        ("DELETE", "/users/me"),
        ("GET", "/users/me/export"),
    ] {
        world
            .call(method, path, "", Value::Null)
            .await
            .fails(401, "unauthorized");
        for key in [&world.admin_key, &world.service_key] {
            world
                .call(method, path, key, Value::Null)
                .await
                .fails(403, "forbidden");
            let acting = request(method, path)
                .header("Authorization", format!("Bearer {key}"))
                .header("X-Act-As", "1");
            world.send(acting.finish()).await.fails(403, "forbidden");
        }
    }
    world.get("/users/me", &world.ann).await.data(200);
}

#[tokio::test]
async fn pages_of_sign_ins() {
    let world = World::new().await;
    let account = json!({"username": "dora", "password": "a good password"});
    let signed_up = world.call("POST", "/auth/signup", "", account.clone());
    let token = signed_up.await.data(201)["token"].clone();
    let token = token.as_str().expect("a token");
    for _ in 0..2 {
        world
            .call("POST", "/auth/signin", "", account.clone())
            .await
            .data(200);
    }
    let all = world.get("/auth/sessions", token).await.data(200);
    let all = all["sessions"].as_array().expect("a list").clone();
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted_by_key(|s| -s["id"].as_i64().expect("an id")));
    let current: Vec<_> = all.iter().map(|s| s["current"].clone()).collect();
    assert_eq!(current, [false, false, true]);
    let mut fields: Vec<_> = all[0].as_object().expect("an object").keys().collect();
    fields.sort();
    let expected = [
        "createdAt",
        "current",
        "deviceType",
        "id",
        "ipAddress",
        "lastUsedAt",
    ];
    assert_eq!(fields, expected);
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/auth/sessions?limit=1{cursor}");
        let page = world.get(&path, token).await.data(200);
        paged.extend(page["sessions"].as_array().expect("a list").clone());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);
    for (query, status, code) in [
        ("limit=0", 422, "invalid"),
        ("limit=101", 422, "invalid"),
        ("limit=x", 400, "bad_request"),
        ("cursor=x", 422, "invalid"),
    ] {
        let path = format!("/auth/sessions?{query}");
        world.get(&path, token).await.fails(status, code);
    }
    let revoke = async |id: &str| {
        let path = format!("/auth/sessions/{id}");
        world.call("DELETE", &path, token, Value::Null).await
    };
    for id in ["x", "1.5", "99999999999999999999"] {
        revoke(id).await.fails(400, "bad_request");
    }
    // The first is Ann's.
    for id in ["1", "0", "-1", "999", "9223372036854775807"] {
        revoke(id).await.fails(404, "not_found");
    }
    world.get("/users/me", &world.ann).await.data(200);
    let id = all[0]["id"].to_string();
    assert_eq!(revoke(&id).await.data(200), json!({"revoked": true}));
    revoke(&id).await.fails(404, "not_found");
    // The current one too.
    revoke(&all[2]["id"].to_string()).await.data(200);
    world
        .get("/users/me", token)
        .await
        .fails(401, "unauthorized");
}

/// More than a page of everything.
async fn crowd(world: &World, me: UserId) -> usize {
    const PEOPLE: usize = 103;
    let mut ids = Vec::new();
    for index in 0..PEOPLE {
        let new = NewUser {
            id: None,
            external_id: None,
            username: Username::new(&format!("person{index}")).expect("a name"),
            password_hash: None,
            profile: ProfileFields::default(),
            role: Role::User,
            created_at: world.clock.now(),
        };
        ids.push(world.store.create_user(new).await.expect("a new user"));
    }
    let (store, now) = (&world.store, world.clock.now());
    let deeds = ids.iter().map(|id| async move {
        store.follow(me, *id, now).await.expect("follows");
        store.follow(*id, me, now).await.expect("follows");
        let begun = store.create_conversation(*id, vec![me], now).await;
        begun.expect("begun").0
    });
    let conversations = futures_util::future::join_all(deeds).await;
    let words = (0..120).map(|index| {
        let text = format!("word {index} \" \u{1F600} </script>");
        store.send_message(me, conversations[50], text, now)
    });
    let sent = futures_util::future::join_all(words).await;
    sent.into_iter().for_each(|sent| {
        sent.expect("sent").expect("a participant");
    });
    PEOPLE
}

#[tokio::test]
async fn an_export_of_much_is_whole() {
    let world = World::new().await;
    let people = crowd(&world, UserId(1)).await;
    let did = |index: usize| json!({"action": "x", "metadata": {"n": index}});
    let did: Vec<_> = (0..250).map(did).collect();
    let logged = world.call("POST", "/activities", &world.ann, json!(did));
    let logged = logged.await.data(201);
    let answer = world.get("/users/me/export", &world.ann).await;
    let file = answer.header("content-disposition");
    assert_eq!(file, "attachment; filename=\"lastseen-Ann.json\"");
    let kind = answer.header("content-type");
    assert_eq!(kind, "application/json; charset=utf-8");
    let data = answer.data(200);
    let me = world.get("/users/me", &world.ann).await.data(200);
    assert_eq!(data["profile"], me);
    let list = |key: &str| data[key].as_array().expect(key).clone();
    for key in ["following", "followers"] {
        let mut names: Vec<_> = list(key).iter().map(|p| p["username"].clone()).collect();
        names.dedup();
        assert_eq!(names.len(), people, "{key}");
        assert_eq!(names[people - 1], "person0");
    }
    assert_eq!(list("signIns").len(), 1);
    assert!(list("blocks").is_empty() && list("sessions").is_empty());
    let activities = list("activities");
    let mut ids: Vec<_> = activities.iter().map(|a| a["id"].clone()).collect();
    ids.reverse();
    assert_eq!(json!(ids), logged["ids"]);
    assert_eq!(activities[0]["metadata"], json!({"n": 249}));
    assert_eq!(activities[0]["timestamp"], world.clock.now().to_string());
    let conversations = list("conversations");
    assert_eq!(conversations.len(), people);
    let mut ids: Vec<_> = conversations
        .iter()
        .map(|c| c["conversationId"].as_i64().expect("an id"))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), people);
    let spoken: Vec<_> = conversations
        .iter()
        .filter_map(|c| Some(c["messages"].as_array()?.clone()).filter(|m| !m.is_empty()))
        .collect();
    assert_eq!(spoken.len(), 1);
    let mut texts: Vec<_> = spoken[0].iter().map(|m| m["text"].clone()).collect();
    texts.dedup();
    assert_eq!(texts.len(), 120);
    assert_eq!(texts[119], "word 0 \" \u{1F600} </script>");
    assert_eq!(spoken[0][0]["senderUsername"], "Ann");
    let conversation = &conversations[0];
    assert_eq!(conversation["isGroup"], false);
    assert_eq!(
        conversation["participants"][1],
        json!({"userId": 1, "username": "Ann"})
    );
}

#[tokio::test]
async fn one_export_at_a_time() {
    let world = World::new().await;
    let ask = async |token: &str| {
        let request = request("GET", "/users/me/export");
        let request = request.header("Authorization", format!("Bearer {token}"));
        world.api.get_response(request.finish()).await
    };
    let unread = ask(&world.ann).await;
    assert_eq!(unread.status(), 200);
    let again = world.get("/users/me/export", &world.ann).await;
    again.fails(429, "rate_limited");
    world.get("/users/me/export", &world.bob).await.data(200);
    drop(unread);
    // Read to its end, then dropped, either way the place is free.
    world.get("/users/me/export", &world.ann).await.data(200);
    world.get("/users/me/export", &world.ann).await.data(200);
}

#[tokio::test]
async fn an_export_that_cannot_go_on_breaks_off() {
    let world = World::new().await;
    let request = request("GET", "/users/me/export");
    let request = request.header("Authorization", format!("Bearer {}", world.ann));
    let begun = world.api.get_response(request.finish()).await;
    assert_eq!(begun.status(), 200);
    world.store.close().await;
    let text = begun.into_body().into_string().await;
    assert!(text.is_err(), "never a document that looks whole");
}
