//! When people are there: little at night, a hill at noon, a higher one in the evening, each in their own zone.

use rand::Rng;
use std::time::Duration;

/// How likely somebody comes in each hour of their day, as a part of the busiest hour.
const HOURS: [f64; 24] = [
    0.22, 0.12, 0.06, 0.04, 0.04, 0.08, 0.22, 0.45, 0.55, 0.48, 0.45, 0.52, 0.66, 0.60, 0.48, 0.46,
    0.52, 0.64, 0.76, 0.90, 1.00, 0.98, 0.72, 0.42,
];

/// The mean of the hours.
pub(super) const MEAN: f64 = 0.4738;

/// A session's mean length in a real day.
pub(super) const SESSION: Duration = Duration::from_secs(40 * 60);

/// The part of the busiest hour at this hour of somebody's day, which may be outside 0..24.
pub(super) fn at(hour: f64) -> f64 {
    let hour = hour.rem_euclid(24.0);
    let (now, part) = (hour as usize % 24, hour.fract());
    HOURS[now] * (1.0 - part) + HOURS[(now + 1) % 24] * part
}

/// A time until something that happens by chance, `mean` apart; not longer than eight times that.
pub(super) fn wait(mean: Duration, rng: &mut impl Rng) -> Duration {
    let chance: f64 = rng.random();
    mean.mul_f64((-(1.0 - chance).ln()).min(8.0))
}
