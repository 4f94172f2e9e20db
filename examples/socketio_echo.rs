//! An echo server over the generic Engine.IO and Socket.IO layers, for protocol test suites.
//!
//! `cargo run --example socketio_echo [ADDRESS]` (default 127.0.0.1:3000). `/engine.io/` echoes every message.
//! `/socket.io/` has the namespaces `/` and `/custom`: it emits `auth` with the CONNECT payload, answers `message` with
//! `message-back` and the same arguments, and acknowledges `message-with-ack` with its arguments. Pings are 300 ms
//! apart and to be answered within 200 ms; who has not connected to a namespace after a second is closed.

mod socketio_echo {
    pub mod server;
}

use socketio_echo::server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server::serve(listener, server::settings(), stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    serving.await??;
    Ok(())
}
