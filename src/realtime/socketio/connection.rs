//! One Engine.IO session as Socket.IO sees it: its sockets by namespace, and a packet whose attachments are on their
//! way.

use super::packet::{self, Invalid, Kind};
use super::{ConnectRequest, Emitter, Event, Handler, Head, SocketIo, engine};
use crate::realtime::outbox::{Cause, Close, Outbox};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::SystemTime;

/// The state of one session.
pub struct Connection<H: Handler> {
    outbox: Arc<Outbox>,
    /// Until it is not needed any more.
    head: Option<Box<Head>>,
    root: Option<Arc<H::Socket>>,
    /// Sockets of other namespaces; bounded by the namespaces there are.
    others: Vec<(Box<str>, Arc<H::Socket>)>,
    partial: Option<Box<Partial>>,
}

/// A packet that waits for its attachments.
struct Partial {
    namespace: Box<str>,
    /// `None` for an acknowledgement, which nobody waits for.
    event: Option<Event>,
    missing: usize,
}

impl<H: Handler> Connection<H> {
    fn socket(&self, namespace: &str) -> Option<&Arc<H::Socket>> {
        if namespace == "/" {
            return self.root.as_ref();
        }
        self.others
            .iter()
            .find(|(name, _)| **name == *namespace)
            .map(|(_, socket)| socket)
    }

    fn insert(&mut self, namespace: &str, socket: H::Socket) {
        if namespace == "/" {
            self.root = Some(Arc::new(socket));
        } else {
            self.others.push((namespace.into(), Arc::new(socket)));
        }
    }

    fn remove(&mut self, namespace: &str) -> Option<Arc<H::Socket>> {
        if namespace == "/" {
            return self.root.take();
        }
        let at = self
            .others
            .iter()
            .position(|(name, _)| **name == *namespace)?;
        Some(self.others.swap_remove(at).1)
    }
}

impl From<Invalid> for engine::ProtocolError {
    fn from(error: Invalid) -> Self {
        Self(error.0)
    }
}

impl<H: Handler> engine::Handler for SocketIo<H> {
    type Connection = Connection<H>;

    fn open(&self, head: Head, outbox: &Arc<Outbox>) -> Connection<H> {
        Connection {
            outbox: outbox.clone(),
            head: Some(Box::new(head)),
            root: None,
            others: Vec::new(),
            partial: None,
        }
    }

    async fn message(
        &self,
        connection: &mut Connection<H>,
        message: engine::Message,
    ) -> Result<(), engine::ProtocolError> {
        // Boxed: the application's futures are large, and a connection is idle most of the time.
        match message {
            engine::Message::Text(text) => Box::pin(self.text(connection, &text)).await,
            engine::Message::Binary(bytes) => Box::pin(self.binary(connection, bytes)).await,
        }
    }

    async fn closed(&self, mut connection: Connection<H>, end: engine::End) {
        let sockets = connection.root.take().into_iter();
        for socket in sockets.chain(connection.others.drain(..).map(|(_, socket)| socket)) {
            self.0.disconnected(socket, end.cause, end.at).await;
        }
    }
}

impl<H: Handler> SocketIo<H> {
    async fn text(
        &self,
        connection: &mut Connection<H>,
        text: &str,
    ) -> Result<(), engine::ProtocolError> {
        if connection.partial.is_some() {
            return Err(Invalid("text where an attachment was announced").into());
        }
        let packet = packet::decode(text)?;
        let namespace = packet.namespace;
        if packet.kind == Kind::Connect {
            if connection.socket(namespace).is_some() {
                return Err(Invalid("connected to this namespace already").into());
            }
            let payload = packet::connect_payload(packet.data)?;
            self.connect(connection, namespace, payload).await;
            return Ok(());
        }
        if connection.socket(namespace).is_none() {
            return Err(Invalid("not connected to this namespace").into());
        }
        let event = match packet.kind {
            Kind::Event => {
                let (name, args) = packet::event_args(packet.data)?;
                if packet.attachments > 0 {
                    packet::check_placeholders(&args, packet.attachments)?;
                }
                Some(Event {
                    name,
                    args,
                    attachments: Vec::new(),
                    ack: packet.id,
                })
            }
            Kind::Ack => {
                let args = packet::args(packet.data)?;
                if packet.attachments > 0 {
                    packet::check_placeholders(&args, packet.attachments)?;
                }
                None
            }
            Kind::Connect | Kind::Disconnect => {
                if !packet.data.is_empty() {
                    return Err(Invalid("a DISCONNECT with a payload").into());
                }
                if let Some(socket) = connection.remove(namespace) {
                    self.0
                        .disconnected(socket, Cause::Client, SystemTime::now())
                        .await;
                }
                return Ok(());
            }
        };
        if packet.attachments > 0 {
            connection.partial = Some(Box::new(Partial {
                namespace: namespace.into(),
                event,
                missing: packet.attachments,
            }));
        } else if let (Some(event), Some(socket)) = (event, connection.socket(namespace)) {
            self.0.event(socket, event).await;
        }
        Ok(())
    }

    async fn binary(
        &self,
        connection: &mut Connection<H>,
        bytes: Bytes,
    ) -> Result<(), engine::ProtocolError> {
        let Some(partial) = &mut connection.partial else {
            return Err(Invalid("an attachment that nothing announced").into());
        };
        partial.missing -= 1;
        if let Some(event) = &mut partial.event {
            event.attachments.push(bytes);
        }
        if partial.missing > 0 {
            return Ok(());
        }
        if let Some(partial) = connection.partial.take()
            && let (Some(event), Some(socket)) =
                (partial.event, connection.socket(&partial.namespace))
        {
            self.0.event(socket, event).await;
        }
        Ok(())
    }

    async fn connect(
        &self,
        connection: &mut Connection<H>,
        namespace: &str,
        payload: Option<Box<RawValue>>,
    ) {
        let outbox = connection.outbox.clone();
        if !self.0.has_namespace(namespace) {
            let refusal = packet::connect_error(namespace, "Invalid namespace", None);
            outbox.push_reply(refusal);
            return;
        }
        let Some(head) = connection.head.as_deref() else {
            outbox.request_close(Close::server(1000, "connect again"));
            return;
        };
        let sid = engine::random_id();
        let request = ConnectRequest {
            namespace,
            payload,
            head,
            sid: &sid,
        };
        outbox.close_gate();
        let emitter = Emitter::new(outbox.clone(), namespace);
        match self.0.connect(request, emitter).await {
            Ok(socket) => {
                outbox.open_gate(Some(packet::connected(namespace, &sid)));
                outbox.establish();
                connection.insert(namespace, socket);
                if !H::KEEP_HEAD {
                    connection.head = None;
                }
            }
            Err(error) => {
                let frame = packet::connect_error(namespace, &error.message, error.data.as_ref());
                outbox.open_gate(Some(frame));
            }
        }
    }
}
