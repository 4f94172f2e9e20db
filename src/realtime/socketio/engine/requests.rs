//! One HTTP request to an Engine.IO server: which session it belongs to, and what is refused.

use super::packet::{self, Open};
use super::polling::{COMMANDS, Command, Entry, Poller, Turn};
use super::session::{self, Session, protocol};
use super::{Handler, Head, Inner, random_id};
use crate::realtime::outbox::{Cause, Close, Outbox};
use crate::realtime::stream::upgraded;
use crate::realtime::websocket::{HandshakeError, Incoming, WebSocket, handshake};
use http::{Method, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use poem::error::ReadBodyError;
use poem::{Request, Response};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

const UPGRADES: &[&str] = &["websocket"];

/// A refusal as Engine.IO words it.
#[derive(Clone, Copy)]
struct Refusal(u8, &'static str);

const UNKNOWN_TRANSPORT: Refusal = Refusal(0, "Transport unknown");
const UNKNOWN_SID: Refusal = Refusal(1, "Session ID unknown");
const BAD_METHOD: Refusal = Refusal(2, "Bad handshake method");
const BAD_REQUEST: Refusal = Refusal(3, "Bad request");
const BAD_VERSION: Refusal = Refusal(5, "Unsupported protocol version");

impl Refusal {
    fn response(self) -> Response {
        self.with(StatusCode::BAD_REQUEST)
    }

    fn with(self, status: StatusCode) -> Response {
        let body = serde_json::json!({"code": self.0, "message": self.1});
        Response::builder()
            .status(status)
            .header(header::CACHE_CONTROL, "no-store")
            .content_type("application/json")
            .body(body.to_string())
    }
}

fn text(body: impl Into<poem::Body>) -> Response {
    Response::builder()
        .header(header::CACHE_CONTROL, "no-store")
        .content_type("text/plain; charset=UTF-8")
        .body(body)
}

/// Whether a request belongs to no session and can only open one.
pub fn opens_session(request: &Request) -> bool {
    query_value(request.uri().query().unwrap_or(""), "sid").is_none()
}

pub(super) async fn handle<H: Handler>(engine: &Arc<Inner<H>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or("").to_owned();
    let websocket = match query_value(&query, "transport").as_deref() {
        Some("polling") => false,
        Some("websocket") => true,
        _ => return UNKNOWN_TRANSPORT.response(),
    };
    let get = request.method() == Method::GET;
    let Some(sid) = query_value(&query, "sid") else {
        if !get {
            return BAD_METHOD.response();
        }
        if query_value(&query, "EIO").as_deref() != Some("4") {
            return BAD_VERSION.response();
        }
        // JSONP.
        if query_value(&query, "j").is_some() {
            return BAD_REQUEST.response();
        }
        return if websocket {
            open_websocket(engine, request)
        } else {
            open_polling(engine, request)
        };
    };
    let entry = engine.polling.lock().get(sid.as_str()).cloned();
    let Some(entry) = entry else {
        return unknown(engine, websocket, request);
    };
    if query_value(&query, "EIO").as_deref() != Some("4") {
        return BAD_VERSION.response();
    }
    if engine.heartbeat.is_overdue(&entry.outbox) {
        let close = Close::new(Cause::PingTimeout, 1001, "ping timeout");
        expel(engine, &entry, close);
        return unknown(engine, websocket, request);
    }
    match (websocket, request.method()) {
        (true, &Method::GET) => upgrade(engine, entry, request),
        (false, &Method::GET) => poll(engine, &entry).await,
        (false, &Method::POST) => post(engine, &entry, request).await,
        _ => BAD_REQUEST.response(),
    }
}

/// Answers a request for a session that is not on polling: there is none, or it is on WebSocket already.
fn unknown<H: Handler>(engine: &Arc<Inner<H>>, websocket: bool, request: Request) -> Response {
    if websocket && request.method() == Method::GET {
        turn_away(engine, &request, UNKNOWN_SID)
    } else {
        UNKNOWN_SID.response()
    }
}

/// Accepts a WebSocket and closes it, which is what the protocol asks for one too many: some clients take a refused
/// handshake for a failure of the network.
fn turn_away<H: Handler>(engine: &Arc<Inner<H>>, request: &Request, why: Refusal) -> Response {
    if engine.closing.load(Ordering::SeqCst) {
        return why.response();
    }
    let (response, promise) = match handshake(request) {
        Ok(accepted) => accepted,
        Err(error) => return no_handshake(error),
    };
    let engine = engine.clone();
    let tasks = engine.tasks.clone();
    tasks.spawn(async move {
        let closing = async {
            let (stream, early) = upgraded(promise)
                .await
                .inspect_err(|error| tracing::debug!(%error, "upgrade"))
                .ok()?;
            let outbox = Outbox::new(&engine.flusher);
            let socket = WebSocket::new(stream, &early, outbox, engine.settings.max_payload);
            socket.close(4007, why.1).await;
            Some(())
        };
        engine.stop.run_until_cancelled(closing).await;
    });
    response
}

/// Ends a session from outside its task; its id is unknown from here on.
fn expel<H: Handler>(engine: &Inner<H>, entry: &Entry, close: Close) {
    engine.polling.lock().remove(&entry.sid);
    entry.outbox.request_close(close);
}

fn head(request: Request) -> Head {
    let peer = request.remote_addr().as_socket_addr().copied();
    let (parts, _) = request.into_parts();
    Head {
        uri: parts.uri,
        headers: parts.headers,
        extensions: parts.extensions,
        peer,
    }
}

fn open_packet<H: Handler>(engine: &Inner<H>, sid: &str, upgrades: &[&str]) -> String {
    let millis = |it: std::time::Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
    Open {
        sid,
        upgrades,
        ping_interval: millis(engine.settings.ping_interval),
        ping_timeout: millis(engine.settings.ping_timeout),
        max_payload: engine.settings.max_payload,
    }
    .encode()
}

fn busy() -> Response {
    let mut response =
        Refusal(3, "Too many unfinished handshakes").with(StatusCode::SERVICE_UNAVAILABLE);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    response
}

fn open_websocket<H: Handler>(engine: &Arc<Inner<H>>, request: Request) -> Response {
    let (response, promise) = match handshake(&request) {
        Ok(accepted) => accepted,
        Err(error) => return no_handshake(error),
    };
    // The open packet comes before whatever the handler has to say.
    let Ok(session) = Session::open(engine, head(request), |outbox| {
        let open = open_packet(engine, &random_id(), &[]);
        outbox.push_reply(crate::realtime::frame::Frame::text(&open));
    }) else {
        return busy();
    };
    engine.tasks.spawn(session::on_websocket(session, promise));
    response
}

fn no_handshake(error: HandshakeError) -> Response {
    let mut response = BAD_REQUEST.response();
    error.add_headers(response.headers_mut());
    if error == HandshakeError::Version {
        response.set_status(error.status());
    }
    response
}

fn open_polling<H: Handler>(engine: &Arc<Inner<H>>, request: Request) -> Response {
    let Ok(session) = Session::open(engine, head(request), |_| {}) else {
        return busy();
    };
    let sid = random_id();
    let open = open_packet(engine, &sid, UPGRADES);
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let entry = Arc::new(Entry {
        sid: sid.into(),
        outbox: session.outbox.clone(),
        commands,
        get: Turn::default(),
        post: Turn::default(),
        upgrade: Turn::default(),
    });
    let key = entry.sid.clone();
    engine.polling.lock().insert(key, entry.clone());
    let poller = Poller::new(entry, receiver);
    engine.tasks.spawn(session::on_polling(session, poller));
    text(open)
}

/// A poll that is dropped before it was answered: the client is gone.
struct Waiting<'a>(Option<&'a Outbox>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(outbox) = self.0 {
            outbox.request_close(Close::new(Cause::Lost, 1006, "poll dropped"));
        }
    }
}

