//! The SQLite store: one writing connection on a thread of its own, a pool of reading ones, and the files.
//!
//! This module opens and closes them and runs closures on them. What is read and written is in the folder, one
//! file a noun; every SQL text is there, next to the function that uses it.

pub(super) mod activities;
pub(super) mod analytics;
pub(super) mod backup;
pub(super) mod blocks;
pub(super) mod boots;
pub(super) mod changes;
mod checkpoint;
pub(super) mod conversations;
pub(super) mod erase;
pub(super) mod export;
pub(super) mod exports;
mod fault;
pub(super) mod follows;
pub(super) mod identities;
pub(super) mod imports;
pub(super) mod keys;
pub mod lock;
pub(super) mod messages;
pub mod migrate;
pub(super) mod online;
pub(super) mod open;
pub(super) mod ordinals;
pub(super) mod people;
#[cfg(test)]
mod plans;
mod pool;
pub(super) mod prune;
pub(super) mod rollups;
pub(super) mod rows;
pub(super) mod secrets;
pub(super) mod sessions;
pub(super) mod sign_ins;
#[cfg(test)]
pub(super) mod testing;
pub(super) mod upserts;
pub(super) mod users;
mod writer;

pub(super) use changes::Marks;
pub(super) use fault::Fault;

use super::{Options, Result, Stats, StoreError};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Everything that is open.
pub(super) struct Sqlite {
    readers: pool::Readers,
    /// None for a read-only database.
    writer: Option<writer::Writer>,
    poller: Arc<Mutex<Option<changes::Poller>>>,
    marks: Marks,
    closed: tokio::sync::OnceCell<()>,
}

impl Sqlite {
    /// See [`super::Store::open`].
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        let opened = open::open(path, options)?;
        let poller = changes::Poller::new(opened.location.open_reader()?);
        let readers = pool::Readers::new(&opened.location, options)?;
        let writer = match opened.writer {
            Some(connection) => {
                let checkpointer = opened.location.open_writer(options.durability)?;
                Some(writer::Writer::start(connection, checkpointer, options)?)
            }
            None => None,
        };
        Ok(Self {
            readers,
            writer,
            poller: Arc::new(Mutex::new(Some(poller))),
            marks: Marks(options.mark_changes),
            closed: tokio::sync::OnceCell::new(),
        })
    }

    /// See [`super::Store::close`].
    pub async fn close(&self) {
        self.closed
            .get_or_init(|| async {
                // Readers first: the last connection to close is then the checkpointing one, which leaves neither
                // WAL nor shared memory behind.
                self.readers.close().await;
                self.poller.lock().take();
                if let Some(writer) = &self.writer {
                    writer.close().await;
                }
            })
            .await;
    }

    pub fn is_read_only(&self) -> bool {
        self.writer.is_none()
    }

    /// Whether verbs that a server should heed leave a mark.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    pub fn stats(&self) -> Stats {
        self.writer
            .as_ref()
            .map(writer::Writer::stats)
            .unwrap_or_default()
    }

    /// See [`super::Store::ready`].
    pub async fn ready(&self) -> Result<()> {
        self.read("reading", |c| {
            Ok(c.prepare_cached("SELECT 1 FROM users LIMIT 1")?
                .exists([])
                .map(|_| ())?)
        })
        .await?;
        match &self.writer {
            Some(writer) => writer.check_alive(),
            None => Ok(()),
        }
    }

    /// Runs `work` on a reading connection, off the async threads. Several statements that must see the same
    /// state go into [`snapshot`].
    pub async fn read<T, F>(&self, context: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.readers.run(context, work).await
    }

    /// Runs `work` in a savepoint of the writer's next transaction and answers after its commit.
    pub async fn write<T, F>(&self, context: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        match &self.writer {
            Some(writer) => writer.run(context, work).await,
            None => Err(read_only()),
        }
    }

    /// As [`Self::write`], waiting neither for room in the queue nor for the answer; left out when there is no room.
    pub fn write_detached<F>(&self, context: &'static str, work: F)
    where
        F: FnOnce(&Connection) -> Result<(), Fault> + Send + 'static,
    {
        if let Some(writer) = &self.writer {
            writer.run_detached(context, work);
        }
    }

    /// Runs `work` on the connection that polls for foreign changes.
    pub async fn poll<T, F>(&self, context: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut changes::Poller) -> Result<T, Fault> + Send + 'static,
    {
        let poller = self.poller.clone();
        let result = tokio::task::spawn_blocking(move || match poller.lock().as_mut() {
            Some(poller) => work(poller).map_err(|fault| fault.in_context(context)),
            None => Err(closing()),
        })
        .await;
        result.unwrap_or(Err(StoreError::Panicked(context)))
    }
}

/// Runs `work` so that all its statements see one state.
pub(super) fn snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.unchecked_transaction()?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

fn read_only() -> StoreError {
    StoreError::Unavailable("it is read-only".into())
}

fn closing() -> StoreError {
    StoreError::Unavailable("it is being closed".into())
}

/// Whether `limit` has really passed since `start`: a test that stops tokio's clock makes its timers fire early,
/// while the writer and the disk go by the real one.
fn really_elapsed(start: std::time::Instant, limit: Duration) -> bool {
    start.elapsed() >= limit
}
