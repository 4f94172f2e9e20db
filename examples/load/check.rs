//! The ledger: what every viewer was told, held against the graph. Pure book-keeping; the crowd feeds it.
//!
//! While people connect, the order in which the server takes them is its own affair, so a viewer may learn of somebody
//! by snapshot or by update, but of each person exactly once; and who was there before the viewer came has to be in
//! the snapshot, who came after it must not be. From [`Ledger::settle`] on, each person makes at most one transition
//! at a time, and each connected follower gets it exactly once.

mod counts;

use super::graph::{Graph, Id, username};
use super::wire::{Entry, Update};
use chrono::{DateTime, Utc};
pub use counts::Counts;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far the server's `lastSeen` may lie outside the time between our write and our read.
const CLOCK_TOLERANCE: chrono::Duration = chrono::Duration::milliseconds(100);
/// How many problems are kept as text.
const EXAMPLES: usize = 20;

#[derive(Default)]
struct Viewer {
    begun: Option<Instant>,
    ready: Option<Instant>,
    snapshot: Vec<Id>,
    updates: Vec<Id>,
}

struct Moving {
    online: bool,
    sent: Instant,
    sent_at: DateTime<Utc>,
    waiting: HashSet<Id>,
    stamp: Option<(String, Option<String>)>,
}

/// See the module's documentation.
pub struct Ledger {
    graph: Arc<Graph>,
    viewers: Vec<Viewer>,
    online: Vec<bool>,
    settled: bool,
    moving: HashMap<Id, Moving>,
    deliveries: Vec<Duration>,
    spans: Vec<Duration>,
    counts: Counts,
    examples: Vec<String>,
}

impl Ledger {
    /// A ledger for a graph of which nobody is connected.
    pub fn new(graph: Arc<Graph>) -> Self {
        let slots = graph.people() as usize + 1;
        Self {
            graph,
            viewers: (0..slots).map(|_| Viewer::default()).collect(),
            online: vec![false; slots],
            settled: false,
            moving: HashMap::new(),
            deliveries: Vec::new(),
            spans: Vec::new(),
            counts: Counts::default(),
            examples: Vec::new(),
        }
    }

    /// Somebody is about to connect for the first time.
    pub fn connecting(&mut self, id: Id, at: Instant) {
        self.viewers[id as usize].begun = Some(at);
        self.online[id as usize] = true;
    }

    /// A snapshot came: the first of this viewer, or once settled, that of a further device.
    pub fn snapshot(&mut self, viewer: Id, entries: &[Entry], at: Instant) {
        for entry in entries {
            if entry.status != "online" || entry.username != username(entry.user_id) {
                let problem = format!("snapshot of {viewer}: {entry:?}");
                self.problem(|c| &mut c.malformed, problem);
            }
        }
        let mut seen: Vec<Id> = entries.iter().map(|entry| entry.user_id).collect();
        seen.sort_unstable();
        if self.settled {
            self.check_further_snapshot(viewer, &seen);
        } else if self.viewers[viewer as usize].ready.is_some() {
            self.problem(
                |c| &mut c.wrong_snapshot,
                format!("{viewer} got a second snapshot"),
            );
        } else {
            self.counts.connected += 1;
            self.counts.learnt += seen.len() as u64;
            let known = &mut self.viewers[viewer as usize];
            known.ready = Some(at);
            known.snapshot = seen;
        }
    }

    fn check_further_snapshot(&mut self, viewer: Id, seen: &[Id]) {
        self.counts.snapshots += 1;
        let expected: Vec<Id> = self
            .graph
            .followees(viewer)
            .iter()
            .copied()
            .filter(|&id| self.online[id as usize])
            .collect();
        if seen != expected {
            let problem = format!("snapshot of {viewer}: {seen:?} instead of {expected:?}");
            self.problem(|c| &mut c.wrong_snapshot, problem);
        }
    }

