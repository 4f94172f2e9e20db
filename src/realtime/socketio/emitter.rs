//! What an application holds to speak to one socket.

use super::packet;
use crate::realtime::frame::Frame;
use crate::realtime::outbox::{Close, Outbox};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Speaks to one socket, from any thread. Cheap to clone. What is queued goes out with [`Emitter::flush`], or by itself
/// when it is queued while an event of this socket is handled.
#[derive(Debug, Clone)]
pub struct Emitter {
    outbox: Arc<Outbox>,
    /// `None` is `/`.
    namespace: Option<Arc<str>>,
}

impl Emitter {
    pub(in crate::realtime) fn new(outbox: Arc<Outbox>, namespace: &str) -> Self {
        let namespace = (namespace != "/").then(|| namespace.into());
        Self { outbox, namespace }
    }

    /// The queue behind it, which all namespaces of a session share.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// `/` or another.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("/")
    }

    /// Queues an event with one argument.
    ///
    /// # Errors
    /// When `data` has no JSON form.
    pub fn emit(&self, name: &str, data: &impl Serialize) -> serde_json::Result<()> {
        self.outbox
            .push(packet::event(self.namespace(), name, data)?);
        Ok(())
    }

    /// Queues an event with any arguments and attachments.
    pub fn emit_with(&self, name: &str, args: &[Box<RawValue>], attachments: &[Bytes]) {
        self.outbox.push_frames(packet::event_frames(
            self.namespace(),
            name,
            args,
            attachments,
        ));
    }

    /// Queues a frame that was encoded for this namespace, such as by [`super::event_frame`].
    pub fn emit_frame(&self, frame: Frame) {
        self.outbox.push(frame);
    }

    /// Queues the newest frame about `key`; an older one that still waits is dropped.
    pub fn emit_latest(&self, key: u64, frame: Frame) {
        self.outbox.push_latest(key, frame);
    }

    /// Drops what waits about `key`.
    pub fn forget(&self, key: u64) {
        self.outbox.forget(key);
    }

    /// See [`Outbox::hold`].
    pub fn hold(&self) {
        self.outbox.hold();
    }

    /// See [`Outbox::release`].
    pub fn release(&self) {
        self.outbox.release();
    }

    /// Acknowledges an event with one argument.
    ///
    /// # Errors
    /// When `data` has no JSON form.
    pub fn ack(&self, id: u64, data: &impl Serialize) -> serde_json::Result<()> {
        self.outbox
            .push_reply(packet::ack(self.namespace(), id, data)?);
        Ok(())
    }

    /// Acknowledges an event with any arguments and attachments.
    pub fn ack_with(&self, id: u64, args: &[Box<RawValue>], attachments: &[Bytes]) {
        self.outbox
            .push_reply_frames(packet::ack_frames(self.namespace(), id, args, attachments));
    }

    /// See [`Outbox::flush`].
    pub fn flush(&self) {
        self.outbox.flush();
    }

    /// Sends a DISCONNECT after all that waits, then closes the transport: stock clients do not come back by
    /// themselves.
    pub fn disconnect(&self, close: Close) {
        self.outbox.push_reply(packet::disconnect(self.namespace()));
        self.outbox.request_close(close);
    }

    /// Closes the transport after all that waits, without a DISCONNECT: stock clients come back by themselves.
    pub fn close(&self, close: Close) {
        self.outbox.request_close(close);
    }
}
