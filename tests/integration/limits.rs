//! Limits by the clock, which these tests move themselves.

use crate::harness::{Http, Server, User, now};
use lastseen::model::{Clock, KeyRole, Role};
use serde_json::json;
use std::time::Duration;

const PATH: &str = "/users/bob/presence";

async fn world() -> (Server, Clock, User) {
    let clock = Clock::manual(now());
    let server = Server::with_clock(clock.clone(), |c| {
        c.presence_rate = 10;
        c.presence_query_rate = 60;
    })
    .await;
    let ann = server.user("ann").await;
    server.never_seen("bob", Role::User).await;
    (server, clock, ann)
}

/// `RateLimit-Limit`, `-Remaining`, `-Reset`.
fn headers(answer: &crate::harness::Answer) -> [u64; 3] {
    ["limit", "remaining", "reset"].map(|name| {
        let text = answer.header(&format!("ratelimit-{name}"));
        text.parse().unwrap_or_else(|_| panic!("{name}: {text:?}"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_eleventh_look_in_a_minute_is_refused() {
    let (server, clock, ann) = world().await;
    for left in (0..10).rev() {
        let answer = ann.http.get(PATH).await;
        answer.data(200);
        assert_eq!(headers(&answer), [10, left, 60]);
    }
    let refused = ann.http.get(PATH).await;
    refused.fails(429, "rate_limited");
    assert_eq!(refused.retry_after(), 60);
    assert_eq!(headers(&refused), [10, 0, 60]);
    // Somebody else, keys, and other questions are not concerned.
    let cleo = server.user("cleo").await;
    cleo.http.get(PATH).await.data(200);
    let key = Http::new(server.address, &server.key("s", KeyRole::Service).await);
    for _ in 0..12 {
        let answer = key.get(PATH).await;
        answer.data(200);
        assert!(answer.headers.get("ratelimit-limit").is_none());
    }
    key.acting_as(ann.id).get(PATH).await.data(200);
    ann.http.get("/users/bob").await.data(200);
    let query = json!({ "usernames": ["bob"] });
    let answer = ann.http.post("/presence/query", query).await;
    answer.data(200);
    assert_eq!(headers(&answer), [60, 59, 60]);
    // A refusal does not count: a minute after the ten there are ten again.
    clock.advance(Duration::from_millis(59_999));
    let refused = ann.http.get(PATH).await;
    refused.fails(429, "rate_limited");
    assert_eq!(refused.retry_after(), 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(headers(&ann.http.get(PATH).await), [10, 9, 60]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn also_when_the_ten_were_spread_over_the_minute() {
    let (_server, clock, ann) = world().await;
    // At 0, 6, … 54 s: whichever minute one looks at, a bucket that fills up again would let more through.
    for _ in 0..10 {
        ann.http.get(PATH).await.data(200);
        clock.advance(Duration::from_secs(6));
    }
    // 60 s: the first is a minute old.
    ann.http.get(PATH).await.data(200);
    let refused = ann.http.get(PATH).await;
    refused.fails(429, "rate_limited");
    assert_eq!(refused.retry_after(), 6);
    for _ in 0..30 {
        clock.advance(Duration::from_millis(5_999));
        let refused = ann.http.get(PATH).await;
        refused.fails(429, "rate_limited");
        assert_eq!(refused.retry_after(), 1);
        clock.advance(Duration::from_millis(1));
        let answer = ann.http.get(PATH).await;
        answer.data(200);
        assert_eq!(headers(&answer), [10, 0, 6]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_name_counts_and_a_limit_of_zero_is_none() {
    let (_server, _clock, ann) = world().await;
    for _ in 0..10 {
        let answer = ann.http.get("/users/nobody_here/presence").await;
        answer.fails(404, "not_found");
        assert_eq!(headers(&answer)[0], 10);
    }
    ann.http.get(PATH).await.fails(429, "rate_limited");
    let server = Server::start().await;
    let ann = server.user("ann").await;
    for _ in 0..15 {
        let answer = ann.http.get("/users/ann/presence").await;
        answer.data(200);
        assert!(answer.headers.get("ratelimit-limit").is_none());
    }
}

/// A server behind a proxy, so that a test can come from many addresses.
async fn proxied() -> (Server, Clock) {
    let clock = Clock::manual(now());
    let server = Server::with_clock(clock.clone(), |c| {
        c.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    })
    .await;
    (server, clock)
}

async fn sign_in(
    server: &Server,
    from: &str,
    name: &str,
    password: &str,
) -> crate::harness::Answer {
    let http = server.http();
    let body = json!({ "username": name, "password": password });
    let request = http.request("POST", "/auth/signin").json(&body);
    http.send(request.header("X-Forwarded-For", from)).await
}

async fn sign_up(server: &Server, from: &str, name: &str) -> crate::harness::Answer {
    let http = server.http();
    let body = json!({ "username": name, "password": "correct horse" });
    let request = http.request("POST", "/auth/signup").json(&body);
    http.send(request.header("X-Forwarded-For", from)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_wrong_passwords_from_an_address_are_the_last() {
    let (server, clock) = proxied().await;
    sign_up(&server, "203.0.113.1", "ann").await.data(201);
    let wrong = async |from: &str| sign_in(&server, from, "Ann", "wrong horse").await;
    let right = async |from: &str| sign_in(&server, from, "ann", "correct horse").await;
    for index in 0..10 {
        wrong("2001:db8:7:7::1")
            .await
            .fails(401, "wrong_credentials");
        if index == 4 {
            // A success does not make up for failures.
            right("2001:db8:7:7::1").await.data(200);
        }
    }
    // For right passwords too, and for the whole /64.
    for from in ["2001:db8:7:7::1", "2001:db8:7:7:ffff::2"] {
        let refused = right(from).await;
        refused.fails(429, "rate_limited");
        assert_eq!(refused.retry_after(), 900);
    }
    // Somebody else's attempts are their own, and so is another address.
    right("2001:db8:7:8::1").await.data(200);
    let other = sign_in(&server, "2001:db8:7:7::1", "nobody_here", "wrong horse").await;
    other.fails(401, "wrong_credentials");
    clock.advance(Duration::from_secs(899));
    assert_eq!(right("2001:db8:7:7::1").await.retry_after(), 1);
    clock.advance(Duration::from_secs(1));
    right("2001:db8:7:7::1").await.data(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_be_locked_out_and_no_address_may_try_for_ever() {
    let (server, _clock) = proxied().await;
    sign_up(&server, "203.0.113.1", "ann").await.data(201);
    // An account may fail a hundred times, from wherever.
    for address in 0..10 {
        let from = format!("198.51.100.{address}");
        for _ in 0..10 {
            let answer = sign_in(&server, &from, "ann", "wrong horse").await;
            answer.fails(401, "wrong_credentials");
        }
    }
    let refused = sign_in(&server, "198.51.100.99", "ann", "correct horse").await;
    refused.fails(429, "rate_limited");
    // But whoever has signed in from there before may still.
    sign_in(&server, "203.0.113.1", "ann", "correct horse")
        .await
        .data(200);

    // An address too, whatever the account: unknown names count, and so does signing up with a taken one.
    let from = "192.0.2.1";
    for index in 0..99 {
        let name = format!("nobody{index}");
        let answer = sign_in(&server, from, &name, "wrong horse").await;
        answer.fails(401, "wrong_credentials");
    }
    sign_up(&server, from, "ANN").await.fails(409, "conflict");
    sign_up(&server, from, "bob")
        .await
        .fails(429, "rate_limited");
    let refused = sign_in(&server, from, "cleo", "wrong horse").await;
    refused.fails(429, "rate_limited");
    sign_up(&server, "192.0.2.2", "bob").await.data(201);
    assert_eq!(server.read::<i64>("SELECT count(*) FROM users"), 2);
}
