//! Sessions: stretches of being online on one device.

use super::{SessionId, Timestamp, UserId};
use std::sync::Arc;

macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every word there is, in the order of the definition.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word on the wire and in the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = String;
            fn from_str(s: &str) -> Result<Self, String> {
                match s {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(format!("must be one of: {}", [$($word),*].join(", "))),
                }
            }
        }
    };
}
pub(in crate::model) use word_enum;

word_enum! {
    /// What kind of device a client runs on.
    DeviceType {
        /// An iPhone or iPad app.
        Ios = "ios",
        /// An Android app.
        Android = "android",
        /// A browser.
        Web = "web",
    }
}

word_enum! {
    /// Why a session ended.
    EndReason {
        /// The client said so: a Socket.IO DISCONNECT, a WebSocket close frame, `update_presence` `offline`.
        Client = "client",
        /// The transport ended without a word, or no pong came.
        Lost = "lost",
        /// The user signed out.
        Signout = "signout",
        /// Token revoked or expired, account deleted, or ended by an admin.
        Revoked = "revoked",
        /// The server stopped in good order.
        Shutdown = "shutdown",
        /// The server died.
        Crash = "crash",
    }
}

impl EndReason {
    /// Whether coming back within the resume window continues the session.
    pub const fn resumable(self) -> bool {
        matches!(self, Self::Client | Self::Lost)
    }
}

/// What is known about the client behind a request or connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// Device type from the handshake, header or User-Agent.
    pub device_type: Option<DeviceType>,
    /// IP address, already as private as the settings ask.
    pub ip_address: Option<String>,
    /// ISO 3166-1 alpha-2 country.
    pub country_code: Option<String>,
    /// Name of a part of the country. Not kept of sign-ins and sessions.
    pub region: Option<String>,
    /// User-Agent, at most 512 bytes.
    pub user_agent: Option<String>,
}

/// One session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// UUIDv7 of `started_at`.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// The `deviceId` the client gave, if it gave one.
    pub device_id: Option<Arc<str>>,
    /// Where it came from.
    pub client: Arc<ClientInfo>,
    /// When the device's first foreground connection began.
    pub started_at: Timestamp,
    /// When its last one ended and why; `None` while open.
    pub ended: Option<(Timestamp, EndReason)>,
}
