//! From HTTP long-polling to WebSocket.

use crate::harness::socket::Socket as Bare;
use crate::harness::{eventually, soon};
use crate::protocol::Echo;
use crate::protocol::peer::{Heard, Layer, Polling, Socket};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn a_session_goes_over() {
    let echo = Echo::start().await;
    for layer in [Layer::Engine, Layer::Socket] {
        let polling = Polling::open(&echo, layer).await;
        let mut socket = polling.probed().await;
        polling.hear("6").await;
        socket.say("5").await;
        // A CONNECT, or a message.
        socket.say("40").await;
        match socket.next().await {
            Heard::Text(text) => assert!(text.starts_with("40"), "{text}"),
            other => panic!("{other:?}"),
        }
        polling.is_over().await;
    }
}

#[tokio::test]
async fn a_poll_that_waits_is_released() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let (heard, mut socket) = tokio::join!(polling.get(), polling.probed());
    assert_eq!(heard, (200, "6".into()));
    socket.say("5").await;
    socket.say("4hello").await;
    socket.hear("4hello").await;
}

#[tokio::test]
async fn the_probe_is_answered_before_the_session_goes_over() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    polling.say("4waits").await;
    let path = format!("{}&sid={}", Layer::Engine.path("websocket"), polling.sid());
    let mut bare = Bare::open(echo.address, &path).await;
    // In one piece, so that the server has all of it before it could answer any.
    let frames = ["2probe", "5", "4hello"].map(|packet| {
        let head = [0x81, 0x80 | packet.len() as u8, 0, 0, 0, 0];
        [&head[..], packet.as_bytes()].concat()
    });
    bare.0.write_all(&frames.concat()).await.expect("sent");
    for packet in ["3probe", "4waits", "4hello"] {
        assert_eq!(bare.frame().await, Some((1, packet.into())));
    }
}

#[tokio::test]
async fn polling_goes_on_until_the_upgrade_packet() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let mut socket = polling.probed().await;
    polling.say("4a\x1ebAQ==").await;
    polling.hear("4a\x1ebAQ==").await;
    polling.hear("6").await;
    polling.say("4b").await;
    socket.say("5").await;
    socket.hear("4b").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_reordered() {
    const HALF: usize = 60;
    let echo = Echo::start().await;
    for _ in 0..5 {
        let polling = Polling::open(&echo, Layer::Engine).await;
        let mut heard = Vec::new();
        let said = async {
            for i in 0..HALF {
                polling.say(&format!("4{i}")).await;
            }
        };
        // It polls until it is told that it need not, as stock clients do.
        let polls = async {
            loop {
                let (status, body) = polling.get().await;
                assert_eq!(status, 200);
                let is_last = body == "6";
                heard.extend(
                    body.split('\x1e')
                        .filter(|it| *it != "6")
                        .map(str::to_owned),
                );
                if is_last {
                    return;
                }
            }
        };
        let ((), (), mut socket) = tokio::join!(said, polls, polling.probed());
        socket.say("5").await;
        for i in HALF..2 * HALF {
            socket.say(&format!("4{i}")).await;
        }
        while heard.len() < 2 * HALF {
            match socket.next().await {
                Heard::Text(text) => heard.push(text),
                other => panic!("{other:?} after {heard:?}"),
            }
        }
        let expected: Vec<_> = (0..2 * HALF).map(|i| format!("4{i}")).collect();
        assert_eq!(heard, expected);
    }
}

#[tokio::test]
async fn binary_that_waits_goes_over_as_frames() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    polling.say("bAQIDBA==\x1e4b").await;
    let mut socket = polling.probed().await;
    socket.say("5").await;
    assert_eq!(socket.next().await, Heard::Binary(vec![1, 2, 3, 4]));
    socket.hear("4b").await;
}

#[tokio::test]
async fn a_poll_that_is_there_at_the_upgrade_packet_is_ended() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let mut socket = polling.probed().await;
    let (heard, ()) = tokio::join!(polling.get(), socket.say("5"));
    // It came in time, or found the session gone over.
    assert!(heard == (200, "6".into()) || heard.0 == 400, "{heard:?}");
    socket.say("4hello").await;
    socket.hear("4hello").await;
}

#[tokio::test]
async fn a_session_that_went_over_has_done_with_http() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let mut socket = polling.probed().await;
    socket.say("5").await;
    socket.say("4over").await;
    socket.hear("4over").await;
    polling.is_over().await;
    assert_eq!(polling.post("4lost").await.0, 400);
    // And does not mind.
    socket.say("4hello").await;
    socket.hear("4hello").await;
}

#[tokio::test]
async fn a_second_websocket_is_closed_and_the_first_goes_on() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let mut first = polling.websocket().await;
    polling.websocket().await.is_closed(4007).await;
    first.say("2probe").await;
    first.hear("3probe").await;
    polling.websocket().await.is_closed(4007).await;
    first.say("5").await;
    polling.websocket().await.is_closed(4007).await;
    first.say("4hello").await;
    first.hear("4hello").await;
}

#[tokio::test]
async fn a_probe_that_is_none_leaves_the_session_on_polling() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    for bad in ["4hello", "2", "2other", "3probe", "abc", "1", ""] {
        let mut socket = polling.websocket().await;
        socket.say(bad).await;
        assert!(matches!(socket.next().await, Heard::End(_)), "{bad}");
        polling.say("4still").await;
        polling.hear("4still").await;
    }
    // And it may be tried again, once the server has noticed.
    let mut socket = eventually("another try", async || {
        let mut socket = polling.websocket().await;
        socket.say("2probe").await;
        (socket.next().await == "3probe".into()).then_some(socket)
    })
    .await;
    socket.say("5").await;
    socket.say("4over").await;
    socket.hear("4over").await;
}

#[tokio::test]
async fn a_probe_that_is_given_up_leaves_the_session_on_polling() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let socket = polling.probed().await;
    drop(socket);
    // Until the server has noticed, polls do not wait.
    let waits = async {
        while polling.get().await == (200, "6".into()) {
            polling.say("6").await;
        }
    };
    let said = async {
        eventually("a try", async || {
            let mut socket = polling.websocket().await;
            socket.say("2probe").await;
            (socket.next().await == "3probe".into()).then_some(())
        })
        .await;
    };
    said.await;
    polling.say("4still").await;
    soon("the message", waits).await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_finished_in_time_is_given_up() {
    let echo = Echo::with(|settings| settings.upgrade_timeout = Duration::from_millis(50)).await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let mut socket = polling.websocket().await;
    assert!(matches!(socket.next().await, Heard::End(_)));
    polling.say("4still").await;
    polling.hear("4still").await;
}

#[tokio::test]
async fn a_session_on_websocket_cannot_go_over() {
    let echo = Echo::start().await;
    let (mut socket, open) = Socket::open(&echo, Layer::Engine).await;
    let sid = open["sid"].as_str().expect("an id");
    let path = format!("{}&sid={sid}", Layer::Engine.path("websocket"));
    let second = Socket::connect(echo.address, &path).await;
    second.expect("accepted").is_closed(4007).await;
    socket.say("4hello").await;
    socket.hear("4hello").await;
}
