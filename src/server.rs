//! The accept loop: from a listening socket to requests for poem's endpoint, and the end of both.
//!
//! poem's own server gives HTTP/1 no timer (so no header time-out) and spins on accept errors; this one has the
//! time-outs, backs off, and closes in order. What it leaves to others: everything inside a request (the endpoint),
//! body sizes (the handlers), upgraded sockets (`realtime` owns them; a connection's task here ends when its socket
//! is upgraded), and what else must happen on shutdown (`app`). Over TLS everything is the same, above [`tls`].

mod body;
mod connection;
#[cfg(test)]
mod tests;
pub mod tls;

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections that wait for `accept`; thousands reconnect at once after a restart. Beyond it the kernel drops the
/// SYN and the client tries again.
const BACKLOG: i32 = 4096;

/// Open files that are not for connections: the database's, logs, the listener.
const FILES_RESERVED: u64 = 128;

/// The pause after a failed accept; doubled up to the longest.
const BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// Accept errors are logged at most once in this time.
const ACCEPT_LOG_GAP: Duration = Duration::from_secs(10);

/// Limits of every connection.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For a whole request head, for an idle kept connection, and before it for a TLS handshake. Not zero.
    pub header_timeout: Duration,
    /// For a whole request body, from its first read on; then 408. Not zero.
    pub body_timeout: Duration,
    /// A client that acknowledges no data for this long is dropped, also after an upgrade (`TCP_USER_TIMEOUT`, where
    /// there is one); `None` leaves it to the system. Should not be less than what `realtime` grants.
    pub unacknowledged_timeout: Option<Duration>,
    /// After the shutdown began, requests may run on for this long; then they are dropped.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            unacknowledged_timeout: None,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// Listens on `address`. Must be called within a tokio runtime.
///
/// # Errors
/// The address is taken or not ours.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // So that a restart need not wait for the last run's closed connections. On Windows it would mean to share.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Raises the limit of open files to the hard limit, and returns it (`None` where it cannot be told).
pub fn raise_file_limit() -> Option<u64> {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => Some(limit),
        Err(error) => {
            tracing::warn!(target: "lastseen", %error, "cannot raise the limit of open files");
            None
        }
    }
}

/// How many connections a limit of open files allows, with the files that are not for connections put aside.
pub fn connections_allowed(file_limit: Option<u64>) -> usize {
    let limit = file_limit.unwrap_or(1024);
    let connections = limit.saturating_sub(FILES_RESERVED).max(limit / 2);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// Serves `endpoint` on `listener` until `shutdown`: then stops accepting, lets running requests finish, closes idle
/// connections, and after [`Options::drain_timeout`] drops what is left. Returns when no connection is left.
pub async fn run<E>(
    listener: TcpListener,
    endpoint: E,
    options: Options,
    shutdown: CancellationToken,
) where
    E: poem::Endpoint + 'static,
{
    serve(listener, None, endpoint, options, shutdown).await;
}

/// As [`run`], over TLS.
pub async fn run_tls<E>(
    listener: TcpListener,
    tls: Arc<Tls>,
    endpoint: E,
    options: Options,
    shutdown: CancellationToken,
) where
    E: poem::Endpoint + 'static,
{
    serve(listener, Some(tls), endpoint, options, shutdown).await;
}

async fn serve<E>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    endpoint: E,
    options: Options,
    shutdown: CancellationToken,
) where
    E: poem::Endpoint + 'static,
{
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    let shared = Arc::new(connection::Shared {
        endpoint,
        tls,
        options,
        shutdown: shutdown.clone(),
        abort: abort.clone(),
    });
    let mut failures = Failures::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failures.over();
                prepare(&stream, &options);
                connections.spawn(connection::serve(stream, peer, shared.clone()));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                let pause = failures.another(&error);
                // Without it a lack of open files would be a busy loop, since the connection still waits.
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(options.drain_timeout, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(target: "lastseen", requests = connections.len(), "requests did not end in time and are dropped");
        abort.cancel();
        connections.wait().await;
    }
}

/// The client went away between its SYN and our accept.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Socket options; a socket that refuses them is dead already and soon says so itself.
fn prepare(stream: &TcpStream, options: &Options) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if options.unacknowledged_timeout.is_some() {
        let socket = socket2::SockRef::from(stream);
        if let Err(error) = socket.set_tcp_user_timeout(options.unacknowledged_timeout) {
            tracing::debug!(%error, "cannot set TCP_USER_TIMEOUT");
        }
    }
}

/// Failed accepts in a row.
#[derive(Default)]
struct Failures {
    pause: Option<Duration>,
    logged_at: Option<Instant>,
    unlogged: u64,
}

impl Failures {
    fn over(&mut self) {
        self.pause = None;
    }

    /// Logs at times, and says how long to wait.
    fn another(&mut self, error: &io::Error) -> Duration {
        let now = Instant::now();
        if self.logged_at.is_none_or(|at| now - at >= ACCEPT_LOG_GAP) {
            tracing::error!(target: "lastseen", %error, more = self.unlogged, "cannot accept connections; trying again");
            self.logged_at = Some(now);
            self.unlogged = 0;
        } else {
            self.unlogged += 1;
        }
        let pause = self
            .pause
            .map_or(BACKOFF, |pause| (pause * 2).min(LONGEST_BACKOFF));
        self.pause = Some(pause);
        pause
    }
}
