//! What overtakes what, one order at a time.

use super::*;
use crate::model::{ActivityStatus, SignInId, Status, Timestamp, Username};
use crate::presence::Ending;
use crate::presence::model_tests::world::{Ear, Told, World};
use crate::presence::subject::Registration;
use crate::presence::viewer::Listener;
use crate::store::{Interest, UserChange};

const SHOWS: Privacy = Privacy {
    setting: ActivityStatus::Everyone,
    is_admin: false,
};

/// The first of the cast follows the second.
async fn world() -> (World, UserId, UserId) {
    let world = World::new(Audience::Contacts, Duration::ZERO, 3).await;
    let (viewer, subject) = (world.users[0], world.users[1]);
    let followed = world.service.follow(viewer, subject).await;
    assert!(followed.expect("follows"));
    (world, viewer, subject)
}

fn listen(hub: &Hub, user: UserId, id: u64) -> (Arc<ViewerNode>, Arc<Ear>) {
    let ear = Arc::new(Ear::default());
    let node = hub.add_listener(user, Role::User, SHOWS, ConnectionId(id), ear.clone());
    (node, ear)
}

async fn read(hub: &Hub, user: UserId) -> Vec<Interest> {
    let rows = hub.store.interests(user, true, true, Vec::new()).await;
    rows.expect("read")
}

