//! What a file says of a server that runs, that died, and that stopped.

use super::*;
use crate::model::*;
use crate::store::{ActivityBatch, FlushBatch, NewUser, Options, PresenceColumns};
use std::sync::Arc;
use std::time::Duration;

/// Noon of a day.
const NOON: Timestamp = Timestamp::from_millis(1_800_014_400_000);

struct World {
    source: DatabaseSource,
    clock: Clock,
    store: Store,
    boot: BootId,
    ann: UserId,
    bob: UserId,
    _folder: tempfile::TempDir,
}

fn before(minutes: u64) -> Timestamp {
    NOON.minus(Duration::from_secs(minutes * 60))
}

impl World {
    /// Ann has a session that is open, Bob one that has ended and is in the grace, and Cleo was here before.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.db");
        let options = Options {
            create: true,
            migrate: true,
            ..Options::default()
        };
        let store = Store::open(&path, options).expect("a new database");
        let boot = store.begin_boot(before(60)).await.expect("a boot");
        let mut users = Vec::new();
        for name in ["ann", "bob", "cleo"] {
            let new = NewUser {
                id: None,
                external_id: None,
                username: Username::new(name).expect("a name"),
                password_hash: None,
                profile: ProfileFields::default(),
                role: Role::User,
                created_at: before(60),
            };
            users.push(store.create_user(new).await.expect("a user"));
        }
        let [ann, bob, cleo] = users[..] else {
            panic!("three users");
        };
        let session = |user_id, n: u128, from: u64, to: Option<u64>| SessionRow {
            id: SessionId(uuid::Uuid::from_u128(n)),
            user_id,
            device_id: None,
            client: Arc::new(ClientInfo {
                device_type: Some(DeviceType::Ios),
                ..ClientInfo::default()
            }),
            started_at: before(from),
            ended: to.map(|to| (before(to), EndReason::Client)),
        };
        let columns = |user_id, is_online, last_seen: Option<u64>| PresenceColumns {
            user_id,
            is_online,
            last_seen: last_seen.map(before),
        };
        let batch = FlushBatch {
            presence: vec![
                columns(ann, true, Some(55)),
                columns(bob, true, None),
                columns(cleo, false, Some(40)),
            ],
            sessions: vec![
                session(ann, 1, 30, None),
                session(bob, 2, 50, Some(1)),
                session(cleo, 3, 50, Some(40)),
            ],
            active: vec![(ann, before(10)), (bob, before(20)), (cleo, before(40))],
            ..FlushBatch::default()
        };
        store.flush(boot, batch).await.expect("written");
        store.prove_life(boot, NOON).await.expect("alive");
        let rows =
            [(ann, 3), (bob, 2), (bob, 1)].map(|(user_id, minutes)| crate::model::Activity {
                id: ActivityId::new(before(minutes)),
                user_id,
                action: if minutes == 1 { "b_thing" } else { "login" }.into(),
                target_type: None,
                target_id: None,
                metadata: Some(r#"{"k":1}"#.into()),
                ip_address: None,
                device_type: None,
                country_code: None,
                region: None,
                timestamp: before(minutes),
            });
        let batch = ActivityBatch {
            rows: rows.into(),
            ..ActivityBatch::default()
        };
        store.log_activities(batch).await.expect("logged");
        let clock = Clock::manual(NOON);
        let source = DatabaseSource::new(store.clone(), "test.db".into(), clock.clone());
        Self {
            source,
            clock,
            store,
            boot,
            ann,
            bob,
            _folder: folder,
        }
    }

    async fn open_sessions(&self, open: bool) -> Vec<Session> {
        let query = SessionQuery {
            open: Some(open),
            ..SessionQuery::default()
        };
        let page = self.source.sessions(&query, None, 10).await;
        page.expect("an answer").sessions
    }
}

