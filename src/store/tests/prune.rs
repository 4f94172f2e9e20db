//! Pruning, against counting by hand.

use super::activities::{ACTIONS, DAY, QUARTER, activity, batch, filters, fits, total, world};
use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;

fn pruner(f: &Fixture) -> Pruner {
    Pruner::open(&f.path, Durability::Normal, false).expect("opens")
}

/// Removes everything, as the command does.
fn prune(f: &Fixture, rules: &PruneRules) -> Vec<GoingActivity> {
    let mut pruner = pruner(f);
    let mut all = Vec::new();
    for mut walk in rules.walks() {
        let mut whole_walk = walk.clone();
        while let Some(going) = pruner
            .next_activities(rules, &mut walk, 700)
            .expect("a page")
        {
            let whole = pruner.next_whole_activities(rules, &mut whole_walk, 700);
            let whole = whole.expect("a page").expect("the same rows");
            let brief = whole.iter().map(|row| GoingActivity::from(&row.activity));
            assert!(brief.eq(going.iter().cloned()));
            assert_eq!(walk, whole_walk);
            let mut left = &going[..];
            while !left.is_empty() {
                let batch = pruner.delete_activities(left).expect("deleted");
                assert!(batch.taken > 0);
                assert_eq!(batch.gone, (0..batch.taken).collect::<Vec<_>>());
                left = &left[batch.taken..];
            }
            all.extend(going);
        }
    }
    while pruner.give_back().expect("given back") > 0 {}
    pruner.finish();
    all
}

/// Longer for one action, shorter for another, neither of them on the edge of a quarter hour.
fn rules() -> PruneRules {
    let keep = [
        ("login", 12 * DAY + 7),
        ("video_posted", 31 * DAY + QUARTER / 2),
    ];
    PruneRules {
        activities: Some(at(20 * DAY + 333)),
        keep: keep
            .map(|(action, before)| (action.to_owned(), at(before)))
            .into(),
        sessions: None,
    }
}

const EVER: &str = "SELECT sum(ever) FROM activity_rollups WHERE user_id = 0";
const EVER_EACH: &str = "SELECT sum(ever * (bucket + 1)) FROM activity_rollups WHERE user_id = 0";

#[tokio::test]
async fn what_is_left_is_counted_exactly_and_what_ever_was_stays() {
    let f = fixture();
    let mut all = world(&f).await;
    let rules = rules();
    let (ever, ever_each) = (f.number(EVER), f.number(EVER_EACH));
    let pages = f.number("PRAGMA page_count").expect("a number");
    let estimate = pruner(&f).estimate(&rules).expect("a number");
    let gone = prune(&f, &rules);
    let before = all.len();
    all.retain(|row| !rules.goes(&row.action, row.timestamp));
    assert_eq!(gone.len(), before - all.len());
    assert!(gone.len() > 4_000, "{}", gone.len());
    // It is short of the quarter hours at the ends.
    let off = gone.len() as u64 - estimate;
    assert!(off < 50, "{off}");
    for filter in filters(&[UserId(1), UserId(2)]) {
        let expected = all.iter().filter(|row| fits(&filter, row)).count() as i64;
        assert_eq!(total(&f.store, &filter).await, expected, "{filter:?}");
    }
    assert_eq!(
        f.number("SELECT count(*) FROM user_activity_logs"),
        Some(all.len() as i64)
    );
    assert_eq!((f.number(EVER), f.number(EVER_EACH)), (ever, ever_each));
    let tally = f.store.tally_activities(None, at(0), at(40 * DAY)).await;
    assert_eq!(tally.expect("a tally").count, 12_000);
    assert_eq!(f.number("PRAGMA freelist_count"), Some(0));
    let left = f.number("PRAGMA page_count").expect("a number");
    assert!(left < pages * 3 / 4, "{pages} pages became {left}");
    // Again: nothing.
    assert_eq!(prune(&f, &rules), []);
    // By hand the trigger still counts.
    let connection = rusqlite::Connection::open(&f.path).expect("opens");
    connection
        .execute("DELETE FROM user_activity_logs", [])
        .expect("deleted");
    assert_eq!(total(&f.store, &ActivityFilter::default()).await, 0);
}

