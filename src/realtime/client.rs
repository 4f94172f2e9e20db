//! One authenticated client, whatever its transport: what it may ask for and what it is answered.

use super::Shared;
use super::wire::{People, Request, WireError};
use crate::auth::Identity;
use crate::model::{
    ClientInfo, ConnectionId, Credential, DeviceType, Principal, Timestamp, UserIdentity,
};
use crate::presence::link::{Link, Seen};
use crate::presence::tracked::NewConnection;
use crate::presence::{Ending, OpenError, WatchError};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a client says of itself when it connects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// The credential.
    pub token: Option<String>,
    /// A stable name of the device.
    pub device_id: Option<String>,
    /// `ios`, `android` or `web`.
    pub device_type: Option<String>,
}

impl Handshake {
    /// Characters of a device id at most.
    const DEVICE_ID_CHARS: usize = 100;

    /// The device, checked.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub fn device(&self) -> Result<(Option<Arc<str>>, Option<DeviceType>), WireError> {
        if let Some(id) = &self.device_id {
            crate::model::validate::text("deviceId", id, 1, Self::DEVICE_ID_CHARS)
                .map_err(|why| WireError::new("invalid", why.to_string()))?;
        }
        let device_type = match &self.device_type {
            Some(word) => {
                let read = word.parse::<DeviceType>();
                Some(read.map_err(|why| WireError::new("invalid", format!("deviceType {why}")))?)
            }
            None => None,
        };
        Ok((self.device_id.as_deref().map(Into::into), device_type))
    }
}

/// Where a client is told things and answered.
pub trait Answer: Link {
    /// Queues the acknowledgement of an event, or, where none was asked for, the `error` event of a failure.
    fn answer(&self, ack: Option<u64>, answer: Result<Value, WireError>);
}

/// A client that was taken.
pub struct Client {
    shared: Shared,
    user: UserIdentity,
    id: ConnectionId,
    link: Arc<dyn Answer>,
    limiter: DefaultDirectRateLimiter,
}

impl Client {
    /// Takes a connection of `identity`. Returns the snapshot it is owed; the caller holds the link's updates until
    /// it has queued that.
    ///
    /// # Errors
    /// `unauthorized` for an API key, `too_many_connections`, or the store's failure.
    pub(super) async fn open<L: Answer + 'static>(
        shared: &Shared,
        identity: Identity,
        device_id: Option<Arc<str>>,
        client: ClientInfo,
        link: Arc<L>,
    ) -> Result<(Self, Vec<Seen>), WireError> {
        let Principal::User(user) = identity.principal.clone() else {
            return Err(WireError::new(
                "unauthorized",
                "API keys cannot open realtime connections",
            ));
        };
        let new = NewConnection {
            user_id: user.id,
            username: user.username.shared(),
            device_id,
            credential: user.credential.clone(),
            expires_at: identity.expires_at,
            client: Arc::new(client),
            link: link.clone(),
        };
        let opened = shared
            .presence
            .open(new, user.role)
            .await
            .map_err(|error| {
                shared.counters.refused.inc();
                match error {
                    OpenError::TooMany => {
                        WireError::new("too_many_connections", "too many connections")
                    }
                    OpenError::Service(error) => error.into(),
                }
            })?;
        let settings = &shared.settings;
        let quota = Quota::per_second(settings.event_rate).allow_burst(settings.event_burst);
        let client = Self {
            shared: shared.clone(),
            user,
            id: opened.id,
            link,
            limiter: RateLimiter::direct(quota),
        };
        // Whoever revoked the credential since it was checked may not have found this connection to end.
        if let Err(error) = shared.auth.renew(&identity).await {
            client.closed(shared.clock.now(), Ending::Revoked);
            return Err(error.into());
        }
        client.touch();
        Ok((client, opened.snapshot))
    }

    /// Handles one event and queues its answer; what must come after that is let go only then.
    pub(super) async fn handle(&self, event: &str, data: Option<&RawValue>, ack: Option<u64>) {
        self.shared.counters.events.inc();
        if self.limiter.check().is_err() {
            let error = WireError::new("rate_limited", "too many events; slow down");
            return self.link.answer(ack, Err(error));
        }
        self.touch();
        let request = match Request::parse(event, data) {
            Ok(request) => request,
            Err(error) => return self.link.answer(ack, Err(error)),
        };
        let presence = &self.shared.presence;
        match request {
            Request::Heartbeat => self.link.answer(ack, Ok(json!({}))),
            Request::UpdatePresence { user_id, .. }
                if user_id.is_some_and(|id| id != self.user.id) =>
            {
                let error = WireError::new("forbidden", "userId must be your own");
                self.link.answer(ack, Err(error));
            }
            Request::UpdatePresence { status, .. } => {
                presence.set_status(self.user.id, self.id, status);
                self.link.answer(ack, Ok(json!({ "status": status })));
            }
            Request::Watch(whom) => {
                self.link.hold_presence();
                let link: Arc<dyn Link> = self.link.clone();
                let seen = presence.watch(self.user.id, self.id, &link, whom).await;
                let answer = seen.map(|seen| json!(People::from(&*seen)));
                self.link.answer(ack, answer.map_err(watch_error));
                self.link.release_presence();
            }
            Request::Unwatch(whom) => {
                let done = presence.unwatch(self.user.id, self.id, whom).await;
                self.link
                    .answer(ack, done.map(|()| json!({})).map_err(watch_error));
            }
        }
    }

    /// The connection ended at `at`. Only the first call counts.
    pub(super) fn closed(&self, at: Timestamp, ending: Ending) {
        self.shared
            .presence
            .closed(self.user.id, self.id, at, ending);
    }

    fn touch(&self) {
        let sign_in = match self.user.credential {
            Credential::SignIn(id) => Some(id),
            Credential::Jwt { .. } => None,
        };
        self.shared.presence.touch(self.user.id, sign_in);
    }
}

impl Drop for Client {
    /// Only a panic leaves a client open to here. Nobody may stay online for it.
    fn drop(&mut self) {
        self.closed(self.shared.clock.now(), Ending::Lost);
    }
}

fn watch_error(error: WatchError) -> WireError {
    match error {
        WatchError::TooMany => WireError::new("limit_exceeded", error.to_string()),
        WatchError::Store(error) => crate::error::Error::from(error).into(),
    }
}

#[cfg(test)]
pub(super) mod tests;
