//! What is accepted, and everything that must not be.

use super::super::keys::KeySource;
use super::super::signer::{Signer, key_set};
use super::*;
use crate::model::Clock;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

const SECRET: &str = "a shared secret of thirty-two bytes or more";
const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 1000)
}

fn signed(claims: &Value) -> String {
    signed_as(&Header::new(Algorithm::HS256), claims)
}

fn signed_as(header: &Header, claims: &Value) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(SECRET.as_bytes()))
        .expect("signs")
}

fn verify(token: &str) -> Result<Claims, Rejected> {
    verify_at(token, now())
}

fn verify_at(token: &str, now: Timestamp) -> Result<Claims, Rejected> {
    let hash = super::super::token::hash(token);
    let verifier = verifier(Rules::default());
    let verified = verifier.verify(token, &hash, now);
    verified.now_or_never().expect("a secret is at hand")
}

fn verifier(rules: Rules) -> Verifier {
    Verifier::from_secret(&Secret::new(SECRET).expect("not empty"), rules)
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

#[test]
fn claims_are_read() {
    let claims = verify(&signed(&json!({
        "sub": "user-7", "exp": NOW + 10, "nbf": NOW - 5, "iat": NOW as f64 - 5.5, "role": "admin",
        "username": "ann", "aud": ["somebody"], "iss": "host", "more": {"x": 1}
    })))
    .expect("accepted");
    assert_eq!(claims.sub, "user-7");
    assert!(claims.admin);
    assert_eq!(claims.username.as_deref(), Some("ann"));
    assert_eq!(claims.expires_at.as_millis(), (NOW + 10) * 1000);
    assert_eq!(
        claims.issued_at,
        Some(Timestamp::from_millis(NOW * 1000 - 5500))
    );
}

#[test]
fn only_the_word_admin_makes_an_admin() {
    for role in [
        json!("user"),
        json!("Admin"),
        json!(true),
        json!(["admin"]),
        json!(null),
    ] {
        let token = signed(&json!({"sub": "1", "exp": NOW + 10, "role": role}));
        assert!(!verify(&token).expect("accepted").admin, "{role}");
    }
}

#[test]
fn exp_is_required_and_heeded_with_leeway() {
    assert_eq!(
        verify(&signed(&json!({"sub": "1"}))),
        Err(Rejected::Invalid)
    );
    for exp in [
        json!("1900000000"),
        json!(null),
        json!(true),
        json!([NOW + 10]),
    ] {
        let token = signed(&json!({"sub": "1", "exp": exp}));
        assert_eq!(verify(&token), Err(Rejected::Invalid), "{exp}");
    }
    let token = signed(&json!({"sub": "1", "exp": NOW}));
    assert!(verify_at(&token, now().plus(Duration::from_millis(59_999))).is_ok());
    assert_eq!(
        verify_at(&token, now().plus(LEEWAY)),
        Err(Rejected::Expired)
    );
    for exp in [json!(0), json!(-1), json!(-1e300)] {
        let token = signed(&json!({"sub": "1", "exp": exp}));
        assert_eq!(verify(&token), Err(Rejected::Expired), "{exp}");
    }
    for exp in [json!(u64::MAX), json!(1e300)] {
        assert!(
            verify(&signed(&json!({"sub": "1", "exp": exp}))).is_ok(),
            "{exp}"
        );
    }
}

#[test]
fn nbf_is_heeded_with_leeway() {
    let token = |nbf| signed(&json!({"sub": "1", "exp": NOW + 1000, "nbf": nbf}));
    assert!(verify(&token(json!(NOW + 60))).is_ok());
    assert_eq!(verify(&token(json!(NOW + 61))), Err(Rejected::Early));
    assert_eq!(verify(&token(json!("soon"))), Err(Rejected::Invalid));
}

#[test]
fn sub_is_a_text() {
    for sub in [
        json!(7),
        json!(null),
        json!(["1"]),
        json!(""),
        json!("a\0b"),
        json!("x".repeat(256)),
    ] {
        let token = signed(&json!({"sub": sub, "exp": NOW + 10}));
        assert_eq!(verify(&token), Err(Rejected::Invalid), "{sub}");
    }
    assert_eq!(
        verify(&signed(&json!({"exp": NOW + 10}))),
        Err(Rejected::Invalid)
    );
}

#[test]
fn other_algorithms_are_refused() {
    let claims = json!({"sub": "1", "exp": NOW + 10});
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = signed_as(&Header::new(algorithm), &claims);
        assert_eq!(verify(&token), Err(Rejected::Invalid), "{algorithm:?}");
    }
    let good = signed(&claims);
    let signature = good.rsplit('.').next().expect("three parts");
    for alg in [
        "none", "None", "NONE", "", "RS256", "ES256", "PS256", "EdDSA", "hs256", "HS384",
    ] {
        let head = part(&json!({"alg": alg, "typ": "JWT"}));
        for signature in ["", signature] {
            let token = format!("{head}.{}.{signature}", part(&claims));
            assert_eq!(verify(&token), Err(Rejected::Invalid), "{alg}");
        }
        // The confusion itself: the header says another algorithm, the signature is an HMAC with our key.
        let message = format!("{head}.{}", part(&claims));
        let mac = jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &EncodingKey::from_secret(SECRET.as_bytes()),
            Algorithm::HS256,
        )
        .expect("signs");
        assert_eq!(
            verify(&format!("{message}.{mac}")),
            Err(Rejected::Invalid),
            "{alg}"
        );
    }
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["exp".into()]);
    assert_eq!(
        verify(&signed_as(&critical, &claims)),
        Err(Rejected::Invalid)
    );
}

