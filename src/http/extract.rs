//! Who is asking: the bearer token of a request, what it allows, and the client behind it.
//!
//! One extractor for each kind of caller that the API knows, so that a route's signature says who may call it. A
//! user's request marks the user as active. What a caller may *see* is decided by `presence`.

use super::Services;
use super::error::Failure;
use crate::auth::Identity;
use crate::auth::client::Client;
use crate::auth::token::bearer;
use crate::error::{Error, Result};
use crate::model::{Credential, KeyRole, Principal, UserId, UserIdentity};
use crate::presence::Viewer;
use poem::http::header::AUTHORIZATION;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::SecurityScheme;
use poem_openapi::auth::Bearer;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The header with which a service key reads as a user.
const ACT_AS: &str = "X-Act-As";

/// Somebody who reads: a user, or a key.
#[derive(Clone, Debug)]
pub struct Reader {
    identity: Identity,
    /// Whom a service key reads as.
    act_as: Option<UserId>,
}

impl Reader {
    /// The user whose eyes these are; `None` for a key that acts for no one.
    pub fn user_id(&self) -> Option<UserId> {
        match &self.identity.principal {
            Principal::User(user) => Some(user.id),
            Principal::Key { .. } => self.act_as,
        }
    }

    /// The user asking for themselves; `None` for a key, also one that acts for a user.
    pub fn asking_user(&self) -> Option<UserId> {
        match &self.identity.principal {
            Principal::User(user) => Some(user.id),
            Principal::Key { .. } => None,
        }
    }

    /// The viewer, for the one privacy function.
    ///
    /// # Errors
    /// When the store cannot tell who the viewer is.
    pub async fn viewer(&self, services: &Services) -> Result<Viewer> {
        services
            .presence
            .viewer(&self.identity.principal, self.act_as)
            .await
    }
}

/// A user reading for themselves, or a service key reading as a user.
#[derive(Clone, Debug)]
pub struct UserReader {
    /// The user.
    pub id: UserId,
    /// As a reader.
    pub reader: Reader,
}

/// A user who asks for themselves.
#[derive(Clone, Debug)]
pub struct UserCaller {
    /// Who, and with what.
    pub user: UserIdentity,
    identity: Identity,
}

impl UserCaller {
    /// The user.
    pub fn id(&self) -> UserId {
        self.user.id
    }

    /// The viewer, for the one privacy function.
    ///
    /// # Errors
    /// When the store cannot tell who the viewer is.
    pub async fn viewer(&self, services: &Services) -> Result<Viewer> {
        services
            .presence
            .viewer(&self.identity.principal, None)
            .await
    }
}

/// A caller who may mirror users and follows.
#[derive(Clone, Copy, Debug)]
pub struct Mirror {
    /// A service key: sets no role and changes no admin.
    pub is_service: bool,
}

/// Any valid token.
#[derive(SecurityScheme)]
#[oai(rename = "bearer", ty = "bearer", checker = "signed_in")]
pub struct SignedIn(pub Reader);

/// A user's token, or a service key with `X-Act-As`.
#[derive(SecurityScheme)]
#[oai(rename = "bearer", ty = "bearer", checker = "user_reads")]
pub struct UserReads(pub UserReader);

/// A user's token.
#[derive(SecurityScheme)]
#[oai(rename = "bearer", ty = "bearer", checker = "as_user")]
pub struct AsUser(pub UserCaller);

/// An admin's token or an admin key.
#[derive(SecurityScheme)]
#[oai(rename = "bearer", ty = "bearer", checker = "as_admin")]
pub struct AsAdmin(pub Identity);

/// A user's token or any API key, for itself: `X-Act-As` is for reading.
#[derive(SecurityScheme)]
#[oai(rename = "bearer", ty = "bearer", checker = "as_author")]
pub struct AsAuthor(pub Identity);

/// An admin's token, an admin key or a service key.
#[derive(SecurityScheme)]
#[oai(rename = "bearer", ty = "bearer", checker = "as_mirror")]
pub struct AsMirror(pub Mirror);

fn services(request: &Request) -> Result<&Arc<Services>> {
    request
        .data::<Arc<Services>>()
        .ok_or_else(|| Error::internal("the services are not mounted"))
}

