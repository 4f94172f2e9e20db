//! The protocol over real sockets: order, reasons of ends, polling, upgrade and shutdown.

use super::engine::Settings;
use super::*;
use crate::realtime::flusher::Limits;
use crate::realtime::outbox::Close;
use crate::realtime::stream::UpgradeHandle;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use poem::web::{LocalAddr, RemoteAddr};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tungstenite::Message as Said;

const PATIENCE: Duration = Duration::from_secs(10);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}

/// Tells the test what happens.
struct App {
    ended: mpsc::UnboundedSender<(Cause, SystemTime)>,
    emitters: Arc<Mutex<Vec<Emitter>>>,
}

impl Handler for App {
    type Socket = Emitter;

    async fn connect(
        &self,
        request: ConnectRequest<'_>,
        emitter: Emitter,
    ) -> Result<Emitter, ConnectError> {
        if request.payload.is_some_and(|raw| raw.get().contains("bad")) {
            return Err(ConnectError::new("unauthorized"));
        }
        assert!(request.head.query("transport").is_some());
        emitter.hold();
        emitter.emit_latest(1, event_frame("update", &1).expect("JSON"));
        emitter.emit("snapshot", &[0]).expect("JSON");
        emitter.release();
        emitter.flush();
        tokio::task::yield_now().await;
        self.emitters.lock().push(emitter.clone());
        Ok(emitter)
    }

    async fn event(&self, socket: &Arc<Emitter>, event: Event) {
        if let Some(id) = event.ack {
            socket.ack(id, &event.name).expect("JSON");
        }
        if event.name == "out" {
            socket.disconnect(Close::server(4003, "signed out"));
        }
        assert_ne!(event.name, "panic", "as asked");
    }

    async fn disconnected(&self, _: Arc<Emitter>, reason: Cause, at: SystemTime) {
        self.ended.send((reason, at)).expect("the test listens");
    }
}

struct Server {
    address: SocketAddr,
    engine: Engine<SocketIo<App>>,
    ended: mpsc::UnboundedReceiver<(Cause, SystemTime)>,
    emitters: Arc<Mutex<Vec<Emitter>>>,
}

async fn serve(settings: Settings) -> Server {
    let (sender, ended) = mpsc::unbounded_channel();
    let emitters = Arc::new(Mutex::new(Vec::new()));
    let app = App {
        ended: sender,
        emitters: emitters.clone(),
    };
    let flusher = Flusher::new(Limits {
        closing: Duration::from_millis(500),
        ..Limits::default()
    });
    let engine = SocketIo::new(app, settings, &flusher);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let server = engine.clone();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let engine = server.clone();
            let service = hyper::service::service_fn(
                move |mut request: hyper::Request<hyper::body::Incoming>| {
                    let handle = UpgradeHandle::from_request(&mut request);
                    request.extensions_mut().insert(handle);
                    let local = LocalAddr(poem::Addr::SocketAddr(address));
                    let remote = RemoteAddr(poem::Addr::SocketAddr(peer));
                    let request = (request, local, remote, http::uri::Scheme::HTTP).into();
                    let engine = engine.clone();
                    async move {
                        let response = engine.handle(request).await;
                        Ok::<_, Infallible>(hyper::Response::from(response))
                    }
                },
            );
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades(),
            );
        }
    });
    Server {
        address,
        engine,
        ended,
        emitters,
    }
}

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Server {
    async fn open(&self, sid: &str) -> Client {
        let url = format!(
            "ws://{}/socket.io/?EIO=4&transport=websocket{sid}",
            self.address
        );
        soon(tokio_tungstenite::connect_async(url))
            .await
            .expect("accepted")
            .0
    }

    async fn connect(&self) -> Client {
        let mut client = self.open("").await;
        assert!(heard(&mut client).await.starts_with("0{"));
        said(&mut client, "40").await;
        for expected in ["40{\"sid\":", "42[\"snapshot\",[0]]", "42[\"update\",1]"] {
            let text = heard(&mut client).await;
            assert!(text.starts_with(expected), "{text}");
        }
        client
    }

    fn poll_url(&self, sid: &str) -> String {
        let address = self.address;
        format!("http://{address}/socket.io/?EIO=4&transport=polling&sid={sid}")
    }

    async fn end(&mut self) -> (Cause, SystemTime) {
        soon(self.ended.recv()).await.expect("an end")
    }
}

