//! Presence.

pub(crate) mod dirty;
pub mod link;
pub(crate) mod timers;
pub(crate) mod tracked;
pub mod tracker;
pub mod visibility;

pub use visibility::{Rule, Viewer};
