//! One HTTP/1.1 connection: requests in, responses out, until it closes, is upgraded, or must end. Over TLS its
//! handshake comes first.

use super::Options;
use super::body::{TimedBody, TimedOut};
use super::tls::Tls;
use crate::realtime::stream::UpgradeHandle;
use futures_util::FutureExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, StatusCode, header};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Body, Endpoint, Request, RequestParts, Response};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// A request's line and headers together at most; more is 431. hyper allows 100 headers, more is 431 too.
const MAX_HEADER_SIZE_BYTES: usize = 32 * 1024;

/// What one connection may hold in its read buffer; it grows only when a client sends that fast.
const MAX_BUFFER_SIZE_BYTES: usize = 64 * 1024;

type HyperResponse =
    hyper::Response<http_body_util::combinators::BoxBody<bytes::Bytes, std::io::Error>>;

/// What all connections have in common.
pub(super) struct Shared<E> {
    pub(super) endpoint: E,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) options: Options,
    pub(super) shutdown: CancellationToken,
    pub(super) abort: CancellationToken,
}

/// Whom a connection is between, and how.
#[derive(Clone)]
struct Ends {
    local: Addr,
    peer: SocketAddr,
    scheme: Scheme,
}

/// Serves one connection to its end.
pub(super) async fn serve<E: Endpoint + 'static>(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared<E>>,
) {
    let local = stream
        .local_addr()
        .map_or_else(|_| Addr::default(), Addr::from);
    let mut ends = Ends {
        local,
        // A dual-stack listener sees IPv4 clients as ::ffff:a.b.c.d, which no list of networks would match.
        peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
        scheme: Scheme::HTTP,
    };
    if shared.tls.is_none() {
        return http(stream, ends, shared).await;
    }
    ends.scheme = Scheme::HTTPS;
    // Boxed, so that a plain connection's task has no room for it.
    Box::pin(https(stream, ends, shared)).await;
}

/// One connection over TLS. A client that has not shaken hands in time is closed; nothing else waits for it, since
/// this is its own task.
async fn https<E: Endpoint + 'static>(stream: TcpStream, ends: Ends, shared: Arc<Shared<E>>) {
    let Some(tls) = shared.tls.clone() else {
        return;
    };
    let peer = ends.peer;
    let handshake = tokio::time::timeout(shared.options.header_timeout, tls.accept(stream));
    match shared.shutdown.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => http(stream, ends, shared).await,
        // Scanners, and clients that speak no TLS or do not trust the certificate: nobody's fault here.
        Some(Ok(Err(error))) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Some(Err(_)) => tracing::debug!(%peer, "TLS handshake took too long"),
        None => {}
    }
}

async fn http<E, S>(stream: S, ends: Ends, shared: Arc<Shared<E>>)
where
    E: Endpoint + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(|request| {
        let (shared, ends) = (shared.clone(), ends.clone());
        async move { Ok::<_, Infallible>(answer(&shared, request, ends).await) }
    });
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(shared.options.header_timeout)
            .max_header_size(MAX_HEADER_SIZE_BYTES)
            .max_buf_size(MAX_BUFFER_SIZE_BYTES)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shared.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = shared.abort.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        // Clients go away, are too slow, or talk nonsense all the time.
        tracing::debug!(%error, "connection ended");
    }
}

async fn answer<E: Endpoint>(
    shared: &Shared<E>,
    mut request: hyper::Request<Incoming>,
    ends: Ends,
) -> HyperResponse {
    // Before poem takes the upgrade away and does not put it back.
    let upgrade = UpgradeHandle::from_request(&mut request);
    request.extensions_mut().insert(upgrade);
    let (parts, body) = request.into_parts();
    let (body, timed_out) = if body.is_end_stream() {
        (Body::empty(), None)
    } else {
        let (body, timed_out) = TimedBody::new(body, shared.options.body_timeout);
        (Body::from(body.boxed()), Some(timed_out))
    };
    let (local, peer) = (LocalAddr(ends.local), RemoteAddr(ends.peer.into()));
    let parts = RequestParts::from((parts, local, peer, ends.scheme));
    let request = Request::from_parts(parts, body);
    // State that a panic left half-changed is behind locks of others, which cope or were never held.
    let response = AssertUnwindSafe(shared.endpoint.get_response(request))
        .catch_unwind()
        .await;
    let response = match response {
        // Whatever the handler made of the failed read, it was the client's slowness.
        Ok(_) if timed_out.is_some_and(|timed_out: TimedOut| timed_out.get()) => {
            let mut response = failure(
                StatusCode::REQUEST_TIMEOUT,
                r#"{"success":false,"error":{"code":"request_timeout","message":"the request body took too long"}}"#,
            );
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            response
        }
        Ok(response) => response,
        // The panic hook has logged it.
        Err(_) => failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            r#"{"success":false,"error":{"code":"internal","message":"internal error"}}"#,
        ),
    };
    response.into()
}

fn failure(status: StatusCode, json: &'static str) -> Response {
    Response::builder()
        .status(status)
        .content_type("application/json; charset=utf-8")
        .body(json)
}
