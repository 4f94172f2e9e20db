//! Hub and tracker together against a model that knows only the plain facts.
//!
//! [`steps`] takes one random step at a time and compares after each what every connected client believes, and what
//! it was pushed, with what SPEC.md says; [`storm`] runs everything at once and compares what is believed in the end.

mod model;
mod steps;
mod storm;
pub(crate) mod world;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static STORMY: AtomicBool = AtomicBool::new(false);

/// Stands between a read and what is done with it. In a storm it sometimes takes a while, so that what can overtake
/// does.
pub(super) async fn chance() {
    if STORMY.load(Ordering::Relaxed) && rand::random_ratio(1, 3) {
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..8))).await;
    }
}