async fn poll<H: Handler>(engine: &Inner<H>, entry: &Entry) -> Response {
    let Some(_turn) = entry.get.take() else {
        expel(engine, entry, protocol("two polls at a time"));
        return BAD_REQUEST.response();
    };
    entry.outbox.touch();
    let mut waiting = Waiting(Some(&entry.outbox));
    let (answer, body) = oneshot::channel();
    let sent = entry.commands.send(Command::Poll(answer)).await;
    let body = match sent {
        Ok(()) => body.await.ok(),
        Err(_) => None,
    };
    waiting.0 = None;
    match body {
        Some(body) => text(body),
        None => UNKNOWN_SID.response(),
    }
}

async fn post<H: Handler>(engine: &Inner<H>, entry: &Entry, mut request: Request) -> Response {
    let Some(turn) = entry.post.take() else {
        expel(engine, entry, protocol("two posts at a time"));
        return BAD_REQUEST.response();
    };
    entry.outbox.touch();
    let body = request
        .take_body()
        .into_bytes_limit(engine.settings.max_payload);
    let body = match timeout(engine.settings.body_timeout, body).await {
        Ok(Ok(body)) => body,
        Ok(Err(ReadBodyError::PayloadTooLarge)) => {
            let close = Close::new(Cause::Protocol, 1009, "message too large");
            expel(engine, entry, close);
            return Refusal(3, "Payload too large").with(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Ok(Err(_)) => return BAD_REQUEST.response(),
        Err(_) => return BAD_REQUEST.with(StatusCode::REQUEST_TIMEOUT),
    };
    entry.outbox.touch();
    let packets = std::str::from_utf8(&body)
        .map_err(|_| packet::Invalid)
        .and_then(packet::decode_payload);
    let Ok(packets) = packets else {
        expel(engine, entry, protocol("not Engine.IO packets"));
        return BAD_REQUEST.response();
    };
    let (done, result) = oneshot::channel();
    let command = Command::Post(packets, turn, done);
    if entry.commands.send(command).await.is_err() {
        return UNKNOWN_SID.response();
    }
    match result.await {
        Ok(Ok(())) => text("ok"),
        Ok(Err(_)) => BAD_REQUEST.response(),
        Err(_) => UNKNOWN_SID.response(),
    }
}

fn upgrade<H: Handler>(engine: &Arc<Inner<H>>, entry: Arc<Entry>, request: Request) -> Response {
    let Some(turn) = entry.upgrade.take() else {
        return turn_away(engine, &request, BAD_REQUEST);
    };
    let (response, promise) = match handshake(&request) {
        Ok(accepted) => accepted,
        Err(error) => return no_handshake(error),
    };
    let engine = engine.clone();
    let tasks = engine.tasks.clone();
    tasks.spawn(async move {
        let work = timeout(
            engine.settings.upgrade_timeout,
            probe(&engine, &entry, promise),
        );
        let socket = engine.stop.run_until_cancelled(work).await;
        let command = match socket {
            Some(Ok(Some(socket))) => Command::Upgrade(Box::new(socket)),
            _ => Command::ProbeFailed,
        };
        // A session that is over meanwhile has no use for it, and dropping it closes the socket.
        let _ = entry.commands.send(command).await;
        drop(turn);
    });
    response
}

/// Waits until the client has tried the WebSocket and says that it goes over.
async fn probe<H: Handler>(
    engine: &Inner<H>,
    entry: &Entry,
    promise: OnUpgrade,
) -> Option<WebSocket> {
    let (stream, early) = upgraded(promise)
        .await
        .inspect_err(|error| tracing::debug!(%error, "upgrade"))
        .ok()?;
    let outbox = Outbox::new(&engine.flusher);
    let limit = engine.settings.max_payload;
    let mut socket = WebSocket::new(stream, &early, outbox.clone(), limit);
    loop {
        let Incoming::Text(text) = socket.next().await else {
            return None;
        };
        match packet::decode(text) {
            Ok(packet::Packet::Ping(word)) if word == "probe" => {
                outbox.push_reply(packet::pong(&word));
                entry.commands.send(Command::Probed).await.ok()?;
            }
            Ok(packet::Packet::Upgrade) => {
                // It may have come with the probe, whose answer goes first.
                let limit = engine.settings.upgrade_timeout;
                return socket.drain(limit).await.then_some(socket);
            }
            _ => return None,
        }
    }
}

/// The first value of `name` in a query, percent-decoded and with `+` as a space.
pub(super) fn query_value(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| decoded(key) == name)
        .map(|(_, value)| decoded(value))
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes().iter();
    while let Some(&byte) = bytes.next() {
        let hex = bytes.as_slice().get(..2).and_then(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        });
        match (byte, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                bytes.nth(1);
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let of = |query: &str| query_value(query, "token");
        assert_eq!(of("a=1&token=x%20y+z%2B"), Some("x y z+".into()));
        assert_eq!(of("token"), Some(String::new()));
        assert_eq!(of("token=%zz%4"), Some("%zz%4".into()));
        assert_eq!(of("to%6ben=1&token=2"), Some("1".into()));
        assert_eq!(of("tokens=1"), None);
        assert_eq!(of(""), None);
    }
}
