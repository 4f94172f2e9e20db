//! Somebody who signs tokens: a key of their own, and its public half as they would publish it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// A key and its name.
#[derive(Clone)]
pub struct Signer {
    pub kid: String,
    pub algorithm: Algorithm,
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    /// With the one RSA key of this process, since making one takes its time.
    pub fn rsa(kid: &str) -> Self {
        static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
        let key = KEY.get_or_init(rsa_key);
        Self::of_rsa(kid, key)
    }

    fn of_rsa(kid: &str, key: &RsaPrivateKey) -> Self {
        let der = key.to_pkcs1_der().expect("an RSA key");
        Self {
            kid: kid.into(),
            algorithm: Algorithm::RS256,
            key: EncodingKey::from_rsa_der(der.as_bytes()),
            jwk: json!({
                "kty": "RSA",
                "n": URL_SAFE_NO_PAD.encode(key.n().to_bytes_be()),
                "e": URL_SAFE_NO_PAD.encode(key.e().to_bytes_be()),
                "kid": kid, "alg": "RS256", "use": "sig"
            }),
        }
    }

    /// With a new P-256 key.
    pub fn ec(kid: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        // SEC 1, section 2.3.3: 4, then both coordinates.
        let point = key.der_bytes();
        assert_eq!((point.len(), point[0]), (65, 4), "an uncompressed point");
        Self {
            kid: kid.into(),
            algorithm: Algorithm::ES256,
            key: EncodingKey::from_ec_der(&key.serialize_der()),
            jwk: json!({
                "kty": "EC", "crv": "P-256",
                "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
                "y": URL_SAFE_NO_PAD.encode(&point[33..]),
                "kid": kid, "alg": "ES256", "use": "sig"
            }),
        }
    }

    /// The public half.
    pub fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// A token.
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        self.sign_as(&header, claims)
    }

    /// A token with a header of the test's own.
    pub fn sign_as(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).expect("a token")
    }
}

fn rsa_key() -> RsaPrivateKey {
    RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key")
}

/// A key set of these.
pub fn key_set<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> Value {
    json!({ "keys": signers.into_iter().map(Signer::jwk).collect::<Vec<_>>() })
}

/// Everything that takes a public key for a secret, or no signature for one: a token for each that must be refused.
pub fn confused(signer: &Signer, claims: &Value) -> Vec<String> {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let jwk = signer.jwk();
    let mut tokens = Vec::new();
    for alg in ["none", "None", "NONE", ""] {
        let message = format!(
            "{}.{}",
            part(&json!({"alg": alg, "kid": signer.kid})),
            part(claims)
        );
        tokens.push(format!("{message}."));
        tokens.push(message);
    }
    // What an attacker knows of the key, in every form that a careless verifier might take for the secret.
    let texts = ["n", "e", "x", "y"]
        .iter()
        .filter_map(|name| jwk[name].as_str());
    let mut secrets: Vec<Vec<u8>> = texts
        .flat_map(|text| {
            let decoded = URL_SAFE_NO_PAD.decode(text).expect("base64");
            [text.as_bytes().to_vec(), decoded]
        })
        .collect();
    secrets.push(jwk.to_string().into_bytes());
    secrets.push(Vec::new());
    for secret in secrets {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let mut header = Header::new(algorithm);
            header.kid = Some(signer.kid.clone());
            let key = EncodingKey::from_secret(&secret);
            tokens.push(jsonwebtoken::encode(&header, claims, &key).expect("a token"));
        }
    }
    tokens
}
