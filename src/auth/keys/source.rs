//! Where a key set comes from: an address or a file.

use crate::error::chain;
use crate::model::KeysUrl;
use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

/// A key set is smaller.
const MAX_BYTES: usize = 256 * 1024;
/// A whole fetch takes at most this long.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An address or a file.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Fetched over the network.
    Url(KeysUrl),
    /// Read from the file system.
    File(PathBuf),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl KeySource {
    /// How old what was loaded may be before it is looked at again.
    pub(super) fn fresh_for(&self) -> Duration {
        match self {
            Self::Url(_) => Duration::from_secs(10 * 60),
            Self::File(_) => Duration::from_secs(10),
        }
    }

    /// The text of the set.
    ///
    /// # Errors
    /// Out of reach, too slow, too long.
    pub(super) async fn load(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Url(url) => tokio::time::timeout(FETCH_TIMEOUT, fetch(url))
                .await
                .map_err(|_| "no answer in time".to_owned())?
                .map_err(|error| chain(&error)),
            Self::File(path) => read(path.clone()).await,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("answered {0}")]
    Status(reqwest::StatusCode),
    #[error("more than {MAX_BYTES} bytes")]
    TooLong,
}

async fn fetch(url: &KeysUrl) -> Result<Vec<u8>, FetchError> {
    // A client for each fetch: they are minutes apart, and no connection is kept meanwhile.
    let mut client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // Wherever a redirect leads, nobody has said that keys from there are to be believed.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("lastseen/", env!("CARGO_PKG_VERSION")));
    if url.is_loopback() {
        client = client.no_proxy();
    }
    let mut response = client.build()?.get(url.url().clone()).send().await?;
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if text.len() + chunk.len() > MAX_BYTES {
            return Err(FetchError::TooLong);
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

async fn read(path: PathBuf) -> Result<Vec<u8>, String> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text)?;
        Ok::<_, std::io::Error>(text)
    });
    let text = reading
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    if text.len() > MAX_BYTES {
        return Err(FetchError::TooLong.to_string());
    }
    Ok(text)
}
