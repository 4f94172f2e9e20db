//! The administrator's views over real connections: who is online and why, ending that, and the live stream.

use crate::harness::{
    Client, Connect, DEADLINE, Http, NEVER, Server, Transport, User, eventually, now,
    over_every_transport, soon, time,
};
use lastseen::model::{KeyRole, Role};
use serde_json::{Value, json};
use std::time::Duration;

over_every_transport!(
    who_is_online_and_how,
    an_ended_connection_has_the_grace,
    every_sign_in_is_revoked,
    the_live_stream_tells_what_happens_in_order,
);

async fn admin(server: &Server) -> User {
    server.user_with("root", Role::Admin, NEVER).await
}

async fn why(admin: &User, of: &str, viewer: Option<&str>) -> Value {
    let query = viewer.map_or(String::new(), |name| format!("?viewer={name}"));
    let path = format!("/admin/users/{of}/why{query}");
    admin.http.get(&path).await.data(200)
}

/// Every session of `user` has ended for this reason.
async fn sessions_ended(server: &Server, user: &User, reason: &str) {
    let id = user.id;
    let sql = format!(
        "SELECT ifnull(group_concat(DISTINCT ifnull(end_reason, 'open')), '') FROM sessions WHERE user_id = {id}"
    );
    server.reads(&sql, reason.to_owned()).await;
}

async fn who_is_online_and_how(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let root = admin(&server).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let online = async |query: &str| {
        root.http
            .get(&format!("/admin/online{query}"))
            .await
            .data(200)
    };
    let before = now();
    let phone = Connect {
        device_type: Some("ios".into()),
        ..Connect::on_device(&ann, "phone")
    };
    let mut phone = Client::connect(&server, transport, phone).await;
    // An answer over the new transport: the upgrade is done.
    phone.succeed("heartbeat", json!({})).await;
    let mut tablet = Client::connect(&server, Transport::Raw, &ann).await;
    let mut bobs = Client::connect(&server, transport, &bob).await;
    let after = now();

    let all = online("").await;
    assert_eq!(
        (&all["total"], &all["nextCursor"]),
        (&json!(2), &Value::Null)
    );
    let names: Vec<_> = all["users"].as_array().expect("a list").iter().collect();
    assert_eq!(
        (&names[0]["username"], &names[1]["username"]),
        (&json!("ann"), &json!("bob"))
    );
    let since = time(&names[0]["since"]);
    assert!(before <= since && since <= after);
    let active = time(&names[0]["lastActiveAt"]);
    assert!(before <= active && active <= after);
    let connections = &names[0]["connections"];
    let word = match transport {
        Transport::Polling => "polling",
        Transport::WebSocket | Transport::Upgrade => "websocket",
        Transport::Raw => "raw",
    };
    let connected = time(&connections[0]["connectedAt"]);
    assert!(before <= connected && connected <= after);
    let expected = json!({
        "id": connections[0]["id"],
        "transport": word,
        "deviceType": "ios",
        "ipAddress": "127.0.0.1",
        "countryCode": null,
        "foreground": true,
        "connectedAt": connections[0]["connectedAt"],
    });
    assert_eq!(connections[0], expected);
    assert!(connections[0]["id"].is_u64());
    assert_eq!(connections[1]["transport"], "raw");
    assert_eq!(connections[1]["deviceType"], Value::Null);
    assert_eq!(connections[2], Value::Null, "two of them");

    // A page at a time.
    let first = online("?limit=1").await;
    assert_eq!(first["users"], json!([all["users"][0]]));
    let cursor = first["nextCursor"].as_str().expect("another page");
    let second = online(&format!("?limit=1&cursor={cursor}")).await;
    assert_eq!(second["users"], json!([all["users"][1]]));
    assert_eq!(
        (&second["total"], &second["nextCursor"]),
        (&json!(2), &Value::Null)
    );

    // The background is shown; whoever is there alone is not online.
    tablet.go("offline").await;
    bobs.go("offline").await;
    let all = online("").await;
    assert_eq!(all["total"], 1);
    assert_eq!(all["users"][0]["connections"][1]["foreground"], false);
    assert_eq!(all["users"][1], Value::Null);
    // And who is in grace is online with no connection.
    tablet.close().await;
    phone.close().await;
    let users = eventually("both to be gone", async || {
        let users = online("").await["users"].clone();
        (users[0]["connections"] == json!([])).then_some(users)
    })
    .await;
    assert_eq!(users[0]["userId"], ann.id);
    assert_eq!(time(&users[0]["since"]), since);
}

