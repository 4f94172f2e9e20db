//! A small town for whoever wants to look at a server with people on it: its people and who follows whom, their last
//! days in the database, and, while a server runs, their life over its own network interface.
//!
//! The same seed gives the same people and the same history before the same moment. What it leaves to others: the
//! server itself, and what is printed (`cli`).

mod client;
mod folder;
mod graph;
mod history;
mod life;
mod people;
mod rhythm;

pub use folder::{Folder, Keys};
pub use history::Written;
pub use life::Life;

use crate::auth::password;
use crate::model::{Clock, KeyRole, ProfileFields, Role, Secret, Timestamp, UserId, Username};
use crate::store::{CatchUp, Durability, FollowUpsert, NewUser, Options, Store};
use anyhow::{Context as _, bail};
use futures_util::future::try_join_all;
use people::Person;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::path::Path;
use std::time::Duration;

/// The one whom nobody plays: whoever looks at the demo can sign in as them.
pub const GUEST: &str = "demo";

/// In this header the people name their country, as a proxy before a real server would.
pub const COUNTRY_HEADER: &str = "x-demo-country";

/// People who are written to the database at once.
const TOGETHER: usize = 200;

/// What a town is made of.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// People in it.
    pub users: u32,
    /// The same seed gives the same town.
    pub seed: u64,
    /// How many times faster than a real day one goes here.
    pub speed: u32,
}

impl Settings {
    /// How long a day takes.
    pub fn day(&self) -> Duration {
        Duration::from_secs(86_400) / self.speed.max(1)
    }
}

/// The people, and whom each follows (by index).
#[derive(Debug)]
pub struct Town {
    settings: Settings,
    people: Vec<Person>,
    follows: Vec<Vec<usize>>,
}

impl Town {
    /// Makes it up.
    pub fn new(settings: Settings) -> Self {
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let people = people::make(settings.users, &mut rng);
        let follows = graph::preferential(people.len(), &mut rng);
        Self {
            settings,
            people,
            follows,
        }
    }

    /// Makes the database with everybody, the guest, their follows, an admin key and the history up to `now`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn write(
        &self,
        database: &Path,
        keys: &Keys,
        now: Timestamp,
    ) -> anyhow::Result<Written> {
        let password = keys.password.clone();
        let hashing = tokio::task::spawn_blocking(move || password::hash(password.expose()));
        // Not in bulk, which would be a transaction for each person.
        let options = Options {
            create: true,
            migrate: true,
            mark_changes: false,
            durability: Durability::Normal,
            ..Options::default()
        };
        let store = Store::open(database, options)?;
        let hash = hashing.await.context("hashing a password panicked")??;
        let written = self.fill(&store, keys, &hash, now).await;
        store.close().await;
        written
    }

    async fn fill(
        &self,
        store: &Store,
        keys: &Keys,
        hash: &str,
        now: Timestamp,
    ) -> anyhow::Result<Written> {
        let made_at = now.minus(Duration::from_secs((history::DAYS + 1) * 86_400));
        let new = |name: &Username, display_name: &str, external_id, has_password: bool| NewUser {
            id: None,
            external_id,
            username: name.clone(),
            password_hash: has_password.then(|| hash.to_owned()),
            profile: ProfileFields {
                display_name: Some(display_name.to_owned()),
                ..ProfileFields::default()
            },
            role: Role::User,
            created_at: made_at,
        };
        let mut ids: Vec<UserId> = Vec::with_capacity(self.people.len());
        // Many at a time, so that they share a transaction.
        for some in self.people.chunks(TOGETHER) {
            let made = some.iter().map(|person| {
                let external = Some(person.external_id());
                let name = &person.display_name;
                store.create_user(new(&person.name, name, external, person.has_password))
            });
            ids.extend(try_join_all(made).await?);
        }
        let guest = Username::new(GUEST).context("the guest has no name")?;
        store.create_user(new(&guest, "You", None, true)).await?;
        let follows = self.all_follows();
        if let Err(bad) = store.upsert_follows(follows).await? {
            bail!("follows of the demo were refused: {bad:?}");
        }
        store
            .create_api_key("demo", KeyRole::Admin, keys.admin.hash(), now)
            .await?;
        let mut rng = StdRng::seed_from_u64(self.settings.seed.wrapping_add(1));
        let rows = history::make(&self.people, &ids, now, &mut rng);
        let written = rows.write(store).await?;
        store.catch_up(CatchUp::Activities, now).await?;
        store.catch_up(CatchUp::Sessions, now).await?;
        store.recount_peaks(made_at, now).await?;
        Ok(written)
    }

    fn all_follows(&self) -> Vec<FollowUpsert> {
        let name = |index: usize| self.people[index].name.as_str();
        let mut rows = Vec::new();
        for (index, followees) in self.follows.iter().enumerate() {
            rows.extend(followees.iter().map(|followee| FollowUpsert {
                follower: name(index).to_owned(),
                followee: name(*followee).to_owned(),
            }));
        }
        // The guest and the people whom they follow know each other: otherwise they would have nobody to talk to.
        for index in 0..self.people.len().min(20) {
            let pair = [GUEST.to_owned(), name(index).to_owned()];
            let [follower, followee] = pair.clone();
            rows.push(FollowUpsert { follower, followee });
            let [followee, follower] = pair;
            rows.push(FollowUpsert { follower, followee });
        }
        rows
    }

    /// Lets the people live on the server at `address`, until [`Life::end`].
    ///
    /// # Errors
    /// When no client can be made.
    pub fn live(self, address: std::net::SocketAddr, keys: &Keys) -> anyhow::Result<Life> {
        Life::begin(self, address, keys, Clock::system())
    }
}

/// The secret by which the people's tokens are signed, as a host application does it.
fn random_secret() -> anyhow::Result<Secret> {
    let token = crate::auth::token::Token::generate(crate::auth::token::TokenKind::SignIn)?;
    Secret::new(token.expose()).context("no secret was made")
}

#[cfg(test)]
mod tests;
