use super::*;
use crate::presence::model_tests::world::{Told, World};
use crate::store::{NewSignIn, Page, UserChange};

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

#[tokio::test]
async fn a_sign_in_is_used_as_long_as_a_connection_of_it_is_open() {
    let world = world(1).await;
    let ann = world.users[0];
    let mut sign_ins = Vec::new();
    for hash in [1, 2] {
        let new = NewSignIn {
            token_hash: [hash; 32],
            created_at: world.clock.now(),
            expires_at: world.clock.now().plus(Duration::from_secs(86_400)),
            client: Arc::default(),
        };
        let made = world.store.create_sign_in(ann, new).await;
        sign_ins.push(made.expect("made").0);
    }
    let (phone, laptop) = (sign_ins[0], sign_ins[1]);
    let last_used = |sign_in| world.service.last_used(ann, sign_in);
    let began = world.clock.now();
    world.service.touch(ann, Some(laptop));
    let connected = world.connect(ann, "phone", phone).await;
    let (id, _) = connected.expect("connects");
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(last_used(phone), Some(world.clock.now()));
    assert_eq!(last_used(laptop), Some(began), "its own uses only");
    let lost = world.clock.now();
    world.clock.advance(Duration::from_secs(40));
    world.service.closed(ann, id, lost, Ending::Lost);
    // A second word of the same end counts no more than the first.
    let now = world.clock.now();
    world.service.closed(ann, id, now, Ending::Client);
    assert_eq!(last_used(phone), Some(lost));

    // What is open when the server stops was in use until then.
    let connected = world.connect(ann, "laptop", laptop).await;
    connected.expect("connects");
    world.clock.advance(Duration::from_secs(30));
    world.service.touch(ann, Some(laptop));
    world.clock.advance(Duration::from_secs(20));
    world.service.shut_down();
    let stopped = world.clock.now();
    assert!(world.service.finish(world.boot).await);
    let page = Page {
        before: None,
        limit: 10,
    };
    let rows = world.store.sign_ins(ann, stopped, page).await;
    let (rows, _) = rows.expect("read");
    let used: Vec<_> = rows.iter().map(|row| (row.id, row.last_used_at)).collect();
    assert_eq!(used, [(laptop, stopped), (phone, lost)]);
}
