//! The API as a client sees it, without a socket. What the services do behind it is tested beside them.

mod activities;
mod admin;
mod analytics;
mod bulk;
mod failures;
mod flows;
mod own;
mod streams;
mod world;

use crate::error::Result;
use futures_util::poll;
use poem::endpoint::make;
use poem::{Endpoint, Request, Response};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use world::World;

#[tokio::test]
async fn a_panic_is_a_500_and_no_more() {
    let panics = make(|_| async { Err::<Response, _>(panic_with("a secret")) });
    let table = super::document::RouteTable::default();
    let response = super::enveloped(panics, table)
        .get_response(Request::default())
        .await;
    assert_eq!(response.status(), 500);
    let text = response.into_body().into_string().await.expect("UTF-8");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["error"]["code"], "internal");
    assert!(!text.contains("secret"));
}

/// A handler is dropped when its client goes; what follows a committed write must not go with it.
#[tokio::test]
async fn what_was_begun_is_finished_without_the_client() {
    let services = World::new().await.services;
    let (go, begun) = oneshot::channel::<()>();
    let (finish, finished) = oneshot::channel();
    let work = async move {
        begun.await.expect("the word");
        finish.send(()).expect("somebody listens");
        Result::Ok(())
    };
    {
        let mut handler = pin!(services.to_the_end(work));
        assert!(poll!(handler.as_mut()).is_pending());
    }
    go.send(()).expect("still at work");
    let soon = Duration::from_secs(10);
    timeout(soon, finished)
        .await
        .expect("in time")
        .expect("done");
    services.finishing.close();
    timeout(soon, services.finishing.wait())
        .await
        .expect("nothing is left");
}

fn panic_with(message: &str) -> poem::Error {
    panic!("{message}")
}