async fn an_ended_connection_has_the_grace(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let root = admin(&server).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let mut app = Client::connect(&server, transport, &ann).await;
    let (mut watching, _) = Client::with_snapshot(&server, Transport::Raw, &bob).await;
    let id = why(&root, "ann", None).await["connections"][0]["id"].clone();
    let path = format!("/admin/connections/{id}");
    let before = now();
    assert_eq!(
        root.http.delete(&path).await.data(200),
        json!({ "ended": true })
    );
    let after = now();
    root.http.delete(&path).await.fails(404, "not_found");
    app.ended("revoked", 4002).await;
    sessions_ended(&server, &ann, "revoked").await;
    // Online for the grace, and the credential is good.
    let told = why(&root, "ann", Some("bob")).await;
    assert_eq!(told["connections"], json!([]));
    assert_eq!(told["viewer"]["isOnline"], true);
    let until = time(&told["grace"]["until"]);
    assert!(
        before.plus(NEVER) <= until && until <= after.plus(NEVER),
        "{told}"
    );
    let mut app = Client::connect(&server, transport, &ann).await;
    let told = why(&root, "ann", Some("bob")).await;
    assert_eq!(told["grace"], json!({ "active": false, "until": null }));
    // Nobody was told anything of it: what comes next is this.
    app.go("offline").await;
    watching.update(&ann, "offline").await;

    // Without a way back one is offline, since the connection ended.
    let server = Server::start().await;
    let root = admin(&server).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let _app = Client::connect(&server, transport, &ann).await;
    let (mut watching, _) = Client::with_snapshot(&server, Transport::Raw, &bob).await;
    let id = why(&root, "ann", None).await["connections"][0]["id"].clone();
    let before = now();
    let path = format!("/admin/connections/{id}");
    root.http.delete(&path).await.data(200);
    let after = now();
    let update = watching.update(&ann, "offline").await;
    let seen = time(&update["lastSeen"]);
    assert!(before <= seen && seen <= after, "{update}");
}

async fn every_sign_in_is_revoked(transport: Transport) {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let root = admin(&server).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    server.follow(&bob, "ann").await;
    let token = server.sign_in(ann.id, NEVER).await;
    let other = Connect {
        token: token.clone(),
        ..Connect::default()
    };
    let mut first = Client::connect(&server, transport, &ann).await;
    let mut second = Client::connect(&server, transport, other).await;
    let (mut watching, _) = Client::with_snapshot(&server, Transport::Raw, &bob).await;
    let path = "/admin/users/ANN/sessions";
    assert_eq!(
        root.http.delete(path).await.data(200),
        json!({ "revoked": 2 })
    );
    watching.update(&ann, "offline").await;
    first.ended("revoked", 4002).await;
    second.ended("revoked", 4002).await;
    sessions_ended(&server, &ann, "revoked").await;
    for http in [ann.http.clone(), Http::new(server.address, &token)] {
        http.get("/users/me").await.fails(401, "unauthorized");
    }
    bob.http.get("/users/me").await.data(200);
    assert_eq!(
        root.http.delete(path).await.data(200),
        json!({ "revoked": 0 })
    );
}

