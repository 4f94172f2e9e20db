//! What the server knows about two people, from the viewer's side.

use std::fmt;

/// The facts about a viewer and a subject that decide audience and visibility, as bits.
///
/// Kept in every interest entry of the hub, so that a transition reads no database.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct PairFacts(u8);

impl PairFacts {
    /// The viewer follows the subject.
    pub const FOLLOWS: u8 = 1;
    /// The subject follows the viewer.
    pub const FOLLOWED: u8 = 2;
    /// They share a conversation.
    pub const PARTNERS: u8 = 4;
    /// The viewer has sent a message in a conversation they share.
    pub const WROTE: u8 = 8;
    /// The subject has sent a message in a conversation they share.
    pub const WRITTEN_TO: u8 = 16;
    /// One of them blocks the other.
    pub const BLOCKED: u8 = 32;

    /// From bits, as the store reads them.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 63)
    }

    /// As bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// The viewer follows the subject.
    pub const fn follows(self) -> bool {
        self.has(Self::FOLLOWS)
    }

    /// They share a conversation, written in or not.
    pub const fn partners(self) -> bool {
        self.has(Self::PARTNERS)
    }

    /// One of them blocks the other.
    pub const fn blocked(self) -> bool {
        self.has(Self::BLOCKED)
    }

    /// The viewer is one of the subject's contacts: the subject follows or has written to the viewer.
    pub const fn viewer_is_contact(self) -> bool {
        self.has(Self::FOLLOWED | Self::WRITTEN_TO)
    }

    /// The subject is one of the viewer's contacts: the viewer follows or has written to the subject.
    pub const fn subject_is_contact(self) -> bool {
        self.has(Self::FOLLOWS | Self::WROTE)
    }

    /// The same pair seen from the other side.
    pub const fn mirrored(self) -> Self {
        let mut bits = self.0 & (Self::PARTNERS | Self::BLOCKED);
        if self.has(Self::FOLLOWS) {
            bits |= Self::FOLLOWED;
        }
        if self.has(Self::FOLLOWED) {
            bits |= Self::FOLLOWS;
        }
        if self.has(Self::WROTE) {
            bits |= Self::WRITTEN_TO;
        }
        if self.has(Self::WRITTEN_TO) {
            bits |= Self::WROTE;
        }
        Self(bits)
    }
}

impl fmt::Debug for PairFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PairFacts({:#08b})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::PairFacts;

    #[test]
    fn mirroring_twice_is_the_same_pair() {
        for bits in 0..64 {
            let facts = PairFacts::from_bits(bits);
            assert_eq!(facts.mirrored().mirrored(), facts);
            assert_eq!(
                facts.viewer_is_contact(),
                facts.mirrored().subject_is_contact()
            );
        }
    }
}
