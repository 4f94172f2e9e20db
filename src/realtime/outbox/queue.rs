//! The order of what waits: ordinary frames and replies as they were pushed, and per key only the newest frame.
//! Pure; the outbox puts a lock around it.

use crate::realtime::frame::Frame;
use bytes::{Buf, Bytes};
use std::collections::{HashMap, VecDeque};
use std::io::IoSlice;

/// With more keys than this waiting, a map finds them; below it, looking through is quicker and needs no memory.
const SCAN: usize = 16;

/// How many frames go into one system call.
pub(super) const BATCH: usize = 64;

const NO_GATE: u64 = u64::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Pushed,
    Reply,
}

/// Frames and bytes of one class that wait, those being written included.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub frames: u32,
    pub bytes: u64,
}

impl Load {
    fn add(&mut self, frame: &Frame) {
        self.frames += 1;
        self.bytes += frame.wire().len() as u64;
    }

    fn remove(&mut self, frame: &Frame) {
        self.frames = self.frames.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(frame.wire().len() as u64);
    }
}

struct Ordinary {
    seq: u64,
    class: Class,
    frame: Frame,
}

/// A keyed frame; without one the place is empty because a newer one came, or it was forgotten.
struct Latest {
    seq: u64,
    key: u64,
    frame: Option<Frame>,
}

/// A frame taken off the queue to be written.
pub(super) struct Taken {
    seq: u64,
    kind: Kind,
    frame: Frame,
}

enum Kind {
    Ordinary(Class),
    Keyed(u64),
}

#[derive(Default)]
pub(super) struct Queue {
    /// What is left of a frame that is on the wire in part: nothing may come before it.
    partial: Bytes,
    ordinary: VecDeque<Ordinary>,
    latest: VecDeque<Latest>,
    index: Option<Box<HashMap<u64, u64>>>,
    /// How many places in `latest` are empty.
    empty: u32,
    holds: u32,
    next_seq: u64,
    /// What was pushed from this number on waits; stored inverted so that zero is "no gate".
    gate: u64,
    pub pushed: Load,
    pub replies: Load,
}

