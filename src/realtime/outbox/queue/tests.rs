//! Order, coalescing, holds, gates and partial writes.

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
fn held_keys_go_after_what_was_pushed_meanwhile_and_older_ones_before() {
    for keys in [1, 3, 40] {
        let mut queue = Queue::default();
        queue.push_latest(1000, text("old"));
        queue.hold();
        for key in 0..keys {
            queue.push_latest(key, text("replaced"));
        }
        for key in 0..keys {
            queue.push_latest(key, text("held"));
        }
        queue.push(Class::Pushed, text("snapshot"));
        queue.release();
        queue.push_latest(0, text("last"));
        let got = drained(&mut queue);
        assert_eq!(got[..2], ["old", "snapshot"]);
        assert_eq!(got.len() as u64, 2 + keys);
        assert_eq!(got.last().expect("some"), "last");
        assert!(!got.contains(&"replaced".to_owned()));
    }
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
