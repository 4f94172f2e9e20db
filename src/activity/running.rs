//! Which `Idempotency-Key`s are of requests that are still running.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

/// Keys by caller.
type Keys = Mutex<HashSet<(String, String)>>;

/// The keys in use; as many as there are requests.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Keys>);

/// One key in use, until it is dropped.
pub(super) struct Turn {
    keys: Arc<Keys>,
    own: (String, String),
}

impl Running {
    /// Takes a key; `None` while somebody else has it.
    pub(super) fn take(&self, caller: &str, key: &str) -> Option<Turn> {
        let own = (caller.to_owned(), key.to_owned());
        self.0.lock().insert(own.clone()).then(|| Turn {
            keys: self.0.clone(),
            own,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_had_by_one_at_a_time() {
        let running = Running::default();
        let first = running.take("a", "k").expect("free");
        assert!(running.take("a", "k").is_none());
        assert!(running.take("b", "k").is_some(), "another's own");
        drop(first);
        assert!(running.take("a", "k").is_some());
    }
}
