//! The activity log and its counts, against counting by hand.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

pub const ACTIONS: [(&str, Option<&str>); 3] = [
    ("login", None),
    ("video_posted", Some("video")),
    ("video_watched", Some("video")),
];
pub const QUARTER: i64 = 900_000;
pub const DAY: i64 = 96 * QUARTER;

pub fn activity(user_id: UserId, action: &str, target_type: Option<&str>, millis: i64) -> Activity {
    Activity {
        id: ActivityId::new(at(millis)),
        user_id,
        action: action.into(),
        target_type: target_type.map(Into::into),
        target_id: target_type.map(|_| "7".into()),
        metadata: Some("{\"n\":1}".into()),
        ip_address: Some("203.0.113.7".into()),
        device_type: Some(DeviceType::Web),
        country_code: Some("NP".into()),
        region: Some("Bagmati".into()),
        timestamp: at(millis),
    }
}

pub fn batch(rows: Vec<Activity>) -> ActivityBatch {
    ActivityBatch {
        rows,
        ..ActivityBatch::default()
    }
}

pub async fn total(store: &Store, filter: &ActivityFilter) -> i64 {
    let place = ActivityPlace::Offset(0);
    let page = store.activities(filter.clone(), place, 1, true).await;
    page.expect("a page").total.expect("a total")
}

/// Three people, one of whom has far more rows than are counted one by one, over forty days.
pub async fn world(f: &Fixture) -> Vec<Activity> {
    let mut rng = StdRng::seed_from_u64(7);
    let mut users = Vec::new();
    for name in ["ann", "bob", "cleo"] {
        users.push(f.user(name).await);
    }
    let mut all = Vec::new();
    for _ in 0..12 {
        let rows: Vec<_> = (0..1000)
            .map(|_| {
                let user = users[if rng.random_bool(0.8) {
                    0
                } else {
                    rng.random_range(1..3)
                }];
                let (action, target) = ACTIONS[rng.random_range(0..3)];
                activity(user, action, target, rng.random_range(0..40 * DAY))
            })
            .collect();
        all.extend(rows.iter().cloned());
        let logged = f.store.log_activities(batch(rows)).await;
        assert_eq!(logged.expect("logged"), Logged::Written(1000));
    }
    all.sort_by_key(|row| std::cmp::Reverse(row.id));
    all
}

pub fn fits(filter: &ActivityFilter, row: &Activity) -> bool {
    filter.user_id.is_none_or(|id| id == row.user_id)
        && filter
            .action
            .as_ref()
            .is_none_or(|action| *action == row.action)
        && filter
            .target_type
            .as_ref()
            .is_none_or(|t| Some(t) == row.target_type.as_ref())
        && filter.from.is_none_or(|from| row.timestamp >= from)
        && filter.to.is_none_or(|to| row.timestamp < to)
}

/// Every combination of filters, over ranges of every kind: whole days, odd ends, within a quarter hour, beyond.
pub fn filters(users: &[UserId]) -> Vec<ActivityFilter> {
    let ranges = [
        (None, None),
        (Some(3 * DAY), Some(20 * DAY)),
        (Some(3 * DAY + 1), Some(20 * DAY + 899_999)),
        (Some(5 * DAY + QUARTER), None),
        (None, Some(7 * DAY + 5 * QUARTER + 17)),
        (Some(9 * DAY + 100), Some(9 * DAY + 400_000)),
        (Some(9 * DAY - 3 * QUARTER), Some(9 * DAY + 2 * QUARTER)),
        (Some(100 * DAY), None),
        (Some(5 * DAY), Some(5 * DAY)),
    ];
    let mut filters = Vec::new();
    for user in [None, Some(users[0]), Some(users[1]), Some(UserId(999))] {
        for action in [
            None,
            Some("login"),
            Some("video_watched"),
            Some("never_done"),
        ] {
            for target_type in [None, Some("video"), Some("nothing")] {
                for (from, to) in ranges {
                    filters.push(ActivityFilter {
                        user_id: user,
                        action: action.map(Into::into),
                        target_type: target_type.map(Into::into),
                        from: from.map(at),
                        to: to.map(at),
                    });
                }
            }
        }
    }
    filters
}

#[tokio::test]
async fn totals_are_exact_under_every_filter() {
    let f = fixture();
    let mut all = world(&f).await;
    let users = [UserId(1), UserId(2)];
    for filter in filters(&users) {
        let expected = all.iter().filter(|row| fits(&filter, row)).count() as i64;
        assert_eq!(total(&f.store, &filter).await, expected, "{filter:?}");
    }
    // Rows deleted by hand, as `sqlite3` would.
    let connection = rusqlite::Connection::open(&f.path).expect("opens");
    let gone = "DELETE FROM user_activity_logs WHERE timestamp % 3 = 0";
    connection.execute(gone, []).expect("deleted");
    all.retain(|row| row.timestamp.as_millis() % 3 != 0);
    for filter in filters(&users) {
        let expected = all.iter().filter(|row| fits(&filter, row)).count() as i64;
        assert_eq!(total(&f.store, &filter).await, expected, "{filter:?}");
    }
    // What ever was does not change by that, and says where it had to be widened.
    let ever = |from, to| f.store.tally_activities(None, at(from), at(to));
    assert_eq!(ever(0, 40 * DAY).await.expect("a tally").count, 12_000);
    let widened = ever(DAY + 1, 30 * DAY + 1).await.expect("a tally");
    let whole = ever(DAY, 30 * DAY + QUARTER).await.expect("a tally");
    assert!(widened.is_approximate && !whole.is_approximate);
    assert_eq!(widened.count, whole.count);
    // An erased user's rows go, and the anonymous counts stay.
    assert!(f.store.delete_user(users[0]).await.expect("erased"));
    all.retain(|row| row.user_id != users[0]);
    assert_eq!(
        total(&f.store, &ActivityFilter::default()).await,
        all.len() as i64
    );
    assert_eq!(ever(0, 40 * DAY).await.expect("a tally").count, 12_000);
    let left = "SELECT count(*) FROM activity_rollups WHERE user_id = 1";
    assert_eq!(f.number(left), Some(0));
}

