//! The people's life on a running server, one task each: they come, look, write, watch, put the telephone away, and go,
//! with or without a word. A day goes faster than a real one; what takes a moment in life takes a moment here too.

use super::client::{Connection, Reach};
use super::people::Person;
use super::{Keys, Town, rhythm};
use crate::model::Clock;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// It begins in the evening, when most are there.
const FIRST_HOUR: f64 = 19.0;
/// From one thing that somebody does to the next, in a real day.
const ACTS_EVERY: Duration = Duration::from_secs(14 * 60);
/// Nobody does more, however fast the days go.
const SHORTEST_ACT: Duration = Duration::from_millis(400);
const SHORTEST_SESSION: Duration = Duration::from_millis(1_500);
/// Whoever is there at the beginning comes within this time.
const ARRIVAL: Duration = Duration::from_millis(1_500);
/// People who connect at the same time at most.
const CONNECTING: usize = 16;
/// The pause after a failure to connect; doubled up to the longest, each with jitter.
const BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
/// How long the end may take; then the tasks are dropped.
const END: Duration = Duration::from_secs(2);

struct World {
    town: Town,
    reach: Reach,
    begun: Instant,
    connecting: Semaphore,
}

impl World {
    fn sped_up(&self, real: Duration) -> Duration {
        real / self.town.settings.speed.max(1)
    }

    /// The part of the busiest hour at which somebody's life is now.
    fn bustle(&self, person: &Person) -> f64 {
        let hours = self.begun.elapsed().as_secs_f64() / 3_600.0;
        let passed = hours * f64::from(self.town.settings.speed);
        rhythm::at(FIRST_HOUR + passed + person.hours_ahead)
    }
}

/// Everybody's tasks. Dropping it ends them at once.
pub struct Life {
    stop: CancellationToken,
    people: JoinSet<()>,
}

impl Life {
    pub(super) fn begin(
        town: Town,
        address: SocketAddr,
        keys: &Keys,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let world = Arc::new(World {
            reach: Reach::new(address, &keys.jwt, &keys.password, clock)?,
            town,
            begun: Instant::now(),
            connecting: Semaphore::new(CONNECTING),
        });
        let stop = CancellationToken::new();
        let mut people = JoinSet::new();
        for index in 0..world.town.people.len() {
            let (world, stop) = (world.clone(), stop.clone());
            people.spawn(async move {
                // That it was cancelled is how it ends.
                let _ = stop
                    .run_until_cancelled(One::new(world, index).live())
                    .await;
            });
        }
        Ok(Self { stop, people })
    }

    /// Everybody goes.
    pub async fn end(mut self) {
        self.stop.cancel();
        let all = async { while self.people.join_next().await.is_some() {} };
        if timeout(END, all).await.is_err() {
            self.people.shutdown().await;
        }
    }
}

/// Somebody.
struct One {
    world: Arc<World>,
    index: usize,
    rng: StdRng,
    /// By the other's index.
    conversations: HashMap<usize, i64>,
}

/// What a session runs on.
struct Session {
    connection: Connection,
    token: String,
    is_away: bool,
}

impl One {
    fn new(world: Arc<World>, index: usize) -> Self {
        let seed = world.town.settings.seed;
        Self {
            rng: StdRng::seed_from_u64(seed.wrapping_add(2).wrapping_add(index as u64)),
            world,
            index,
            conversations: HashMap::new(),
        }
    }

    fn person(&self) -> &Person {
        &self.world.town.people[self.index]
    }

    async fn live(mut self) {
        let there = self.person().sessions_a_day * rhythm::SESSION.as_secs_f64() / 86_400.0;
        let there = there * self.world.bustle(self.person()) / rhythm::MEAN;
        if self.rng.random_bool(there.min(0.9)) {
            sleep(ARRIVAL.mul_f64(self.rng.random())).await;
        } else {
            self.stay_away().await;
        }
        loop {
            self.be_there().await;
            self.stay_away().await;
        }
    }

    /// Until they come again: by chance at the busiest hour's rate, thinned out by the hour.
    async fn stay_away(&mut self) {
        let day = self.world.town.settings.day();
        let gap = day.div_f64(self.person().sessions_a_day / rhythm::MEAN);
        loop {
            sleep(rhythm::wait(gap, &mut self.rng)).await;
            let bustle = self.world.bustle(self.person());
            if self.rng.random_bool(bustle) {
                return;
            }
        }
    }

