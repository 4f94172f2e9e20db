//! Publish and subscribe to presence transitions, and the live stream for administrators.
//!
//! Where people connect (the tracker) and where others are told (the hub) meet only here, so that a bus between
//! several nodes can feed the same path later. In one process a transition is handed over on the spot, without a
//! queue: what is published is delivered before `publish` returns. [`live`] is beside that: whoever follows it is told
//! of everything, from a bounded ring, and delays nobody.

pub mod live;

use crate::model::Transition;
use live::Live;
use std::sync::{Arc, OnceLock};

/// Takes transitions, in any order: a later version of a user's state stands, an earlier one is dropped.
pub trait Subscriber: Send + Sync {
    /// Somebody went online or offline.
    fn transition(&self, transition: &Transition);
}

/// The bus of one process.
#[derive(Clone, Default)]
pub struct Bus {
    subscriber: Arc<OnceLock<Arc<dyn Subscriber>>>,
    live: Live,
}

impl Bus {
    /// A bus without a subscriber; what is published before there is one reaches nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the subscriber, once: a second one is refused.
    pub fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> bool {
        self.subscriber.set(subscriber).is_ok()
    }

    /// Hands `transition` to the subscriber.
    pub fn publish(&self, transition: &Transition) {
        if let Some(subscriber) = self.subscriber.get() {
            subscriber.transition(transition);
        }
    }

    /// The live stream.
    pub fn live(&self) -> &Live {
        &self.live
    }
}
