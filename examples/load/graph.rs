//! Who follows whom: read from a list of friendships, or made from a seed, and written for `lastseen import`.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A person's id on the server, from 1.
pub type Id = u32;

/// A directed graph of follows among people 1..=`people()`.
#[derive(Debug)]
pub struct Graph {
    /// By id: whom this person follows, ascending. Index 0 is nobody.
    followees: Vec<Vec<Id>>,
    /// By id: who follows this person, ascending.
    followers: Vec<Vec<Id>>,
}

/// Where the graph comes from.
#[derive(clap::Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct Source {
    /// A file whose first line is the number of people and whose others are friendships `a b`, counted from 0; friends follow each other
    #[arg(long, value_name = "FILE")]
    pub friendships: Option<PathBuf>,
    /// So many people, each following so many others, chosen by the seed
    #[arg(long, num_args = 3, value_names = ["USERS", "FOLLOWS", "SEED"])]
    pub random: Option<Vec<u64>>,
    /// Person 1 followed by so many others
    #[arg(long, value_name = "FOLLOWERS")]
    pub star: Option<Id>,
}

/// Options of `convert`.
#[derive(clap::Args)]
pub struct ConvertArgs {
    #[command(flatten)]
    source: Source,
    /// Folder for users.jsonl and follows.jsonl; made if it is not there
    #[arg(long)]
    out: PathBuf,
}

impl Source {
    /// Reads or makes the graph.
    pub fn load(&self) -> Result<Graph> {
        match (&self.friendships, self.random.as_deref(), self.star) {
            (Some(path), _, _) => {
                let file = File::open(path).with_context(|| path.display().to_string())?;
                Graph::friendships(BufReader::new(file)).with_context(|| path.display().to_string())
            }
            (_, Some(&[users, follows, seed]), _) => {
                Graph::random(users.try_into()?, follows.try_into()?, seed)
            }
            (_, _, Some(followers)) => {
                Graph::from_follows(followers + 1, (2..=followers + 1).map(|f| (f, 1)))
            }
            _ => bail!("a graph is needed: --friendships, --random or --star"),
        }
    }
}

impl Graph {
    /// Builds the graph from (follower, followee); repeated pairs count once.
    pub fn from_follows(people: Id, follows: impl IntoIterator<Item = (Id, Id)>) -> Result<Self> {
        let mut followees = vec![Vec::new(); people as usize + 1];
        let mut followers = followees.clone();
        for (follower, followee) in follows {
            let known = 1..=people;
            ensure!(
                known.contains(&follower) && known.contains(&followee),
                "{follower} or {followee} is no person"
            );
            ensure!(follower != followee, "{follower} follows itself");
            followees[follower as usize].push(followee);
            followers[followee as usize].push(follower);
        }
        for list in followees.iter_mut().chain(&mut followers) {
            list.sort_unstable();
            list.dedup();
        }
        Ok(Self {
            followees,
            followers,
        })
    }

    fn friendships(lines: impl BufRead) -> Result<Self> {
        let mut lines = lines.lines();
        let people: Id = lines
            .next()
            .context("an empty file")??
            .trim()
            .parse()
            .context("line 1")?;
        let mut follows = Vec::new();
        for (index, line) in lines.enumerate() {
            let line = line?;
            let mut ids = line.split_whitespace().map(str::parse::<Id>);
            match (ids.next(), ids.next()) {
                (Some(Ok(a)), Some(Ok(b))) => follows.extend([(a + 1, b + 1), (b + 1, a + 1)]),
                (None, _) => {}
                // The public data set has more numbers in its head than that of the people.
                (Some(Ok(_)), None) if follows.is_empty() => {}
                _ => bail!("line {}: want two numbers", index + 2),
            }
        }
        Self::from_follows(people, follows)
    }

