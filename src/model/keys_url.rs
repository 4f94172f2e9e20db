//! Where public keys are fetched from.

use std::fmt;
use std::str::FromStr;
use url::{Host, Url};

/// The address of a key set: https, or plain http to this very machine, where nobody can stand between. Without a
/// user name or password, since it is shown and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysUrl(Url);

impl KeysUrl {
    /// As parsed.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

impl fmt::Display for KeysUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeysUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The text is not repeated in the message: it may hold a password.
        let wrong =
            "must be an https URL (plain http only on loopback) without user name and password";
        let url = Self(Url::parse(text).map_err(|_| wrong.to_owned())?);
        let has_no_secret = url.0.username().is_empty() && url.0.password().is_none();
        let is_safe = match url.0.scheme() {
            "https" => true,
            "http" => url.is_loopback(),
            _ => false,
        };
        if is_safe && has_no_secret {
            Ok(url)
        } else {
            Err(wrong.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeysUrl;

    #[test]
    fn only_what_nobody_can_change_on_the_way() {
        for good in [
            "https://example.com/keys",
            "http://127.0.0.1:9/keys",
            "http://[::1]:9/keys",
            "http://localhost/keys",
        ] {
            assert!(good.parse::<KeysUrl>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "keys",
            "http://example.com/keys",
            "http://127.0.0.1.example.com/keys",
            "http://10.0.0.1/keys",
            "ftp://127.0.0.1/keys",
            "file:///keys",
            "https://name:sesame@example.com/keys",
            "https://name@example.com/keys",
        ] {
            let error = bad.parse::<KeysUrl>().expect_err(bad);
            assert!(!error.contains("sesame"), "{error}");
        }
    }
}
