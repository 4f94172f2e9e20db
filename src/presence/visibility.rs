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
    /// The subject hides from everybody.
    SubjectNobody,
    /// The subject shows themself to their contacts, and the viewer is none.
    SubjectContacts,
    /// The viewer hides from everybody, and so sees no one either.
    ViewerNobody,
    /// The viewer shows themself to their contacts, and the subject is none.
    ViewerContacts,
}

impl Rule {
    /// Whether the presence is shown.
    pub const fn shows(self) -> bool {
        matches!(self, Self::Admin | Self::Own | Self::Visible)
    }

    /// A stable word for it, for administrators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Own => "own",
            Self::Visible => "visible",
            Self::Blocked => "blocked",
            Self::SubjectNobody => "subject_nobody",
            Self::SubjectContacts => "subject_contacts",
            Self::ViewerNobody => "viewer_nobody",
            Self::ViewerContacts => "viewer_contacts",
        }
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
        return Rule::Blocked;
    }
    match subject_setting {
        ActivityStatus::Nobody => return Rule::SubjectNobody,
        ActivityStatus::Contacts if !facts.viewer_is_contact() => return Rule::SubjectContacts,
        ActivityStatus::Contacts | ActivityStatus::Everyone => {}
    }
    match viewer_setting {
        ActivityStatus::Nobody => Rule::ViewerNobody,
        ActivityStatus::Contacts if !facts.subject_is_contact() => Rule::ViewerContacts,
        ActivityStatus::Contacts | ActivityStatus::Everyone => Rule::Visible,
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
            Rule::SubjectContacts
        );
        assert_eq!(
            sees(Everyone, Contacts, PairFacts::PARTNERS),
            Rule::SubjectContacts
        );
        assert_eq!(sees(Everyone, Contacts, PairFacts::FOLLOWED), Rule::Visible);
        assert_eq!(
            sees(Everyone, Contacts, PairFacts::WRITTEN_TO),
            Rule::Visible
        );
        assert_eq!(
            sees(Contacts, Everyone, PairFacts::FOLLOWED),
            Rule::ViewerContacts
        );
        assert_eq!(sees(Contacts, Everyone, PairFacts::WROTE), Rule::Visible);
    }

    #[test]
    fn nobody_sees_no_one_and_blocks_hide_both_ways() {
        assert_eq!(sees(Nobody, Everyone, 31), Rule::ViewerNobody);
        assert_eq!(sees(Everyone, Nobody, 31), Rule::SubjectNobody);
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
            Rule::SubjectContacts
        );
    }

    #[test]
    fn every_rule_has_a_word_and_the_first_that_hides_is_told() {
        // A block before a setting, the subject's own setting before the viewer's.
        let all = PairFacts::BLOCKED | 31;
        let told = [
            (sees(Nobody, Nobody, all), "blocked", false),
            (sees(Nobody, Nobody, 31), "subject_nobody", false),
            (sees(Nobody, Contacts, 0), "subject_contacts", false),
            (sees(Nobody, Everyone, 31), "viewer_nobody", false),
            (sees(Contacts, Everyone, 0), "viewer_contacts", false),
            (sees(Contacts, Contacts, 31), "visible", true),
            (Rule::Own, "own", true),
            (Rule::Admin, "admin", true),
        ];
        for (rule, word, shows) in told {
            assert_eq!((rule.as_str(), rule.shows()), (word, shows));
        }
    }
}
