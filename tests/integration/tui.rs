//! The dashboard's two sources, over the real server and its file.

mod once;

use super::harness::{Client, Server, Transport, User, eventually, soon};
use lastseen::model::{Clock, KeyRole, Role, Secret, Status, Zone};
use lastseen::store::{Options, Store};
use lastseen::tui::source::{
    ActivityQuery, DatabaseSource, HttpSource, LiveEvent, SessionQuery, Source, SourceError,
};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;

fn over_http(server: &Server, key: &str) -> HttpSource {
    let key = Secret::new(key).expect("not empty");
    HttpSource::new(&format!("http://{}", server.address), &key).expect("an address")
}

fn over_file(database: &Path) -> DatabaseSource {
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let store = Store::open(database, options).expect("opens");
    DatabaseSource::new(store, "a file".into(), Clock::system())
}

/// The next event that `pick` wants; what else comes is passed over.
async fn told<T>(
    what: &str,
    events: &mut Receiver<LiveEvent>,
    pick: impl Fn(LiveEvent) -> Option<T>,
) -> T {
    soon(what, async {
        loop {
            let event = events.recv().await.expect("an event");
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    })
    .await
}

fn connected(event: LiveEvent) -> Option<()> {
    (event == LiveEvent::Connected).then_some(())
}

fn lost(event: LiveEvent) -> Option<String> {
    match event {
        LiveEvent::Lost { why, .. } => Some(why),
        _ => None,
    }
}

async fn log(user: &User, action: &str) {
    let row = json!({"action": action, "metadata": {"k": [1, null]}});
    user.http.post("/activities", row).await.data(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_and_its_file_say_the_same() {
    let server = Server::start().await;
    let key = server.key("boss", KeyRole::Admin).await;
    let ann = server.user("ann").await;
    let bob = server.user("bob").await;
    let mut phone = Client::connect(&server, Transport::Raw, &ann).await;
    phone.succeed("heartbeat", json!({})).await;
    for action in ["b_thing", "a_thing", "b_thing"] {
        log(&bob, action).await;
    }
    let live = over_http(&server, &key);
    let file = over_file(&server.database);
    // The file follows within moments.
    eventually("the file to have it", async || {
        let overview = file.overview(Zone::UTC).await.expect("figures");
        let has_all = overview.online == 1 && overview.connections == 1 && overview.dau == 2;
        has_all.then_some(())
    })
    .await;
    let (zone, sources) = (Zone::UTC, [&live as &dyn Source, &file]);
    for source in sources {
        let place = source.place();
        let overview = source.overview(zone).await.expect("figures");
        let figures = [overview.online, overview.connections, overview.peak_online];
        assert_eq!(figures, [1, 1, 1], "{place}");
        assert_eq!(
            [overview.dau, overview.activities, overview.sessions],
            [2, 3, 1],
            "{place}"
        );
        let sessions = source.session_figures(zone).await.expect("figures");
        assert_eq!(
            (sessions.total_sessions, sessions.top_hours.len()),
            (1, 1),
            "{place}"
        );
        let actions = source.busiest_actions(zone, 10).await.expect("actions");
        let actions: Vec<_> = actions
            .iter()
            .map(|a| (a.action.as_str(), a.count))
            .collect();
        assert_eq!(actions, [("b_thing", 2), ("a_thing", 1)], "{place}");
        let series = source.online_series(zone).await.expect("a series");
        assert!(
            (96..=97).contains(&series.len()),
            "{place}: {}",
            series.len()
        );
        let heatmap = source.heatmap(zone).await.expect("a heatmap");
        assert_eq!(heatmap.iter().flatten().sum::<i64>(), 1, "{place}");
        let online = source.online(None, 10).await.expect("a page");
        assert_eq!((online.total, online.users.len()), (1, 1), "{place}");
        assert_eq!(online.users[0].username, "ann", "{place}");
        assert!(online.users[0].last_active_at.is_some(), "{place}");
        assert_eq!(online.users[0].connections.len(), 1, "{place}");
        let why = source.why("Ann").await.expect("an answer");
        assert!(
            why.viewer.is_online && why.viewer.rule == "admin",
            "{place}"
        );
        let nobody = source.why("nobody.here").await;
        assert_eq!(
            nobody,
            Err(SourceError::Rejected("user not found".into())),
            "{place}"
        );
        let open = SessionQuery {
            username: Some("ann".into()),
            open: Some(true),
        };
        let page = source.sessions(&open, None, 10).await.expect("a page");
        assert_eq!(page.sessions.len(), 1, "{place}");
        let query = ActivityQuery {
            username: Some("bob".into()),
            action: Some("b_thing".into()),
        };
        let first = source.activities(&query, None, 1).await.expect("a page");
        assert_eq!((first.total, first.activities.len()), (2, 1), "{place}");
        assert_eq!(
            first.activities[0].metadata,
            Some(json!({"k": [1, null]})),
            "{place}"
        );
        let cursor = first.next_cursor.expect("more");
        let second = source
            .activities(&query, Some(&cursor), 1)
            .await
            .expect("a page");
        assert_eq!(second.next_cursor, None, "{place}");
        assert_ne!(second.activities[0].id, first.activities[0].id, "{place}");
        let wrong = source.activities(&query, Some("x"), 1).await;
        assert!(
            matches!(wrong, Err(SourceError::Rejected(_))),
            "{place}: {wrong:?}"
        );
    }
    assert!(matches!(
        file.disconnect(1).await,
        Err(SourceError::Rejected(_))
    ));
    let online = live.online(None, 10).await.expect("a page");
    let connection = online.users[0].connections[0].id;
    live.disconnect(connection).await.expect("ended");
    let again = live.disconnect(connection).await;
    assert_eq!(
        again,
        Err(SourceError::Rejected("connection not found".into()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_followed_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("lastseen.db");
    let clock = Clock::system;
    let mut server = Server::on(&database, clock(), |_| {})
        .await
        .expect("a server");
    let key = server.key("boss", KeyRole::Admin).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    log(&bob, "before").await;
    let source = over_http(&server, &key);
    let mut events = source.follow().expect("live");
    told("the connection", &mut events, connected).await;
    let activity = |event| match event {
        LiveEvent::Activity(row) => Some(row),
        _ => None,
    };
    // What was logged before comes first, what happens now after it.
    let row = told("what was before", &mut events, activity).await;
    assert_eq!(
        (row.action.as_str(), row.username.as_str()),
        ("before", "bob")
    );
    let phone = Client::connect(&server, Transport::Raw, &ann).await;
    let change = told("ann", &mut events, |event| match event {
        LiveEvent::Presence {
            username, status, ..
        } => Some((username, status)),
        _ => None,
    });
    assert_eq!(change.await, ("ann".to_owned(), Status::Online));
    log(&bob, "now").await;
    let row = told("what was logged", &mut events, activity).await;
    assert_eq!(row.metadata, Some(json!({"k": [1, null]})));
    let counted = |event| match event {
        LiveEvent::Counters {
            online,
            connections,
        } => (online == 1).then_some(connections),
        _ => None,
    };
    assert_eq!(told("figures", &mut events, counted).await, 1);

    // It goes away, and comes back where it was.
    server.stop().await;
    drop(phone);
    let why = told("the loss", &mut events, lost).await;
    assert!(why.contains(&server.address.to_string()), "{why}");
    let gone = source.overview(Zone::UTC).await;
    assert!(matches!(gone, Err(SourceError::Lost(_))), "{gone:?}");
    let again = Server::at(server.address, &database, clock(), |_| {}).await;
    let mut again = again.expect("a server");
    told("the connection", &mut events, connected).await;
    log(&bob, "after").await;
    let row = told("what was logged", &mut events, activity).await;
    assert_eq!(row.action, "after");

    // The key is revoked: the stream ends, and is refused.
    let revoked = again.side.revoke_api_key("boss", clock().now()).await;
    assert!(revoked.expect("an answer"));
    let refused = |event| lost(event).filter(|why| why.contains("--role admin"));
    told("the refusal", &mut events, refused).await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_nobody_and_of_no_admin_are_refused() {
    let server = Server::start().await;
    let service = server.key("service", KeyRole::Service).await;
    let ann = server.user("ann").await;
    for key in ["nonsense", &service, &ann.token] {
        let source = over_http(&server, key);
        let overview = source.overview(Zone::UTC).await;
        let Err(SourceError::Refused(why)) = overview else {
            panic!("{overview:?}");
        };
        assert!(why.contains("lastseen token create --role admin"), "{why}");
        assert!(!why.contains(key), "{why}");
        let mut events = source.follow().expect("live");
        let told = soon("a refusal", events.recv()).await.expect("an event");
        assert_eq!(lost(told), Some(why));
    }
    let root = server
        .user_with("root", Role::Admin, std::time::Duration::from_secs(3600))
        .await;
    let overview = over_http(&server, &root.token).overview(Zone::UTC).await;
    assert!(overview.is_ok(), "an admin's own token: {overview:?}");
}

#[tokio::test]
async fn a_file_needs_no_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("lastseen.db");
    let mut server = Server::on(&database, Clock::system(), |_| {})
        .await
        .expect("a server");
    let ann = server.user("ann").await;
    let phone = Client::connect(&server, Transport::Raw, &ann).await;
    server.stored_presence(ann.id, (true, None)).await;
    server.stop().await;
    drop(phone);
    let source: Arc<dyn Source> = Arc::new(over_file(&database));
    let overview = source.overview(Zone::UTC).await.expect("figures");
    assert_eq!((overview.online, overview.sessions), (0, 1));
    let sessions = source.sessions(&SessionQuery::default(), None, 10).await;
    let sessions = sessions.expect("a page").sessions;
    assert_eq!(sessions.len(), 1);
    assert!(sessions[0].ended_at.is_some());
}
