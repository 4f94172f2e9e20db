use super::*;
use crate::realtime::stream::{Stream, UpgradeHandle, upgraded};
use poem::{Body, IntoResponse as _, Request, Response, endpoint::make};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    /// A request to `/wait` has begun.
    begun: Arc<Notify>,
    /// Lets it end.
    go_on: Arc<Notify>,
}

fn start(options: Options) -> Server {
    let listener = bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let shutdown = CancellationToken::new();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notifies = (begun.clone(), go_on.clone());
    let endpoint = make(move |request: Request| {
        let (begun, go_on) = notifies.clone();
        async move { handle(request, &begun, &go_on).await }
    });
    let task = tokio::spawn(run(listener, endpoint, options, shutdown.clone()));
    Server {
        address,
        shutdown,
        task,
        begun,
        go_on,
    }
}

async fn handle(
    mut request: Request,
    begun: &Notify,
    go_on: &Notify,
) -> Result<Response, poem::Error> {
    match request.uri().path() {
        "/panic" => panic!("for the test"),
        "/wait" => {
            begun.notify_one();
            go_on.notified().await;
            Ok("waited".into_response())
        }
        "/upgrade" => {
            let upgrade = request
                .data::<UpgradeHandle>()
                .and_then(UpgradeHandle::take);
            tokio::spawn(async move {
                let (stream, early) = upgraded(upgrade.expect("there, once"))
                    .await
                    .expect("upgraded");
                assert!(early.is_empty());
                let Stream::Tcp(mut stream) = stream else {
                    panic!("a plain socket");
                };
                let mut four = [0; 4];
                stream.read_exact(&mut four).await.expect("readable");
                stream.write_all(&four).await.expect("writable");
                stream.shutdown().await.expect("closable");
            });
            let response = Response::builder()
                .status(poem::http::StatusCode::SWITCHING_PROTOCOLS)
                .header("connection", "upgrade")
                .header("upgrade", "echo");
            Ok(response.finish())
        }
        "/peer" => Ok(request.remote_addr().to_string().into_response()),
        _ => {
            let bytes = request.take_body().into_bytes_limit(1 << 20).await?;
            Ok(Body::from(bytes).into_response())
        }
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("accepted")
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(DEADLINE, self.task)
            .await
            .expect("stops")
            .expect("no panic");
    }
}

/// Reads to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut bytes))
        .await
        .expect("the server closes");
    // A reset after the last byte is an end as well: the server need not read what it refuses.
    if let Err(error) = read {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(bytes).expect("text")
}

/// Reads until `end` was seen.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let count = timeout(DEADLINE, stream.read(&mut buffer))
            .await
            .expect("an answer")
            .expect("readable");
        assert!(count > 0, "closed after {text:?}");
        text += std::str::from_utf8(&buffer[..count]).expect("text");
    }
    text
}

/// Sends `bytes` one by one until the server closes or answers; `false` when all could be sent.
async fn dribble(stream: &mut TcpStream, bytes: impl Iterator<Item = u8>) -> bool {
    for byte in bytes {
        let mut first = [0; 1];
        if stream.write_all(&[byte]).await.is_err() {
            return true;
        }
        if timeout(Duration::from_millis(10), stream.peek(&mut first))
            .await
            .is_ok()
        {
            return true;
        }
    }
    false
}

fn quick() -> Options {
    Options {
        header_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        ..Options::default()
    }
}

#[tokio::test]
async fn slow_headers_are_cut_off_on_a_fresh_and_on_a_kept_connection() {
    let server = start(quick());
    let head = || {
        b"GET / HTTP/1.1\r\nx: "
            .iter()
            .copied()
            .chain(std::iter::repeat_n(b'a', 2000))
    };
    let mut fresh = server.connect().await;
    assert!(dribble(&mut fresh, head()).await);

    let mut kept = server.connect().await;
    kept.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
        .await
        .expect("writable");
    until(&mut kept, "hi").await;
    assert!(dribble(&mut kept, head()).await);

    let mut idle = server.connect().await;
    assert_eq!(rest(&mut idle).await, "");
    server.stop().await;
}