async fn heard(client: &mut Client) -> String {
    match soon(client.next()).await {
        Some(Ok(Said::Text(text))) => text.to_string(),
        Some(Ok(Said::Close(Some(frame)))) => format!("close {}", u16::from(frame.code)),
        other => panic!("{other:?}"),
    }
}

async fn said(client: &mut Client, text: &str) {
    client.send(Said::text(text)).await.expect("sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_connect_comes_first_and_ends_have_reasons() {
    let mut server = serve(Settings::default()).await;

    let mut client = server.connect().await;
    assert_eq!(
        (server.engine.sessions(), server.engine.unestablished()),
        (1, 0)
    );
    said(&mut client, "425[\"hello\"]").await;
    assert_eq!(heard(&mut client).await, "435[\"hello\"]");
    said(&mut client, "41").await;
    assert_eq!(server.end().await.0, Cause::Client);
    // The head is gone: the client is to come back with a new one.
    said(&mut client, "40").await;
    assert_eq!(heard(&mut client).await, "close 1000");

    let mut client = server.connect().await;
    client.close(None).await.expect("sent");
    assert_eq!(server.end().await.0, Cause::Client);

    let client = server.connect().await;
    drop(client);
    assert_eq!(server.end().await.0, Cause::Lost);

    let mut client = server.connect().await;
    said(&mut client, "42[\"out\"]").await;
    assert_eq!(heard(&mut client).await, "41");
    assert_eq!(heard(&mut client).await, "close 4003");
    assert_eq!(server.end().await.0, Cause::Server);

    let mut client = server.connect().await;
    said(&mut client, "42[\"connect\"]").await;
    assert_eq!(heard(&mut client).await, "close 4007");
    assert_eq!(server.end().await.0, Cause::Protocol);

    // A panic in the application ends one connection, and the application is told.
    let mut client = server.connect().await;
    said(&mut client, "42[\"panic\"]").await;
    assert_eq!(server.end().await.0, Cause::Lost);

    let mut client = server.open("").await;
    heard(&mut client).await;
    said(&mut client, "40{\"token\":\"bad\"}").await;
    assert_eq!(heard(&mut client).await, "44{\"message\":\"unauthorized\"}");
    said(&mut client, "40{\"token\":\"good\"}").await;
    assert!(heard(&mut client).await.starts_with("40{"));
}

#[tokio::test]
async fn a_silent_client_ended_when_it_was_last_heard() {
    let mut server = serve(Settings {
        ping_interval: Duration::from_millis(200),
        ping_timeout: Duration::from_millis(100),
        ..Settings::default()
    })
    .await;
    let before = SystemTime::now();
    let mut client = server.connect().await;
    let connected = SystemTime::now();
    assert_eq!(heard(&mut client).await, "2");
    let (cause, at) = server.end().await;
    assert_eq!(cause, Cause::PingTimeout);
    assert!(before <= at && at <= connected + Duration::from_millis(50));
}

#[tokio::test]
async fn polling_goes_over_to_websocket_without_losing_anything() {
    let mut server = serve(Settings::default()).await;
    let http = reqwest::Client::new();
    let get = async |sid: &str| {
        let response = soon(http.get(server.poll_url(sid)).send()).await;
        let response = response.expect("answered");
        (
            response.status().as_u16(),
            response.text().await.expect("body"),
        )
    };
    let post = async |sid: &str, body: &'static str| {
        let response = soon(http.post(server.poll_url(sid)).body(body).send()).await;
        response.expect("answered").status().as_u16()
    };
    let url = server.poll_url("").replace("&sid=", "");
    let open = soon(http.get(url).send()).await.expect("answered");
    let open = open.text().await.expect("body");
    let open: Value = serde_json::from_str(&open[1..]).expect("JSON");
    let sid = open["sid"].as_str().expect("an id");
    assert_eq!(post(sid, "40").await, 200);
    let (status, body) = get(sid).await;
    assert_eq!(status, 200);
    assert!(
        body.ends_with("\x1e42[\"snapshot\",[0]]\x1e42[\"update\",1]"),
        "{body}"
    );

    let mut client = server.open(&format!("&sid={sid}")).await;
    said(&mut client, "2probe").await;
    assert_eq!(heard(&mut client).await, "3probe");
    let emitter = server.emitters.lock()[0].clone();
    emitter.emit("one", &1).expect("JSON");
    emitter.flush();
    assert_eq!(get(sid).await, (200, "42[\"one\",1]".into()));
    assert_eq!(get(sid).await, (200, "6".into()));
    emitter.emit("two", &2).expect("JSON");
    emitter.flush();
    said(&mut client, "5").await;
    assert_eq!(heard(&mut client).await, "42[\"two\",2]");
    assert_eq!(get(sid).await.0, 400);
    client.close(None).await.expect("sent");
    assert_eq!(server.end().await.0, Cause::Client);
}

