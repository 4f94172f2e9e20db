//! The limits, with the time in hand.

use super::*;
use futures_util::FutureExt;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

fn from(n: u32) -> Origin {
    IpAddr::from(n.to_be_bytes()).into()
}

fn sign_in(user: i64, origin: Origin) -> Attempt {
    Attempt {
        account: Some(Account::of_user(UserId(user))),
        origin,
        exempt: false,
    }
}

/// The answer to an attempt that has nothing to wait for.
fn begin(attempts: &Attempts, attempt: Attempt, now: Timestamp) -> Result<Place, Refusal> {
    attempts
        .begin(attempt, || now)
        .now_or_never()
        .expect("nothing is under way")
}

fn fail(attempts: &Attempts, attempt: Attempt, now: Timestamp) {
    begin(attempts, attempt, now)
        .expect("let through")
        .failed(now);
}

#[test]
fn ten_failures_per_account_and_address() {
    let attempts = Attempts::default();
    for second in 0..10 {
        fail(&attempts, sign_in(1, from(1)), at(second));
    }
    let refused = begin(&attempts, sign_in(1, from(1)), at(10)).expect_err("refused");
    let retry_after = Duration::from_secs(890);
    assert_eq!(refused, Refusal::Hard { retry_after });
    drop(begin(&attempts, sign_in(1, from(2)), at(10)).expect("another address"));
    drop(begin(&attempts, sign_in(2, from(1)), at(10)).expect("another account"));
    assert!(begin(&attempts, sign_in(1, from(1)), at(899)).is_err());
    fail(&attempts, sign_in(1, from(1)), at(900));
    assert!(
        begin(&attempts, sign_in(1, from(1)), at(900)).is_err(),
        "only one left the window"
    );
    drop(begin(&attempts, sign_in(1, from(1)), at(901)).expect("the next one left"));
}

#[test]
fn a_success_does_not_reset_and_a_refusal_does_not_count() {
    let attempts = Attempts::default();
    for _ in 0..9 {
        fail(&attempts, sign_in(1, from(1)), at(0));
    }
    for _ in 0..50 {
        drop(begin(&attempts, sign_in(1, from(1)), at(1)).expect("right passwords"));
    }
    fail(&attempts, sign_in(1, from(1)), at(2));
    for second in 3..800 {
        assert!(begin(&attempts, sign_in(1, from(1)), at(second)).is_err());
    }
    drop(begin(&attempts, sign_in(1, from(1)), at(900)).expect("the first nine left"));
}

#[test]
fn a_hundred_per_account_but_not_for_an_exempt_address() {
    let attempts = Attempts::default();
    for n in 0..100 {
        fail(&attempts, sign_in(1, from(n)), at(0));
    }
    let retry_after = WINDOW;
    assert_eq!(
        begin(&attempts, sign_in(1, from(1000)), at(0)).expect_err("refused"),
        Refusal::Account { retry_after }
    );
    let known = Attempt {
        exempt: true,
        ..sign_in(1, from(1000))
    };
    for _ in 0..10 {
        fail(&attempts, known, at(1));
    }
    assert!(
        matches!(begin(&attempts, known, at(1)), Err(Refusal::Hard { .. })),
        "exempt from the one limit only"
    );
    assert!(
        begin(&attempts, sign_in(1, from(1000)), at(900)).is_err(),
        "its own ten remain"
    );
    drop(begin(&attempts, sign_in(1, from(1001)), at(900)).expect("the hundred have left"));
}

#[test]
fn a_hundred_per_address_signing_up_included() {
    let attempts = Attempts::default();
    let sign_up = Attempt {
        account: None,
        origin: from(1),
        exempt: false,
    };
    for n in 0..50 {
        fail(&attempts, sign_in(n, from(1)), at(0));
        fail(&attempts, sign_up, at(0));
    }
    let retry_after = WINDOW;
    for attempt in [sign_up, sign_in(1000, from(1))] {
        assert_eq!(
            begin(&attempts, attempt, at(0)).expect_err("refused"),
            Refusal::Hard { retry_after }
        );
    }
    drop(begin(&attempts, sign_in(1000, from(2)), at(0)).expect("another address"));
}

