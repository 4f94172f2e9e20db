use super::*;
use crate::auth::client::ClientRules;
use crate::auth::{Auth, NewAccount, Settings};
use crate::metrics::RealtimeCounters;
use crate::model::{Audience, ProfileFields, SignInId};
use crate::presence::model_tests::world::{Ear, World};
use crate::realtime::frame::Frame;
use crate::realtime::handler::SocketHandler;
use crate::realtime::outbox::Outbox;
use crate::realtime::socketio::{ConnectRequest, Emitter, Handler as _, Head};
use crate::realtime::{Realtime, RealtimeSettings};
use std::num::NonZeroU32;
use std::time::Duration;

impl Answer for Ear {
    fn answer(&self, _: Option<u64>, _: Result<Value, WireError>) {}
}

pub struct Bench {
    world: World,
    pub realtime: Realtime,
    auth: Auth,
}

pub async fn bench() -> Bench {
    let world = World::new(Audience::Contacts, Duration::from_secs(5), 1).await;
    let auth = Auth::new(
        world.store.clone(),
        world.clock.clone(),
        Settings::default(),
    );
    let few = NonZeroU32::new(20).expect("not zero");
    let settings = RealtimeSettings {
        cors_origins: Vec::new(),
        client_rules: ClientRules::default(),
        ping_interval: Duration::from_secs(25),
        ping_timeout: Duration::from_secs(20),
        event_rate: few,
        event_burst: few,
        max_unauthenticated_per_address: 10,
        slow_consumer_timeout: Duration::from_secs(30),
        body_timeout: Duration::from_secs(30),
    };
    let realtime = Realtime::start(
        auth.clone(),
        world.service.clone(),
        RealtimeCounters::default(),
        world.clock.clone(),
        settings,
    );
    Bench {
        world,
        realtime,
        auth,
    }
}

impl Bench {
    async fn sign_up(&self) -> (Identity, SignInId) {
        let (token, sign_in) = self.token().await;
        let identity = self.auth.authenticate(&token).await;
        (identity.expect("accepted"), sign_in)
    }

    async fn token(&self) -> (String, SignInId) {
        let account = NewAccount {
            username: "ann".into(),
            password: "correct horse".into(),
            profile: ProfileFields::default(),
        };
        let address = "192.0.2.1".parse().expect("an address");
        let info = ClientInfo::default();
        let signed_up = self.auth.sign_up(account, &info, address);
        let signed_up = signed_up.await.expect("signed up");
        (signed_up.token.expose().to_owned(), signed_up.sign_in)
    }

    async fn open(&self, identity: Identity) -> Result<Client, WireError> {
        let ear = Arc::new(Ear::default());
        let opened = Client::open(
            &self.realtime.shared,
            identity,
            None,
            ClientInfo::default(),
            ear,
        );
        opened.await.map(|(client, _)| client)
    }

    fn counts(&self) -> (usize, usize, (usize, usize)) {
        let tracker = self.world.service.tracker();
        (
            tracker.connections(),
            tracker.online(),
            self.world.service.hub().held(),
        )
    }
}

#[tokio::test]
async fn a_credential_that_is_revoked_while_its_connection_opens_opens_none() {
    let bench = bench().await;
    let (identity, sign_in) = bench.sign_up().await;
    let user = identity.principal.user().expect("a user").id;
    let signed_out = bench.auth.sign_out(user, sign_in).await;
    signed_out.expect("signed out");
    bench.world.service.end_sign_in(user, sign_in);
    let refused = bench.open(identity).await.err().expect("refused");
    assert_eq!(refused.code, "unauthorized");
    assert_eq!(bench.counts(), (0, 0, (0, 0)));
}

#[tokio::test]
async fn a_client_that_nobody_closed_is_gone_all_the_same() {
    let bench = bench().await;
    let (identity, _) = bench.sign_up().await;
    let client = bench.open(identity).await.expect("opened");
    assert_eq!(bench.counts(), (1, 1, (0, 1)));
    let panicked = tokio::spawn(async move {
        let _client = client;
        panic!("as a fault in an event would");
    });
    assert!(panicked.await.is_err());
    let user = bench.world.store.user_by_username("ann").await;
    let user = user.expect("read").expect("there").id;
    bench.world.end_graces(user);
    assert_eq!(bench.counts(), (0, 0, (0, 0)));
}

#[tokio::test]
async fn who_was_refused_and_tries_again_on_the_same_transport_is_told_of_others() {
    let bench = bench().await;
    let (token, _) = bench.token().await;
    let identity = bench.auth.authenticate(&token).await.expect("accepted");
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(bench.open(identity.clone()).await.expect("room"));
    }
    let shared = &bench.realtime.shared;
    let (handler, outbox) = (SocketHandler(shared.clone()), Outbox::new(&shared.flusher));
    let head = Head {
        uri: http::Uri::from_static("/socket.io/"),
        headers: http::HeaderMap::new(),
        extensions: http::Extensions::new(),
        peer: None,
    };
    let connect = async || {
        let payload = json!({ "token": token }).to_string();
        let request = ConnectRequest {
            namespace: "/",
            payload: Some(RawValue::from_string(payload).expect("JSON")),
            head: &head,
            sid: "sid",
        };
        let emitter = Emitter::new(outbox.clone(), "/");
        handler.connect(request, emitter).await
    };
    let refused = connect().await.err().expect("no room");
    assert_eq!(refused.message, "too_many_connections");
    others.pop();
    let connected = connect().await;
    let _client = connected.unwrap_or_else(|error| panic!("room again: {}", error.message));
    outbox.take_payload(1000).expect("the snapshot");
    outbox.push_latest(7, Frame::text("an update"));
    assert_eq!(outbox.take_payload(1000).expect("not held"), "an update");
}
