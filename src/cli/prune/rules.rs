//! What is too old: flags over variables over the file, and from ages to moments.

use crate::config::PruneAges;
use crate::model::Timestamp;
use crate::store::PruneRules;
use std::time::Duration;

/// The rules of the command line; an error when one action has two.
pub(super) fn of_flags(
    older_than: Option<Duration>,
    keep: &[(String, Duration)],
    sessions_older_than: Option<Duration>,
) -> Result<PruneAges, String> {
    let mut ages = PruneAges {
        older_than,
        sessions_older_than,
        ..PruneAges::default()
    };
    for (action, age) in keep {
        if ages.keep.insert(action.clone(), *age).is_some() {
            return Err(format!("--keep {action} is there twice; give one age"));
        }
    }
    Ok(ages)
}

/// Those of the command line, and where it says nothing those of `settings`.
pub(super) fn over(settings: PruneAges, flags: PruneAges) -> PruneAges {
    let mut keep = settings.keep;
    keep.extend(flags.keep);
    PruneAges {
        older_than: flags.older_than.or(settings.older_than),
        sessions_older_than: flags.sessions_older_than.or(settings.sessions_older_than),
        keep,
    }
}

/// The moments before which rows go.
pub(super) fn since(ages: &PruneAges, now: Timestamp) -> PruneRules {
    let before = |age: Duration| now.minus(age);
    PruneRules {
        activities: ages.older_than.map(before),
        keep: ages
            .keep
            .iter()
            .map(|(action, age)| (action.clone(), before(*age)))
            .collect(),
        sessions: ages.sessions_older_than.map(before),
    }
}
