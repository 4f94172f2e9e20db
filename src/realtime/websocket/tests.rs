//! A WebSocket against a client library, over TCP and over a stream that only the task may write.

mod other;

use super::*;
use crate::realtime::flusher::{Flusher, Limits};
use crate::realtime::outbox::Cause;
use futures_util::{SinkExt, StreamExt};
use std::time::Instant;
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message as Said;
use tungstenite::protocol::Role;

const PATIENCE: Duration = Duration::from_secs(10);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let client = TcpStream::connect(listener.local_addr().expect("address"));
    let (client, accepted) = tokio::join!(client, listener.accept());
    (client.expect("connect"), accepted.expect("accept").0)
}

fn socket(stream: Stream, limits: Limits) -> WebSocket {
    WebSocket::new(stream, b"", Outbox::new(&Flusher::new(limits)), 10_000)
}

async fn client<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

/// Echoes until the client closes.
async fn echo(mut socket: WebSocket) -> Option<u16> {
    loop {
        match socket.next().await {
            Incoming::Text(text) => socket.outbox().push_reply(Frame::text(&text)),
            Incoming::Binary(bytes) => socket.outbox().push_reply(Frame::binary(bytes)),
            Incoming::Closed(code) => {
                socket.answer_close(code).await;
                return code;
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    server: tokio::task::JoinHandle<Option<u16>>,
    stream: S,
) {
    let mut client = client(stream).await;
    for len in [0, 1, 125, 126, 9_999] {
        let said = Said::text("ü".repeat(len / 2));
        client.send(said.clone()).await.expect("sent");
        assert_eq!(soon(client.next()).await.expect("one").expect("ok"), said);
    }
    client.send(Said::Ping("hi".into())).await.expect("sent");
    assert_eq!(
        soon(client.next()).await.expect("one").expect("ok"),
        Said::Pong("hi".into())
    );
    let binary = Said::binary(vec![1, 2, 3]);
    client.send(binary.clone()).await.expect("sent");
    assert_eq!(soon(client.next()).await.expect("one").expect("ok"), binary);
    client.close(None).await.expect("sent");
    while let Some(Ok(said)) = soon(client.next()).await {
        assert!(said.is_close(), "{said:?}");
    }
    assert_eq!(soon(server).await.expect("no panic"), None);
}

#[tokio::test]
async fn every_kind_of_stream() {
    let (near, far) = tcp().await;
    let server = tokio::spawn(echo(socket(Stream::Tcp(far), Limits::default())));
    converse(server, near).await;
    let (near, far) = tokio::io::duplex(64);
    let stream = Stream::Other(Box::new(far));
    let server = tokio::spawn(echo(socket(stream, Limits::default())));
    converse(server, near).await;
    let (near, far) = other::tls().await;
    let server = tokio::spawn(echo(socket(far, Limits::default())));
    converse(server, near).await;
}

#[tokio::test]
async fn closing_writes_what_waits_first() {
    let (near, far) = tcp().await;
    close_with_much_to_say(near, Stream::Tcp(far)).await;
    let (near, far) = other::tls().await;
    close_with_much_to_say(near, far).await;
}

async fn close_with_much_to_say<S: AsyncRead + AsyncWrite + Unpin>(near: S, far: Stream) {
    let server = socket(far, Limits::default());
    for _ in 0..200 {
        server.outbox().push(Frame::text("x"));
    }
    server.outbox().hold();
    server.outbox().push_latest(1, Frame::text("held"));
    let outbox = server.outbox().clone();
    let server = tokio::spawn(async move { server.close(4008, "bye").await });
    let mut client = client(near).await;
    let mut texts = 0;
    let code = loop {
        match soon(client.next()).await.expect("one").expect("ok") {
            Said::Text(_) => texts += 1,
            Said::Close(Some(frame)) => break (u16::from(frame.code), frame.reason.to_string()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((texts, code), (201, (4008, "bye".into())));
    // Not an error: over TLS the end is said as well.
    let end = soon(client.next()).await;
    assert!(end.is_none(), "{end:?}");
    soon(server).await.expect("no panic");
    outbox.push(Frame::text("late"));
    assert_eq!(outbox.take_payload(10), None);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_a_slow_consumer() {
    // By what waits …
    let (near, far) = tcp().await;
    let mut server = socket(Stream::Tcp(far), Limits::default());
    let started = Instant::now();
    let close = loop {
        server.outbox().push(Frame::binary(vec![0; 100_000]));
        server.outbox().flush();
        if let Some(close) = server.outbox().close_requested() {
            break close;
        }
        assert!(started.elapsed() < PATIENCE);
    };
    assert_eq!(close.cause, Cause::SlowConsumer);
    assert!(matches!(soon(server.next()).await, Incoming::Asked(asked) if asked == close));
    soon(server.close(close.code, &close.reason)).await;
    drop(near);

    // … and by how long the socket stays full.
    let (near, far) = tcp().await;
    let limits = Limits {
        stall: Duration::from_millis(50),
        pushed_bytes: 1 << 30,
        ..Limits::default()
    };
    let mut server = socket(Stream::Tcp(far), limits);
    for _ in 0..200 {
        server.outbox().push(Frame::binary(vec![0; 100_000]));
    }
    let asked = soon(server.next()).await;
    assert!(matches!(asked, Incoming::Asked(close) if close.cause == Cause::SlowConsumer));
    assert_eq!(server.outbox().flusher().stats().slow_consumers(), 1);
    drop(near);
}

#[tokio::test]
async fn gone_without_a_word_and_against_the_rules() {
    let (near, far) = tcp().await;
    let mut server = socket(Stream::Tcp(far), Limits::default());
    drop(near);
    assert!(matches!(soon(server.next()).await, Incoming::Lost));

    let (near, far) = tcp().await;
    let mut server = socket(Stream::Tcp(far), Limits::default());
    let mut client = client(near).await;
    client
        .send(Said::binary(vec![0; 10_001]))
        .await
        .expect("sent");
    let Incoming::Violation(violation) = soon(server.next()).await else {
        panic!("too large a message was taken");
    };
    let server = tokio::spawn(async move {
        server.close(violation.code, violation.reason).await;
    });
    match soon(client.next()).await.expect("one").expect("ok") {
        Said::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1009),
        other => panic!("{other:?}"),
    }
    while let Some(Ok(_)) = soon(client.next()).await {}
    soon(server).await.expect("no panic");
}

#[tokio::test]
async fn requests_are_not_read_while_answers_wait() {
    let (near, far) = tcp().await;
    ask_without_reading(near, Stream::Tcp(far)).await;
    let (near, far) = other::tls().await;
    ask_without_reading(near, far).await;
}

async fn ask_without_reading<S>(near: S, far: Stream)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut server = socket(far, Limits::default());
    let outbox = server.outbox().clone();
    let server = tokio::spawn(async move {
        let mut asked = 0u32;
        loop {
            match server.next().await {
                Incoming::Text(_) => {
                    asked += 1;
                    server.outbox().push_reply(Frame::binary(vec![0; 50_000]));
                }
                Incoming::Closed(code) => {
                    server.answer_close(code).await;
                    return asked;
                }
                other => panic!("{other:?}"),
            }
        }
    });
    let (mut sink, mut stream) = client(near).await.split();
    const ASKED: u32 = 2000;
    let asking = tokio::spawn(async move {
        for _ in 0..ASKED {
            sink.send(Said::text("?")).await.expect("sent");
        }
        sink
    });
    // Nobody reads: it fills up, and stays within its bounds.
    let full = async {
        while !(outbox.is_congested() && outbox.is_full()) {
            tokio::task::yield_now().await;
        }
    };
    soon(full).await;
    for _ in 0..ASKED {
        let said = soon(stream.next()).await.expect("one").expect("ok");
        assert_eq!(said.len(), 50_000);
    }
    let mut sink = soon(asking).await.expect("no panic");
    sink.close().await.expect("sent");
    assert_eq!(soon(server).await.expect("no panic"), ASKED);
}
