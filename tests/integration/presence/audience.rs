//! Who is told of whom: snapshots, following, first messages, watching, messages.

use super::{Marker, offline, online, presence_of};
use crate::harness::{Client, NEVER, Server, Transport, eventually, over_every_transport, time};
use serde_json::{Value, json};

over_every_transport!(
    a_snapshot_is_exact,
    joining_an_audience_tells_what_is_leaving_tells_nothing,
    a_first_message_makes_contacts,
    watching_is_one_way_and_ends_with_unwatch,
    a_watch_over_the_limit_is_refused_whole,
    messages_are_pushed_and_counted,
    settings_and_blocks_are_told_at_once,
);

async fn a_snapshot_is_exact(transport: Transport) {
    let server = Server::start().await;
    let bob = server.user("bob").await;
    let mut all = Vec::new();
    for name in ["ann", "cleo", "dora", "eve"] {
        all.push(server.user(name).await);
    }
    let [ann, cleo, dora, eve] = &all[..] else {
        unreachable!("four names")
    };
    // Followed and online; a partner and online; followed and in the background; online and unknown.
    server.follow(&bob, "ann").await;
    server.follow(&bob, "dora").await;
    let participants = json!({ "participants": ["cleo"] });
    let opened = bob.http.post("/messages/conversations", participants);
    opened.await.data(201);
    // A follower is no reason to be told of them.
    server.follow(eve, "bob").await;
    let mut held = Vec::new();
    for user in &all {
        held.push(Client::connect(&server, transport, user).await);
    }
    held[2].go("offline").await;
    let (_client, snapshot) = Client::with_snapshot(&server, transport, &bob).await;
    let mut users = snapshot["users"].as_array().expect("people").clone();
    users.sort_by_key(|user| user["userId"].as_i64());
    assert_eq!(users, [online(ann), online(cleo)], "{dora:?}");
}

async fn joining_an_audience_tells_what_is_leaving_tells_nothing(transport: Transport) {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let mut app = Client::connect(&server, transport, &ann).await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    server.follow(&bob, "ann").await;
    watching.update(&ann, "online").await;
    // Again is no news.
    server.follow(&bob, "ann").await;
    let mut marker = Marker::new(&server, &bob).await;
    marker.settles(&mut watching).await;
    bob.http.delete("/users/ann/follow").await.data(200);
    app.go("offline").await;
    app.go("online").await;
    marker.proves_silence(&mut watching).await;
    server.follow(&bob, "ann").await;
    watching.update(&ann, "online").await;
    app.go("offline").await;
    watching.update(&ann, "offline").await;
    // Somebody offline is joined without a word.
    bob.http.delete("/users/ann/follow").await.data(200);
    server.follow(&bob, "ann").await;
    marker.proves_silence(&mut watching).await;
    // Whoever watches has been told already; another connection of the same user has not.
    bob.http.delete("/users/ann/follow").await.data(200);
    app.go("online").await;
    let mut other = Client::connect(&server, transport, &bob).await;
    let whom = json!({ "userIds": [ann.id] });
    let told = watching.succeed("watch", whom).await;
    assert_eq!(told, json!({ "users": [online(&ann)] }));
    server.follow(&bob, "ann").await;
    other.update(&ann, "online").await;
    marker.proves_silence(&mut watching).await;
}

async fn a_first_message_makes_contacts(transport: Transport) {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let hidden = json!({ "activityStatus": "contacts" });
    ann.http.patch("/users/me", hidden).await.data(200);
    let participants = json!({ "participants": ["bob"] });
    let opened = ann.http.post("/messages/conversations", participants);
    let id = opened.await.data(201)["conversationId"].clone();
    let messages = format!("/messages/conversations/{id}/messages");
    let mut app = Client::connect(&server, transport, &ann).await;
    // A partner, but nobody whom Ann chose.
    let (mut watching, snapshot) = Client::with_snapshot(&server, transport, &bob).await;
    assert_eq!(snapshot, json!({ "users": [] }));
    assert_eq!(presence_of(&bob, "ann").await["isOnline"], false);
    // What Bob writes makes Ann his contact, not him hers.
    let sent = bob.http.post(&messages, json!({ "text": "hello" }));
    sent.await.data(201);
    assert_eq!(app.event("message").await["message"]["text"], "hello");
    app.go("offline").await;
    app.go("online").await;
    let sent = ann.http.post(&messages, json!({ "text": "hi" }));
    sent.await.data(201);
    // In whichever order: the two are different queues.
    let mut got = Vec::new();
    for _ in 0..2 {
        match watching.next().await {
            crate::harness::Said::Event(name, data) => got.push((name, data)),
            other => panic!("{other:?}"),
        }
    }
    got.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        (&*got[0].0, &got[0].1["message"]["text"]),
        ("message", &json!("hi"))
    );
    assert_eq!(
        (&*got[1].0, &got[1].1["status"]),
        ("presence_update", &json!("online"))
    );
    assert_eq!(presence_of(&bob, "ann").await["isOnline"], true);
}

