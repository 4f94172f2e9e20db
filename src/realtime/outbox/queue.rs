//! The order of what waits: ordinary frames and replies as they were pushed, and per key only the newest frame.
//! Pure; the outbox puts a lock around it.

#[cfg(test)]
mod tests;

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
    /// Where each key is, when there are many.
    #[expect(
        clippy::box_collection,
        reason = "48 bytes in every connection for what almost none of them needs"
    )]
    index: Option<Box<HashMap<u64, u64>>>,
    /// How many places in `latest` are empty.
    empty: u32,
    holds: u32,
    /// While held, keyed frames from this number on wait.
    held_from: u64,
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

    /// Keyed frames pushed from here on wait. Those pushed before go on: after a snapshot they would be stale.
    pub fn hold(&mut self) {
        if self.holds == 0 {
            self.held_from = self.seq();
        }
        self.holds += 1;
    }

    /// Lets held frames go, after everything that was pushed meanwhile, even if none of it has been written yet.
    pub fn release(&mut self) {
        if self.holds != 1 {
            self.holds = self.holds.saturating_sub(1);
            return;
        }
        self.holds = 0;
        let from = self
            .latest
            .partition_point(|slot| slot.seq < self.held_from);
        for slot in self.latest.range_mut(from..) {
            self.next_seq += 1;
            slot.seq = self.next_seq;
            if let Some(index) = &mut self.index
                && slot.frame.is_some()
            {
                index.insert(slot.key, slot.seq);
            }
        }
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
            Some(slot) if self.holds == 0 || slot.seq < self.held_from => slot.seq,
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
