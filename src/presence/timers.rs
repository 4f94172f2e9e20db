//! One shared timing wheel for everything of one kind that falls due: no timer per user or connection.

use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;

/// The wheel has no room for more than two years, and panics.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Things that fall due. Nothing is ever taken back: whoever is called looks whether it still matters.
///
/// Bounded by what schedules it: each disconnection leaves entries for the time of a grace and of a resumption, and
/// each connection one that comes round.
pub struct Timers<T> {
    queue: Mutex<DelayQueue<T>>,
}

impl<T: Send + 'static> Timers<T> {
    /// An empty wheel.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(DelayQueue::new()),
        })
    }

    /// Has `item` fall due `after` from now, or in a year if that is sooner.
    pub fn schedule(&self, after: Duration, item: T) {
        self.queue.lock().insert(item, after.min(LONGEST));
    }

    /// How much is still to fall due.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.queue.lock().len()
    }

    /// Calls `fire` for each thing as it falls due, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken, mut fire: impl FnMut(T) + Send) {
        // An empty queue ends its stream; it is polled again when something was inserted, which wakes the
        // waker that the queue kept.
        let due = || {
            poll_fn(|context| match self.queue.lock().poll_expired(context) {
                Poll::Ready(Some(expired)) => Poll::Ready(expired.into_inner()),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            })
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                item = due() => fire(item),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn fires_in_order_also_after_having_been_empty() {
        let timers = Timers::new();
        let stop = CancellationToken::new();
        let (sender, mut fired) = mpsc::unbounded_channel();
        let task = tokio::spawn(timers.clone().run(stop.clone(), move |n: u32| {
            sender.send((n, Instant::now())).expect("the test listens");
        }));
        let begun = Instant::now();
        // The task must have found the queue empty before anything is inserted.
        tokio::task::yield_now().await;
        timers.schedule(Duration::from_secs(2), 2);
        timers.schedule(Duration::from_secs(1), 1);
        let (first, at) = fired.recv().await.expect("fires");
        assert_eq!(first, 1);
        assert!(at - begun >= Duration::from_secs(1));
        assert_eq!(fired.recv().await.expect("fires").0, 2);
        timers.schedule(Duration::from_millis(5), 3);
        assert_eq!(fired.recv().await.expect("fires").0, 3);
        stop.cancel();
        task.await.expect("ends");
    }
}