impl Queue {
    fn seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq
    }

    fn gate(&self) -> u64 {
        NO_GATE - self.gate
    }

    fn load(&mut self, class: Class) -> &mut Load {
        match class {
            Class::Pushed => &mut self.pushed,
            Class::Reply => &mut self.replies,
        }
    }

    pub fn push(&mut self, class: Class, frame: Frame) {
        let seq = self.seq();
        self.load(class).add(&frame);
        self.ordinary.push_back(Ordinary { seq, class, frame });
    }

    /// A newer frame takes the place at the end and frees the older one's, so that what a client reads last is what
    /// was said last.
    pub fn push_latest(&mut self, key: u64, frame: Frame) {
        self.forget(key);
        let seq = self.seq();
        self.latest.push_back(Latest {
            seq,
            key,
            frame: Some(frame),
        });
        if let Some(index) = &mut self.index {
            index.insert(key, seq);
        } else if self.latest.len() > SCAN {
            self.index = Some(Box::new(self.build_index()));
        }
    }

    fn build_index(&self) -> HashMap<u64, u64> {
        self.latest
            .iter()
            .filter(|slot| slot.frame.is_some())
            .map(|slot| (slot.key, slot.seq))
            .collect()
    }

    fn position(&self, key: u64) -> Option<usize> {
        if let Some(index) = &self.index {
            let seq = index.get(&key)?;
            self.latest.binary_search_by_key(seq, |slot| slot.seq).ok()
        } else {
            self.latest
                .iter()
                .position(|slot| slot.key == key && slot.frame.is_some())
        }
    }

    pub fn forget(&mut self, key: u64) {
        let Some(at) = self.position(key) else { return };
        self.latest[at].frame = None;
        self.empty += 1;
        if let Some(index) = &mut self.index {
            index.remove(&key);
        }
        // Empty places are swept when they are half of all, which makes a sweep free on average.
        if self.empty as usize > SCAN && self.empty as usize * 2 > self.latest.len() {
            self.latest.retain(|slot| slot.frame.is_some());
            self.empty = 0;
        }
    }

    pub fn hold(&mut self) {
        self.holds += 1;
    }

    pub fn release(&mut self) {
        self.holds = self.holds.saturating_sub(1);
    }

    pub fn is_held(&self) -> bool {
        self.holds > 0
    }

    /// From here on what is pushed waits for [`Queue::open_gate`].
    pub fn close_gate(&mut self) {
        self.gate = NO_GATE - self.seq();
    }

    /// Lets what waited go, `first` before all of it.
    pub fn open_gate(&mut self, first: Option<Frame>) {
        let gate = self.gate();
        self.gate = 0;
        if let Some(frame) = first {
            self.replies.add(&frame);
            let at = self.ordinary.partition_point(|it| it.seq < gate);
            self.ordinary.insert(
                at,
                Ordinary {
                    seq: gate,
                    class: Class::Reply,
                    frame,
                },
            );
        }
    }

    /// Whether something could be written now.
    pub fn is_ready(&mut self) -> bool {
        !self.partial.is_empty() || self.front().is_some()
    }

    /// Whether nothing at all waits, held or not.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.partial.is_empty()
            && self.ordinary.is_empty()
            && self.latest.len() == self.empty as usize
    }

    /// Whether the next frame is an ordinary one; `None` when nothing may go.
    fn front(&mut self) -> Option<bool> {
        while self.latest.front().is_some_and(|slot| slot.frame.is_none()) {
            self.latest.pop_front();
            self.empty -= 1;
        }
        let gate = self.gate();
        let ordinary = self.ordinary.front().map_or(NO_GATE, |it| it.seq);
        let latest = match self.latest.front() {
            Some(slot) if self.holds == 0 => slot.seq,
            _ => NO_GATE,
        };
        let seq = ordinary.min(latest);
        (seq < gate).then_some(ordinary < latest)
    }

    fn pop(&mut self) -> Option<Taken> {
        if self.front()? {
            let it = self.ordinary.pop_front()?;
            Some(Taken {
                seq: it.seq,
                kind: Kind::Ordinary(it.class),
                frame: it.frame,
            })
        } else {
            let slot = self.latest.pop_front()?;
            if let Some(index) = &mut self.index {
                index.remove(&slot.key);
            }
            Some(Taken {
                seq: slot.seq,
                kind: Kind::Keyed(slot.key),
                frame: slot.frame?,
            })
        }
    }

    /// Moves up to [`BATCH`] frames to `batch`, and the rest of a frame written in part to the front.
    pub fn take(&mut self, batch: &mut Vec<Taken>) -> Bytes {
        while batch.len() < BATCH - 1 {
            let Some(taken) = self.pop() else { break };
            batch.push(taken);
        }
        self.shrink();
        std::mem::take(&mut self.partial)
    }

    /// Accounts for `written` bytes of `partial` and `batch`, and puts back what is left.
    pub fn settle(&mut self, mut partial: Bytes, batch: &mut Vec<Taken>, mut written: usize) {
        let first = written.min(partial.len());
        partial.advance(first);
        written -= first;
        self.partial = partial;
        let mut done = 0;
        for taken in batch.iter() {
            let len = taken.frame.wire().len();
            if written == 0 {
                break;
            }
            done += 1;
            if let Kind::Ordinary(class) = taken.kind {
                self.load(class).remove(&taken.frame);
            }
            if written < len {
                self.partial = taken.frame.wire().slice(written..);
                break;
            }
            written -= len;
        }
        for taken in batch.drain(..).skip(done).rev() {
            self.put_back(taken);
        }
        batch.clear();
    }

    fn put_back(&mut self, taken: Taken) {
        match taken.kind {
            Kind::Ordinary(class) => self.ordinary.push_front(Ordinary {
                seq: taken.seq,
                class,
                frame: taken.frame,
            }),
            // A newer one came while this one was out.
            Kind::Keyed(key) if self.position(key).is_some() => {}
            Kind::Keyed(key) => {
                self.latest.push_front(Latest {
                    seq: taken.seq,
                    key,
                    frame: Some(taken.frame),
                });
                if let Some(index) = &mut self.index {
                    index.insert(key, taken.seq);
                }
            }
        }
    }

    /// Takes the next frame for good, whatever a WebSocket would still owe of it.
    pub fn pop_whole(&mut self, fits: impl FnOnce(&Frame) -> bool) -> Option<Frame> {
        let next = if self.front()? {
            self.ordinary.front().map(|it| &it.frame)
        } else {
            self.latest.front().and_then(|slot| slot.frame.as_ref())
        }?;
        if !fits(next) {
            return None;
        }
        let taken = self.pop()?;
        if let Kind::Ordinary(class) = taken.kind {
            self.load(class).remove(&taken.frame);
        }
        self.shrink();
        Some(taken.frame)
    }

    /// Drops all that waits, except the rest of a frame that is on the wire in part.
    pub fn clear(&mut self) {
        let partial = std::mem::take(&mut self.partial);
        let next_seq = self.next_seq;
        *self = Self {
            partial,
            next_seq,
            ..Self::default()
        };
    }

    /// Gives the memory of a burst back as soon as it has been written: connections are many and mostly idle.
    fn shrink(&mut self) {
        if self.ordinary.is_empty() && self.ordinary.capacity() > 0 {
            self.ordinary = VecDeque::new();
        }
        if self.latest.is_empty() && self.latest.capacity() > 0 {
            self.latest = VecDeque::new();
            self.index = None;
        }
    }

    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.ordinary.capacity() + self.latest.capacity() + usize::from(self.index.is_some())
    }
}

