//! A small world to ask about: four people, two keys, a clock that stands still. The only place that builds
//! services.

use crate::activity::{ActivityService, Rules};
use crate::analytics::Analytics;
use crate::auth::Auth;
use crate::auth::client::ClientRules;
use crate::auth::token::{Token, TokenKind};
use crate::http::{Services, Settings, routes};
use crate::metrics::{Metrics, RealtimeCounters, Sample};
use crate::model::*;
use crate::presence::{HubSettings, PresenceService, PresenceSettings, TrackerSettings};
use crate::store::{NewSignIn, NewUser, Options, Store};
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderMap, Method};
use poem::{Body, Endpoint, EndpointExt, Request, Response, Route};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Requests for one person's presence a minute here.
pub const PRESENCE_RATE: u32 = 3;
pub const ORIGIN: &str = "https://app.example";

/// The API and tokens for it.
pub struct World {
    pub api: BoxEndpoint<'static, Response>,
    pub services: Services,
    pub store: Store,
    pub clock: Clock,
    pub stopping: CancellationToken,
    /// A user.
    pub ann: String,
    /// A user.
    pub bob: String,
    /// An admin, by name `boss`.
    pub boss: String,
    pub admin_key: String,
    pub service_key: String,
    directory: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::mounting(change, |route| route).await
    }

    pub async fn mounting(
        change: impl FnOnce(&mut Settings),
        mount: impl FnOnce(Route) -> Route,
    ) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let directory = tempfile::tempdir().expect("a directory");
        let options = Options {
            create: true,
            migrate: true,
            ..Options::default()
        };
        let path = directory.path().join("lastseen.db");
        let store = Store::open(&path, options).expect("a new database");
        let mut settings = Settings {
            cors_origins: vec![ORIGIN.into()],
            presence_rate: PRESENCE_RATE,
            presence_query_rate: 2,
            ids_from_host: false,
            live_every: Duration::from_millis(20),
            client_rules: ClientRules::default(),
        };
        change(&mut settings);
        let stopping = CancellationToken::new();
        let token = async |name, role| user(&store, &clock, name, role).await;
        let (ann, bob) = (
            token("Ann", Role::User).await,
            token("bob", Role::User).await,
        );
        let boss = token("boss", Role::Admin).await;
        let admin_key = key(&store, KeyRole::Admin).await;
        let service_key = key(&store, KeyRole::Service).await;
        let rules = Rules {
            strict_actions: false,
            ip_privacy: settings.client_rules.ip_privacy,
        };
        let presence = presence(&store, &clock);
        let services = Services {
            analytics: Analytics::new(store.clone(), presence.clone(), clock.clone(), Zone::UTC),
            auth: Auth::new(
                store.clone(),
                clock.clone(),
                crate::auth::Settings::default(),
            ),
            activity: ActivityService::new(
                store.clone(),
                clock.clone(),
                rules,
                presence.live().clone(),
            ),
            presence,
            store: store.clone(),
            metrics: Arc::new(Metrics::new(&RealtimeCounters::default(), Sample::default)),
            clock: clock.clone(),
            stopping: stopping.clone(),
            finishing: TaskTracker::new(),
            settings,
        };
        Self {
            ann,
            bob,
            boss,
            admin_key,
            service_key,
            api: routes(services.clone(), mount).boxed(),
            services,
            store,
            clock,
            stopping,
            directory,
        }
    }

    /// The database, for those who change it beside the API.
    pub fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("lastseen.db")
    }

    /// Sends `request`.
    pub async fn send(&self, request: Request) -> Answer {
        let response = self.api.get_response(request).await;
        let (parts, body) = response.into_parts();
        let text = body.into_string().await.expect("UTF-8");
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            json: serde_json::from_str(&text).unwrap_or_default(),
            text,
        }
    }

    /// Sends a request with a token (none if empty) and a body (none if null).
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        let mut request = request(method, path);
        if !token.is_empty() {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        self.send(if body.is_null() {
            request.finish()
        } else {
            request
                .content_type("application/json")
                .body(body.to_string())
        })
        .await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, token, Value::Null).await
    }

    /// Posts these bytes as JSON to the route for signing up.
    pub async fn sign_up_with(&self, body: impl Into<Body>) -> Answer {
        let request = request("POST", "/auth/signup").content_type("application/json");
        self.send(request.body(body)).await
    }
}

impl Answer {
    /// `data` of a success with `status`.
    pub fn data(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.json["success"], true, "{}", self.text);
        assert!(self.json.get("error").is_none(), "{}", self.text);
        self.json["data"].clone()
    }

    /// `error` of a failure with `status`; checks all that every failure has.
    pub fn fails(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.json["success"], false, "{}", self.text);
        assert!(self.json.get("data").is_none(), "{}", self.text);
        let error = self.json["error"].clone();
        assert_eq!(error["code"], code, "{}", self.text);
        assert!(
            error["message"].as_str().is_some_and(|m| !m.is_empty()),
            "{}",
            self.text
        );
        let content_type = self.header("content-type");
        assert!(
            content_type.starts_with("application/json"),
            "{content_type}"
        );
        match status {
            401 => assert_eq!(self.header("www-authenticate"), "Bearer"),
            405 => assert!(!self.header("allow").is_empty()),
            429 | 503 => {
                let seconds: u64 = self.header("retry-after").parse().expect("whole seconds");
                assert!(seconds >= 1);
            }
            _ => {}
        }
        error
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |v| v.to_str().expect("a text"))
    }
}

pub fn request(method: &str, path: &str) -> poem::RequestBuilder {
    Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(path.parse().expect("a path"))
}

async fn user(store: &Store, clock: &Clock, name: &str, role: Role) -> String {
    let now = clock.now();
    let new = NewUser {
        id: None,
        external_id: None,
        username: Username::new(name).expect("a name"),
        password_hash: None,
        profile: ProfileFields::default(),
        role,
        created_at: now,
    };
    let id = store.create_user(new).await.expect("a new user");
    let token = Token::generate(TokenKind::SignIn).expect("random numbers");
    let sign_in = NewSignIn {
        token_hash: token.hash(),
        created_at: now,
        expires_at: now.plus(Duration::from_secs(3600)),
        client: Arc::default(),
    };
    store.create_sign_in(id, sign_in).await.expect("a sign-in");
    token.expose().to_owned()
}

async fn key(store: &Store, role: KeyRole) -> String {
    let token = Token::generate(TokenKind::ApiKey).expect("random numbers");
    let now = Timestamp::from_millis(0);
    let made = store.create_api_key(role.as_str(), role, token.hash(), now);
    made.await.expect("a key");
    token.expose().to_owned()
}

fn presence(store: &Store, clock: &Clock) -> PresenceService {
    let settings = PresenceSettings {
        tracker: TrackerSettings {
            offline_grace: Duration::from_secs(5),
            session_resume: Duration::from_secs(30),
            max_connections_per_user: 20,
            max_connections: 100,
        },
        hub: HubSettings {
            audience: Audience::Contacts,
            transition_gap: Duration::ZERO,
        },
    };
    PresenceService::new(settings, store.clone(), clock.clone())
}
