//! What happens, as it happens: server-sent events for administrators (WHATWG HTML, section 9.2).
//!
//! A stream takes from the one ring of [`crate::bus::live`] as fast as its reader reads, and holds a chunk at a time:
//! who is too slow is told how much they missed. Figures come at once and then every few seconds, with a comment that
//! keeps proxies from giving up, and each time the credential is looked at again. It ends when that is not good any
//! more, and when the server stops, which does not wait for it.

mod event;

use super::Services;
use super::document::Tag;
use super::error::Failure;
use super::extract::AsAdmin;
use crate::auth::Identity;
use crate::bus::live::Follower;
use crate::error::Error;
use crate::model::LoggedActivity;
use bytes::Bytes;
use event::Counters;
use futures_util::stream;
use poem::http::header::RETRY_AFTER;
use poem::http::{HeaderValue, StatusCode};
use poem::{Body, IntoResponse, Response};
use poem_openapi::param::Query;
use poem_openapi::payload::Payload;
use poem_openapi::registry::MetaSchemaRef;
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, OpenApi};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Bytes after which a chunk is sent, though more events are there.
const CHUNK_BYTES: usize = 16 * 1024;

/// Activities of before that one may ask for: as many as are kept.
const MAX_RECENT: usize = 1_000;

/// When somebody may try again who found all places taken, in seconds.
const BUSY_RETRY: HeaderValue = HeaderValue::from_static("10");

/// Following what happens.
pub struct LiveApi(pub Arc<Services>);

/// A stream of events.
struct Events(Body);

impl Payload for Events {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn schema_ref() -> MetaSchemaRef {
        String::schema_ref()
    }
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        Response::builder()
            .content_type(Self::CONTENT_TYPE)
            // nginx would otherwise gather events until a buffer of its own is full.
            .header("X-Accel-Buffering", "no")
            .body(self.0)
    }
}

#[derive(ApiResponse)]
enum LiveReply {
    /// The stream, without end
    #[oai(status = 200)]
    Ok(Events),
}

#[OpenApi(tag = "Tag::Admin")]
impl LiveApi {
    /// What happens, as it happens
    ///
    /// Server-sent events, each with JSON for data: `counters` `{online,connections}` at once and every five seconds;
    /// `presence` `{userId,username,status,timestamp,lastSeen?}` when somebody goes online or offline; `session`
    /// `{state,…}` with `state` `started`, `resumed` or `ended` and the session as `/admin/sessions` has it; `activity`
    /// as `/admin/analytics/user-activity` has it; `lagged` `{missed}` where so many events came faster than they were
    /// read. With `recent`, the newest activities that this server has logged come first, oldest first, and nothing
    /// else of what was before. Ends when the credential does, and when the server stops. At most
    /// 100 at a time; then 503.
    #[oai(path = "/admin/live", method = "get", operation_id = "followLive")]
    async fn live(
        &self,
        admin: AsAdmin,
        /// So many of the newest activities first, 0 to 1,000; none if left out.
        recent: Query<Option<i64>>,
    ) -> Result<LiveReply, Failure> {
        let recent = usize::try_from(recent.0.unwrap_or_default())
            .ok()
            .filter(|recent| *recent <= MAX_RECENT)
            .ok_or_else(|| Error::invalid("recent", format!("must be 0 to {MAX_RECENT}")))?;
        if self.0.stopping.is_cancelled() {
            return Err(Error::Unavailable.into());
        }
        let (newest, follower) = self.0.activity.recent().follow(recent).ok_or_else(|| {
            Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many follow the live stream; try again later",
            )
            .with_header(RETRY_AFTER, BUSY_RETRY)
        })?;
        let following = Following::new(self.0.clone(), admin.0, newest, follower);
        let events = stream::unfold(following, |mut following| async move {
            let chunk = following.next().await?;
            Some((Ok::<_, io::Error>(chunk), following))
        });
        let body = Body::from_bytes_stream(events);
        Ok(LiveReply::Ok(Events(body)))
    }
}

/// One who follows.
struct Following {
    services: Arc<Services>,
    identity: Identity,
    /// What comes first, in order.
    newest: VecDeque<Arc<LoggedActivity>>,
    follower: Follower,
    ticks: Interval,
}

impl Following {
    fn new(
        services: Arc<Services>,
        identity: Identity,
        newest: Vec<Arc<LoggedActivity>>,
        follower: Follower,
    ) -> Self {
        // The first tick is at once.
        let mut ticks = interval(services.settings.live_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            services,
            identity,
            newest: newest.into(),
            follower,
            ticks,
        }
    }

    /// Waits for something to say; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut text = String::new();
        tokio::select! {
            // Neither the end nor a tick waits behind events that never stop.
            biased;
            () = self.services.stopping.cancelled() => return None,
            _ = self.ticks.tick() => {
                if !self.may_follow().await {
                    return None;
                }
                text.push_str(event::KEEP_ALIVE);
                let tracker = self.services.presence.tracker();
                event::counters(&mut text, Counters {
                    online: tracker.online(),
                    connections: tracker.connections(),
                });
            }
            Some(row) = std::future::ready(self.newest.pop_front()) => event::activity(&mut text, &row),
            told = self.follower.next() => event::told(&mut text, &told),
        }
        while text.len() < CHUNK_BYTES
            && let Some(row) = self.newest.pop_front()
        {
            event::activity(&mut text, &row);
        }
        if !self.newest.is_empty() {
            return Some(text.into());
        }
        while text.len() < CHUNK_BYTES
            && let Some(told) = self.follower.try_next()
        {
            event::told(&mut text, &told);
        }
        Some(text.into())
    }

    /// Whether the credential is still good, and still an admin's. A store that cannot answer now ends nothing.
    async fn may_follow(&mut self) -> bool {
        match self.services.auth.renew(&self.identity).await {
            Ok(identity) => {
                self.identity = identity;
                self.identity.principal.is_admin()
            }
            Err(Error::Unavailable) => true,
            Err(_) => false,
        }
    }
}
