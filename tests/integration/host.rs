//! The host application's own identity, by public keys: who comes in, who is made, and who is not.

use crate::harness::signer::{confused, key_set};
use crate::harness::{
    Client, Connect, Http, Issuer, NEVER, Server, Signer, Transport, now, over_every_transport,
};
use lastseen::config::{Config, JwtSub};
use lastseen::model::{Clock, Role};
use serde_json::{Value, json};
use std::time::Duration;

over_every_transport!(a_connection_ends_with_its_token);

fn in_seconds(seconds: i64) -> i64 {
    now().as_millis() / 1000 + seconds
}

fn trust(config: &mut Config, issuer: &Issuer) {
    config.jwks_url = Some(issuer.url().parse().expect("on loopback"));
}

/// A server that trusts `issuer`, and makes the users of its tokens.
async fn provisioning(issuer: &Issuer, sub: JwtSub) -> Server {
    Server::with(|config| {
        trust(config, issuer);
        config.jwt_sub = sub;
        config.jwt_provision = true;
    })
    .await
}

fn me(server: &Server, token: &str) -> Http {
    Http::new(server.address, token)
}

async fn linked(server: &Server, name: &str, external_id: &str) -> i64 {
    let id = server.never_seen(name, Role::User).await;
    server.write(&format!(
        "UPDATE users SET external_id = '{external_id}' WHERE id = {id}"
    ));
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_signed_with_a_published_key() {
    let signers = [Signer::rsa("a"), Signer::ec("b")];
    let issuer = Issuer::of(&signers).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("keys.json");
    std::fs::write(&file, key_set(&signers).to_string()).expect("writable");
    let by_url = Server::with(|config| trust(config, &issuer)).await;
    let by_file = Server::with(|config| config.jwks_file = Some(file)).await;
    for server in [by_url, by_file] {
        let id = linked(&server, "ann", "host-7").await;
        for signer in &signers {
            let claims = json!({ "sub": "host-7", "exp": in_seconds(60) });
            let token = signer.sign(&claims);
            let answer = me(&server, &token).get("/users/me").await;
            assert_eq!(answer.data(200)["id"], id);
            let admin = json!({ "sub": "host-7", "exp": in_seconds(60), "role": "admin" });
            let answer = me(&server, &signer.sign(&admin)).get("/metrics").await;
            assert_eq!(answer.status, 200, "{}", answer.text);

            for (what, claims) in [
                ("nobody", json!({ "sub": "host-8", "exp": in_seconds(60) })),
                (
                    "expired",
                    json!({ "sub": "host-7", "exp": in_seconds(-61) }),
                ),
                ("no exp", json!({ "sub": "host-7" })),
                (
                    "not yet",
                    json!({ "sub": "host-7", "exp": in_seconds(600), "nbf": in_seconds(90) }),
                ),
            ] {
                let answer = me(&server, &signer.sign(&claims)).get("/users/me").await;
                assert_eq!(answer.status, 401, "{what}: {}", answer.text);
            }
            for token in confused(signer, &claims) {
                let answer = me(&server, &token).get("/users/me").await;
                answer.fails(401, "unauthorized");
            }
            let stranger = Signer::ec(&signer.kid).sign(&claims);
            let answer = me(&server, &stranger).get("/users/me").await;
            answer.fails(401, "unauthorized");
        }
        assert_eq!(server.read::<i64>("SELECT count(*) FROM users"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_and_audience_where_they_are_set() {
    let signer = Signer::ec("a");
    let issuer = Issuer::of([&signer]).await;
    let server = Server::with(|config| {
        trust(config, &issuer);
        config.jwt_issuer = Some("https://host.example.com".into());
        config.jwt_audience = vec!["chat".into()];
    })
    .await;
    linked(&server, "ann", "host-7").await;
    for (iss, aud, status) in [
        ("https://host.example.com", "chat", 200),
        ("https://host.example.com", "mail", 401),
        ("https://other.example.com", "chat", 401),
    ] {
        let claims = json!({ "sub": "host-7", "exp": in_seconds(60), "iss": iss, "aud": aud });
        let answer = me(&server, &signer.sign(&claims)).get("/users/me").await;
        assert_eq!(answer.status, status, "{iss} {aud}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_out_of_reach_are_no_refusal() {
    let signer = Signer::ec("a");
    let issuer = Issuer::of([&signer]).await;
    issuer.answer("500 Internal Server Error", "");
    let clock = Clock::manual(now());
    let server = Server::with_clock(clock.clone(), |config| trust(config, &issuer)).await;
    assert_eq!(
        issuer.asked(),
        1,
        "asked at the start, which goes on without"
    );
    linked(&server, "ann", "host-7").await;
    let token = signer.sign(&json!({ "sub": "host-7", "exp": in_seconds(3600) }));
    let answer = me(&server, &token).get("/users/me").await;
    answer.fails(503, "unavailable");
    issuer.publish([&signer]);
    clock.advance(Duration::from_secs(5));
    me(&server, &token).get("/users/me").await.data(200);
    // What is known stays known.
    issuer.answer("500 Internal Server Error", "");
    clock.advance(Duration::from_secs(1800));
    me(&server, &token).get("/users/me").await.data(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_sub_makes_its_user() {
    let signer = Signer::ec("a");
    let issuer = Issuer::of([&signer]).await;
    let server = provisioning(&issuer, JwtSub::ExternalId).await;
    server.never_seen("bob", Role::Admin).await;
    let come = async |claims: Value| {
        let mut all = json!({ "exp": in_seconds(60) });
        for (name, value) in claims.as_object().expect("an object") {
            all[name] = value.clone();
        }
        me(&server, &signer.sign(&all)).get("/users/me").await
    };
    let ann = come(json!({ "sub": "h-1", "username": "Ann" }))
        .await
        .data(200);
    assert_eq!(ann["username"], "Ann");
    assert_eq!(ann["role"], "user");
    let again = come(json!({ "sub": "h-1", "username": "Annie" })).await;
    assert_eq!(again.data(200)["id"], ann["id"]);
    assert_eq!(again.data(200)["username"], "Ann");
    // A name that is taken is another's, an admin's above all.
    let other = come(json!({ "sub": "h-2", "username": "bob" }))
        .await
        .data(200);
    let name = other["username"].as_str().expect("a name");
    assert!(name.starts_with("bob_"), "{name}");
    assert_eq!(other["role"], "user");
    for (sub, username) in [
        ("h-3", json!(null)),
        ("h-4", json!(7)),
        ("h-5", json!("\0")),
    ] {
        let made = come(json!({ "sub": sub, "username": username }))
            .await
            .data(200);
        let name = made["username"].as_str().expect("a name");
        assert!(name.starts_with("user_"), "{name}");
    }
    assert_eq!(server.read::<i64>("SELECT count(*) FROM users"), 6);
    // Whom nobody vouches for is not made.
    let stranger = Signer::ec("a").sign(&json!({ "sub": "h-9", "exp": in_seconds(60) }));
    let answer = me(&server, &stranger).get("/users/me").await;
    answer.fails(401, "unauthorized");
    assert_eq!(server.read::<i64>("SELECT count(*) FROM users"), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_id_makes_its_user() {
    let signer = Signer::ec("a");
    let issuer = Issuer::of([&signer]).await;
    let server = provisioning(&issuer, JwtSub::Id).await;
    let come = async |sub: &str| {
        let claims = json!({ "sub": sub, "username": "ann", "exp": in_seconds(60) });
        me(&server, &signer.sign(&claims)).get("/users/me").await
    };
    assert_eq!(come("77").await.data(200)["id"], 77);
    assert_eq!(come("77").await.data(200)["username"], "ann");
    for sub in ["0", "-1", "9007199254740992", "ann", "078"] {
        come(sub).await.fails(401, "unauthorized");
    }
    assert_eq!(come("9007199254740991").await.status, 200);
    assert_eq!(server.read::<i64>("SELECT count(*) FROM users"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_requests_at_once_make_one_user() {
    let signer = Signer::ec("a");
    let issuer = Issuer::of([&signer]).await;
    let server = provisioning(&issuer, JwtSub::ExternalId).await;
    let claims = json!({ "sub": "h-1", "username": "ann", "exp": in_seconds(60) });
    let http = me(&server, &signer.sign(&claims));
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let http = http.clone();
            tokio::spawn(async move { http.get("/users/me").await.data(200)["id"].clone() })
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.await.expect("an answer"), 1);
    }
    assert_eq!(server.read::<i64>("SELECT count(*) FROM users"), 1);
}

async fn a_connection_ends_with_its_token(transport: Transport) {
    let signer = Signer::ec("a");
    let issuer = Issuer::of([&signer]).await;
    let server = Server::with(|config| {
        trust(config, &issuer);
        config.jwt_provision = true;
        config.offline_grace = NEVER;
    })
    .await;
    let watching = server.user("bob").await;
    // Accepted for a leeway of 60 s beyond its expiry: eight are left.
    let claims = json!({ "sub": "h-1", "username": "ann", "exp": in_seconds(-52) });
    let token = signer.sign(&claims);
    let ann = me(&server, &token).get("/users/me").await.data(200);
    server.follow(&watching, "ann").await;
    let mut bob = Client::connect(&server, Transport::Raw, &watching).await;
    let connect = Connect {
        token,
        ..Connect::default()
    };
    let mut client = Client::connect(&server, transport, connect).await;
    assert_eq!(bob.event("presence_update").await["userId"], ann["id"]);
    let update = bob.event("presence_update").await;
    assert_eq!(update["status"], "offline", "at once, not after the grace");
    client.ended("revoked", 4003).await;
    let ended = "SELECT end_reason FROM sessions WHERE end_reason IS NOT NULL";
    let reason = "SELECT count(*) FROM sessions WHERE end_reason = 'revoked'";
    server.reads(reason, 1).await;
    assert_eq!(server.read::<String>(ended), "revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_holds_no_keys_is_a_wrong_setting() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("lastseen.db");
    let file = directory.path().join("keys.json");
    for text in [None, Some("garbage"), Some("{\"keys\":[]}")] {
        if let Some(text) = text {
            std::fs::write(&file, text).expect("writable");
        }
        let path = file.clone();
        let started = Server::on(&database, Clock::system(), |config| {
            config.jwks_file = Some(path);
        });
        let error = started.await.err().expect("must not start");
        let line = format!("{error:#}");
        assert!(line.contains("keys.json") && !line.contains('\n'), "{line}");
    }
}
