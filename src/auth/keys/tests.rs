//! Key sets in a file, the time in hand.

use super::super::signer::{Signer, confused, key_set};
use super::*;
use jsonwebtoken::Header;
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

struct Bench {
    keys: KeySet,
    clock: Clock,
    path: PathBuf,
    _directory: TempDir,
}

impl Bench {
    fn new(set: &Value) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("keys.json");
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let bench = Self {
            keys: KeySet::new(KeySource::File(path.clone()), clock.clone()),
            clock,
            path,
            _directory: directory,
        };
        bench.publish(set);
        bench
    }

    fn publish(&self, set: &Value) {
        std::fs::write(&self.path, set.to_string()).expect("writable");
    }

    async fn verify(&self, token: &str) -> Result<Value, Rejected> {
        self.keys.verify(token).await
    }
}

fn claims() -> Value {
    json!({"sub": "somebody"})
}

#[tokio::test]
async fn both_algorithms_are_accepted_from_the_key_that_the_token_names() {
    let (rsa, ec, other) = (Signer::rsa("a"), Signer::ec("b"), Signer::ec("c"));
    let bench = Bench::new(&key_set([&rsa, &ec]));
    for signer in [&rsa, &ec] {
        assert_eq!(bench.verify(&signer.sign(&claims())).await, Ok(claims()));
        let nameless = signer.sign_as(&Header::new(signer.algorithm), &claims());
        assert_eq!(bench.verify(&nameless).await, Ok(claims()), "no kid");
    }
    assert_eq!(
        bench.verify(&other.sign(&claims())).await,
        Err(Rejected::Invalid),
        "unknown kid"
    );
    let mut header = Header::new(other.algorithm);
    header.kid = Some("b".into());
    assert_eq!(
        bench.verify(&other.sign_as(&header, &claims())).await,
        Err(Rejected::Invalid),
        "another's kid"
    );
    header.kid = Some("a".into());
    assert_eq!(
        bench.verify(&ec.sign_as(&header, &claims())).await,
        Err(Rejected::Invalid),
        "the kid of a key of another algorithm"
    );
}

#[tokio::test]
async fn no_algorithm_is_mistaken_for_another() {
    for signer in [Signer::rsa("a"), Signer::ec("b")] {
        let bench = Bench::new(&key_set([&signer]));
        assert_eq!(bench.verify(&signer.sign(&claims())).await, Ok(claims()));
        for token in confused(&signer, &claims()) {
            assert_eq!(
                bench.verify(&token).await,
                Err(Rejected::Invalid),
                "{token}"
            );
        }
    }
    // The right key, with an algorithm that is not its own.
    let rsa = Signer::rsa("a");
    let bench = Bench::new(&key_set([&rsa]));
    for algorithm in [Algorithm::RS512, Algorithm::PS256] {
        let mut header = Header::new(algorithm);
        header.kid = Some("a".into());
        let token = rsa.sign_as(&header, &claims());
        assert_eq!(bench.verify(&token).await, Err(Rejected::Invalid));
    }
}

#[tokio::test]
async fn an_extension_that_must_be_understood_is_refused() {
    let signer = Signer::ec("a");
    let bench = Bench::new(&key_set([&signer]));
    let mut header = Header::new(signer.algorithm);
    header.kid = Some("a".into());
    header.crit = Some(vec!["exp".into()]);
    let token = signer.sign_as(&header, &claims());
    assert_eq!(bench.verify(&token).await, Err(Rejected::Invalid));
}

#[tokio::test]
async fn a_new_key_is_found_but_made_up_ones_load_nothing() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let bench = Bench::new(&key_set([&old]));
    assert!(bench.verify(&old.sign(&claims())).await.is_ok());
    bench.publish(&key_set([&old, &new]));
    let token = new.sign(&claims());
    assert_eq!(
        bench.verify(&token).await,
        Err(Rejected::Invalid),
        "loaded a moment ago"
    );
    bench.clock.advance(RELOAD_GAP);
    let generation = bench.keys.generation();
    assert!(bench.verify(&token).await.is_ok());
    assert!(bench.keys.generation() > generation);
    assert!(bench.verify(&old.sign(&claims())).await.is_ok());
}