/// The slices to write: what is left of a frame, then the batch.
pub(super) fn slices<'a>(
    partial: &'a Bytes,
    batch: &'a [Taken],
    out: &mut [IoSlice<'a>; BATCH],
) -> usize {
    let mut count = 0;
    if !partial.is_empty() {
        out[0] = IoSlice::new(partial);
        count = 1;
    }
    for (slot, taken) in out[count..].iter_mut().zip(batch) {
        *slot = IoSlice::new(taken.frame.wire());
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Frame {
        Frame::text(text)
    }

    fn drained(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop_whole(|_| true))
            .map(|frame| String::from_utf8_lossy(frame.payload_bytes()).into_owned())
            .collect()
    }

    #[test]
    fn order_is_push_order_and_a_key_has_one_frame() {
        let mut queue = Queue::default();
        queue.push_latest(1, text("one-old"));
        queue.push(Class::Pushed, text("a"));
        queue.push_latest(2, text("two"));
        queue.push_latest(1, text("one-new"));
        queue.push(Class::Reply, text("b"));
        queue.push_latest(3, text("gone"));
        queue.forget(3);
        queue.forget(4);
        assert_eq!(drained(&mut queue), ["a", "two", "one-new", "b"]);
        assert!(queue.is_empty());
        assert_eq!(queue.capacity(), 0);
        assert_eq!((queue.pushed, queue.replies), Default::default());
    }

    #[test]
    fn held_keys_wait_and_others_pass() {
        let mut queue = Queue::default();
        queue.push_latest(1, text("before"));
        queue.hold();
        queue.hold();
        queue.push_latest(1, text("during"));
        queue.push(Class::Pushed, text("snapshot"));
        assert_eq!(drained(&mut queue), ["snapshot"]);
        queue.release();
        assert!(!queue.is_ready());
        queue.release();
        queue.release();
        assert_eq!(drained(&mut queue), ["during"]);
    }

    #[test]
    fn the_gate_lets_its_frame_go_first() {
        let mut queue = Queue::default();
        queue.push(Class::Pushed, text("earlier"));
        queue.close_gate();
        queue.push(Class::Pushed, text("during"));
        queue.push_latest(1, text("key"));
        assert_eq!(drained(&mut queue), ["earlier"]);
        queue.open_gate(Some(text("connected")));
        assert_eq!(drained(&mut queue), ["connected", "during", "key"]);
    }

    #[test]
    fn ten_thousand_updates_of_many_keys_stay_one_a_key() {
        let mut queue = Queue::default();
        for round in 0..200u64 {
            for key in 0..50u64 {
                queue.push_latest(key * 7, text(&format!("{key}:{round}")));
            }
        }
        assert!(
            queue.latest.len() <= 2 * 50 + 1 + SCAN,
            "{}",
            queue.latest.len()
        );
        let got = drained(&mut queue);
        assert_eq!(got.len(), 50);
        assert!(got.iter().all(|it| it.ends_with(":199")));
        assert_eq!(queue.capacity(), 0);
    }

    fn write(queue: &mut Queue, mut budget: usize) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let mut batch = Vec::new();
            let partial = queue.take(&mut batch);
            let mut io = [IoSlice::new(&[]); BATCH];
            let count = slices(&partial, &batch, &mut io);
            let all: Vec<u8> = io[..count].iter().flat_map(|it| it.to_vec()).collect();
            let n = all.len().min(budget);
            out.extend(&all[..n]);
            budget -= n;
            queue.settle(partial, &mut batch, n);
            if n == 0 {
                return out;
            }
        }
    }

    #[test]
    fn partial_writes_go_on_where_they_stopped() {
        let frames: Vec<Frame> = (0..150).map(|i| text(&"x".repeat(i))).collect();
        let expected: Vec<u8> = frames.iter().flat_map(|it| it.wire().to_vec()).collect();
        for budget in [3, 7, 100, 1000, 5000] {
            let mut queue = Queue::default();
            for (i, frame) in frames.iter().enumerate() {
                if i % 3 == 0 {
                    queue.push_latest(i as u64, frame.clone());
                } else {
                    queue.push(Class::Pushed, frame.clone());
                }
            }
            let mut out = Vec::new();
            while out.len() < expected.len() {
                out.extend(write(&mut queue, budget));
            }
            assert_eq!(out, expected, "{budget} at a time");
            assert!(queue.is_empty());
            assert_eq!((queue.pushed, queue.capacity()), (Load::default(), 0));
        }
    }

    #[test]
    fn a_frame_put_back_gives_way_to_a_newer_one() {
        let mut queue = Queue::default();
        queue.push_latest(1, text("old"));
        queue.push_latest(2, text("other"));
        let mut batch = Vec::new();
        let partial = queue.take(&mut batch);
        queue.push_latest(1, text("new"));
        queue.settle(partial, &mut batch, 0);
        assert_eq!(drained(&mut queue), ["other", "new"]);
        // Begun on the wire, it must be finished, and the newer one comes after it.
        queue.push_latest(1, text("old"));
        let partial = queue.take(&mut batch);
        queue.push_latest(1, text("new"));
        queue.settle(partial, &mut batch, 2);
        let mut bytes = text("old").wire()[2..].to_vec();
        bytes.extend(text("new").wire());
        assert_eq!(write(&mut queue, 1000), bytes);
    }

    #[test]
    fn clearing_keeps_the_begun_frame() {
        let mut queue = Queue::default();
        queue.push(Class::Pushed, text("begun"));
        queue.push(Class::Pushed, text("dropped"));
        write(&mut queue, 3);
        queue.clear();
        assert_eq!(write(&mut queue, 1000), text("begun").wire()[3..]);
        assert_eq!(queue.pushed, Load::default());
    }
}
