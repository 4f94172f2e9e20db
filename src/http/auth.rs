//! Signing up, in and out with a password.

use super::document::Tag;
use super::envelope::{CreatedReply, Reply, created, ok};
use super::extract::{AsUser, ClientOf};
use super::{Body, Services, users};
use crate::auth::{NewAccount, SignedIn};
use crate::error::Error;
use crate::model::Credential;
use crate::model::{ProfileFields, Timestamp};
use crate::presence::Viewer;
use poem_openapi::{Object, OpenApi};
use std::sync::Arc;

/// Signing up, in and out.
pub struct AuthApi(pub Arc<Services>);

/// A new account.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct SignUp {
    /// 2 to 30 of `A-Z a-z 0-9 _ .` with at least one letter; unique, whatever the case.
    username: String,
    /// 8 to 1,024 characters.
    password: String,
    /// Unique e-mail address.
    #[oai(nullable)]
    email: Option<String>,
    /// Shown name, at most 100 characters.
    #[oai(nullable)]
    display_name: Option<String>,
    /// About, at most 500 characters.
    #[oai(nullable)]
    bio: Option<String>,
    /// An http or https URL of at most 2,048 bytes.
    #[oai(nullable)]
    profile_picture_url: Option<String>,
}

/// Name or address, and password.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct SignIn {
    /// The name, any case, or the e-mail address.
    #[oai(nullable)]
    username: Option<String>,
    /// The e-mail address, instead of the name.
    #[oai(nullable)]
    email: Option<String>,
    /// The password.
    password: String,
}

/// A fresh token and whose it is.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct Session {
    /// Goes into `Authorization: Bearer`.
    token: String,
    /// When the token ends.
    expires_at: Timestamp,
    /// Whose it is.
    user: super::wire::OwnProfile,
}

/// The sign-in is no longer valid.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct SignedOut {
    /// Always true.
    signed_out: bool,
}

#[OpenApi(tag = "Tag::Auth")]
impl AuthApi {
    /// Sign up
    ///
    /// Creates an account with a password and signs it in. Counts as signing in for the limits on that.
    #[oai(path = "/auth/signup", method = "post", operation_id = "signUp")]
    async fn sign_up(&self, from: ClientOf, body: Body<SignUp>) -> CreatedReply<Session> {
        let Body(new) = body;
        let account = NewAccount {
            username: new.username,
            password: new.password,
            profile: ProfileFields {
                display_name: new.display_name,
                bio: new.bio,
                profile_picture_url: new.profile_picture_url,
                email: new.email,
            },
        };
        let auth = &self.0.auth;
        let signed_in = auth.sign_up(account, &from.0.info, from.0.address).await?;
        created(self.session(signed_in))
    }

    /// Sign in
    ///
    /// With `username` or `email`, and the password. Failed attempts are limited by account and by address.
    #[oai(path = "/auth/signin", method = "post", operation_id = "signIn")]
    async fn sign_in(&self, from: ClientOf, body: Body<SignIn>) -> Reply<Session> {
        let Body(SignIn {
            username,
            email,
            password,
        }) = body;
        let login = username
            .or(email)
            .ok_or_else(|| Error::BadRequest("username or email is required".into()))?;
        let auth = &self.0.auth;
        let signed_in = auth
            .sign_in(&login, &password, &from.0.info, from.0.address)
            .await?;
        ok(self.session(signed_in))
    }

    /// Sign out
    ///
    /// Revokes this sign-in and ends its connections at once; other sign-ins of the user stay.
    #[oai(path = "/auth/signout", method = "post", operation_id = "signOut")]
    async fn sign_out(&self, user: AsUser) -> Reply<SignedOut> {
        let user = user.0.user;
        let Credential::SignIn(sign_in) = user.credential else {
            return Err(
                Error::forbidden("a host application's token cannot be revoked here").into(),
            );
        };
        let services = self.0.clone();
        let work = async move {
            services.auth.sign_out(user.id, sign_in).await?;
            services.presence.end_sign_in(user.id, sign_in);
            Ok(())
        };
        self.0.to_the_end(work).await?;
        ok(SignedOut { signed_out: true })
    }

    fn session(&self, signed_in: SignedIn) -> Session {
        let viewer = Viewer::User {
            id: signed_in.user.id,
            activity_status: signed_in.user.activity_status,
        };
        Session {
            token: signed_in.token.expose().to_owned(),
            expires_at: signed_in.expires_at,
            user: users::own_profile(&self.0, &viewer, signed_in.user),
        }
    }
}
