//! The log as CSV or JSON lines: the whole selection, newest first, a page at a time as fast as its reader reads.
//!
//! Each page is a short read of its own, and the next one is read when the one before was sent: one page is in memory
//! for each reader, and no snapshot is held. A row that is logged meanwhile is not in it.

use super::types::UserActivity;
use crate::error::Result;
use crate::export::{self, Format};
use crate::http::envelope::Success;
use crate::model::LoggedActivity;
use crate::store::{ActivityFilter, ActivityPlace, Store};
use bytes::Bytes;
use futures_util::stream::try_unfold;
use poem::{Body, IntoResponse, Response};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, ResponseContent};
use std::io;

/// Rows of a page.
const ROWS: usize = 1_000;

/// Rows of the log in the form that was asked for.
#[derive(ResponseContent)]
pub enum ActivityContent {
    /// A page.
    Json(Json<Success<UserActivity>>),
    /// All.
    Csv(CsvRows),
    /// All.
    Ndjson(NdjsonRows),
}

#[derive(ApiResponse)]
pub enum ActivityReply {
    /// Done
    #[oai(status = 200)]
    Ok(
        ActivityContent,
        /// `Accept`
        #[oai(header = "Vary")]
        String,
        /// `attachment`, with the name of a file; of CSV and JSON lines
        #[oai(header = "Content-Disposition")]
        Option<String>,
    ),
}

impl ActivityReply {
    /// A page.
    pub fn page(page: UserActivity) -> Self {
        let json = ActivityContent::Json(Success::json(page));
        Self::Ok(json, "Accept".into(), None)
    }

    /// All rows of the selection, which without a filter is empty. The first page is read before the answer begins, so
    /// that a store that cannot answer is one that says so.
    pub async fn all(
        store: &Store,
        filter: Option<ActivityFilter>,
        format: Format,
    ) -> Result<Self> {
        let mut walk = Walk {
            store: store.clone(),
            next: filter.map(|filter| (filter, ActivityPlace::Offset(0))),
            format,
            ready: None,
        };
        let mut first = export::header::<LoggedActivity>(format);
        first.extend(walk.page().await?);
        walk.ready = Some(first);
        let body = walk.into_body();
        let (content, ending) = match format {
            Format::Csv => (ActivityContent::Csv(CsvRows(body)), "csv"),
            Format::Jsonl => (ActivityContent::Ndjson(NdjsonRows(body)), "ndjson"),
        };
        let name = format!("attachment; filename=\"user-activity.{ending}\"");
        Ok(Self::Ok(content, "Accept".into(), Some(name)))
    }
}

/// A selection on its way.
struct Walk {
    store: Store,
    format: Format,
    /// What is read, but not sent.
    ready: Option<Vec<u8>>,
    /// Where the next page begins; `None` after the last.
    next: Option<(ActivityFilter, ActivityPlace)>,
}

impl Walk {
    /// Reads the next page; nothing after the last.
    async fn page(&mut self) -> Result<Vec<u8>> {
        let Some((filter, place)) = self.next.take() else {
            return Ok(Vec::new());
        };
        let page = self
            .store
            .activities(filter.clone(), place, ROWS, false)
            .await?;
        self.next = page.next.map(|id| (filter, ActivityPlace::Before(id)));
        Ok(export::text(self.format, &page.activities))
    }

    fn into_body(self) -> Body {
        Body::from_bytes_stream(try_unfold(self, |mut walk| async move {
            let text = match walk.ready.take() {
                Some(text) => text,
                None => walk.page().await.map_err(|error| {
                    tracing::warn!(%error, "a stream of activities broke off");
                    io::Error::other(error)
                })?,
            };
            // Only what comes after the last page is empty, or a selection without rows.
            let chunk = (!text.is_empty()).then(|| Bytes::from(text));
            Ok::<_, io::Error>(chunk.map(|chunk| (chunk, walk)))
        }))
    }
}

/// CSV with a header.
pub struct CsvRows(Body);

/// JSON lines.
pub struct NdjsonRows(Body);

macro_rules! text_payload {
    ($name:ident, $content_type:literal) => {
        impl Payload for $name {
            const CONTENT_TYPE: &'static str = $content_type;

            fn schema_ref() -> MetaSchemaRef {
                String::schema_ref()
            }

            fn register(registry: &mut Registry) {
                String::register(registry);
            }
        }

        impl IntoResponse for $name {
            fn into_response(self) -> Response {
                let response = Response::builder().content_type(Self::CONTENT_TYPE);
                response.body(self.0)
            }
        }
    };
}

text_payload!(CsvRows, "text/csv; charset=utf-8");
text_payload!(NdjsonRows, "application/x-ndjson");
