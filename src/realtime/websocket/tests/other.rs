//! Streams that keep what they have taken: TLS, and one that never gets rid of it.

use super::*;
use crate::server::tls::Tls;
use rcgen::CertifiedKey;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A client's and a server's end.
pub(super) async fn tls() -> (impl AsyncRead + AsyncWrite + Unpin + Send + 'static, Stream) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let CertifiedKey { cert, signing_key } = made.expect("a certificate");
    let tls = Tls::new(&cert.pem(), &signing_key.serialize_pem()).expect("a good pair");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = tcp().await;
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let both = async { tokio::join!(connector.connect(name, near), tls.accept(far)) };
    let (near, far) = soon(both).await;
    let far = Stream::Other(Box::new(far.expect("shaken hands")));
    (near.expect("shaken hands"), far)
}

#[tokio::test]
async fn over_tls_a_stall_is_a_slow_consumer() {
    let (near, far) = tls().await;
    let limits = Limits {
        stall: Duration::from_millis(50),
        pushed_bytes: 1 << 30,
        ..Limits::default()
    };
    let mut server = socket(far, limits);
    for _ in 0..200 {
        server.outbox().push(Frame::binary(vec![0; 100_000]));
    }
    let asked = soon(server.next()).await;
    assert!(matches!(asked, Incoming::Asked(close) if close.cause == Cause::SlowConsumer));
    drop(near);
}

/// Takes whatever it is given and sends none of it; nothing comes from it.
struct Hoard {
    taken: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl AsyncRead for Hoard {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Hoard {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.taken.fetch_add(bytes.len(), Ordering::SeqCst);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_but_does_not_send_counts_as_full() {
    let (taken, asked) = (Arc::default(), Arc::default());
    let hoard = Hoard {
        taken: Arc::clone(&taken),
        asked: Arc::clone(&asked),
    };
    let limits = Limits {
        stall: Duration::from_secs(30),
        pushed_frames: 100_000,
        ..Limits::default()
    };
    let mut server = socket(Stream::Other(Box::new(hoard)), limits);
    let outbox = server.outbox().clone();
    let pushing = tokio::spawn(async move {
        // Something is said all the time, which makes the peer no quicker.
        loop {
            outbox.push(Frame::text("x"));
            outbox.flush();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let started = tokio::time::Instant::now();
    let asked_to = server.next().await;
    assert!(matches!(asked_to, Incoming::Asked(close) if close.cause == Cause::SlowConsumer));
    let taken_s = started.elapsed().as_secs_f64();
    assert!((30.0..31.0).contains(&taken_s), "{taken_s}");
    // One frame; and the task was not woken for each of the others.
    assert_eq!(taken.load(Ordering::SeqCst), Frame::text("x").wire().len());
    assert!(asked.load(Ordering::SeqCst) < 10, "{asked:?}");
    pushing.abort();
}