fn statuses(ear: &Ear) -> Vec<Status> {
    ear.take()
        .into_iter()
        .filter_map(|told| match told {
            Told::Update(update) => Some(update.status),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn facts_that_were_old_when_they_were_registered_do_not_stand() {
    let (world, viewer, subject) = world().await;
    let hub = world.service.hub();
    let (node, _ear) = listen(hub, viewer, 900);
    let rows = read(hub, viewer).await;
    let (_, settings) = hub.versions(&node);
    let unfollowed = world.service.unfollow(viewer, subject).await;
    assert!(unfollowed.expect("unfollows"));
    hub.register_all(&node, &[], rows, settings, false);
    assert!(hub.facts(viewer, subject).is_some(), "as it was read");
    // The version has changed, so the load goes on.
    hub.load(&node, false).await.expect("read");
    assert!(hub.facts(viewer, subject).is_none());
    hub.leave(viewer, ConnectionId(900));
    assert_eq!(hub.held(), (0, 0));
}

#[tokio::test]
async fn who_was_erased_meanwhile_is_not_registered_with() {
    let (world, viewer, subject) = world().await;
    let hub = world.service.hub();
    let (node, _ear) = listen(hub, viewer, 900);
    let rows = read(hub, viewer).await;
    let before = hub.versions(&node);
    assert!(world.store.delete_user(subject).await.expect("deleted"));
    world.service.user_erased(subject);
    hub.register_all(&node, &[], rows, before.1, false);
    assert_ne!(hub.versions(&node), before, "the load goes on");
    hub.load(&node, false).await.expect("read");
    assert_eq!(hub.held(), (0, 1));
    assert!(node.interests.lock().is_empty());
}

/// The mark of an erasure may have been lost among many, and then everything is read again.
#[tokio::test]
async fn whoever_is_found_to_be_gone_is_told_of_as_never_seen() {
    let (world, viewer, subject) = world().await;
    let hub = world.service.hub();
    let connected = world.connect(viewer, "phone", SignInId(1)).await;
    let (_, ear) = connected.expect("connects");
    let connected = world.connect(subject, "phone", SignInId(2)).await;
    let (id, _) = connected.expect("connects");
    world.service.set_status(subject, id, Status::Offline);
    assert_eq!(statuses(&ear), [Status::Online, Status::Offline]);
    world
        .service
        .closed(subject, id, world.clock.now(), Ending::Client);
    assert!(world.store.delete_user(subject).await.expect("deleted"));
    hub.reload().await.expect("read");
    match ear.take().as_slice() {
        [Told::Update(update)] => assert_eq!(update.last_seen, None),
        other => panic!("{other:?}"),
    }
    assert_eq!(hub.held(), (0, 1));
}

#[tokio::test]
async fn an_old_name_that_was_read_before_a_renaming_does_not_stand() {
    let (world, viewer, subject) = world().await;
    let hub = world.service.hub();
    let (node, ear) = listen(hub, viewer, 900);
    let rows = read(hub, viewer).await;
    let (_, settings) = hub.versions(&node);
    let change = UserChange {
        username: Some(Username::new("renamed").expect("a name")),
        ..UserChange::default()
    };
    let changed = world.service.update_user(subject, change).await;
    assert!(changed.expect("renamed"));
    hub.register_all(&node, &[], rows, settings, false);
    assert_ne!(hub.versions(&node).1, settings, "the load goes on");
    hub.load(&node, false).await.expect("read");
    let connected = world.connect(subject, "phone", SignInId(1)).await;
    connected.expect("connects");
    match ear.take().as_slice() {
        [Told::Update(update)] => assert_eq!(&*update.username, "renamed"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_viewer_that_is_gone_does_not_take_the_place_of_the_one_who_came_back() {
    let (world, viewer, subject) = world().await;
    let hub = world.service.hub();
    let (gone, _) = listen(hub, viewer, 900);
    let rows = read(hub, viewer).await;
    let (_, settings) = hub.versions(&gone);
    hub.leave(viewer, ConnectionId(900));
    let (_, back) = world
        .connect(viewer, "phone", SignInId(1))
        .await
        .expect("connects");
    hub.register_all(&gone, &[], rows, settings, true);
    let (_, _subject) = world
        .connect(subject, "phone", SignInId(2))
        .await
        .expect("connects");
    assert_eq!(statuses(&back), [Status::Online]);
    assert!(gone.interests.lock().is_empty());
}

#[tokio::test]
async fn who_registers_before_the_standing_is_known_is_told_it() {
    let (world, viewer, subject) = world().await;
    let hub = world.service.hub();
    let (node, ear) = listen(hub, viewer, 900);
    let row = read(hub, viewer).await.remove(0);
    let of = Subject::new(subject, row.username.shared(), None);
    let registration = Registration {
        facts: row.facts,
        in_audience: true,
        setting: ActivityStatus::Everyone,
        username: row.username.shared(),
        announce: false,
    };
    let (now, mut kicks) = (hub.clock.now(), Kicks::new());
    let registered = of.register(&node, registration, || true, now, &mut kicks);
    assert!(registered.is_ok_and(|is_registered| is_registered));
    let standing = crate::model::Standing {
        version: 7,
        is_online: true,
        last_seen: None,
    };
    of.adopt(standing, now, &mut kicks);
    assert_eq!(statuses(&ear), [Status::Online]);
}

#[tokio::test]
async fn a_setting_is_never_taken_back_by_an_older_one_and_all_are_told_of_a_newer_one() {
    let (world, viewer, subject) = world().await;
    let hub = world.service.hub();
    let (_phone, _) = world
        .connect(subject, "phone", SignInId(2))
        .await
        .expect("connects");
    let (_, first) = world
        .connect(viewer, "phone", SignInId(1))
        .await
        .expect("connects");
    first.take();
    let admin = world.users[2];
    let (other, _) = listen(hub, admin, 900);
    let row = Interest {
        activity_status: ActivityStatus::Nobody,
        ..read(hub, viewer).await.remove(0)
    };
    let (_, settings) = hub.versions(&other);
    // Read before a change of somebody's setting: says nothing.
    hub.register_all(&other, &[], vec![row.clone()], settings + 1, true);
    assert_eq!(statuses(&first), []);
    hub.register_all(&other, &[], vec![row], settings, true);
    assert_eq!(statuses(&first), [Status::Offline]);
    assert_eq!(world.clock.now(), Timestamp::from_millis(1_800_000_000_000));
}

#[tokio::test(start_paused = true)]
async fn within_the_gap_only_the_newest_state_waits_for_its_end() {
    let hidden = Interest {
        id: UserId(2),
        username: crate::model::Username::new("bob").expect("a name"),
        activity_status: ActivityStatus::Everyone,
        last_seen: None,
        facts: PairFacts::from_bits(PairFacts::FOLLOWS),
    };
    let (ear, now) = (Arc::new(Ear::default()), Timestamp::from_millis(5_000));
    let node = Arc::new(ViewerNode::new(UserId(1), false, SHOWS));
    node.listeners.lock().push(Listener {
        id: ConnectionId(1),
        link: ear.clone(),
        watching: None,
    });
    let bob = Subject::new(hidden.id, hidden.username.shared(), None);
    let registration = Registration {
        facts: hidden.facts,
        in_audience: true,
        setting: hidden.activity_status,
        username: hidden.username.shared(),
        announce: false,
    };
    let mut kicks = Kicks::new();
    let registered = bob.register(&node, registration, || true, now, &mut kicks);
    assert!(registered.is_ok_and(|is_registered| is_registered));
    let gap = Duration::from_millis(500);
    let goes = |version, is_online| {
        let standing = crate::model::Standing {
            version,
            is_online,
            last_seen: Some(Timestamp::from_millis(version as i64)),
        };
        bob.transition(standing, now, gap, &mut Kicks::new())
    };
    assert_eq!(goes(1, true), None);
    assert_eq!(statuses(&ear), [Status::Online], "the first at once");
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(goes(2, false), Some(Duration::from_millis(400)));
    assert_eq!(goes(3, true), None, "one timer is enough");
    assert_eq!(goes(2, false), None, "overtaken");
    tokio::time::advance(Duration::from_millis(400)).await;
    bob.gap_over(&mut kicks);
    assert_eq!(statuses(&ear), [], "as it was told");
    assert_eq!(
        goes(4, false),
        None,
        "an end that told nothing begins no gap"
    );
    assert_eq!(statuses(&ear), [Status::Offline]);
    assert_eq!(goes(5, true), Some(gap));
    tokio::time::advance(gap).await;
    bob.gap_over(&mut kicks);
    bob.gap_over(&mut kicks);
    assert_eq!(statuses(&ear), [Status::Online], "once");
    assert_eq!(
        goes(6, false),
        Some(gap),
        "an end that told something begins another"
    );
}
