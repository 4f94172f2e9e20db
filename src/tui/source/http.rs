//! The figures of a server, over its API with an administrator's key.
//!
//! The key goes into a header and nowhere else: no address, error or `Debug` has it. Answers are taken up to a size and
//! within a time, and text that came over the wire reaches nobody's terminal with control characters in it.

mod follow;
#[cfg(test)]
mod tests;

use super::{
    ActionCount, ActivityPage, ActivityQuery, LiveEvent, OnlinePage, Overview, Point, Result,
    SessionFigures, SessionPage, SessionQuery, Source, SourceError, Why, today,
};
use crate::error::{chain, plain};
use crate::model::{Clock, Secret, Zone};
use async_trait::async_trait;
use follow::{Follower, Pace};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use url::{Host, Url};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A whole answer takes at most this long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// An answer is smaller: a page of a thousand people, each with many connections.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Letters of a server's message that are shown.
const MAX_SHOWN: usize = 300;

/// What to do about a key that is refused.
const REFUSED: &str =
    "the key is wrong or no admin's; make one with lastseen token create --role admin";

/// The figures of a server.
pub struct HttpSource {
    requests: Requests,
    clock: Clock,
    pace: Pace,
}

impl HttpSource {
    /// The server at `base` (`http` or `https`, a path is kept as prefix), with an administrator's key.
    ///
    /// # Errors
    /// What is wrong with the address or the key, in words that hold nothing of the key.
    pub fn new(base: &str, key: &Secret) -> std::result::Result<Self, String> {
        let requests = Requests::new(base, key)?;
        Ok(Self {
            requests,
            clock: Clock::system(),
            pace: Pace::default(),
        })
    }
}

/// Makes requests to one server.
#[derive(Clone)]
struct Requests {
    client: Client,
    base: Url,
}

impl Requests {
    fn new(base: &str, key: &Secret) -> std::result::Result<Self, String> {
        let base = read_base(base)?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
            .map_err(|_| "the key has characters that no key has; is it the right file?")?;
        value.set_sensitive(true);
        let mut client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // Wherever a redirect leads, the key is not for there.
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]))
            .user_agent(concat!("lastseen/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| chain(&error))?;
        Ok(Self { client, base })
    }

    /// A request of `path`, each segment of which is taken as it is.
    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client.request(method, url)
    }

    fn lost(&self, why: &str) -> SourceError {
        SourceError::Lost(format!("{}: {why}", self.base))
    }

    fn failed(&self, error: reqwest::Error) -> SourceError {
        self.lost(&chain(&error.without_url()))
    }

    /// Asks, and takes `data` from the answer.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T> {
        let request = self.request(method, path, query).timeout(ANSWER_TIMEOUT);
        let response = request.send().await.map_err(|error| self.failed(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let text = self.text(response).await?;
        let answer: Success<T> = serde_json::from_slice(&text)
            .map_err(|error| self.lost(&format!("the answer is no lastseen's: {error}")))?;
        Ok(answer.data)
    }

    async fn text(&self, mut response: Response) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if text.len() + chunk.len() > MAX_BYTES {
                return Err(self.lost(&format!("the answer has more than {MAX_BYTES} bytes")));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }

    /// What an answer means that is no success.
    async fn refusal(&self, response: Response) -> SourceError {
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return SourceError::Refused(REFUSED.into());
        }
        let text = match self.text(response).await {
            Ok(text) => text,
            Err(error) => return error,
        };
        let Ok(failure) = serde_json::from_slice::<Failure>(&text) else {
            return self.lost(&format!("answered {status}; is it a lastseen server?"));
        };
        let message: String = plain(&failure.error.message)
            .chars()
            .take(MAX_SHOWN)
            .collect();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return self.lost(&message);
        }
        SourceError::Rejected(message)
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T> {
        self.ask(Method::GET, path, query).await
    }
}

#[derive(Deserialize)]
struct Success<T> {
    data: T,
}

#[derive(Deserialize)]
struct Failure {
    error: FailureText,
}

#[derive(Deserialize)]
struct FailureText {
    message: String,
}

#[derive(Deserialize)]
struct Series {
    points: Vec<Point>,
}

#[derive(Deserialize)]
struct Actions {
    actions: Vec<ActionCount>,
}

#[derive(Deserialize)]
struct Heatmap {
    cells: Vec<HeatmapCell>,
}

#[derive(Deserialize)]
struct HeatmapCell {
    weekday: usize,
    hour: usize,
    sessions: i64,
}

