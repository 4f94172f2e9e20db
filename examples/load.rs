//! The load driver: loads a graph of people, connects everyone and checks every delivery.
//!
//! It signs its own tokens, so the server has to know the users and the secret:
//!
//! ```sh
//! cargo run --example load -- convert --random 2000 50 42 --out graph
//! lastseen import users  graph/users.jsonl   --database load.db
//! lastseen import follows graph/follows.jsonl --database load.db
//! printf 'a secret of at least 32 characters' > secret; chmod 600 secret
//! lastseen serve --database load.db --jwt-secret-file secret --jwt-sub id --transition-gap 0s --presence-rate 0
//! cargo run --example load -- deliveries --random 2000 50 42 --transitions 2000 --proto socketio \
//!     --target http://127.0.0.1:8080 --jwt-secret-file secret
//! ```
//!
//! Each subcommand prints one JSON line on standard output (`contention` a table without `--json`) and what it is doing
//! on standard error; the exit status is 1 when a delivery was missing, doubled or wrong, or a write was refused. Only loopback addresses are accepted as a target: this is a tool
//! for one's own machine.

mod load {
    pub mod analytics;
    pub mod check;
    pub mod client;
    pub mod contention;
    pub mod crowd;
    pub mod deliveries;
    pub mod graph;
    pub mod history;
    pub mod idle;
    pub mod server;
    pub mod target;
    pub mod transition;
    pub mod wire;
}

use clap::{Parser, Subcommand};
use load::{analytics, contention, deliveries, graph, history, idle, transition};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "load",
    about = "Connects many people to a lastseen server and checks every delivery"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a graph as users.jsonl and follows.jsonl for `lastseen import`
    Convert(graph::ConvertArgs),
    /// How long the questions of administrators take
    Analytics(analytics::Args),
    /// How long writes take beside import, backup, export and prune
    Contention(contention::Args),
    /// Connect everyone, make transitions and check every snapshot and delivery against the graph
    Deliveries(deliveries::Args),
    /// Write people, activities and sessions for `lastseen import`
    History(history::Args),
    /// Memory of the server per idle connection
    Idle(idle::Args),
    /// Latency of one person's transition to many followers
    Transition(transition::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Convert(args) => graph::convert(&args),
        Command::Analytics(args) => analytics::run(args).await,
        Command::Contention(args) => contention::run(args).await,
        Command::Deliveries(args) => deliveries::run(args).await,
        Command::History(args) => history::run(&args),
        Command::Idle(args) => idle::run(args).await,
        Command::Transition(args) => transition::run(args).await,
    };
    match outcome {
        Ok((report, passed)) => {
            match report {
                serde_json::Value::String(text) => println!("{text}"),
                report => println!("{report}"),
            }
            if passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
