//! The JSON API: the route table, and what stands around every handler.
//!
//! One file an area: its routes, what they take and give, and nothing else: extract, call one service method,
//! convert. [`error`] alone maps failures, [`envelope`] successes, [`extract`] says who is asking, `shape` whether a
//! body fits its document. Realtime connections and the accept loop are elsewhere.

pub mod admin;
pub mod auth;
pub mod body;
pub mod cors;
mod document;
pub mod envelope;
pub mod error;
pub mod extract;
pub mod health;
mod limits;
pub mod messages;
mod page;
pub mod people;
pub mod presence;
mod shape;
pub mod users;
pub mod wire;

#[cfg(test)]
mod tests;

use crate::auth::Auth;
use crate::auth::client::ClientRules;
use crate::metrics::Metrics;
use crate::model::{Clock, UserId};
use crate::presence::PresenceService;
use crate::store::Store;
use body::Body;
use cors::Cors;
use document::{AllowTable, document};
use error::Failure;
use poem::endpoint::make_sync;
use poem::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use poem::http::{HeaderValue, StatusCode};
use poem::middleware::CatchPanic;
use poem::web::Html;
use poem::{Endpoint, EndpointExt, IntoResponse, Response, Route, get};
use poem_openapi::OpenApiService;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What of the configuration the API needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Origins whose pages may read answers.
    pub cors_origins: Vec<String>,
    /// Requests for one person's presence that a user may make in any minute; 0 is no limit.
    pub presence_rate: u32,
    /// Requests for many people's presence that a user may make in any minute; 0 is no limit.
    pub presence_query_rate: u32,
    /// Ids are the host application's to give (`--jwt-sub id`): a mirrored row that creates a user needs one.
    pub ids_from_host: bool,
}

/// What the handlers call.
#[derive(Clone)]
pub struct Services {
    /// The store.
    pub store: Store,
    /// Passwords and tokens.
    pub auth: Auth,
    /// Who is there, and who may know.
    pub presence: PresenceService,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// What is believed and kept of the client behind a request.
    pub client_rules: ClientRules,
    /// The time.
    pub clock: Clock,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
    /// What of the configuration the API needs.
    pub settings: Settings,
}

impl Services {
    /// Drops what is cached of a user whose row changed.
    async fn user_changed(&self, user: UserId) {
        self.auth.forget_user(user);
        self.presence.user_changed(user).await;
    }
}

/// Every area, in the order of the document.
type Api = (
    auth::AuthApi,
    users::UsersApi,
    people::PeopleApi,
    presence::PresenceApi,
    messages::MessagesApi,
    admin::AdminApi,
    health::HealthApi,
);

fn api(services: &Arc<Services>) -> Api {
    (
        auth::AuthApi(services.clone()),
        users::UsersApi(services.clone()),
        people::PeopleApi(services.clone()),
        presence::PresenceApi::new(services.clone()),
        messages::MessagesApi(services.clone()),
        admin::AdminApi(services.clone()),
        health::HealthApi(services.clone()),
    )
}

/// The whole API, to be nested at `/` beside the realtime endpoints. It answers every request, with the envelope
/// where it fails.
pub fn routes(services: Services) -> impl Endpoint<Output = Response> + 'static {
    let services = Arc::new(services);
    let cors = Cors::new(services.settings.cors_origins.clone());
    let service = OpenApiService::new(api(&services), "lastseen", env!("CARGO_PKG_VERSION"))
        .description("Presence and activity for social and messaging apps.");
    let document = document(&service);
    let json = document.json;
    let spec = make_sync(move |_| {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let [(name, value)] = headers;
        Response::builder().header(name, value).body(json.clone())
    });
    let page = document.html;
    let page = make_sync(move |_| Html(page.clone()));
    let allow = AllowTable::of::<Api>(&["/openapi.json", "/docs"]);
    let route = Route::new()
        .nest("/", service)
        .at("/openapi.json", get(spec))
        .at("/docs", get(page));
    enveloped(route.data(services), allow).with(cors)
}

/// `/metrics` for anyone, for the listener of `--metrics-listen`.
pub fn metrics_routes(metrics: Arc<Metrics>) -> impl Endpoint<Output = Response> + 'static {
    let api = health::OpenMetricsApi(metrics);
    let allow = AllowTable::of::<health::OpenMetricsApi>(&[]);
    let service = OpenApiService::new(api, "lastseen metrics", env!("CARGO_PKG_VERSION"));
    enveloped(Route::new().nest("/", service), allow)
}

/// Answers every failure of `inner` with the envelope, and adds the headers that every answer has.
fn enveloped(
    inner: impl Endpoint + 'static,
    allow: AllowTable,
) -> impl Endpoint<Output = Response> + 'static {
    let panicked = |_| {
        // The panic hook has logged the cause.
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    };
    inner.with(CatchPanic::new().with_handler(panicked)).after(
        move |answer: poem::Result<Response>| {
            let allow = allow.clone();
            async move {
                let mut response =
                    answer.unwrap_or_else(|e| Failure::from_poem(e, &allow).into_response());
                let headers = response.headers_mut();
                headers
                    .entry(CACHE_CONTROL)
                    .or_insert(HeaderValue::from_static("no-store"));
                headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                Ok::<_, poem::Error>(response)
            }
        },
    )
}
