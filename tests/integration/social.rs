//! Social sign-in, against providers that the tests are.

mod refusals;

use crate::harness::{Answer, Client, Http, Issuer, Server, Signer, Transport, now, time};
use lastseen::config::Config;
use lastseen::model::{Clock, KeyRole, Role};
use serde_json::{Value, json};
use std::time::Duration;

const CLIENT_ID: &str = "chat.apps.example.com";
const PATH: &str = "/auth/social-verified";

/// One of the providers, played by a test.
struct Provider {
    name: &'static str,
    issuer: &'static str,
    signer: Signer,
    keys: Issuer,
}

impl Provider {
    async fn google() -> Self {
        let signer = Signer::rsa("google-1");
        Self {
            name: "google",
            issuer: "https://accounts.google.com",
            keys: Issuer::of([&signer]).await,
            signer,
        }
    }

    async fn apple() -> Self {
        let signer = Signer::ec("apple-1");
        Self {
            name: "apple",
            issuer: "https://appleid.apple.com",
            keys: Issuer::of([&signer]).await,
            signer,
        }
    }

    fn set_up(&self, config: &mut Config) {
        let (client_ids, url) = match self.name {
            "google" => (&mut config.google_client_id, &mut config.google_jwks_url),
            _ => (&mut config.apple_client_id, &mut config.apple_jwks_url),
        };
        *client_ids = vec![CLIENT_ID.into(), "chat.ios".into()];
        *url = self.keys.url().parse().expect("on loopback");
    }

    /// A server that accepts this provider alone.
    async fn server(&self) -> Server {
        Server::with(|config| self.set_up(config)).await
    }

    /// What a good token says of `sub`.
    fn claims(&self, sub: &str) -> Value {
        let now = now().as_millis() / 1000;
        json!({ "iss": self.issuer, "aud": CLIENT_ID, "sub": sub, "iat": now, "exp": now + 600 })
    }

    fn token(&self, sub: &str, more: Value) -> String {
        let mut claims = self.claims(sub);
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        self.signer.sign(&claims)
    }

    async fn sign_in(&self, http: &Http, token: &str, more: Value) -> Answer {
        let mut body = json!({ "provider": self.name, "idToken": token });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        http.post(PATH, body).await
    }
}