#[test]
fn one_customer_is_one_origin() {
    let origin = |text: &str| Origin::from(text.parse::<IpAddr>().expect("an address"));
    assert_eq!(origin("2001:db8:1:2::1"), origin("2001:db8:1:2:ffff::9"));
    assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
    assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
    assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
}

#[test]
fn unknown_names_count_like_accounts() {
    assert_eq!(Account::of_unknown("NoBody"), Account::of_unknown("nobody"));
    assert_ne!(Account::of_unknown("1"), Account::of_user(UserId(1)));
    let attempts = Attempts::default();
    let attempt = Attempt {
        account: Some(Account::of_unknown("nobody")),
        origin: from(1),
        exempt: false,
    };
    for _ in 0..10 {
        fail(&attempts, attempt, at(0));
    }
    assert!(begin(&attempts, attempt, at(0)).is_err());
}

#[test]
fn parallel_attempts_cannot_outrun_the_count() {
    let attempts = Attempts::default();
    let places: Vec<Place> = (0..10)
        .map(|_| begin(&attempts, sign_in(1, from(1)), at(0)).expect("a place"))
        .collect();
    let mut eleventh = Box::pin(attempts.begin(sign_in(1, from(1)), || at(0)));
    assert!(eleventh.as_mut().now_or_never().is_none(), "waits");
    for place in places {
        assert!(eleventh.as_mut().now_or_never().is_none(), "waits");
        place.failed(at(0));
    }
    let answer = eleventh.as_mut().now_or_never().expect("all have ended");
    assert!(matches!(answer, Err(Refusal::Hard { .. })));
}

#[test]
fn parallel_right_passwords_are_all_let_through() {
    let attempts = Attempts::default();
    let mut places: Vec<Place> = (0..10)
        .map(|_| begin(&attempts, sign_in(1, from(1)), at(0)).expect("a place"))
        .collect();
    let mut waiting: Vec<_> = (0..30)
        .map(|_| Box::pin(attempts.begin(sign_in(1, from(1)), || at(0))))
        .collect();
    let mut done = 0;
    while let Some(place) = places.pop() {
        drop(place);
        done += 1;
        waiting.retain_mut(|next| match next.as_mut().now_or_never() {
            Some(place) => {
                places.push(place.expect("let through"));
                false
            }
            None => true,
        });
        assert!(places.len() <= 10);
    }
    assert_eq!(done, 40);
    let counters = attempts.counters.lock();
    assert_eq!(counters.waiting, 0);
    assert!(counters.pairs.under_way.is_empty());
    assert!(counters.accounts.under_way.is_empty());
    assert!(counters.origins.under_way.is_empty());
    assert!(counters.pairs.failures.is_empty());
}

#[test]
fn the_waiting_are_bounded_and_one_who_leaves_frees_a_place() {
    let attempts = Attempts::default();
    let _places: Vec<Place> = (0..10)
        .map(|_| begin(&attempts, sign_in(1, from(1)), at(0)).expect("a place"))
        .collect();
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        let mut next = Box::pin(attempts.begin(sign_in(1, from(1)), || at(0)));
        assert!(next.as_mut().now_or_never().is_none());
        waiting.push(next);
    }
    let more = || attempts.begin(sign_in(1, from(1)), || at(0)).now_or_never();
    assert!(matches!(more(), Some(Err(Refusal::Busy))));
    waiting.pop();
    assert!(more().is_none(), "waits");
}

#[test]
fn memory_is_bounded() {
    let attempts = Attempts::with_capacity(100);
    for n in 0..5000 {
        fail(&attempts, sign_in(i64::from(n), from(n)), at(0));
    }
    let counters = attempts.counters.lock();
    assert!(counters.pairs.failures.len() <= 100);
    assert!(counters.accounts.failures.len() <= 100);
    assert!(counters.origins.failures.len() <= 100);
}
