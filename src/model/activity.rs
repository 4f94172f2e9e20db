//! What people did, as it is logged.

use super::{DeviceType, Timestamp, UserId, Username};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// One activity: a UUIDv7 (RFC 9562, section 5.7) of its own timestamp, so that ids are in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActivityId(pub Uuid);

impl ActivityId {
    /// A new one of `at`, behind the one made before it if that was of the same millisecond.
    pub fn new(at: Timestamp) -> Self {
        // Counts within a millisecond, so that rows of one batch stay in their order.
        static CONTEXT: Mutex<uuid::ContextV7> = Mutex::new(uuid::ContextV7::new());
        let millis = at.as_millis().max(0).unsigned_abs();
        let time = uuid::Timestamp::from_unix(
            &*CONTEXT.lock(),
            millis / 1000,
            u32::try_from(millis % 1000).unwrap_or_default() * 1_000_000,
        );
        let uuid = Uuid::new_v7(time);
        // A context that has overflowed, or has seen a later time, puts another millisecond in.
        Self::of(at, *uuid.as_bytes())
    }

    /// The id of `at` whose remaining 74 bits are those of `bytes`.
    pub fn of(at: Timestamp, bytes: [u8; 16]) -> Self {
        let mut random = [0; 10];
        random.copy_from_slice(&bytes[6..]);
        let millis = at.as_millis().max(0).unsigned_abs();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Below every id of `at`, above every earlier one.
    pub fn floor(at: Timestamp) -> [u8; 16] {
        let millis = at.as_millis().clamp(0, (1 << 48) - 1).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis[2..]);
        bytes
    }

    /// The millisecond that is in it.
    pub fn timestamp(self) -> Timestamp {
        let bytes = self.0.as_bytes();
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&bytes[..6]);
        Timestamp::from_millis(i64::from_be_bytes(millis))
    }

    /// Whether it is a UUIDv7 of `at`.
    pub fn is_of(self, at: Timestamp) -> bool {
        self.0.get_version_num() == 7 && self.timestamp() == at
    }
}

impl fmt::Display for ActivityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ActivityId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// One row of the log, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its id, of its `timestamp`.
    pub id: ActivityId,
    /// Who.
    pub user_id: UserId,
    /// What.
    pub action: String,
    /// On what kind of thing.
    pub target_type: Option<String>,
    /// On which one.
    pub target_id: Option<String>,
    /// More about it: a JSON object as text.
    pub metadata: Option<String>,
    /// From where, already as private as the settings ask.
    pub ip_address: Option<String>,
    /// On what.
    pub device_type: Option<DeviceType>,
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// Name of a part of the country.
    pub region: Option<String>,
    /// When.
    pub timestamp: Timestamp,
}

impl Activity {
    /// The user it was done to, if it was done to one.
    pub fn target_user(&self) -> Option<UserId> {
        let is_user = self.target_type.as_deref() == Some("user");
        self.target_id.as_ref().filter(|_| is_user)?.parse().ok()
    }
}

/// A row as it is read, with the user's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedActivity {
    /// The row.
    pub activity: Activity,
    /// The user's name now.
    pub username: Username,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_their_time_and_in_order() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        let ids: Vec<_> = (0..1000).map(|_| ActivityId::new(at)).collect();
        assert!(ids.iter().all(|id| id.is_of(at)), "{:?}", ids[0]);
        assert!(ids.is_sorted_by(|a, b| a < b));
        // Also when the time goes back, as it does for rows that say when they were.
        let earlier = ActivityId::new(Timestamp::from_millis(5));
        assert!(earlier.is_of(Timestamp::from_millis(5)));
        assert!(earlier < ids[0]);
        let next = Timestamp::from_millis(at.as_millis() + 1);
        assert!(ActivityId::floor(at) <= *ids[0].0.as_bytes());
        assert!(ActivityId::floor(next) > *ids[999].0.as_bytes());
    }
}
