//! Stand-in for `crate::app::App`, which `serve` is written against: answers 404 to everything.

use crate::config::Config;
use poem::http::StatusCode;
use poem::{Endpoint, Response, endpoint::make_sync};

pub(super) struct App;

impl App {
    pub(super) async fn start(_config: &Config) -> anyhow::Result<Self> {
        Ok(Self)
    }

    pub(super) fn endpoint(&self) -> impl Endpoint + 'static {
        make_sync(|_| {
            let json = r#"{"success":false,"error":{"code":"not_found","message":"not found"}}"#;
            Response::builder()
                .status(StatusCode::NOT_FOUND)
                .content_type("application/json; charset=utf-8")
                .body(json)
        })
    }

    pub(super) fn metrics_endpoint(&self) -> impl Endpoint + 'static {
        self.endpoint()
    }

    pub(super) async fn shutdown(&self) {}
}