    /// `users` people who each follow `follows` different others.
    pub fn random(users: Id, follows: Id, seed: u64) -> Result<Self> {
        ensure!(
            follows < users,
            "{users} people cannot follow {follows} others each"
        );
        let mut random = Random(seed);
        let mut pairs = Vec::with_capacity(users as usize * follows as usize);
        for follower in 1..=users {
            let mut chosen = Vec::with_capacity(follows as usize);
            while chosen.len() < follows as usize {
                let followee = 1 + random.below(users);
                if followee != follower && !chosen.contains(&followee) {
                    chosen.push(followee);
                }
            }
            pairs.extend(chosen.into_iter().map(|followee| (follower, followee)));
        }
        Self::from_follows(users, pairs)
    }

    /// How many people there are.
    pub fn people(&self) -> Id {
        (self.followees.len() - 1) as Id
    }

    /// How many follows there are.
    pub fn follows(&self) -> usize {
        self.followees.iter().map(Vec::len).sum()
    }

    /// Whom `id` follows, ascending.
    pub fn followees(&self, id: Id) -> &[Id] {
        &self.followees[id as usize]
    }

    /// Who follows `id`, ascending.
    pub fn followers(&self, id: Id) -> &[Id] {
        &self.followers[id as usize]
    }

    /// Whether `follower` follows `followee`.
    pub fn has(&self, follower: Id, followee: Id) -> bool {
        self.followees
            .get(follower as usize)
            .is_some_and(|list| list.binary_search(&followee).is_ok())
    }

    fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut users = BufWriter::new(File::create(folder.join("users.jsonl"))?);
        let mut follows = BufWriter::new(File::create(folder.join("follows.jsonl"))?);
        for id in 1..=self.people() {
            writeln!(users, "{}", json!({"id": id, "username": username(id)}))?;
            for &followee in self.followees(id) {
                writeln!(
                    follows,
                    "{}",
                    json!({"follower": username(id), "followee": username(followee)})
                )?;
            }
        }
        users.flush()?;
        Ok(follows.flush()?)
    }
}

/// The name of the person with this id.
pub fn username(id: Id) -> String {
    format!("u{id}")
}

/// Writes the graph as the two files.
pub fn convert(args: &ConvertArgs) -> Result<(Value, bool)> {
    let graph = args.source.load()?;
    graph
        .write(&args.out)
        .with_context(|| args.out.display().to_string())?;
    Ok((
        json!({"people": graph.people(), "follows": graph.follows()}),
        true,
    ))
}

/// splitmix64: a seed gives the same graph on every machine and with every version of any crate.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0. The bias is below 2⁻³².
    pub fn below(&mut self, bound: Id) -> Id {
        (self.next() % u64::from(bound)) as Id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn friends_follow_each_other() {
        let graph = Graph::friendships("4\n0\n1\n0 1\n1 2\n\n1 0\n".as_bytes())
            .expect("valid in this test");
        assert_eq!((graph.people(), graph.follows()), (4, 4));
        assert_eq!(graph.followees(2), [1, 3]);
        assert_eq!(graph.followers(1), [2]);
        assert!(graph.followees(4).is_empty());
        assert!(graph.has(3, 2) && !graph.has(3, 1) && !graph.has(9, 1));
    }

    #[test]
    fn bad_friendships_are_refused() {
        for bad in ["", "x\n", "2\n0 1\n0\n", "2\n0 2\n", "2\n1 1\n", "2\n0 a\n"] {
            assert!(Graph::friendships(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_random_graph_is_exact_and_repeatable() {
        let (one, two) = (
            Graph::random(100, 7, 3).expect("valid in this test"),
            Graph::random(100, 7, 3).expect("valid in this test"),
        );
        let other = Graph::random(100, 7, 4).expect("valid in this test");
        assert!((1..=100).all(|id| one.followees(id).len() == 7 && !one.has(id, id)));
        assert_eq!(one.followees, two.followees);
        assert_ne!(one.followees, other.followees);
        assert!(Graph::random(7, 7, 1).is_err());
    }

    #[test]
    fn a_star_has_one_centre() {
        let source = Source {
            friendships: None,
            random: None,
            star: Some(3),
        };
        let graph = source.load().expect("valid in this test");
        assert_eq!((graph.people(), graph.followers(1)), (4, &[2, 3, 4][..]));
    }
}
