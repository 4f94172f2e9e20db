//! Where the realtime endpoints are mounted, and how a refusal looks there.

use super::error::Failure;
use crate::error::Error;
use crate::realtime::{Realtime, Refusal};
use poem::endpoint::make;
use poem::http::StatusCode;
use poem::{IntoResponse, Request, Response, Route};

/// Adds `/ws` and `/socket.io/` to `route`.
pub fn mount(route: Route, realtime: Realtime) -> Route {
    let raw = realtime.clone();
    let raw = make(move |request: Request| {
        let realtime = raw.clone();
        async move {
            let answer = realtime.raw(&request).await;
            Ok::<Response, poem::Error>(answer.unwrap_or_else(refused))
        }
    });
    let socket_io = make(move |request: Request| {
        let realtime = realtime.clone();
        async move {
            let answer = realtime.socket_io(request).await;
            Ok::<Response, poem::Error>(answer.unwrap_or_else(refused))
        }
    });
    route.at("/ws", raw).nest_no_strip("/socket.io", socket_io)
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Origin => {
            Failure::from(Error::forbidden("this Origin may not connect")).into_response()
        }
        Refusal::TooManyUnauthenticated { retry_after } => {
            Failure::from(Error::RateLimited { retry_after }).into_response()
        }
        Refusal::Handshake(error) => {
            let status = error.status();
            let mut response = Failure::new(status, error.to_string()).into_response();
            if status == StatusCode::UPGRADE_REQUIRED {
                error.add_headers(response.headers_mut());
            }
            response
        }
        Refusal::Service(error) => Failure::from(error).into_response(),
    }
}
