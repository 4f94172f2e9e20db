use super::*;
use crate::bus::live::{Live, LiveEvent, Told};
use crate::model::*;
use crate::store::{ActivityFilter, ActivityPlace, NewUser, Options};

async fn store() -> (Store, UserId, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        create: true,
        migrate: true,
        write_deadline: Duration::from_millis(100),
        ..Options::default()
    };
    let store = Store::open(&folder.path().join("test.db"), options).expect("a new database");
    let ann = user(&store, "ann").await;
    (store, ann, folder)
}

async fn user(store: &Store, name: &str) -> UserId {
    let new = NewUser {
        id: None,
        external_id: None,
        username: Username::new(name).expect("a name"),
        password_hash: None,
        profile: ProfileFields::default(),
        role: Role::User,
        created_at: Timestamp::from_millis(0),
    };
    store.create_user(new).await.expect("a new user")
}

fn row(user_id: UserId, millis: i64) -> LoggedActivity {
    let timestamp = Timestamp::from_millis(millis);
    LoggedActivity {
        username: Username::from_stored("ann"),
        activity: Activity {
            id: ActivityId::new(timestamp),
            user_id,
            action: "x".into(),
            target_type: None,
            target_id: None,
            metadata: None,
            ip_address: None,
            device_type: None,
            country_code: None,
            region: None,
            timestamp,
        },
    }
}

async fn written(store: &Store) -> Vec<i64> {
    let place = ActivityPlace::Offset(0);
    let page = store.activities(ActivityFilter::default(), place, 100, false);
    let page = page.await.expect("a page").activities;
    let time = |row: &LoggedActivity| row.activity.timestamp.as_millis();
    page.iter().rev().map(time).collect()
}

#[tokio::test]
async fn what_comes_to_a_full_queue_is_counted() {
    let (store, ann, _folder) = store().await;
    let recorder = Recorder::new(store.clone(), Arc::new(Recent::new(Live::default())), 2);
    for millis in 1..=5 {
        recorder.record(row(ann, millis));
    }
    assert_eq!(recorder.dropped(), 3);
    recorder.drain().await;
    assert_eq!(written(&store).await, [1, 2]);
    // After the end there is no queue any more.
    recorder.record(row(ann, 6));
    assert_eq!(recorder.dropped(), 4);
}

#[tokio::test]
async fn while_the_store_takes_nothing_it_waits_and_then_all_is_written_once() {
    let (store, ann, folder) = store().await;
    let recent = Arc::new(Recent::new(Live::default()));
    let recorder = Arc::new(Recorder::new(store.clone(), recent.clone(), 10));
    let foreign = rusqlite::Connection::open(folder.path().join("test.db")).expect("a database");
    foreign.execute_batch("BEGIN IMMEDIATE").expect("locked");
    recorder.record(row(ann, 1));
    // The first attempt, seen to fail.
    let mut batch = Vec::new();
    batch.extend(recorder.queue.lock().await.receiver.recv().await);
    assert!(!recorder.write(&mut batch).await, "to be tried again");
    recorder.queue.lock().await.batch = batch;
    let tasks = Tasks::new();
    recorder.start(&tasks);
    recorder.record(row(ann, 2));
    let (_, mut follower) = recent.follow(0).expect("room");
    foreign.execute_batch("COMMIT").expect("unlocked");
    for millis in [1, 2] {
        let Told::Event(event) = follower.next().await else {
            panic!("told of it");
        };
        let LiveEvent::Activity(row) = &*event else {
            panic!("an activity");
        };
        assert_eq!(row.activity.timestamp.as_millis(), millis);
    }
    tasks.stop().await;
    assert_eq!(written(&store).await, [1, 2]);
    assert_eq!(recorder.dropped(), 0);
}

#[tokio::test]
async fn who_is_erased_meanwhile_is_left_out_and_nobody_told_of_them() {
    let (store, ann, _folder) = store().await;
    let bob = user(&store, "bob").await;
    let recent = Arc::new(Recent::new(Live::default()));
    let recorder = Recorder::new(store.clone(), recent.clone(), 10);
    recorder.record(row(bob, 1));
    recorder.record(row(ann, 2));
    let mut to_bob = row(ann, 3);
    to_bob.activity.target_type = Some("user".into());
    to_bob.activity.target_id = Some(bob.to_string());
    recorder.record(to_bob);
    store.delete_user(bob).await.expect("erased");
    recorder.drain().await;
    assert_eq!(written(&store).await, [2]);
    let told: Vec<_> = recent
        .newest(9)
        .iter()
        .map(|row| row.activity.user_id)
        .collect();
    assert_eq!(told, [ann]);
    assert_eq!(recorder.dropped(), 0);
}

#[tokio::test]
async fn what_cannot_be_written_by_the_end_is_counted() {
    let (store, ann, folder) = store().await;
    let recorder = Recorder::new(store, Arc::new(Recent::new(Live::default())), 10);
    let foreign = rusqlite::Connection::open(folder.path().join("test.db")).expect("a database");
    foreign.execute_batch("BEGIN IMMEDIATE").expect("locked");
    recorder.record(row(ann, 1));
    recorder.record(row(ann, 2));
    recorder.drain().await;
    assert_eq!(recorder.dropped(), 2);
    drop(foreign);
}
