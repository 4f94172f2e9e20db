//! Where `tui` and `stats` get their figures: a database file, or a server's API.

use super::database::{self, Access, DatabaseArguments};
use super::usage;
use crate::config::{Config, Env, Resolved, TuiSettings};
use crate::logging;
use crate::model::{Clock, Secret, Zone};
use crate::tui::source::{DatabaseSource, HttpSource, Source};
use anyhow::Context as _;
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const URL: &str = "LASTSEEN_URL";
const DATABASE: &str = "LASTSEEN_DATABASE";
const TOKEN: &str = "LASTSEEN_TOKEN";
const TOKEN_FILE: &str = "LASTSEEN_TOKEN_FILE";

/// A database file, or a server's address with an administrator's key.
#[derive(Args, Debug)]
pub(super) struct SourceArguments {
    #[command(flatten)]
    database: DatabaseArguments,
    /// Ask the server at this address instead of reading a file [env: LASTSEEN_URL]
    #[arg(long, value_name = "URL", conflicts_with = "database")]
    url: Option<String>,
    /// A file with an admin's key, for --url [env: LASTSEEN_TOKEN_FILE; the key itself: LASTSEEN_TOKEN]
    #[arg(long, value_name = "FILE", conflicts_with = "database")]
    token_file: Option<PathBuf>,
    /// IANA name of the zone of days and hours [default: the setting timezone]
    #[arg(long, value_name = "ZONE")]
    tz: Option<Zone>,
}

/// An open source.
pub(super) struct Opened {
    pub(super) source: Arc<dyn Source>,
    /// Whose days and hours are meant.
    pub(super) zone: Zone,
    /// What the config file says of the dashboard.
    pub(super) tui: TuiSettings,
}

/// Where figures come from.
enum Place {
    File,
    Server { url: String, key: Secret },
}

impl SourceArguments {
    /// Opens the source, does `work` with it, and closes it whatever came of that.
    pub(super) fn with_source<T>(
        &self,
        work: impl AsyncFnOnce(Opened) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let Resolved { config, tui, .. } = self.database.resolve()?;
        let zone = self.tz.unwrap_or(config.timezone);
        match self.place(&config, &tui, &Env::of_process())? {
            Place::File => database::with_store(&config, Access::Read, async |store| {
                let place = config.database.display().to_string();
                let source = DatabaseSource::new(store.clone(), place, Clock::system());
                let source: Arc<dyn Source> = Arc::new(source);
                work(Opened { source, zone, tui }).await
            }),
            Place::Server { url, key } => {
                let source = HttpSource::new(&url, &key).map_err(anyhow::Error::msg)?;
                let source: Arc<dyn Source> = Arc::new(source);
                database::runtime()?.block_on(work(Opened { source, zone, tui }))
            }
        }
    }

    /// What the command line says, else the environment, else the config file; a database where none names a server.
    fn place(&self, config: &Config, set: &TuiSettings, env: &Env) -> anyhow::Result<Place> {
        let url = match (&self.url, self.database.is_given()) {
            (Some(url), _) => Some(url.as_str()),
            (None, true) => None,
            (None, false) => match (env.get(URL)?, env.get(DATABASE)?) {
                (Some(url), _) => Some(url),
                (None, Some(_)) => None,
                (None, None) => set.url.as_deref(),
            },
        };
        let Some(url) = url else {
            if self.token_file.is_some() {
                return Err(usage("--token-file is for --url, which is missing"));
            }
            return Ok(Place::File);
        };
        Ok(Place::Server {
            url: url.to_owned(),
            key: self.key(config, set, env)?,
        })
    }

    fn key(&self, config: &Config, set: &TuiSettings, env: &Env) -> anyhow::Result<Secret> {
        let of_file = |path: &Path| -> anyhow::Result<Secret> {
            let reading = || Config::read_secret(path, "token_file");
            Ok(logging::during(&config.log_level, reading)??)
        };
        if let Some(path) = &self.token_file {
            return of_file(path);
        }
        match (env.get(TOKEN)?, env.get(TOKEN_FILE)?) {
            (Some(_), Some(_)) => {
                anyhow::bail!(
                    "environment variables {TOKEN} and {TOKEN_FILE} are both set; keep one"
                )
            }
            (Some(text), None) => Secret::new(text).with_context(|| {
                format!("environment variable {TOKEN}: must not be empty; unset it or give a key")
            }),
            (None, Some(path)) => of_file(Path::new(path)),
            (None, None) => match &set.token_file {
                Some(path) => of_file(path),
                None => Err(usage(format_args!(
                    "--url needs an admin's key: give --token-file, or set {TOKEN}; `lastseen token create --role admin --name NAME` makes one"
                ))),
            },
        }
    }
}
