//! What `/metrics` shows, in the OpenMetrics text format.
//!
//! Counters of hot paths are plain atomics that their owners count; everything else is sampled when it is asked for.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// Counters of the realtime layer.
#[derive(Clone, Debug, Default)]
pub struct RealtimeCounters {
    /// Presence updates put into a connection's outbox.
    pub deliveries: Counter,
    /// Presence updates encoded: at most once per change, visibility and protocol, however many are told.
    pub encodings: Counter,
    /// Events received from clients.
    pub events: Counter,
    /// Connections refused (credential, limits, origin).
    pub refused: Counter,
}

/// Everything that is sampled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Open realtime connections.
    pub connections: u64,
    /// Users online.
    pub online: u64,
    /// Transitions since the start.
    pub transitions: u64,
    /// Write transactions committed.
    pub write_batches: u64,
    /// Write commands in them.
    pub write_commands: u64,
    /// Write commands waiting.
    pub write_queue: u64,
    /// Write commands refused.
    pub write_refused: u64,
    /// Users and sessions in memory that the store does not have yet.
    pub unwritten: u64,
    /// Connections closed because their client read too slowly.
    pub slow_consumers: u64,
    /// Activities noticed by the server that could not be logged.
    pub activity_dropped: u64,
}

/// The registry behind `/metrics`; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Registry>);

impl Metrics {
    /// Registers the counters and where to sample the rest.
    pub fn new(
        realtime: &RealtimeCounters,
        sample: impl Fn() -> Sample + Send + Sync + 'static,
    ) -> Self {
        let mut registry = Registry::with_prefix("lastseen");
        for (name, help, counter) in [
            (
                "deliveries",
                "Presence updates put into a connection's outbox",
                &realtime.deliveries,
            ),
            ("encodings", "Presence updates encoded", &realtime.encodings),
            (
                "client_events",
                "Events received from clients",
                &realtime.events,
            ),
            (
                "connections_refused",
                "Connections refused",
                &realtime.refused,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register_collector(Box::new(Sampler(Box::new(sample))));
        Self(Arc::new(registry))
    }

    /// The text of `/metrics`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail; what is missing then would be a bug of a metric's own encoder.
        if let Err(error) = text::encode(&mut text, &self.0) {
            tracing::error!(%error, "metrics could not be encoded");
        }
        text
    }
}

struct Sampler(Box<dyn Fn() -> Sample + Send + Sync>);

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sampler")
    }
}

impl Collector for Sampler {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sample = (self.0)();
        for (name, help, value) in [
            (
                "connections",
                "Open realtime connections",
                sample.connections,
            ),
            (
                "online_users",
                "Users online, also within the grace",
                sample.online,
            ),
            ("write_queue", "Write commands waiting", sample.write_queue),
            (
                "unwritten",
                "Changes in memory that the store does not have yet",
                sample.unwritten,
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        for (name, help, value) in [
            ("transitions", "Presence transitions", sample.transitions),
            (
                "write_batches",
                "Write transactions committed",
                sample.write_batches,
            ),
            (
                "write_commands",
                "Write commands committed",
                sample.write_commands,
            ),
            (
                "write_refused",
                "Write commands refused",
                sample.write_refused,
            ),
            (
                "slow_consumers",
                "Connections closed because their client read too slowly",
                sample.slow_consumers,
            ),
            (
                "activity_dropped",
                "Activities noticed by the server that could not be logged",
                sample.activity_dropped,
            ),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_samples_are_shown() {
        let realtime = RealtimeCounters::default();
        let metrics = Metrics::new(&realtime, || Sample {
            online: 3,
            transitions: 7,
            ..Sample::default()
        });
        realtime.deliveries.inc_by(2);
        let text = metrics.encode();
        for line in [
            "lastseen_deliveries_total 2",
            "lastseen_online_users 3",
            "lastseen_transitions_total 7",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
