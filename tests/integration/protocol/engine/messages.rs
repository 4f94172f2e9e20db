//! Messages in both directions, on every transport.

use crate::harness::socket::Socket as Bare;
use crate::harness::{Transport, over_socketio};
use crate::protocol::Echo;
use crate::protocol::peer::{Layer, Peer, Socket};

over_socketio!(
    text_comes_back_as_text,
    binary_comes_back_as_binary,
    order_is_kept,
    what_is_no_packet_ends_the_session,
    one_message_may_be_as_large_as_was_said,
    late_packets_of_an_upgrade_say_nothing,
);

async fn text_comes_back_as_text(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
    for text in ["4hello", "4", "4€ \u{1F600} \0", "4b64", "42", "4\n"] {
        peer.say(text).await;
        peer.hear(text).await;
    }
}

async fn binary_comes_back_as_binary(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
    let all: Vec<u8> = (0..=255).collect();
    for bytes in [&[1, 2, 3, 4][..], &[], &[0x1e], b"4", &all] {
        peer.say_binary(bytes).await;
        peer.hear_binary(bytes).await;
    }
}

async fn order_is_kept(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
    for i in 0..25 {
        peer.say(&format!("4{i}")).await;
        peer.say_binary(&[i]).await;
    }
    for i in 0..25 {
        peer.hear(&format!("4{i}")).await;
        peer.hear_binary(&[i]).await;
    }
}

async fn what_is_no_packet_ends_the_session(transport: Transport) {
    let echo = Echo::start().await;
    for bad in ["abc", "7", "9x", "0", "0{}", " 4", "", "\u{20AC}", "-1"] {
        let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
        peer.say(bad).await;
        peer.is_closed().await;
    }
}

async fn one_message_may_be_as_large_as_was_said(transport: Transport) {
    let echo = Echo::with(|settings| settings.max_payload = 10_000).await;
    let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
    let fits = format!("4{}", "x".repeat(9_999));
    peer.say(&fits).await;
    peer.hear(&fits).await;
}

async fn late_packets_of_an_upgrade_say_nothing(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = Peer::open(&echo, Layer::Engine, transport).await;
    for late in ["6", "5"] {
        peer.say(late).await;
    }
    peer.say("4on").await;
    peer.hear("4on").await;
}

#[tokio::test]
async fn over_websocket_a_message_that_is_too_large_closes() {
    let echo = Echo::with(|settings| settings.max_payload = 10_000).await;
    let (mut socket, _) = Socket::open(&echo, Layer::Engine).await;
    socket.say(&format!("4{}", "x".repeat(10_000))).await;
    socket.is_closed(1009).await;
}

#[tokio::test]
async fn over_websocket_each_packet_is_a_frame() {
    let echo = Echo::start().await;
    let path = Layer::Engine.path("websocket");
    let mut bare = Bare::open(echo.address, &path).await;
    let (opcode, open) = bare.frame().await.expect("an open packet");
    assert_eq!((opcode, open[0]), (1, b'0'));
    // Separators mean nothing here.
    bare.send(0x81, b"4one\x1e4two", true).await;
    assert_eq!(bare.frame().await, Some((1, b"4one\x1e4two".to_vec())));
    bare.send(0x82, &[4, 0, 255], true).await;
    assert_eq!(bare.frame().await, Some((2, vec![4, 0, 255])));
    // A message in fragments, and a ping of WebSocket between them.
    bare.send(0x01, b"4hel", true).await;
    bare.send(0x89, b"there?", true).await;
    bare.send(0x80, b"lo", true).await;
    assert_eq!(bare.frame().await, Some((0xA, b"there?".to_vec())));
    assert_eq!(bare.frame().await, Some((1, b"4hello".to_vec())));
}

#[tokio::test]
async fn over_websocket_broken_frames_close() {
    let echo = Echo::start().await;
    for (first, payload, masked) in [
        (0x81, &b"4a"[..], false),
        (0xC1, b"4a", true),
        (0x83, b"4a", true),
        (0x80, b"4a", true),
        (0x81, &[b'4', 0xFF], true),
        (0x09, b"", true),
    ] {
        let mut bare = Bare::open(echo.address, &Layer::Engine.path("websocket")).await;
        bare.send(first, payload, masked).await;
        assert_eq!(
            bare.close_code().await,
            Some(4007),
            "{first:#x} {payload:?}"
        );
    }
}
