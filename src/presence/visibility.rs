//! The one function that decides who may see whose presence, for every surface.

use crate::model::{ActivityStatus, PairFacts, UserId};

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// An administrator: sees everything.
    Admin,
    /// Nobody in particular: no follows, no messages, no blocks, nothing hidden.
    Stranger,
    /// A user, with their own setting, since hiding is reciprocal.
    User {
        /// Who.
        id: UserId,
        /// Their own setting.
        activity_status: ActivityStatus,
    },
}

impl Viewer {
    /// The user id behind the viewer, if there is one.
    pub const fn user_id(&self) -> Option<UserId> {
        match self {
            Self::User { id, .. } => Some(*id),
            Self::Admin | Self::Stranger => None,
        }
    }
}

/// Why a viewer sees a subject's presence or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// An administrator looks.
    Admin,
    /// It is the viewer themself.
    Own,
    /// Nothing hides it.
    Visible,
    /// One blocks the other.
    Blocked,
    /// The subject hides from this viewer.
    SubjectHides,
    /// The viewer hides from the subject, and so does not see them either.
    ViewerHides,
}

impl Rule {
    /// Whether the presence is shown.
    pub const fn shows(self) -> bool {
        matches!(self, Self::Admin | Self::Own | Self::Visible)
    }
}

/// Decides for `viewer` looking at `subject`; `facts` are from the viewer's side.
pub const fn rule(
    viewer: &Viewer,
    subject: UserId,
    subject_setting: ActivityStatus,
    facts: PairFacts,
) -> Rule {
    let viewer_setting = match viewer {
        Viewer::Admin => return Rule::Admin,
        Viewer::Stranger => ActivityStatus::Everyone,
        Viewer::User {
            id,
            activity_status,
        } => {
            if id.0 == subject.0 {
                return Rule::Own;
            }
            *activity_status
        }
    };
    if facts.blocked() {
        Rule::Blocked
    } else if !shows_to(subject_setting, facts.viewer_is_contact()) {
        Rule::SubjectHides
    } else if !shows_to(viewer_setting, facts.subject_is_contact()) {
        Rule::ViewerHides
    } else {
        Rule::Visible
    }
}

const fn shows_to(setting: ActivityStatus, is_contact: bool) -> bool {
    match setting {
        ActivityStatus::Everyone => true,
        ActivityStatus::Contacts => is_contact,
        ActivityStatus::Nobody => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ActivityStatus::{Contacts, Everyone, Nobody};

    const SUBJECT: UserId = UserId(2);

    fn sees(viewer_setting: ActivityStatus, subject_setting: ActivityStatus, bits: u8) -> Rule {
        let viewer = Viewer::User {
            id: UserId(1),
            activity_status: viewer_setting,
        };
        rule(
            &viewer,
            SUBJECT,
            subject_setting,
            PairFacts::from_bits(bits),
        )
    }

    #[test]
    fn hiding_is_reciprocal_for_every_setting_and_fact() {
        for bits in 0..64 {
            let facts = PairFacts::from_bits(bits);
            for a in [Everyone, Contacts, Nobody] {
                for b in [Everyone, Contacts, Nobody] {
                    let there = sees(a, b, facts.bits()).shows();
                    let back = sees(b, a, facts.mirrored().bits()).shows();
                    assert_eq!(there, back, "{a} {b} {facts:?}");
                }
            }
        }
    }

    #[test]
    fn contacts_are_the_people_that_the_subject_chose() {
        assert_eq!(
            sees(Everyone, Contacts, PairFacts::FOLLOWS),
            Rule::SubjectHides
        );
        assert_eq!(
            sees(Everyone, Contacts, PairFacts::PARTNERS),
            Rule::SubjectHides
        );
        assert_eq!(sees(Everyone, Contacts, PairFacts::FOLLOWED), Rule::Visible);
        assert_eq!(
            sees(Everyone, Contacts, PairFacts::WRITTEN_TO),
            Rule::Visible
        );
        assert_eq!(
            sees(Contacts, Everyone, PairFacts::FOLLOWED),
            Rule::ViewerHides
        );
        assert_eq!(sees(Contacts, Everyone, PairFacts::WROTE), Rule::Visible);
    }

    #[test]
    fn nobody_sees_no_one_and_blocks_hide_both_ways() {
        assert_eq!(sees(Nobody, Everyone, 31), Rule::ViewerHides);
        assert_eq!(sees(Everyone, Nobody, 31), Rule::SubjectHides);
        assert_eq!(sees(Everyone, Everyone, PairFacts::BLOCKED), Rule::Blocked);
    }

    #[test]
    fn the_user_and_an_admin_always_see() {
        let own = Viewer::User {
            id: SUBJECT,
            activity_status: Nobody,
        };
        assert_eq!(rule(&own, SUBJECT, Nobody, PairFacts::default()), Rule::Own);
        let facts = PairFacts::from_bits(PairFacts::BLOCKED);
        assert_eq!(rule(&Viewer::Admin, SUBJECT, Nobody, facts), Rule::Admin);
        assert_eq!(
            rule(&Viewer::Stranger, SUBJECT, Everyone, PairFacts::default()),
            Rule::Visible
        );
        assert_eq!(
            rule(&Viewer::Stranger, SUBJECT, Contacts, PairFacts::default()),
            Rule::SubjectHides
        );
    }
}
