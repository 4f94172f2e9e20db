//! Socket.IO at `/socket.io/`: what the generic layer's events mean here.

use super::client::{Client, Handshake};
use super::outbox::{Cause, Close};
use super::socketio::{ConnectError, ConnectRequest, Emitter, Event, Handler};
use super::wire::{self, WireError, close_code};
use super::{Shared, bearer, snapshot_frame, system_timestamp};
use crate::auth::client::Client as Peer;
use crate::error::Error;
use crate::model::UserId;
use crate::presence::Ending;
use crate::presence::link::{
    CloseReason, Encoded, Link, NewMessage, Protocol, Transport, Update, Vitals,
};
use serde_json::Value;
use serde_json::value::RawValue;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The handler of lastseen.
pub(super) struct SocketHandler(pub(super) Shared);

impl Handler for SocketHandler {
    type Socket = Client;

    async fn connect(
        &self,
        request: ConnectRequest<'_>,
        emitter: Emitter,
    ) -> Result<Client, ConnectError> {
        let connected = self.try_connect(request, emitter).await;
        connected.map_err(|error| match error.code {
            // Clients compare these words.
            code @ ("unauthorized" | "too_many_connections" | "unavailable") => {
                ConnectError::new(code)
            }
            _ => ConnectError::new(error.message),
        })
    }

    async fn event(&self, client: &Arc<Client>, event: Event) {
        let data: Option<&RawValue> = event.args.first().map(|raw| &**raw);
        client.handle(&event.name, data, event.ack).await;
    }

    async fn disconnected(&self, client: Arc<Client>, reason: Cause, at: SystemTime) {
        let ending = match reason {
            Cause::Client => Ending::Client,
            _ => Ending::Lost,
        };
        client.closed(system_timestamp(at), ending);
    }
}

impl SocketHandler {
    async fn try_connect(
        &self,
        request: ConnectRequest<'_>,
        emitter: Emitter,
    ) -> Result<Client, WireError> {
        let shared = &self.0;
        let head = request.head;
        let handshake = match &request.payload {
            Some(payload) => serde_json::from_str::<Handshake>(payload.get())
                .map_err(|error| WireError::new("invalid", format!("auth payload: {error}")))?,
            None => Handshake::default(),
        };
        let in_query = || head.query("token");
        let token = handshake.token.as_deref().or_else(|| bearer(&head.headers));
        let token = token
            .map(str::to_owned)
            .or_else(in_query)
            .ok_or(Error::Unauthorized)?;
        let identity = shared.auth.authenticate(&token).await?;
        let (device_id, device_type) = handshake.device()?;
        // Only a socket that is no TCP socket has no address, and none of ours is.
        let peer = head
            .peer
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let rules = &shared.settings.client_rules;
        let peer = Peer::of(&head.headers, peer, device_type, rules);
        let link = Arc::new(SocketLink {
            emitter,
            shared: shared.clone(),
        });
        link.hold_presence();
        let opened = Client::open(shared, identity, device_id, peer.info, link.clone()).await;
        // A client may try again on the same transport, and hears nothing as long as anything holds.
        let (client, snapshot) = opened.inspect_err(|_| link.release_presence())?;
        // A reply: however large, it makes nobody a slow consumer.
        let frame = snapshot_frame(Protocol::SocketIo, &snapshot);
        link.emitter.outbox().push_reply(frame);
        link.release_presence();
        Ok(client)
    }
}

struct SocketLink {
    emitter: Emitter,
    shared: Shared,
}

impl Link for SocketLink {
    fn push_presence(&self, update: &Arc<Encoded<Update>>) {
        let frame = self.shared.update_frame(Protocol::SocketIo, update);
        self.emitter
            .emit_latest(update.payload.user_id.0 as u64, frame);
    }
    fn forget_presence(&self, subject: UserId) {
        self.emitter.forget(subject.0 as u64);
    }
    fn hold_presence(&self) {
        self.emitter.hold();
    }
    fn release_presence(&self) {
        self.emitter.release();
    }
    fn push_message(&self, message: &Arc<Encoded<NewMessage>>) {
        self.emitter
            .emit_frame(super::message_frame(Protocol::SocketIo, message));
    }
    fn flush(self: Arc<Self>) {
        self.emitter.flush();
    }
    fn close(&self, reason: CloseReason) {
        let (code, error) = wire::close_of(reason);
        self.emitter
            .emit_frame(wire::event(Protocol::SocketIo, "error", &error));
        self.emitter.disconnect(Close::server(code, error.code));
    }
    fn shut_down(&self, reconnect_after: Duration) {
        self.emitter
            .emit_frame(wire::server_shutdown(Protocol::SocketIo, reconnect_after));
        let reason = wire::shutdown_reason(reconnect_after);
        self.emitter
            .close(Close::server(close_code::SHUTDOWN, reason));
    }
    fn vitals(&self) -> Vitals {
        let outbox = self.emitter.outbox();
        let transport = if outbox.is_on_websocket() {
            Transport::WebSocket
        } else {
            Transport::Polling
        };
        super::vitals(outbox, transport)
    }
}

impl super::client::Answer for SocketLink {
    fn answer(&self, ack: Option<u64>, answer: Result<Value, WireError>) {
        match (ack, answer) {
            (Some(id), answer) => {
                let sent = self.emitter.ack(id, &super::ack_value(answer));
                debug_assert!(sent.is_ok(), "our own answers always have a JSON form");
            }
            (None, Err(error)) => {
                let frame = wire::event(Protocol::SocketIo, "error", &error);
                self.emitter.outbox().push_reply(frame);
            }
            (None, Ok(_)) => {}
        }
    }
}
