//! Settings: defaults < TOML file < environment < flags.
//!
//! One table, [`settings!`](self), defines every setting of `serve`: its key, type, default and help. The flag is
//! the key in kebab-case, the variable `LASTSEEN_` and the key in capitals, the TOML key the key itself. clap's own
//! reading of the environment is not used, since a bad variable is a failure (exit 1) and not a usage error (2).
//! What a setting means is left to whoever uses it.

mod demo;
mod env;
mod file;
mod flags;
mod prune;
mod secret;
#[cfg(test)]
mod tests;
mod tui;
mod value;

pub use demo::{DemoSettings, parse_seed, parse_speed, parse_users};
pub use env::Env;
pub use flags::Flags;
pub use prune::{PruneAges, parse_age, parse_keep};
pub use secret::TlsFiles;
pub use value::{LogFormat, Origin};

pub use crate::model::{Audience, IpPrivacy, JwtSub, KeysUrl, Secret, Zone};
use crate::store::Durability;
use http::HeaderName;
use ipnet::IpNet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use tui::{TuiSettings, parse_refresh};
use value::{Value, positive, some_time, valid_filter};

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Built in.
    Default,
    /// The TOML file.
    File,
    /// A `LASTSEEN_*` variable.
    Env,
    /// The command line.
    Flag,
}

impl Source {
    /// The word that `--print-config` shows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Env => "env",
            Self::Flag => "flag",
        }
    }
}

/// Why the settings could not be read: names the source and the key, on one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// What is known about a setting beside its value.
#[derive(Debug)]
pub struct Setting {
    /// The TOML key.
    pub key: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What stands for the value in the help.
    pub value_name: &'static str,
    /// The default as one would write it; empty for none.
    pub default: &'static str,
    /// May be given more than once.
    pub is_list: bool,
    /// As a flag it may stand alone.
    pub is_switch: bool,
    /// The words it may be, where only some are allowed.
    pub words: &'static [&'static str],
    check: fn(&str) -> Result<(), String>,
}

impl Setting {
    /// The flag without its dashes: `offline-grace`.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The environment variable: `LASTSEEN_OFFLINE_GRACE`.
    pub fn env(&self) -> String {
        format!("LASTSEEN_{}", self.key.to_ascii_uppercase())
    }
}

fn no_check<T>(_: &T) -> Result<(), String> {
    Ok(())
}

macro_rules! check {
    () => {
        no_check
    };
    ($check:expr) => {
        $check
    };
}

macro_rules! settings {
    ($( #[doc = $help:literal] $key:ident: $type:ty = $default:literal, $value_name:literal $(, $check:expr)?; )*) => {
        /// Every setting of `serve`, read and checked.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(#[doc = $help] pub $key: $type,)*
            /// The HS256 secret itself: `LASTSEEN_JWT_SECRET`, or what [`Config::read_secrets`] found in the file.
            pub jwt_secret: Option<Secret>,
        }

        /// Every setting, in the order they are shown.
        pub static SETTINGS: &[Setting] = &[$(Setting {
            key: stringify!($key),
            help: $help,
            value_name: $value_name,
            default: $default,
            is_list: <$type as Value>::IS_LIST,
            is_switch: <$type as Value>::IS_SWITCH,
            words: <$type as Value>::WORDS,
            check: |text| <$type as Value>::from_text(text).and_then(|value| check!($($check)?)(&value)),
        }),*];

        impl Config {
            fn read(inputs: &Inputs<'_>, sources: &mut Vec<Source>) -> Result<Self, ConfigError> {
                Ok(Self {
                    $($key: {
                        let (value, source) = inputs.read(stringify!($key), $default, check!($($check)?))?;
                        sources.push(source);
                        value
                    },)*
                    jwt_secret: None,
                })
            }

            /// Each setting's value in the order of [`SETTINGS`].
            fn values(&self) -> Vec<serde_json::Value> {
                vec![$(self.$key.to_json()),*]
            }
        }
    };
}

