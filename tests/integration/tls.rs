//! Everything over TLS, who is refused there, and a certificate that is renewed while the server runs.

use crate::harness::process::{Serving, fail};
use crate::harness::tls::{Files, Pair, Tunnel, connect};
use crate::harness::{
    Client, Connect, Http, NEVER, Said, Server, Transport, User, over_every_transport, soon,
};
use lastseen::config::Config;
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

over_every_transport!(presence_goes_over_tls, much_goes_over_tls);

async fn serve(change: impl FnOnce(&mut Config)) -> (Server, Pair) {
    let pair = Pair::new();
    let files = Files::of(&pair);
    let server = Server::with(|c| {
        c.tls_cert = Some(files.certificate.clone());
        c.tls_key = Some(files.key.clone());
        change(c);
    })
    .await;
    (server, pair)
}

/// Follows, where the server speaks TLS only.
async fn follow(server: &Server, pair: &Pair, follower: &User, followee: &User) {
    let http = Http::over_tls(server.address, &follower.token, &pair.certificate);
    let path = format!("/users/{}/follow", followee.name);
    let answer = http.post(&path, json!(null)).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
}

async fn client(address: SocketAddr, transport: Transport, user: &User) -> Client {
    let mut client = Client::open(address, transport, user.into()).await;
    if transport != Transport::Raw {
        assert_eq!(client.next().await, Said::Connected);
    }
    client.event("presence_snapshot").await;
    client
}

async fn presence_goes_over_tls(transport: Transport) {
    let (server, pair) = serve(|_| {}).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    follow(&server, &pair, &ann, &bob).await;
    let tunnel = Tunnel::to(server.address, &pair.certificate).await;
    let mut watching = client(tunnel.address, transport, &ann).await;
    let app = client(tunnel.address, transport, &bob).await;
    watching.update(&bob, "online").await;
    let http = Http::over_tls(server.address, &ann.token, &pair.certificate);
    let seen = http.get("/users/bob/presence").await.data(200);
    assert_eq!(seen["isOnline"], true);
    app.close().await;
    watching.update(&bob, "offline").await;
    // Lost, not closed: the end of the stream below.
    let app = client(tunnel.address, transport, &bob).await;
    watching.update(&bob, "online").await;
    if transport != Transport::Polling {
        app.lose().await;
        watching.update(&bob, "offline").await;
    }
    watching.close().await;
}

/// More than a record, and more than the buffers hold.
async fn much_goes_over_tls(transport: Transport) {
    let (server, pair) = serve(|c| (c.event_rate, c.event_burst) = (10_000, 10_000)).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let http = Http::over_tls(server.address, &ann.token, &pair.certificate);
    let with = json!({ "participants": ["bob"] });
    let made = http.post("/messages/conversations", with).await.data(201);
    let id = &made["conversationId"];
    let path = format!("/messages/conversations/{id}/messages");
    let tunnel = Tunnel::to(server.address, &pair.certificate).await;
    let mut app = client(tunnel.address, transport, &bob).await;
    // Four records each.
    let text = |index: usize| format!("{index} {}", "ü".repeat(9_000)) + &"x".repeat(990);
    for index in 0..20 {
        http.post(&path, json!({ "text": text(index) }))
            .await
            .data(201);
    }
    for index in 0..20 {
        let message = app.event("message").await;
        assert_eq!(message["message"]["text"], text(index));
    }
    // Upwards too.
    let long = "y".repeat(60_000);
    for _ in 0..20 {
        app.succeed("heartbeat", json!({ "filler": long })).await;
    }
    app.close().await;
}

