//! Killed again and again beside a server that writes: nothing is lost, nothing goes that should stay, and the counts
//! are those of the rows.

use super::{Bench, DAY, text};
use crate::harness::process::{Serving, command, succeed};
use crate::harness::server::read;
use crate::harness::{Http, Ingest, eventually, now};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

const ROUNDS: u32 = 20;

/// How many of the numbers of live rows are not what the table holds: by user and action, by action and quarter hour, and
/// of all. One statement, so one moment.
const MISCOUNTED: &str = "WITH
    found AS (SELECT user_id, action, count(*) AS n FROM user_activity_logs GROUP BY 1, 2),
    sums AS (
        SELECT user_id, action, n FROM found
        UNION ALL SELECT 0, action, sum(n) FROM found GROUP BY action
        UNION ALL SELECT user_id, '', sum(n) FROM found GROUP BY user_id
        UNION ALL SELECT 0, '', sum(n) FROM found),
    counts AS (SELECT user_id, action, live FROM activity_counts WHERE live <> 0),
    times AS (SELECT action, timestamp / 900000, count(*) FROM user_activity_logs GROUP BY 1, 2),
    rollups AS (SELECT action, bucket, live FROM activity_rollups
        WHERE user_id = 0 AND action <> '' AND span = 0 AND live <> 0)
    SELECT (SELECT count(*) FROM (SELECT * FROM sums EXCEPT SELECT * FROM counts))
        + (SELECT count(*) FROM (SELECT * FROM counts EXCEPT SELECT * FROM sums))
        + (SELECT count(*) FROM (SELECT * FROM times EXCEPT SELECT * FROM rollups))
        + (SELECT count(*) FROM (SELECT * FROM rollups EXCEPT SELECT * FROM times))
        + (SELECT sum(live) <> (SELECT sum(n) FROM found) FROM activity_rollups
            WHERE user_id = 0 AND action = '' AND span = 0)";

/// The rows of those who were there before.
const OLD_HANDS: &str = "SELECT count(*) FROM user_activity_logs \
     WHERE user_id IN (SELECT id FROM users WHERE username <> 'dora')";

/// What the archive holds, of which files are read once.
#[derive(Default)]
struct Archived {
    read: BTreeSet<PathBuf>,
    ids: BTreeSet<String>,
}

impl Archived {
    fn look(&mut self, bench: &Bench) {
        for path in bench.files("activities") {
            if self.read.insert(path.clone()) {
                self.ids.extend(Bench::ids_in(&path));
            }
        }
    }
}