settings! {
    #[doc = "Address and port to listen on; port 0 takes a free one"]
    listen: SocketAddr = "127.0.0.1:8080", "ADDRESS";
    #[doc = "PEM file with the server's certificate and its chain, its own first; with --tls-key it speaks TLS"]
    tls_cert: Option<PathBuf> = "", "FILE";
    #[doc = "PEM file with the private key of the certificate; SIGHUP reads both files again"]
    tls_key: Option<PathBuf> = "", "FILE";
    #[doc = "The database file"]
    database: PathBuf = "lastseen.db", "FILE";
    #[doc = "What an acknowledged write survives: a power cut (full), or only a crash of the process (normal)"]
    durability: Durability = "full", "WORD";
    #[doc = "How long a user stays online after their last connection closed or was lost; 0s turns it off"]
    offline_grace: Duration = "5s", "DURATION";
    #[doc = "Coming back on the same device within this time continues the session"]
    session_resume: Duration = "30s", "DURATION";
    #[doc = "Who is pushed a user's presence: followers and conversation partners (contacts), one of them, or none"]
    audience: Audience = "contacts", "WORD";
    #[doc = "A user's transitions are pushed at most once in this time, the newest at its end; 0s turns it off"]
    transition_gap: Duration = "500ms", "DURATION";
    #[doc = "How often each realtime connection is pinged"]
    ping_interval: Duration = "25s", "DURATION", some_time;
    #[doc = "How long a realtime client may take to answer a ping"]
    ping_timeout: Duration = "20s", "DURATION", some_time;
    #[doc = "Events a second that a realtime connection may send"]
    event_rate: u32 = "20", "N", positive;
    #[doc = "Events that a realtime connection may send at once"]
    event_burst: u32 = "100", "N", positive;
    #[doc = "Realtime connections of one user at most"]
    max_connections_per_user: usize = "20", "N", positive;
    #[doc = "Realtime connections in all at most; 0 is what the open-file limit allows"]
    max_connections: usize = "0", "N";
    #[doc = "Realtime connections not yet signed in that one address may hold"]
    max_unauthenticated_per_address: usize = "10000", "N", positive;
    #[doc = "A realtime connection whose socket stays full for this long is closed"]
    slow_consumer_timeout: Duration = "30s", "DURATION", some_time;
    #[doc = "Single presence look-ups a user may make in any minute; 0 is no limit"]
    presence_rate: u32 = "10", "N";
    #[doc = "Presence queries a user may make in any minute; 0 is no limit"]
    presence_query_rate: u32 = "60", "N";
    #[doc = "How long a sign-in lasts"]
    token_ttl: Duration = "30d", "DURATION", some_time;
    #[doc = "File with the secret of the host application's HS256 JWTs (or the secret itself in LASTSEEN_JWT_SECRET)"]
    jwt_secret_file: Option<PathBuf> = "", "FILE";
    #[doc = "File with the public keys (JWK set) of the host application's RS256 and ES256 JWTs"]
    jwks_file: Option<PathBuf> = "", "FILE";
    #[doc = "Where those public keys are fetched; https, or plain http on loopback"]
    jwks_url: Option<KeysUrl> = "", "URL";
    #[doc = "The iss that a host application's JWT must have; without, any"]
    jwt_issuer: Option<String> = "", "ISSUER";
    #[doc = "An aud of which a host application's JWT must have one; repeatable; without, any"]
    jwt_audience: Vec<String> = "", "AUDIENCE";
    #[doc = "A host application's JWT with an unknown sub creates its user, from its username"]
    jwt_provision: bool = "false", "BOOL";
    #[doc = "What the sub of a host application's JWT is: the user's externalId (external-id) or id (id)"]
    jwt_sub: JwtSub = "external-id", "WORD";
    #[doc = "Client id of an app at Google whose ID tokens are accepted; repeatable"]
    google_client_id: Vec<String> = "", "ID";
    #[doc = "Client id of an app at Apple whose ID tokens are accepted; repeatable"]
    apple_client_id: Vec<String> = "", "ID";
    #[doc = "Where Google's public keys are fetched; https, or plain http on loopback"]
    google_jwks_url: KeysUrl = "https://www.googleapis.com/oauth2/v3/certs", "URL";
    #[doc = "Where Apple's public keys are fetched; https, or plain http on loopback"]
    apple_jwks_url: KeysUrl = "https://appleid.apple.com/auth/keys", "URL";
    #[doc = "Another origin (scheme, host, port) whose pages may connect; repeatable"]
    cors_origin: Vec<Origin> = "", "ORIGIN";
    #[doc = "Address or network of a proxy whose forwarding headers count; repeatable"]
    trusted_proxies: Vec<IpNet> = "", "NETWORK";
    #[doc = "Database of addresses in the MaxMind format (.mmdb), for country and region"]
    geoip: Option<PathBuf> = "", "FILE";
    #[doc = "Header in which a trusted proxy names the country"]
    country_header: Option<HeaderName> = "", "NAME";
    #[doc = "What is kept of IP addresses"]
    ip_privacy: IpPrivacy = "full", "WORD";
    #[doc = "Only the known actions are logged; without, any other word is taken as it is"]
    strict_actions: bool = "false", "BOOL";
    #[doc = "How long a client may take to send a request's headers; also how long a kept connection may idle"]
    header_timeout: Duration = "10s", "DURATION", some_time;
    #[doc = "How long a client may take to send a request's body"]
    body_timeout: Duration = "30s", "DURATION", some_time;
    #[doc = "A second address that answers /metrics to anyone, without TLS always"]
    metrics_listen: Option<SocketAddr> = "", "ADDRESS";
    #[doc = "IANA name of the time zone of days and hours in analytics, where a request names none"]
    timezone: Zone = "UTC", "ZONE";
    #[doc = "How log lines look"]
    log_format: LogFormat = "text", "WORD";
    #[doc = "What is logged: error, warn, info, debug, trace, or directives such as lastseen=debug,info"]
    log_level: String = "info", "FILTER", valid_filter;
}

