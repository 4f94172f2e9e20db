//! Who follows whom: everybody who comes follows a few who are there, and rather those whom many follow, who sometimes
//! follow back (preferential attachment). So a few are known to very many, as in real networks.

use rand::Rng;
use std::collections::BTreeSet;

/// How many a newcomer follows.
const FOLLOWS: usize = 5;
/// How often somebody follows back.
const FOLLOWS_BACK: f64 = 0.6;

/// For each of `people` whom they follow, ascending and without themselves.
pub(super) fn preferential(people: usize, rng: &mut impl Rng) -> Vec<Vec<usize>> {
    let mut follows = vec![BTreeSet::new(); people];
    // Everybody once for being there, and once more for each who follows them.
    let mut weights: Vec<usize> = Vec::with_capacity(people * (2 + FOLLOWS * 2));
    for newcomer in 0..people {
        let wanted = FOLLOWS.min(newcomer);
        let mut chosen = BTreeSet::new();
        while chosen.len() < wanted {
            chosen.insert(weights[rng.random_range(0..weights.len())]);
        }
        for one in chosen {
            follows[newcomer].insert(one);
            weights.push(one);
            if rng.random_bool(FOLLOWS_BACK) {
                follows[one].insert(newcomer);
                weights.push(newcomer);
            }
        }
        weights.push(newcomer);
    }
    let ascending = |set: BTreeSet<usize>| set.into_iter().collect();
    follows.into_iter().map(ascending).collect()
}