#[tokio::test]
async fn a_rule_for_one_action_alone_leaves_the_others() {
    let f = fixture();
    let all = world(&f).await;
    let rules = PruneRules {
        keep: [("login".to_owned(), at(30 * DAY))].into(),
        ..PruneRules::default()
    };
    let gone = prune(&f, &rules);
    let expected = all
        .iter()
        .filter(|row| row.action == "login" && row.timestamp < at(30 * DAY));
    assert_eq!(gone.len(), expected.count());
    assert!(gone.iter().all(|row| row.action == "login"));
}

#[tokio::test]
async fn what_went_meanwhile_is_not_taken_from_the_counts_twice() {
    let f = fixture();
    let (ann, bob) = (f.user("ann").await, f.user("bob").await);
    let rows = vec![
        activity(ann, "login", None, 1_000),
        activity(bob, "login", None, 2_000),
    ];
    f.store
        .log_activities(batch(rows.clone()))
        .await
        .expect("logged");
    let going: Vec<GoingActivity> = rows.iter().map(Into::into).collect();
    assert!(f.store.delete_user(ann).await.expect("erased"));
    let batch = pruner(&f).delete_activities(&going).expect("deleted");
    assert_eq!((batch.taken, batch.gone), (2, vec![1]));
    assert_eq!(total(&f.store, &ActivityFilter::default()).await, 0);
}

fn import(rows: &[Activity]) -> Vec<ActivityImport> {
    let row = |activity: &Activity| ActivityImport {
        user: UserKey::Id(activity.user_id),
        activity: activity.clone(),
    };
    rows.iter().map(row).collect()
}

#[tokio::test]
async fn what_is_gone_comes_back_only_from_an_archive_and_is_not_counted_again() {
    let f = fixture();
    let all = world(&f).await;
    let (ever, ever_each) = (f.number(EVER), f.number(EVER_EACH));
    prune(&f, &rules());
    let put = async |rows: &[Activity], source| {
        let imported = f.store.import_activities(import(rows), source).await;
        imported.expect("no failure")
    };
    // Those that are there are unchanged, those that are gone are bad.
    let bad = put(&all, ImportSource::Elsewhere)
        .await
        .expect_err("bad rows");
    let (expected, left): (Vec<_>, Vec<_>) =
        (0..all.len()).partition(|index| rules().goes(&all[*index].action, all[*index].timestamp));
    let indexes: Vec<_> = bad.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, expected);
    let why = bad[0].1.to_string();
    assert!(
        why.contains("older than what prune has removed of ") && why.contains("--restore"),
        "{why}"
    );
    let left: Vec<_> = left.iter().map(|index| all[*index].clone()).collect();
    let counts = put(&left, ImportSource::Elsewhere).await.expect("good");
    assert_eq!(counts.unchanged, left.len());
    // An old row of an action of which nothing was removed is new.
    let user = all[0].user_id;
    let other = [activity(user, "never_pruned", None, DAY)];
    assert_eq!(
        put(&other, ImportSource::Elsewhere)
            .await
            .expect("good")
            .inserted,
        1
    );
    // From an archive, twice.
    for inserted in [all.len() - left.len(), 0] {
        let counts = put(&all, ImportSource::Archive).await.expect("good");
        assert_eq!(counts.inserted, inserted);
    }
    for filter in filters(&[UserId(1), UserId(2)]) {
        let mut rows = all.iter().chain(&other);
        let expected = rows.by_ref().filter(|row| fits(&filter, row)).count() as i64;
        assert_eq!(total(&f.store, &filter).await, expected, "{filter:?}");
    }
    // The other one counts in two spans, each of every action and of its own.
    assert_eq!(f.number(EVER), ever.map(|ever| ever + 4));
    let once = 2 * (DAY / QUARTER + 1) + 2 * 2;
    assert_eq!(f.number(EVER_EACH), ever_each.map(|each| each + once));
    let first = "SELECT count(*) FROM activity_rollups WHERE live > ever";
    assert_eq!(f.number(first), Some(0));
}

#[tokio::test]
async fn an_archive_of_another_database_counts_as_what_is_there() {
    let f = fixture();
    let ann = f.user("ann").await;
    let rows = [activity(ann, ACTIONS[0].0, None, DAY)];
    let put = f
        .store
        .import_activities(import(&rows), ImportSource::Archive);
    assert_eq!(put.await.expect("no failure").expect("good").inserted, 1);
    assert_eq!(total(&f.store, &ActivityFilter::default()).await, 1);
    let tally = f.store.tally_activities(None, at(0), at(2 * DAY)).await;
    assert_eq!(tally.expect("a tally").count, 1);
}

