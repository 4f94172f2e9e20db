//! Somebody who logs activities without a pause, and remembers what was acknowledged.

use super::{Http, eventually, now};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long ago every second row is said to have been.
const LONG_AGO: Duration = Duration::from_secs(100 * 86_400);

/// A row that was acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// As 32 hexadecimal digits.
    pub id: String,
    /// Of 100 days ago, else of now.
    pub is_old: bool,
}

/// Posts batches until it is stopped. Row by row they are of now and of 100 days ago, and all of a batch bear its number
/// as `batch` in their metadata.
pub struct Ingest {
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    is_over: Arc<AtomicBool>,
    posting: JoinHandle<()>,
}

impl Ingest {
    /// `size` rows a batch, as a service, for this user.
    pub fn start(service: Http, username: &str, size: usize) -> Self {
        let acknowledged = Arc::<Mutex<Vec<Acknowledged>>>::default();
        let is_over = Arc::<AtomicBool>::default();
        let (book, over, username) = (acknowledged.clone(), is_over.clone(), username.to_owned());
        let posting = tokio::spawn(async move {
            let mut batch = 0_u64;
            while !over.load(Ordering::SeqCst) {
                batch += 1;
                let at = |index: usize| match index % 2 {
                    0 => now(),
                    _ => now().minus(LONG_AGO),
                };
                let row = |index| {
                    let metadata = json!({ "batch": batch });
                    json!({ "action": "video_watched", "username": username, "timestamp": at(index).to_string(), "metadata": metadata })
                };
                let rows: Vec<Value> = (0..size).map(row).collect();
                let answer = service.post("/activities", Value::Array(rows)).await;
                let data = answer.data(201);
                let ids = data["ids"].as_array().expect("a list").iter();
                let rows = ids.enumerate().map(|(index, id)| Acknowledged {
                    id: id.as_str().expect("an id").replace('-', ""),
                    is_old: index % 2 == 1,
                });
                book.lock().extend(rows);
            }
        });
        Self {
            acknowledged,
            is_over,
            posting,
        }
    }

    /// What has been acknowledged so far.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        self.acknowledged.lock().clone()
    }

    /// Waits until more has been acknowledged than so many rows.
    pub async fn more_than(&self, rows: usize) {
        eventually("an acknowledged row", async || {
            (self.acknowledged.lock().len() > rows).then_some(())
        })
        .await;
    }

    /// Waits for the last answer; all that was acknowledged.
    pub async fn stop(self) -> Vec<Acknowledged> {
        self.is_over.store(true, Ordering::SeqCst);
        self.posting.await.expect("every batch was taken");
        self.acknowledged.lock().clone()
    }
}
