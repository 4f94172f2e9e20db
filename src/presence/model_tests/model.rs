//! The plain facts, and what follows from them by SPEC.md section 1.

use crate::model::ActivityStatus::{self, Contacts, Everyone, Nobody};
use crate::model::{Audience, SignInId, Status, Timestamp};
use std::collections::{HashMap, HashSet};

/// A user, by their place in the cast.
pub type Who = usize;

/// What somebody may see of somebody.
pub type View = (Status, Option<Timestamp>);

#[derive(Clone)]
pub struct Connection {
    pub user: Who,
    pub sign_in: SignInId,
    pub foreground: bool,
    pub watching: HashSet<Who>,
}

#[derive(Clone, Default)]
struct Person {
    online: bool,
    last_seen: Option<Timestamp>,
    last_end: Option<Timestamp>,
    grace: Option<SignInId>,
}

#[derive(Clone)]
pub struct Model {
    pub audience: Audience,
    pub grace: bool,
    pub settings: Vec<ActivityStatus>,
    pub follows: HashSet<(Who, Who)>,
    pub blocks: HashSet<(Who, Who)>,
    pub conversations: HashMap<i64, HashSet<Who>>,
    pub wrote: HashSet<(i64, Who)>,
    pub connections: HashMap<u64, Connection>,
    people: Vec<Person>,
}

impl Model {
    pub fn new(audience: Audience, grace: bool, people: usize) -> Self {
        Self {
            audience,
            grace,
            settings: vec![Everyone; people],
            follows: HashSet::new(),
            blocks: HashSet::new(),
            conversations: HashMap::new(),
            wrote: HashSet::new(),
            connections: HashMap::new(),
            people: vec![Person::default(); people],
        }
    }

    // --- what may be seen ---------------------------------------------------------------------------------

    fn is_admin(&self, who: Who) -> bool {
        who + 1 == self.people.len()
    }

    fn chose(&self, who: Who, other: Who) -> bool {
        self.follows.contains(&(who, other))
            || self
                .conversations
                .iter()
                .any(|(id, there)| there.contains(&other) && self.wrote.contains(&(*id, who)))
    }

    fn shows(&self, who: Who, to: Who) -> bool {
        match self.settings[who] {
            Everyone => true,
            Contacts => self.chose(who, to),
            Nobody => false,
        }
    }

    fn is_blocked(&self, a: Who, b: Who) -> bool {
        self.blocks.contains(&(a, b)) || self.blocks.contains(&(b, a))
    }

    pub fn is_visible(&self, viewer: Who, subject: Who) -> bool {
        self.is_admin(viewer)
            || viewer == subject
            || (!self.is_blocked(viewer, subject)
                && self.shows(subject, viewer)
                && self.shows(viewer, subject))
    }

    pub fn view(&self, viewer: Who, subject: Who) -> View {
        let person = &self.people[subject];
        match (self.is_visible(viewer, subject), person.online) {
            (false, _) => (Status::Offline, None),
            (true, true) => (Status::Online, None),
            (true, false) => (Status::Offline, person.last_seen),
        }
    }

    /// As a request is answered: while online, the end of the stretch before.
    pub fn answer(&self, viewer: Who, subject: Who) -> (bool, Option<Timestamp>) {
        if !self.is_visible(viewer, subject) {
            return (false, None);
        }
        let person = &self.people[subject];
        (person.online, person.last_seen)
    }

    pub fn in_audience(&self, viewer: Who, subject: Who) -> bool {
        let partners = || {
            self.conversations
                .values()
                .any(|there| there.contains(&viewer) && there.contains(&subject))
        };
        viewer != subject
            && ((self.audience.followers() && self.follows.contains(&(viewer, subject)))
                || (self.audience.partners() && partners()))
    }

    /// Whether a connection is to be told of `subject`.
    pub fn is_told(&self, connection: u64, subject: Who) -> bool {
        self.connections.get(&connection).is_some_and(|c| {
            c.user != subject
                && (self.in_audience(c.user, subject) || c.watching.contains(&subject))
        })
    }

    // --- what happens -------------------------------------------------------------------------------------

    fn any_foreground(&self, who: Who) -> bool {
        self.connections
            .values()
            .any(|c| c.user == who && c.foreground)
    }

    pub fn came(&mut self, who: Who) {
        let person = &mut self.people[who];
        person.grace = None;
        if !person.online {
            person.online = true;
            person.last_end = None;
        }
    }

    /// A connection was in the foreground and is no longer.
    pub fn went(&mut self, who: Who, sign_in: SignInId, at: Timestamp, is_immediate: bool) {
        self.people[who].last_end = self.people[who].last_end.max(Some(at));
        if self.any_foreground(who) {
            return;
        }
        if is_immediate || !self.grace {
            self.offline(who);
        } else {
            self.people[who].grace = Some(sign_in);
        }
    }

    pub fn grace_of(&self, who: Who) -> Option<SignInId> {
        self.people[who].grace
    }

    pub fn offline(&mut self, who: Who) {
        let person = &mut self.people[who];
        person.grace = None;
        person.online = false;
        person.last_seen = person.last_seen.max(person.last_end);
    }

    pub fn block(&mut self, a: Who, b: Who) {
        self.blocks.insert((a, b));
        self.follows.remove(&(a, b));
        self.follows.remove(&(b, a));
    }
}