fn session(user_id: UserId, start: i64, end: Option<i64>) -> SessionRow {
    SessionRow {
        id: SessionId(ActivityId::new(at(start)).0),
        user_id,
        device_id: Some("phone".into()),
        client: Default::default(),
        started_at: at(start),
        ended: end.map(|end| (at(end), EndReason::Lost)),
    }
}

#[tokio::test]
async fn sessions_go_by_their_end_and_stay_counted() {
    let f = fixture();
    let ann = f.user("ann").await;
    let boot = f.store.begin_boot(at(0)).await.expect("a boot");
    let mut sessions: Vec<_> = (0..500)
        .map(|n| session(ann, n * QUARTER, Some((n + 3) * QUARTER)))
        .collect();
    // Many that end at one moment, as when a server stops; and one that is open.
    sessions.extend((0..300).map(|n| session(ann, DAY + n, Some(2 * DAY))));
    sessions.push(session(ann, 5, None));
    let flushed = FlushBatch {
        sessions: sessions.clone(),
        ..FlushBatch::default()
    };
    f.store.flush(boot, flushed).await.expect("flushed");
    let tally = async || {
        let tally = f
            .store
            .tally_sessions(at(0), at(90 * DAY), at(90 * DAY))
            .await;
        tally.expect("a tally")
    };
    let before = tally().await;
    let cut = at(2 * DAY + 1);
    let mut pruner = pruner(&f);
    let mut walk = SessionWalk::new(cut);
    let mut gone = Vec::new();
    while let Some(rows) = pruner.next_sessions(&mut walk, 70).expect("a page") {
        let going: Vec<_> = rows
            .iter()
            .map(|SessionEntry { session, .. }| GoingSession {
                id: session.id,
                ended_at: session.ended.expect("ended").0,
            })
            .collect();
        let mut left = &going[..];
        while !left.is_empty() {
            left = &left[pruner.delete_sessions(left).expect("deleted").taken..];
        }
        gone.extend(rows.into_iter().map(|row| row.session));
    }
    let (mut old, left): (Vec<_>, Vec<_>) = sessions
        .into_iter()
        .partition(|row| row.ended.is_some_and(|(end, _)| end < cut));
    old.sort_by_key(|row| row.id.0);
    gone.sort_by_key(|row| row.id.0);
    assert_eq!(gone, old);
    assert_eq!(
        f.number("SELECT count(*) FROM sessions"),
        Some(left.len() as i64)
    );
    let after = tally().await;
    assert_eq!(
        (after.tally.count, after.duration_ms),
        (before.tally.count, before.duration_ms)
    );
    let live = "SELECT sum(live) FROM session_rollups WHERE span = 0";
    assert_eq!(f.number(live), Some(left.len() as i64));
    // And back.
    let rows: Vec<_> = gone
        .iter()
        .map(|session| SessionImport {
            user: UserKey::Id(ann),
            session: session.clone(),
        })
        .collect();
    let bad = f
        .store
        .import_sessions(rows.clone(), ImportSource::Elsewhere)
        .await;
    assert_eq!(
        bad.expect("no failure").expect_err("bad rows").len(),
        rows.len()
    );
    for inserted in [rows.len(), 0] {
        let back = f
            .store
            .import_sessions(rows.clone(), ImportSource::Archive)
            .await;
        assert_eq!(back.expect("no failure").expect("good").inserted, inserted);
    }
    let back = tally().await;
    assert_eq!(
        (back.tally.count, back.duration_ms),
        (before.tally.count, before.duration_ms)
    );
    assert_eq!(f.number(live), Some((left.len() + rows.len()) as i64));
    let wrong = "SELECT count(*) FROM session_rollups WHERE live > ever OR ended > ever";
    assert_eq!(f.number(wrong), Some(0));
}

#[tokio::test]
async fn a_session_that_was_resumed_meanwhile_stays() {
    let f = fixture();
    let ann = f.user("ann").await;
    let boot = f.store.begin_boot(at(0)).await.expect("a boot");
    let row = session(ann, 1_000, Some(3_000));
    let flushed = FlushBatch {
        sessions: vec![row.clone()],
        ..FlushBatch::default()
    };
    f.store.flush(boot, flushed).await.expect("flushed");
    let going = [GoingSession {
        id: row.id,
        ended_at: at(2_000),
    }];
    let batch = pruner(&f).delete_sessions(&going).expect("deleted");
    assert_eq!(batch.gone, Vec::<usize>::new());
    assert_eq!(f.number("SELECT count(*) FROM sessions"), Some(1));
}
