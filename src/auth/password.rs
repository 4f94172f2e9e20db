//! Passwords: Argon2id, and how many are hashed at once.
//!
//! The functions here block for tens of milliseconds and use 19 MiB each; [`Hasher`] runs them off the async
//! threads and bounds both. How often somebody may try is `attempts`' affair.

use crate::error::{Error, Result};
use crate::model::FieldError;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::TryRngCore;
use std::sync::Arc;
use tokio::sync::{Semaphore, TryAcquireError};

/// The fewest characters of a password.
pub const MIN_CHARS: usize = 8;
/// The most characters of a password.
pub const MAX_CHARS: usize = 1024;

/// A hash in the form [`hash`] makes, of no known password: verifying against it costs what verifying a user's
/// own does. Its parameters must be those of [`argon2id`], which a test holds.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bGFzdHNlZW4tbm9ib2R5\
                      $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// OWASP's first recommendation for Argon2id: 19 MiB, two passes, one lane.
fn argon2id() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("constants within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Checks the length of a new password: 8 to 1,024 characters (Unicode scalar values), counted to its end. Any
/// character may be in it, NUL too, and every one of them counts when it is hashed.
///
/// # Errors
/// Too short or too long.
pub fn check(password: &str) -> Result<(), FieldError> {
    // A character has four bytes at most, so that a huge text is not counted out.
    let fits = password.len() <= MAX_CHARS * 4
        && (MIN_CHARS..=MAX_CHARS).contains(&password.chars().count());
    if fits {
        return Ok(());
    }
    Err(FieldError::new(
        "password",
        format!("must have {MIN_CHARS} to {MAX_CHARS} characters"),
    ))
}

/// Hashes `password` with a new salt into a PHC string. Blocks.
///
/// # Errors
/// [`Error::Internal`] when the operating system gives no random bytes or memory runs out.
pub fn hash(password: &str) -> Result<String> {
    let mut salt = [0u8; 16];
    rand::rngs::OsRng
        .try_fill_bytes(&mut salt)
        .map_err(Error::internal)?;
    let salt = SaltString::encode_b64(&salt).map_err(Error::internal)?;
    Ok(argon2id()
        .hash_password(password.as_bytes(), &salt)
        .map_err(Error::internal)?
        .to_string())
}

/// Whether `password` is the one that `phc` was made of; a text that is no PHC string matches nothing. Blocks.
pub fn verify(password: &str, phc: &str) -> bool {
    // The parameters come from the string, so that older hashes stay valid when ours grow.
    PasswordHash::new(phc).is_ok_and(|hash| {
        argon2id()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// Does the work of [`verify`] for an account that is not there or has no password. Blocks.
pub fn verify_nothing(password: &str) {
    std::hint::black_box(verify(password, NOBODY));
}

/// How many verifications may wait for a core before further ones are refused.
const WAITING: usize = 256;

/// Runs the above off the async threads: at most one a core at a time, and at most 256 more waiting. Cheap to
/// clone.
///
/// Beyond that [`Error::Unavailable`] (503) at once: it is the server that is short, not the caller who asked too
/// often, and a queue of hashes longer than that is answered too late to be of use.
#[derive(Clone, Debug)]
pub struct Hasher {
    cores: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(cores, WAITING)
    }
}

impl Hasher {
    /// `cores` at a time, `waiting` more in the queue.
    pub fn new(cores: usize, waiting: usize) -> Self {
        let cores = cores.max(1);
        Self {
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(cores + waiting)),
        }
    }

    /// [`hash`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait already, and those of [`hash`].
    pub async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        self.run(move || hash(&password)).await?
    }

    /// [`verify`] against `phc`, or [`verify_nothing`] and `false` where there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when too many wait already.
    pub async fn verify(&self, password: &str, phc: Option<String>) -> Result<bool> {
        let password = password.to_owned();
        self.run(move || match phc {
            Some(phc) => verify(&password, &phc),
            None => {
                verify_nothing(&password);
                false
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                return Err(Error::Unavailable);
            }
        };
        let core = self
            .cores
            .clone()
            .acquire_owned()
            .await
            .map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            // Work once begun cannot be stopped, so its permits go with it and not with a caller who left.
            let _held = (place, core);
            work()
        })
        .await
        .map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn hashes_verify_to_the_last_character() {
        let long = "ä".repeat(1023) + "x";
        let phc = hash(&long).expect("hashes");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(verify(&long, &phc));
        assert!(!verify(&("ä".repeat(1023) + "y"), &phc));
        let nul = hash("with\0tail-a").expect("hashes");
        assert!(verify("with\0tail-a", &nul));
        assert!(!verify("with\0tail-b", &nul));
        assert!(!verify("with", &nul));
        assert_ne!(hash("same").expect("a hash"), hash("same").expect("a hash"));
    }

    #[test]
    fn what_is_no_hash_matches_nothing() {
        for phc in ["", "plain", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv"] {
            assert!(!verify("plain", phc), "{phc}");
        }
    }

    #[test]
    fn the_hash_of_nobody_costs_the_same() {
        let nobody = PasswordHash::new(NOBODY).expect("a valid PHC string");
        let real = hash("whatever").expect("hashes");
        let real = PasswordHash::new(&real).expect("a valid PHC string");
        assert_eq!(nobody.algorithm, real.algorithm);
        assert_eq!(nobody.version, real.version);
        assert_eq!(nobody.params.to_string(), real.params.to_string());
        assert_eq!(
            nobody.hash.map(|h| h.len()),
            real.hash.map(|h| h.len()),
            "the output is as long"
        );
        assert!(!verify("", NOBODY));
    }

    #[test]
    fn lengths_count_characters() {
        for good in ["12345678", "ääääääää", "a\0bcdefg", &"🦀".repeat(1024)] {
            assert!(check(good).is_ok(), "{}", good.len());
        }
        for bad in [
            "",
            "1234567",
            "äääääää",
            &"a".repeat(1025),
            &"🦀".repeat(1025),
        ] {
            assert_eq!(check(bad).expect_err("refused").field, "password");
        }
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_a_caller_who_left_frees_no_core() {
        let hasher = Hasher::new(1, 1);
        let (release, gate) = mpsc::channel::<()>();
        let (started, mut has_started) = tokio::sync::mpsc::channel(1);
        let first = tokio::spawn({
            let hasher = hasher.clone();
            async move {
                hasher
                    .run(move || {
                        started.blocking_send(()).ok();
                        gate.recv_timeout(Duration::from_secs(20)).ok();
                    })
                    .await
            }
        });
        has_started.recv().await.expect("the first one runs");
        first.abort();
        assert!(first.await.expect_err("it left").is_cancelled());
        let second = hasher.run(|| 2);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending(), "one core");
        assert!(matches!(hasher.run(|| 3).await, Err(Error::Unavailable)));
        release.send(()).expect("the first one still waits");
        assert_eq!(second.await.expect("its turn came"), 2);
        assert!(hasher.run(|| 4).await.is_ok(), "places are given back");
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let hasher = Hasher::default();
        let phc = hasher.hash("correct horse").await.expect("hashes");
        assert!(
            hasher
                .verify("correct horse", Some(phc.clone()))
                .await
                .expect("answers")
        );
        assert!(
            !hasher
                .verify("wrong horse", Some(phc))
                .await
                .expect("answers")
        );
        assert!(!hasher.verify("correct horse", None).await.expect("answers"));
    }
}
