//! Many connections at once, one task each, all reporting to one ledger.

use super::check::Ledger;
use super::client::Client;
use super::graph::{Graph, Id};
use super::target::Target;
use super::wire::Incoming;
use anyhow::{Context, Result, bail, ensure};
use chrono::Utc;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

/// How long a round trip through every connection, or a further device's snapshot, may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Commands that wait for one connection's task; the sender waits when there are more.
const COMMANDS: usize = 4;

/// Everybody's connections. Dropping it ends them without a word.
pub struct Crowd {
    shared: Arc<Shared>,
    members: HashMap<Id, Member>,
}

struct Shared {
    target: Target,
    ledger: Mutex<Ledger>,
    /// Told after each snapshot, each delivery while connecting and the last of each transition.
    progress: Notify,
}

struct Member {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

enum Command {
    Presence {
        online: bool,
        written: oneshot::Sender<()>,
    },
    /// Pass when the server has answered something sent after it: frames come in order, so all before has come.
    Barrier(mpsc::Sender<()>),
    Close,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(target: Target, graph: Arc<Graph>) -> Self {
        let shared = Shared {
            target,
            ledger: Mutex::new(Ledger::new(graph)),
            progress: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            members: HashMap::new(),
        }
    }

    /// The ledger, locked for the call.
    pub fn ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        look(&mut self.shared.ledger.lock())
    }

    /// Connects these people, so many attempts at a time. Returns how long each took.
    pub async fn gather(
        &mut self,
        ids: impl IntoIterator<Item = Id>,
        in_flight: u32,
    ) -> Result<Vec<Duration>> {
        let permits = Arc::new(Semaphore::new(in_flight as usize));
        let mut attempts = JoinSet::new();
        for id in ids {
            let permit = permits
                .clone()
                .acquire_owned()
                .await
                .context("the semaphore is never closed")?;
            let shared = self.shared.clone();
            attempts.spawn(async move {
                let begun = Instant::now();
                shared.ledger.lock().connecting(id, begun);
                let client = Client::open(&shared.target, id)
                    .await
                    .map_err(|e| format!("{id}: {e}"))?;
                let took = begun.elapsed();
                drop(permit);
                Ok::<_, String>((id, Member::start(shared, id, client), took))
            });
        }
        let mut times = Vec::new();
        let mut failures = Vec::new();
        while let Some(attempt) = attempts.join_next().await {
            match attempt? {
                Ok((id, member, took)) => {
                    self.members.insert(id, member);
                    times.push(took);
                }
                Err(why) => failures.push(why),
            }
        }
        if let Some(first) = failures.first() {
            bail!(
                "{} of {} did not connect, the first: {first}",
                failures.len(),
                failures.len() + times.len()
            );
        }
        Ok(times)
    }

    /// Waits until everybody has a snapshot and has heard of everybody they follow, then settles the ledger.
    pub async fn settle(&self, patience: Duration) -> Result<()> {
        let people = self.members.len() as u64;
        self.until(patience, |ledger| {
            ledger.counts().connected == people && ledger.counts().learnt >= ledger.to_learn()
        })
        .await;
        self.barrier().await?;
        self.ledger(Ledger::settle);
        Ok(())
    }