#[tokio::test]
async fn beside_a_server_that_runs() {
    let world = World::new().await;
    let source = &world.source;
    let overview = source.overview(Zone::UTC).await.expect("figures");
    let expected = Overview {
        online: 2,
        connections: 1,
        dau: 3,
        wau: 3,
        mau: 3,
        peak_online: 2,
        sign_ins: 2,
        sessions: 3,
        activities: 3,
    };
    assert_eq!(overview, expected);
    let sessions = source.session_figures(Zone::UTC).await.expect("figures");
    // 30 minutes so far, 49 and 10.
    assert_eq!(sessions.total_sessions, 3);
    assert_eq!(sessions.average_session_duration, 1780.0);
    assert_eq!(sessions.top_hours[0].hour, 11);
    let actions = source.busiest_actions(Zone::UTC, 1).await.expect("actions");
    assert_eq!(
        actions,
        [ActionCount {
            action: "login".into(),
            count: 2
        }]
    );

    let first = source.online(None, 1).await.expect("a page");
    assert_eq!((first.total, first.users.len()), (2, 1));
    let ann = &first.users[0];
    assert_eq!((ann.user_id, ann.username.as_str()), (world.ann.0, "ann"));
    assert_eq!(
        (ann.since, ann.last_active_at),
        (before(30), Some(before(10)))
    );
    assert_eq!(ann.connections.len(), 1);
    assert_eq!(ann.connections[0].device_type, Some(DeviceType::Ios));
    let cursor = first.next_cursor.expect("more");
    let second = source.online(Some(&cursor), 1).await.expect("a page");
    assert_eq!(
        (second.users[0].user_id, second.next_cursor),
        (world.bob.0, None)
    );
    assert_eq!(
        (second.users[0].since, second.users[0].connections.len()),
        (before(50), 0)
    );

    let why = source.why("ANN").await.expect("an answer");
    assert_eq!((why.viewer.is_online, why.grace.active), (true, false));
    assert_eq!(why.viewer.last_seen, Some(before(55)));
    let why = source.why("bob").await.expect("an answer");
    assert_eq!((why.viewer.is_online, why.grace.active), (true, true));
    let nobody = source.why("nobody").await;
    assert!(
        matches!(nobody, Err(SourceError::Rejected(_))),
        "{nobody:?}"
    );
    assert_eq!(world.open_sessions(true).await.len(), 1);
    assert_eq!(world.open_sessions(false).await.len(), 2);
}

#[tokio::test]
async fn without_a_server_nobody_is_online() {
    let world = World::new().await;
    // As long as it may be silent, and a moment longer.
    world.clock.advance(Duration::from_secs(15));
    assert_eq!(world.open_sessions(true).await.len(), 1);
    world.clock.advance(Duration::from_millis(1));
    for is_stopped in [false, true] {
        let overview = world.source.overview(Zone::UTC).await.expect("figures");
        assert_eq!((overview.online, overview.connections), (0, 0));
        assert_eq!((overview.sessions, overview.activities), (3, 3));
        assert_eq!(
            world.source.online(None, 10).await,
            Ok(OnlinePage::default())
        );
        assert!(world.open_sessions(true).await.is_empty());
        let ended = world.open_sessions(false).await;
        assert_eq!(ended.len(), 3);
        assert_eq!(ended[0].ended_at, Some(NOON));
        assert_eq!(ended[0].end_reason, Some(EndReason::Crash));
        let sessions = world.source.session_figures(Zone::UTC).await;
        assert_eq!(sessions.expect("figures").average_session_duration, 1780.0);
        // Online to the end, in the grace, and gone before: as the next start will write it.
        for (name, seen) in [("ann", NOON), ("bob", before(1)), ("cleo", before(40))] {
            let why = world.source.why(name).await.expect("an answer");
            assert_eq!(why.viewer.last_seen, Some(seen), "{name}");
            assert!(!why.viewer.is_online && !why.grace.active, "{name}");
        }
        if !is_stopped {
            world.store.end_boot(world.boot, NOON).await.expect("ended");
        }
    }
}

#[tokio::test]
async fn rows_by_filters_and_pages() {
    let world = World::new().await;
    let source = &world.source;
    let query = |username: Option<&str>, action: Option<&str>| ActivityQuery {
        username: username.map(Into::into),
        action: action.map(Into::into),
    };
    for (username, action, total) in [
        (None, None, 3),
        (Some("Bob"), None, 2),
        (Some("bob"), Some("login"), 1),
        (Some("nobody"), None, 0),
        (None, Some("log"), 0),
    ] {
        let page = source.activities(&query(username, action), None, 10).await;
        let page = page.expect("a page");
        assert_eq!((page.total, page.activities.len()), (total, total as usize));
    }
    let (mut times, mut cursor) = (Vec::new(), None);
    loop {
        let page = source
            .activities(&query(None, None), cursor.as_deref(), 2)
            .await;
        let page = page.expect("a page");
        assert_eq!(
            page.activities[0].metadata,
            Some(serde_json::json!({"k": 1}))
        );
        times.extend(page.activities.iter().map(|row| row.timestamp));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(times, [before(1), before(2), before(3)]);

    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let all = SessionQuery::default();
        let page = source
            .sessions(&all, cursor.as_deref(), 1)
            .await
            .expect("a page");
        ids.extend(page.sessions.iter().map(|row| row.started_at));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids, [before(30), before(50), before(50)]);
    for cursor in ["", "x", "1.x", "1"] {
        let all = SessionQuery::default();
        let page = source.sessions(&all, Some(cursor), 1).await;
        assert!(matches!(page, Err(SourceError::Rejected(_))), "{cursor}");
    }
    let heatmap = source.heatmap(Zone::UTC).await.expect("a heatmap");
    assert_eq!(heatmap.iter().flatten().sum::<i64>(), 3);
    let series = source.online_series(Zone::UTC).await.expect("a series");
    assert!((96..=97).contains(&series.len()) && series.is_sorted_by_key(|p| p.timestamp));
    assert!(!source.is_live() && source.follow().is_none());
    let ended = source.disconnect(1).await;
    assert!(matches!(ended, Err(SourceError::Rejected(_))), "{ended:?}");
}
