//! Sessions and who was online, against counting by hand.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

const QUARTER: i64 = 900_000;
const DAY: i64 = 96 * QUARTER;

struct Stretch {
    user: UserId,
    start: i64,
    end: Option<i64>,
}

fn row(n: usize, stretch: &Stretch) -> SessionRow {
    SessionRow {
        id: SessionId(Uuid::from_u128(n as u128)),
        user_id: stretch.user,
        device_id: None,
        client: Arc::default(),
        started_at: at(stretch.start),
        ended: stretch.end.map(|end| (at(end), EndReason::Client)),
    }
}

/// Sessions of every length, from none to sixty days, some of them open.
async fn world(f: &Fixture) -> Vec<Stretch> {
    let mut rng = StdRng::seed_from_u64(11);
    let boot = f.store.begin_boot(at(0)).await.expect("a boot");
    let mut users = Vec::new();
    for n in 0..50 {
        users.push(f.user(&format!("user{n}")).await);
    }
    let mut all = Vec::new();
    for _ in 0..2000 {
        let start = rng.random_range(0..90 * DAY);
        let length = match rng.random_range(0..9) {
            0 => 0,
            8 => 60 * DAY,
            power => rng.random_range(0..=240_000 * 4_i64.pow(power - 1)),
        };
        all.push(Stretch {
            user: users[rng.random_range(0..50)],
            start,
            end: rng.random_bool(0.95).then_some(start + length),
        });
    }
    let sessions = all.iter().enumerate().map(|(n, s)| row(n, s)).collect();
    let batch = FlushBatch {
        sessions,
        ..FlushBatch::default()
    };
    f.store.flush(boot, batch).await.expect("flushed");
    all
}

#[tokio::test]
async fn sessions_count_where_they_begin_with_their_whole_length() {
    let f = fixture();
    let all = world(&f).await;
    let now = 200 * DAY;
    for (from, to) in [
        (0, 90 * DAY),
        (3 * DAY + 5, 50 * DAY + 7),
        (DAY + 10, DAY + 500_000),
        (4 * DAY, 4 * DAY + QUARTER),
        (DAY, DAY),
        (100 * DAY, 300 * DAY),
    ] {
        let inside: Vec<_> = all
            .iter()
            .filter(|s| (from..to).contains(&s.start))
            .collect();
        let tally = f
            .store
            .tally_sessions(at(from), at(to), at(now))
            .await
            .expect("a tally");
        assert_eq!(tally.tally.count, inside.len() as i64, "{from}..{to}");
        let duration: i64 = inside.iter().map(|s| s.end.unwrap_or(now) - s.start).sum();
        assert_eq!(tally.duration_ms, duration, "{from}..{to}");
        assert!(!tally.tally.is_approximate);
    }
    let series = f
        .store
        .series(Series::Sessions, 0, 90 * 96)
        .await
        .expect("a series");
    assert_eq!(series.iter().map(|(_, count)| count).sum::<i64>(), 2000);
    assert!(series.is_sorted_by(|a, b| a.0 < b.0));
    let first = all.iter().map(|s| s.start / QUARTER).min().expect("some");
    let last = all.iter().map(|s| s.start / QUARTER).max().expect("some");
    assert_eq!(
        f.store.session_span().await.expect("a span"),
        Some((first, last))
    );
}

#[tokio::test]
async fn a_resumed_session_is_counted_once_and_a_deleted_one_stays_counted() {
    let f = fixture();
    let boot = f.store.begin_boot(at(0)).await.expect("a boot");
    let user = f.user("ann").await;
    let write = async |end: Option<i64>| {
        let stretch = Stretch {
            user,
            start: 1_000,
            end,
        };
        let batch = FlushBatch {
            sessions: vec![row(1, &stretch)],
            ..FlushBatch::default()
        };
        f.store.flush(boot, batch).await.expect("flushed");
    };
    let tally = async || {
        let tally = f
            .store
            .tally_sessions(at(0), at(DAY), at(60_000))
            .await
            .expect("a tally");
        (tally.tally.count, tally.duration_ms)
    };
    write(None).await;
    assert_eq!(tally().await, (1, 59_000));
    write(Some(11_000)).await;
    assert_eq!(tally().await, (1, 10_000));
    write(None).await;
    assert_eq!(tally().await, (1, 59_000));
    write(Some(31_000)).await;
    assert_eq!(tally().await, (1, 30_000));
    let connection = rusqlite::Connection::open(&f.path).expect("opens");
    connection
        .execute("DELETE FROM sessions", [])
        .expect("deleted");
    assert_eq!(tally().await, (1, 30_000));
    let part = f
        .store
        .tally_sessions(at(500), at(900), at(60_000))
        .await
        .expect("a tally");
    assert!(part.tally.is_approximate, "widened to the quarter hour");
    assert_eq!(part.tally.count, 1);
}

