use super::*;
use crate::bus::live::{LiveEvent, Told};
use crate::store::{ActivityFilter, ActivityPlace, NewUser, Options};
use serde_json::json;
use std::time::Duration;

/// A store on a new file, a clock that stands still, and two people.
struct Bench {
    store: Store,
    clock: Clock,
    service: ActivityService,
    ann: UserId,
    bob: UserId,
    _folder: tempfile::TempDir,
}

const RULES: Rules = Rules {
    strict_actions: false,
    ip_privacy: IpPrivacy::Truncated,
};
const KEY: Author = Author::Key(ApiKeyId(1));

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            create: true,
            migrate: true,
            ..Options::default()
        };
        let store = Store::open(&folder.path().join("test.db"), options).expect("a new database");
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let mut ids = Vec::new();
        for name in ["Ann", "bob"] {
            let new = NewUser {
                id: None,
                external_id: None,
                username: Username::new(name).expect("a name"),
                password_hash: None,
                profile: ProfileFields::default(),
                role: Role::User,
                created_at: clock.now(),
            };
            ids.push(store.create_user(new).await.expect("a new user"));
        }
        Self {
            service: ActivityService::with_queue(
                store.clone(),
                clock.clone(),
                RULES,
                Live::default(),
                2,
            ),
            store,
            clock,
            ann: ids[0],
            bob: ids[1],
            _folder: folder,
        }
    }

    fn author(&self) -> Author {
        Author::User {
            id: self.ann,
            username: Username::from_stored("Ann"),
            client: client(),
        }
    }

    /// What is in the table, newest first.
    async fn rows(&self) -> Vec<Activity> {
        let place = ActivityPlace::Offset(0);
        let page = self
            .store
            .activities(ActivityFilter::default(), place, 1_000, false);
        let page = page.await.expect("a page");
        page.activities
            .into_iter()
            .map(|row| row.activity)
            .collect()
    }

    async fn user(&self, id: UserId) -> User {
        let user = self.store.user(id).await.expect("read");
        user.expect("a user")
    }
}

fn client() -> ClientInfo {
    ClientInfo {
        device_type: Some(DeviceType::Ios),
        ip_address: Some("203.0.113.0".into()),
        country_code: Some("NP".into()),
        region: Some("Bagmati".into()),
        user_agent: None,
    }
}

fn item(action: &str) -> NewActivity {
    NewActivity {
        action: action.into(),
        ..NewActivity::default()
    }
}

fn of(user: UserId, action: &str) -> NewActivity {
    NewActivity {
        user_id: Some(user.0),
        ..item(action)
    }
}