#[test]
fn tampering_is_noticed() {
    let good = signed(&json!({"sub": "1", "exp": NOW + 10, "role": "user"}));
    assert!(verify(&good).is_ok());
    let [head, _, signature]: [&str; 3] = good
        .split('.')
        .collect::<Vec<_>>()
        .try_into()
        .expect("three parts");
    let forged = part(&json!({"sub": "1", "exp": NOW + 10, "role": "admin"}));
    assert_eq!(
        verify(&format!("{head}.{forged}.{signature}")),
        Err(Rejected::Invalid)
    );
    let other = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &json!({"sub": "1", "exp": NOW + 10}),
        &EncodingKey::from_secret(b"another secret"),
    )
    .expect("signs");
    assert_eq!(verify(&other), Err(Rejected::Invalid));
    for bad in [
        "",
        ".",
        "..",
        "a.b.c",
        &good[..good.len() - 1],
        &format!("{good}.x"),
        &format!("{good}="),
        &format!(" {good}"),
    ] {
        assert_eq!(verify(bad), Err(Rejected::Invalid), "{bad}");
    }
    let huge = signed(&json!({"sub": "1", "exp": NOW + 10, "x": "y".repeat(MAX_BYTES)}));
    assert_eq!(verify(&huge), Err(Rejected::Invalid));
    let twice = format!(r#"{{"sub":"1","sub":"2","exp":{}}}"#, NOW + 10);
    let message = format!(
        "{}.{}",
        part(&json!({"alg": "HS256"})),
        URL_SAFE_NO_PAD.encode(twice)
    );
    let mac = jsonwebtoken::crypto::sign(
        message.as_bytes(),
        &EncodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::HS256,
    )
    .expect("signs");
    assert_eq!(verify(&format!("{message}.{mac}")), Err(Rejected::Invalid));
}

