//! Settings that services act on.

use super::PairFacts;
use super::session::word_enum;

word_enum! {
    /// Who is pushed a user's presence without asking.
    Audience {
        /// Followers and conversation partners (the default).
        Contacts = "contacts",
        /// Followers only.
        Followers = "followers",
        /// Conversation partners only.
        Partners = "partners",
        /// No one: only who watches.
        Nobody = "none",
    }
}

impl Audience {
    /// Whether followers are in it.
    pub const fn followers(self) -> bool {
        matches!(self, Self::Contacts | Self::Followers)
    }

    /// Whether conversation partners are in it.
    pub const fn partners(self) -> bool {
        matches!(self, Self::Contacts | Self::Partners)
    }

    /// Whether the viewer of `facts` is in the subject's audience.
    pub const fn includes(self, facts: PairFacts) -> bool {
        (self.followers() && facts.follows()) || (self.partners() && facts.partners())
    }
}
