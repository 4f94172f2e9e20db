use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::EncodePrivateKey as _;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

const DEADLINE: Duration = Duration::from_secs(10);

fn certificate(key: &KeyPair) -> String {
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.self_signed(key).expect("signed").pem()
}

fn pair() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    (certificate(&key), key.serialize_pem())
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn trusting(
    certificate: &str,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    roots.add(certificate).expect("a root");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// Connects and says "ping"; the version spoken, and what ALPN came to.
async fn speak(
    tls: &Tls,
    certificate: &str,
    version: &'static SupportedProtocolVersion,
    protocols: &[&[u8]],
) -> io::Result<(rustls::ProtocolVersion, Option<Vec<u8>>)> {
    let connector = trusting(certificate, &[version], protocols);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let client = async {
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TcpStream::connect(address).await?;
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(b"ping").await?;
        stream.shutdown().await?;
        let connection = stream.get_ref().1;
        let version = connection.protocol_version().expect("shaken hands");
        Ok((version, connection.alpn_protocol().map(<[u8]>::to_vec)))
    };
    let server = async {
        let mut stream = tls.accept(listener.accept().await?.0).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        assert_eq!(text, "ping");
        io::Result::Ok(())
    };
    let both = async { tokio::join!(client, server) };
    let (client, server) = tokio::time::timeout(DEADLINE, both).await.expect("in time");
    server.and(client)
}

#[tokio::test]
async fn both_versions_and_only_http_1() {
    let (certificate, key) = pair();
    let tls = Tls::new(&certificate, &key).expect("a good pair");
    for version in [&TLS12, &TLS13] {
        let offered: [&[u8]; 2] = [b"h2", b"http/1.1"];
        let spoken = speak(&tls, &certificate, version, &offered).await;
        let (got, protocol) = spoken.expect("spoken");
        assert_eq!(got, version.version);
        assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
        // Without ALPN it is HTTP/1.1 as well.
        let spoken = speak(&tls, &certificate, version, &[]).await;
        assert_eq!(spoken.expect("spoken").1, None);
        let refused = speak(&tls, &certificate, version, &[b"h2"]).await;
        assert!(refused.is_err(), "{refused:?}");
    }
}

#[tokio::test]
async fn keys_of_every_form() {
    let ec = KeyPair::generate().expect("a key");
    let der = ec.serialize_der();
    // The ECPrivateKey (RFC 5915) inside PKCS #8: a sequence of version 1 and 32 bytes.
    let inner = der
        .windows(5)
        .position(|window| window == [2, 1, 1, 4, 32])
        .expect("a P-256 key");
    let sec1 = format!(
        "{}{}",
        pem("EC PARAMETERS", b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
        pem("EC PRIVATE KEY", &der[inner - 2..])
    );
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key");
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let numbers = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("a key");
    let pkcs8 = numbers.to_pkcs8_der().expect("DER");
    let pkcs8 = pem("PRIVATE KEY", pkcs8.as_bytes());
    let pkcs1 = numbers.to_pkcs1_der().expect("DER");
    let pkcs1 = pem("RSA PRIVATE KEY", pkcs1.as_bytes());
    let rsa = KeyPair::from_pem(&pkcs8).expect("a key");
    for (form, own, key) in [
        ("EC in PKCS #8", &ec, ec.serialize_pem()),
        ("EC in SEC 1", &ec, sec1),
        ("P-384", &p384, p384.serialize_pem()),
        ("Ed25519", &ed25519, ed25519.serialize_pem()),
        ("RSA in PKCS #8", &rsa, pkcs8),
        ("RSA in PKCS #1", &rsa, pkcs1),
    ] {
        let certificate = certificate(own);
        let tls = Tls::new(&certificate, &key).unwrap_or_else(|error| panic!("{form}: {error}"));
        let spoken = speak(&tls, &certificate, &TLS13, &[]).await;
        assert!(spoken.is_ok(), "{form}: {spoken:?}");
    }
}

#[test]
fn what_cannot_be_used_is_told_apart_and_shows_no_key() {
    let ((certificate, key), (other, _)) = (pair(), pair());
    let fails = |certificate: &str, key: &str| Tls::new(certificate, key).expect_err("unusable");
    assert_eq!(fails(&other, &key), TlsError::Mismatch);
    // The chain in the wrong order.
    assert_eq!(
        fails(&format!("{other}{certificate}"), &key),
        TlsError::Mismatch
    );
    let broken = pem("CERTIFICATE", b"no certificate");
    let cut = &certificate[..certificate.len() / 2];
    for bad in ["Dear diary", &*key, cut, &*broken] {
        let error = fails(bad, &key);
        assert!(
            matches!(error, TlsError::Certificate(_)),
            "{bad}: {error:?}"
        );
    }
    let secret = "bm90IGEga2V5";
    let unusable = pem("PRIVATE KEY", b"not a key");
    let no_base64 = format!("-----BEGIN PRIVATE KEY-----\n{secret}!\n-----END PRIVATE KEY-----\n");
    let cut = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n");
    let bad_start = format!("-----BEGIN {secret}\n");
    let encrypted = pem("ENCRYPTED PRIVATE KEY", b"not a key");
    for bad in [
        "Dear diary",
        &*certificate,
        &*unusable,
        &*no_base64,
        &*cut,
        &*bad_start,
        &*encrypted,
    ] {
        let error = fails(&certificate, bad);
        assert!(matches!(error, TlsError::Key(_)), "{bad}: {error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(secret) && !shown.contains('\n'), "{shown}");
        assert_eq!(
            shown.contains("decrypt"),
            bad.contains("ENCRYPTED"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_new_pair_replaces_the_old_and_a_bad_one_does_not() {
    let ((certificate, key), (newer, newer_key)) = (pair(), pair());
    let tls = Tls::new(&certificate, &key).expect("a good pair");
    assert_eq!(tls.replace(&newer, &key), Err(TlsError::Mismatch));
    assert!(speak(&tls, &certificate, &TLS13, &[]).await.is_ok());
    assert!(speak(&tls, &newer, &TLS13, &[]).await.is_err());
    tls.replace(&newer, &newer_key).expect("a good pair");
    assert!(speak(&tls, &certificate, &TLS13, &[]).await.is_err());
    assert!(speak(&tls, &newer, &TLS13, &[]).await.is_ok());
}

#[tokio::test]
async fn requests_know_that_they_came_over_tls() {
    let (certificate, key) = pair();
    let tls = Arc::new(Tls::new(&certificate, &key).expect("a good pair"));
    let listener = crate::server::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let endpoint = poem::endpoint::make_sync(|request| request.scheme().to_string());
    let stop = tokio_util::sync::CancellationToken::new();
    let options = crate::server::Options::default();
    let serving = crate::server::run_tls(listener, tls, endpoint, options, stop.clone());
    let serving = tokio::spawn(serving);
    let asking = async {
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TcpStream::connect(address).await?;
        let connector = trusting(&certificate, &[&TLS13], &[]);
        let mut stream = connector.connect(name, stream).await?;
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let asked = tokio::time::timeout(DEADLINE, asking);
    let answer = asked.await.expect("in time").expect("an answer");
    assert!(answer.ends_with("\r\n\r\nhttps"), "{answer}");
    stop.cancel();
    serving.await.expect("no panic");
}
