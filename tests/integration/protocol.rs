//! Engine.IO revision 4 and Socket.IO revision 5, statement by statement, over the echo server of the examples; and
//! the decoders under what no client would send.

mod engine;
mod peer;
mod robustness;
#[path = "../../examples/socketio_echo/server.rs"]
mod server;
mod socketio;

use crate::harness::NEVER;
use lastseen::realtime::socketio::Settings;
use server::serve;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// An echo server of one test.
struct Echo {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Echo {
    /// One that does nothing by itself while a test runs: no ping, no time-out.
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, but for what `change` sets.
    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            ping_interval: NEVER,
            connect_timeout: NEVER,
            ..server::settings()
        };
        change(&mut settings);
        Self::of(settings).await
    }

    /// The one that the example runs.
    async fn as_the_suites_ask() -> Self {
        Self::of(server::settings()).await
    }

    async fn of(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, settings, stop.clone()));
        Self { address, stop }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
