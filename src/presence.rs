//! Presence: who is online, who is told, and who may see it.
//!
//! The [`tracker`] counts connections and publishes transitions; the [`hub`] tells those who may see them;
//! [`visibility`] holds the one rule of privacy; `dirty` and `active` are what the store is told, within 250 ms and
//! once a minute; [`overview`] is what administrators are shown. [`PresenceService`] is the front of it all for
//! handlers and connections.

pub(crate) mod active;
pub(crate) mod dirty;
pub mod hub;
pub mod link;
#[cfg(test)]
pub(crate) mod model_tests;
pub mod overview;
pub mod peaks;
mod service;
mod subject;
pub(crate) mod timers;
pub mod tracked;
pub mod tracker;
mod viewer;
pub mod visibility;

pub use hub::{HubSettings, WATCH_LIMIT, WatchError};
pub use service::{OpenError, Opened, PresenceService, PresenceSettings};
pub use tracked::Ending;
pub use tracker::{TooMany, TrackerSettings};
pub use visibility::{Rule, Viewer, rule};