async fn authenticate(request: &Request) -> Result<Identity> {
    let services = services(request)?;
    // poem-openapi's own reading, which came before, takes the first of several headers.
    let token = bearer(request.headers()).ok_or(Error::Unauthorized)?;
    let identity = services.auth.authenticate(token).await?;
    if let Principal::User(user) = &identity.principal {
        let sign_in = match user.credential {
            Credential::SignIn(id) => Some(id),
            Credential::Jwt { .. } => None,
        };
        services.presence.touch(user.id, sign_in);
    }
    Ok(identity)
}

/// Whom `identity` reads as: what `X-Act-As` says for a service key; from anyone else it is ignored.
async fn act_as(request: &Request, identity: &Identity) -> Result<Option<UserId>> {
    let header = request.headers().get(ACT_AS);
    let Some(header) = header.filter(|_| is_service(identity)) else {
        return Ok(None);
    };
    let unknown = || Error::invalid(ACT_AS, "must be the id of a user");
    let id = header.to_str().ok().and_then(|text| text.parse().ok());
    let id: UserId = id.ok_or_else(unknown)?;
    let user = services(request)?.store.user(id).await?;
    Ok(Some(user.ok_or_else(unknown)?.id))
}

async fn reader(request: &Request) -> Result<Reader> {
    let identity = authenticate(request).await?;
    let act_as = act_as(request, &identity).await?;
    Ok(Reader { identity, act_as })
}

async fn signed_in(request: &Request, _: Bearer) -> poem::Result<Reader> {
    Ok(reader(request).await.map_err(Failure::from)?)
}

async fn user_reads(request: &Request, _: Bearer) -> poem::Result<UserReader> {
    let reader = reader(request).await.map_err(Failure::from)?;
    let id = reader.user_id().ok_or_else(|| {
        forbidden("a user's token is needed here, or a service key with X-Act-As")
    })?;
    Ok(UserReader { id, reader })
}

async fn as_user(request: &Request, _: Bearer) -> poem::Result<UserCaller> {
    user_caller(request).await
}

async fn user_caller(request: &Request) -> poem::Result<UserCaller> {
    let identity = authenticate(request).await.map_err(Failure::from)?;
    match identity.principal.user().cloned() {
        Some(user) => Ok(UserCaller { user, identity }),
        None => Err(forbidden("a user's token is needed here")),
    }
}

async fn as_admin(request: &Request, _: Bearer) -> poem::Result<Identity> {
    let identity = authenticate(request).await.map_err(Failure::from)?;
    if identity.principal.is_admin() {
        Ok(identity)
    } else {
        Err(forbidden("only an admin may do this"))
    }
}

async fn as_author(request: &Request, _: Bearer) -> poem::Result<Identity> {
    Ok(authenticate(request).await.map_err(Failure::from)?)
}

async fn as_mirror(request: &Request, _: Bearer) -> poem::Result<Mirror> {
    let identity = authenticate(request).await.map_err(Failure::from)?;
    let is_service = is_service(&identity);
    if is_service || identity.principal.is_admin() {
        Ok(Mirror { is_service })
    } else {
        Err(forbidden("only an admin or a service key may do this"))
    }
}

fn is_service(identity: &Identity) -> bool {
    let service = KeyRole::Service;
    matches!(identity.principal, Principal::Key { role, .. } if role == service)
}

fn forbidden(message: &str) -> poem::Error {
    Failure::from(Error::forbidden(message)).into()
}

/// The client behind a request, for the services that keep or limit it.
#[derive(Clone, Debug)]
pub struct ClientOf(pub Client);

impl<'a> FromRequest<'a> for ClientOf {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let services = services(request).map_err(Failure::from)?;
        // Only a socket without an address (none that we listen on) has no peer.
        let peer = request
            .remote_addr()
            .as_socket_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.ip());
        let rules = &services.settings.client_rules;
        Ok(Self(Client::of(request.headers(), peer, None, rules)))
    }
}

/// A user's token where there is one; an API key is refused as it is where a user has to ask, a bad token as everywhere.
#[derive(Clone, Debug)]
pub struct MaybeUser(pub Option<UserCaller>);

impl<'a> FromRequest<'a> for MaybeUser {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        if !request.headers().contains_key(AUTHORIZATION) {
            return Ok(Self(None));
        }
        user_caller(request).await.map(Some).map(Self)
    }
}
