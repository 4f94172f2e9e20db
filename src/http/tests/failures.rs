//! Every kind of failure, from the router to the last field.

use super::world::{Answer, ORIGIN, World, request};
use poem::endpoint::make_sync;
use poem::http::StatusCode;
use poem::{Body, IntoResponse, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Fails the same for every caller: no route, no method.
#[tokio::test]
async fn the_router_fails_with_the_envelope() {
    let world = World::new().await;
    for path in [
        "/",
        "/nothing",
        "/users",
        "/users/",
        "/users/ann/nothing",
        "/users/me/",
        "/docs/nothing",
        "/messages/conversations/1/nothing",
    ] {
        world.get(path, &world.ann).await.fails(404, "not_found");
    }
    let allowed = [
        ("PUT", "/users/me", "DELETE, GET, HEAD, PATCH"),
        ("PUT", "/users/ann", "GET, HEAD"),
        ("GET", "/users/ann/follow", "DELETE, POST"),
        ("HEAD", "/auth/signup", "POST"),
        ("OPTIONS", "/auth/signup", "POST"),
        ("GET", "/presence/query", "POST"),
        ("PATCH", "/messages/conversations", "GET, HEAD, POST"),
        ("GET", "/messages/conversations/1/messages", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
        ("GET", "/admin/users", "PUT"),
        ("BREW", "/users/me", "DELETE, GET, HEAD, PATCH"),
    ];
    for (method, path, allow) in allowed {
        let answer = world.call(method, path, "", Value::Null).await;
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        answer.fails(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn paths_and_queries_are_parsed_strictly() {
    let world = World::new().await;
    let get = async |path: &str| world.get(path, &world.ann).await;
    // No name: nobody's. Also `me` in another case.
    for path in [
        "/users/ME",
        "/users/a",
        "/users/%00ann",
        "/users/a%20b",
        "/users/ann%2F",
        "/users/me/presence",
        "/users/me/followers",
        "/users/nobody.here",
        "/users/nobody.here/presence",
    ] {
        get(path).await.fails(404, "not_found");
    }
    for path in ["/users/%FF", "/users/%ff/presence"] {
        get(path).await.fails(400, "bad_request");
    }
    for id in ["x", "1.5", "99999999999999999999", "%FF", "1%00"] {
        let path = format!("/messages/conversations/{id}");
        let error = get(&path).await.fails(400, "bad_request");
        // Without UTF-8 there is no telling which part it was.
        names(&error, if id == "%FF" { "UTF-8" } else { "id" });
    }
    for id in ["-1", "0", "7"] {
        let path = format!("/messages/conversations/{id}");
        get(&path).await.fails(404, "not_found");
    }
    for list in [
        "/users/bob/followers",
        "/users/bob/following",
        "/users/me/blocks",
        "/messages/conversations",
    ] {
        for limit in ["x", "", "1.0", "99999999999999999999", "1e2"] {
            let error = get(&format!("{list}?limit={limit}")).await;
            names(&error.fails(400, "bad_request"), "limit");
        }
        for limit in ["0", "-1", "101", "9223372036854775807"] {
            let error = get(&format!("{list}?limit={limit}")).await;
            names(&error.fails(422, "invalid"), "limit");
        }
        for cursor in ["", "x", "%FF", "%00", "AAAA"] {
            let error = get(&format!("{list}?cursor={cursor}")).await;
            names(&error.fails(422, "invalid"), "cursor");
        }
        get(&format!("{list}?limit=100&unknown=1")).await.data(200);
    }
}

fn names(error: &Value, field: &str) {
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains(field), "{field} is not named: {message}");
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let world = World::new().await;
    let deep = "[".repeat(100_000);
    let bad: [&[u8]; 11] = [
        b"",
        b" ",
        b"{",
        b"{\"username\":}",
        b"{'username':1}",
        b"\xEF\xBB\xBF{}",
        b"{\"username\":\"\xFF\xFE\"}",
        b"{\"username\":\"\\ud800\"}",
        b"{\"username\":1e999}",
        b"{} {}",
        deep.as_bytes(),
    ];
    for body in bad {
        let answer = world.sign_up_with(body.to_vec()).await;
        answer.fails(400, "bad_request");
    }
}

#[tokio::test]
async fn bodies_with_the_wrong_fields() {
    let world = World::new().await;
    let good = json!({"username": "new.user", "password": "a good password"});
    let with = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    for (body, field) in [
        (json!({}), "username"),
        (json!({"username": "new.user"}), "password"),
        (with("username", json!(5)), "username"),
        (with("username", json!(true)), "username"),
        (with("username", json!(null)), "username"),
        (with("username", json!(["a"])), "username"),
        (with("password", json!(12345678)), "password"),
        (with("email", json!({})), "email"),
        (with("bio", json!(18446744073709551615u64)), "bio"),
        (json!([]), "body"),
        (json!("text"), "body"),
        (json!(1), "body"),
    ] {
        let answer = world.sign_up_with(body.to_string()).await;
        names(&answer.fails(400, "bad_request"), field);
    }
    for (body, field) in [
        (with("username", json!("a\0b")), "username"),
        (with("username", json!("")), "username"),
        (with("username", json!("x".repeat(31))), "username"),
        (with("password", json!("pass\0word")), "password"),
        (with("password", json!("short")), "password"),
        (with("displayName", json!("x".repeat(101))), "displayName"),
        (with("bio", json!("x".repeat(501))), "bio"),
        (with("email", json!("no address")), "email"),
        (
            with("profilePictureUrl", json!("javascript:x")),
            "profilePictureUrl",
        ),
    ] {
        let answer = world.sign_up_with(body.to_string()).await;
        names(&answer.fails(422, "invalid"), field);
    }
    // Twice the same key is one of the two, never our fault.
    let answer = world
        .sign_up_with(r#"{"username":1,"username":"ok","password":"x"}"#)
        .await;
    names(&answer.fails(422, "invalid"), "password");
    let error = world
        .sign_up_with(with("password", json!({"a": "my secret"})).to_string())
        .await;
    assert!(!error.text.contains("my secret"));
}

#[tokio::test]
async fn bodies_of_the_wrong_kind_or_size() {
    let world = World::new().await;
    let sign_up = || request("POST", "/auth/signup");
    let good = r#"{"username":"new.user","password":"a good password"}"#;
    world
        .send(sign_up().body(good))
        .await
        .fails(415, "unsupported_media_type");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "json",
        "",
    ] {
        let answer = world.send(sign_up().content_type(kind).body(good)).await;
        answer.fails(415, "unsupported_media_type");
    }
    let too_large = || vec![b' '; (1 << 20) + 1];
    world
        .sign_up_with(too_large())
        .await
        .fails(413, "payload_too_large");
    // Declared too large: not read at all.
    let request = sign_up()
        .content_type("application/json")
        .header("Content-Length", "99999999999");
    let answer = world.send(request.body("{}")).await;
    answer.fails(413, "payload_too_large");
    // Without a length, as a stream.
    let stream =
        futures_util::stream::iter((0..300).map(|_| Ok::<_, std::io::Error>(vec![b' '; 4096])));
    let answer = world.sign_up_with(Body::from_bytes_stream(stream)).await;
    answer.fails(413, "payload_too_large");
    let mut body = good.as_bytes().to_vec();
    body.resize(1 << 20, b' ');
    world.sign_up_with(body).await.data(201);
}

#[tokio::test]
async fn who_may_call_what() {
    let world = World::new().await;
    let user_only = [
        ("GET", "/users/me"),
        ("PATCH", "/users/me"),
        ("POST", "/users/bob/follow"),
        ("DELETE", "/users/bob/follow"),
        ("GET", "/users/bob/followers"),
        ("GET", "/users/bob/following"),
        ("POST", "/users/bob/block"),
        ("DELETE", "/users/bob/block"),
        ("GET", "/users/me/blocks"),
        ("POST", "/messages/conversations"),
        ("GET", "/messages/conversations"),
        ("GET", "/messages/conversations/1"),
        ("POST", "/messages/conversations/1/messages"),
        ("POST", "/auth/signout"),
    ];
    let any = [
        ("GET", "/users/bob"),
        ("GET", "/users/bob/presence"),
        ("POST", "/presence/query"),
    ];
    let mirror = [("PUT", "/admin/users"), ("PUT", "/admin/follows")];
    let admin = [("GET", "/metrics")];
    let all = user_only.iter().chain(&any).chain(&mirror).chain(&admin);
    for (method, path) in all {
        for token in ["", "x", "lst_AAAA", "a.b.c"] {
            let answer = world.call(method, path, token, Value::Null).await;
            answer.fails(401, "unauthorized");
        }
        let basic = request(method, path).header("Authorization", "Basic YTpi");
        world.send(basic.finish()).await.fails(401, "unauthorized");
    }
    for (method, path) in user_only {
        for key in [&world.admin_key, &world.service_key] {
            let answer = world.call(method, path, key, Value::Null).await;
            names(&answer.fails(403, "forbidden"), "user's token");
        }
    }
    for (method, path) in mirror {
        let answer = world.call(method, path, &world.ann, json!([])).await;
        answer.fails(403, "forbidden");
        for token in [&world.boss, &world.admin_key, &world.service_key] {
            world.call(method, path, token, json!([])).await.data(200);
        }
    }
    for token in [&world.ann, &world.service_key] {
        world.get("/metrics", token).await.fails(403, "forbidden");
    }
    for token in [&world.boss, &world.admin_key] {
        assert_eq!(world.get("/metrics", token).await.status, 200);
    }
    let lower =
        request("GET", "/users/me").header("Authorization", format!("bearer {}", world.ann));
    world.send(lower.finish()).await.data(200);
}

/// Refused with a time to come back, and alive all the same.
#[tokio::test]
async fn without_a_store() {
    let world = World::new().await;
    world.get("/users/me", &world.ann).await.data(200);
    world.store.close().await;
    let patch = json!({"bio": "new"});
    for (method, path, body) in [
        ("PATCH", "/users/me", patch),
        ("POST", "/users/bob/follow", Value::Null),
        (
            "POST",
            "/messages/conversations",
            json!({"participants": ["bob"]}),
        ),
    ] {
        let answer = world.call(method, path, &world.ann, body).await;
        answer.fails(503, "unavailable");
    }
    world
        .get("/users/bob", &world.ann)
        .await
        .fails(503, "unavailable");
    world.get("/readyz", "").await.fails(503, "unavailable");
    world.get("/healthz", "").await.data(200);
}

#[tokio::test]
async fn health() {
    let world = World::new().await;
    world.get("/healthz", "").await.data(200);
    world.get("/readyz", "").await.data(200);
    world.stopping.cancel();
    world.get("/readyz", "").await.fails(503, "unavailable");
    world.get("/healthz", "").await.data(200);
}

#[tokio::test]
async fn only_our_origins_may_read_answers() {
    let world = World::new().await;
    let preflight = |origin: &str| {
        request("OPTIONS", "/users/me")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "PATCH")
            .finish()
    };
    let answer = world.send(preflight(ORIGIN)).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    let allowed = answer.header("access-control-allow-headers");
    for header in [
        "Authorization",
        "Content-Type",
        "X-Device-Type",
        "X-Act-As",
        "Idempotency-Key",
    ] {
        assert!(allowed.contains(header), "{allowed}");
    }
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("PATCH")
    );
    let foreign = world.send(preflight("https://evil.example")).await;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    foreign.fails(405, "method_not_allowed");

    let from = |origin: &str| {
        request("GET", "/users/me")
            .header("Origin", origin)
            .finish()
    };
    let answer = world.send(from(ORIGIN)).await;
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("RateLimit-Reset")
    );
    answer.fails(401, "unauthorized");
    let answer = world.send(from("https://evil.example")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(answer.header("vary"), "Origin");

    let closed = World::with(|settings| settings.cors_origins.clear()).await;
    let answer = closed.send(from(ORIGIN)).await;
    let cors = |a: &Answer| {
        a.headers
            .keys()
            .any(|k| k.as_str().starts_with("access-control"))
    };
    assert!(!cors(&answer));
    closed
        .send(preflight(ORIGIN))
        .await
        .fails(405, "method_not_allowed");
}

/// The document is whole: every reference leads somewhere, every operation is described.
#[tokio::test]
async fn the_document_is_openapi() {
    let world = World::new().await;
    let answer = world.get("/openapi.json", "").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json;
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|v| v.starts_with("3."))
    );
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for name in schemas.keys() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(name.chars().all(plain), "{name}");
    }
    let mut count = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            count += 1;
            let at = format!("{method} {path}");
            assert!(operation["operationId"].is_string(), "{at}");
            assert!(operation["summary"].is_string(), "{at}");
            assert!(operation["tags"][0].is_string(), "{at}");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.keys().any(|s| s.starts_with('2')), "{at}");
            assert!(
                responses.values().all(|r| r["description"].is_string()),
                "{at}"
            );
            let secured = operation["security"]
                .as_array()
                .is_some_and(|s| !s.is_empty());
            assert_eq!(secured, responses.contains_key("403"), "{at}");
        }
    }
    assert_eq!(count, 43, "operations");
    let page = world.get("/docs", "").await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text.contains("openConversation"));
    assert!(
        page.text.contains("The body is over 1 MiB"),
        "the completed one"
    );
}

