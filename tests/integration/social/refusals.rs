//! Who does not come in by social sign-in: each with its answer, and no user made.

use super::{CLIENT_ID, PATH, Provider, users};
use crate::harness::signer::confused;
use crate::harness::{Server, Signer, now};
use jsonwebtoken::Header;
use lastseen::model::Clock;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_ours_to_accept() {
    for provider in [Provider::google().await, Provider::apple().await] {
        let server = provider.server().await;
        let seconds = |n: i64| json!(now().as_millis() / 1000 + n);
        let with = |name: &str, value: Value| provider.token("a", json!({ name: value }));
        let without = |name: &str| {
            let mut claims = provider.claims("a");
            claims.as_object_mut().expect("an object").remove(name);
            provider.signer.sign(&claims)
        };
        let stranger = Signer::ec("stranger");
        let mut as_ours = Header::new(stranger.algorithm);
        as_ours.kid = Some(provider.signer.kid.clone());
        let good = provider.token("a", json!({}));
        let (message, _) = good.rsplit_once('.').expect("three parts");
        let mut cases = vec![
            ("another audience", with("aud", json!("other.example.com"))),
            (
                "audience of another case",
                with("aud", json!(CLIENT_ID.to_uppercase())),
            ),
            (
                "others beside us",
                with("aud", json!([CLIENT_ID, "other.example.com"])),
            ),
            ("audience of nobody", with("aud", json!([]))),
            ("no audience", without("aud")),
            (
                "another issuer",
                with("iss", json!("https://accounts.example.com")),
            ),
            (
                "issuer with a tail",
                with("iss", json!(format!("{}/", provider.issuer))),
            ),
            ("no issuer", without("iss")),
            ("expired", with("exp", seconds(-61))),
            ("no expiry", without("exp")),
            ("not yet valid", with("nbf", seconds(120))),
            ("made in the future", with("iat", seconds(120))),
            ("no sub", without("sub")),
            ("empty sub", with("sub", json!(""))),
            ("sub of another type", with("sub", json!(7))),
            ("sub with a NUL", with("sub", json!("a\0"))),
            ("unknown kid", stranger.sign(&provider.claims("a"))),
            (
                "another's signature",
                stranger.sign_as(&as_ours, &provider.claims("a")),
            ),
            ("no signature", message.to_owned()),
            ("half a signature", good[..good.len() - 20].to_owned()),
            ("garbage", "garbage".to_owned()),
            ("empty", String::new()),
            ("huge", "a".repeat(100_000)),
        ];
        let others = confused(&provider.signer, &provider.claims("a"));
        cases.extend(others.into_iter().map(|token| ("confused", token)));
        // Fewer than the limit on failures of one address.
        assert!(cases.len() < 100, "{}", cases.len());
        for (what, token) in cases {
            let answer = provider.sign_in(&server.http(), &token, json!({})).await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text);
            let error = answer.fails(401, "wrong_credentials");
            let message = error["message"].as_str().expect("a text");
            assert!(
                message.starts_with("idToken is not accepted"),
                "{what}: {message}"
            );
            assert!(token.is_empty() || !answer.text.contains(&token), "{what}");
            assert_eq!(users(&server), 0, "{what}");
        }
        // The leeway is 60 s, and the good one is good.
        for token in [with("exp", seconds(-30)), with("nbf", seconds(30)), good] {
            let answer = provider.sign_in(&server.http(), &token, json!({})).await;
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nonce_must_be_on_both_sides_and_the_same() {
    let provider = Provider::apple().await;
    let server = provider.server().await;
    for (in_token, in_request, accepted) in [
        (json!("n-1"), json!("n-1"), true),
        (Value::Null, Value::Null, true),
        (json!("n-1"), Value::Null, false),
        (Value::Null, json!("n-1"), false),
        (json!("n-1"), json!("N-1"), false),
        (json!("n-1"), json!("n-1 "), false),
        (json!("n-1"), json!(""), false),
        (json!(""), Value::Null, false),
        (json!(7), json!("7"), false),
        (json!(["n-1"]), json!("n-1"), false),
    ] {
        let claims = match &in_token {
            Value::Null => json!({}),
            nonce => json!({ "nonce": nonce }),
        };
        let token = provider.token("a", claims);
        let answer = provider
            .sign_in(&server.http(), &token, json!({ "nonce": in_request }))
            .await;
        let case = format!("{in_token} {in_request}: {}", answer.text);
        assert_eq!(matches!(answer.status, 200 | 201), accepted, "{case}");
        if !accepted {
            answer.fails(401, "wrong_credentials");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_not_set_up() {
    let google = Provider::google().await;
    let apple = Provider::apple().await;
    let server = google.server().await;
    let token = apple.token("a", json!({}));
    let answer = apple.sign_in(&server.http(), &token, json!({})).await;
    let error = answer.fails(400, "bad_request");
    assert!(error["message"].to_string().contains("apple"), "{error}");
    // A token of one provider is none of another's.
    let body = json!({ "provider": "google", "idToken": token });
    let answer = server.http().post(PATH, body).await;
    answer.fails(401, "wrong_credentials");
    for body in [
        json!({ "provider": "facebook", "idToken": token }),
        json!({ "provider": 7, "idToken": token }),
        json!({ "idToken": token }),
        json!({ "provider": "google" }),
        json!({ "provider": "google", "idToken": 7 }),
    ] {
        let answer = server.http().post(PATH, body.clone()).await;
        assert!(
            matches!(answer.status, 400 | 422),
            "{body}: {}",
            answer.text
        );
    }
    assert_eq!(users(&server), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_cannot_be_had() {
    let provider = Provider::google().await;
    let clock = Clock::manual(now());
    let server = Server::with_clock(clock.clone(), |config| provider.set_up(config)).await;
    let token = provider.token("a", json!({}));
    let elsewhere = format!("Location: {}\r\n", provider.keys.url());
    let good = crate::harness::signer::key_set([&provider.signer]).to_string();
    let huge = format!("{good}{}", " ".repeat(300 * 1024));
    for (what, status, header, body) in [
        ("a failure", "500 Internal Server Error", "", good.as_str()),
        ("nothing there", "404 Not Found", "", good.as_str()),
        ("a redirect", "302 Found", elsewhere.as_str(), ""),
        ("garbage", "200 OK", "", "<html>not keys</html>"),
        ("no keys", "200 OK", "", "{\"keys\":[]}"),
        ("nothing", "200 OK", "", ""),
        ("huge", "200 OK", "", huge.as_str()),
        ("no HTTP", "nonsense", "", ""),
    ] {
        provider.keys.answer_with(status, header, body);
        clock.advance(Duration::from_secs(5));
        let asked = provider.keys.asked();
        let answer = provider.sign_in(&server.http(), &token, json!({})).await;
        assert_eq!(answer.status, 503, "{what}: {}", answer.text);
        answer.fails(503, "unavailable");
        assert_eq!(provider.keys.asked(), asked + 1, "{what}");
        // Asked a moment ago: the same answer without asking.
        let answer = provider.sign_in(&server.http(), &token, json!({})).await;
        answer.fails(503, "unavailable");
        assert_eq!(provider.keys.asked(), asked + 1, "{what}");
        assert_eq!(users(&server), 0, "{what}");
    }
    // It recovers by itself.
    provider.keys.answer("200 OK", &good);
    clock.advance(Duration::from_secs(5));
    let answer = provider.sign_in(&server.http(), &token, json!({})).await;
    answer.data(201);
    // And nobody at all.
    let url = provider.keys.url();
    drop(provider.keys);
    let server = Server::with(|config| {
        config.google_client_id = vec![CLIENT_ID.into()];
        config.google_jwks_url = url.parse().expect("on loopback");
    })
    .await;
    let body = json!({ "provider": "google", "idToken": token });
    server
        .http()
        .post(PATH, body)
        .await
        .fails(503, "unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_an_address_are_limited() {
    let provider = Provider::google().await;
    let server = provider.server().await;
    for _ in 0..100 {
        let answer = provider.sign_in(&server.http(), "garbage", json!({})).await;
        answer.fails(401, "wrong_credentials");
    }
    let token = provider.token("a", json!({}));
    let answer = provider.sign_in(&server.http(), &token, json!({})).await;
    answer.fails(429, "rate_limited");
    assert_eq!(users(&server), 0);
}
