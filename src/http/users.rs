//! One's own profile, and those of others.

use super::document::Tag;
use super::envelope::{Reply, ok};
use super::extract::{AsUser, SignedIn, UserReads};
use super::wire::{OwnProfile, Profile, person};
use super::{Body, Services};
use crate::error::{Error, Result};
use crate::model::{ActivityStatus, PairFacts, ProfileFields, User, UserId, Username};
use crate::presence::Viewer;
use crate::store::UserChange;
use poem_openapi::param::Path;
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{Object, OpenApi};
use std::sync::Arc;

/// Profiles.
pub struct UsersApi(pub Arc<Services>);

/// What to change; a key that is left out stays as it is, `null` empties an optional field.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct ProfileChange {
    /// A new name.
    username: MaybeUndefined<String>,
    /// Shown name, at most 100 characters.
    #[oai(nullable)]
    display_name: MaybeUndefined<String>,
    /// About, at most 500 characters.
    #[oai(nullable)]
    bio: MaybeUndefined<String>,
    /// An http or https URL of at most 2,048 bytes.
    #[oai(nullable)]
    profile_picture_url: MaybeUndefined<String>,
    /// Unique e-mail address.
    #[oai(nullable)]
    email: MaybeUndefined<String>,
    /// Who may see one's presence, last seen, last active and last login. Reciprocal.
    activity_status: MaybeUndefined<ActivityStatus>,
}

/// The account is no more.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Erased {
    /// Always true.
    erased: bool,
}

#[OpenApi(tag = "Tag::Users")]
impl UsersApi {
    /// One's own profile
    #[oai(path = "/users/me", method = "get", operation_id = "getOwnProfile")]
    async fn me(&self, user: UserReads) -> Reply<OwnProfile> {
        let UserReads(user) = user;
        let viewer = user.reader.viewer(&self.0).await?;
        ok(self.own(&viewer, user.id).await?)
    }

    /// Change one's own profile
    #[oai(
        path = "/users/me",
        method = "patch",
        operation_id = "changeOwnProfile"
    )]
    async fn change_me(&self, user: AsUser, body: Body<ProfileChange>) -> Reply<OwnProfile> {
        let id = user.0.id();
        let change = body.0.into_change()?;
        let services = self.0.clone();
        let work = async move { services.change_user(id, change).await };
        self.0.to_the_end(work).await?;
        let viewer = user.0.viewer(&self.0).await?;
        ok(self.own(&viewer, id).await?)
    }

    /// Erase oneself
    ///
    /// At once and for good: the profile, sign-ins, sessions, follows and blocks either way, and the messages one
    /// sent. Connections end, the token is no longer valid, and to others one was never there. Conversations stay to
    /// those who are left in them.
    #[oai(
        path = "/users/me",
        method = "delete",
        operation_id = "eraseOwnAccount"
    )]
    async fn erase_me(&self, user: AsUser) -> Reply<Erased> {
        let (id, services) = (user.0.id(), self.0.clone());
        let work = async move { services.erase_user(id).await };
        self.0.to_the_end(work).await?;
        ok(Erased { erased: true })
    }

    /// Somebody's profile
    ///
    /// Presence that they hide from the caller looks like never seen.
    #[oai(path = "/users/:username", method = "get", operation_id = "getProfile")]
    async fn profile(
        &self,
        caller: SignedIn,
        /// The name, any case.
        username: Path<String>,
    ) -> Reply<Profile> {
        let SignedIn(reader) = caller;
        let username = path_name(&username)?;
        let found = self.0.store.profile(reader.user_id(), username.as_str());
        let (user, facts) = found.await?.ok_or(Error::NotFound("user"))?;
        let viewer = reader.viewer(&self.0).await?;
        let seen = self.0.presence.view(&viewer, &person(&user, facts));
        ok(Profile::new(user, facts, seen))
    }

    async fn own(&self, viewer: &Viewer, id: UserId) -> Result<OwnProfile> {
        let user = self.0.store.user(id).await?;
        let user = user.ok_or(Error::NotFound("user"))?;
        Ok(own_profile(&self.0, viewer, user))
    }
}

/// `user` as they see themselves.
pub(super) fn own_profile(services: &Services, viewer: &Viewer, user: User) -> OwnProfile {
    let seen = services
        .presence
        .view(viewer, &person(&user, PairFacts::default()));
    OwnProfile::new(user, seen)
}

/// The name in a path. What cannot be a name is nobody's.
pub(super) fn path_name(text: &str) -> Result<Username> {
    Username::new(text).map_err(|_| Error::NotFound("user"))
}

impl ProfileChange {
    fn into_change(self) -> Result<UserChange> {
        let username = given("username", self.username)?
            .map(|name| Username::new(&name))
            .transpose()?;
        if username.as_ref().is_some_and(Username::is_reserved) {
            return Err(Error::invalid("username", "is a reserved name"));
        }
        let activity_status = given("activityStatus", self.activity_status)?;
        let fields = [
            self.display_name,
            self.bio,
            self.profile_picture_url,
            self.email,
        ];
        let profile = |emptied: bool| {
            let [display_name, bio, profile_picture_url, email] =
                fields.clone().map(|field| match field {
                    MaybeUndefined::Undefined => None,
                    MaybeUndefined::Null => emptied.then(String::new),
                    MaybeUndefined::Value(text) => Some(text),
                });
            ProfileFields {
                display_name,
                bio,
                profile_picture_url,
                email,
            }
        };
        // Checked without the emptied fields: to the store an empty text means none, to the checks it is one.
        profile(false).check()?;
        Ok(UserChange {
            username,
            profile: profile(true),
            activity_status,
            ..UserChange::default()
        })
    }
}

/// A field that can be changed but not emptied.
fn given<T>(field: &str, value: MaybeUndefined<T>) -> Result<Option<T>> {
    match value {
        MaybeUndefined::Undefined => Ok(None),
        MaybeUndefined::Null => Err(Error::BadRequest(format!("{field} must not be null"))),
        MaybeUndefined::Value(value) => Ok(Some(value)),
    }
}
