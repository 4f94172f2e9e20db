//! `idle`: what an idle connection costs the server in memory, after what a connection goes through.
//!
//! Each connection that is measured received a snapshot of all its contacts online and two bursts of an update from
//! each (all go offline, all come back): everybody connects, and is then replaced by a further device while the rest
//! are online. All that is checked against the graph too.

use super::crowd::Crowd;
use super::deliveries::report_problems;
use super::graph::{Graph, Id};
use super::server::{cpu, distribution, resident_kib};
use super::target::TargetArgs;
use anyhow::Result;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Options of `idle`. The server must hold the graph of `convert --random CONNS CONTACTS SEED` and run with `--transition-gap 0s`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Connections
    #[arg(long, default_value_t = 5_000)]
    conns: Id,
    /// Contacts of each
    #[arg(long, default_value_t = 50)]
    contacts: Id,
    /// The seed that the graph was converted with
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// The server's process
    #[arg(long)]
    server_pid: u32,
    /// How long to stay idle before memory is read
    #[arg(long, default_value = "60s")]
    rest: humantime::Duration,
}

/// Connects, stirs, rests, and reports.
pub async fn run(args: Args) -> Result<(Value, bool)> {
    let graph = Arc::new(Graph::random(args.conns, args.contacts, args.seed)?);
    let target = args.target.build()?;
    let mut crowd = Crowd::new(target, graph);
    let (before, cpu_before) = (resident_kib(args.server_pid)?, cpu(args.server_pid)?);

    eprintln!("connecting {}", args.conns);
    let begun = Instant::now();
    let connects = crowd.gather(1..=args.conns, args.target.in_flight).await?;
    let connect_time = begun.elapsed();
    let cpu_connected = cpu(args.server_pid)?;
    crowd.settle(Duration::from_secs(60)).await?;

    eprintln!("connected in {connect_time:.1?}; giving each a connection with a full snapshot");
    for id in 1..=args.conns {
        crowd.replace(id).await?;
    }
    for online in [false, true] {
        eprintln!("a burst: everybody goes online={online}");
        for id in 1..=args.conns {
            crowd.turn(id, online).await?;
        }
        let arrived = crowd
            .until(Duration::from_secs(60), |l| {
                l.counts().received >= l.counts().expected
            })
            .await;
        if !arrived {
            (1..=args.conns).for_each(|id| crowd.ledger(|l| l.give_up(id)));
        }
        crowd.barrier().await?;
    }
    let stirred = resident_kib(args.server_pid)?;

    eprintln!("idle for {}", args.rest);
    tokio::time::sleep(*args.rest).await;
    let after = resident_kib(args.server_pid)?;
    let per_connection = |kib: u64| (kib as f64 - before as f64) / f64::from(args.conns);
    crowd.barrier().await?;

    let counts = report_problems(&crowd);
    let report = json!({
        "connections": args.conns,
        "contacts": args.contacts,
        "counts": counts,
        "connectSeconds": connect_time.as_secs_f64(),
        "connectMillis": distribution(connects),
        "cpuMicrosPerConnect": (cpu_connected - cpu_before).as_secs_f64() * 1e6 / f64::from(args.conns),
        "residentKibBefore": before,
        "residentKibStirred": stirred,
        "residentKibIdle": after,
        "kibPerConnectionStirred": per_connection(stirred),
        "kibPerConnection": per_connection(after),
        "driverResidentKib": resident_kib(std::process::id())?,
    });
    Ok((report, counts.clean()))
}