/// What the rule says, and that it is what the viewer is told elsewhere.
async fn rule(root: &User, viewer: &User) -> String {
    let told = why(root, "ann", Some(&viewer.name)).await;
    let seen = viewer.http.get("/users/ann/presence").await.data(200);
    for field in ["isOnline", "lastSeen"] {
        assert_eq!(told["viewer"][field], seen[field], "{told} {seen}");
    }
    told["viewer"]["rule"].as_str().expect("a word").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_somebody_is_online_or_not() {
    let server = Server::with(|c| c.offline_grace = NEVER).await;
    let root = admin(&server).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let set = async |user: &User, status: &str| {
        let change = json!({ "activityStatus": status });
        user.http.patch("/users/me", change).await.data(200);
    };

    // Never seen is not hidden.
    let never = json!({
        "userId": ann.id,
        "username": "ann",
        "connections": [],
        "grace": { "active": false, "until": null },
        "viewer": { "isOnline": false, "lastSeen": null, "rule": "admin" },
    });
    assert_eq!(why(&root, "ann", None).await, never);
    assert_eq!(rule(&root, &bob).await, "visible");

    let before = now();
    let app = Client::connect(&server, Transport::WebSocket, &ann).await;
    let told = why(&root, "Ann", Some("BOB")).await;
    let connection = &told["connections"][0];
    let proof = time(&connection["lastProofAt"]);
    assert!(before <= proof && proof <= now(), "{told}");
    assert_eq!(connection["foreground"], true);
    assert_eq!(
        told["viewer"],
        json!({ "isOnline": true, "lastSeen": null, "rule": "visible" })
    );
    assert_eq!(
        why(&root, "ann", Some("ann")).await["viewer"]["rule"],
        "own"
    );
    assert_eq!(
        why(&root, "ann", Some("root")).await["viewer"]["rule"],
        "admin"
    );

    // Every way to hide, each told before the next.
    set(&ann, "nobody").await;
    assert_eq!(rule(&root, &bob).await, "subject_nobody");
    let told = why(&root, "ann", Some("bob")).await;
    assert_eq!(told["viewer"]["isOnline"], false);
    assert_eq!(
        told["connections"][0]["foreground"], true,
        "what is so is shown all the same"
    );
    assert_eq!(why(&root, "ann", None).await["viewer"]["isOnline"], true);
    set(&ann, "contacts").await;
    assert_eq!(rule(&root, &bob).await, "subject_contacts");
    server.follow(&ann, "bob").await;
    assert_eq!(rule(&root, &bob).await, "visible");
    set(&bob, "contacts").await;
    assert_eq!(rule(&root, &bob).await, "viewer_contacts");
    set(&bob, "nobody").await;
    assert_eq!(rule(&root, &bob).await, "viewer_nobody");
    set(&bob, "everyone").await;
    bob.http.post("/users/ann/block", Value::Null).await;
    assert_eq!(rule(&root, &bob).await, "blocked");
    bob.http.delete("/users/ann/block").await;
    set(&ann, "everyone").await;

    // In grace.
    app.lose().await;
    let told = eventually("the grace", async || {
        let told = why(&root, "ann", Some("bob")).await;
        (told["grace"]["active"] == true).then_some(told)
    })
    .await;
    assert_eq!(told["connections"], json!([]));
    assert_eq!(told["viewer"]["isOnline"], true);
    assert!(time(&told["grace"]["until"]) > now());
    assert_eq!(rule(&root, &bob).await, "visible");
}

/// One who follows the live stream.
struct Live {
    response: reqwest::Response,
    text: String,
}

impl Live {
    async fn follow(http: &Http) -> Self {
        let response = soon("the stream", http.request("GET", "/admin/live").send()).await;
        let response = response.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event; `None` at an orderly end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let Some((block, rest)) = self.text.split_once("\n\n") else {
                let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await;
                let chunk = chunk.expect("an event or the end").expect("not broken off");
                self.text += std::str::from_utf8(&chunk?).expect("UTF-8");
                continue;
            };
            let (block, rest) = (block.to_owned(), rest.to_owned());
            self.text = rest;
            if let Some((event, data)) = block.split_once("\ndata: ") {
                let event = event.strip_prefix("event: ").expect("a word");
                return Some((event.into(), serde_json::from_str(data).expect("JSON")));
            }
            assert!(block.starts_with(':'), "{block}");
        }
    }

    /// The data of the next event beside figures, which must be this.
    async fn event(&mut self, name: &str) -> Value {
        // Figures come all the time, so that the wait for one event is not enough.
        let happening = async {
            loop {
                let (event, data) = self.next().await.expect("no end yet");
                if event != "counters" {
                    return (event, data);
                }
            }
        };
        let (event, data) = soon(name, happening).await;
        assert_eq!(event, name, "{data}");
        data
    }

    async fn ends(&mut self) {
        soon("the end", async { while self.next().await.is_some() {} }).await;
    }
}

