//! Settings that services act on, as words; `config` reads them from flags, environment and file.

use super::PairFacts;
use super::session::word_enum;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use std::sync::Arc;

word_enum! {
    /// Who is pushed a user's presence without asking for it by `watch`.
    Audience {
        /// Followers and conversation partners (the default).
        Contacts = "contacts",
        /// Followers only.
        Followers = "followers",
        /// Conversation partners only.
        Partners = "partners",
        /// No one.
        None = "none",
    }
}

impl Audience {
    /// Whether a follower is in the audience.
    pub const fn followers(self) -> bool {
        matches!(self, Self::Contacts | Self::Followers)
    }

    /// Whether a conversation partner is in the audience.
    pub const fn partners(self) -> bool {
        matches!(self, Self::Contacts | Self::Partners)
    }

    /// Whether the viewer of `facts` is in the subject's audience.
    pub const fn includes(self, facts: PairFacts) -> bool {
        (self.followers() && facts.follows()) || (self.partners() && facts.partners())
    }
}

word_enum! {
    /// What is kept of an IP address, applied before anything is stored.
    IpPrivacy {
        /// All of it (the default).
        Full = "full",
        /// The /24 of an IPv4, the /48 of an IPv6 address.
        Truncated = "truncated",
        /// Nothing.
        None = "none",
    }
}

impl IpPrivacy {
    /// What may be stored of `address`. An IPv4 address mapped into IPv6 is an IPv4 address.
    pub fn apply(self, address: IpAddr) -> Option<String> {
        let address = address.to_canonical();
        match (self, address) {
            (Self::None, _) => None,
            (Self::Full, _) => Some(address.to_string()),
            (Self::Truncated, IpAddr::V4(v4)) => {
                Some(Ipv4Addr::from_bits(v4.to_bits() & !0xff).to_string())
            }
            (Self::Truncated, IpAddr::V6(v6)) => {
                Some(Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80).to_string())
            }
        }
    }
}

word_enum! {
    /// What the `sub` of a host application's JWT is.
    JwtSub {
        /// The user's `externalId` (the default).
        ExternalId = "external-id",
        /// The user's `id`: the host gives the ids.
        Id = "id",
    }
}

/// A secret that no `Debug` output, log or error shows. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes `text` as it is; an empty one is no secret.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The secret itself, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for word in Audience::WORDS {
            assert_eq!(word.parse::<Audience>().map(Audience::as_str), Ok(*word));
        }
        assert!("Contacts".parse::<Audience>().is_err());
    }

    #[test]
    fn a_secret_is_never_empty_and_never_shown() {
        assert!(Secret::new("").is_none());
        let secret = Secret::new("hunter2hunter2").expect("not empty");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
    }
}
