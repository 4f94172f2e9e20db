//! A JSON Web Key Set (RFC 7517) as the keys of it that we can use.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use std::fmt;

/// A set has fewer.
const MAX_KEYS: usize = 100;

/// Bytes of an RSA modulus: from 2,048 bits (RFC 7518, section 3.3) to 8,192, beyond which checking a signature is work.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A key that signatures can be checked with.
#[derive(Clone)]
pub struct PublicKey {
    /// Its name in the set.
    pub kid: Option<String>,
    /// The one algorithm it is for.
    pub algorithm: Algorithm,
    /// The key.
    pub key: DecodingKey,
    /// As it came.
    jwk: Jwk,
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.jwk == other.jwk
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.algorithm, self.kid)
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// The usable keys of a set: RSA for RS256 and P-256 for ES256, meant for signatures. Others are passed over (RFC
/// 7517, section 5), symmetric ones above all.
///
/// # Errors
/// It is no key set, is absurdly long, or has no usable key.
pub fn keys(text: &[u8]) -> Result<Vec<PublicKey>, String> {
    let set: Set = serde_json::from_slice(text).map_err(|_| "not a JSON Web Key Set".to_owned())?;
    if set.keys.len() > MAX_KEYS {
        return Err(format!("a set of more than {MAX_KEYS} keys"));
    }
    let keys: Vec<_> = set.keys.into_iter().filter_map(usable).collect();
    if keys.is_empty() {
        return Err("no key for RS256 or ES256 is in the set".to_owned());
    }
    Ok(keys)
}

fn usable(value: serde_json::Value) -> Option<PublicKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
            if !RSA_MODULUS_BYTES.contains(&modulus.len()) {
                return None;
            }
            (Algorithm::RS256, KeyAlgorithm::RS256)
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    let common = &jwk.common;
    let is_for_signatures = common
        .public_key_use
        .as_ref()
        .is_none_or(|meant| *meant == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|meant| meant.contains(&KeyOperations::Verify))
        && common.key_algorithm.is_none_or(|meant| meant == named);
    if !is_for_signatures {
        return None;
    }
    Some(PublicKey {
        kid: common.key_id.clone(),
        algorithm,
        key: DecodingKey::from_jwk(&jwk).ok()?,
        jwk,
    })
}
