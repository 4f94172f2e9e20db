//! Cross-origin requests: the origins of `--cors-origin` may read our answers, no other.
//!
//! Without a configured origin nothing is added. A foreign origin is answered without the headers, which makes its
//! browser refuse the answer; a request is never turned away for its `Origin` here, since browsers send one with
//! same-origin writes too. Who may open a realtime connection is decided beside those.

use poem::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    VARY,
};
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response};
use std::sync::Arc;

const ALLOW_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const ALLOW_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, X-Device-Type, X-Act-As, Idempotency-Key",
);
const EXPOSE_HEADERS: HeaderValue =
    HeaderValue::from_static("RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After");
/// How long a browser may remember a preflight, in seconds; Chromium's own limit.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("7200");

/// Answers preflights and adds the headers for the origins it was given.
#[derive(Clone, Debug)]
pub struct Cors(Arc<[String]>);

impl Cors {
    /// For these origins, each `scheme://host[:port]`.
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        let plain = |o: String| o.trim_end_matches('/').to_ascii_lowercase();
        Self(origins.into_iter().map(plain).collect())
    }

    /// The `Origin` of the request, when it is one of ours.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        let known = self.0.iter().any(|o| o.eq_ignore_ascii_case(text));
        known.then(|| origin.clone())
    }
}

impl<E: Endpoint> Middleware<E> for Cors {
    type Output = CorsEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        CorsEndpoint {
            inner,
            cors: self.clone(),
        }
    }
}

/// An endpoint behind [`Cors`].
pub struct CorsEndpoint<E> {
    inner: E,
    cors: Cors,
}

impl<E: Endpoint> Endpoint for CorsEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if self.cors.0.is_empty() {
            return self
                .inner
                .call(request)
                .await
                .map(IntoResponse::into_response);
        }
        let allowed = self.cors.allowed(request.headers());
        let is_preflight = request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = if is_preflight && allowed.is_some() {
            let mut response = StatusCode::NO_CONTENT.into_response();
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOW_METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
            response
        } else {
            self.inner.call(request).await?.into_response()
        };
        // The answer differs by origin also where none was allowed, so that no cache mixes them up.
        response
            .headers_mut()
            .append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = allowed {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSE_HEADERS);
        }
        Ok(response)
    }
}
