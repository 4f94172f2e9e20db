//! Failed attempts against a real store.

use super::*;

#[tokio::test]
async fn ten_failures_and_right_passwords_are_refused_too() {
    let bench = Bench::new();
    bench.sign_up("ann").await.expect("signed up");
    for n in 0..10 {
        // By name and by address it is one account.
        let login = if n % 2 == 0 { "ANN" } else { "ann@example.com" };
        wrong(bench.sign_in(login, WRONG, HOME).await);
        wrong(bench.sign_in("Nobody", WRONG, HOME).await);
    }
    limited(bench.sign_in("ann", PASSWORD, HOME).await);
    limited(bench.sign_in("ann@example.com", PASSWORD, HOME).await);
    limited(bench.sign_in("nobody", PASSWORD, HOME).await);
    bench
        .sign_in("ann", PASSWORD, far(1))
        .await
        .expect("elsewhere");
    bench.clock.advance(attempts::WINDOW);
    bench
        .sign_in("ann", PASSWORD, HOME)
        .await
        .expect("let in again");
}

#[tokio::test]
async fn ten_in_parallel_is_ten() {
    let bench = Bench::new();
    bench.sign_up("ann").await.expect("signed up");
    let guesses = (0..40).map(|_| bench.sign_in("ann", WRONG, HOME));
    let answers = futures_util::future::join_all(guesses).await;
    let count = |kind: fn(&Error) -> bool| {
        answers
            .iter()
            .flat_map(|a| a.as_ref().err())
            .filter(|e| kind(e))
            .count()
    };
    assert_eq!(count(|e| matches!(e, Error::WrongCredentials)), 10);
    assert_eq!(count(|e| matches!(e, Error::RateLimited { .. })), 30);
}

#[tokio::test]
async fn a_known_address_cannot_be_locked_out() {
    let bench = Bench::new();
    bench.sign_up("ann").await.expect("signed up at home");
    for n in 0..100 {
        wrong(bench.sign_in("ann", WRONG, far(n)).await);
    }
    limited(bench.sign_in("ann", PASSWORD, far(1000)).await);
    bench
        .sign_in("ann", PASSWORD, HOME)
        .await
        .expect("known here");
    for n in 0..100 {
        wrong(bench.sign_in("nobody", WRONG, far(n)).await);
    }
    limited(bench.sign_in("nobody", PASSWORD, far(1000)).await);
}

#[tokio::test]
async fn a_hundred_failures_per_address_signing_up_included() {
    let bench = Bench::new();
    bench.sign_up("ann").await.expect("signed up");
    for n in 0..100 {
        if n % 2 == 0 {
            let taken = bench.sign_up("ann").await;
            assert!(matches!(taken, Err(Error::Conflict { .. })), "{taken:?}");
        } else {
            wrong(bench.sign_in(&format!("nobody{n}"), WRONG, HOME).await);
        }
    }
    limited(bench.sign_up("bob").await);
    limited(bench.sign_in("ann", PASSWORD, HOME).await);
    bench
        .sign_in("ann", PASSWORD, far(1))
        .await
        .expect("elsewhere");
}
