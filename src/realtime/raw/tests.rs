use crate::realtime::client::tests::bench;
use crate::server;
use futures_util::StreamExt;
use poem::Route;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tungstenite::Message as Said;

/// Less than a client may take for its `auth`.
const PATIENCE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_stop_does_not_wait_for_who_has_not_signed_in() {
    let bench = bench().await;
    let listener = server::bind("127.0.0.1:0".parse().expect("an address")).expect("free");
    let address = listener.local_addr().expect("bound");
    let endpoint = crate::http::realtime::mount(Route::new(), bench.realtime.clone());
    let stop = CancellationToken::new();
    let serving = server::run(listener, endpoint, server::Options::default(), stop.clone());
    let serving = tokio::spawn(serving);
    let url = format!("ws://{address}/ws");
    let (mut client, _) = tokio_tungstenite::connect_async(url)
        .await
        .expect("connects");
    let said = tokio::spawn(async move { client.next().await.expect("a close").expect("whole") });
    tokio::time::timeout(PATIENCE, bench.realtime.shut_down(Vec::new()))
        .await
        .expect("in time");
    match said.await.expect("no panic") {
        Said::Close(Some(close)) => {
            assert_eq!(u16::from(close.code), 4008);
            assert!(close.reason.contains("reconnectAfterMs"), "{close:?}");
        }
        other => panic!("{other:?}"),
    }
    stop.cancel();
    serving.await.expect("ends");
}

#[tokio::test]
async fn the_task_of_a_connection_is_small() {
    let bench = bench().await;
    let mut request = hyper::Request::new(());
    let promise = hyper::upgrade::on(&mut request);
    let start = Box::new(super::Start {
        peer: bench.realtime.shared.peer(&poem::Request::default()),
        handshake: super::Handshake::default(),
        identity: None,
        admission: bench
            .realtime
            .shared
            .admit([127, 0, 0, 1].into())
            .expect("a place"),
    });
    let task = super::run(bench.realtime.shared.clone(), promise, start);
    assert!(size_of_val(&task) <= 1024, "{}", size_of_val(&task));
}
