//! The server pings, and who does not answer is gone.

use crate::harness::{Transport, over_socketio};
use crate::protocol::Echo;
use crate::protocol::peer::{Heard, Layer, Peer, Polling};
use std::time::{Duration, Instant};

over_socketio!(
    who_answers_is_pinged_on,
    silence_ends_the_session,
    other_packets_are_no_answer,
);

/// What the echo server has between the open packet and the first ping, and from there to the end.
const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(200);

async fn who_answers_is_pinged_on(transport: Transport) {
    let echo = Echo::as_the_suites_ask().await;
    let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
    let start = Instant::now();
    for _ in 0..4 {
        peer.hear("2").await;
        peer.say("3").await;
    }
    // Opening took a little of the first interval.
    assert!(start.elapsed() >= INTERVAL * 3, "too often");
    peer.say("4still here").await;
    peer.hear("4still here").await;
}

async fn silence_ends_the_session(transport: Transport) {
    let echo = Echo::as_the_suites_ask().await;
    let start = Instant::now();
    let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
    peer.hear("2").await;
    let end = peer.next().await;
    assert!(start.elapsed() >= INTERVAL + TIMEOUT, "too early");
    match &peer {
        Peer::Polling(polling, _) => {
            assert_eq!(end, Heard::End(None));
            polling.is_over().await;
        }
        Peer::Socket(_) => assert_eq!(end, Heard::End(Some(1001))),
    }
}

async fn other_packets_are_no_answer(transport: Transport) {
    let echo = Echo::as_the_suites_ask().await;
    let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
    // As fast as they come back: there is no silence.
    peer.say("4chatter").await;
    let mut pings = 0;
    let talk = async {
        loop {
            match peer.next().await {
                Heard::Text(ping) if ping == "2" => pings += 1,
                Heard::Text(_) => peer.say("4chatter").await,
                Heard::Binary(_) => panic!("binary"),
                Heard::End(_) => return,
            }
        }
    };
    crate::harness::soon("an end", talk).await;
    assert_eq!(pings, 1);
}

#[tokio::test]
async fn a_late_poll_finds_the_session_gone() {
    let echo = Echo::with(|settings| {
        settings.ping_interval = Duration::from_millis(30);
        settings.ping_timeout = Duration::from_millis(20);
    })
    .await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    // It is never pinged on its polls, for it makes none.
    crate::harness::eventually("an end", async || {
        (polling.post("6").await.0 == 400).then_some(())
    })
    .await;
    polling.is_over().await;
}

#[tokio::test]
async fn a_client_does_not_ping() {
    let echo = Echo::start().await;
    for transport in [Transport::Polling, Transport::WebSocket, Transport::Upgrade] {
        for ping in ["2", "2probe"] {
            let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
            peer.say(ping).await;
            peer.is_closed().await;
        }
    }
}

#[tokio::test]
async fn a_pong_that_nobody_asked_for_is_no_harm() {
    let echo = Echo::start().await;
    for transport in [Transport::Polling, Transport::WebSocket, Transport::Upgrade] {
        let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
        peer.say("3").await;
        peer.say("4here").await;
        peer.hear("4here").await;
    }
}
