//! Importing in one stretch gives what importing in batches does.

use super::activities::{ACTIONS, DAY, QUARTER, activity};
use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;

/// Rows of ann, who has so many that she gets rollups of her own, and of bob, over some days and in no order.
fn rows(ann: UserId, bob: UserId) -> Vec<Activity> {
    let row = |n: i64| {
        let (action, target) = ACTIONS[(n % 3) as usize];
        let user = if n % 7 == 0 { bob } else { ann };
        activity(user, action, target, (n * 7919 % 400) * QUARTER / 3 + n)
    };
    (0..6_000).map(row).collect()
}

fn import(rows: &[Activity]) -> Vec<ActivityImport> {
    let row = |activity: &Activity| ActivityImport {
        user: UserKey::Id(activity.user_id),
        activity: activity.clone(),
    };
    rows.iter().map(row).collect()
}

fn inserted(imported: Option<Imported>) -> usize {
    let counts = imported.expect("not lost").expect("good rows");
    counts.inserted
}

/// Rows, counts and indexes, as text.
fn content(f: &Fixture) -> Vec<String> {
    let connection = rusqlite::Connection::open(&f.path).expect("opens");
    let mut content = Vec::new();
    for sql in [
        "SELECT hex(id) || user_id FROM user_activity_logs ORDER BY id",
        "SELECT concat_ws(',', user_id, action, ever, live, has_rollups) FROM activity_counts \
         ORDER BY user_id, action",
        "SELECT concat_ws(',', user_id, action, span, bucket, ever, live) FROM activity_rollups \
         ORDER BY user_id, action, span, bucket",
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name",
        "PRAGMA integrity_check",
    ] {
        let mut statement = connection.prepare(sql).expect("good SQL");
        let lines = statement.query_map([], |row| row.get(0)).expect("rows");
        content.extend(lines.map(|line| line.expect("text")));
    }
    content
}

/// Ordinary, in batches.
async fn imported(rows: &[Activity]) -> Fixture {
    let f = fixture();
    f.user("ann").await;
    f.user("bob").await;
    for batch in rows.chunks(700) {
        let done = f
            .store
            .import_activities(import(batch), ImportSource::Elsewhere)
            .await;
        done.expect("written").expect("good rows");
    }
    f
}

fn bulk() -> Fixture {
    fixture_with(Options {
        is_bulk: true,
        ..options()
    })
}

#[tokio::test]
async fn a_stretch_gives_what_batches_give() {
    let f = bulk();
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let rows = rows(ann, bob);
    let (first, rest) = rows.split_at(2_500);
    let stretch = f.store.import_many_activities(ImportSource::Elsewhere);
    for batch in first.chunks(1_000) {
        assert_eq!(
            inserted(stretch.rows().import(import(batch)).await),
            batch.len()
        );
    }
    // Nobody sees any of it before it ends.
    assert_eq!(f.number("SELECT count(*) FROM user_activity_logs"), Some(0));
    stretch.finish().await.expect("written");

    // With a log that is there, in which some of the rows are.
    let stretch = f.store.import_many_activities(ImportSource::Elsewhere);
    assert_eq!(
        inserted(stretch.rows().import(import(&rows[2_000..4_000])).await),
        1_500
    );
    assert_eq!(
        inserted(stretch.rows().import(import(rest)).await),
        rest.len() - 1_500
    );
    stretch.finish().await.expect("written");
    assert_eq!(content(&f), content(&imported(&rows).await));
    assert_eq!(
        f.number("SELECT has_rollups FROM activity_counts WHERE user_id = 1 AND action = ''"),
        Some(1)
    );
}

#[tokio::test]
async fn bad_rows_are_named_and_the_rest_of_the_stretch_stays() {
    let f = bulk();
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let rows = rows(ann, bob);
    let stretch = f.store.import_many_activities(ImportSource::Elsewhere);
    let mut batch = import(&rows[..10]);
    batch[4].user = UserKey::Name("zoe".into());
    let bad = stretch.rows().import(batch).await.expect("not lost");
    let bad = bad.expect_err("one is nobody's");
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].0, 4);
    assert_eq!(inserted(stretch.rows().import(import(&rows[..4])).await), 4);
    stretch.finish().await.expect("written");
    assert_eq!(content(&f), content(&imported(&rows[..4]).await));
}

#[tokio::test]
async fn a_stretch_that_is_given_up_leaves_nothing() {
    let f = bulk();
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let before = content(&f);
    let stretch = f.store.import_many_activities(ImportSource::Elsewhere);
    let rows = rows(ann, bob);
    assert_eq!(
        inserted(stretch.rows().import(import(&rows)).await),
        rows.len()
    );
    drop(stretch);
    // The next write waits for its end.
    f.user("cleo").await;
    assert_eq!(content(&f), before);
}

#[tokio::test]
async fn archived_rows_come_back_in_a_stretch_without_being_counted_again() {
    let f = bulk();
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let rows = rows(ann, bob);
    let stretch = f.store.import_many_activities(ImportSource::Elsewhere);
    stretch.rows().import(import(&rows)).await;
    stretch.finish().await.expect("written");
    let before = content(&f);
    let connection = rusqlite::Connection::open(&f.path).expect("opens");
    let gone = connection.execute("DELETE FROM user_activity_logs WHERE timestamp < ?1", [DAY]);
    assert!(gone.expect("deleted") > 1_000);
    drop(connection);
    let stretch = f.store.import_many_activities(ImportSource::Archive);
    for batch in rows.chunks(1_100) {
        stretch.rows().import(import(batch)).await;
    }
    stretch.finish().await.expect("written");
    assert_eq!(content(&f), before);
}
