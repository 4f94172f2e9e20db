//! One's own account: where one is signed in, what is changed of it, what of it can be taken away, and its end.

use crate::harness::{
    Client, Connect, Http, NEVER, Server, Transport, User, now, over_every_transport, process, time,
};
use jsonwebtoken::{EncodingKey, Header, encode};
use lastseen::model::{KeyRole, Role, Secret};
use serde_json::{Value, json};
use std::time::Duration;

over_every_transport!(
    a_revoked_sign_in_ends_its_connections_alone,
    erasing_oneself_ends_everything_at_once,
);

/// Somebody who comes and goes unseen by others, so that what comes next proves that nothing came before.
async fn proves_silence(server: &Server, watching: &mut Client, carl: &User) {
    let mut client = Client::connect(server, Transport::Raw, carl).await;
    watching.update(carl, "online").await;
    client.go("offline").await;
    watching.update(carl, "offline").await;
}

fn connect(token: &str) -> Connect {
    Connect {
        token: token.into(),
        ..Connect::default()
    }
}

async fn sign_ins(http: &Http) -> Vec<Value> {
    let data = http.get("/auth/sessions").await.data(200);
    assert_eq!(data["nextCursor"], Value::Null);
    data["sessions"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_is_signed_in() {
    let server = Server::start().await;
    let account = json!({ "username": "ann", "password": "correct horse" });
    let before = now();
    let sign = async |path: &str, agent: &str| {
        let request = server.http().request("POST", path).json(&account);
        let request = request.header("User-Agent", agent);
        let answer = server.http().send(request).await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
        let token = answer.json["data"]["token"].as_str().expect("a token");
        Http::new(server.address, token)
    };
    let laptop = sign("/auth/signup", "Mozilla/5.0 (X11; Linux x86_64)").await;
    let phone = sign(
        "/auth/signin",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)",
    )
    .await;
    let bob = server.user("bob").await;
    let list = sign_ins(&laptop).await;
    let pick = |key: &str| list.iter().map(|s| s[key].clone()).collect::<Vec<_>>();
    assert_eq!(pick("current"), [false, true], "newest first");
    assert_eq!(pick("deviceType"), ["ios", "web"]);
    assert_eq!(pick("ipAddress"), ["127.0.0.1", "127.0.0.1"]);
    for entry in &list {
        let (created, used) = (time(&entry["createdAt"]), time(&entry["lastUsedAt"]));
        assert!(
            before <= created && created <= used && used <= now(),
            "{entry}"
        );
    }
    assert_eq!(sign_ins(&phone).await[0]["current"], true);
    // What has expired is not shown, though its row is still there.
    let id = laptop.get("/users/me").await.data(200)["id"].clone();
    let id = id.as_i64().expect("an id");
    server.sign_in(id, Duration::ZERO).await;
    assert_eq!(sign_ins(&laptop).await.len(), 2);

    let of_phone = format!("/auth/sessions/{}", list[0]["id"]);
    bob.http.delete(&of_phone).await.fails(404, "not_found");
    phone.get("/users/me").await.data(200);
    laptop.delete(&of_phone).await.data(200);
    phone.get("/users/me").await.fails(401, "unauthorized");
    phone.delete(&of_phone).await.fails(401, "unauthorized");
    laptop.delete(&of_phone).await.fails(404, "not_found");
    assert_eq!(sign_ins(&laptop).await.len(), 1);
    let current = format!("/auth/sessions/{}", list[1]["id"]);
    laptop.delete(&current).await.data(200);
    laptop.get("/users/me").await.fails(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_connection_is_use() {
    let mut server = Server::start().await;
    let ann = server.user("ann").await;
    let token = server.sign_in(ann.id, NEVER).await;
    let used = async || time(&sign_ins(&ann.http).await[0]["lastUsedAt"]);
    let opened = Client::connect(&server, Transport::Raw, connect(&token)).await;
    let at = now();
    while now() <= at {
        tokio::task::yield_now().await;
    }
    let before = now();
    assert!(before <= used().await, "without a word of the client");
    let before = now();
    opened.close().await;
    let after = now();
    let closed = crate::harness::eventually("its end", async || {
        let at = used().await;
        (at <= after).then_some(at)
    })
    .await;
    assert!(before <= closed, "until its end");
    // It outlives the server, also what was not due to be written yet.
    server.stop().await;
    let hash = "SELECT max(last_used_at) FROM sign_ins WHERE id = 2";
    assert_eq!(server.read::<i64>(hash), closed.as_millis());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_applications_token_is_no_sign_in() {
    const SECRET: &str = "a secret of at least thirty-two bytes";
    let server = Server::with(|c| c.jwt_secret = Secret::new(SECRET)).await;
    let ann = server.user("ann").await;
    server.write("UPDATE users SET external_id = 'host-7'");
    let claims = json!({ "sub": "host-7", "exp": now().as_millis() / 1000 + 60 });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::default(), &claims, &key).expect("a token");
    let host = Http::new(server.address, &token);
    // The account's own sign-ins are shown, none of them this one.
    let list = sign_ins(&host).await;
    assert_eq!((list.len(), &list[0]["current"]), (1, &json!(false)));
    let path = format!("/auth/sessions/{}", list[0]["id"]);
    host.delete(&path).await.data(200);
    ann.http.get("/users/me").await.fails(401, "unauthorized");
    assert!(sign_ins(&host).await.is_empty());
    host.get("/users/me/export").await.data(200);
    let mut app = Client::connect(&server, Transport::Raw, connect(&token)).await;
    host.delete("/users/me").await.data(200);
    app.ended("revoked", 4002).await;
    host.get("/users/me").await.fails(401, "unauthorized");
}

async fn a_revoked_sign_in_ends_its_connections_alone(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let carl = server.user("carl").await;
    server.follow(&bob, "ann").await;
    server.follow(&bob, "carl").await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let token = server.sign_in(ann.id, NEVER).await;
    let mut phone = Client::connect(&server, transport, connect(&token)).await;
    watching.update(&ann, "online").await;
    let mut laptop = Client::connect(&server, transport, &ann).await;
    let revoke = async |current: bool| {
        let list = sign_ins(&ann.http).await;
        let entry = list.iter().find(|s| s["current"] == current);
        let path = format!("/auth/sessions/{}", entry.expect("listed")["id"]);
        ann.http.delete(&path).await.data(200);
    };
    revoke(false).await;
    phone.ended("revoked", 4002).await;
    let reasons = "SELECT ifnull(group_concat(ifnull(end_reason, 'open')), '') FROM \
                   (SELECT end_reason FROM sessions WHERE user_id = 1 ORDER BY end_reason IS NULL)";
    server.reads(reasons, "revoked,open".to_owned()).await;
    let mut again = Client::open(server.address, transport, connect(&token)).await;
    again.refused("unauthorized", 4001).await;
    // The other one stays, and so does its user.
    laptop.succeed("heartbeat", json!({})).await;
    proves_silence(&server, &mut watching, &carl).await;
    // The last one's end is the end, at once.
    let before = now();
    revoke(true).await;
    let after = now();
    let update = watching.update(&ann, "offline").await;
    let at = time(&update["lastSeen"]);
    assert!(before <= at && at <= after, "{update}");
    laptop.ended("revoked", 4002).await;
    server.reads(reasons, "revoked,revoked".to_owned()).await;
    ann.http.get("/users/me").await.fails(401, "unauthorized");
}

async fn erasing_oneself_ends_everything_at_once(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let carl = server.user("carl").await;
    server.follow(&bob, "carl").await;
    let pair = json!({ "participants": ["bob"] });
    let pair = ann
        .http
        .post("/messages/conversations", pair)
        .await
        .data(201);
    let path = format!("/messages/conversations/{}", pair["conversationId"]);
    let messages = format!("{path}/messages");
    let say = async |http: &Http, text: &str| {
        let said = http.post(&messages, json!({ "text": text })).await;
        said.data(201);
    };
    say(&bob.http, "from bob").await;
    say(&ann.http, "from ann").await;
    ann.http
        .patch("/users/me", json!({ "bio": "about ann" }))
        .await
        .data(200);
    // Bob is her partner, and watches her too.
    let mut watching = Client::connect(&server, transport, &bob).await;
    let watch = json!({ "userIds": [ann.id, carl.id] });
    watching.succeed("watch", watch.clone()).await;
    let token = server.sign_in(ann.id, NEVER).await;
    let mut phone = Client::connect(&server, transport, connect(&token)).await;
    let mut laptop = Client::connect(&server, transport, Connect::on_device(&ann, "b")).await;
    watching.update(&ann, "online").await;

    let erased = ann.http.delete("/users/me").await.data(200);
    assert_eq!(erased, json!({ "erased": true }));
    phone.ended("revoked", 4002).await;
    laptop.ended("revoked", 4002).await;
    // Told once, as of somebody who was never seen.
    let update = watching.update(&ann, "offline").await;
    assert_eq!(update["lastSeen"], Value::Null);
    proves_silence(&server, &mut watching, &carl).await;
    let seen = watching.succeed("watch", watch).await;
    let seen: Vec<_> = seen["users"].as_array().expect("a list").iter().collect();
    assert_eq!(seen.len(), 1, "nobody of that id is left: {seen:?}");

    // Neither of her tokens, on nothing.
    let phone = Http::new(server.address, &token);
    for http in [&ann.http, &phone] {
        http.get("/users/me").await.fails(401, "unauthorized");
        http.delete("/users/me").await.fails(401, "unauthorized");
    }
    let mut again = Client::open(server.address, transport, (&ann).into()).await;
    again.refused("unauthorized", 4001).await;
    // To Bob she was never there, and his own words are.
    bob.http.get("/users/ann").await.fails(404, "not_found");
    let list = bob.http.get("/messages/conversations").await.data(200);
    assert_eq!(list[0]["otherUser"], Value::Null);
    assert_eq!(list[0]["lastMessage"]["text"], "from bob");
    assert_eq!(list[0]["unreadCount"], 0);
    let detail = bob.http.get(&path).await.data(200);
    assert_eq!(detail["participants"].as_array().map(Vec::len), Some(1));
    assert_eq!(detail["messages"].as_array().map(Vec::len), Some(1));
    say(&bob.http, "to nobody").await;
    for table in ["sessions", "sign_ins", "participants"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE user_id = {}", ann.id);
        assert_eq!(server.read::<i64>(&sql), 0, "{table}");
    }
    // The name is free, and whoever takes it is somebody else.
    let account = json!({ "username": "ann", "password": "correct horse" });
    let new = server.http().post("/auth/signup", account).await.data(201);
    assert_ne!(new["user"]["id"], ann.id);
    let token = new["token"].as_str().expect("a token");
    let new = Http::new(server.address, token);
    new.get(&path).await.fails(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hides_or_is_away_leaves_no_ghost() {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let (carl, dora) = (server.user("carl").await, server.user("dora").await);
    for name in ["ann", "carl", "dora"] {
        server.follow(&bob, name).await;
    }
    let hidden = json!({ "activityStatus": "nobody" });
    ann.http.patch("/users/me", hidden).await.data(200);
    let _app = Client::connect(&server, Transport::Raw, &ann).await;
    let mut watching = Client::connect(&server, Transport::Raw, &bob).await;
    // Nothing may be said of who was hidden.
    ann.http.delete("/users/me").await.data(200);
    proves_silence(&server, &mut watching, &carl).await;
    // Who is in the grace is seen as online.
    let app = Client::connect(&server, Transport::Raw, &dora).await;
    watching.update(&dora, "online").await;
    app.close().await;
    dora.http.delete("/users/me").await.data(200);
    let update = watching.update(&dora, "offline").await;
    assert_eq!(update["lastSeen"], Value::Null);
    assert_eq!(server.metric("lastseen_online_users").await, 1.0);
    let ids = json!({ "userIds": [ann.id, dora.id] });
    let asked = bob.http.post("/presence/query", ids).await.data(200);
    assert_eq!(asked["users"][0]["username"], Value::Null);
    assert_eq!(asked["users"][1]["isOnline"], false);
    let listed = bob.http.get("/users/bob/following").await.data(200);
    assert_eq!(listed["users"].as_array().map(Vec::len), Some(1));
    let me = bob.http.get("/users/me").await.data(200);
    assert_eq!(me["followingCount"], 1);
    // And nothing comes back with the next flush.
    server
        .reads(
            "SELECT count(*) FROM sessions WHERE user_id IN (1, 4)",
            0_i64,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_by_command_looks_the_same() {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let pair = json!({ "participants": ["bob"] });
    let pair = ann
        .http
        .post("/messages/conversations", pair)
        .await
        .data(201);
    let path = format!(
        "/messages/conversations/{}/messages",
        pair["conversationId"]
    );
    let said = ann.http.post(&path, json!({ "text": "words" })).await;
    said.data(201);
    let mut watching = Client::connect(&server, Transport::Raw, &bob).await;
    let mut app = Client::connect(&server, Transport::Raw, &ann).await;
    watching.update(&ann, "online").await;
    let database = server.database.to_str().expect("text");
    let command = ["user", "--database", database, "delete", "ann", "--yes"];
    process::succeed(&command, "").await;
    let update = watching.update(&ann, "offline").await;
    assert_eq!(update["lastSeen"], Value::Null);
    app.ended("revoked", 4002).await;
    assert_eq!(server.read::<i64>("SELECT count(*) FROM messages"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_whole_or_not_at_all_and_seen_everywhere() {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let taken = json!({ "email": "bob@example.org" });
    bob.http.patch("/users/me", taken).await.data(200);
    let first = json!({
        "displayName": "Ann", "bio": "b", "email": "ann@example.org",
        "profilePictureUrl": "https://example.org/a.png", "activityStatus": "contacts",
    });
    let me = ann.http.patch("/users/me", first.clone()).await.data(200);
    for (key, value) in first.as_object().expect("fields") {
        assert_eq!(&me[key], value);
    }
    assert_eq!(me["role"], "user");
    assert!(time(&me["createdAt"]) <= now());
    let unchanged = |mut me: Value| {
        me["lastActiveAt"] = Value::Null;
        me
    };
    let before = unchanged(me);
    for (change, status, code) in [
        (json!({ "username": "BOB" }), 409, "conflict"),
        (json!({ "email": "Bob@Example.org" }), 409, "conflict"),
        (json!({ "email": "no address" }), 422, "invalid"),
        (json!({ "username": "a b" }), 422, "invalid"),
        (json!({ "profilePictureUrl": "ftp://x/y" }), 422, "invalid"),
        (json!({ "activityStatus": "friends" }), 422, "invalid"),
        (json!({ "activityStatus": null }), 400, "bad_request"),
        (json!({ "displayName": "x".repeat(101) }), 422, "invalid"),
        (json!({ "displayName": 7 }), 400, "bad_request"),
    ] {
        let mut with_good = change.clone();
        with_good["bio"] = json!("changed");
        let answer = ann.http.patch("/users/me", with_good).await;
        answer.fails(status, code);
        let me = ann.http.get("/users/me").await.data(200);
        assert_eq!(unchanged(me), before, "{change}");
    }
    // What is nobody's to change is ignored as any unknown key.
    let sly = json!({ "role": "admin", "id": 9, "externalId": "x", "isOnline": true });
    let me = ann.http.patch("/users/me", sly).await.data(200);
    assert_eq!(unchanged(me), before);

    let mut watching = Client::connect(&server, Transport::Raw, &bob).await;
    let everyone = json!({ "username": "Anna.B", "activityStatus": "everyone" });
    ann.http.patch("/users/me", everyone).await.data(200);
    let anna = User {
        name: "Anna.B".into(),
        ..ann.clone()
    };
    let _app = Client::connect(&server, Transport::Raw, &ann).await;
    watching.update(&anna, "online").await;
    bob.http.get("/users/ann").await.fails(404, "not_found");
    let seen = bob.http.get("/users/anna.b/presence").await.data(200);
    assert_eq!(
        (&seen["username"], &seen["isOnline"]),
        (&json!("Anna.B"), &json!(true))
    );
    let listed = bob.http.get("/users/bob/following").await.data(200);
    assert_eq!(listed["users"][0]["username"], "Anna.B");
    let snapshot = Client::with_snapshot(&server, Transport::Raw, &bob).await.1;
    assert_eq!(snapshot["users"][0]["username"], "Anna.B");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_as_json() {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let carl = server.user("carl").await;
    let service = Http::new(server.address, &server.key("s", KeyRole::Service).await);
    let acting = service.acting_as(ann.id);
    acting.get("/users/me/export").await.fails(403, "forbidden");
    let profile = json!({ "bio": "about", "email": "ann@example.org", "activityStatus": "nobody" });
    ann.http.patch("/users/me", profile).await.data(200);
    server.follow(&ann, "bob").await;
    server.follow(&bob, "ann").await;
    for (who, whom) in [(&ann, "carl"), (&carl, "ann")] {
        let path = format!("/users/{whom}/block");
        who.http.post(&path, Value::Null).await.data(201);
    }
    let group = json!({ "participants": ["ann", "carl"] });
    let group = bob
        .http
        .post("/messages/conversations", group)
        .await
        .data(201);
    let path = format!(
        "/messages/conversations/{}/messages",
        group["conversationId"]
    );
    for (who, text) in [(&bob, "one"), (&ann, "two")] {
        let said = who.http.post(&path, json!({ "text": text })).await;
        said.data(201);
    }
    let foreign = json!({ "participants": ["carl"] });
    let foreign = bob.http.post("/messages/conversations", foreign).await;
    foreign.data(201);
    let connect = Connect {
        device_type: Some("android".into()),
        ..Connect::on_device(&ann, "phone")
    };
    let app = Client::connect(&server, Transport::Raw, connect).await;
    let of_ann = format!("SELECT count(*) FROM sessions WHERE user_id = {}", ann.id);
    server.reads(&of_ann, 1_i64).await;

    let answer = ann.http.get("/users/me/export").await;
    let file = answer.header("content-disposition");
    assert_eq!(file, "attachment; filename=\"lastseen-ann.json\"");
    let data = answer.data(200);
    let me = ann.http.get("/users/me").await.data(200);
    for key in ["id", "email", "bio", "role", "activityStatus", "createdAt"] {
        assert_eq!(data["profile"][key], me[key], "{key}");
    }
    assert_eq!(
        data["profile"]["isOnline"], true,
        "one's own, hidden or not"
    );
    let sign_ins = data["signIns"].as_array().expect("a list");
    assert_eq!(sign_ins.len(), 1);
    assert!(time(&sign_ins[0]["expiresAt"]) > now());
    let session = &data["sessions"][0];
    assert_eq!(
        (&session["deviceId"], &session["deviceType"]),
        (&json!("phone"), &json!("android"))
    );
    assert_eq!(
        (&session["endedAt"], &session["endReason"]),
        (&Value::Null, &Value::Null)
    );
    for (key, name) in [
        ("following", "bob"),
        ("followers", "bob"),
        ("blocks", "carl"),
    ] {
        let list = data[key].as_array().expect("a list");
        assert_eq!(list.len(), 1, "{key}");
        assert_eq!(list[0]["username"], name, "{key}");
        assert!(time(&list[0]["since"]) <= now());
    }
    let conversations = data["conversations"].as_array().expect("a list");
    assert_eq!(conversations.len(), 1);
    assert_eq!(conversations[0]["isGroup"], true);
    let texts: Vec<_> = conversations[0]["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|m| (m["senderUsername"].clone(), m["text"].clone()))
        .collect();
    let expected = [("ann", "two"), ("bob", "one")].map(|(who, text)| (json!(who), json!(text)));
    assert_eq!(texts, expected);
    for secret in ["hash", "token", "password"] {
        assert!(!answer.text.to_lowercase().contains(secret), "{secret}");
    }
    app.close().await;
    let admin = server.user_with("boss", Role::Admin, NEVER).await;
    admin.http.get("/users/me/export").await.data(200);
}
