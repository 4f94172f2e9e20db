//! The echo server: what it does with messages and events, and its accept loop.

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
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Sends every Engine.IO message back.
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

/// Sends every Socket.IO event back.
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

    async fn disconnected(&self, _: Arc<Emitter>, _: Cause, _: SystemTime) {}
}

/// What the protocol test suites expect.
pub fn settings() -> Settings {
    Settings {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        max_payload: 1_000_000,
        connect_timeout: Duration::from_secs(1),
        ..Settings::default()
    }
}

/// Serves until `stop`, then closes every session.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let local = listener.local_addr()?;
    let flusher = Flusher::new(Limits::default());
    // Later than `stop`: until the sessions are closed polls are still answered.
    let done = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(flusher.clone().run(done.clone()));
    let engine_io = Engine::new(EngineEcho, settings.clone(), &flusher);
    let socket_io = SocketIo::new(SocketEcho, settings, &flusher);
    let app = Route::new()
        .at("/engine.io", engine_io.clone())
        .at("/engine.io/", engine_io.clone())
        .at("/socket.io", socket_io.clone())
        .at("/socket.io/", socket_io.clone());
    let app = Arc::new(app.map_to_response());
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                let connection = answer(stream, app.clone(), local, peer);
                let done = done.clone();
                tasks.spawn(async move {
                    done.run_until_cancelled(connection).await;
                });
            }
            Err(error) => eprintln!("not accepted: {error}"),
        }
    }
    socket_io.shutdown().await;
    engine_io.shutdown().await;
    done.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// Answers the requests of one TCP connection.
async fn answer<E>(stream: TcpStream, app: Arc<E>, local: SocketAddr, peer: SocketAddr)
where
    E: Endpoint<Output = poem::Response> + 'static,
{
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let app = app.clone();
        let handle = UpgradeHandle::from_request(&mut request);
        request.extensions_mut().insert(handle);
        let local = LocalAddr(Addr::SocketAddr(local));
        let peer = RemoteAddr(Addr::SocketAddr(peer));
        async move {
            let request = (request, local, peer, http::uri::Scheme::HTTP).into();
            let response = app.get_response(request).await;
            Ok::<_, std::convert::Infallible>(hyper::Response::from(response))
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        // A client that went away in the middle of something; its session ends by itself.
        tracing::debug!(%error, "connection");
    }
}
