//! The words everything else speaks. No I/O and no framework: any module may use this one.

mod activity;
mod identity;
mod ids;
mod keys_url;
mod pair;
mod presence;
mod session;
mod settings;
mod time;
mod user;
mod zone;

pub use activity::{Activity, ActivityId, LoggedActivity};
pub use identity::{Credential, Principal, Provider, SocialIdentity, UserIdentity};
pub use ids::{
    ApiKeyId, BootId, ConnectionId, ConversationId, MAX_USER_ID, MessageId, SessionId, SignInId,
    UserId,
};
pub use keys_url::KeysUrl;
pub use pair::PairFacts;
pub use presence::{PresenceView, Standing, Status, Transition};
pub use session::{ClientInfo, DeviceType, EndReason, SessionRow};
pub use settings::{Audience, IpPrivacy, JwtSub, Secret};
pub use time::{Clock, Timestamp};
pub use user::{
    ActivityStatus, FieldError, KeyRole, Person, ProfileFields, RESERVED_USERNAMES, Role, User,
    Username, Whom, validate,
};
pub use zone::{LocalHour, Range, Zone};
