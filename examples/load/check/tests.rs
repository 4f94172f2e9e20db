use super::*;

/// 2 and 3 follow 1; 3 follows 2.
fn ledger() -> Ledger {
    Ledger::new(Arc::new(
        Graph::from_follows(3, [(2, 1), (3, 1), (3, 2)]).expect("valid in this test"),
    ))
}

fn entry(id: Id) -> Entry {
    Entry {
        user_id: id,
        username: username(id),
        status: "online".into(),
    }
}

const MOMENT: &str = "2026-01-01T00:00:00.000Z";

fn update(id: Id, online: bool) -> Update {
    Update {
        user_id: id,
        username: username(id),
        status: if online { "online" } else { "offline" }.into(),
        timestamp: MOMENT.into(),
        last_seen: (!online).then(|| Some(MOMENT.into())),
    }
}

fn wall() -> DateTime<Utc> {
    MOMENT.parse().expect("valid in this test")
}

fn told(ledger: &mut Ledger, viewer: Id, what: &Update) -> bool {
    ledger.update(viewer, what, Instant::now(), wall())
}

fn moved(ledger: &mut Ledger, id: Id, online: bool) {
    ledger.transition(id, online, Instant::now(), wall());
}

/// All three connected one after the other, and every snapshot right.
fn settled() -> Ledger {
    let mut ledger = ledger();
    for (id, followed) in [(1, vec![]), (2, vec![1]), (3, vec![1, 2])] {
        ledger.connecting(id, Instant::now());
        let entries: Vec<Entry> = followed.into_iter().map(entry).collect();
        ledger.snapshot(id, &entries, Instant::now());
    }
    ledger.settle();
    assert!(ledger.counts().clean(), "{:?}", ledger.examples());
    ledger
}

#[test]
fn a_right_run_is_clean() {
    let mut ledger = settled();
    assert_eq!(
        (
            ledger.counts().learnt,
            ledger.to_learn(),
            ledger.counts().snapshots
        ),
        (3, 3, 3)
    );
    moved(&mut ledger, 1, false);
    assert!(!told(&mut ledger, 2, &update(1, false)));
    assert!(
        told(&mut ledger, 3, &update(1, false)),
        "the last delivery ends the transition"
    );
    moved(&mut ledger, 3, false);
    assert!(!ledger.is_moving(3), "nobody follows 3");
    let counts = ledger.counts();
    assert!(counts.clean(), "{:?}", ledger.examples());
    assert_eq!(
        (counts.transitions, counts.expected, counts.received),
        (2, 2, 2)
    );
}

#[test]
fn a_missing_delivery_is_seen() {
    let mut ledger = settled();
    moved(&mut ledger, 1, false);
    told(&mut ledger, 2, &update(1, false));
    assert!(ledger.is_moving(1));
    ledger.give_up(1);
    assert_eq!(ledger.counts().missing, 1);
    assert!(!ledger.counts().clean());
}

#[test]
fn doubled_deliveries_are_seen_during_a_transition_and_after() {
    let mut ledger = settled();
    moved(&mut ledger, 1, false);
    told(&mut ledger, 2, &update(1, false));
    told(&mut ledger, 2, &update(1, false));
    told(&mut ledger, 3, &update(1, false));
    told(&mut ledger, 3, &update(1, false));
    assert_eq!((ledger.counts().received, ledger.counts().doubled), (2, 2));
}

#[test]
fn a_wrong_person_and_a_wrong_status_are_seen() {
    let mut ledger = settled();
    moved(&mut ledger, 2, false);
    told(&mut ledger, 1, &update(2, false));
    told(&mut ledger, 2, &update(2, false));
    told(&mut ledger, 3, &update(2, true));
    assert_eq!(ledger.counts().wrong, 3);
    assert!(ledger.is_moving(2), "the right one may still come");
}

#[test]
fn last_seen_is_there_exactly_when_offline() {
    let bad = [
        Update {
            last_seen: None,
            ..update(1, false)
        },
        Update {
            last_seen: Some(None),
            ..update(1, false)
        },
        Update {
            last_seen: Some(Some(MOMENT.into())),
            ..update(1, true)
        },
        Update {
            last_seen: Some(Some("2026-01-01T00:00:00Z".into())),
            ..update(1, false)
        },
        Update {
            last_seen: Some(Some("2025-12-31T23:59:59.000Z".into())),
            ..update(1, false)
        },
        Update {
            username: "u2".into(),
            ..update(1, false)
        },
        Update {
            timestamp: "yesterday".into(),
            ..update(1, false)
        },
    ];
    for update in bad {
        let mut ledger = settled();
        moved(&mut ledger, 1, update.status == "online");
        told(&mut ledger, 2, &update);
        assert!(ledger.counts().malformed > 0, "{update:?}");
    }
}

#[test]
fn followers_must_be_told_the_same() {
    let mut ledger = settled();
    moved(&mut ledger, 1, false);
    told(&mut ledger, 2, &update(1, false));
    told(
        &mut ledger,
        3,
        &Update {
            last_seen: Some(Some("2026-01-01T00:00:00.001Z".into())),
            ..update(1, false)
        },
    );
    assert_eq!(ledger.counts().malformed, 1);
}

#[test]
fn while_connecting_an_update_is_as_good_as_the_snapshot() {
    let mut ledger = ledger();
    for id in 1..=3 {
        ledger.connecting(id, Instant::now());
    }
    ledger.snapshot(2, &[], Instant::now());
    ledger.snapshot(1, &[], Instant::now());
    ledger.snapshot(3, &[entry(1)], Instant::now());
    told(&mut ledger, 2, &update(1, true));
    told(&mut ledger, 3, &update(2, true));
    ledger.settle();
    assert!(ledger.counts().clean(), "{:?}", ledger.examples());
}

#[test]
fn lost_and_doubled_people_while_connecting_are_seen() {
    let mut ledger = ledger();
    for id in 1..=3 {
        ledger.connecting(id, Instant::now());
    }
    told(&mut ledger, 2, &update(1, true));
    ledger.snapshot(1, &[], Instant::now());
    ledger.snapshot(2, &[entry(1), entry(3)], Instant::now());
    ledger.snapshot(3, &[entry(1)], Instant::now());
    ledger.settle();
    let counts = ledger.counts();
    assert_eq!(
        (
            counts.before_snapshot,
            counts.doubled,
            counts.missing,
            counts.wrong_snapshot
        ),
        (1, 1, 1, 1)
    );
}

#[test]
fn who_was_there_before_has_to_be_in_the_snapshot() {
    let mut ledger = ledger();
    ledger.connecting(1, Instant::now());
    ledger.snapshot(1, &[], Instant::now());
    ledger.connecting(2, Instant::now());
    ledger.snapshot(2, &[], Instant::now());
    told(&mut ledger, 2, &update(1, true));
    ledger.connecting(3, Instant::now());
    ledger.snapshot(3, &[entry(1), entry(2)], Instant::now());
    ledger.settle();
    assert_eq!(
        (ledger.counts().wrong_snapshot, ledger.counts().missing),
        (1, 0)
    );
}

#[test]
fn a_later_snapshot_holds_exactly_who_is_online() {
    let mut ledger = settled();
    moved(&mut ledger, 2, false);
    told(&mut ledger, 3, &update(2, false));
    ledger.snapshot(3, &[entry(1)], Instant::now());
    assert_eq!(ledger.counts().wrong_snapshot, 0);
    ledger.snapshot(3, &[entry(1), entry(2)], Instant::now());
    ledger.snapshot(3, &[], Instant::now());
    assert_eq!(ledger.counts().wrong_snapshot, 2);
}
