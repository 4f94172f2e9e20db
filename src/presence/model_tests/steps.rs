//! One random step after the other.

use super::model::{Connection, Model, Who};
use super::world::{Beliefs, Ear, Told, World};
use crate::model::*;
use crate::presence::{Ending, Viewer};
use crate::store::{PeopleRef, UserChange};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

const PEOPLE: usize = 6;
const STEPS: usize = 400;

struct Client {
    ear: Arc<Ear>,
    id: ConnectionId,
    beliefs: Beliefs,
}

struct Run {
    world: World,
    model: Model,
    rng: StdRng,
    clients: HashMap<u64, Client>,
}

impl Run {
    async fn new(seed: u64, audience: Audience, grace: bool) -> Self {
        let length = if grace {
            Duration::from_secs(5)
        } else {
            Duration::ZERO
        };
        Self {
            world: World::new(audience, length, PEOPLE).await,
            model: Model::new(audience, grace, PEOPLE),
            rng: StdRng::seed_from_u64(seed),
            clients: HashMap::new(),
        }
    }

    fn who(&mut self) -> Who {
        self.rng.random_range(0..PEOPLE)
    }

    fn two(&mut self) -> (Who, Who) {
        let a = self.who();
        (a, (a + self.rng.random_range(1..PEOPLE)) % PEOPLE)
    }

    fn connection(&mut self) -> Option<(u64, Connection)> {
        let mut ids: Vec<u64> = self.model.connections.keys().copied().collect();
        ids.sort_unstable();
        let id = *ids.choose(&mut self.rng)?;
        Some((id, self.model.connections[&id].clone()))
    }

    fn user(&self, who: Who) -> UserId {
        self.world.users[who]
    }

    /// Does something and returns what, for the message of a failure.
    async fn step(&mut self) -> String {
        self.world.clock.advance(Duration::from_secs(10));
        match self.rng.random_range(0..100) {
            0..18 => self.connect().await,
            18..32 => self.disconnect(),
            32..42 => self.set_status(),
            42..52 => self.follow().await,
            52..58 => self.unfollow().await,
            58..62 => self.block().await,
            62..67 => self.unblock().await,
            67..69 => self.converse().await,
            69..73 => self.write().await,
            73..82 => self.hide().await,
            82..88 => self.watch().await,
            88..91 => self.unwatch().await,
            91..95 => self.end_graces(),
            95..98 => self.sign_out(),
            _ => self.forget().await,
        }
    }

    async fn connect(&mut self) -> String {
        let who = self.who();
        if self.model.connections.len() > 12 {
            return "too many connections".into();
        }
        let device = self.rng.random_range(0..2);
        let sign_in = SignInId((who * 2 + device) as i64 + 1);
        let device = format!("device{device}");
        let connected = self.world.connect(self.user(who), &device, sign_in).await;
        let (id, ear) = connected.expect("connects");
        self.model.connections.insert(
            id.0,
            Connection {
                user: who,
                sign_in,
                foreground: true,
                watching: HashSet::new(),
            },
        );
        self.model.came(who);
        let client = Client {
            ear,
            id,
            beliefs: Beliefs::default(),
        };
        self.clients.insert(id.0, client);
        format!("{who} connects as {}", id.0)
    }

    fn disconnect(&mut self) -> String {
        let Some((id, connection)) = self.connection() else {
            return "nobody to disconnect".into();
        };
        let ending = [
            Ending::Client,
            Ending::Lost,
            Ending::SignedOut,
            Ending::Revoked,
            Ending::Kicked,
        ][self.rng.random_range(0..5)];
        let now = self.world.clock.now();
        let at = match ending {
            Ending::Lost => now.minus(Duration::from_secs(self.rng.random_range(0..10))),
            _ => now,
        };
        self.world
            .service
            .closed(self.user(connection.user), ConnectionId(id), at, ending);
        self.gone(
            id,
            at,
            matches!(ending, Ending::SignedOut | Ending::Revoked),
        );
        format!("{id} of {} ends: {ending:?}", connection.user)
    }

