//! The JSON API: the route table, and what stands around every handler.
//!
//! One file an area: its routes, what they take and give, and nothing else: extract, call one service method,
//! convert. [`error`] alone maps failures, [`envelope`] successes, [`extract`] says who is asking, `shape` whether a
//! body fits its document. Realtime connections and the accept loop are elsewhere.

mod accept;
pub mod activities;
pub mod admin;
pub mod analytics;
pub mod auth;
pub mod body;
pub mod cors;
mod document;
pub mod envelope;
pub mod error;
pub mod export;
pub mod extract;
pub mod health;
mod limits;
pub mod live;
pub mod messages;
pub mod online;
mod page;
pub mod people;
pub mod presence;
pub mod realtime;
mod shape;
pub mod sign_ins;
pub mod users;
pub mod wire;

#[cfg(test)]
mod tests;

use crate::activity::{ActivityService, Method};
use crate::analytics::Analytics;
use crate::auth::client::ClientRules;
use crate::auth::{Auth, SignedIn};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::model::{ClientInfo, Clock, UserId};
use crate::presence::PresenceService;
use crate::store::{Store, UpsertCounts, UserChange};
use body::Body;
use bytes::Bytes;
use cors::Cors;
use document::{RouteTable, document};
use error::Failure;
use poem::endpoint::make_sync;
use poem::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use poem::http::{HeaderValue, StatusCode};
use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt, IntoResponse, Response, Route, get};
use poem_openapi::OpenApiService;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    /// How often who follows the live stream is told figures, and their credential is looked at again.
    pub live_every: Duration,
    /// What is believed and stored of the client behind a request.
    pub client_rules: ClientRules,
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
    /// What people did.
    pub activity: ActivityService,
    /// Counts.
    pub analytics: Analytics,
    /// Figures.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
    /// Where writes run to their end; to be closed and waited for after the last connection.
    pub finishing: TaskTracker,
    /// What of the configuration the API needs.
    pub settings: Settings,
}

impl Services {
    /// Runs `work` to its end also when the client goes away and its handler is dropped: a write completes without
    /// its caller, and what has to follow it (caches to drop, people to tell) must too.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.finishing.spawn(work).await.map_err(Error::internal)?
    }

    /// One call of `presence`, run to its end.
    async fn with_presence<T: Send + 'static, W>(
        &self,
        call: impl FnOnce(PresenceService) -> W,
    ) -> Result<T>
    where
        W: Future<Output = Result<T>> + Send + 'static,
    {
        self.to_the_end(call(self.presence.clone())).await
    }

    /// Logs that somebody signed in.
    fn signed_in(&self, signed_in: &SignedIn, method: Method, client: &ClientInfo) {
        let user = &signed_in.user;
        self.activity
            .signed_in(user.id, &user.username, method, client);
    }

    /// Changes a user, and tells everyone who remembers something of them.
    async fn change_user(&self, user: UserId, change: UserChange) -> Result<()> {
        if !self.presence.update_user(user, change).await? {
            return Err(Error::NotFound("user"));
        }
        self.auth.forget_user(user);
        Ok(())
    }

    /// Erases a user, and tells everyone who remembers something of them.
    async fn erase_user(&self, user: UserId) -> Result<()> {
        let was_there = self.presence.erase_user(user).await;
        self.auth.forget_user(user);
        if was_there? {
            self.activity.recent().forget(user);
            Ok(())
        } else {
            Err(Error::NotFound("user"))
        }
    }

    /// Tells everyone who remembers something that many rows were written at once; `None` when none was.
    fn graph_changed(&self, counts: Option<&UpsertCounts>) {
        if counts.is_some_and(|c| c.inserted + c.updated > 0) {
            self.auth.forget_users();
            self.presence.graph_changed();
        }
    }
}