#[tokio::test]
async fn pages_walk_every_row_once_newest_first() {
    let f = fixture();
    let all = world(&f).await;
    for filter in filters(&[UserId(1), UserId(2)]) {
        let expected: Vec<_> = all.iter().filter(|row| fits(&filter, row)).collect();
        let mut walked = Vec::new();
        let mut place = ActivityPlace::Offset(0);
        loop {
            let page = f.store.activities(filter.clone(), place, 397, false).await;
            let page = page.expect("a page");
            walked.extend(page.activities.into_iter().map(|row| row.activity));
            match page.next {
                Some(next) => place = ActivityPlace::Before(next),
                None => break,
            }
        }
        assert!(walked.iter().eq(expected.iter().copied()), "{filter:?}");
        let page = f
            .store
            .activities(filter.clone(), ActivityPlace::Offset(150), 10, false)
            .await
            .expect("a page");
        let skipped = page.activities.iter().map(|row| &row.activity);
        let fitting = expected.iter().copied().skip(150).take(10);
        assert!(skipped.eq(fitting), "{filter:?}");
    }
}

#[tokio::test]
async fn a_batch_is_whole_or_nothing() {
    let f = fixture();
    let ann = f.user("ann").await;
    let rows = vec![
        activity(ann, "login", None, 1_000),
        activity(UserId(99), "login", None, 1_000),
    ];
    let refused = f.store.log_activities(batch(rows.clone())).await;
    assert!(matches!(refused, Err(StoreError::NoSuchUser)));
    assert_eq!(total(&f.store, &ActivityFilter::default()).await, 0);
    let skipping = ActivityBatch {
        skip_erased: true,
        ..batch(rows)
    };
    let logged = f.store.log_activities(skipping).await.expect("logged");
    assert_eq!(logged, Logged::Written(1));
    assert_eq!(total(&f.store, &ActivityFilter::default()).await, 1);
}

#[tokio::test]
async fn an_answer_is_kept_with_its_rows_for_a_day() {
    let f = fixture();
    let ann = f.user("ann").await;
    let send = async |hash: u8, now: i64| {
        let sent = ActivityBatch {
            active: vec![(ann, at(now))],
            idempotency: Some(Idempotency {
                caller: "user:1".into(),
                key: "k".into(),
                request_hash: [hash; 32],
                answer: format!("answer {hash}"),
                now: at(now),
            }),
            ..batch(vec![activity(ann, "login", None, now)])
        };
        f.store.log_activities(sent).await.expect("logged")
    };
    assert_eq!(send(1, 1_000).await, Logged::Written(1));
    assert_eq!(send(1, 2_000).await, Logged::Replayed("answer 1".into()));
    assert_eq!(send(2, 2_000).await, Logged::KeyReused);
    assert_eq!(total(&f.store, &ActivityFilter::default()).await, 1);
    let user = f.store.user(ann).await.expect("read").expect("ann");
    assert_eq!(
        user.last_active_at,
        Some(at(1_000)),
        "nothing follows from a replay"
    );
    let later = 1_000 + DAY;
    f.store
        .forget_answers(at(later - 1))
        .await
        .expect("forgotten");
    assert_eq!(
        send(1, later - 1).await,
        Logged::Replayed("answer 1".into())
    );
    assert_eq!(send(2, later).await, Logged::Written(1), "forgotten");
    f.store
        .forget_answers(at(later + DAY))
        .await
        .expect("forgotten");
    assert_eq!(f.number("SELECT count(*) FROM idempotency_keys"), Some(0));
}

#[tokio::test]
async fn what_was_done_to_the_erased_goes_with_them() {
    let f = fixture();
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let followed = |millis, target: UserId| Activity {
        target_id: Some(target.to_string()),
        ..activity(ann, "user_followed", Some("user"), millis)
    };
    let rows = vec![
        followed(1_000, bob),
        followed(2_000, ann),
        activity(ann, "login", None, 3_000),
    ];
    f.store.log_activities(batch(rows)).await.expect("logged");
    assert!(f.store.delete_user(bob).await.expect("erased"));
    let page = f
        .store
        .activities(
            ActivityFilter::default(),
            ActivityPlace::Offset(0),
            10,
            true,
        )
        .await
        .expect("a page");
    assert_eq!(page.total, Some(2));
    assert_eq!(page.activities.len(), 2);
    assert_eq!(page.activities[1].activity.target_id.as_deref(), Some("1"));
}
