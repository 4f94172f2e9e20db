//! Signing up and in, with a password or a provider's ID token, and out.

use super::document::Tag;
use super::envelope::{CreatedReply, MadeReply, Reply, created, made, ok};
use super::extract::{AsUser, ClientOf, MaybeUser};
use super::{Body, Services, users};
use crate::activity::Method;
use crate::auth::client::Client;
use crate::auth::{NewAccount, SignedIn, social};
use crate::error::Error;
use crate::model::{Credential, ProfileFields, Provider, Timestamp};
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

/// What a provider's sign-in gave to the app.
#[derive(Object)]
#[oai(rename_all = "camelCase")]
pub struct SocialSignIn {
    /// Who made the token.
    provider: Provider,
    /// The ID token.
    id_token: String,
    /// Exactly what the token's `nonce` claim holds; to be left out if the token has none.
    #[oai(nullable)]
    nonce: Option<String>,
    /// The name of the user that is created if there is none; without it one is derived.
    #[oai(nullable)]
    username: Option<String>,
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
        let ClientOf(Client { info, address }) = from;
        let prepared = self.0.auth.prepare_account(account, address).await?;
        let services = self.0.clone();
        let work = async move {
            let signed_in = services.auth.create_account(prepared, &info).await?;
            services.signed_in(&signed_in, Method::Email, &info);
            Ok(signed_in)
        };
        created(self.session(self.0.to_the_end(work).await?))
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
        let ClientOf(Client { info, address }) = from;
        let proven = self.0.auth.prove(&login, &password, address).await?;
        let services = self.0.clone();
        let work = async move {
            let signed_in = services.auth.sign_in_proven(proven, &info).await?;
            services.signed_in(&signed_in, Method::Email, &info);
            Ok(signed_in)
        };
        ok(self.session(self.0.to_the_end(work).await?))
    }

    /// Sign in with Google or Apple
    ///
    /// The person is the provider's `sub`; nothing is linked by e-mail address. Whoever comes for the first time gets a
    /// user (201). With a user's bearer token in the request the person is linked to that user instead. 400 when the
    /// provider is not set up here, 401 when the token is not accepted, 403 when accounts are the host application's to
    /// create, 409 when the name is taken or the person is linked to another user, 503 when the provider's keys are out
    /// of reach.
    #[oai(
        path = "/auth/social-verified",
        method = "post",
        operation_id = "signInSocially"
    )]
    async fn social(
        &self,
        caller: MaybeUser,
        from: ClientOf,
        body: Body<SocialSignIn>,
    ) -> MadeReply<Session> {
        let Body(request) = body;
        let request = social::SocialSignIn {
            provider: request.provider,
            id_token: request.id_token,
            nonce: request.nonce,
            username: request.username,
            link_to: caller.0.map(|user| user.id()),
        };
        let services = self.0.clone();
        let work = async move {
            let ClientOf(Client { info, address }) = from;
            let method = Method::Social(request.provider);
            let auth = &services.auth;
            let (signed_in, is_new) = auth.sign_in_socially(request, &info, address).await?;
            services.signed_in(&signed_in, method, &info);
            Ok((signed_in, is_new))
        };
        let (signed_in, is_new) = self.0.to_the_end(work).await?;
        made(is_new, self.session(signed_in))
    }

    /// Sign out
    ///
    /// Revokes this sign-in and ends its connections at once; other sign-ins of the user stay.
    #[oai(path = "/auth/signout", method = "post", operation_id = "signOut")]
    async fn sign_out(&self, user: AsUser, from: ClientOf) -> Reply<SignedOut> {
        let user = user.0.user;
        let Credential::SignIn(sign_in) = user.credential else {
            return Err(
                Error::forbidden("a host application's token cannot be revoked here").into(),
            );
        };
        let services = self.0.clone();
        let work = async move {
            let since = services.auth.sign_out(user.id, sign_in).await?;
            services.presence.end_sign_in(user.id, sign_in);
            let (name, client) = (&user.username, &from.0.info);
            services.activity.signed_out(user.id, name, since, client);
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