    /// One session.
    async fn be_there(&mut self) {
        let mut session = self.arrive().await;
        let length = self.world.sped_up(rhythm::SESSION);
        let length = rhythm::wait(length, &mut self.rng).max(SHORTEST_SESSION);
        let end = Instant::now() + length;
        loop {
            let pause = self.world.sped_up(ACTS_EVERY);
            let pause = rhythm::wait(pause, &mut self.rng).max(SHORTEST_ACT);
            let next = Instant::now() + pause;
            tokio::select! {
                why = session.connection.listen() => {
                    tracing::debug!(target: "lastseen", %why, "a connection of the demo ended");
                    return;
                }
                () = sleep_until(next.min(end)) => {}
            }
            if next >= end {
                self.leave(session).await;
                return;
            }
            if let Err(error) = self.act(&mut session).await {
                // Somebody may have ended what it needs, which an administrator may do.
                tracing::debug!(target: "lastseen", %error, "the demo could not do something");
            }
        }
    }

    /// Connects, trying again with growing pauses.
    async fn arrive(&mut self) -> Session {
        let mut pause = BACKOFF;
        loop {
            match self.connect().await {
                Ok(session) => return session,
                Err(error) => {
                    tracing::debug!(target: "lastseen", %error, "somebody of the demo could not connect");
                }
            }
            sleep(pause.mul_f64(self.rng.random_range(0.5..1.0))).await;
            pause = (pause * 2).min(LONGEST_BACKOFF);
        }
    }

    async fn connect(&self) -> anyhow::Result<Session> {
        let _permit = self.world.connecting.acquire().await?;
        let (reach, person) = (&self.world.reach, self.person());
        let token = match person.has_password {
            true => reach.sign_in(person).await?,
            false => reach.host_token(person)?,
        };
        Ok(Session {
            connection: reach.connect(person, &token).await?,
            token,
            is_away: false,
        })
    }

    async fn leave(&mut self, session: Session) {
        let ended = match self.rng.random_range(0..10) {
            0..3 if self.person().has_password => self
                .post(&session, "/auth/signout", &json!({}))
                .await
                .map(drop),
            0..7 => session.connection.close().await,
            // Without a word, as in a tunnel.
            _ => Ok(()),
        };
        if let Err(error) = ended {
            tracing::debug!(target: "lastseen", %error, "somebody of the demo could not say goodbye");
        }
    }

    async fn act(&mut self, session: &mut Session) -> anyhow::Result<()> {
        if session.is_away {
            session.is_away = false;
            let back = json!({ "status": "online" });
            return session.connection.emit("update_presence", &back).await;
        }
        let video = self.rng.random_range(1..400);
        match self.rng.random_range(0..100) {
            0..38 => {
                let seconds = self.rng.random_range(3..240);
                let metadata = json!({ "videoId": video, "watchDuration": seconds });
                self.log(session, "video_watched", metadata).await
            }
            38..50 => {
                self.log(session, "comment_posted", json!({ "videoId": video }))
                    .await
            }
            50..54 => {
                self.log(session, "video_posted", json!({ "videoId": video }))
                    .await
            }
            54..78 => self.write(session).await,
            78..88 => {
                let anybody = self.rng.random_range(0..self.world.town.people.len());
                let name = self.world.town.people[anybody].name.as_str();
                let data = json!({ "usernames": [name] });
                session.connection.emit("watch", &data).await
            }
            _ => {
                session.is_away = true;
                let away = json!({ "status": "offline" });
                session.connection.emit("update_presence", &away).await
            }
        }
    }

    async fn log(&self, session: &Session, action: &str, metadata: Value) -> anyhow::Result<()> {
        let target = metadata["videoId"].to_string();
        let body = json!({ "action": action, "targetId": target, "metadata": metadata });
        self.post(session, "/activities", &body).await.map(drop)
    }

    /// A message to somebody whom they follow.
    async fn write(&mut self, session: &Session) -> anyhow::Result<()> {
        let followees = &self.world.town.follows[self.index];
        if followees.is_empty() {
            return Ok(());
        }
        let other = followees[self.rng.random_range(0..followees.len())];
        let id = match self.conversations.get(&other) {
            Some(id) => *id,
            None => {
                let name = self.world.town.people[other].name.as_str();
                let body = json!({ "participants": [name] });
                let opened = self.post(session, "/messages/conversations", &body).await?;
                let id = opened["conversationId"].as_i64();
                let id = id.ok_or_else(|| anyhow::anyhow!("no conversation came"))?;
                self.conversations.insert(other, id);
                id
            }
        };
        let words = [
            "hi",
            "are you there?",
            "look at this",
            "see you later",
            "thanks",
        ];
        let text = words[self.rng.random_range(0..words.len())];
        let path = format!("/messages/conversations/{id}/messages");
        let body = json!({ "text": text });
        self.post(session, &path, &body).await.map(drop)
    }

    async fn post(&self, session: &Session, path: &str, body: &Value) -> anyhow::Result<Value> {
        let reach = &self.world.reach;
        reach
            .post(self.person(), Some(&session.token), path, body)
            .await
    }
}