/// Without a tunnel: nothing stands between these clients and the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_clients_speak_https_and_wss() {
    let (server, pair) = serve(|_| {}).await;
    let http = Http::over_tls(server.address, "", &pair.certificate);
    let new = json!({ "username": "ann", "password": "correct horse" });
    let signed_up = http.post("/auth/signup", new).await.data(201);
    let token = signed_up["token"].as_str().expect("a token");
    let ann = Http::over_tls(server.address, token, &pair.certificate);
    assert_eq!(ann.get("/users/me").await.data(200)["username"], "ann");

    let stream = connect(server.address, &pair.certificate).await;
    let url = format!("wss://{}/ws?token={token}", server.address);
    let request = url.into_client_request().expect("a request");
    let socket = tokio_tungstenite::client_async(request, stream.expect("shaken hands"));
    let (mut socket, _) = soon("a WebSocket", socket).await.expect("a WebSocket");
    use futures_util::{SinkExt as _, StreamExt as _};
    let said = soon("a snapshot", socket.next()).await.expect("one");
    let said = said.expect("a message").into_text().expect("text");
    assert!(said.contains("presence_snapshot"), "{said}");
    let seen = ann.get("/users/ann/presence").await.data(200);
    assert_eq!(seen["isOnline"], true);
    socket.send(Message::Close(None)).await.expect("sent");
    // The close frame, and then the end: an error would be TLS cut off without its `close_notify`.
    let said = soon("an answer", socket.next()).await;
    assert!(matches!(said, Some(Ok(Message::Close(_)))), "{said:?}");
    let end = soon("the end", socket.next()).await;
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_no_tls_or_nothing_harms_nobody() {
    // Nobody is cut off in time here: whoever is served is served beside them.
    let (server, pair) = serve(|c| c.header_timeout = NEVER).await;
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(TcpStream::connect(server.address).await.expect("accepted"));
    }
    for stream in &mut held[..25] {
        // The head of a record that does not come.
        stream
            .write_all(b"\x16\x03\x01\x02\x00")
            .await
            .expect("sent");
    }
    let http = Http::over_tls(server.address, "", &pair.certificate);
    assert_eq!(http.get("/healthz").await.status, 200);
    for plain in [
        &b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x00\xff\x00\xff rubbish rubbish rubbish",
    ] {
        let mut stream = TcpStream::connect(server.address).await.expect("accepted");
        stream.write_all(plain).await.expect("sent");
        let mut answer = Vec::new();
        // Reset or closed, perhaps after an alert; no word of HTTP.
        let _ = soon("the end", stream.read_to_end(&mut answer)).await;
        assert!(answer.len() <= 7, "{answer:?}");
    }
    let stranger = connect(server.address, &Pair::new().certificate).await;
    assert!(stranger.is_err(), "the certificate is not trusted");
    assert_eq!(http.get("/healthz").await.status, 200);
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_shake_hands_in_time_is_closed() {
    let (server, pair) = serve(|c| c.header_timeout = Duration::from_millis(200)).await;
    let silent = TcpStream::connect(server.address).await.expect("accepted");
    let mut half = TcpStream::connect(server.address).await.expect("accepted");
    half.write_all(b"\x16\x03\x01\x02\x00").await.expect("sent");
    let http = Http::over_tls(server.address, "", &pair.certificate);
    for mut stream in [silent, half] {
        let mut rest = Vec::new();
        let ended = soon("the end", stream.read_to_end(&mut rest)).await;
        assert!(matches!(ended, Ok(0)), "{ended:?}");
        assert_eq!(http.get("/healthz").await.status, 200);
    }
    // After the handshake the time limit is that of the headers, as without TLS.
    let stream = connect(server.address, &pair.certificate).await;
    let (mut stream, mut rest) = (stream.expect("shaken hands"), Vec::new());
    // Nothing was said, so an end without `close_notify` is one as well.
    let _ = soon("the end", stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_nobody_who_has_not_shaken_hands() {
    let (mut server, _pair) = serve(|c| c.header_timeout = NEVER).await;
    let mut silent = TcpStream::connect(server.address).await.expect("accepted");
    soon("the stop", server.stop()).await;
    let mut rest = Vec::new();
    let ended = soon("the end", silent.read_to_end(&mut rest)).await;
    assert_eq!(ended.unwrap_or_default(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reads_the_certificate_again() {
    let (old, new) = (Pair::new(), Pair::new());
    let files = Files::of(&old);
    let database = files.directory().join("lastseen.db");
    let mut serving = Serving::start(&database, &files.flags()).await;
    let address = serving.address;
    let http = Http::over_tls(address, "", &old.certificate);
    let sign_up = json!({ "username": "ann", "password": "correct horse" });
    let signed_up = http.post("/auth/signup", sign_up).await.data(201);
    let connect_as = Connect {
        token: signed_up["token"].as_str().expect("a token").to_owned(),
        ..Connect::default()
    };
    let tunnel = Tunnel::to(address, &old.certificate).await;
    let mut app = Client::open(tunnel.address, Transport::Raw, connect_as).await;
    app.event("presence_snapshot").await;

    // Bad ones first: half renewed, not there, rubbish.
    files.write(&new.certificate, &old.key);
    serving.signal("HUP");
    let line = serving.logs("ERROR").await;
    assert!(line.contains("key.pem"), "{line}");
    std::fs::remove_file(&files.certificate).expect("removed");
    serving.signal("HUP");
    let line = serving.logs("ERROR").await;
    assert!(line.contains("certificate.pem"), "{line}");
    files.write("Dear diary", &new.key);
    serving.signal("HUP");
    let line = serving.logs("ERROR").await;
    assert!(line.contains("certificate.pem"), "{line}");
    assert!(connect(address, &new.certificate).await.is_err());
    assert!(connect(address, &old.certificate).await.is_ok());

    files.write(&new.certificate, &new.key);
    serving.signal("HUP");
    serving.logs("SIGHUP: new connections").await;
    assert!(connect(address, &new.certificate).await.is_ok());
    assert!(connect(address, &old.certificate).await.is_err());
    let renewed = Http::over_tls(address, "", &new.certificate);
    assert_eq!(renewed.get("/readyz").await.status, 200);
    // Who was there stays, by WebSocket and by a kept connection.
    app.succeed("heartbeat", json!({})).await;
    assert_eq!(http.get("/readyz").await.status, 200);
    serving.signal("TERM");
    let (status, log) = serving.end().await;
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("listening on https://"), "{log}");
    assert!(!log.contains("WARN"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tls_a_hangup_is_logged_and_ends_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut serving = Serving::start(&directory.path().join("lastseen.db"), &[]).await;
    serving.signal("HUP");
    serving.logs("SIGHUP").await;
    assert_eq!(
        Http::new(serving.address, "").get("/readyz").await.status,
        200
    );
    serving.signal("TERM");
    assert_eq!(serving.end().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_stay_plain() {
    let files = Files::of(&Pair::new());
    let database = files.directory().join("lastseen.db");
    let mut flags = files.flags().to_vec();
    flags.extend(["--metrics-listen", "127.0.0.1:0"]);
    let serving = Serving::start(&database, &flags).await;
    let line = serving.logged("metrics on http://");
    let url = line.split_once("metrics on http://").expect("a URL").1;
    let address = url.split_once('/').expect("a path").0;
    let http = Http::new(address.parse().expect("an address"), "");
    assert_eq!(http.get("/metrics").await.status, 200);
    serving.signal("TERM");
    assert_eq!(serving.end().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_pair_at_the_start_is_named() {
    let (pair, other) = (Pair::new(), Pair::new());
    let files = Files::of(&pair);
    let database = files.directory().join("lastseen.db");
    let refused = async |flags: &[&str], names: &[&str]| {
        let path = database.to_str().expect("text");
        let mut all = vec!["serve", "--listen", "127.0.0.1:0", "--database", path];
        all.extend(flags);
        let line = fail(&all).await;
        for name in names {
            assert!(line.contains(name), "{name}: {line}");
        }
        assert!(!line.contains(other.key.lines().nth(1).expect("a line")));
    };
    let flags = files.flags();
    refused(&flags[..2], &["tls_cert", "tls_key"]).await;
    refused(&flags[2..], &["tls_cert", "tls_key"]).await;
    files.write(&pair.certificate, &other.key);
    refused(&flags, &["certificate.pem", "key.pem"]).await;
    files.write("Dear diary", &pair.key);
    refused(&flags, &["tls_cert", "certificate.pem"]).await;
    files.write(&pair.certificate, "Dear diary");
    refused(&flags, &["tls_key", "key.pem"]).await;
    files.write(&pair.certificate, "");
    refused(&flags, &["tls_key", "key.pem"]).await;
    std::fs::remove_file(&files.key).expect("removed");
    refused(&flags, &["tls_key", "key.pem"]).await;
    files.write("", &pair.key);
    std::fs::remove_file(&files.certificate).expect("removed");
    refused(&flags, &["tls_cert", "certificate.pem"]).await;
    assert!(!Path::new(&database).exists(), "nothing was made");

    // A key that others may read is a warning.
    files.write(&pair.certificate, &pair.key);
    files.permit(0o640);
    let serving = Serving::start(&database, &flags).await;
    let line = serving.logged("WARN");
    assert!(line.contains("key.pem"), "{line}");
    serving.signal("TERM");
    assert_eq!(serving.end().await.0, Some(0));
}
