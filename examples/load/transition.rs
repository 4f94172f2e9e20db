//! `transition`: one person with many followers online goes dark and comes back.

use super::crowd::Crowd;
use super::deliveries::report_problems;
use super::graph::{Graph, Id, Source};
use super::server::{counters, cpu, distribution, grown};
use super::target::TargetArgs;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two transitions, so that the server's limit of 20 events a second is kept.
const PACE: Duration = Duration::from_millis(60);

/// Options of `transition`. The server must hold the graph of `convert --star WATCHERS` and run with `--transition-gap 0s`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Followers of person 1
    #[arg(long, default_value_t = 1_000)]
    watchers: Id,
    /// Transitions to make
    #[arg(long, default_value_t = 100)]
    transitions: u32,
    /// Where metrics are, if not at the target
    #[arg(long, value_name = "URL")]
    metrics_url: Option<String>,
    /// The server's process, to report its CPU time
    #[arg(long)]
    server_pid: Option<u32>,
}

/// Connects the followers, then person 1, toggles, and reports.
pub async fn run(args: Args) -> Result<(Value, bool)> {
    ensure!(args.transitions > 0 && args.watchers > 0, "nothing to do");
    let source = Source {
        friendships: None,
        random: None,
        star: Some(args.watchers),
    };
    let graph: Arc<Graph> = Arc::new(source.load()?);
    let metrics_url = args.metrics_url.as_deref();
    // Signed by the same key, so a second one reads metrics beside the crowd's.
    let (target, metrics) = (args.target.build()?, args.target.build()?);
    let mut crowd = Crowd::new(target, graph);
    eprintln!(
        "connecting {} followers, then the one they follow",
        args.watchers
    );
    crowd
        .gather(2..=args.watchers + 1, args.target.in_flight)
        .await?;
    crowd.gather([1], 1).await?;
    crowd.settle(Duration::from_secs(60)).await?;

    let cpu_before = args.server_pid.map(cpu).transpose()?;
    let before = counters(&metrics, 1, metrics_url).await;
    let begun = Instant::now();
    let mut pace = tokio::time::interval(PACE);
    for n in 0..args.transitions {
        pace.tick().await;
        crowd.turn(1, n % 2 == 1).await?;
        if !crowd
            .until(Duration::from_secs(10), |l| !l.is_moving(1))
            .await
        {
            crowd.ledger(|l| l.give_up(1));
        }
    }
    let took = begun.elapsed();
    let after = counters(&metrics, 1, metrics_url).await;
    let cpu_after = args.server_pid.map(cpu).transpose()?;
    crowd.barrier().await?;

    let counters = match (before, after) {
        (Ok(before), Ok(after)) => grown(&before, &after),
        (Err(e), _) | (_, Err(e)) => {
            eprintln!("no metrics: {e:#}");
            Value::Null
        }
    };
    let (deliveries, spans) = crowd.ledger(|l| l.latencies());
    let counts = report_problems(&crowd);
    let cpu_micros = cpu_before.zip(cpu_after).map(|(before, after)| {
        (after - before).as_secs_f64() * 1e6 / counts.received.max(1) as f64
    });
    let report = json!({
        "watchers": args.watchers,
        "counts": counts,
        "seconds": took.as_secs_f64(),
        "deliveryMillis": distribution(deliveries),
        "lastDeliveryMillis": distribution(spans),
        "cpuMicrosPerDelivery": cpu_micros,
        "counters": counters,
    });
    Ok((report, counts.clean()))
}
