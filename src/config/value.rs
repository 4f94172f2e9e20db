//! What a setting's value may be: read from text or TOML, written back in its canonical form.

use crate::model::{Audience, IpPrivacy, JwtSub, KeysUrl, Zone};
use crate::store::Durability;
use http::HeaderName;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A type of setting.
pub(super) trait Value: Sized {
    /// May be given more than once; in text separated by commas.
    const IS_LIST: bool = false;
    /// As a flag it may stand alone.
    const IS_SWITCH: bool = false;
    /// The words it may be, where only some are allowed.
    const WORDS: &'static [&'static str] = &[];

    /// From a flag, a variable, or a TOML string.
    fn from_text(text: &str) -> Result<Self, String>;

    /// From the file.
    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let text = value.as_str().ok_or("must be a string")?;
        Self::from_text(text)
    }

    /// In its canonical form; null for none.
    fn to_json(&self) -> serde_json::Value;
}

/// Longer than anyone means, and short enough that no clock overflows.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Value for Duration {
    fn from_text(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(duration) if duration <= MAX_DURATION => Ok(duration),
            Ok(_) => Err("must be at most 100 years".to_owned()),
            Err(_) => Err(format!(
                "must be a duration such as 500ms, 2s or 90d, not {text:?}"
            )),
        }
    }

    fn to_json(&self) -> serde_json::Value {
        format_duration(*self).into()
    }
}

/// The largest unit that divides it, so that 90 days are `90d` and not months.
fn format_duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 6] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let unit = UNITS.iter().find(|(unit, _)| nanos.is_multiple_of(*unit));
    unit.map_or_else(
        || format!("{nanos}ns"),
        |(unit, name)| format!("{}{name}", nanos / unit),
    )
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("must be a whole number from 0, not {text:?}"))
            }

            fn from_toml(value: &toml::Value) -> Result<Self, String> {
                let number = value.as_integer().ok_or("must be a number")?;
                Self::try_from(number).map_err(|_| format!("must be a whole number from 0, not {number}"))
            }

            fn to_json(&self) -> serde_json::Value {
                (*self).into()
            }
        }
    )*};
}
integer!(u32, usize);

macro_rules! word {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const WORDS: &'static [&'static str] = Self::WORDS;

            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|why| format!("{why}, not {text:?}"))
            }

            fn to_json(&self) -> serde_json::Value {
                self.as_str().into()
            }
        }
    )*};
}
word!(Audience, IpPrivacy, JwtSub, LogFormat);

impl Value for Zone {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|why| format!("{why}, not {text:?}"))
    }

    fn to_json(&self) -> serde_json::Value {
        self.name().into()
    }
}

impl Value for Durability {
    const WORDS: &'static [&'static str] = &["full", "normal"];

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "normal" => Ok(Self::Normal),
            _ => Err(format!("must be one of: full, normal, not {text:?}")),
        }
    }

    fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Full => "full".into(),
            Self::Normal => "normal".into(),
        }
    }
}

impl Value for bool {
    const IS_SWITCH: bool = true;
    const WORDS: &'static [&'static str] = &["true", "false"];

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("must be true or false, not {text:?}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        value.as_bool().ok_or("must be true or false".to_owned())
    }

    fn to_json(&self) -> serde_json::Value {
        (*self).into()
    }
}

impl Value for KeysUrl {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn to_json(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

impl Value for SocketAddr {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            format!("must be an address and port such as 127.0.0.1:8080 or [::]:8080, not {text:?}")
        })
    }

    fn to_json(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

impl Value for PathBuf {
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("must be the path of a file".to_owned());
        }
        Ok(text.into())
    }

    fn to_json(&self) -> serde_json::Value {
        self.to_string_lossy().into()
    }
}

impl Value for String {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

impl Value for IpNet {
    fn from_text(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().map(|network| network.trunc());
        network
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| format!("must be an address or network such as 10.0.0.0/8, not {text:?}"))
    }

    fn to_json(&self) -> serde_json::Value {
        if self.prefix_len() == self.max_prefix_len() {
            self.addr().to_string().into()
        } else {
            self.to_string().into()
        }
    }
}

impl Value for HeaderName {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("must be the name of a header such as CF-IPCountry, not {text:?}"))
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

/// An origin of pages as browsers send it (RFC 6454, section 6.2), in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let plain = lower.strip_suffix('/').unwrap_or(&lower);
        // Browsers leave a scheme's own port out.
        let plain = match plain.split_once("://") {
            Some(("http", host)) if host.ends_with(":80") => plain.strip_suffix(":80"),
            Some(("https", host)) if host.ends_with(":443") => plain.strip_suffix(":443"),
            _ => None,
        }
        .unwrap_or(plain);
        let parts = plain.split_once("://");
        let good = parts.is_some_and(|(scheme, host)| {
            let scheme_good = scheme.starts_with(|c: char| c.is_ascii_lowercase())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            let host_good = !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
            scheme_good && host_good
        });
        if good {
            Ok(Self(plain.to_owned()))
        } else {
            Err(format!(
                "must be an origin such as https://app.example.com, not {text:?}"
            ))
        }
    }
}

impl Value for Origin {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    const WORDS: &'static [&'static str] = &["text", "json"];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be one of: text, json".to_owned()),
        }
    }
}

/// What may be left out: in text and TOML an empty string, so that a stronger source can take a weaker one's back.
impl<T: Value> Value for Option<T> {
    const WORDS: &'static [&'static str] = T::WORDS;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(None);
        }
        T::from_text(text).map(Some)
    }

    fn to_json(&self) -> serde_json::Value {
        self.as_ref()
            .map_or(serde_json::Value::Null, Value::to_json)
    }
}

impl<T: Value> Value for Vec<T> {
    const IS_LIST: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(T::from_text)
            .collect()
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let items = value.as_array().ok_or("must be a list")?;
        items.iter().map(T::from_toml).collect()
    }

    fn to_json(&self) -> serde_json::Value {
        self.iter().map(Value::to_json).collect()
    }
}

/// More than no time.
pub(super) fn some_time(duration: &Duration) -> Result<(), String> {
    if duration.is_zero() {
        return Err("must be more than 0s".to_owned());
    }
    Ok(())
}

/// One or more.
pub(super) fn positive<T: Default + PartialEq>(number: &T) -> Result<(), String> {
    if *number == T::default() {
        return Err("must be at least 1".to_owned());
    }
    Ok(())
}

/// A filter that `tracing` takes.
pub(super) fn valid_filter(filter: &String) -> Result<(), String> {
    if filter.trim().is_empty() {
        return Err("must not be empty; info is the default".to_owned());
    }
    tracing_subscriber::EnvFilter::try_new(filter)
        .map(drop)
        .map_err(|error| {
            let why = error.to_string().replace('\n', " ");
            format!("must be a level such as info, or directives such as lastseen=debug: {why}")
        })
}