#[tokio::test]
async fn a_header_flood_is_431() {
    let server = start(Options::default());
    let mut large = server.connect().await;
    let head = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "a".repeat(40_000)
    );
    large.write_all(head.as_bytes()).await.expect("writable");
    assert!(rest(&mut large).await.starts_with("HTTP/1.1 431 "));

    let mut many = server.connect().await;
    let head = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(200)
    );
    many.write_all(head.as_bytes()).await.expect("writable");
    assert!(rest(&mut many).await.starts_with("HTTP/1.1 431 "));
    server.stop().await;
}

#[tokio::test]
async fn a_slow_body_is_408_with_and_without_a_length() {
    let server = start(quick());
    for head in [
        "content-length: 5000\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n1388\r\n",
    ] {
        let mut stream = server.connect().await;
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{head}");
        stream.write_all(head.as_bytes()).await.expect("writable");
        assert!(dribble(&mut stream, std::iter::repeat_n(b'a', 5000)).await);
        let answer = until(&mut stream, "}}").await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains(r#""code":"request_timeout""#), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_are_kept_and_continue_is_sent() {
    let server = start(Options::default());
    let mut stream = server.connect().await;
    for _ in 0..3 {
        let head =
            b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
        stream.write_all(head).await.expect("writable");
        until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
        stream.write_all(b"hello").await.expect("writable");
        assert!(
            until(&mut stream, "hello")
                .await
                .starts_with("HTTP/1.1 200 ")
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn the_peer_is_passed_on() {
    let server = start(Options::default());
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /peer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .expect("writable");
    let own = stream.local_addr().expect("connected").to_string();
    assert!(rest(&mut stream).await.contains(&own));
    server.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_goes_on() {
    let server = start(Options::default());
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("writable");
    let answer = until(&mut stream, "}}").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    let json = r#"{"success":false,"error":{"code":"internal","message":"internal error"}}"#;
    assert!(answer.ends_with(json), "{answer}");
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
        .await
        .expect("writable");
    until(&mut stream, "hi").await;
    server.stop().await;
}

#[tokio::test]
async fn shutdown_stops_accepting_and_lets_a_running_request_finish() {
    let server = start(Options::default());
    let mut idle = server.connect().await;
    idle.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi")
        .await
        .expect("writable");
    until(&mut idle, "hi").await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("writable");
    timeout(DEADLINE, server.begun.notified())
        .await
        .expect("begun");

    server.shutdown.cancel();
    assert_eq!(rest(&mut idle).await, "");
    // The listener is closed by now, since it is before any connection is: nobody answers any more.
    let late = TcpStream::connect(server.address).await;
    assert!(late.is_err(), "{late:?}");
    assert!(!server.task.is_finished());
    server.go_on.notify_one();
    let answer = rest(&mut busy).await;
    assert!(answer.ends_with("waited"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_does_not_end_is_dropped_after_the_drain() {
    let server = start(Options {
        drain_timeout: Duration::from_millis(100),
        ..Options::default()
    });
    let mut stuck = server.connect().await;
    stuck
        .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("writable");
    timeout(DEADLINE, server.begun.notified())
        .await
        .expect("begun");
    server.stop().await;
    assert_eq!(rest(&mut stuck).await, "");
}

#[tokio::test]
async fn an_upgrade_passes_through_and_outlives_the_server() {
    let server = start(Options::default());
    let mut stream = server.connect().await;
    stream
        .write_all(
            b"GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
        )
        .await
        .expect("writable");
    let head = until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    server.stop().await;
    stream.write_all(b"ping").await.expect("writable");
    assert_eq!(rest(&mut stream).await, "ping");
}

#[tokio::test]
async fn a_port_in_use_is_an_error() {
    let first = bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let second = bind(first.local_addr().expect("bound"));
    assert_eq!(second.expect_err("taken").kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn failed_accepts_back_off_to_a_limit() {
    let mut failures = Failures::default();
    let error = io::Error::other("no files");
    assert_eq!(failures.another(&error), BACKOFF);
    for _ in 0..10 {
        assert!(failures.another(&error) <= LONGEST_BACKOFF);
    }
    assert_eq!(failures.another(&error), LONGEST_BACKOFF);
    assert_eq!(failures.unlogged, 11);
    failures.over();
    assert_eq!(failures.another(&error), BACKOFF);
}