/// The realtime endpoints stand beside the API and fail in their own way.
#[tokio::test]
async fn others_can_be_mounted() {
    let path = |request: Request| request.uri().path().to_owned();
    let upset = |_| (StatusCode::BAD_REQUEST, r#"{"code":0}"#).into_response();
    let world = World::mounting(
        |_| {},
        |route| {
            route
                .at("/ws", make_sync(path))
                .nest_no_strip("/socket.io", make_sync(path))
                .at("/upset", make_sync(upset))
        },
    )
    .await;
    assert_eq!(world.get("/ws", "").await.text, "/ws");
    assert_eq!(world.get("/socket.io/", "").await.text, "/socket.io/");
    let upset = world.get("/upset", "").await;
    assert_eq!((upset.status, upset.text.as_str()), (400, r#"{"code":0}"#));
    let polling = request("GET", "/socket.io/").header("Origin", ORIGIN);
    let answer = world.send(polling.finish()).await;
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    world.get("/users/me", &world.ann).await.data(200);
    world.get("/nothing", "").await.fails(404, "not_found");
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                references.insert(reference.clone());
            }
            fields.values().for_each(|v| collect(v, references));
        }
        Value::Array(items) => items.iter().for_each(|v| collect(v, references)),
        _ => {}
    }
}