    /// A `presence_update` came. Returns whether it was the last delivery of its transition.
    pub fn update(
        &mut self,
        viewer: Id,
        update: &Update,
        at: Instant,
        wall: DateTime<Utc>,
    ) -> bool {
        let subject = update.user_id;
        if let Err(why) = well_formed(update) {
            self.problem(
                |c| &mut c.malformed,
                format!("to {viewer}: {why} in {update:?}"),
            );
        }
        let follows = self.graph.has(viewer, subject);
        if !follows {
            self.problem(
                |c| &mut c.wrong,
                format!("{viewer} does not follow {subject}, but got {update:?}"),
            );
            return false;
        }
        if !self.settled {
            self.early(viewer, update);
            return false;
        }
        let Some(moving) = self.moving.get_mut(&subject) else {
            self.problem(
                |c| &mut c.doubled,
                format!("to {viewer}, nobody waits for it: {update:?}"),
            );
            return false;
        };
        if (update.status == "online") != moving.online {
            self.problem(
                |c| &mut c.wrong,
                format!("to {viewer}, the opposite is true: {update:?}"),
            );
            return false;
        }
        if !moving.waiting.remove(&viewer) {
            self.problem(
                |c| &mut c.doubled,
                format!("to {viewer}, again: {update:?}"),
            );
            return false;
        }
        self.counts.received += 1;
        self.deliveries.push(at - moving.sent);
        let finished = moving.waiting.is_empty();
        if finished {
            self.spans.push(at - moving.sent);
        }
        if let Err(why) = moving.check_times(update, wall) {
            self.problem(
                |c| &mut c.malformed,
                format!("to {viewer}: {why} in {update:?}"),
            );
        }
        if finished {
            self.moving.remove(&subject);
        }
        finished
    }

    fn early(&mut self, viewer: Id, update: &Update) {
        if update.status != "online" {
            self.problem(
                |c| &mut c.wrong,
                format!("to {viewer} while connecting: {update:?}"),
            );
            return;
        }
        let known = &mut self.viewers[viewer as usize];
        known.updates.push(update.user_id);
        self.counts.learnt += 1;
        if known.ready.is_none() {
            self.problem(
                |c| &mut c.before_snapshot,
                format!("to {viewer}: {update:?}"),
            );
        }
    }

    /// How many pairs have to be learnt of while connecting, once everybody is there.
    pub fn to_learn(&self) -> u64 {
        self.graph.follows() as u64
    }

    /// What was counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Everybody is connected and has heard of everybody: holds what each viewer learnt against the graph.
    pub fn settle(&mut self) {
        self.settled = true;
        let graph = self.graph.clone();
        for viewer in 1..=graph.people() {
            let known = &mut self.viewers[viewer as usize];
            let (Some(begun), Some(ready)) = (known.begun, known.ready) else {
                continue;
            };
            let mut listed = tally(&std::mem::take(&mut known.snapshot));
            let mut told = tally(&std::mem::take(&mut known.updates));
            self.counts.snapshots += 1;
            for &subject in graph.followees(viewer) {
                let listed = listed.remove(&subject).unwrap_or(0);
                match listed + told.remove(&subject).unwrap_or(0) {
                    0 => self.problem(
                        |c| &mut c.missing,
                        format!("{viewer} never learnt of {subject}"),
                    ),
                    1 => {}
                    n => self.problem(
                        |c| &mut c.doubled,
                        format!("{viewer} learnt of {subject} {n} times"),
                    ),
                }
                let other = &self.viewers[subject as usize];
                let before = other.ready.is_some_and(|at| at < begun);
                let after = other.begun.is_some_and(|at| at > ready);
                if (before && listed == 0) || (after && listed > 0) {
                    let place = if before { "not in" } else { "in" };
                    self.problem(
                        |c| &mut c.wrong_snapshot,
                        format!("{subject} is {place} the snapshot of {viewer}"),
                    );
                }
            }
            if let Some(stranger) = listed.keys().next() {
                self.problem(
                    |c| &mut c.wrong_snapshot,
                    format!("snapshot of {viewer}: {stranger} is not followed"),
                );
            }
        }
    }