    fn gone(&mut self, id: u64, at: Timestamp, is_immediate: bool) {
        let connection = self.model.connections.remove(&id).expect("was there");
        self.clients.remove(&id);
        if connection.foreground {
            self.model
                .went(connection.user, connection.sign_in, at, is_immediate);
        }
    }

    fn set_status(&mut self) -> String {
        let Some((id, connection)) = self.connection() else {
            return "nobody to set".into();
        };
        let status = if self.rng.random() {
            Status::Online
        } else {
            Status::Offline
        };
        let user = self.user(connection.user);
        self.world
            .service
            .set_status(user, ConnectionId(id), status);
        let foreground = status == Status::Online;
        self.model
            .connections
            .entry(id)
            .and_modify(|c| c.foreground = foreground);
        match (connection.foreground, foreground) {
            (false, true) => self.model.came(connection.user),
            (true, false) => {
                let now = self.world.clock.now();
                self.model
                    .went(connection.user, connection.sign_in, now, true);
            }
            _ => {}
        }
        format!("{id} of {} says {status:?}", connection.user)
    }

    async fn follow(&mut self) -> String {
        let (a, b) = self.two();
        let done = self
            .world
            .service
            .follow(self.user(a), self.user(b))
            .await
            .is_ok();
        if done {
            self.model.follows.insert((a, b));
        }
        format!("{a} follows {b}: {done}")
    }

    async fn unfollow(&mut self) -> String {
        let (a, b) = self.two();
        let undone = self.world.service.unfollow(self.user(a), self.user(b));
        undone.await.expect("unfollows");
        self.model.follows.remove(&(a, b));
        format!("{a} unfollows {b}")
    }

    async fn block(&mut self) -> String {
        let (a, b) = self.two();
        let done = self.world.service.block(self.user(a), self.user(b));
        done.await.expect("blocks");
        self.model.block(a, b);
        format!("{a} blocks {b}")
    }

    async fn unblock(&mut self) -> String {
        let (a, b) = self.two();
        let done = self.world.service.unblock(self.user(a), self.user(b));
        done.await.expect("unblocks");
        self.model.blocks.remove(&(a, b));
        format!("{a} unblocks {b}")
    }

    async fn converse(&mut self) -> String {
        let (a, b) = self.two();
        let mut others = HashSet::from([b]);
        if self.rng.random_bool(0.3) {
            others.extend([self.who()].into_iter().filter(|who| *who != a));
        }
        let ids = others.iter().map(|who| self.user(*who)).collect();
        let made = self
            .world
            .service
            .create_conversation(self.user(a), ids)
            .await;
        if let Ok((id, _)) = &made {
            others.insert(a);
            self.model.conversations.insert(id.0, others.clone());
        }
        format!("{a} converses with {others:?}: {}", made.is_ok())
    }

    async fn write(&mut self) -> String {
        let mut ids: Vec<i64> = self.model.conversations.keys().copied().collect();
        ids.sort_unstable();
        let Some(&id) = ids.choose(&mut self.rng) else {
            return "no conversation".into();
        };
        let mut there: Vec<Who> = self.model.conversations[&id].iter().copied().collect();
        there.sort_unstable();
        let who = *there.choose(&mut self.rng).expect("nobody leaves");
        let sent = self
            .world
            .service
            .send_message(self.user(who), ConversationId(id), "hello".into())
            .await;
        let is_sent = matches!(sent, Ok(Some(_)));
        if is_sent {
            self.model.wrote.insert((id, who));
        }
        format!("{who} writes in {id}: {is_sent}")
    }

    async fn hide(&mut self) -> String {
        let who = self.who();
        let setting = [
            ActivityStatus::Everyone,
            ActivityStatus::Contacts,
            ActivityStatus::Nobody,
        ][self.rng.random_range(0..3)];
        let change = UserChange {
            activity_status: Some(setting),
            ..UserChange::default()
        };
        let changed = self.world.service.update_user(self.user(who), change).await;
        assert!(changed.expect("changed"));
        self.model.settings[who] = setting;
        format!("{who} shows themself to {setting}")
    }

