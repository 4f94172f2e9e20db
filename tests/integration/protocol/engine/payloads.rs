//! HTTP long-polling: several packets in a body, and one request of a kind at a time.

use crate::harness::{eventually, soon};
use crate::protocol::Echo;
use crate::protocol::peer::{Layer, Polling, request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_post_is_answered_ok() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let answer = request(echo.address, "POST", &polling.path(), b"4hello").await;
    assert_eq!((answer.status, &*answer.body), (200, "ok"));
    assert!(answer.content_type.starts_with("text/"), "{answer:?}");
    let answer = request(echo.address, "GET", &polling.path(), b"").await;
    assert_eq!((answer.status, &*answer.body), (200, "4hello"));
    assert_eq!(answer.content_type, "text/plain; charset=UTF-8");
}

#[tokio::test]
async fn packets_share_a_body() {
    let echo = Echo::start().await;
    for body in [
        "4test1\x1e4test2\x1e4test3",
        "4hello\x1ebAQIDBA==",
        "bAQIDBA==",
        "bAQ==\x1ebAgM=\x1ebBAUG",
        "b\x1e4\x1eb",
        "4\u{20AC}\x1e4b\x1e4",
    ] {
        let polling = Polling::open(&echo, Layer::Engine).await;
        polling.say(body).await;
        polling.hear(body).await;
    }
}

#[tokio::test]
async fn what_was_said_in_several_posts_comes_in_one_poll() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    for packet in ["4a", "4b", "bAQ=="] {
        polling.say(packet).await;
    }
    polling.hear("4a\x1e4b\x1ebAQ==").await;
}

#[tokio::test]
async fn other_packets_among_messages_say_nothing() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    polling.say("3\x1e4a\x1e6\x1e4b").await;
    polling.hear("4a\x1e4b").await;
}

#[tokio::test]
async fn a_poll_waits_until_there_is_something() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let (heard, ()) = tokio::join!(polling.get(), polling.say("4at last"));
    assert_eq!(heard, (200, "4at last".into()));
}

#[tokio::test]
async fn a_body_that_is_no_payload_is_answered_400_and_ends_the_session() {
    let echo = Echo::start().await;
    for body in [
        &b"abc"[..],
        b"",
        b"4a\x1e",
        b"\x1e4a",
        b"4a\x1e\x1e4b",
        b"4fine\x1exyz",
        b"b!",
        b"bAQIDBA",
        b"bAQ=",
        b"4\xFF",
        b"0{}",
    ] {
        let polling = Polling::open(&echo, Layer::Engine).await;
        let answer = request(echo.address, "POST", &polling.path(), body).await;
        assert_eq!(answer.status, 400, "{body:?}");
        polling.is_over().await;
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_413_and_ends_the_session() {
    let echo = Echo::with(|settings| settings.max_payload = 100).await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let fits = ["4a"; 34].join("\x1e");
    assert!((99..=101).contains(&fits.len()));
    polling.say(&fits[..98]).await;
    polling.hear(&fits[..98]).await;
    assert_eq!(polling.post(&"4".repeat(101)).await.0, 413);
    polling.is_over().await;
}

#[tokio::test]
async fn two_polls_at_a_time_end_the_session() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let both = tokio::join!(polling.get(), polling.get());
    let (first, second) = if both.0.0 == 200 {
        both
    } else {
        (both.1, both.0)
    };
    assert_eq!(first, (200, "1".into()), "the one that waited is told");
    assert_eq!(second.0, 400);
    polling.is_over().await;
}

#[tokio::test]
async fn two_posts_at_a_time_end_the_session() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let mut slow = TcpStream::connect(echo.address).await.expect("connected");
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\
         Connection: close\r\n\r\n",
        polling.path()
    );
    slow.write_all(head.as_bytes()).await.expect("sent");
    let mut line = [0; 12];
    soon("leave to go on", slow.read_exact(&mut line))
        .await
        .expect("an answer");
    assert_eq!(&line, b"HTTP/1.1 100", "the server is reading the body");
    assert_eq!(polling.post("4second").await.0, 400);
    polling.is_over().await;
    slow.write_all(b"4a").await.expect("sent");
    let mut rest = String::new();
    soon("an answer", slow.read_to_string(&mut rest))
        .await
        .expect("an answer");
    assert!(rest.contains("HTTP/1.1 400 "), "{rest}");
}

#[tokio::test]
async fn one_post_after_another_is_no_harm() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    for i in 0..50 {
        polling.say(&format!("4{i}")).await;
    }
    let expected: Vec<_> = (0..50).map(|i| format!("4{i}")).collect();
    polling.hear(&expected.join("\x1e")).await;
}

#[tokio::test]
async fn a_poll_that_is_given_up_ends_the_session() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Engine).await;
    let mut stream = TcpStream::connect(echo.address).await.expect("connected");
    let head = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", polling.path());
    stream.write_all(head.as_bytes()).await.expect("sent");
    drop(stream);
    eventually("an end", async || {
        (polling.post("3").await.0 == 400).then_some(())
    })
    .await;
    polling.is_over().await;
}
