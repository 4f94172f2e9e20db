//! The signals that `serve` heeds. Without unix there is only Ctrl-C.

/// A signal that asks the server to stop.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Signal {
    pub(in crate::cli) name: &'static str,
    /// The exit status of a process that it ends.
    pub(in crate::cli) status: i32,
}

const INTERRUPT: Signal = Signal {
    name: "SIGINT",
    status: 130,
};

/// Those signals, from its making on.
#[cfg(unix)]
pub(in crate::cli) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(in crate::cli) fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(in crate::cli) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => Signal { name: "SIGTERM", status: 143 },
        }
    }
}

/// Those signals, from its making on.
#[cfg(not(unix))]
pub(in crate::cli) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(in crate::cli) fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub(in crate::cli) async fn next(&mut self) -> Signal {
        // Without Ctrl-C there is no way to be told; the process can still be ended.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        INTERRUPT
    }
}

/// SIGHUP, from its making on. It ends nothing any more then, not even when nobody waits for it.
#[cfg(unix)]
pub(in crate::cli) struct Hangups(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangups {
    pub(in crate::cli) fn new() -> std::io::Result<Self> {
        let kind = tokio::signal::unix::SignalKind::hangup();
        tokio::signal::unix::signal(kind).map(Self)
    }

    /// Several that come close together are one.
    pub(in crate::cli) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// There is no SIGHUP.
#[cfg(not(unix))]
pub(in crate::cli) struct Hangups;

#[cfg(not(unix))]
impl Hangups {
    pub(in crate::cli) fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub(in crate::cli) async fn next(&mut self) {
        std::future::pending::<()>().await;
    }
}