#[test]
fn a_refreshed_token_of_one_sign_in_has_the_same_key() {
    let key = |more: Value| {
        let mut claims = json!({"sub": "1", "exp": NOW + 10});
        claims
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        verify(&signed(&claims)).expect("accepted").sign_in
    };
    let first = key(json!({"sid": "phone", "jti": "1"}));
    assert_eq!(first, key(json!({"sid": "phone", "jti": "2", "iat": NOW})));
    assert_ne!(first, key(json!({"sid": "tablet"})));
    assert_eq!(
        key(json!({"jti": "1"})),
        key(json!({"jti": "1", "iat": NOW}))
    );
    assert_ne!(key(json!({"jti": "1"})), key(json!({"sid": "1"})));
    assert_ne!(
        key(json!({"iat": 1})),
        key(json!({"iat": 2})),
        "by the token itself"
    );
    assert!(key(json!({"sid": "x".repeat(5000)})).len() < 64);
}

#[tokio::test]
async fn a_remembered_token_still_expires_and_rubbish_is_not_remembered() {
    let cached = CachedVerifier::new(verifier(Rules::default()), 100);
    let token = signed(&json!({"sub": "1", "exp": NOW, "nbf": NOW}));
    for _ in 0..2 {
        let claims = cached.verify(&token, now()).await.expect("accepted");
        assert_eq!(claims.sub, "1");
    }
    assert_eq!(cached.seen.len(), 1);
    assert_eq!(
        cached.verify(&token, now().plus(LEEWAY)).await,
        Err(Rejected::Expired)
    );
    assert_eq!(
        cached
            .verify(&token, now().minus(Duration::from_secs(61)))
            .await,
        Err(Rejected::Early)
    );
    assert_eq!(cached.verify("a.b.c", now()).await, Err(Rejected::Invalid));
    assert_eq!(cached.seen.len(), 1);
}

#[tokio::test]
async fn a_remembered_token_does_not_outlive_its_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    std::fs::write(&path, key_set([&old]).to_string()).expect("writable");
    let clock = Clock::manual(now());
    let keys = Arc::new(KeySet::new(KeySource::File(path.clone()), clock.clone()));
    let verifier = Verifier::from_keys(keys.clone(), Rules::default());
    let cached = CachedVerifier::new(verifier, 100);
    let token = old.sign(&json!({"sub": "1", "exp": NOW + 1000}));
    assert!(cached.verify(&token, now()).await.is_ok());
    std::fs::write(&path, key_set([&new]).to_string()).expect("writable");
    clock.advance(Duration::from_secs(60));
    keys.refresh(true).await;
    assert_eq!(cached.verify(&token, now()).await, Err(Rejected::Invalid));
}

#[test]
fn issuer_and_audience_are_heeded_where_they_are_set() {
    let rules = Rules {
        issuer: Some("host".into()),
        audiences: vec!["chat".into(), "web".into()],
    };
    let verify = |iss: Value, aud: Value| {
        let token = signed(&json!({"sub": "1", "exp": NOW + 10, "iss": iss, "aud": aud}));
        let hash = super::super::token::hash(&token);
        let verifier = verifier(rules.clone());
        let verified = verifier.verify(&token, &hash, now()).now_or_never();
        verified.expect("a secret is at hand").map(drop)
    };
    assert_eq!(verify(json!("host"), json!("web")), Ok(()));
    assert_eq!(verify(json!("host"), json!(["mail", "chat"])), Ok(()));
    for iss in [json!("Host"), json!(null), json!(["host"])] {
        assert_eq!(verify(iss, json!("web")), Err(Rejected::Issuer));
    }
    for aud in [json!("mail"), json!(null), json!([]), json!({"chat": 1})] {
        assert_eq!(verify(json!("host"), aud), Err(Rejected::Audience));
    }
}

#[test]
fn debug_shows_no_secret() {
    let verifier = verifier(Rules::default());
    let token = signed(&json!({"sub": "1", "exp": NOW, "jti": "jti-text"}));
    let claims = verify(&token).expect("accepted");
    let shown = format!(
        "{verifier:?} {claims:?} {:?}",
        CachedVerifier::new(verifier.clone(), 10)
    );
    for hidden in ["shared secret", "97, 32", "jti-text", &claims.sign_in] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
