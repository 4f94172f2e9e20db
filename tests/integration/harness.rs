//! What the tests have in common: a server, an HTTP client, realtime clients of every kind, and the program itself.

pub mod client;
pub mod http;
pub mod ingest;
pub mod issuer;
pub mod places;
pub mod process;
pub mod server;
pub mod signer;
pub mod socket;
pub mod tls;

pub use client::{Client, Connect, Said, Transport};
pub use http::{Answer, Http};
pub use ingest::Ingest;
pub use issuer::Issuer;
pub use server::{Server, User};
pub use signer::Signer;

use lastseen::model::{Clock, Timestamp};
use serde_json::Value;
use std::future::Future;
use std::time::Duration;

/// Whatever a test waits for is there by then, or never.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Longer than any test runs: what is not to happen by itself.
pub const NEVER: Duration = Duration::from_secs(3600);

/// Waits for `future` up to the deadline.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Asks again and again until there is an answer, up to the deadline.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        loop {
            pause.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    soon(what, asking).await
}

/// Now, in whole milliseconds as the server shows times.
pub fn now() -> Timestamp {
    Clock::system().now()
}

/// The time in a field.
pub fn time(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let read = Timestamp::parse_rfc3339(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(read.to_string(), text, "UTC with milliseconds and Z");
    read
}

/// Runs a test over each way to connect. `over_every_transport!(name)` makes `name::polling`, `name::websocket`,
/// `name::upgrade` and `name::raw` of `async fn name(transport: Transport)`; with `socketio` before the name the
/// first three.
macro_rules! over_every_transport {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            $crate::harness::over_every_transport!(@case $name polling Polling);
            $crate::harness::over_every_transport!(@case $name websocket WebSocket);
            $crate::harness::over_every_transport!(@case $name upgrade Upgrade);
            $crate::harness::over_every_transport!(@case $name raw Raw);
        }
    )+};
    (@case $name:ident $case:ident $transport:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            super::$name($crate::harness::Transport::$transport).await;
        }
    };
}

macro_rules! over_socketio {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            $crate::harness::over_every_transport!(@case $name polling Polling);
            $crate::harness::over_every_transport!(@case $name websocket WebSocket);
            $crate::harness::over_every_transport!(@case $name upgrade Upgrade);
        }
    )+};
}

pub(crate) use over_every_transport;
pub(crate) use over_socketio;
