//! The end of a session, from either side.

use crate::harness::{Transport, eventually};
use crate::protocol::Echo;
use crate::protocol::peer::{Heard, Layer, Peer, Polling, Socket};

#[tokio::test]
async fn over_polling_a_close_ends_the_poll_that_waits() {
    let echo = Echo::start().await;
    eventually("a poll that came before the close", async || {
        let polling = Polling::open(&echo, Layer::Engine).await;
        let (heard, closed) = tokio::join!(polling.get(), polling.post("1"));
        assert_eq!(closed, (200, "ok".into()));
        polling.is_over().await;
        // It was ended without a word; or it came too late, and found nothing.
        let in_time = heard == (200, "6".into());
        assert!(in_time || heard.0 == 400, "{heard:?}");
        in_time.then_some(())
    })
    .await;
}

#[tokio::test]
async fn over_polling_a_close_among_packets_is_the_last_that_counts() {
    let echo = Echo::start().await;
    for body in ["1", "4a\x1e1", "1\x1e4a", "1\x1e2"] {
        let polling = Polling::open(&echo, Layer::Engine).await;
        polling.say(body).await;
        polling.is_over().await;
    }
}

#[tokio::test]
async fn over_websocket_a_close_packet_closes() {
    let echo = Echo::start().await;
    for transport in [Transport::WebSocket, Transport::Upgrade] {
        let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
        peer.say("4last words").await;
        peer.say("1").await;
        peer.hear("4last words").await;
        assert_eq!(peer.next().await, Heard::End(Some(1000)));
    }
}

#[tokio::test]
async fn a_server_that_stops_closes() {
    for layer in [Layer::Engine, Layer::Socket] {
        let echo = Echo::start().await;
        let (mut socket, _) = Socket::open(&echo, layer).await;
        echo.stop.cancel();
        socket.is_closed(4008).await;
    }
}
