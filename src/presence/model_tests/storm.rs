//! Everything at once: what is believed in the end must be so, whatever overtook what on the way.

use super::world::{Beliefs, Ear, World};
use crate::model::*;
use crate::presence::{Ending, Viewer, rule};
use crate::store::UserChange;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::sync::Arc;
use std::time::Duration;

const PEOPLE: usize = 6;
const TASKS: u64 = 8;
const ROUNDS: u64 = 12;
const STEPS: usize = 40;

struct Client {
    user: UserId,
    id: ConnectionId,
    ear: Arc<Ear>,
}

/// One task's part: its own clients come and go, anybody's facts change. Returns the clients that are left.
async fn act(world: Arc<World>, seed: u64) -> Vec<Client> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut clients: Vec<Client> = Vec::new();
    let service = &world.service;
    for _ in 0..STEPS {
        world.clock.advance(Duration::from_millis(1));
        let a = rng.random_range(0..PEOPLE);
        let b = (a + rng.random_range(1..PEOPLE)) % PEOPLE;
        let (a, b) = (world.users[a], world.users[b]);
        match rng.random_range(0..100) {
            0..30 => {
                let sign_in = SignInId(a.0);
                let connected = world.connect(a, &format!("{seed}"), sign_in).await;
                let (id, ear) = connected.expect("connects");
                world.watch(a, id, &ear, world.users.clone()).await;
                clients.push(Client { user: a, id, ear });
            }
            30..55 if !clients.is_empty() => {
                let gone = clients.swap_remove(rng.random_range(0..clients.len()));
                let now = world.clock.now();
                service.closed(gone.user, gone.id, now, Ending::Client);
            }
            55..65 if !clients.is_empty() => {
                let client = &clients[rng.random_range(0..clients.len())];
                let status = if rng.random() {
                    Status::Online
                } else {
                    Status::Offline
                };
                service.set_status(client.user, client.id, status);
            }
            65..72 => drop(service.follow(a, b).await),
            72..77 => drop(service.unfollow(a, b).await.expect("unfollows")),
            77..80 => drop(service.block(a, b).await.expect("blocks")),
            80..88 => drop(service.unblock(a, b).await.expect("unblocks")),
            88..91 => {
                // Comes and goes while others still load.
                let connected = world.connect(a, "blink", SignInId(a.0)).await;
                let (id, _) = connected.expect("connects");
                service.closed(a, id, world.clock.now(), Ending::Lost);
            }
            _ => {
                let setting = [
                    ActivityStatus::Everyone,
                    ActivityStatus::Contacts,
                    ActivityStatus::Nobody,
                ][rng.random_range(0..3)];
                let change = UserChange {
                    activity_status: Some(setting),
                    ..UserChange::default()
                };
                assert!(service.update_user(a, change).await.expect("changed"));
            }
        }
    }
    clients
}

async fn check(world: &World, client: &Client, beliefs: &Beliefs, round: u64) {
    let store = &world.store;
    let own = store.user(client.user).await.expect("read").expect("there");
    let viewer = if own.role == Role::Admin {
        Viewer::Admin
    } else {
        Viewer::User {
            id: own.id,
            activity_status: own.activity_status,
        }
    };
    for subject in world.users.iter().filter(|s| **s != client.user) {
        let facts = store.pair_facts(own.id, *subject).await.expect("read");
        let person = store.user(*subject).await.expect("read").expect("there");
        let standing = world.service.tracker().standing(*subject);
        let standing = standing.unwrap_or_default();
        let shows = rule(&viewer, *subject, person.activity_status, facts).shows();
        let view = match (shows, standing.is_online) {
            (false, _) => (Status::Offline, None),
            (true, true) => (Status::Online, None),
            (true, false) => (Status::Offline, standing.last_seen),
        };
        assert!(
            beliefs.hold(*subject, view),
            "round {round}: {:?} of {} believes {:?} of {subject}, it is {view:?}",
            client.id,
            client.user,
            beliefs.of(*subject)
        );
    }
}

async fn storm(audience: Audience) {
    super::STORMY.store(true, std::sync::atomic::Ordering::Relaxed);
    for round in 0..ROUNDS {
        let world = Arc::new(World::new(audience, Duration::ZERO, PEOPLE).await);
        let (first, others) = world.users.split_first().expect("people");
        let made = world.service.create_conversation(*first, others.to_vec());
        made.await.expect("made");
        let tasks: Vec<_> = (0..TASKS)
            .map(|n| tokio::spawn(act(world.clone(), round * 1000 + n)))
            .collect();
        let mut clients = Vec::new();
        for task in tasks {
            clients.extend(task.await.expect("no panic"));
        }
        for client in &clients {
            let mut beliefs = Beliefs::default();
            for told in client.ear.take() {
                beliefs.apply(&told);
            }
            check(&world, client, &beliefs, round).await;
        }
        for client in clients {
            let now = world.clock.now();
            let service = &world.service;
            service.closed(client.user, client.id, now, Ending::Client);
        }
        assert_eq!(world.service.hub().held(), (0, 0), "round {round}");
        assert_eq!(world.service.tracker().connections(), 0);
        assert_eq!(world.service.tracker().online(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_overtakes_what_the_audience_believes_what_is_so() {
    storm(Audience::Contacts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_overtakes_what_watchers_believe_what_is_so() {
    storm(Audience::None).await;
}