async fn watching_is_one_way_and_ends_with_unwatch(transport: Transport) {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let mut app = Client::connect(&server, transport, &ann).await;
    app.go("offline").await;
    let last_seen = presence_of(&bob, "ann").await["lastSeen"].clone();
    time(&last_seen);
    let mut watching = Client::connect(&server, transport, &bob).await;
    let mut marker = Marker::new(&server, &bob).await;
    marker.settles(&mut watching).await;

    let whom = json!({ "usernames": ["nobody_here", "ANN", "bob"] });
    let answer = watching.succeed("watch", whom).await;
    let expected = json!({ "users": [offline(&ann, &last_seen), online(&bob)] });
    assert_eq!(
        answer, expected,
        "in the order asked, with oneself, without the unknown"
    );
    app.go("online").await;
    watching.update(&ann, "online").await;
    // One connection's watching is not another's, and not the watched one's business.
    let mut other = Client::connect(&server, transport, &bob).await;
    app.go("offline").await;
    watching.update(&ann, "offline").await;
    marker.proves_silence(&mut other).await;
    marker.settles(&mut watching).await;
    let whom = json!({ "userIds": [ann.id, 999_999] });
    let answer = watching.succeed("watch", whom.clone()).await;
    assert_eq!(answer["users"].as_array().map(Vec::len), Some(1));
    // Nobody is pushed their own state, not even when they watch themselves.
    watching.go("offline").await;
    other.go("offline").await;
    other.go("online").await;
    marker.proves_silence(&mut watching).await;

    assert_eq!(watching.succeed("unwatch", whom).await, json!({}));
    app.go("online").await;
    app.go("offline").await;
    marker.proves_silence(&mut watching).await;
    assert_eq!(watching.fail("watch", json!({})).await, "bad_payload");
    let both = json!({ "usernames": ["ann"], "userIds": [1] });
    assert_eq!(watching.fail("watch", both).await, "bad_payload");
    // Who is watched learns nothing of it.
    assert_eq!(app.ask("heartbeat", json!({})).await["success"], true);
    server.follow(&ann, "marker").await;
    marker.proves_silence(&mut app).await;
}

async fn a_watch_over_the_limit_is_refused_whole(transport: Transport) {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let mut app = Client::connect(&server, transport, &ann).await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let mut marker = Marker::new(&server, &bob).await;
    marker.settles(&mut watching).await;
    let mut rows = String::from(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 499) ",
    );
    rows += "INSERT INTO users (username, created_at, updated_at) SELECT 'crowd' || i, 0, 0 FROM n";
    server.write(&rows);
    let crowd: Vec<i64> = (0..499).map(|i| marker.user.id + 1 + i).collect();
    let too_many: Vec<i64> = crowd.iter().copied().chain([ann.id, ann.id]).collect();
    assert_eq!(too_many.len(), 501);
    // The last two are the same, which counts once.
    let distinct = json!({ "userIds": too_many });
    let more: Vec<i64> = (crowd[498]..crowd[498] + 501).collect();
    assert_eq!(
        watching.fail("watch", json!({ "userIds": more })).await,
        "limit_exceeded"
    );
    let first = watching.succeed("watch", json!({ "userIds": crowd })).await;
    assert_eq!(first["users"].as_array().map(Vec::len), Some(499));
    let two = json!({ "userIds": [ann.id, marker.user.id] });
    assert_eq!(watching.fail("watch", two).await, "limit_exceeded");
    app.go("offline").await;
    app.go("online").await;
    marker.proves_silence(&mut watching).await;
    let one = watching
        .succeed("watch", json!({ "userIds": [ann.id] }))
        .await;
    assert_eq!(one, json!({ "users": [online(&ann)] }));
    // All again is nothing more.
    let all = watching.succeed("watch", distinct).await;
    assert_eq!(all["users"].as_array().map(Vec::len), Some(501));
    app.go("offline").await;
    watching.update(&ann, "offline").await;
    let some = json!({ "userIds": crowd[..10] });
    watching.succeed("unwatch", some).await;
    let two = json!({ "userIds": [crowd[0], crowd[1]] });
    watching.succeed("watch", two).await;
}

