//! Raw WebSocket at `/ws`: text frames `{"event":NAME,"data":…,"ack"?:N}`, one task a connection.

use super::admission::Admission;
use super::client::{Answer, Client, Handshake};
use super::frame::Frame;
use super::outbox::{Cause, Close, Outbox};
use super::stream::upgraded;
use super::websocket::{Incoming, WebSocket, handshake};
use super::wire::{self, WireError, close_code};
use super::{MAX_MESSAGE_BYTES, Refusal, Shared, snapshot_frame, system_timestamp};
use crate::auth::Identity;
use crate::auth::client::Client as Peer;
use crate::auth::token::bearer;
use crate::error::Error;
use crate::model::UserId;
use crate::presence::Ending;
use crate::presence::link::{
    CloseReason, Encoded, Link, NewMessage, Protocol, Transport, Update, Vitals,
};
use hyper::upgrade::OnUpgrade;
use poem::{Request, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long a client without a token may take for its `auth`.
const AUTH_TIME: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct TextFrame<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    ack: Option<u64>,
}

/// What stands before a connection.
struct Start {
    peer: Peer,
    handshake: Handshake,
    /// From the request itself; without a token in it, the first frame must bring one.
    identity: Option<Result<Identity, Error>>,
    admission: Admission,
}

/// Answers a request for `/ws`.
///
/// # Errors
/// What to answer instead of a 101.
pub(super) async fn accept(shared: &Shared, request: &Request) -> Result<Response, Refusal> {
    let peer = shared.peer(request);
    // What cannot be read is as good as not given: without a token, the first frame must bring it all.
    let handshake_data = request.params::<Handshake>().unwrap_or_default();
    let admission = shared.admit(peer.address)?;
    let (response, promise) = handshake(request).map_err(Refusal::Handshake)?;
    let token = bearer(request.headers())
        .map(str::to_owned)
        .or_else(|| handshake_data.token.clone());
    let identity = match token {
        Some(token) => match shared.auth.authenticate(&token).await {
            Err(Error::Unavailable) => return Err(Refusal::Service(Error::Unavailable)),
            checked => Some(checked),
        },
        None => None,
    };
    let start = Start {
        peer,
        handshake: handshake_data,
        identity,
        admission,
    };
    shared
        .tasks
        .spawn(run(shared.clone(), promise, Box::new(start)));
    Ok(response)
}

/// An end before there was a client.
struct Rejected(Close);

async fn run(shared: Shared, promise: OnUpgrade, start: Box<Start>) {
    let Ok((stream, early)) = upgraded(promise).await else {
        return;
    };
    let outbox = Outbox::new(&shared.flusher);
    shared.raw_heartbeat.watch(&outbox);
    let mut socket = WebSocket::new(stream, &early, outbox.clone(), MAX_MESSAGE_BYTES);
    drop(early);
    // Boxed, so that what is needed once is not kept for the connection's life.
    let client = match Box::pin(begin(&shared, &mut socket, start)).await {
        Ok(client) => client,
        Err(Some(Rejected(close))) => {
            return Box::pin(socket.close(close.code, &close.reason)).await;
        }
        Err(None) => return,
    };
    let ending = serve(&client, &mut socket).await;
    let at = if ending.is_silent() {
        system_timestamp(outbox.last_received_at())
    } else {
        shared.clock.now()
    };
    client.closed(at, ending.presence());
    drop(client);
    Box::pin(ending.finish(socket)).await;
}

/// Authenticates and takes the client, and queues its snapshot. `Err(None)`: the transport is gone.
async fn begin(
    shared: &Shared,
    socket: &mut WebSocket,
    start: Box<Start>,
) -> Result<Client, Option<Rejected>> {
    let outbox = socket.outbox().clone();
    let Start {
        mut peer,
        mut handshake,
        identity,
        admission,
    } = *start;
    let identity = match identity {
        Some(checked) => checked,
        None => {
            let late = |_| Some(rejected(close_code::NO_AUTH, "no auth in time"));
            let first = tokio::time::timeout(AUTH_TIME, first_frame(socket));
            let first = shared.stopping.run_until_cancelled(first).await;
            let (auth, ack) = first.ok_or_else(stopping)?.map_err(late)??;
            let checked = match &auth.token {
                Some(token) => shared.auth.authenticate(token).await,
                None => Err(Error::Unauthorized),
            };
            if let (Ok(_), Some(ack)) = (&checked, ack) {
                outbox.push_reply(ack_frame(ack, Ok(json!({}))));
            }
            handshake = auth;
            checked
        }
    };
    let identity = identity.map_err(|error| Some(reject(&outbox, error.into())))?;
    let device = handshake.device();
    let (device_id, device_type) = device.map_err(|error| Some(reject(&outbox, error)))?;
    peer.info.device_type = device_type.or(peer.info.device_type);
    let link = Arc::new(RawLink {
        outbox: outbox.clone(),
        shared: shared.clone(),
    });
    link.hold_presence();
    let opened = Client::open(shared, identity, device_id, peer.info, link.clone()).await;
    let (client, snapshot) = opened.map_err(|error| {
        if shared.stopping.is_cancelled() {
            stopping()
        } else {
            Some(reject(&outbox, error))
        }
    })?;
    drop(admission);
    // A reply: however large, it makes nobody a slow consumer.
    outbox.push_reply(snapshot_frame(Protocol::Raw, &snapshot));
    link.release_presence();
    Ok(client)
}

