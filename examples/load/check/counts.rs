//! What the ledger counts, and when that is good.

use serde::Serialize;

/// What was counted. From `missing` on everything must be 0 at the end.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// People connected.
    pub connected: u64,
    /// Snapshots held against the graph.
    pub snapshots: u64,
    /// Pairs of a viewer and somebody followed, both connected, that were learnt of while connecting.
    pub learnt: u64,
    /// Transitions made.
    pub transitions: u64,
    /// Deliveries that the graph asks for.
    pub expected: u64,
    /// Deliveries that came and were right.
    pub received: u64,
    /// Never came, or not in time.
    pub missing: u64,
    /// Came again.
    pub doubled: u64,
    /// Came to somebody who should not have it, or said the opposite.
    pub wrong: u64,
    /// In a snapshot or not, against what was so when it was made.
    pub wrong_snapshot: u64,
    /// Came before the viewer's snapshot.
    pub before_snapshot: u64,
    /// Not of the promised form (`lastSeen` exactly when offline, names, times).
    pub malformed: u64,
    /// Failed acknowledgements, `error` events, lost connections.
    pub failures: u64,
}

impl Counts {
    /// Nothing was missing, doubled, wrong or malformed.
    pub fn clean(&self) -> bool {
        let errors = [
            self.missing,
            self.doubled,
            self.wrong,
            self.wrong_snapshot,
            self.before_snapshot,
            self.malformed,
            self.failures,
        ];
        self.received == self.expected && errors.iter().all(|&n| n == 0)
    }
}