    /// Somebody is about to go online or offline: from here on each follower has to get it once.
    pub fn transition(&mut self, subject: Id, online: bool, sent: Instant, sent_at: DateTime<Utc>) {
        let waiting: HashSet<Id> = self.graph.followers(subject).iter().copied().collect();
        self.online[subject as usize] = online;
        self.counts.transitions += 1;
        self.counts.expected += waiting.len() as u64;
        if !waiting.is_empty() {
            self.moving.insert(
                subject,
                Moving {
                    online,
                    sent,
                    sent_at,
                    waiting,
                    stamp: None,
                },
            );
        }
    }

    /// Whether this person's last transition is still under way.
    pub fn is_moving(&self, subject: Id) -> bool {
        self.moving.contains_key(&subject)
    }

    /// Who is taken for online.
    pub fn is_online(&self, id: Id) -> bool {
        self.online[id as usize]
    }

    /// Gives up on a transition; what has not come is missing.
    pub fn give_up(&mut self, subject: Id) {
        if let Some(moving) = self.moving.remove(&subject) {
            self.counts.missing += moving.waiting.len() as u64;
            self.example(format!(
                "{subject} going online={}: {} never got it",
                moving.online,
                moving.waiting.len()
            ));
        }
    }

    /// A failed acknowledgement, an `error` event or a lost connection.
    pub fn failure(&mut self, what: String) {
        self.problem(|c| &mut c.failures, what);
    }

    /// Time from a write to each delivery, and to the last delivery of each transition.
    pub fn latencies(&mut self) -> (Vec<Duration>, Vec<Duration>) {
        (
            std::mem::take(&mut self.deliveries),
            std::mem::take(&mut self.spans),
        )
    }

    /// The first problems, as text.
    pub fn examples(&self) -> &[String] {
        &self.examples
    }

    fn problem(&mut self, counter: impl Fn(&mut Counts) -> &mut u64, text: String) {
        *counter(&mut self.counts) += 1;
        self.example(text);
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(text);
        }
    }
}

impl Moving {
    /// Every follower is told the same, and `lastSeen` lies between our write and our read.
    fn check_times(&mut self, update: &Update, read_at: DateTime<Utc>) -> Result<(), String> {
        let stamp = (update.timestamp.clone(), update.last_seen.clone().flatten());
        let first = self.stamp.get_or_insert_with(|| stamp.clone());
        if *first != stamp {
            return Err(format!("others were told {first:?}"));
        }
        if let Some(last_seen) = &stamp.1 {
            let last_seen = time(last_seen)?;
            if last_seen < self.sent_at - CLOCK_TOLERANCE || last_seen > read_at + CLOCK_TOLERANCE {
                return Err(format!(
                    "lastSeen is not between {} and {read_at}",
                    self.sent_at
                ));
            }
        }
        Ok(())
    }
}

fn well_formed(update: &Update) -> Result<(), String> {
    time(&update.timestamp)?;
    if update.username != username(update.user_id) {
        return Err("another's username".into());
    }
    match (update.status.as_str(), &update.last_seen) {
        ("online", None) => Ok(()),
        ("online", Some(_)) => Err("lastSeen of somebody online".into()),
        ("offline", Some(Some(at))) => time(at).map(|_| ()),
        ("offline", _) => Err("no lastSeen".into()),
        _ => Err("an unknown status".into()),
    }
}

/// RFC 3339 in UTC with milliseconds and `Z`, and nothing else.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if text.len() != "2026-01-01T00:00:00.000Z".len() || !text.ends_with('Z') {
        return Err(format!("{text:?} is no time with milliseconds and Z"));
    }
    text.parse().map_err(|e| format!("{text:?}: {e}"))
}

fn tally(ids: &[Id]) -> HashMap<Id, u32> {
    let mut counts = HashMap::new();
    for &id in ids {
        *counts.entry(id).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