async fn serve(client: &Client, socket: &mut WebSocket) -> End {
    loop {
        match socket.next().await {
            Incoming::Text(text) => match serde_json::from_str(&text) {
                // Boxed, so that the task of an idle connection stays small.
                Ok(TextFrame { event, data, ack }) => {
                    Box::pin(client.handle(&event, data, ack)).await;
                }
                Err(_) => {
                    let expected = "must be {\"event\":NAME,\"data\":…,\"ack\"?:N}";
                    let error = WireError::new("bad_frame", expected);
                    let frame = wire::event(Protocol::Raw, "error", &error);
                    socket.outbox().push_reply(frame);
                }
            },
            Incoming::Binary(_) => return End::Broken(1003, "text frames only"),
            Incoming::Closed(code) => return End::Client(code),
            Incoming::Lost => return End::Lost,
            Incoming::Violation(violation) => return End::Broken(violation.code, violation.reason),
            Incoming::Asked(close) => return End::Asked(close),
        }
    }
}

/// How a connection with a client ended.
enum End {
    Client(Option<u16>),
    Lost,
    Broken(u16, &'static str),
    Asked(Close),
}

impl End {
    /// Whether the client fell silent before, and ended when it was last heard.
    fn is_silent(&self) -> bool {
        matches!(self, Self::Asked(close) if matches!(close.cause, Cause::PingTimeout | Cause::SlowConsumer))
    }

    fn presence(&self) -> Ending {
        match self {
            Self::Client(_) => Ending::Client,
            _ => Ending::Lost,
        }
    }

    async fn finish(self, socket: WebSocket) {
        match self {
            Self::Client(code) => socket.answer_close(code).await,
            Self::Lost => {}
            Self::Broken(code, reason) => socket.close(code, reason).await,
            Self::Asked(close) => socket.close(close.code, &close.reason).await,
        }
    }
}

/// The `auth` that must come first.
async fn first_frame(socket: &mut WebSocket) -> Result<(Handshake, Option<u64>), Option<Rejected>> {
    let unauthorized = || {
        Some(rejected(
            close_code::UNAUTHORIZED,
            "the first frame must be auth",
        ))
    };
    match socket.next().await {
        Incoming::Text(text) => {
            let frame: TextFrame<'_> = serde_json::from_str(&text).map_err(|_| unauthorized())?;
            if frame.event != "auth" {
                return Err(unauthorized());
            }
            let data = frame.data.map_or("{}", RawValue::get);
            let handshake = serde_json::from_str(data).map_err(|_| unauthorized())?;
            Ok((handshake, frame.ack))
        }
        Incoming::Binary(_) => Err(unauthorized()),
        Incoming::Closed(_) | Incoming::Lost => Err(None),
        Incoming::Violation(violation) => Err(Some(rejected(violation.code, violation.reason))),
        Incoming::Asked(close) => Err(Some(Rejected(close))),
    }
}

fn rejected(code: u16, reason: &'static str) -> Rejected {
    Rejected(Close::server(code, reason))
}

/// The server stops: the client is to come back.
fn stopping() -> Option<Rejected> {
    let reason = wire::shutdown_reason(super::reconnect_after());
    Some(Rejected(Close::server(close_code::SHUTDOWN, reason)))
}

/// Says why in an `error` event and closes with the code for it.
fn reject(outbox: &Outbox, error: WireError) -> Rejected {
    let code = match error.code {
        "unauthorized" => close_code::UNAUTHORIZED,
        "too_many_connections" => close_code::TOO_MANY,
        "unavailable" => close_code::TRY_AGAIN,
        "invalid" => close_code::POLICY,
        _ => close_code::INTERNAL,
    };
    outbox.push_reply(wire::event(Protocol::Raw, "error", &error));
    rejected(code, error.code)
}

fn ack_frame(ack: u64, answer: Result<Value, WireError>) -> Frame {
    let data = super::ack_value(answer);
    Frame::text(&json!({ "ack": ack, "data": data }).to_string())
}

struct RawLink {
    outbox: Arc<Outbox>,
    shared: Shared,
}

impl Answer for RawLink {
    fn answer(&self, ack: Option<u64>, answer: Result<Value, WireError>) {
        match (ack, answer) {
            (Some(ack), answer) => self.outbox.push_reply(ack_frame(ack, answer)),
            (None, Err(error)) => {
                let frame = wire::event(Protocol::Raw, "error", &error);
                self.outbox.push_reply(frame);
            }
            (None, Ok(_)) => {}
        }
    }
}

impl Link for RawLink {
    fn push_presence(&self, update: &Arc<Encoded<Update>>) {
        self.outbox.push_latest(
            update.payload.user_id.0 as u64,
            self.shared.update_frame(Protocol::Raw, update),
        );
    }
    fn forget_presence(&self, subject: UserId) {
        self.outbox.forget(subject.0 as u64);
    }
    fn hold_presence(&self) {
        self.outbox.hold();
    }
    fn release_presence(&self) {
        self.outbox.release();
    }
    fn push_message(&self, message: &Arc<Encoded<NewMessage>>) {
        self.outbox
            .push(super::message_frame(Protocol::Raw, message));
    }
    fn flush(self: Arc<Self>) {
        self.outbox.flush();
    }
    fn close(&self, reason: CloseReason) {
        let (code, error) = wire::close_of(reason);
        self.outbox
            .push_reply(wire::event(Protocol::Raw, "error", &error));
        self.outbox.request_close(Close::server(code, error.code));
    }
    fn shut_down(&self, reconnect_after: Duration) {
        self.outbox
            .push_reply(wire::server_shutdown(Protocol::Raw, reconnect_after));
        let reason = wire::shutdown_reason(reconnect_after);
        self.outbox
            .request_close(Close::server(close_code::SHUTDOWN, reason));
    }
    fn vitals(&self) -> Vitals {
        super::vitals(&self.outbox, Transport::Raw)
    }
}

#[cfg(test)]
mod tests;
