//! Certificates made for a test, and the ways to speak TLS with them.

use super::soon;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate for 127.0.0.1 that is its own root, and its key.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// A pair in files that `--tls-cert` and `--tls-key` can name.
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
    directory: tempfile::TempDir,
}

impl Pair {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let made = made.expect("a certificate");
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }
}

impl Files {
    pub fn of(pair: &Pair) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Self {
            certificate: directory.path().join("certificate.pem"),
            key: directory.path().join("key.pem"),
            directory,
        };
        files.write(&pair.certificate, &pair.key);
        files
    }

    /// Puts these into the files; the key's is for its owner.
    pub fn write(&self, certificate: &str, key: &str) {
        std::fs::write(&self.certificate, certificate).expect("written");
        std::fs::write(&self.key, key).expect("written");
        self.permit(0o600);
    }

    /// The mode of the key's file.
    pub fn permit(&self, mode: u32) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&self.key, mode).expect("permitted");
    }

    /// Where they are, and a database may be.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The flags that name them.
    pub fn flags(&self) -> [&str; 4] {
        let (certificate, key) = (self.certificate.to_str(), self.key.to_str());
        let (certificate, key) = (certificate.expect("text"), key.expect("text"));
        ["--tls-cert", certificate, "--tls-key", key]
    }
}

fn connector(certificate: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    roots.add(certificate).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Shakes hands, trusting this certificate alone.
pub async fn connect(
    address: SocketAddr,
    certificate: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    soon("a handshake", connector(certificate).connect(name, stream)).await
}

/// A plain address whose every connection goes on over TLS, so that each client of the harness can speak it.
pub struct Tunnel {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Tunnel {
    pub async fn to(address: SocketAddr, certificate: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("an address");
        let certificate = certificate.to_owned();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let certificate = certificate.clone();
                connections.spawn(async move {
                    let mut far = connect(address, &certificate).await.expect("a handshake");
                    // However it ends: the client sees it, and judges.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { address: own, task }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}
