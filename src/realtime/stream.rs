//! The raw stream that is left when an HTTP/1.1 connection has been upgraded.
//!
//! The accept loop puts an [`UpgradeHandle`] into each request's extensions before the router sees it; whoever answers
//! 101 takes it and waits, in a task of its own, for the stream.

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Anything that can be read and written, such as a TLS stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// A stream from below HTTP.
pub enum Stream {
    /// A plain socket, which any thread may write to.
    Tcp(TcpStream),
    /// Anything else, which only one task may use.
    Other(Box<dyn Duplex>),
}

/// The promise of a stream, in a request's extensions.
#[derive(Clone)]
pub struct UpgradeHandle(Arc<Mutex<Option<OnUpgrade>>>);

impl UpgradeHandle {
    /// The promise for `request`. To be taken before the router converts the request.
    pub fn from_request<B>(request: &mut hyper::Request<B>) -> Self {
        Self(Arc::new(Mutex::new(Some(hyper::upgrade::on(request)))))
    }

    /// The promise, once.
    pub fn take(&self) -> Option<OnUpgrade> {
        self.0.lock().take()
    }
}

/// Waits for the stream, which comes when the 101 has been written. Gives what the client sent too early as well.
///
/// # Errors
/// When the connection ended first, or was never answered with a 101.
pub async fn upgraded(promise: OnUpgrade) -> hyper::Result<(Stream, Bytes)> {
    let upgraded = promise.await?;
    // Both are taken out of what hyper wraps them in: less memory, and vectored writes arrive as such.
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            let stream = parts.io.into_inner();
            no_delay(&stream);
            return Ok((Stream::Tcp(stream), parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    Ok(match upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>() {
        Ok(parts) => {
            let stream = parts.io.into_inner();
            no_delay(stream.get_ref().0);
            (Stream::Other(Box::new(stream)), parts.read_buf)
        }
        Err(upgraded) => (
            Stream::Other(Box::new(TokioIo::new(upgraded))),
            Bytes::new(),
        ),
    })
}

/// Small frames, each of which somebody waits for. A socket that refuses works without.
fn no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
}