async fn the_live_stream_tells_what_happens_in_order(transport: Transport) {
    let server = Server::with(|c| {
        c.session_resume = NEVER;
        // A poll that the server never got cannot be missed; then the ping is.
        c.ping_interval = Duration::from_secs(4);
        c.ping_timeout = Duration::from_secs(6);
    })
    .await;
    let key = server.key("live", KeyRole::Admin).await;
    let ann = server.user("ann").await;
    let mut live = Live::follow(&Http::new(server.address, &key)).await;
    let figures = json!({ "online": 0, "connections": 0 });
    assert_eq!(live.next().await, Some(("counters".into(), figures)));

    let phone = Connect::on_device(&ann, "phone");
    let mut app = Client::connect(&server, transport, phone.clone()).await;
    let started = live.event("session").await;
    assert_eq!(started["state"], "started");
    assert_eq!(
        (&started["userId"], &started["username"]),
        (&json!(ann.id), &json!("ann"))
    );
    assert_eq!(
        (&started["deviceId"], &started["ipAddress"]),
        (&json!("phone"), &json!("127.0.0.1"))
    );
    assert_eq!(
        (&started["endedAt"], &started["endReason"]),
        (&Value::Null, &Value::Null)
    );
    let online = live.event("presence").await;
    let expected = json!({
        "userId": ann.id, "username": "ann", "status": "online", "timestamp": started["startedAt"],
    });
    assert_eq!(online, expected);

    // Whatever she hides from others, an admin is told.
    let change = json!({ "activityStatus": "nobody" });
    ann.http.patch("/users/me", change).await.data(200);
    app.go("offline").await;
    let ended = live.event("session").await;
    assert_eq!(
        (&ended["state"], &ended["id"]),
        (&json!("ended"), &started["id"])
    );
    assert_eq!(ended["endReason"], "client");
    let offline = live.event("presence").await;
    assert_eq!(
        (&offline["status"], &offline["lastSeen"]),
        (&json!("offline"), &ended["endedAt"])
    );
    app.go("online").await;
    let resumed = live.event("session").await;
    assert_eq!(
        (&resumed["state"], &resumed["id"]),
        (&json!("resumed"), &started["id"])
    );
    assert_eq!(live.event("presence").await["status"], "online");
    app.lose().await;
    let ended = live.event("session").await;
    assert_eq!(
        (&ended["state"], &ended["endReason"]),
        (&json!("ended"), &json!("lost"))
    );
    let offline = live.event("presence").await;
    assert_eq!(
        (&offline["status"], &offline["lastSeen"]),
        (&json!("offline"), &ended["endedAt"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_stream_ends_in_order_with_its_credential_and_with_the_server() {
    // Of these times, which are for requests, a stream is free: it goes on for longer than both until the credential
    // is looked at again.
    let mut server = Server::with(|c| {
        c.header_timeout = Duration::from_secs(1);
        c.body_timeout = Duration::from_secs(1);
    })
    .await;
    let root = admin(&server).await;
    let key = server.key("live", KeyRole::Admin).await;
    let mut of_root = Live::follow(&root.http).await;
    let mut of_key = Live::follow(&Http::new(server.address, &key)).await;
    root.http.post("/auth/signout", Value::Null).await.data(200);
    of_root.ends().await;
    of_key.next().await.expect("figures");
    // Not broken off, so that the stop did not wait for it until it gave up.
    let (_, ()) = tokio::join!(server.stop(), of_key.ends());
}