    async fn watch(&mut self) -> String {
        let Some((id, connection)) = self.connection() else {
            return "nobody to watch".into();
        };
        let count = self.rng.random_range(1..4);
        let whom: Vec<Who> = (0..count).map(|_| self.who()).collect();
        let ids = whom.iter().map(|who| self.user(*who)).collect();
        let ear = self.clients[&id].ear.clone();
        self.world
            .watch(self.user(connection.user), ConnectionId(id), &ear, ids)
            .await;
        let others = whom.iter().filter(|who| **who != connection.user);
        let model = self.model.connections.get_mut(&id).expect("is there");
        model.watching.extend(others);
        format!("{id} of {} watches {whom:?}", connection.user)
    }

    async fn unwatch(&mut self) -> String {
        let Some((id, connection)) = self.connection() else {
            return "nobody to unwatch".into();
        };
        let whom = self.who();
        let user = self.user(connection.user);
        let undone =
            self.world
                .service
                .unwatch(user, ConnectionId(id), Whom::Ids(vec![self.user(whom)]));
        undone.await.expect("unwatched");
        let model = self.model.connections.get_mut(&id).expect("is there");
        model.watching.remove(&whom);
        format!("{id} of {} unwatches {whom}", connection.user)
    }

    fn end_graces(&mut self) -> String {
        let who = self.who();
        self.world.end_graces(self.user(who));
        if self.model.grace_of(who).is_some() {
            self.model.offline(who);
        }
        format!("the grace of {who} is over")
    }

    fn sign_out(&mut self) -> String {
        let who = self.who();
        let sign_in = SignInId((who * 2 + self.rng.random_range(0..2)) as i64 + 1);
        let before: Vec<(u64, Arc<Ear>)> = self
            .model
            .connections
            .iter()
            .filter(|(_, c)| c.user == who && c.sign_in == sign_in)
            .map(|(id, _)| (*id, self.clients[id].ear.clone()))
            .collect();
        let user = self.user(who);
        self.world.service.end_sign_in(user, sign_in);
        let now = self.world.clock.now();
        for (id, ear) in before {
            assert!(ear.closed().is_some(), "{id} is closed");
            // Its task notices later, and that changes nothing any more.
            let late = ConnectionId(id);
            self.world.service.closed(user, late, now, Ending::Lost);
            self.gone(id, now, true);
        }
        if self.model.grace_of(who) == Some(sign_in) {
            self.model.offline(who);
        }
        format!("{who} signs out of {sign_in:?}")
    }

    async fn forget(&mut self) -> String {
        self.world.clock.advance(Duration::from_secs(60));
        self.world.forget_all().await;
        "what is idle is forgotten".into()
    }

