//! Signing up, in and out with a password; the host application's tokens; API keys.

use crate::harness::{Http, NEVER, Server, eventually, now, process, time};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use lastseen::config::JwtSub;
use lastseen::model::{KeyRole, Role, Secret};
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &str = "a secret of at least thirty-two bytes";

fn account(name: &str) -> Value {
    json!({ "username": name, "password": "correct horse" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_up_in_and_out() {
    let server = Server::start().await;
    let http = server.http();
    let mut new = account("Ann.B");
    new["email"] = json!("Ann@Example.org");
    new["displayName"] = json!("Ann \u{1F980}");
    new["surprise"] = json!("unknown keys are ignored");
    let before = now();
    let signed_up = http.post("/auth/signup", new).await.data(201);
    let after = now();
    let user = &signed_up["user"];
    assert_eq!(
        (&user["username"], &user["role"]),
        (&json!("Ann.B"), &json!("user"))
    );
    assert_eq!(user["displayName"], "Ann \u{1F980}");
    assert_eq!(user["email"], "Ann@Example.org");
    assert_eq!(user["activityStatus"], "everyone");
    assert!(user.get("password").is_none() && user.get("passwordHash").is_none());
    let login = time(&user["lastLoginAt"]);
    assert!(before <= login && login <= after);
    assert_eq!(
        time(&signed_up["expiresAt"]),
        login.plus(Duration::from_secs(30 * 86_400))
    );
    let stored: String = server.read("SELECT password_hash FROM users");
    assert!(stored.starts_with("$argon2id$"), "{stored}");
    let token = signed_up["token"].as_str().expect("a token");
    let copies =
        format!("SELECT count(*) FROM sign_ins WHERE token_hash = CAST('{token}' AS BLOB)");
    assert_eq!(server.read::<i64>(&copies), 0, "stored as a hash only");

    let mut tokens = vec![token.to_owned()];
    for login in [
        json!({ "username": "aNN.b", "password": "correct horse" }),
        json!({ "email": "ann@example.ORG", "password": "correct horse" }),
        json!({ "username": "ann@example.org", "password": "correct horse" }),
    ] {
        let signed_in = http.post("/auth/signin", login).await.data(200);
        assert_eq!(signed_in["user"]["username"], "Ann.B");
        tokens.push(signed_in["token"].as_str().expect("a token").to_owned());
    }
    let as_ann = |index: usize| Http::new(server.address, &tokens[index]);
    let signed_out = as_ann(1).post("/auth/signout", Value::Null).await.data(200);
    assert_eq!(signed_out, json!({ "signedOut": true }));
    as_ann(1).get("/users/me").await.fails(401, "unauthorized");
    let again = as_ann(1).post("/auth/signout", Value::Null).await;
    again.fails(401, "unauthorized");
    for other in [0, 2, 3] {
        as_ann(other).get("/users/me").await.data(200);
    }
    http.get("/users/me").await.fails(401, "unauthorized");
    let seen = as_ann(0).get("/users/ann.b").await.data(200);
    assert!(
        seen.get("email").is_none() && seen.get("role").is_none(),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_an_account_is_refused() {
    let server = Server::start().await;
    let http = server.http();
    let mut first = account("ann");
    first["email"] = json!("ann@example.org");
    http.post("/auth/signup", first).await.data(201);
    let with = |key: &str, value: Value| {
        let mut new = account("bob");
        new[key] = value;
        new
    };
    for (new, status, code, field) in [
        (account("ANN"), 409, "conflict", "username"),
        (
            with("email", json!("ANN@example.org")),
            409,
            "conflict",
            "email",
        ),
        (account("Admin"), 422, "invalid", "username"),
        (account("everyone"), 422, "invalid", "username"),
        (account("me"), 422, "invalid", "username"),
        (account("a"), 422, "invalid", "username"),
        (account("12345"), 422, "invalid", "username"),
        (account("no spaces"), 422, "invalid", "username"),
        (account(&"a".repeat(31)), 422, "invalid", "username"),
        (
            with("password", json!("7 chars")),
            422,
            "invalid",
            "password",
        ),
        (
            with("password", json!("x".repeat(1025))),
            422,
            "invalid",
            "password",
        ),
        (with("bio", json!("x".repeat(501))), 422, "invalid", "bio"),
        (
            with("displayName", json!("x".repeat(101))),
            422,
            "invalid",
            "displayName",
        ),
        (
            with("displayName", json!("nul\u{0}")),
            422,
            "invalid",
            "displayName",
        ),
        (
            with("profilePictureUrl", json!("javascript:alert(1)")),
            422,
            "invalid",
            "profilePictureUrl",
        ),
        (with("email", json!("nobody")), 422, "invalid", "email"),
        (
            with("password", json!(12_345_678)),
            400,
            "bad_request",
            "password",
        ),
        (
            with("username", Value::Null),
            400,
            "bad_request",
            "username",
        ),
        (json!({ "username": "bob" }), 400, "bad_request", "password"),
    ] {
        let error = http
            .post("/auth/signup", new.clone())
            .await
            .fails(status, code);
        assert!(error.to_string().contains(field), "{new}: {error}");
    }
    assert_eq!(server.read::<i64>("SELECT count(*) FROM users"), 1);
    assert_eq!(server.read::<i64>("SELECT count(*) FROM sign_ins"), 1);
    // A password counts to its end.
    let long = "x".repeat(1024);
    let new = with("password", json!(long));
    http.post("/auth/signup", new.clone()).await.data(201);
    let mut shorter = new;
    shorter["password"] = json!(long[..1023]);
    let refused = http.post("/auth/signin", shorter).await;
    refused.fails(401, "wrong_credentials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_name_look_the_same() {
    let server = Server::start().await;
    let http = server.http();
    http.post("/auth/signup", account("ann")).await.data(201);
    server.user("nopassword").await;
    let mut answers = Vec::new();
    for name in [
        "ann",
        "nobody_here",
        "nopassword",
        "nobody@example.org",
        "x".repeat(5000).as_str(),
    ] {
        let body = json!({ "username": name, "password": "wrong horse" });
        let answer = http.post("/auth/signin", body).await;
        answer.fails(401, "wrong_credentials");
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        answers.push((answer.text, names));
    }
    for answer in &answers[1..] {
        assert_eq!(*answer, answers[0]);
    }
    let nul = json!({ "username": "a\u{0}", "password": "wrong horse" });
    http.post("/auth/signin", nul).await.fails(422, "invalid");
    let neither = json!({ "password": "wrong horse" });
    http.post("/auth/signin", neither)
        .await
        .fails(400, "bad_request");
}

fn jwt(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), claims, &key).expect("a token")
}

fn in_seconds(seconds: i64) -> i64 {
    now().as_millis() / 1000 + seconds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_applications_token() {
    let server = Server::with(|c| c.jwt_secret = Secret::new(SECRET)).await;
    let id = server.never_seen("ann", Role::User).await;
    server.write(&format!(
        "UPDATE users SET external_id = 'host-7' WHERE id = {id}"
    ));
    let asks = async |token: &str| Http::new(server.address, token).get("/users/me").await;
    let good = json!({ "sub": "host-7", "exp": in_seconds(60) });
    let token = jwt(&good, SECRET);
    assert_eq!(asks(&token).await.data(200)["id"], id);
    // The leeway is 60 s.
    let late = json!({ "sub": "host-7", "exp": in_seconds(-30) });
    asks(&jwt(&late, SECRET)).await.data(200);

    let unsigned = |header: Value| {
        use base64::Engine as _;
        let encoder = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let part = |json: &Value| encoder.encode(json.to_string());
        format!("{}.{}.", part(&header), part(&good))
    };
    let strong = Header::new(Algorithm::HS512);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let tampered = format!("{}x", &token[..token.len() - 1]);
    for (what, bad) in [
        (
            "no algorithm",
            unsigned(json!({ "alg": "none", "typ": "JWT" })),
        ),
        ("None", unsigned(json!({ "alg": "None" }))),
        (
            "another algorithm",
            encode(&strong, &good, &key).expect("a token"),
        ),
        (
            "another secret",
            jwt(&good, "another secret of thirty-two bytes"),
        ),
        ("no exp", jwt(&json!({ "sub": "host-7" }), SECRET)),
        (
            "expired",
            jwt(&json!({ "sub": "host-7", "exp": in_seconds(-90) }), SECRET),
        ),
        (
            "not yet",
            jwt(
                &json!({ "sub": "host-7", "exp": in_seconds(600), "nbf": in_seconds(300) }),
                SECRET,
            ),
        ),
        (
            "nobody",
            jwt(&json!({ "sub": "host-8", "exp": in_seconds(60) }), SECRET),
        ),
        (
            "an id",
            jwt(
                &json!({ "sub": id.to_string(), "exp": in_seconds(60) }),
                SECRET,
            ),
        ),
        ("no sub", jwt(&json!({ "exp": in_seconds(60) }), SECRET)),
        ("tampered with", tampered),
    ] {
        let answer = asks(&bad).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        answer.fails(401, "unauthorized");
    }
    let metrics = async |claims: Value| {
        Http::new(server.address, &jwt(&claims, SECRET))
            .get("/metrics")
            .await
    };
    metrics(good).await.fails(403, "forbidden");
    let admin = json!({ "sub": "host-7", "exp": in_seconds(60), "role": "admin" });
    assert_eq!(metrics(admin).await.status, 200);
    // It is the host's to revoke.
    let host = Http::new(server.address, &token);
    let signed_out = host.post("/auth/signout", Value::Null).await;
    signed_out.fails(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_host_gives_ids() {
    let server = Server::with(|c| {
        c.jwt_secret = Secret::new(SECRET);
        c.jwt_sub = JwtSub::Id;
    })
    .await;
    let ann = server.user("ann").await;
    let claims = json!({ "sub": ann.id.to_string(), "exp": in_seconds(60) });
    let http = Http::new(server.address, &jwt(&claims, SECRET));
    assert_eq!(http.get("/users/me").await.data(200)["username"], "ann");
    let signed_up = server.http().post("/auth/signup", account("bob")).await;
    signed_up.fails(403, "forbidden");
    for sub in ["0", "-1", "1e0", "9007199254740993", "ann", " 1"] {
        let claims = json!({ "sub": sub, "exp": in_seconds(60) });
        let http = Http::new(server.address, &jwt(&claims, SECRET));
        http.get("/users/me").await.fails(401, "unauthorized");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_keys_and_whom_they_act_for() {
    let server = Server::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let boss = server.user_with("boss", Role::Admin, NEVER).await;
    let admin = Http::new(server.address, &server.key("a", KeyRole::Admin).await);
    let service = Http::new(server.address, &server.key("s", KeyRole::Service).await);
    server.follow(&bob, "ann").await;
    let hidden = json!({ "activityStatus": "nobody" });
    ann.http.patch("/users/me", hidden).await.data(200);
    let active = async |http: &Http| {
        let seen = http.get("/users/ann/presence").await.data(200);
        seen["lastActiveAt"].is_string()
    };
    assert!(active(&admin).await, "an admin key sees everything");
    assert!(active(&boss.http).await);
    assert!(!active(&service).await, "a service key is a stranger");
    assert!(
        active(&service.acting_as(ann.id)).await,
        "or whom it acts for"
    );
    assert!(
        !active(&service.acting_as(boss.id)).await,
        "but never an admin"
    );
    assert!(
        !active(&bob.http.acting_as(ann.id)).await,
        "ignored from anyone else"
    );
    assert!(active(&admin.acting_as(bob.id)).await);

    assert_eq!(
        service.acting_as(bob.id).get("/users/me").await.data(200)["id"],
        bob.id
    );
    let list = service
        .acting_as(bob.id)
        .get("/users/bob/following")
        .await
        .data(200);
    assert_eq!(list["users"][0]["username"], "ann");
    service.get("/users/me").await.fails(403, "forbidden");
    admin.get("/users/me").await.fails(403, "forbidden");
    service
        .acting_as(999)
        .get("/users/ann")
        .await
        .fails(422, "invalid");
    for wrong in ["ann", "", "1.0", "-1", "99999999999999999999"] {
        let request = service
            .request("GET", "/users/ann")
            .header("X-Act-As", wrong);
        service.send(request).await.fails(422, "invalid");
    }
    // Reads only.
    let acting = service.acting_as(bob.id);
    acting
        .post("/users/boss/follow", Value::Null)
        .await
        .fails(403, "forbidden");
    acting
        .patch("/users/me", json!({ "bio": "x" }))
        .await
        .fails(403, "forbidden");
    acting
        .post("/auth/signout", Value::Null)
        .await
        .fails(403, "forbidden");
    service.get("/metrics").await.fails(403, "forbidden");
    assert_eq!(admin.get("/metrics").await.status, 200);
    let row = json!([{ "username": "carl", "role": "admin" }]);
    let put = service.request("PUT", "/admin/users").json(&row);
    service.send(put).await.fails(403, "forbidden");
    let put = admin.request("PUT", "/admin/users").json(&row);
    assert_eq!(admin.send(put).await.data(200)["inserted"], 1);
    // Following changed nothing of when Bob was active; a key is no sign of life.
    let graph = "SELECT count(*) FROM follows";
    assert_eq!(server.read::<i64>(graph), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_made_and_revoked_beside_the_server() {
    let server = Server::start().await;
    server.user("ann").await;
    let database = server.database.to_str().expect("text");
    let token = async |more: &[&str]| {
        let mut all = vec!["token", "--database", database];
        all.extend(more);
        process::succeed(&all, "").await
    };
    let printed = token(&["create", "--role", "service", "--name", "host"]).await;
    let key = printed.trim_end();
    assert!(
        key.starts_with("lsk_") && !key.contains(char::is_whitespace),
        "{printed}"
    );
    let http = Http::new(server.address, key);
    http.get("/users/ann").await.data(200);
    token(&["revoke", "host"]).await;
    eventually("the key to be refused", async || {
        (http.get("/users/ann").await.status == 401).then_some(())
    })
    .await;
}