async fn messages_are_pushed_and_counted(transport: Transport) {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let participants = json!({ "participants": ["bob"] });
    let opened = ann.http.post("/messages/conversations", participants);
    let id = opened.await.data(201)["conversationId"].clone();
    let mut annas = Client::connect(&server, transport, &ann).await;
    let mut bobs = Client::connect(&server, transport, &bob).await;
    annas.update(&bob, "online").await;
    let messages = format!("/messages/conversations/{id}/messages");
    for text in ["one", "two \u{1F44B}"] {
        let sent = ann.http.post(&messages, json!({ "text": text }));
        let sent = sent.await.data(201);
        let pushed = bobs.event("message").await;
        assert_eq!(pushed, json!({ "conversationId": id, "message": sent }));
        assert_eq!(pushed["message"]["text"], text);
        assert_eq!(pushed["message"]["senderUsername"], "ann");
    }
    // The sender is told nothing: what comes next is the answer to their own message.
    let sent = bob.http.post(&messages, json!({ "text": "three" }));
    sent.await.data(201);
    assert_eq!(annas.event("message").await["message"]["text"], "three");
    let unread = async |user: &crate::harness::User| {
        let list = user.http.get("/messages/conversations").await.data(200);
        list[0]["unreadCount"].clone()
    };
    assert_eq!(
        (unread(&bob).await, unread(&ann).await),
        (json!(2), json!(1))
    );
    let one = bob.http.get(&format!("/messages/conversations/{id}")).await;
    let texts: Vec<Value> = one.data(200)["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|m| m["text"].clone())
        .collect();
    assert_eq!(texts, ["three", "two \u{1F44B}", "one"], "newest first");
    // The mark is written after the answer, which does not wait for it.
    let is_read = async || (unread(&bob).await == json!(0)).then_some(());
    eventually("the messages to be read", is_read).await;
    assert_eq!(unread(&ann).await, json!(1));
}

async fn settings_and_blocks_are_told_at_once(transport: Transport) {
    // Neither waits for a gap.
    let server = Server::with(|c| c.transition_gap = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let _ann = Client::connect(&server, transport, &ann).await;
    watching.update(&ann, "online").await;
    let gone = async |watching: &mut Client| {
        let update = watching.update(&ann, "offline").await;
        assert_eq!(
            update["lastSeen"],
            Value::Null,
            "hidden looks like never seen"
        );
    };
    let set = async |user: &crate::harness::User, status: &str| {
        let change = json!({ "activityStatus": status });
        user.http.patch("/users/me", change).await.data(200);
    };
    set(&ann, "nobody").await;
    gone(&mut watching).await;
    set(&ann, "contacts").await;
    // Now Bob is whom Ann chose.
    server.follow(&ann, "bob").await;
    watching.update(&ann, "online").await;
    ann.http.delete("/users/bob/follow").await.data(200);
    gone(&mut watching).await;
    set(&ann, "everyone").await;
    watching.update(&ann, "online").await;
    // It works both ways.
    set(&bob, "nobody").await;
    gone(&mut watching).await;
    set(&bob, "contacts").await;
    watching.update(&ann, "online").await;
    set(&bob, "everyone").await;
    // A block ends the follow too; watching goes on, and is hidden.
    watching
        .succeed("watch", json!({ "usernames": ["ann"] }))
        .await;
    ann.http
        .post("/users/bob/block", Value::Null)
        .await
        .data(201);
    gone(&mut watching).await;
    let follow = bob.http.post("/users/ann/follow", Value::Null);
    follow.await.fails(403, "forbidden");
    ann.http.delete("/users/bob/block").await.data(200);
    watching.update(&ann, "online").await;
    bob.http
        .post("/users/ann/block", Value::Null)
        .await
        .data(201);
    gone(&mut watching).await;
    bob.http.delete("/users/ann/block").await.data(200);
    watching.update(&ann, "online").await;
}
