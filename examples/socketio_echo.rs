//! An echo server over the generic Engine.IO and Socket.IO layers, for protocol test suites.
//!
//! `cargo run --example socketio_echo [ADDRESS]` (default 127.0.0.1:3000). `/engine.io/` echoes every message.
//! `/socket.io/` has the namespaces `/` and `/custom`: it emits `auth` with the CONNECT payload, answers `message` with
//! `message-back` and the same arguments, and acknowledges `message-with-ack` with its arguments.

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lastseen::realtime::flusher::{Flusher, Limits};
use lastseen::realtime::outbox::{Cause, Outbox};
use lastseen::realtime::socketio::engine::{self, Message, ProtocolError};
use lastseen::realtime::socketio::{
    ConnectError, ConnectRequest, Emitter, Engine, Event, Handler, Head, Settings, SocketIo,
};
use lastseen::realtime::{frame::Frame, stream::UpgradeHandle};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, EndpointExt, Route};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Sends every message back.
struct EngineEcho;

impl engine::Handler for EngineEcho {
    type Connection = Arc<Outbox>;

    fn open(&self, _: Head, outbox: &Arc<Outbox>) -> Arc<Outbox> {
        outbox.establish();
        outbox.clone()
    }

    async fn message(
        &self,
        outbox: &mut Arc<Outbox>,
        message: Message,
    ) -> Result<(), ProtocolError> {
        outbox.push_reply(match message {
            Message::Text(text) => Frame::text_parts(&["4", &text]),
            Message::Binary(bytes) => Frame::binary(&bytes),
        });
        Ok(())
    }

    async fn closed(&self, _: Arc<Outbox>, _: engine::End) {}
}

/// Sends every event back.
struct SocketEcho;

impl Handler for SocketEcho {
    type Socket = Emitter;
    const KEEP_HEAD: bool = true;

    fn has_namespace(&self, namespace: &str) -> bool {
        ["/", "/custom"].contains(&namespace)
    }

    async fn connect(
        &self,
        request: ConnectRequest<'_>,
        emitter: Emitter,
    ) -> Result<Emitter, ConnectError> {
        let empty = || RawValue::from_string("{}".into()).expect("valid JSON");
        let payload = request.payload.unwrap_or_else(empty);
        emitter.emit_with("auth", &[payload], &[]);
        Ok(emitter)
    }

    async fn event(&self, socket: &Arc<Emitter>, event: Event) {
        match (event.name.as_str(), event.ack) {
            ("message", _) => socket.emit_with("message-back", &event.args, &event.attachments),
            ("message-with-ack", Some(id)) => socket.ack_with(id, &event.args, &event.attachments),
            _ => {}
        }
    }

    async fn disconnected(&self, _: Arc<Emitter>, reason: Cause, _: SystemTime) {
        eprintln!("disconnected: {reason:?}");
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    let local = listener.local_addr()?;
    let flusher = Flusher::new(Limits::default());
    let stop = CancellationToken::new();
    let gathering = tokio::spawn(flusher.clone().run(stop.clone()));
    let settings = Settings {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        max_payload: 1_000_000,
        connect_timeout: Duration::from_secs(1),
        ..Settings::default()
    };
    let engine_io = Engine::new(EngineEcho, settings.clone(), &flusher);
    let socket_io = SocketIo::new(SocketEcho, settings, &flusher);
    let app = Route::new()
        .at("/engine.io", engine_io.clone())
        .at("/engine.io/", engine_io.clone())
        .at("/socket.io", socket_io.clone())
        .at("/socket.io/", socket_io.clone());
    let app = Arc::new(app.map_to_response());
    eprintln!(
        "listening on {local}; the task of an idle connection takes {} bytes",
        Engine::<EngineEcho>::task_bytes()
    );
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Ok((stream, peer)) = accepted else {
            continue;
        };
        let app = app.clone();
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            let app = app.clone();
            let handle = UpgradeHandle::from_request(&mut request);
            request.extensions_mut().insert(handle);
            let addresses = (
                LocalAddr(Addr::SocketAddr(local)),
                RemoteAddr(Addr::SocketAddr(peer)),
            );
            let request = (request, addresses.0, addresses.1, http::uri::Scheme::HTTP);
            async move {
                let response = app.get_response(request.into()).await;
                Ok::<_, std::convert::Infallible>(hyper::Response::from(response))
            }
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades(),
        );
    }
    socket_io.shutdown().await;
    engine_io.shutdown().await;
    stop.cancel();
    gathering.await?;
    Ok(())
}
