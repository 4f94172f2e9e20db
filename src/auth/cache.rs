//! A bounded cache of what the store says about users, that never outlives a change.
//!
//! Hits are remembered, misses never: a token made a moment ago must work at once. When full, entries that were
//! used least go first, and are looked up again.

use super::epochs::{Epochs, Moment};
use crate::model::UserId;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use std::hash::Hash;
use std::sync::Arc;

/// Something that is stale once its user has changed.
pub(super) trait OfUser {
    /// The user.
    fn user(&self) -> UserId;
}

/// The cache.
pub(super) struct UserCache<K, T>(Cache<K, (Arc<T>, Moment)>);

impl<K: Hash + Eq, T: OfUser> UserCache<K, T> {
    /// With room for `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// What is known of `key`, else what `look_up` says, which must not have begun yet (the future of an `async fn`
    /// begins when it is first polled).
    pub(super) async fn get<Q, E>(
        &self,
        epochs: &Epochs,
        key: &Q,
        look_up: impl Future<Output = Result<Option<T>, E>>,
    ) -> Result<Option<Arc<T>>, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        if let Some((value, moment)) = self.0.get(key)
            && epochs.is_good(value.user(), moment)
        {
            return Ok(Some(value));
        }
        let moment = epochs.before_look_up();
        let Some(value) = look_up.await?.map(Arc::new) else {
            self.0.remove(key);
            return Ok(None);
        };
        self.0.insert(key.to_owned(), (value.clone(), moment));
        Ok(Some(value))
    }

    /// Makes room where an entry is of no use any more.
    pub(super) fn remove<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::convert::Infallible;
    use std::future::ready;
    use tokio::sync::oneshot;

    #[derive(Debug, PartialEq)]
    struct Row(UserId, &'static str);

    impl OfUser for Row {
        fn user(&self) -> UserId {
            self.0
        }
    }

    type Answer = Result<Option<Row>, Infallible>;

    struct Bench {
        epochs: Epochs,
        cache: UserCache<String, Row>,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                epochs: Epochs::default(),
                cache: UserCache::new(100),
            }
        }

        /// What the cache says of `key` when the store says `row`.
        fn get(&self, key: &str, row: Option<Row>) -> Option<Arc<Row>> {
            let answer: Answer = Ok(row);
            let got = self.cache.get(&self.epochs, key, ready(answer));
            got.now_or_never().expect("at once").expect("no error")
        }
    }

    fn row(text: &'static str) -> Option<Row> {
        Some(Row(UserId(1), text))
    }

    #[test]
    fn hits_are_remembered_until_their_user_changes() {
        let bench = Bench::new();
        assert_eq!(bench.get("a", None), None);
        assert_eq!(bench.get("a", row("1")).as_deref(), row("1").as_ref());
        assert_eq!(bench.get("a", row("2")).as_deref(), row("1").as_ref());
        bench.epochs.invalidate(UserId(2));
        assert_eq!(bench.get("a", row("2")).as_deref(), row("1").as_ref());
        bench.epochs.invalidate(UserId(1));
        assert_eq!(bench.get("a", row("2")).as_deref(), row("2").as_ref());
        bench.epochs.invalidate_everyone();
        assert_eq!(bench.get("a", None), None);
        assert_eq!(bench.get("a", row("3")).as_deref(), row("3").as_ref());
    }

    #[test]
    fn a_look_up_under_way_does_not_outlive_a_change() {
        let bench = Bench::new();
        let (answer, store) = oneshot::channel::<Answer>();
        let look_up = store.map(|answer| answer.expect("answered"));
        let mut asking = Box::pin(bench.cache.get(&bench.epochs, "a", look_up));
        assert!(asking.as_mut().now_or_never().is_none(), "under way");
        // The row was read; now it changes, and only then is it answered.
        bench.epochs.invalidate(UserId(1));
        answer.send(Ok(row("old"))).expect("asked");
        let old = asking.now_or_never().expect("answered").expect("no error");
        assert_eq!(old.as_deref(), row("old").as_ref());
        assert_eq!(bench.get("a", None), None, "must not be remembered");
    }
}