/// Every area, in the order of the document.
type Api = (
    auth::AuthApi,
    sign_ins::SignInsApi,
    users::UsersApi,
    export::ExportApi,
    people::PeopleApi,
    presence::PresenceApi,
    messages::MessagesApi,
    activities::ActivitiesApi,
    admin::AdminApi,
    analytics::AnalyticsApi,
    online::OnlineApi,
    live::LiveApi,
    health::HealthApi,
);

fn api(services: &Arc<Services>) -> Api {
    (
        auth::AuthApi(services.clone()),
        sign_ins::SignInsApi(services.clone()),
        users::UsersApi(services.clone()),
        export::ExportApi::new(services.clone()),
        people::PeopleApi(services.clone()),
        presence::PresenceApi::new(services.clone()),
        messages::MessagesApi(services.clone()),
        activities::ActivitiesApi(services.clone()),
        admin::AdminApi(services.clone()),
        analytics::AnalyticsApi(services.clone()),
        online::OnlineApi(services.clone()),
        live::LiveApi(services.clone()),
        health::HealthApi(services.clone()),
    )
}

const DESCRIPTION: &str = "Presence and activity for social and messaging apps: who is online, and when each person \
was last seen.

A success is `{\"success\":true,\"data\":…}`, a failure `{\"success\":false,\"error\":{code,message,details?}}` with a \
`code` for programs: `bad_request`, `unauthorized`, `wrong_credentials`, `forbidden`, `not_found`, \
`method_not_allowed`, `request_timeout`, `conflict`, `payload_too_large`, `unsupported_media_type`, `invalid`, \
`rate_limited`, `internal`, `unavailable`. Times are RFC 3339 in UTC. Unknown keys are ignored.";

/// The whole API, and beside it what `mount` adds: the realtime endpoints. It answers every request, with the
/// envelope where it fails. What is mounted gets the same origins, and the envelope only where it fails with a
/// [`poem::Error`]; an answer of its own, whatever its status, is left as it is.
pub fn routes(
    services: Services,
    mount: impl FnOnce(Route) -> Route,
) -> impl Endpoint<Output = Response> + 'static {
    let services = Arc::new(services);
    let cors = Cors::new(services.settings.cors_origins.clone());
    let service = OpenApiService::new(api(&services), "lastseen", env!("CARGO_PKG_VERSION"))
        .description(DESCRIPTION);
    let document = document(&service);
    let json = Bytes::from(document.json);
    let spec = make_sync(move |_| {
        Response::builder()
            .content_type("application/json")
            .body(json.clone())
    });
    let html = Bytes::from(document.html);
    let page = make_sync(move |_| {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .body(html.clone())
    });
    let table = RouteTable::of::<Api>(&["/openapi.json", "/docs"]);
    let route = Route::new()
        .nest("/", service)
        .at("/openapi.json", get(spec))
        .at("/docs", get(page));
    enveloped(mount(route).data(services), table).with(cors)
}

/// `/metrics` for anyone, for the listener of `--metrics-listen`.
pub fn metrics_routes(metrics: Arc<Metrics>) -> impl Endpoint<Output = Response> + 'static {
    let api = health::OpenMetricsApi(metrics);
    let table = RouteTable::of::<health::OpenMetricsApi>(&[]);
    let service = OpenApiService::new(api, "lastseen metrics", env!("CARGO_PKG_VERSION"));
    enveloped(Route::new().nest("/", service), table)
}

/// Answers every failure of `inner` with the envelope, and adds the headers that every answer has.
fn enveloped(
    inner: impl Endpoint + 'static,
    table: RouteTable,
) -> impl Endpoint<Output = Response> + 'static {
    let panicked = |_| {
        // The panic hook has logged the cause.
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    };
    inner.with(CatchPanic::new().with_handler(panicked)).after(
        move |answer: poem::Result<Response>| {
            let table = table.clone();
            async move {
                let mut response =
                    answer.unwrap_or_else(|e| Failure::from_poem(e, &table).into_response());
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