fn users(server: &Server) -> i64 {
    server.read("SELECT count(*) FROM users")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_time_makes_a_user_and_the_next_finds_them() {
    for provider in [Provider::google().await, Provider::apple().await] {
        let server = provider.server().await;
        let before = now();
        let token = provider.token(
            "person-1",
            json!({
                "email": "grace@example.com", "email_verified": true, "name": "Grace Hopper",
                "picture": "https://example.com/grace.png"
            }),
        );
        let first = provider.sign_in(&server.http(), &token, json!({})).await;
        let first = first.data(201);
        let user = &first["user"];
        assert_eq!(user["username"], "grace_hopper");
        assert_eq!(user["displayName"], "Grace Hopper");
        assert_eq!(user["email"], "grace@example.com");
        assert_eq!(user["profilePictureUrl"], "https://example.com/grace.png");
        assert_eq!(user["role"], "user");
        assert!(time(&user["lastLoginAt"]) >= before);
        let active =
            "SELECT last_active_at = last_login_at AND last_login_at IS NOT NULL FROM users";
        assert!(server.read::<bool>(active));

        // Another token of the same person, to another of the app's clients, with another address.
        let token = provider.token(
            "person-1",
            json!({ "aud": ["chat.ios"], "email": "other@example.com", "email_verified": "true" }),
        );
        let again = provider.sign_in(&server.http(), &token, json!({})).await;
        let again = again.data(200);
        assert_eq!(again["user"]["id"], user["id"]);
        assert_eq!(again["user"]["email"], "grace@example.com");
        assert_ne!(again["token"], first["token"]);
        for signed_in in [&first, &again] {
            let token = signed_in["token"].as_str().expect("a token");
            let http = Http::new(server.address, token);
            assert_eq!(http.get("/users/me").await.data(200)["id"], user["id"]);
        }
        assert_eq!(users(&server), 1);

        let token = again["token"].as_str().expect("a token").to_owned();
        let connect = crate::harness::Connect {
            token,
            ..Default::default()
        };
        for transport in [Transport::Upgrade, Transport::Raw] {
            Client::connect(&server, transport, connect.clone()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_can_be_wished_for() {
    let provider = Provider::google().await;
    let server = provider.server().await;
    server.never_seen("ann", Role::User).await;
    let wish = async |sub: &str, name: &str| {
        let token = provider.token(sub, json!({ "name": "ann" }));
        let wish = json!({ "username": name });
        provider.sign_in(&server.http(), &token, wish).await
    };
    let taken = wish("a", "ANN").await.fails(409, "conflict");
    assert_eq!(taken["details"][0]["field"], "username");
    for name in ["admin", "me", "x", "no spaces", "everyone"] {
        let wrong = wish("a", name).await.fails(422, "invalid");
        assert_eq!(wrong["details"][0]["field"], "username", "{name}");
    }
    assert_eq!(users(&server), 1, "nothing was made");
    assert_eq!(
        wish("a", "Anna").await.data(201)["user"]["username"],
        "Anna"
    );
    // Whoever has a user keeps its name.
    assert_eq!(
        wish("a", "Annie").await.data(200)["user"]["username"],
        "Anna"
    );

    let token = provider.token("b", json!({ "name": "Ann" }));
    let derived = provider.sign_in(&server.http(), &token, json!({})).await;
    let name = derived.data(201)["user"]["username"].clone();
    let name = name.as_str().expect("a name");
    assert!(name.starts_with("ann_"), "{name}");
    let nameless = provider.token("c", json!({ "email": "secret@example.com" }));
    let derived = provider.sign_in(&server.http(), &nameless, json!({})).await;
    let name = derived.data(201)["user"]["username"].clone();
    assert!(
        name.as_str().expect("a name").starts_with("user_"),
        "{name}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_links_nothing_and_is_taken_over_only_if_it_is_theirs_and_free() {
    let provider = Provider::google().await;
    let server = provider.server().await;
    let account = json!({
        "username": "ann", "password": "correct horse", "email": "ann@example.com"
    });
    server.http().post("/auth/signup", account).await.data(201);
    for (sub, email, verified, kept) in [
        ("a", "Ann@example.com", json!(true), Value::Null),
        ("b", "b@example.com", json!(false), Value::Null),
        ("c", "c@example.com", Value::Null, Value::Null),
        ("d", "d@example.com", json!("false"), Value::Null),
        ("e", "no address", json!(true), Value::Null),
        ("f", "f@example.com", json!("true"), json!("f@example.com")),
    ] {
        let claims = json!({ "email": email, "email_verified": verified });
        let token = provider.token(sub, claims);
        let made = provider.sign_in(&server.http(), &token, json!({})).await;
        assert_eq!(made.data(201)["user"]["email"], kept, "{sub}");
    }
    assert_eq!(users(&server), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_in_user_links_a_person_to_themselves() {
    let (google, apple) = (Provider::google().await, Provider::apple().await);
    let server = Server::with(|config| {
        google.set_up(config);
        apple.set_up(config);
    })
    .await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    for provider in [&google, &apple] {
        let token = provider.token("person-1", json!({}));
        let linked = provider.sign_in(&ann.http, &token, json!({})).await;
        assert_eq!(linked.data(200)["user"]["username"], "ann");
        let again = provider.sign_in(&ann.http, &token, json!({})).await;
        assert_eq!(again.data(200)["user"]["username"], "ann", "twice is once");
        let alone = provider.sign_in(&server.http(), &token, json!({})).await;
        assert_eq!(alone.data(200)["user"]["username"], "ann");
        let other = provider.sign_in(&bob.http, &token, json!({})).await;
        other.fails(409, "conflict");
        let nobody = Http::new(server.address, "no token");
        let refused = provider.sign_in(&nobody, &token, json!({})).await;
        refused.fails(401, "unauthorized");
        let key = Http::new(
            server.address,
            &server.key(provider.name, KeyRole::Service).await,
        );
        let refused = provider.sign_in(&key, &token, json!({})).await;
        refused.fails(403, "forbidden");
    }
    assert_eq!(users(&server), 2);
    assert_eq!(server.read::<i64>("SELECT count(*) FROM identities"), 2);
    let export = ann.http.get("/users/me/export").await.data(200);
    let identities = export["identities"].as_array().expect("a list");
    assert_eq!(identities.len(), 2);
    assert_eq!(identities[0]["provider"], "google");
    assert_eq!(identities[0]["subject"], "person-1");
    // The same sub at another provider is another person.
    server.write("DELETE FROM identities WHERE provider = 'apple'");
    let token = apple.token("person-1", json!({}));
    let made = apple.sign_in(&server.http(), &token, json!({})).await;
    assert_ne!(made.data(201)["user"]["username"], "ann");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_host_gives_ids_only_linked_people_come_in() {
    let provider = Provider::google().await;
    let server = Server::with(|config| {
        provider.set_up(config);
        config.jwt_sub = lastseen::config::JwtSub::Id;
    })
    .await;
    let ann = server.user("ann").await;
    let token = provider.token("person-1", json!({}));
    let refused = provider.sign_in(&server.http(), &token, json!({})).await;
    refused.fails(403, "forbidden");
    assert_eq!(users(&server), 1);
    let linked = provider.sign_in(&ann.http, &token, json!({})).await;
    linked.data(200);
    let known = provider.sign_in(&server.http(), &token, json!({})).await;
    assert_eq!(known.data(200)["user"]["id"], ann.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_fetched_once_and_again_for_a_new_one() {
    let mut provider = Provider::google().await;
    let clock = Clock::manual(now());
    let server = Server::with_clock(clock.clone(), |config| provider.set_up(config)).await;
    assert_eq!(provider.keys.asked(), 0, "nothing is fetched unasked");
    for sub in ["a", "b", "c"] {
        let token = provider.token(sub, json!({}));
        let made = provider.sign_in(&server.http(), &token, json!({})).await;
        made.data(201);
    }
    assert_eq!(provider.keys.asked(), 1);
    // Made-up keys make us ask once at most.
    clock.advance(Duration::from_secs(5));
    for n in 0..20 {
        let stranger = Signer::ec(&format!("made-up-{n}"));
        let token = stranger.sign(&provider.claims("a"));
        let refused = provider.sign_in(&server.http(), &token, json!({})).await;
        refused.fails(401, "wrong_credentials");
    }
    assert_eq!(provider.keys.asked(), 2);
    // Rotated: at once after the gap.
    let old = provider.token("a", json!({}));
    provider.signer = Signer::ec("google-2");
    provider.keys.publish([&provider.signer]);
    clock.advance(Duration::from_secs(5));
    let token = provider.token("a", json!({}));
    let found = provider.sign_in(&server.http(), &token, json!({})).await;
    found.data(200);
    assert_eq!(provider.keys.asked(), 3);
    let refused = provider.sign_in(&server.http(), &old, json!({})).await;
    refused.fails(401, "wrong_credentials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_user_takes_their_identities_along() {
    let provider = Provider::google().await;
    let server = provider.server().await;
    let token = provider.token("person-1", json!({}));
    let made = provider.sign_in(&server.http(), &token, json!({})).await;
    let id = made.data(201)["user"]["id"].clone();
    let erased = lastseen::model::UserId(id.as_i64().expect("an id"));
    server.side.delete_user(erased).await.expect("erased");
    assert_eq!(server.read::<i64>("SELECT count(*) FROM identities"), 0);
    let made = provider.sign_in(&server.http(), &token, json!({})).await;
    assert_ne!(made.data(201)["user"]["id"], id);
}