#[tokio::test]
async fn users_are_counted_where_they_were_last_active() {
    let f = fixture();
    let boot = f.store.begin_boot(at(0)).await.expect("a boot");
    let mut rng = StdRng::seed_from_u64(12);
    let mut times = StdRng::seed_from_u64(13);
    let mut users = Vec::new();
    for n in 0..60 {
        users.push(f.user(&format!("user{n}")).await);
    }
    let check = async || {
        let connection = rusqlite::Connection::open(&f.path).expect("opens");
        // The beginnings of days, of quarter hours and of neither, and of what nobody reached.
        for since in [0, DAY, 40 * QUARTER, 40 * QUARTER + 1, 3 * DAY - 1, 9 * DAY] {
            let by_hand: i64 = connection
                .query_row(
                    "SELECT count(*) FROM users WHERE last_active_at >= ?1",
                    [since],
                    |row| row.get(0),
                )
                .expect("a count");
            let counted = f
                .store
                .active_users(vec![at(since), at(0)], HashMap::new())
                .await
                .expect("counts");
            assert_eq!(counted[0], by_hand, "since {since}");
        }
    };
    for _ in 0..20 {
        let active = users.iter().filter(|_| rng.random_bool(0.3));
        let active = active.map(|user| (*user, at(times.random_range(0..4 * DAY))));
        let batch = FlushBatch {
            active: active.collect(),
            ..FlushBatch::default()
        };
        f.store.flush(boot, batch).await.expect("flushed");
        check().await;
    }
    // Whoever goes is not counted any more, and neither is one whose row was emptied by hand.
    f.store.delete_user(users[0]).await.expect("deleted");
    let connection = rusqlite::Connection::open(&f.path).expect("opens");
    let emptied = connection
        .execute(
            "UPDATE users SET last_active_at = NULL WHERE id = ?1",
            [users[1].0],
        )
        .expect("emptied");
    assert_eq!(emptied, 1);
    check().await;
    assert!(f.number("SELECT sum(users) FROM active_users") > Some(40));
}

#[tokio::test]
async fn who_was_online_at_a_moment() {
    let f = fixture();
    let all = world(&f).await;
    let mut rng = StdRng::seed_from_u64(13);
    let mut moments: Vec<i64> = (0..60).map(|_| rng.random_range(0..160 * DAY)).collect();
    // The ends of sessions themselves: from the first millisecond to before the last.
    moments.extend(
        all.iter()
            .take(20)
            .flat_map(|s| [s.start, s.end.unwrap_or(0)]),
    );
    for moment in moments {
        let expected: BTreeSet<_> = all
            .iter()
            .filter(|s| s.start <= moment && s.end.is_none_or(|end| end > moment))
            .map(|s| s.user.0)
            .collect();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = f
                .store
                .online_at(at(moment), after, 7)
                .await
                .expect("a page");
            assert_eq!(page.total, expected.len() as i64, "{moment}");
            seen.extend(page.users.iter().map(|(id, _)| id.0));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert!(seen.iter().eq(expected.iter()), "{moment}");
    }
}

#[tokio::test]
async fn a_peak_is_the_most_there_were() {
    let f = fixture();
    for peak in [(0, 3), (0, 7), (0, 5), (1, 2), (3, 4)] {
        f.store.note_peaks(vec![peak]).await.expect("noted");
    }
    let series = f
        .store
        .series(Series::Online, 0, 100)
        .await
        .expect("a series");
    assert_eq!(series, [(0, 7), (1, 2), (3, 4)]);
    let peak = async |from, to| f.store.peak_online(at(from), at(to)).await.expect("a peak");
    assert_eq!(peak(0, DAY).await, 7);
    assert_eq!(peak(QUARTER, DAY).await, 4);
    assert_eq!(peak(QUARTER, 2 * QUARTER).await, 2);
    assert_eq!(peak(2 * QUARTER, 3 * QUARTER).await, 0);
}

#[tokio::test]
async fn sessions_are_listed_newest_first() {
    let f = fixture();
    let all = world(&f).await;
    for filter in [
        SessionFilter::default(),
        SessionFilter {
            user_id: Some(all[0].user),
            from: Some(at(20 * DAY)),
            to: Some(at(70 * DAY)),
            ..SessionFilter::default()
        },
        SessionFilter {
            is_open: Some(true),
            ..SessionFilter::default()
        },
        SessionFilter {
            is_open: Some(false),
            user_id: Some(all[1].user),
            ..SessionFilter::default()
        },
    ] {
        let mut expected: Vec<i64> = all
            .iter()
            .filter(|s| filter.user_id.is_none_or(|id| id == s.user))
            .filter(|s| filter.is_open.is_none_or(|open| open == s.end.is_none()))
            .filter(|s| filter.from.is_none_or(|from| s.start >= from.as_millis()))
            .filter(|s| filter.to.is_none_or(|to| s.start < to.as_millis()))
            .map(|s| s.start)
            .collect();
        expected.sort_by_key(|start| std::cmp::Reverse(*start));
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = f.store.sessions(filter.clone(), before, 100).await;
            let (entries, has_more) = page.expect("a page");
            before = entries.last().map(|entry| entry.cursor);
            seen.extend(entries.iter().map(|e| e.session.started_at.as_millis()));
            if !has_more {
                break;
            }
        }
        assert_eq!(seen, expected, "{filter:?}");
    }
}
