//! `lastseen serve`: settings, logging, limits, sockets, then the app; and the way down on a signal.

pub(super) mod signals;
mod tls;

use super::{database, output};
use crate::app::App;
use crate::config::{self, Config, Env, Flags};
use crate::server;
use anyhow::Context as _;
use clap::Args;
use signals::{Hangups, Signal, Signals};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Everything must be over this long after the signal.
const STOP_TIMEOUT: Duration = Duration::from_secs(9);

/// Threads for blocking work, beside one a core for hashing: reads, the poll for marks, and room to spare.
const BLOCKING_THREADS: usize = 8;

/// Running requests may go on for this long after the connections are closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Run the server
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  lastseen serve\n  lastseen serve --listen 0.0.0.0:8080 --database /var/lib/lastseen/lastseen.db\n  lastseen serve --config lastseen.toml --print-config\n\nFlags beat LASTSEEN_* variables, which beat the file, which beats the defaults.\nSIGTERM or Ctrl-C stops in order, a second one at once. SIGHUP reads the TLS certificate and key again."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,
    /// A TOML file with settings, named as the flags but with _ [env: LASTSEEN_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings and where each comes from, as a config file, and exit
    #[arg(long)]
    print_config: bool,
    /// With --print-config: as a JSON object
    #[arg(long, requires = "print_config")]
    json: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config_file = arguments.config.as_deref();
    let resolved = config::resolve(&arguments.flags, config_file, &Env::of_process())?;
    if arguments.print_config {
        return if arguments.json {
            output::print_json(&resolved.to_json())
        } else {
            output::print(resolved.to_toml())
        };
    }
    let mut config = resolved.config;
    crate::logging::init(config.log_format, &config.log_level)?;
    config.read_secrets()?;
    let file_limit = server::raise_file_limit();
    if config.max_connections == 0 {
        config.max_connections = server::connections_allowed(file_limit);
    }
    let runtime = runtime()?;
    let result = runtime.block_on(serve(&config));
    // Blocking work that hangs, on a disk for example, must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Threads of a server.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("lastseen")
        // What blocks is bounded already: reads by their connections, hashing by the cores. More threads would only
        // scatter the heap.
        .max_blocking_threads(cores + BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("cannot start threads")
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    // First, so that no signal is missed from here on.
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let hangups = Hangups::new().context("cannot listen for SIGHUP")?;
    let tls = tls::load(config)?;
    let listener = bind(config.listen, "--listen")?;
    let metrics_listener = match config.metrics_listen {
        Some(address) => Some(bind(address, "--metrics-listen")?),
        None => None,
    };
    let address = listener.local_addr().context("cannot tell the address")?;

    let app = App::start(config)
        .await
        .map_err(|error| database::explain_any(error, &config.database))?;
    let shutdown = CancellationToken::new();
    let options = server_options(config);
    let mut servers = JoinSet::new();
    let (endpoint, stop) = (app.endpoint(), shutdown.clone());
    match tls.clone() {
        Some(tls) => servers.spawn(server::run_tls(listener, tls, endpoint, options, stop)),
        None => servers.spawn(server::run(listener, endpoint, options, stop)),
    };
    if let Some(listener) = metrics_listener {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(target: "lastseen", "metrics on http://{address}/metrics");
        }
        let endpoint = app.metrics_endpoint();
        servers.spawn(server::run(listener, endpoint, options, shutdown.clone()));
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(
        target: "lastseen",
        database = %config.database.display(),
        version = %env!("CARGO_PKG_VERSION"),
        "listening on {scheme}://{address}"
    );

    let signal = tokio::select! {
        signal = signals.next() => Some(signal),
        never = tls::reload_on(hangups, config, tls.as_deref()) => match never {},
        // Neither ends by itself.
        Some(ended) = servers.join_next() => {
            tracing::error!(target: "lastseen", ?ended, "the accept loop ended");
            None
        }
    };
    let name = signal.map_or("failure", |signal| signal.name);
    tracing::info!(target: "lastseen", "stopping on {name}");
    if let Some(second) = self::stop(&app, &shutdown, &mut servers, &mut signals).await? {
        // Whoever asks twice does not want to wait for anything.
        std::process::exit(second.status);
    }
    tracing::info!(target: "lastseen", "stopped");
    anyhow::ensure!(
        signal.is_some(),
        "the accept loop ended; start again and see the log"
    );
    Ok(())
}

/// Stops in order; `Some` where a second signal came before the end.
pub(super) async fn stop(
    app: &App,
    shutdown: &CancellationToken,
    servers: &mut JoinSet<()>,
    signals: &mut Signals,
) -> anyhow::Result<Option<Signal>> {
    let stopped = async {
        app.drain().await;
        shutdown.cancel();
        while servers.join_next().await.is_some() {}
        app.close().await;
    };
    tokio::select! {
        stopped = tokio::time::timeout(STOP_TIMEOUT, stopped) => {
            stopped.context("did not stop in time; the next start repairs what is left open")?;
            Ok(None)
        }
        second = signals.next() => Ok(Some(second)),
    }
}

pub(super) fn server_options(config: &Config) -> server::Options {
    // Realtime connections are closed by their own rules, which must not be overtaken by the kernel's.
    let unacknowledged = config
        .slow_consumer_timeout
        .max(config.ping_interval.saturating_add(config.ping_timeout));
    server::Options {
        header_timeout: config.header_timeout,
        body_timeout: config.body_timeout,
        unacknowledged_timeout: Some(unacknowledged),
        drain_timeout: DRAIN_TIMEOUT,
    }
}

pub(super) fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    server::bind(address).map_err(|error| {
        let advice = match error.kind() {
            AddrInUse => "stop the program that uses it, or choose another port with",
            AddrNotAvailable => "it is none of this machine's addresses; choose another with",
            PermissionDenied => "ports below 1024 need a privilege; choose another with",
            _ => "choose another with",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}; {advice} {flag}")
    })
}
