//! `deliveries`: everybody at once, then many transitions, with every snapshot and delivery held against the graph.

use super::check::Counts;
use super::crowd::Crowd;
use super::graph::{Graph, Id, Random, Source};
use super::server::distribution;
use super::target::TargetArgs;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Options of `deliveries`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    source: Source,
    /// Transitions to make, each by somebody at random
    #[arg(long, default_value_t = 1_000)]
    transitions: u64,
    /// Transitions a second, at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Transitions under way at a time, at most
    #[arg(long, default_value_t = 64)]
    under_way: usize,
    /// The server's --transition-gap: one person's transitions are at least so far apart
    #[arg(long, default_value = "0s")]
    transition_gap: humantime::Duration,
    /// How long a transition may take to reach everybody
    #[arg(long, default_value = "10s")]
    patience: humantime::Duration,
    /// Further devices opened at the end to check their snapshots
    #[arg(long, default_value_t = 100)]
    glances: u32,
    /// Who makes transitions, and when
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Connects, makes transitions, and reports.
pub async fn run(args: Args) -> Result<(Value, bool)> {
    let graph = Arc::new(args.source.load()?);
    ensure!(graph.people() > 0, "the graph is empty");
    let target = args.target.build()?;
    let mut crowd = Crowd::new(target, graph.clone());

    eprintln!(
        "connecting {} people with {} follows",
        graph.people(),
        graph.follows()
    );
    let begun = Instant::now();
    let connects = crowd
        .gather(1..=graph.people(), args.target.in_flight)
        .await?;
    let connect_time = begun.elapsed();
    crowd.settle(Duration::from_secs(60)).await?;

    eprintln!(
        "connected in {connect_time:.1?}; making {} transitions",
        args.transitions
    );
    let begun = Instant::now();
    transitions(&args, &graph, &crowd).await?;
    let transition_time = begun.elapsed();
    crowd.barrier().await?;

    let online: Vec<Id> = (1..=graph.people())
        .filter(|&id| crowd.ledger(|l| l.is_online(id)))
        .collect();
    eprintln!(
        "{} are online; opening {} further devices",
        online.len(),
        args.glances
    );
    let mut random = Random(args.seed ^ 1);
    for _ in 0..args.glances {
        if !online.is_empty() {
            crowd
                .glance(online[random.below(online.len() as Id) as usize])
                .await?;
        }
    }
    crowd.barrier().await?;

    let (deliveries, spans) = crowd.ledger(|l| l.latencies());
    let counts = report_problems(&crowd);
    let report = json!({
        "people": graph.people(),
        "follows": graph.follows(),
        "counts": counts,
        "connectSeconds": connect_time.as_secs_f64(),
        "connectMillis": distribution(connects),
        "transitionSeconds": transition_time.as_secs_f64(),
        "transitionGap": args.transition_gap.to_string(),
        "deliveryMillis": distribution(deliveries),
        "lastDeliveryMillis": distribution(spans),
    });
    Ok((report, counts.clean()))
}

/// Prints the first problems on standard error and returns the counts.
pub fn report_problems(crowd: &Crowd) -> Counts {
    crowd.ledger(|ledger| {
        for example in ledger.examples() {
            eprintln!("problem: {example}");
        }
        ledger.counts().clone()
    })
}

async fn transitions(args: &Args, graph: &Graph, crowd: &Crowd) -> Result<()> {
    let mut random = Random(args.seed);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / args.rate);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut under_way: HashMap<Id, Instant> = HashMap::new();
    let mut resting: HashMap<Id, Instant> = HashMap::new();
    let most = args.under_way.clamp(1, graph.people().div_ceil(2) as usize);
    for _ in 0..args.transitions {
        pace.tick().await;
        if under_way.len() >= most {
            wait_for_some(args, crowd, &mut under_way, most - 1).await;
        }
        let id = loop {
            let id = 1 + random.below(graph.people());
            under_way.retain(|&id, _| crowd.ledger(|l| l.is_moving(id)));
            if under_way.contains_key(&id) {
                continue;
            }
            match resting.get(&id) {
                Some(&until) if until > Instant::now() => {
                    // Nearly everybody may be resting; then somebody has to be waited for.
                    if resting.len() as Id * 2 > graph.people() {
                        tokio::time::sleep_until(until.into()).await;
                        break id;
                    }
                }
                _ => break id,
            }
        };
        let online = crowd.ledger(|l| l.is_online(id));
        crowd.turn(id, !online).await?;
        under_way.insert(id, Instant::now() + *args.patience);
        if !args.transition_gap.is_zero() {
            let now = Instant::now();
            resting.retain(|_, until| *until > now);
            resting.insert(id, now + *args.transition_gap);
        }
    }
    wait_for_some(args, crowd, &mut under_way, 0).await;
    Ok(())
}

/// Waits until at most `few` transitions are under way; those that take too long are given up.
async fn wait_for_some(
    args: &Args,
    crowd: &Crowd,
    under_way: &mut HashMap<Id, Instant>,
    few: usize,
) {
    loop {
        under_way.retain(|&id, _| crowd.ledger(|l| l.is_moving(id)));
        if under_way.len() <= few {
            return;
        }
        let ids: Vec<Id> = under_way.keys().copied().collect();
        crowd
            .until(*args.patience, |l| {
                ids.iter().filter(|&&id| l.is_moving(id)).count() <= few
            })
            .await;
        let now = Instant::now();
        for (&id, _) in under_way.iter().filter(|&(_, &deadline)| deadline <= now) {
            crowd.ledger(|l| l.give_up(id));
        }
    }
}