    /// Waits until the ledger says so, at most `patience`. Returns whether it did.
    pub async fn until(&self, patience: Duration, done: impl Fn(&Ledger) -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            if done(&self.shared.ledger.lock()) {
                return true;
            }
            if tokio::time::timeout_at(deadline, self.shared.progress.notified())
                .await
                .is_err()
            {
                return done(&self.shared.ledger.lock());
            }
        }
    }

    /// Takes this person to the foreground or the background; returns once it is written and in the ledger.
    pub async fn turn(&self, id: Id, online: bool) -> Result<()> {
        let (written, done) = oneshot::channel();
        self.command(id, Command::Presence { online, written })
            .await?;
        done.await
            .with_context(|| format!("{id} is not connected any more"))
    }

    /// A round trip through every connection: whatever the server sent before has been read after it.
    pub async fn barrier(&self) -> Result<()> {
        let (passed, mut passes) = mpsc::channel(self.members.len().max(1));
        for &id in self.members.keys() {
            self.command(id, Command::Barrier(passed.clone())).await?;
        }
        drop(passed);
        let all = async {
            let mut count = 0;
            while passes.recv().await.is_some() {
                count += 1;
            }
            count
        };
        let count = tokio::time::timeout(PATIENCE, all)
            .await
            .context("waiting for everybody's heartbeat")?;
        ensure!(
            count == self.members.len(),
            "{count} of {} heartbeats were answered",
            self.members.len()
        );
        Ok(())
    }

    /// Opens a further connection of somebody connected, has its snapshot checked, and closes it again.
    pub async fn glance(&self, id: Id) -> Result<()> {
        let client = self.further_device(id).await?;
        client.close().await.map_err(anyhow::Error::msg)
    }

    /// Opens a further connection of somebody connected, has its snapshot checked, and closes the old one for it.
    pub async fn replace(&mut self, id: Id) -> Result<()> {
        let client = self.further_device(id).await?;
        let new = Member::start(self.shared.clone(), id, client);
        if let Some(old) = self.members.insert(id, new) {
            // Fails only when the old one has ended by itself, which its task has reported.
            let _ = old.commands.send(Command::Close).await;
            old.task.await?;
        }
        Ok(())
    }

    async fn further_device(&self, id: Id) -> Result<Client> {
        let first_snapshot = async {
            let mut client = Client::open(&self.shared.target, id).await?;
            loop {
                match client.next().await? {
                    Incoming::Snapshot(entries) => {
                        self.shared
                            .ledger
                            .lock()
                            .snapshot(id, &entries, Instant::now());
                        return Ok(client);
                    }
                    Incoming::Ping => client.pong().await?,
                    other => return Err(format!("{other:?} before the snapshot")),
                }
            }
        };
        tokio::time::timeout(PATIENCE, first_snapshot)
            .await
            .with_context(|| format!("{id}: no snapshot"))?
            .map_err(|e: String| anyhow::anyhow!("{id}, further device: {e}"))
    }

    async fn command(&self, id: Id, command: Command) -> Result<()> {
        let member = self
            .members
            .get(&id)
            .with_context(|| format!("{id} was never connected"))?;
        match member.commands.send(command).await {
            Ok(()) => Ok(()),
            Err(_) => bail!(
                "{id} is not connected any more: {}",
                self.ledger(|l| l.examples().join("; "))
            ),
        }
    }
}

impl Member {
    fn start(shared: Arc<Shared>, id: Id, client: Client) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let life = async move {
            if let Err(why) = live(&shared, id, client, inbox).await {
                shared.ledger.lock().failure(format!("{id}: {why}"));
                shared.progress.notify_one();
            }
        };
        Self {
            commands,
            task: tokio::spawn(life),
        }
    }
}

async fn live(
    shared: &Shared,
    id: Id,
    mut client: Client,
    mut commands: mpsc::Receiver<Command>,
) -> Result<(), String> {
    let mut barriers: Vec<(u64, mpsc::Sender<()>)> = Vec::new();
    loop {
        tokio::select! {
            incoming = client.next() => match incoming? {
                Incoming::Ping => client.pong().await?,
                Incoming::Closed => return Err("ended by the server".into()),
                Incoming::Ack(number, Ok(())) => {
                    if let Some(index) = barriers.iter().position(|&(waits_for, _)| waits_for == number) {
                        // Nobody listens any more only after the barrier has failed.
                        let _ = barriers.swap_remove(index).1.try_send(());
                    }
                }
                other => hear(shared, id, &other),
            },
            command = commands.recv() => match command {
                None => return Ok(()),
                Some(Command::Close) => return client.close().await,
                Some(Command::Barrier(passed)) => barriers.push((client.heartbeat().await?, passed)),
                Some(Command::Presence { online, written }) => {
                    shared.ledger.lock().transition(id, online, Instant::now(), Utc::now());
                    client.update_presence(online).await?;
                    // The asker may have given up; the ledger knows the transition all the same.
                    let _ = written.send(());
                }
            },
        }
    }
}

fn hear(shared: &Shared, id: Id, incoming: &Incoming) {
    let mut ledger = shared.ledger.lock();
    let news = match incoming {
        Incoming::Snapshot(entries) => {
            ledger.snapshot(id, entries, Instant::now());
            true
        }
        Incoming::Update(update) => {
            let last = ledger.update(id, update, Instant::now(), Utc::now());
            last || ledger.counts().transitions == 0
        }
        Incoming::Ack(_, Err(code)) => {
            ledger.failure(format!("{id}: refused with {code}"));
            true
        }
        Incoming::Error(what) => {
            ledger.failure(format!("{id}: error event {what}"));
            true
        }
        other => {
            ledger.failure(format!("{id}: unexpected {other:?}"));
            true
        }
    };
    drop(ledger);
    if news {
        shared.progress.notify_one();
    }
}
