use super::*;
use crate::presence::model_tests::world::World;

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