#[tokio::test]
async fn a_dropped_poll_is_a_lost_client() {
    let mut server = serve(Settings::default()).await;
    let http = reqwest::Client::new();
    let url = polling(&server, &http).await;
    let waiting = tokio::spawn(http.get(&url).send());
    tokio::time::timeout(Duration::from_millis(100), server.ended.recv())
        .await
        .expect_err("it waits");
    waiting.abort();
    assert_eq!(server.end().await.0, Cause::Lost);
}

/// One polling session after its CONNECT: the address of its polls.
async fn polling(server: &Server, http: &reqwest::Client) -> String {
    let url = server.poll_url("").replace("&sid=", "");
    let open = soon(http.get(url).send()).await.expect("answered");
    let open = open.text().await.expect("body");
    let open: Value = serde_json::from_str(&open[1..]).expect("JSON");
    let url = server.poll_url(open["sid"].as_str().expect("an id"));
    soon(http.post(&url).body("40").send())
        .await
        .expect("answered");
    let first = poll(http, &url).await;
    assert!(first.1.starts_with("40{\"sid\":"), "{first:?}");
    url
}

/// What one poll is answered: status and text.
async fn poll(http: &reqwest::Client, url: &str) -> (u16, String) {
    let answer = soon(http.get(url).send()).await.expect("answered");
    let status = answer.status().as_u16();
    (status, soon(answer.text()).await.expect("a body"))
}

#[tokio::test]
async fn a_client_that_polls_is_told_of_a_stop_without_a_close_packet() {
    let mut server = serve(Settings::default()).await;
    let http = reqwest::Client::new();
    let told = polling(&server, &http).await;
    let waits = polling(&server, &http).await;
    let emitters = server.emitters.lock().clone();

    // Told and closed while the engine does not stop yet, as the first of many is.
    emitters[0].emit("bye", &()).expect("JSON");
    emitters[0].close(Close::server(4008, "shutdown"));
    assert_eq!(
        poll(&http, &told).await,
        (200, "42[\"bye\",null]".to_owned())
    );
    assert_eq!(poll(&http, &told).await.0, 400);
    assert_eq!(server.end().await.0, Cause::Server);

    // Told a while ago, and polls again when the engine stops.
    let outbox = emitters[1].outbox();
    let before = outbox.last_received();
    let waiting = tokio::spawn(async move { poll(&http, &waits).await });
    soon(async {
        while outbox.last_received() == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.engine.shutdown().await;
    assert_eq!(soon(waiting).await.expect("no panic").0, 400);
}

#[tokio::test]
async fn shutting_down_closes_everything_and_takes_nothing_new() {
    let mut server = serve(Settings {
        max_unestablished: 2,
        ..Settings::default()
    })
    .await;
    let mut client = server.connect().await;
    let _one = server.open("").await;
    let _two = server.open("").await;
    let url = server.poll_url("").replace("&sid=", "");
    let refused = soon(reqwest::get(&url)).await.expect("answered");
    assert_eq!(refused.status().as_u16(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let engine = server.engine.clone();
    let stopping = tokio::spawn(async move { engine.shutdown().await });
    assert_eq!(heard(&mut client).await, "close 4008");
    assert_eq!(server.end().await.0, Cause::Server);
    soon(stopping).await.expect("no panic");
    assert_eq!(
        (server.engine.sessions(), server.engine.unestablished()),
        (0, 0)
    );
    let refused = soon(reqwest::get(&url)).await.expect("answered");
    assert_eq!(refused.status().as_u16(), 503);
}