/// The settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The values.
    pub config: Config,
    /// What `prune` removes, but for its flags.
    pub prune: PruneAges,
    /// What `demo` is made of, but for its flags.
    pub demo: DemoSettings,
    /// How the dashboard is opened and drawn, but for `LASTSEEN_*` and its flags.
    pub tui: TuiSettings,
    /// One for each of [`SETTINGS`].
    sources: Vec<Source>,
}

struct Inputs<'a> {
    flags: &'a Flags,
    env: &'a Env,
    file: Option<&'a file::File>,
}

impl Inputs<'_> {
    fn read<T: Value>(
        &self,
        key: &'static str,
        default: &str,
        check: impl Fn(&T) -> Result<(), String>,
    ) -> Result<(T, Source), ConfigError> {
        let checked = |value: T| check(&value).map(|()| value);
        if let Some(text) = self.flags.get(key) {
            let value = T::from_text(text)
                .and_then(checked)
                .map_err(|why| ConfigError(format!("flag --{}: {why}", key.replace('_', "-"))))?;
            return Ok((value, Source::Flag));
        }
        let variable = format!("LASTSEEN_{}", key.to_ascii_uppercase());
        if let Some(text) = self.env.get(&variable)? {
            let value = T::from_text(text)
                .and_then(checked)
                .map_err(|why| ConfigError(format!("environment variable {variable}: {why}")))?;
            return Ok((value, Source::Env));
        }
        if let Some((file, raw)) = self.file.and_then(|file| Some((file, file.get(key)?))) {
            let value = T::from_toml(raw)
                .and_then(checked)
                .map_err(|why| file.wrong(key, &why))?;
            return Ok((value, Source::File));
        }
        let value = T::from_text(default)
            .and_then(checked)
            .map_err(|why| ConfigError(format!("built-in {key}: {why}")))?;
        Ok((value, Source::Default))
    }
}

/// Reads the settings from all four sources. `config_file` is that of `--config`; without one `LASTSEEN_CONFIG`
/// names it, and without either there is none. Secret files are not read yet: see [`Config::read_secrets`].
///
/// # Errors
/// The first value that is bad, an unreadable file, or an unknown key in it.
pub fn resolve(
    flags: &Flags,
    config_file: Option<&Path>,
    env: &Env,
) -> Result<Resolved, ConfigError> {
    let from_env = env
        .get("LASTSEEN_CONFIG")?
        .filter(|path| !path.is_empty())
        .map(Path::new);
    let file = config_file.or(from_env).map(file::File::read).transpose()?;
    let inputs = Inputs {
        flags,
        env,
        file: file.as_ref(),
    };
    let mut sources = Vec::with_capacity(SETTINGS.len());
    let mut config = Config::read(&inputs, &mut sources)?;
    secret::from_env(&mut config, &mut sources, env)?;
    config.check()?;
    Ok(Resolved {
        config,
        prune: PruneAges::read(file.as_ref(), env)?,
        demo: DemoSettings::read(file.as_ref(), env)?,
        tui: match &file {
            Some(file) => file.tui()?,
            None => TuiSettings::default(),
        },
        sources,
    })
}

impl Config {
    /// The defaults, for tests and for whoever builds on the library.
    pub fn defaults() -> Self {
        resolve(&Flags::default(), None, &Env::default())
            .expect("a test reads every default")
            .config
    }