fn read_base(text: &str) -> std::result::Result<Url, String> {
    // The text is not repeated: somebody may have put a secret into it.
    let base = Url::parse(text).map_err(|error| {
        format!("the address is no URL ({error}); give one such as http://127.0.0.1:8080")
    })?;
    if !["http", "https"].contains(&base.scheme()) || base.cannot_be_a_base() {
        return Err("the address must begin with http:// or https://".into());
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err("the address must have no user and no password; the key is in its file".into());
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err("the address must end with its path, without ? and #".into());
    }
    Ok(base)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The query of a page.
fn page<'a>(
    filters: &[(&'static str, Option<&'a str>)],
    cursor: Option<&'a str>,
    limit: &'a str,
) -> Vec<(&'static str, &'a str)> {
    let filters = filters.iter().copied().chain([("cursor", cursor)]);
    let given = filters.filter_map(|(name, value)| Some((name, value?)));
    given.chain([("limit", limit)]).collect()
}

fn limit_text(limit: usize) -> String {
    limit.clamp(1, 1_000).to_string()
}

#[async_trait]
impl Source for HttpSource {
    fn place(&self) -> String {
        self.requests.base.to_string()
    }

    fn is_live(&self) -> bool {
        true
    }

    async fn overview(&self, zone: Zone) -> Result<Overview> {
        let path = ["admin", "analytics", "overview"];
        self.requests.get(&path, &[("tz", zone.name())]).await
    }

    async fn session_figures(&self, zone: Zone) -> Result<SessionFigures> {
        let path = ["admin", "analytics", "user-sessions"];
        let today = today(zone, self.clock.now());
        let query = [
            ("tz", zone.name()),
            ("startDate", &today),
            ("endDate", &today),
        ];
        self.requests.get(&path, &query).await
    }

    async fn online_series(&self, zone: Zone) -> Result<Vec<Point>> {
        let path = ["admin", "analytics", "timeseries"];
        let query = [
            ("tz", zone.name()),
            ("interval", "15m"),
            ("metric", "online"),
        ];
        let series: Series = self.requests.get(&path, &query).await?;
        Ok(series.points)
    }

    async fn busiest_actions(&self, zone: Zone, limit: usize) -> Result<Vec<ActionCount>> {
        let path = ["admin", "analytics", "actions"];
        let limit = limit_text(limit);
        let query = [("tz", zone.name()), ("limit", &limit)];
        let actions: Actions = self.requests.get(&path, &query).await?;
        Ok(actions.actions)
    }

    async fn heatmap(&self, zone: Zone) -> Result<[[i64; 24]; 7]> {
        let path = ["admin", "analytics", "heatmap"];
        let heatmap: Heatmap = self.requests.get(&path, &[("tz", zone.name())]).await?;
        let mut cells = [[0; 24]; 7];
        for HeatmapCell {
            weekday,
            hour,
            sessions,
        } in heatmap.cells
        {
            let cell = cells.get_mut(weekday).and_then(|day| day.get_mut(hour));
            *cell.ok_or_else(|| self.requests.lost("the answer has an hour that no day has"))? =
                sessions;
        }
        Ok(cells)
    }

    async fn online(&self, cursor: Option<&str>, limit: usize) -> Result<OnlinePage> {
        let limit = limit_text(limit);
        let query = page(&[], cursor, &limit);
        self.requests.get(&["admin", "online"], &query).await
    }

    async fn why(&self, username: &str) -> Result<Why> {
        let path = ["admin", "users", username, "why"];
        self.requests.get(&path, &[]).await
    }

    async fn sessions(
        &self,
        query: &SessionQuery,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<SessionPage> {
        let open = query.open.map(|open| if open { "true" } else { "false" });
        let filters = [("username", query.username.as_deref()), ("open", open)];
        let limit = limit_text(limit);
        let query = page(&filters, cursor, &limit);
        self.requests.get(&["admin", "sessions"], &query).await
    }

    async fn activities(
        &self,
        query: &ActivityQuery,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<ActivityPage> {
        let path = ["admin", "analytics", "user-activity"];
        let filters = [
            ("username", query.username.as_deref()),
            ("action", query.action.as_deref()),
        ];
        let limit = limit_text(limit);
        let query = page(&filters, cursor, &limit);
        self.requests.get(&path, &query).await
    }

    async fn disconnect(&self, connection: u64) -> Result<()> {
        let id = connection.to_string();
        let path = ["admin", "connections", &id];
        let answer = self.requests.ask(Method::DELETE, &path, &[]).await;
        answer.map(|IgnoredAny| ())
    }

    fn follow(&self) -> Option<mpsc::Receiver<LiveEvent>> {
        let follower = Follower::new(self.requests.clone(), self.pace);
        Some(follower.start())
    }
}
