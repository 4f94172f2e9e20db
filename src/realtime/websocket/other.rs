//! A stream that only the connection's task may use, and that may keep what it has taken for itself: TLS.
//!
//! Such a stream takes bytes while its socket is full. So whatever it has is flushed before it is given more: then its
//! buffer holds one batch at most, and a full socket counts as full as it does without TLS.

use crate::realtime::outbox::{Drained, Outbox};
use crate::realtime::stream::Duplex;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

pub(super) struct Other {
    stream: Box<dyn Duplex>,
    /// It has taken bytes that may not be on the wire.
    needs_flush: bool,
    /// A flush came to its end since this was last asked.
    was_flushed: bool,
}

impl Other {
    pub(super) fn new(stream: Box<dyn Duplex>) -> Self {
        Self {
            stream,
            needs_flush: false,
            was_flushed: false,
        }
    }

    /// Writes what `outbox` holds, as far as it can, and says whether the socket took anything for good.
    /// [`Drained::Full`] has registered the task for when there is room.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> (Drained, bool) {
        let result = self.write(cx, outbox);
        (result, std::mem::take(&mut self.was_flushed))
    }

    fn write(&mut self, cx: &mut Context<'_>, outbox: &Outbox) -> Drained {
        let result = outbox.write_with(|io| {
            if let Poll::Ready(flushed) = self.poll_flush(cx) {
                flushed?;
                if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write_vectored(cx, io)
                {
                    self.needs_flush = true;
                    return written;
                }
            }
            Err(ErrorKind::WouldBlock.into())
        });
        if result != Drained::Empty {
            return result;
        }
        match self.poll_flush(cx) {
            Poll::Ready(Ok(())) => Drained::Empty,
            Poll::Ready(Err(_)) => Drained::Failed,
            Poll::Pending => {
                outbox.not_writable();
                Drained::Full
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.needs_flush {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.needs_flush = false;
            self.was_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
