//! What administrators are shown and may do.

use super::PresenceService;
use crate::error::{Error, Result};
use crate::model::{ConnectionId, Credential, Person, Role, UserId};
use crate::presence::overview::{OnlinePage, Why};
use crate::presence::visibility::Viewer;
use crate::store::PeopleRef;

impl PresenceService {
    /// The first `limit` of those online with ids above `after`.
    pub fn online_page(&self, after: Option<UserId>, limit: usize) -> OnlinePage {
        let mut page = self.0.tracker.online_page(after, limit);
        for user in &mut page.users {
            user.last_active_at = self.0.active.get(user.user_id);
        }
        page
    }

    /// Why somebody is online or not: to the user named `viewer`, or without one to an administrator. `None` when there
    /// is no such user.
    ///
    /// # Errors
    /// `Invalid` when there is no user of the viewer's name.
    pub async fn why(&self, username: &str, viewer: Option<&str>) -> Result<Option<(Person, Why)>> {
        let viewer = match viewer {
            Some(name) => self.viewer_named(name).await?,
            None => Viewer::Admin,
        };
        let names = PeopleRef::Names(vec![username.to_owned()]);
        let found = self.0.store.people(viewer.user_id(), names).await?;
        let Some(person) = found.into_iter().next().flatten() else {
            return Ok(None);
        };
        let (connections, grace_until) = self.0.tracker.connections_of(person.id);
        let (view, rule) = self.view_and_rule(&viewer, &person);
        let why = Why {
            connections,
            grace_until,
            view,
            rule,
        };
        Ok(Some((person, why)))
    }

    /// A user as the one who looks. An admin's own row makes them see everything; that a host's token may claim more
    /// is not known here.
    async fn viewer_named(&self, name: &str) -> Result<Viewer> {
        let unknown = || Error::invalid("viewer", "must be the name of a user");
        let user = self.0.store.user_by_username(name).await?;
        let user = user.ok_or_else(unknown)?;
        if user.role == Role::Admin {
            return Ok(Viewer::Admin);
        }
        Ok(Viewer::User {
            id: user.id,
            activity_status: user.activity_status,
        })
    }

    /// Ends one connection at an administrator's word: its session ends as revoked, and its user has the grace to come
    /// back, since the credential is still good. `false` when there is no such connection.
    pub fn end_connection(&self, id: ConnectionId) -> bool {
        let Some((_, credential)) = self.0.tracker.kick(id) else {
            return false;
        };
        if let Credential::SignIn(sign_in) = credential {
            self.0.active.used(sign_in, self.0.clock.now());
        }
        true
    }
}
