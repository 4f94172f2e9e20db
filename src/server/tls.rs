//! TLS below HTTP: certificate and key, the handshake, and their replacement while the server runs.
//!
//! rustls with ring, TLS 1.2 and 1.3, and of ALPN (RFC 7301) only `http/1.1`, since WebSocket is an upgrade of that.
//! Reading files and when to read them again is left to `cli`.

use parking_lot::RwLock;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};
use tokio_rustls::server::TlsStream;

/// What a connection may hold encrypted and not sent: one whole record. A socket that is full is noticed as soon as
/// this is.
const BUFFER_BYTES: usize = 16 * 1024;

/// Why a certificate and a key cannot be used. Says nothing of what is in the key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TlsError {
    /// What is wrong with the certificate.
    #[error("{0}")]
    Certificate(String),
    /// What is wrong with the key.
    #[error("{0}")]
    Key(String),
    /// Each is good, but they are not of the same pair.
    #[error("the key is not that of the certificate")]
    Mismatch,
    /// The operating system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

/// The certificate and key that new connections are served with.
#[derive(Debug)]
pub struct Tls {
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// From PEM (RFC 7468): the certificate with its chain, the server's own first; the private key as PKCS #8,
    /// PKCS #1 or SEC 1, RSA or elliptic curve.
    ///
    /// # Errors
    /// Either cannot be read or used, or they do not belong together.
    pub fn new(certificate: &str, key: &str) -> Result<Self, TlsError> {
        Ok(Self {
            current: RwLock::new(Arc::new(server_config(certificate, key)?)),
        })
    }

    /// New connections are served with these from now on; old ones stay as they are.
    ///
    /// # Errors
    /// As for [`Tls::new`]; nothing has changed then.
    pub fn replace(&self, certificate: &str, key: &str) -> Result<(), TlsError> {
        let new = Arc::new(server_config(certificate, key)?);
        *self.current.write() = new;
        Ok(())
    }

    /// The handshake. Has no time limit of its own.
    ///
    /// # Errors
    /// The client went away, speaks no TLS, or nothing that is spoken here.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let current = self.current.read().clone();
        TlsAcceptor::from(current)
            .accept_with(stream, |connection| {
                connection.set_buffer_limit(Some(BUFFER_BYTES));
            })
            .await
    }
}

fn server_config(certificate: &str, key: &str) -> Result<ServerConfig, TlsError> {
    // Named here, since a process-wide default is whatever some other library made it.
    let provider = Arc::new(ring::default_provider());
    let pair = pair(certificate, key, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("ring has cipher suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Sessions are resumed by what the client keeps, so that thousands who come back at once need no signature each.
    // A reload makes new keys, and with them old tickets are worth nothing: everybody sees the new certificate.
    config.ticketer = ring::Ticketer::new().map_err(|error| TlsError::Random(error.to_string()))?;
    Ok(config)
}

fn pair(certificate: &str, key: &str, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Certificate(bad_pem(&error)))?;
    if chain.is_empty() {
        let why = "has no certificate in it; give a PEM file with the server's own first";
        return Err(TlsError::Certificate(why.into()));
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| {
        TlsError::Key(match error {
            pem::Error::NoItemsFound if key.contains("BEGIN ENCRYPTED PRIVATE KEY") => {
                "is encrypted; decrypt it, for example with openssl pkey".into()
            }
            pem::Error::NoItemsFound => {
                "has no private key in it; give a PEM file with an RSA or EC key".into()
            }
            error => bad_pem(&error),
        })
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch,
        // The key is read first, and what is wrong with it comes as a general error.
        rustls::Error::General(why) => TlsError::Key(format!("cannot be used: {why}")),
        error => TlsError::Certificate(format!("cannot be used: {error}")),
    })
}

/// The library's own words may show a line of the file.
fn bad_pem(error: &pem::Error) -> String {
    let why = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section has no proper beginning",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be read",
    };
    format!("is not PEM: {why}")
}

#[cfg(test)]
mod tests;