/// Index and field of each bad item of a 422.
fn invalid<T: std::fmt::Debug>(result: Result<T>) -> Vec<(usize, &'static str)> {
    match result {
        Err(Error::InvalidItems(items)) => items.into_iter().map(|(i, e)| (i, e.field)).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_user_logs_for_themselves_with_what_the_request_tells() {
    let bench = Bench::new().await;
    let mut watched = item("video_watched");
    watched.target_id = Some("v1".into());
    watched.metadata = json!({"videoId": "v1", "more": 1}).as_object().cloned();
    let author = bench.author();
    let logged = bench.service.log(&author, vec![watched], None).await;
    let logged = logged.expect("logged");
    let rows = bench.rows().await;
    assert_eq!(logged.ids, [rows[0].id]);
    assert_eq!(rows[0].user_id, bench.ann);
    assert_eq!(rows[0].target_type.as_deref(), Some("video"), "filled in");
    assert_eq!(rows[0].ip_address.as_deref(), Some("203.0.113.0"));
    assert_eq!(rows[0].device_type, Some(DeviceType::Ios));
    assert_eq!(rows[0].country_code.as_deref(), Some("NP"));
    assert_eq!(rows[0].region.as_deref(), Some("Bagmati"));
    assert_eq!(rows[0].timestamp, bench.clock.now());
    let metadata = rows[0].metadata.as_deref().expect("some");
    let metadata: Value = serde_json::from_str(metadata).expect("JSON");
    assert_eq!(metadata, json!({"videoId": "v1", "more": 1}));
}

#[tokio::test]
async fn what_is_for_services_is_refused_to_users_and_nothing_is_written() {
    let bench = Bench::new().await;
    let author = bench.author();
    let log = async |items| bench.service.log(&author, items, None).await;
    let set = |change: fn(&mut NewActivity)| {
        let mut item = item("x");
        change(&mut item);
        item
    };
    let items = vec![
        item("x"),
        item("login"),
        item("logout"),
        set(|item| item.timestamp = Some("2026-01-01T00:00:00Z".into())),
        set(|item| item.ip_address = Some("192.0.2.1".into())),
        set(|item| item.device_type = Some(DeviceType::Web)),
        set(|item| item.country_code = Some("NP".into())),
        set(|item| item.region = Some("Bagmati".into())),
        item("Not a word"),
    ];
    let expected = [
        (1, "action"),
        (2, "action"),
        (3, "timestamp"),
        (4, "ipAddress"),
        (5, "deviceType"),
        (6, "countryCode"),
        (7, "region"),
        (8, "action"),
    ];
    assert_eq!(invalid(log(items).await), expected);

    let own_name = NewActivity {
        username: Some("aNN".into()),
        ..of(bench.ann, "x")
    };
    let other_name = NewActivity {
        username: Some("bob".into()),
        ..item("x")
    };
    let items = vec![own_name.clone(), of(bench.bob, "x"), other_name];
    match log(items).await {
        Err(Error::ForbiddenItems(items)) => {
            let named: Vec<_> = items.iter().map(|(i, e)| (*i, e.field)).collect();
            assert_eq!(named, [(1, "userId"), (2, "username")]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.rows().await, []);
    assert_eq!(log(vec![own_name]).await.expect("their own").accepted, 1);
}

#[tokio::test]
async fn a_key_logs_for_anyone_and_says_when_and_where() {
    let bench = Bench::new().await;
    let now = bench.clock.now();
    let full = NewActivity {
        username: Some("BOB".into()),
        timestamp: Some("2026-01-02T03:04:05.678+01:00".into()),
        ip_address: Some("198.51.100.77".into()),
        device_type: Some(DeviceType::Android),
        country_code: Some("np".into()),
        region: Some("Bagmati".into()),
        ..item("login")
    };
    let ahead = NewActivity {
        timestamp: Some(now.plus(Duration::from_secs(300)).to_string()),
        ..of(bench.ann, "x")
    };
    let logged = bench.service.log(&KEY, vec![full, ahead], None).await;
    let logged = logged.expect("logged");
    let rows = bench.rows().await;
    assert_eq!(logged.ids, [rows[1].id, rows[0].id], "in the order sent");
    let login = &rows[1];
    assert_eq!(login.user_id, bench.bob);
    assert_eq!(login.timestamp.to_string(), "2026-01-02T02:04:05.678Z");
    assert!(login.id.is_of(login.timestamp));
    assert_eq!(
        login.ip_address.as_deref(),
        Some("198.51.100.0"),
        "as private as asked"
    );
    assert_eq!(login.country_code.as_deref(), Some("NP"));
    // What a service logs counts, by its time and at most now.
    let bob = bench.user(bench.bob).await;
    assert_eq!(bob.last_login_at, Some(login.timestamp));
    assert_eq!(bob.last_active_at, Some(login.timestamp));
    let ann = bench.user(bench.ann).await;
    assert_eq!((ann.last_active_at, ann.last_login_at), (Some(now), None));
    // Forward only.
    let before = NewActivity {
        timestamp: Some("2025-01-01T00:00:00Z".into()),
        ..of(bench.bob, "login")
    };
    let logged = bench.service.log(&KEY, vec![before], None).await;
    assert_eq!(logged.expect("logged").accepted, 1);
    assert_eq!(
        bench.user(bench.bob).await.last_login_at,
        Some(login.timestamp)
    );
}

#[tokio::test]
async fn every_bad_item_of_a_key_is_named() {
    let bench = Bench::new().await;
    let ann = bench.ann;
    let log = async |items| bench.service.log(&KEY, items, None).await;
    let name = |name: &str| NewActivity {
        username: Some(name.into()),
        ..item("x")
    };
    let at = |time: &str| NewActivity {
        timestamp: Some(time.into()),
        ..of(ann, "x")
    };
    let ahead = bench.clock.now().plus(Duration::from_millis(300_001));
    let items = vec![
        of(UserId(99), "x"),
        name("nobody.here"),
        name(""),
        name("a\0"),
        NewActivity {
            username: Some("bob".into()),
            ..of(ann, "x")
        },
        of(ann, ""),
        at("yesterday"),
        at("1969-12-31T23:59:59.999Z"),
        at(&ahead.to_string()),
        NewActivity {
            ip_address: Some("nowhere".into()),
            ..of(ann, "x")
        },
        NewActivity {
            country_code: Some("NPL".into()),
            ..of(ann, "x")
        },
        NewActivity {
            region: Some(String::new()),
            ..of(ann, "x")
        },
        NewActivity {
            target_id: Some("x".repeat(101)),
            ..of(ann, "x")
        },
        at("1970-01-01T00:00:00Z"),
    ];
    let fields = [
        "userId",
        "username",
        "username",
        "username",
        "username",
        "action",
        "timestamp",
        "timestamp",
        "timestamp",
        "ipAddress",
        "countryCode",
        "region",
        "targetId",
    ];
    let expected: Vec<_> = fields.into_iter().enumerate().collect();
    assert_eq!(invalid(log(items).await), expected);
    match log(vec![of(ann, "x"), item("x")]).await {
        Err(Error::IncompleteItems(items)) => assert_eq!(items[0].0, 1),
        other => panic!("{other:?}"),
    }
    for count in [0, MAX_ITEMS + 1] {
        let many = log(vec![of(ann, "x"); count]).await;
        assert!(matches!(many, Err(Error::Invalid(_))), "{many:?}");
    }
    assert_eq!(bench.rows().await, []);
    let most = log(vec![of(ann, "x"); MAX_ITEMS]).await;
    assert_eq!(most.expect("logged").accepted, 1_000);
}

fn key(name: &str, hash: u8) -> Option<RequestKey> {
    Some(RequestKey {
        key: name.into(),
        hash: [hash; 32],
    })
}

#[tokio::test]
async fn the_same_again_is_answered_as_it_was() {
    let bench = Bench::new().await;
    let author = bench.author();
    let log = async |author: &Author, key| bench.service.log(author, vec![item("x")], key).await;
    let first = log(&author, key("k", 1)).await.expect("logged");
    let again = log(&author, key("k", 1)).await.expect("replayed");
    assert_eq!(again, first);
    assert_eq!(bench.rows().await.len(), 1);
    assert_eq!(bench.service.recent().newest(9).len(), 1, "told once");
    match log(&author, key("k", 2)).await {
        Err(Error::Invalid(error)) => assert_eq!(error.field, KEY_HEADER),
        other => panic!("{other:?}"),
    }
    // Another caller's key is another key.
    let others = bench
        .service
        .log(&KEY, vec![of(bench.bob, "x")], key("k", 2));
    others.await.expect("logged");
    // Only what was answered well is kept.
    let bad = bench.service.log(&author, vec![item("")], key("bad", 1));
    invalid(bad.await);
    log(&author, key("bad", 2)).await.expect("logged");
    // What would be refused by now is answered as it was.
    let erased = bench
        .service
        .log(&KEY, vec![of(bench.bob, "y")], key("gone", 1));
    let before = erased.await.expect("logged");
    bench.store.delete_user(bench.bob).await.expect("erased");
    let after = bench
        .service
        .log(&KEY, vec![of(bench.bob, "y")], key("gone", 1));
    assert_eq!(after.await.expect("replayed"), before);
    // It is kept for a day.
    bench.clock.advance(Duration::from_secs(24 * 3600));
    let next = log(&author, key("k", 2)).await.expect("a new one");
    assert_ne!(next.ids, first.ids);
}

#[tokio::test]
async fn while_one_runs_its_key_is_taken() {
    let bench = Bench::new().await;
    let author = bench.author();
    let log = || bench.service.log(&author, vec![item("x")], key("k", 1));
    let (first, second) = tokio::join!(log(), log());
    assert_eq!(first.expect("logged").accepted, 1);
    match second {
        Err(Error::Conflict { field, .. }) => assert_eq!(field, KEY_HEADER),
        other => panic!("{other:?}"),
    }
    log().await.expect("replayed");
    assert_eq!(bench.rows().await.len(), 1);
}

#[tokio::test]
async fn whoever_is_erased_takes_their_kept_answers_along() {
    let bench = Bench::new().await;
    let author = bench.author();
    let log = |key| bench.service.log(&author, vec![item("x")], key);
    log(key("k", 1)).await.expect("logged");
    bench.store.delete_user(bench.ann).await.expect("erased");
    let again = log(key("k", 1)).await;
    assert!(matches!(again, Err(Error::Unauthorized)), "{again:?}");
}

#[tokio::test]
async fn a_batch_is_in_the_log_as_it_was_sent() {
    let bench = Bench::new().await;
    let at = |millis: i64| NewActivity {
        timestamp: Some(Timestamp::from_millis(millis).to_string()),
        ..of(bench.ann, &format!("at{millis}"))
    };
    let sent: Vec<_> = (0..300).map(|index| at(5 - index % 3)).collect();
    let logged = bench.service.log(&KEY, sent, None).await.expect("logged");
    let mut rows = bench.rows().await;
    rows.reverse();
    let of_time = |millis: i64| {
        let ids = logged.ids.iter();
        ids.filter(move |id| id.timestamp().as_millis() == millis)
    };
    let expected: Vec<_> = (3..=5).flat_map(of_time).copied().collect();
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, expected);
    for row in &rows {
        assert_eq!(row.action, format!("at{}", row.timestamp.as_millis()));
        assert!(row.id.is_of(row.timestamp));
    }
}

#[tokio::test]
async fn strict_actions_are_the_known_ones() {
    let bench = Bench::new().await;
    let rules = Rules {
        strict_actions: true,
        ..RULES
    };
    let strict = ActivityService::new(
        bench.store.clone(),
        bench.clock.clone(),
        rules,
        Live::default(),
    );
    let items = vec![item("video_posted"), item("story_viewed")];
    let refused = strict.log(&bench.author(), items, None).await;
    assert_eq!(invalid(refused), [(1, "action")]);
}

#[tokio::test]
async fn what_the_server_notices_is_written_in_the_background() {
    let bench = Bench::new().await;
    let tasks = Tasks::new();
    bench.service.start(&tasks);
    let (ann, name) = (bench.ann, Username::from_stored("Ann"));
    let (_, mut follower) = bench.service.recent().follow(0).expect("room");
    type Notice<'a> = (&'static str, &'a dyn Fn(&ActivityService));
    let notices: [Notice<'_>; 4] = [
        ("login", &|service| {
            service.signed_in(ann, &name, Method::Social(Provider::Apple), &client());
        }),
        ("logout", &|service| {
            let since = bench.clock.now().minus(Duration::from_millis(61_500));
            service.signed_out(ann, &name, since, &client());
        }),
        ("user_followed", &|service| {
            service.followed(ann, &name, bench.bob, &client());
        }),
        ("message_sent", &|service| {
            service.message_sent(ann, &name, ConversationId(7), &client());
        }),
    ];
    let mut found = Vec::new();
    for (action, notice) in notices {
        notice(&bench.service);
        let Told::Event(event) = follower.next().await else {
            panic!("told of it");
        };
        let LiveEvent::Activity(logged) = &*event else {
            panic!("an activity");
        };
        let row = logged.activity.clone();
        assert_eq!(row.action, action);
        assert_eq!(row.ip_address, client().ip_address);
        assert_eq!(row.region, client().region);
        let metadata = row.metadata.clone().expect("some");
        let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
        found.push((row.target_type.clone(), row.target_id.clone(), metadata));
        // What is told is committed.
        assert!(bench.rows().await.contains(&row));
    }
    let target = |kind: &str, id: i64| (Some(kind.to_owned()), Some(id.to_string()));
    let (user, followed) = target("user", bench.bob.0);
    let (conversation, seven) = target("conversation", 7);
    let expected = [
        (None, None, json!({"method": "apple", "device": "ios"})),
        (None, None, json!({"duration_seconds": 61})),
        (user, followed, json!({"targetUserId": bench.bob.0})),
        (conversation, seven, json!({"conversationId": 7})),
    ];
    assert_eq!(found, expected);
    tasks.stop().await;
    // And what comes between the task's end and the store's.
    bench
        .service
        .message_sent(ann, &name, ConversationId(8), &client());
    bench.service.drain().await;
    assert_eq!(bench.rows().await.len(), 5);
    assert_eq!(bench.service.dropped(), 0);
}