    /// What no single value tells.
    fn check(&self) -> Result<(), ConfigError> {
        let keys = [
            ("jwt_secret", self.jwt_secret.is_some()),
            ("jwt_secret_file", self.jwt_secret_file.is_some()),
            ("jwks_file", self.jwks_file.is_some()),
            ("jwks_url", self.jwks_url.is_some()),
        ];
        let mut set = keys.iter().filter(|(_, is_set)| *is_set);
        match (set.next(), set.next()) {
            (Some((one, _)), Some((other, _))) => Err(ConfigError(format!(
                "{one} and {other} are both set; the host application signs with one of them, keep that"
            ))),
            (None, _) if self.jwt_provision => Err(ConfigError(
                "jwt_provision: needs jwt_secret_file, jwks_file or jwks_url, else there is no JWT to go by"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Reads `jwt_secret_file`, where one is set, into `jwt_secret`; warns in the log of a file that others may read.
    ///
    /// # Errors
    /// The file is unreadable, no UTF-8, or empty.
    pub fn read_secrets(&mut self) -> Result<(), ConfigError> {
        if let Some(path) = &self.jwt_secret_file {
            self.jwt_secret = Some(secret::read(path, "jwt_secret_file")?);
        }
        Ok(())
    }

    /// Reads a secret of `key` that is no setting of the server; warns as [`Config::read_secrets`] does.
    ///
    /// # Errors
    /// The file is unreadable, no UTF-8, or empty.
    pub fn read_secret(path: &Path, key: &str) -> Result<Secret, ConfigError> {
        secret::read(path, key)
    }

    /// Reads the files of `tls_cert` and `tls_key`; `None` when neither is set. Warns as [`Config::read_secrets`] does.
    ///
    /// # Errors
    /// Only one is set, or a file is unreadable or empty. What is in them is not looked at.
    pub fn read_tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        let (certificate, key) = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(secret::alone("tls_cert", "tls_key")),
            (None, Some(_)) => return Err(secret::alone("tls_key", "tls_cert")),
        };
        Ok(Some(TlsFiles {
            certificate: secret::read_pem(certificate, "tls_cert", false)?,
            key: secret::read_pem(key, "tls_key", true)?,
        }))
    }
}

impl Resolved {
    /// Where `key` came from; `None` when there is no such setting.
    pub fn source(&self, key: &str) -> Option<Source> {
        let index = SETTINGS.iter().position(|setting| setting.key == key)?;
        self.sources.get(index).copied()
    }

    fn rows(&self) -> impl Iterator<Item = (&'static Setting, serde_json::Value, Source)> {
        SETTINGS
            .iter()
            .zip(self.config.values())
            .zip(self.sources.clone())
            .map(|((setting, value), source)| (setting, value, source))
    }

    /// `key = value  # source`, one a line: a valid config file that gives the same settings. An optional setting
    /// that is not set is an empty string; a secret is never in it but as a comment.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for (setting, value, source) in self.rows() {
            let value = Toml(&value);
            text += &format!("{} = {value}  # {}\n", setting.key, source.as_str());
        }
        if self.config.jwt_secret.is_some() {
            text += "# jwt_secret = \"***\"  # env\n";
        }
        text
    }

    /// `{key: {value, source}}`; what is not set is null, a secret is `"***"`.
    pub fn to_json(&self) -> serde_json::Value {
        let mut all = serde_json::Map::new();
        for (setting, value, source) in self.rows() {
            let row = serde_json::json!({ "value": value, "source": source.as_str() });
            all.insert(setting.key.to_owned(), row);
        }
        let (secret, source) = match self.config.jwt_secret {
            Some(_) => (Some("***"), Source::Env),
            None => (None, Source::Default),
        };
        let row = serde_json::json!({ "value": secret, "source": source.as_str() });
        all.insert("jwt_secret".to_owned(), row);
        all.into()
    }
}

/// A setting's value as TOML writes it; null, which TOML has not, as an empty string.
struct Toml<'a>(&'a serde_json::Value);

impl fmt::Display for Toml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            serde_json::Value::Null => f.write_str("\"\""),
            serde_json::Value::String(text) => toml::Value::String(text.clone()).fmt(f),
            serde_json::Value::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let separator = if index > 0 { ", " } else { "" };
                    write!(f, "{separator}{}", Toml(item))?;
                }
                f.write_str("]")
            }
            other => other.fmt(f),
        }
    }
}
