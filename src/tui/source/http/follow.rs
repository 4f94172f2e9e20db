//! Following a server's live stream, over its restarts.

use super::Requests;
use crate::model::Status;
use crate::tui::source::sse::{Event, Parser};
use crate::tui::source::{Activity, LiveEvent, Result, Session, SourceError};
use rand::Rng as _;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;

/// Events that may wait for their reader. Behind a full channel the server counts what it leaves out, and says so.
const MAX_WAITING: usize = 1_024;

/// Activities of before that are asked for, at first and after a loss: as many as a server keeps.
const FIRST_RECENT: &str = "100";
const AGAIN_RECENT: &str = "1000";

/// Activities that are remembered, so that none is told twice after a loss.
const MAX_TOLD: usize = 1_000;

/// Times of following.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// A server sends figures every few seconds; one that is silent for so long is lost.
    pub silence: Duration,
    /// The first wait after a loss; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait, and the one after a refusal.
    pub longest_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(15),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
        }
    }
}

/// One who follows.
pub(super) struct Follower {
    requests: Requests,
    pace: Pace,
    /// The next wait, before chance has its part.
    wait: Duration,
    told: Told,
    recent: &'static str,
}

#[derive(Deserialize)]
struct Counters {
    online: i64,
    connections: i64,
}

#[derive(Deserialize)]
struct Presence {
    username: String,
    status: Status,
    timestamp: crate::model::Timestamp,
}

#[derive(Deserialize)]
struct Lagged {
    missed: u64,
}

impl Follower {
    pub fn new(requests: Requests, pace: Pace) -> Self {
        Self {
            requests,
            pace,
            wait: pace.first_wait,
            told: Told::default(),
            recent: FIRST_RECENT,
        }
    }

    /// Follows until the receiver is dropped, in a task that then ends.
    pub fn start(self) -> mpsc::Receiver<LiveEvent> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = self.run(&sender) => {}
            }
        });
        receiver
    }

    /// Comes back only when nobody receives any more.
    async fn run(mut self, sender: &mpsc::Sender<LiveEvent>) {
        loop {
            let Err(error) = self.stream(sender).await else {
                return;
            };
            let retry_in = self.next_wait(&error);
            let why = error.to_string();
            if sender
                .send(LiveEvent::Lost { why, retry_in })
                .await
                .is_err()
            {
                return;
            }
            tokio::time::sleep(retry_in).await;
        }
    }

    /// Half of the wait is chance, so that those who lost one server do not all come back at once.
    pub(super) fn next_wait(&mut self, error: &SourceError) -> Duration {
        if matches!(error, SourceError::Refused(_)) {
            return self.pace.longest_wait;
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(self.pace.longest_wait);
        wait.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Tells what comes until the stream is lost, which is the error; `Ok` when nobody receives any more.
    async fn stream(&mut self, sender: &mpsc::Sender<LiveEvent>) -> Result<()> {
        let silent = self.pace.silence;
        let requests = self.requests.clone();
        let silence = || requests.lost(&format!("nothing came for {} s", silent.as_secs()));
        let query = [("recent", self.recent)];
        let request = requests.request(Method::GET, &["admin", "live"], &query);
        let sending = tokio::time::timeout(silent, request.send()).await;
        let mut response = sending
            .map_err(|_| silence())?
            .map_err(|error| requests.failed(error))?;
        if !response.status().is_success() {
            let refusal = tokio::time::timeout(silent, requests.refusal(response)).await;
            return Err(refusal.unwrap_or_else(|_| silence()));
        }
        self.recent = AGAIN_RECENT;
        if sender.send(LiveEvent::Connected).await.is_err() {
            return Ok(());
        }
        let mut parser = Parser::default();
        loop {
            let chunk = tokio::time::timeout(silent, response.chunk()).await;
            let chunk = chunk.map_err(|_| silence())?;
            let chunk = chunk.map_err(|error| requests.failed(error))?;
            let chunk = chunk.ok_or_else(|| requests.lost("the server ended the stream"))?;
            let events = parser.feed(&chunk);
            for event in events.map_err(|_| requests.lost("an event is too long"))? {
                let read = self.read(&event);
                let read = read.map_err(|why| requests.lost(&format!("{}: {why}", event.name)))?;
                // It works: the next loss is a first one again.
                self.wait = self.pace.first_wait;
                if let Some(event) = read
                    && sender.send(event).await.is_err()
                {
                    return Ok(());
                }
            }
        }
    }

    /// What an event says; nothing where it is of no kind that is known, or was told before.
    fn read(&mut self, event: &Event) -> serde_json::Result<Option<LiveEvent>> {
        fn json<T: DeserializeOwned>(event: &Event) -> serde_json::Result<T> {
            serde_json::from_str(&event.data)
        }
        Ok(Some(match event.name.as_str() {
            "counters" => {
                let Counters {
                    online,
                    connections,
                } = json(event)?;
                LiveEvent::Counters {
                    online,
                    connections,
                }
            }
            "presence" => {
                let presence: Presence = json(event)?;
                LiveEvent::Presence {
                    username: presence.username,
                    status: presence.status,
                    timestamp: presence.timestamp,
                }
            }
            "session" => LiveEvent::Session(Box::new(json::<Session>(event)?)),
            "activity" => {
                let activity: Activity = json(event)?;
                if !self.told.is_new(&activity.id) {
                    return Ok(None);
                }
                LiveEvent::Activity(Box::new(activity))
            }
            "lagged" => LiveEvent::Lagged(json::<Lagged>(event)?.missed),
            _ => return Ok(None),
        }))
    }
}

/// The ids of the newest activities that were told.
#[derive(Default)]
struct Told {
    order: VecDeque<String>,
    ids: HashSet<String>,
}

impl Told {
    /// Whether this one was not told yet; it is now.
    fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > MAX_TOLD
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}
