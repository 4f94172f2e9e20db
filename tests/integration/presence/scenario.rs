//! What the front end does: a friend comes, with a second device, goes, reloads, goes to the background.

use super::{Marker, offline, online, presence_of};
use crate::harness::{Client, Connect, NEVER, Server, Transport, now, over_every_transport, time};
use serde_json::{Value, json};
use std::time::Duration;

over_every_transport!(
    a_friend_comes_and_goes,
    a_reload_within_the_grace_is_silent,
    background_and_foreground_are_told_at_once,
    another_users_id_is_refused,
    transitions_within_the_gap_are_told_once,
);

async fn a_friend_comes_and_goes(transport: Transport) {
    let server = Server::start().await;
    let (ann, bob) = (server.user("Ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let participants = json!({ "participants": ["ann"] });
    let opened = bob.http.post("/messages/conversations", participants);
    let conversation = opened.await.data(201)["conversationId"].clone();
    let (mut watching, snapshot) = Client::with_snapshot(&server, transport, &bob).await;
    assert_eq!(snapshot, json!({ "users": [] }));
    let mut marker = Marker::new(&server, &bob).await;
    marker.settles(&mut watching).await;

    let first = Client::connect(&server, transport, Connect::on_device(&ann, "phone")).await;
    watching.update(&ann, "online").await;
    let second = Client::connect(&server, transport, Connect::on_device(&ann, "tablet")).await;
    marker.proves_silence(&mut watching).await;
    assert_eq!(
        presence_of(&bob, "ann").await["lastSeen"],
        Value::Null,
        "no stretch of being online has ended yet"
    );
    first.close().await;
    marker.proves_silence(&mut watching).await;

    let before = now();
    second.close().await;
    let after = now();
    let seen = presence_of(&bob, "ann").await;
    assert_eq!(seen["isOnline"], true, "within the grace");
    let update = watching.update(&ann, "offline").await;
    let last_seen = update["lastSeen"].clone();
    let at = time(&last_seen);
    assert!(before <= at && at <= after, "{before} {at} {after}");
    assert!(
        time(&update["timestamp"]) >= at.plus(Duration::from_millis(300)),
        "offline only after the grace: {update}"
    );
    marker.proves_silence(&mut watching).await;
    server.stored_presence(ann.id, (false, Some(at))).await;

    // Every surface says the same.
    let bobs = &bob.http;
    let get = async |path: &str| bobs.get(path).await.data(200);
    let surfaces = [
        presence_of(&bob, "ANN").await,
        get("/users/ann").await,
        get(&format!("/messages/conversations/{conversation}")).await["participants"]
            .as_array()
            .expect("people")
            .iter()
            .find(|p| p["userId"] == ann.id)
            .expect("a participant")
            .clone(),
        get("/messages/conversations").await[0]["otherUser"].clone(),
        get("/users/bob/following").await["users"]
            .as_array()
            .expect("people")
            .iter()
            .find(|p| p["userId"] == ann.id)
            .expect("followed")
            .clone(),
    ];
    for surface in surfaces {
        assert_eq!(surface["username"], "Ann", "{surface}");
        assert_eq!(surface["isOnline"], false, "{surface}");
        assert_eq!(surface["lastSeen"], last_seen, "{surface}");
    }
    let query = json!({ "usernames": ["nobody_here", "aNN"] });
    let found = bobs.post("/presence/query", query).await.data(200);
    assert_eq!(found["users"][1]["lastSeen"], last_seen);
    assert_eq!(found["users"][1]["username"], "Ann");
    assert_eq!(
        found["users"][0],
        json!({ "userId": null, "username": "nobody_here", "isOnline": false, "lastSeen": null, "lastActiveAt": null })
    );
    let follow = ann.http.post("/users/marker/follow", Value::Null);
    follow.await.data(201);
    let followers = get("/users/marker/followers").await;
    let entry = |name: &str| {
        let users = followers["users"].as_array().expect("people");
        users.iter().find(|p| p["username"] == name).cloned()
    };
    assert_eq!(entry("Ann").expect("a follower")["lastSeen"], last_seen);
    assert_eq!(entry("bob").expect("a follower")["isOnline"], true);

    // Back again: the end of the previous stretch stays until there is another.
    let again = Client::connect(&server, transport, &ann).await;
    watching.update(&ann, "online").await;
    let seen = presence_of(&bob, "ann").await;
    assert_eq!(
        (&seen["isOnline"], &seen["lastSeen"]),
        (&json!(true), &last_seen)
    );
    server.stored_presence(ann.id, (true, Some(at))).await;
    let (_third, snapshot) = Client::with_snapshot(&server, transport, &bob).await;
    assert_eq!(
        snapshot,
        json!({ "users": [online(&ann)] }),
        "exactly who is online"
    );
    drop(again);
}

async fn a_reload_within_the_grace_is_silent(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = Duration::from_millis(1200)).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut marker = Marker::new(&server, &bob).await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let page = Client::connect(&server, transport, &ann).await;
    watching.update(&ann, "online").await;
    page.close().await;
    let page = Client::connect(&server, transport, &ann).await;
    marker.proves_silence(&mut watching).await;
    // A grace that begins only now is over after the other would have been.
    marker.client.go("online").await;
    watching.update(&marker.user, "online").await;
    let Marker { user, client } = marker;
    client.close().await;
    watching.update(&user, "offline").await;
    assert_eq!(presence_of(&bob, "ann").await["isOnline"], true);
    drop(page);
}

async fn background_and_foreground_are_told_at_once(transport: Transport) {
    // Nothing here may wait for a grace or a gap.
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut marker = Marker::new(&server, &bob).await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let mut app = Client::connect(&server, transport, Connect::on_device(&ann, "phone")).await;
    watching.update(&ann, "online").await;
    let before = now();
    let ack = app.ask(
        "update_presence",
        json!({ "status": "offline", "userId": ann.id }),
    );
    assert_eq!(
        ack.await,
        json!({ "success": true, "data": { "status": "offline" } })
    );
    let after = now();
    let update = watching.update(&ann, "offline").await;
    let at = time(&update["lastSeen"]);
    assert!(before <= at && at <= after, "{update}");
    // Again changes nothing.
    app.go("offline").await;
    marker.proves_silence(&mut watching).await;
    app.go("online").await;
    watching.update(&ann, "online").await;
    // With another device in the foreground, one in the background is nobody's business.
    let mut other = Client::connect(&server, transport, Connect::on_device(&ann, "tablet")).await;
    app.go("offline").await;
    marker.proves_silence(&mut watching).await;
    // Without an acknowledgement too.
    other
        .emit("update_presence", json!({ "status": "offline" }))
        .await;
    watching.update(&ann, "offline").await;
    // A connection in the background ends without anybody's notice, and so does one that comes with it.
    other.close().await;
    app.close().await;
    marker.proves_silence(&mut watching).await;
}

async fn another_users_id_is_refused(transport: Transport) {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut marker = Marker::new(&server, &bob).await;
    let _ann = Client::connect(&server, transport, &ann).await;
    let (mut bobs, snapshot) = Client::with_snapshot(&server, transport, &bob).await;
    assert_eq!(snapshot, json!({ "users": [online(&ann)] }));
    let request = json!({ "userId": ann.id, "status": "offline" });
    assert_eq!(
        bobs.fail("update_presence", request.clone()).await,
        "forbidden"
    );
    bobs.emit("update_presence", request).await;
    assert_eq!(bobs.event("error").await["code"], "forbidden");
    for (event, data, code) in [
        (
            "update_presence",
            json!({ "status": "away" }),
            "bad_payload",
        ),
        ("update_presence", json!({}), "bad_payload"),
        (
            "update_presence",
            json!({ "status": "offline", "userId": 1e300 }),
            "bad_payload",
        ),
        ("dance", json!({}), "unknown_event"),
    ] {
        assert_eq!(bobs.fail(event, data.clone()).await, code, "{event} {data}");
        bobs.emit(event, data).await;
        let error = bobs.event("error").await;
        assert_eq!(error["code"], code);
        assert!(error["message"].is_string());
    }
    assert_eq!(bobs.succeed("heartbeat", json!({})).await, json!({}));
    marker.proves_silence(&mut bobs).await;
    assert_eq!(presence_of(&bob, "ann").await["isOnline"], true);
    assert_eq!(presence_of(&ann, "bob").await["isOnline"], true);
}

async fn transitions_within_the_gap_are_told_once(transport: Transport) {
    let server = Server::with(|c| c.transition_gap = Duration::from_millis(1200)).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut watching = Client::connect(&server, transport, &bob).await;
    let mut app = Client::connect(&server, transport, &ann).await;
    // The first at once, and of those within the gap only the newest.
    watching.update(&ann, "online").await;
    for status in ["offline", "online", "offline", "online"] {
        app.go(status).await;
    }
    let before = now();
    app.go("offline").await;
    let after = now();
    let update = watching.update(&ann, "offline").await;
    let at = time(&update["lastSeen"]);
    assert!(before <= at && at <= after, "the newest: {update}");
    let effect = time(&update["timestamp"]);
    assert!(
        at <= effect && effect <= after,
        "not the gap's end: {update}"
    );
    // And when what is newest is what was told before, nothing.
    app.go("online").await;
    app.go("offline").await;
    let seen = presence_of(&bob, "ann").await;
    let update = watching.update(&ann, "offline").await;
    assert_eq!(
        update["lastSeen"], seen["lastSeen"],
        "another stretch has ended"
    );
    let (mut client, _) = Client::with_snapshot(&server, transport, &bob).await;
    let watch = client
        .succeed("watch", json!({ "userIds": [ann.id] }))
        .await;
    assert_eq!(
        watch,
        json!({ "users": [offline(&ann, &seen["lastSeen"])] })
    );
}
