//! A request body that must be there in time, so that a client that sends a byte a second does not stay.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// Whether a body's time ran out.
#[derive(Clone)]
pub(super) struct TimedOut(Arc<AtomicBool>);

impl TimedOut {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body whose reading fails with [`io::ErrorKind::TimedOut`] when it has not ended within a time. The time begins
/// with the first read that has to wait: a client that waits for `100 Continue` sends nothing before.
pub(super) struct TimedBody {
    inner: Incoming,
    timeout: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    timed_out: TimedOut,
}

impl TimedBody {
    pub(super) fn new(inner: Incoming, timeout: Duration) -> (Self, TimedOut) {
        let timed_out = TimedOut(Arc::new(AtomicBool::new(false)));
        let body = Self {
            inner,
            timeout,
            deadline: None,
            timed_out: timed_out.clone(),
        };
        (body, timed_out)
    }

    pub(super) fn boxed(self) -> BoxBody<Bytes, io::Error> {
        BoxBody::new(self)
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        // The deadline comes first, so that a client that always has one more byte cannot outrun it.
        let over = this
            .deadline
            .as_mut()
            .is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        if !over {
            if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
                return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
            }
            let timeout = this.timeout;
            let deadline = this
                .deadline
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            if deadline.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        this.timed_out.0.store(true, Ordering::Relaxed);
        let message = "the request body took too long";
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, message))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
