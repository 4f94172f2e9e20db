//! Alive, ready, and in figures.

use super::Services;
use super::document::Tag;
use super::envelope::{Reply, ok};
use super::error::Failure;
use super::extract::AsAdmin;
use crate::error::Error;
use poem_openapi::payload::PlainText;
use poem_openapi::{ApiResponse, Object, OpenApi};
use std::sync::Arc;

/// Health and metrics.
pub struct HealthApi(pub Arc<Services>);

/// How the server is.
#[derive(Debug, Object)]
pub struct Health {
    /// `ok`.
    status: String,
}

/// Figures for a scraper.
#[derive(ApiResponse)]
enum Figures {
    /// Prometheus text
    #[oai(
        status = 200,
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    )]
    Ok(PlainText<String>),
}

fn healthy() -> Reply<Health> {
    ok(Health {
        status: "ok".into(),
    })
}

#[OpenApi(tag = "Tag::Health")]
impl HealthApi {
    /// Alive
    ///
    /// 200 while the process answers.
    #[oai(path = "/healthz", method = "get", operation_id = "getLiveness")]
    async fn alive(&self) -> Reply<Health> {
        healthy()
    }

    /// Ready
    ///
    /// 200 while the store answers and the server is not stopping, else 503.
    #[oai(path = "/readyz", method = "get", operation_id = "getReadiness")]
    async fn ready(&self) -> Reply<Health> {
        if self.0.stopping.is_cancelled() {
            return Err(Error::Unavailable.into());
        }
        self.0.store.ready().await?;
        healthy()
    }

    /// Metrics
    ///
    /// Prometheus text. For an admin here, and for anyone on `--metrics-listen`.
    #[oai(path = "/metrics", method = "get", operation_id = "getMetrics")]
    async fn metrics(&self, _admin: AsAdmin) -> Result<Figures, Failure> {
        Ok(Figures::Ok(PlainText(self.0.metrics.encode())))
    }
}

/// `/metrics` for anyone, for a listener of its own.
pub(super) struct OpenMetricsApi(pub Arc<crate::metrics::Metrics>);

#[OpenApi(tag = "Tag::Health")]
impl OpenMetricsApi {
    /// Metrics
    #[oai(path = "/metrics", method = "get", operation_id = "getMetrics")]
    async fn metrics(&self) -> Result<Figures, Failure> {
        Ok(Figures::Ok(PlainText(self.0.encode())))
    }
}