    /// Compares what every client was told and believes with the model, which was `before` before the step.
    async fn check(&mut self, before: &Model, step: &str) {
        for (id, client) in &mut self.clients {
            let viewer = self.model.connections[id].user;
            let mut pushed: HashMap<UserId, usize> = HashMap::new();
            for told in client.ear.take() {
                client.beliefs.apply(&told);
                match told {
                    Told::Update(update) => {
                        *pushed.entry(update.user_id).or_default() += 1;
                        assert!(
                            update.status == Status::Offline || update.last_seen.is_none(),
                            "{step}: {update:?}"
                        );
                    }
                    Told::Snapshot(seen) => {
                        let seen: HashSet<_> = seen.iter().map(|s| s.user_id).collect();
                        let online: HashSet<_> = (0..PEOPLE)
                            .filter(|s| self.model.in_audience(viewer, *s))
                            .filter(|s| self.model.view(viewer, *s).0 == Status::Online)
                            .map(|s| self.world.users[s])
                            .collect();
                        assert_eq!(seen, online, "{step}: the snapshot of {id}");
                    }
                    Told::Watched(_) => {}
                }
            }
            let is_new = !before.connections.contains_key(id);
            for subject in 0..PEOPLE {
                let user = self.world.users[subject];
                let (was_told, is_told) = (
                    before.is_told(*id, subject),
                    self.model.is_told(*id, subject),
                );
                let view = self.model.view(viewer, subject);
                let has_changed = before.view(viewer, subject) != view;
                let count = pushed.get(&user).copied().unwrap_or(0);
                let joins = self.model.in_audience(viewer, subject)
                    && !before.in_audience(viewer, subject)
                    && !is_new
                    && !was_told;
                let expected =
                    usize::from((was_told && has_changed) || (joins && view.0 == Status::Online));
                assert_eq!(
                    count, expected,
                    "{step}: pushes about {subject} to {id} of {viewer}; told before {was_told}, \
                     now {is_told}, view {view:?}, changed {has_changed}"
                );
                if is_told {
                    assert!(
                        client.beliefs.hold(user, view),
                        "{step}: {id} of {viewer} believes {:?} of {subject}, it is {view:?}",
                        client.beliefs.of(user)
                    );
                } else {
                    client.beliefs.forget(user);
                }
            }
            assert_eq!(client.id.0, *id);
        }
        let (viewer, subject) = self.two();
        self.check_answer(viewer, subject, step).await;
    }

    async fn check_answer(&self, viewer: Who, subject: Who, step: &str) {
        let (viewer_id, ids) = (self.user(viewer), vec![self.user(subject)]);
        let as_viewer = if viewer + 1 == PEOPLE {
            Viewer::Admin
        } else {
            Viewer::User {
                id: viewer_id,
                activity_status: self.model.settings[viewer],
            }
        };
        let people = self
            .world
            .store
            .people(Some(viewer_id), PeopleRef::Ids(ids))
            .await
            .expect("read");
        let person = people[0].as_ref().expect("is there");
        let view = self.world.service.view(&as_viewer, person);
        assert_eq!(
            (view.is_online, view.last_seen),
            self.model.answer(viewer, subject),
            "{step}: what {viewer} is answered of {subject}"
        );
    }
}

async fn run(seed: u64, audience: Audience, grace: bool) {
    let mut run = Run::new(seed, audience, grace).await;
    let mut trace = Vec::new();
    for number in 0..STEPS {
        let before = run.model.clone();
        let step = run.step().await;
        trace.push(step);
        let last = &trace[trace.len().saturating_sub(12)..];
        let told = format!("seed {seed}, step {number}: {last:?}");
        run.check(&before, &told).await;
    }
    // When everybody is gone, nothing is left of them.
    let ids: Vec<u64> = run.model.connections.keys().copied().collect();
    let now = run.world.clock.now();
    for id in ids {
        let user = run.user(run.model.connections[&id].user);
        let id = ConnectionId(id);
        run.world.service.closed(user, id, now, Ending::Client);
    }
    assert_eq!(run.world.service.hub().held(), (0, 0));
    assert_eq!(run.world.service.tracker().connections(), 0);
    for who in 0..PEOPLE {
        run.world.end_graces(run.user(who));
    }
    assert_eq!(run.world.service.tracker().online(), 0);
    run.world.clock.advance(Duration::from_secs(60));
    run.world.forget_all().await;
    for user in &run.world.users {
        assert_eq!(run.world.service.tracker().standing(*user), None);
        let row = run.world.store.user(*user).await.expect("read");
        assert!(!row.expect("is there").is_online);
    }
}

#[tokio::test]
async fn followers_and_partners_are_told_what_they_may_see() {
    for seed in 0..4 {
        run(seed, Audience::Contacts, true).await;
    }
}

#[tokio::test]
async fn a_narrower_audience_and_no_grace() {
    run(10, Audience::Followers, false).await;
    run(11, Audience::Partners, true).await;
    run(12, Audience::None, false).await;
}
