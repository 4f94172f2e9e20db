use super::*;
use crate::presence::model_tests::world::{Told, World};
use crate::store::UserChange;

async fn world(people: usize) -> World {
    World::new(Audience::Contacts, Duration::ZERO, people).await
}

/// On a database that takes no writes people come and go all the same.
#[tokio::test]
async fn without_a_boot_graces_end_and_nothing_piles_up() {
    let grace = Duration::from_millis(5);
    let world = World::new(Audience::Contacts, grace, 1).await;
    let (tasks, ann) = (Tasks::new(), world.users[0]);
    world.service.start(None, &tasks);
    let connected = world.connect(ann, "phone", SignInId(1)).await;
    let (id, _) = connected.expect("connects");
    let now = world.clock.now();
    world.service.closed(ann, id, now, Ending::Lost);
    let settled = async {
        while world.service.tracker().online() + world.service.unwritten() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), settled)
        .await
        .expect("in time");
    tasks.stop().await;
    let row = world.store.user(ann).await.expect("read").expect("there");
    assert_eq!(row.last_seen, None, "nothing was written");
}

#[tokio::test]
async fn updates_call_people_by_their_new_name() {
    let world = world(2).await;
    let (ann, bob) = (world.users[0], world.users[1]);
    assert!(world.service.follow(ann, bob).await.expect("follows"));
    let connected = world.connect(ann, "phone", SignInId(1)).await;
    let (_, ear) = connected.expect("connects");
    let change = UserChange {
        username: Some(Username::new("robert").expect("a name")),
        ..UserChange::default()
    };
    assert!(world.service.update_user(bob, change).await.expect("done"));
    ear.take();
    let connected = world.connect(bob, "phone", SignInId(2)).await;
    connected.expect("connects");
    match ear.take().as_slice() {
        [Told::Update(update)] => assert_eq!(&*update.username, "robert"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_happens_while_the_server_drains_is_written_in_the_end() {
    let world = world(1).await;
    let ann = world.users[0];
    world.service.touch(ann, None);
    assert!(world.service.shut_down().is_empty());
    world.clock.advance(Duration::from_secs(3));
    world.service.touch(ann, None);
    assert!(world.service.finish(world.boot).await);
    let row = world.store.user(ann).await.expect("read").expect("there");
    assert_eq!(row.last_active_at, Some(world.clock.now()));
}