/// Files of activities that are not finished.
fn unfinished(bench: &Bench) -> BTreeSet<PathBuf> {
    let Ok(entries) = bench.archive().read_dir() else {
        return BTreeSet::new();
    };
    let names = entries.map(|entry| entry.expect("an entry").path());
    let is_unfinished = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        name.starts_with("activities") && name.ends_with(".tmp")
    };
    names.filter(is_unfinished).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_server_under_ingest_nothing_is_lost() {
    let seed = match std::env::var("PRUNE_SEED") {
        Ok(seed) => seed.parse().expect("PRUNE_SEED is a number"),
        Err(_) => rand::random::<u64>(),
    };
    println!("PRUNE_SEED={seed} makes the same moments");
    let mut random = StdRng::seed_from_u64(seed);
    let bench = Bench::new(12_000).await;
    let (database, archive) = (bench.database(), bench.archive());
    let on = ["--database", text(&database)];
    let users = [&["import", "users", "-", "--format", "csv"][..], &on].concat();
    succeed(&users, "username\ndora\n").await;
    let create = ["token", "create", "--role", "service", "--name", "ingest"];
    let key = succeed(&[&create[..], &on].concat(), "").await;
    let initial = bench.ids_in_table();
    let young = format!(
        "SELECT group_concat(lower(hex(id))) FROM user_activity_logs WHERE timestamp >= {}",
        now().minus(89 * DAY).as_millis()
    );
    let young: String = read(&database, &young);
    let mut staying: BTreeSet<String> = young.split(',').map(str::to_owned).collect();
    let kept = i64::try_from(staying.len()).expect("few");
    assert!((5_000..6_000).contains(&kept), "{kept}");

    let serving = Serving::start(&database, &[]).await;
    let ingest = Ingest::start(Http::new(serving.address, key.trim()), "dora", 4);
    let more = ["--older-than", "90d", "--archive", text(&archive)];
    let arguments = bench.arguments(&database, &more);
    let mut archived = Archived::default();
    let (mut killed, mut while_writing) = (0, 0);
    for round in 0..ROUNDS {
        let known = ingest.acknowledged().len();
        let half_done = unfinished(&bench);
        // A small part of what is left to go, so that there is something to do in every round.
        let left = bench.read(OLD_HANDS);
        let until = left - random.random_range(1..=((left - kept) / 25).max(1));
        let delay = Duration::from_micros(random.random_range(0..10_000));
        let is_at_the_file = random.random_ratio(1, 3);
        let mut child = command(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let is_over = eventually("a moment to kill it", async || {
            let is_over = child.try_wait().expect("a state").is_some();
            let is_there =
                bench.read(OLD_HANDS) <= until || is_at_the_file && unfinished(&bench) != half_done;
            (is_over || is_there).then_some(is_over)
        })
        .await;
        // Any moment will do: this waits for nothing.
        tokio::time::sleep(delay).await;
        child.kill().expect("killed");
        child.wait().expect("its end");
        killed += u32::from(!is_over);
        while_writing += u32::from(unfinished(&bench) != half_done);

        // In this order: what is acknowledged later may not be in the table yet.
        let acknowledged = ingest.acknowledged();
        let table = bench.ids_in_table();
        archived.look(&bench);
        let young = acknowledged.iter().filter(|row| !row.is_old);
        staying.extend(young.map(|row| row.id.clone()));
        let gone: Vec<_> = staying.difference(&table).collect();
        assert_eq!(
            gone.first(),
            None,
            "round {round}: {} should stay",
            gone.len()
        );
        let all = initial.iter().chain(acknowledged.iter().map(|row| &row.id));
        let lost: Vec<_> = all
            .filter(|id| !table.contains(*id) && !archived.ids.contains(*id))
            .collect();
        assert_eq!(
            lost.first(),
            None,
            "round {round}: {} are nowhere",
            lost.len()
        );
        assert_eq!(bench.read(MISCOUNTED), 0, "round {round}");
        if round % 4 == 0 || round == ROUNDS - 1 {
            let verdict: String = read(&database, "PRAGMA integrity_check");
            assert_eq!(verdict, "ok", "round {round}");
        }
        ingest.more_than(known).await;
    }
    println!("{killed} killed, {while_writing} of them with an unfinished file");
    assert!(killed > ROUNDS / 2, "{killed} of {ROUNDS} were killed");
    assert!(while_writing > 0, "none was killed while it wrote a file");

    let acknowledged = ingest.stop().await;
    let report: Value = bench.prune(&more).await;
    assert!(report["rows"].as_u64() > Some(0), "{report}");
    let table = bench.ids_in_table();
    archived.look(&bench);
    println!("{} rows acknowledged", acknowledged.len());
    let posted = acknowledged.iter().map(|row| row.id.clone());
    let all: BTreeSet<_> = posted.chain(initial.iter().cloned()).collect();
    assert_eq!(all.len(), initial.len() + acknowledged.len());
    assert!(
        table.is_disjoint(&archived.ids),
        "all that was archived is gone"
    );
    assert!(&table | &archived.ids == all, "neither less nor more");
    let old = acknowledged.iter().filter(|row| row.is_old);
    assert!(old.map(|row| &row.id).all(|id| archived.ids.contains(id)));
    let [live, ever, live_by_time, ever_by_time, ..] = bench.counts();
    let count = |ids: &BTreeSet<String>| i64::try_from(ids.len()).expect("few");
    assert_eq!([live, live_by_time], [count(&table); 2]);
    assert_eq!([ever, ever_by_time], [count(&all); 2]);
    assert_eq!(bench.read(MISCOUNTED), 0);
    serving.signal("TERM");
    let (code, log) = serving.end().await;
    assert_eq!(code, Some(0), "{log}");
}