#[tokio::test]
async fn a_key_that_is_gone_is_trusted_no_more() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let bench = Bench::new(&key_set([&old, &new]));
    let token = old.sign(&claims());
    assert!(bench.verify(&token).await.is_ok());
    bench.publish(&key_set([&new]));
    bench.keys.refresh(false).await;
    assert!(bench.verify(&token).await.is_ok(), "still fresh");
    let generation = bench.keys.generation();
    bench.clock.advance(bench.keys.source.fresh_for());
    bench.keys.refresh(false).await;
    assert!(bench.keys.generation() > generation);
    assert_eq!(bench.verify(&token).await, Err(Rejected::Invalid));
}

#[tokio::test]
async fn a_set_that_cannot_be_read_is_out_of_reach_and_what_is_known_stays_for_a_day() {
    let signer = Signer::ec("a");
    let (token, stranger) = (signer.sign(&claims()), Signer::ec("b").sign(&claims()));
    let bench = Bench::new(&json!("garbage"));
    assert_eq!(bench.verify(&token).await, Err(Rejected::KeysOutOfReach));
    bench.clock.advance(RELOAD_GAP);
    bench.publish(&key_set([&signer]));
    assert!(bench.verify(&token).await.is_ok());

    std::fs::remove_file(&bench.path).expect("removable");
    bench.clock.advance(Duration::from_secs(3600));
    bench.keys.refresh(false).await;
    assert!(bench.verify(&token).await.is_ok());
    assert_eq!(
        bench.verify(&stranger).await,
        Err(Rejected::KeysOutOfReach),
        "whether there is such a key cannot be told"
    );
    bench.clock.advance(KEEP_FOR);
    bench.keys.refresh(false).await;
    assert_eq!(bench.verify(&token).await, Err(Rejected::KeysOutOfReach));
}

#[tokio::test]
async fn nothing_is_loaded_before_it_is_needed() {
    let bench = Bench::new(&key_set([&Signer::ec("a")]));
    bench.keys.refresh(false).await;
    assert!(bench.keys.keys().is_empty());
    bench.keys.refresh(true).await;
    assert_eq!(bench.keys.keys().len(), 1);
}

#[test]
fn only_keys_for_signatures_are_taken() {
    let (rsa, ec) = (Signer::rsa("a"), Signer::ec("b"));
    let with = |signer: &Signer, name: &str, value: Value| {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        jwk
    };
    let jwk = rsa.jwk();
    // Half the modulus: 1,024 bits.
    let short = &jwk["n"].as_str().expect("a text")[..171];
    let good = [
        with(&rsa, "alg", Value::Null),
        with(&ec, "use", Value::Null),
        with(&rsa, "key_ops", json!(["verify"])),
        with(&ec, "more", json!({"x": 1})),
    ];
    let bad = [
        with(&rsa, "use", json!("enc")),
        with(&rsa, "key_ops", json!(["encrypt"])),
        with(&rsa, "alg", json!("RS512")),
        with(&rsa, "n", json!("!!")),
        with(&ec, "alg", json!("ES384")),
        with(&ec, "crv", json!("P-384")),
        with(&ec, "x", json!(7)),
        with(&rsa, "n", json!(short)),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"}),
        json!({"kty": "new", "kid": "a"}),
        json!("key"),
        json!(null),
    ];
    for jwk in &good {
        let set = json!({"keys": [jwk, bad[0]]}).to_string();
        assert_eq!(parse::keys(set.as_bytes()).expect("one").len(), 1, "{jwk}");
    }
    for jwk in &bad {
        let set = json!({"keys": [jwk]}).to_string();
        assert!(parse::keys(set.as_bytes()).is_err(), "{jwk}");
    }
    for set in ["", "{}", "[]", "null", "{\"keys\":{}}", "<html>", "\u{0}"] {
        assert!(parse::keys(set.as_bytes()).is_err(), "{set}");
    }
    let many = json!({"keys": vec![ec.jwk(); 101]}).to_string();
    assert!(parse::keys(many.as_bytes()).is_err());
}

#[tokio::test]
async fn a_huge_file_is_not_read_to_its_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keys.json");
    std::fs::write(&path, vec![b' '; 300 * 1024]).expect("writable");
    let error = KeySource::File(path).load().await.expect_err("too long");
    assert!(error.contains("more than"), "{error}");
}
