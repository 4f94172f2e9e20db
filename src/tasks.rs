//! Named, supervised background work: each task has a name, is started again if it panics, stops when asked, and
//! is waited for.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

/// Pause before a task that panicked is started again, so that a lasting fault does not fill the log.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// The background work of one server.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts `work`, which is to end when its token is cancelled. It is made anew if it panics.
    pub fn spawn<F>(
        &self,
        name: &'static str,
        work: impl Fn(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            while let Err(failed) = tokio::spawn(work(stop.clone())).await {
                error!(task = name, error = %failed, "a background task failed and is started again");
                if stop.run_until_cancelled(tokio::time::sleep(RESTART_AFTER)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Calls `work` every `period`, the first time after one `period`, never twice at once.
    pub fn every<F>(
        &self,
        name: &'static str,
        period: Duration,
        work: impl Fn() -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn(name, move |stop| {
            let work = work.clone();
            async move {
                while stop
                    .run_until_cancelled(tokio::time::sleep(period))
                    .await
                    .is_some()
                {
                    work().await
                }
            }
        });
    }

    /// Asks all to stop and waits until they have.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again_and_one_that_is_asked_stops() {
        let tasks = Tasks::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(Notify::new());
        let (counted, told) = (runs.clone(), again.clone());
        tasks.spawn("test", move |stop| {
            let (counted, told) = (counted.clone(), told.clone());
            async move {
                assert!(
                    counted.fetch_add(1, Ordering::SeqCst) > 0,
                    "fails the first time"
                );
                told.notify_one();
                stop.cancelled().await;
            }
        });
        tokio::time::timeout(Duration::from_secs(60), again.notified())
            .await
            .expect("started again");
        tasks.stop().await;
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }
}
