//! `lastseen demo`: a server on a temporary database, people who live on it, and what one can look at.

use super::serve::signals::{Hangups, Signal, Signals};
use super::{database, output, serve};
use crate::app::App;
use crate::config::{
    self, Config, DemoSettings, Env, Flags, Source, parse_age, parse_seed, parse_speed, parse_users,
};
use crate::demo::{COUNTRY_HEADER, Folder, GUEST, Keys, Settings, Town, Written};
use crate::model::Clock;
use crate::server;
use crate::store::Durability;
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const USERS: u32 = 300;
const SEED: u64 = 1;
/// A day in five minutes.
const SPEED: u32 = 288;

/// Run a server with simulated people on it, to look at
#[derive(Args, Debug)]
#[command(
    after_help = "The people follow each other, have ten days of history, and sign in, write, watch, go to the background and come back over the real network interface; some are lost without a word. A day in their life takes five minutes, or what --speed says.\n\nEverything is in a temporary folder, the admin key in a file there for its owner alone. What to open is printed. Ctrl-C, SIGTERM or a closed terminal ends it and removes the folder.\n\nIn the config file the table is [demo] with users, seed, speed and for. Other settings of lastseen-serve are heeded where the demo has none of its own.\n\nExamples:\n  lastseen demo\n  lastseen demo --users 1000 --listen 127.0.0.1:9000\n  lastseen demo --seed 7 --speed 1440 --for 10m\n  lastseen demo --json"
)]
pub(super) struct Arguments {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080] [env: LASTSEEN_LISTEN]
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    listen: Option<SocketAddr>,
    /// How many people, 10 to 2000 [default: 300] [env: LASTSEEN_DEMO_USERS]
    #[arg(long, value_name = "N", value_parser = parse_users)]
    users: Option<u32>,
    /// The same number gives the same people and history [default: 1] [env: LASTSEEN_DEMO_SEED]
    #[arg(long, value_name = "N", value_parser = parse_seed)]
    seed: Option<u64>,
    /// How many times faster than a real day one goes, 1 to 10000 [default: 288] [env: LASTSEEN_DEMO_SPEED]
    #[arg(long, value_name = "N", value_parser = parse_speed)]
    speed: Option<u32>,
    /// End by itself after this time, such as 30s [env: LASTSEEN_DEMO_FOR]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_age)]
    run_for: Option<Duration>,
    /// A TOML file with settings [env: LASTSEEN_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print what to open as a JSON object
    #[arg(long)]
    json: bool,
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let why = || format!("must be an address with a port such as 127.0.0.1:8080, not {text:?}");
    text.parse().map_err(|_| why())
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let listen = arguments.listen.map(|address| address.to_string());
    let flags = Flags::listen(listen.as_deref());
    let resolved = config::resolve(&flags, arguments.config.as_deref(), &Env::of_process())?;
    let given = DemoSettings {
        users: arguments.users,
        seed: arguments.seed,
        speed: arguments.speed,
        run_for: arguments.run_for,
    };
    let given = given.or(resolved.demo);
    let settings = Settings {
        users: given.users.unwrap_or(USERS),
        seed: given.seed.unwrap_or(SEED),
        speed: given.speed.unwrap_or(SPEED),
    };
    // What is printed is not to drown in what happens all the time.
    let level = match resolved.source("log_level") {
        Some(Source::Default) | None => "warn",
        Some(_) => &resolved.config.log_level,
    };
    crate::logging::init(resolved.config.log_format, level)?;
    server::raise_file_limit();
    let runtime = serve::runtime()?;
    let demo = Demo {
        settings,
        run_for: given.run_for,
        json: arguments.json,
    };
    let ended = runtime.block_on(demo.run(resolved.config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(second) = ended? {
        std::process::exit(second.status);
    }
    Ok(())
}

struct Demo {
    settings: Settings,
    run_for: Option<Duration>,
    json: bool,
}

impl Demo {
    async fn run(&self, config: Config) -> anyhow::Result<Option<Signal>> {
        // First, so that the folder goes whenever one comes.
        let mut signals = Signals::new().context("cannot listen for signals")?;
        let mut hangups = Hangups::new().context("cannot listen for SIGHUP")?;
        let listener = serve::bind(config.listen, "--listen")?;
        let folder = Folder::new().context(
            "cannot make a temporary folder; make room, or name another place in TMPDIR",
        )?;
        let lived = self
            .live(config, listener, &folder, &mut signals, &mut hangups)
            .await;
        let removed = folder.remove();
        let second = lived?;
        removed?;
        Ok(second)
    }

    async fn live(
        &self,
        config: Config,
        listener: TcpListener,
        folder: &Folder,
        signals: &mut Signals,
        hangups: &mut Hangups,
    ) -> anyhow::Result<Option<Signal>> {
        let address = listener.local_addr().context("cannot tell the address")?;
        let reached = reached(address);
        let keys = folder.keys()?;
        let config = own(config, folder, &keys, reached);
        let town = Town::new(self.settings);
        // A signal meanwhile is heeded after it: it takes no second.
        let written = town
            .write(&config.database, &keys, Clock::system().now())
            .await?;
        let app = App::start(&config)
            .await
            .map_err(|error| database::explain_any(error, &config.database))?;
        let shutdown = CancellationToken::new();
        let mut servers = JoinSet::new();
        let options = serve::server_options(&config);
        servers.spawn(server::run(
            listener,
            app.endpoint(),
            options,
            shutdown.clone(),
        ));
        let life = town.live(reached, &keys)?;
        let printed = self.print(folder, reached, written);
        let failed = match printed {
            Ok(()) => self.wait(signals, hangups, &mut servers).await.err(),
            // Whoever was to read it is not there any more.
            Err(error) => Some(error),
        };
        life.end().await;
        let second = serve::stop(&app, &shutdown, &mut servers, signals).await?;
        match failed {
            Some(error) => Err(error),
            None => Ok(second),
        }
    }

    /// Until a signal, or the time is over. That the terminal is closed is one too: nothing is to be read again here.
    async fn wait(
        &self,
        signals: &mut Signals,
        hangups: &mut Hangups,
        servers: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        let over = async {
            match self.run_for {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = signals.next() => Ok(()),
            () = hangups.next() => Ok(()),
            () = over => Ok(()),
            Some(_) = servers.join_next() => {
                anyhow::bail!("the accept loop ended; start again and see the log")
            }
        }
    }

    fn print(&self, folder: &Folder, at: SocketAddr, written: Written) -> anyhow::Result<()> {
        let open = self.open(folder, at, written);
        if self.json {
            return output::print_json(&open);
        }
        output::print(open.to_text())
    }

    fn open(&self, folder: &Folder, at: SocketAddr, history: Written) -> Open {
        let url = format!("http://{at}");
        let shown = |path: PathBuf| path.display().to_string();
        let key = shown(folder.admin_key());
        Open {
            docs: format!("{url}/docs"),
            dashboard: format!("lastseen tui --url {url} --token-file {key}"),
            admin_key_file: key,
            username: GUEST,
            sign_in_file: shown(folder.sign_in()),
            folder: folder.path().display().to_string(),
            database: shown(folder.database()),
            users: self.settings.users,
            history,
            day: humantime::format_duration(self.settings.day()).to_string(),
            url,
        }
    }
}

/// What to open, and with what.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    url: String,
    docs: String,
    dashboard: String,
    admin_key_file: String,
    username: &'static str,
    sign_in_file: String,
    folder: String,
    database: String,
    users: u32,
    history: Written,
    day: String,
}

impl Open {
    fn to_text(&self) -> String {
        let Self {
            url,
            docs,
            dashboard,
            admin_key_file: key,
            username,
            sign_in_file: sign_in,
            folder,
            users,
            history,
            day,
            ..
        } = self;
        let Written {
            sessions,
            activities,
        } = history;
        format!(
            "\
{users} people live on {url}; a day takes them {day}. They have {sessions} sessions and {activities} activities behind them.

The API, to try in a browser
  {docs}
The dashboard, in another terminal
  {dashboard}
Who is online, and figures at a glance
  curl -s -H \"Authorization: Bearer $(cat {key})\" {url}/admin/online
  curl -s -H \"Authorization: Bearer $(cat {key})\" {url}/admin/analytics/overview
What happens, as it happens
  curl -sN -H \"Authorization: Bearer $(cat {key})\" {url}/admin/live
Sign in as {username}, who has friends there; the answer has a token
  curl -s -H 'Content-Type: application/json' -d @{sign_in} {url}/auth/signin

Everything is in {folder} and goes when this ends: Ctrl-C.
"
        )
    }
}

/// Where the people, and who reads what is printed, reach a server that listens on `address`.
fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The settings with what a demo has of its own.
fn own(config: Config, folder: &Folder, keys: &Keys, reached: SocketAddr) -> Config {
    Config {
        database: folder.database(),
        // Nothing of it is to survive anything.
        durability: Durability::Normal,
        // As long after a connection as one is in a day that goes so fast.
        offline_grace: config.offline_grace.min(Duration::from_secs(2)),
        jwt_secret: Some(keys.jwt.clone()),
        jwt_secret_file: None,
        jwks_file: None,
        jwks_url: None,
        jwt_issuer: None,
        jwt_audience: Vec::new(),
        jwt_provision: false,
        jwt_sub: config::JwtSub::ExternalId,
        tls_cert: None,
        tls_key: None,
        // The people say where they are as a proxy would.
        trusted_proxies: vec![reached.ip().into()],
        country_header: COUNTRY_HEADER.parse().ok(),
        geoip: None,
        ..config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_reached_on_this_machine() {
        for (listens, at) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            let address = listens.parse().expect("an address");
            assert_eq!(reached(address).to_string(), at);
        }
    }

    #[test]
    fn nothing_of_the_settings_leads_to_another_database_or_key() {
        let folder = Folder::new().expect("a folder");
        let keys = folder.keys().expect("keys");
        let theirs = Config {
            database: "theirs.db".into(),
            jwks_file: Some("theirs.json".into()),
            tls_cert: Some("theirs.pem".into()),
            audience: config::Audience::None,
            ..Config::defaults()
        };
        let at = "127.0.0.1:80".parse().expect("an address");
        let ours = own(theirs, &folder, &keys, at);
        assert_eq!(ours.database, folder.database());
        assert_eq!((ours.jwks_file, ours.tls_cert), (None, None));
        assert!(ours.jwt_secret.is_some() && ours.country_header.is_some());
        // What a demo has no wish of its own about stays.
        assert_eq!(ours.audience, config::Audience::None);
        folder.remove().expect("removed");
    }

    #[test]
    fn what_is_printed_names_files_and_no_secret() {
        let folder = Folder::new().expect("a folder");
        let keys = folder.keys().expect("keys");
        let demo = Demo {
            settings: Settings {
                users: USERS,
                seed: SEED,
                speed: SPEED,
            },
            run_for: None,
            json: false,
        };
        let written = Written {
            sessions: 1,
            activities: 2,
        };
        let open = demo.open(
            &folder,
            "127.0.0.1:80".parse().expect("an address"),
            written,
        );
        let json = serde_json::to_string(&open).expect("JSON");
        for text in [open.to_text(), json] {
            assert!(text.contains("lastseen tui --url http://127.0.0.1:80 --token-file "));
            assert!(
                text.contains("admin.key") && text.contains("demo.json"),
                "{text}"
            );
            for secret in [
                keys.admin.expose(),
                keys.password.expose(),
                keys.jwt.expose(),
            ] {
                assert!(!text.contains(secret));
            }
        }
        folder.remove().expect("removed");
    }
}
