//! The reading connections: read-only, pooled, and used off the async threads.
//!
//! There are as many permits as connections, so that no thread of the runtime ever waits for one; tasks wait
//! instead, at most [`MAX_WAITING`] of them and none longer than the deadline, beyond which a read is
//! `Unavailable`. A read that has begun runs to its end, also when its caller goes away.

use super::fault::{Fault, classify};
use super::open::Location;
use super::{closing, really_elapsed};
use crate::store::{Options, Result, StoreError};
use parking_lot::Mutex;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Reads that may wait for a connection; more are refused at once.
const MAX_WAITING: usize = 16_384;

type Pool = r2d2::Pool<SqliteConnectionManager>;

pub(super) struct Readers {
    pool: Mutex<Option<Pool>>,
    permits: Arc<Semaphore>,
    size: u32,
    waiting: AtomicUsize,
    deadline: Duration,
}

impl Readers {
    pub fn new(location: &Location, options: &Options) -> Result<Self> {
        let size = options.readers.max(1);
        let pool = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            // A connection is a file handle and a warm cache: there is nothing to renew and nothing to test.
            .max_lifetime(None)
            .idle_timeout(None)
            .test_on_check_out(false)
            .connection_timeout(options.write_deadline)
            .build(location.reader_manager())
            .map_err(|error| StoreError::Unusable {
                path: location.path().to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            pool: Mutex::new(Some(pool)),
            permits: Arc::new(Semaphore::new(size as usize)),
            size,
            waiting: AtomicUsize::new(0),
            deadline: options.write_deadline,
        })
    }

    pub async fn run<T, F>(&self, context: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let permit = self.permit().await?;
        let pool = self.pool.lock().clone().ok_or_else(closing)?;
        let result = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = pool
                .get()
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            work(&connection).map_err(|fault| fault.in_context(context))
        })
        .await;
        result.unwrap_or_else(|failed| {
            if failed.is_panic() {
                tracing::error!(context, "a read panicked");
            }
            Err(StoreError::Panicked(context))
        })
    }

    async fn permit(&self) -> Result<tokio::sync::OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _place = Place::take(&self.waiting).ok_or_else(|| {
            StoreError::Unavailable("too many reads are waiting for a connection".into())
        })?;
        let start = Instant::now();
        let mut acquire = std::pin::pin!(self.permits.clone().acquire_owned());
        let acquired = match tokio::time::timeout(self.deadline, &mut acquire).await {
            Ok(acquired) => acquired,
            Err(_) if really_elapsed(start, self.deadline) => {
                return Err(StoreError::Unavailable(
                    "no connection for reading became free in time".into(),
                ));
            }
            Err(_) => acquire.await,
        };
        acquired.map_err(|_| closing())
    }

    /// Refuses new reads, waits for those that run (up to the deadline), and closes the connections.
    pub async fn close(&self) {
        let all = self.permits.acquire_many(self.size);
        if tokio::time::timeout(self.deadline, all).await.is_err() {
            tracing::warn!("reads were still running when the database was closed");
        }
        self.permits.close();
        self.pool.lock().take();
    }
}

/// A place among the waiting, given back on drop.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What every reading connection is told.
pub(super) fn set_up_reader(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(128);
    plan_once(connection)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -512;",
    )
}

/// Plans a statement when it is prepared and not again for each value that is bound: SQLite would look into a bound
/// `LIMIT`, and with that prepare the statement anew whenever one is given.
pub(super) fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

/// Opens one outside the pool.
pub(super) fn open_reader(location: &Location) -> Result<Connection> {
    use r2d2::ManageConnection;
    location
        .reader_manager()
        .connect()
        .map_err(|error| classify("opening for reading", error))
}
