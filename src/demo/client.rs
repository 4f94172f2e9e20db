//! What somebody of a demo uses to reach the server: requests, and one connection. They come as through a proxy that
//! names their address and country, which the demo's server believes of this machine.

use super::COUNTRY_HEADER;
use super::people::{Door, Person};
use crate::model::{Clock, Secret};
use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How long an answer may take; also the whole of connecting.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a host application's token is good for.
const TOKEN_SECONDS: i64 = 3_600;
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The server, as all of them reach it.
pub(super) struct Reach {
    address: SocketAddr,
    http: reqwest::Client,
    signing: EncodingKey,
    password: Secret,
    clock: Clock,
}

impl Reach {
    pub(super) fn new(
        address: SocketAddr,
        signing: &Secret,
        password: &Secret,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            // Nobody is reached but this machine, without TLS.
            .no_proxy()
            .tls_built_in_root_certs(false)
            .timeout(PATIENCE)
            .build()
            .context("cannot make a client for the demo's people")?;
        Ok(Self {
            address,
            http,
            signing: EncodingKey::from_secret(signing.expose().as_bytes()),
            password: password.clone(),
            clock,
        })
    }

    /// A token as the host application would give it.
    pub(super) fn host_token(&self, person: &Person) -> anyhow::Result<String> {
        let now = self.clock.now().as_millis() / 1_000;
        let claims = json!({ "sub": person.external_id(), "iat": now, "exp": now + TOKEN_SECONDS });
        jsonwebtoken::encode(&Header::default(), &claims, &self.signing).context("cannot sign")
    }

    /// Signs somebody in who has a password.
    pub(super) async fn sign_in(&self, person: &Person) -> anyhow::Result<String> {
        let body = json!({ "username": person.name.as_str(), "password": self.password.expose() });
        let data = self.post(person, None, "/auth/signin", &body).await?;
        let token = data["token"].as_str().context("no token came")?;
        Ok(token.to_owned())
    }

    /// Sends a request; the `data` of its answer.
    pub(super) async fn post(
        &self,
        person: &Person,
        token: Option<&str>,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(format!("http://{}{path}", self.address))
            .header(FORWARDED_FOR, person.address.to_string())
            .header(COUNTRY_HEADER, person.country)
            .header("x-device-type", person.device.as_str())
            .header("content-type", "application/json")
            .body(body.to_string());
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status}: {text}");
        let mut answer: Value = serde_json::from_str(&text)?;
        Ok(answer["data"].take())
    }

    /// Opens a connection; returns once the server has taken it.
    pub(super) async fn connect(&self, person: &Person, token: &str) -> anyhow::Result<Connection> {
        let connecting = self.attempt(person, token);
        let result = tokio::time::timeout(PATIENCE, connecting).await;
        result.context("the server does not answer")?
    }

    async fn attempt(&self, person: &Person, token: &str) -> anyhow::Result<Connection> {
        let path = match person.door {
            Door::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            Door::Raw => "/ws",
        };
        let mut request = format!("ws://{}{path}", self.address).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(FORWARDED_FOR, person.address.to_string().parse()?);
        headers.insert(COUNTRY_HEADER, person.country.parse()?);
        let stream = TcpStream::connect(self.address).await?;
        // The library's own buffers are made for a few connections and not for hundreds.
        let config = WebSocketConfig::default()
            .read_buffer_size(4_096)
            .write_buffer_size(0);
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        let mut connection = Connection {
            socket,
            door: person.door,
        };
        connection.join(person, token).await?;
        Ok(connection)
    }
}

/// An open connection. Dropped it is gone without a word.
pub(super) struct Connection {
    socket: WebSocketStream<TcpStream>,
    door: Door,
}

impl Connection {
    async fn join(&mut self, person: &Person, token: &str) -> anyhow::Result<()> {
        let auth = json!({
            "token": token,
            "deviceId": &*person.device_id,
            "deviceType": person.device.as_str(),
        });
        if self.door == Door::Raw {
            self.send(json!({ "event": "auth", "data": auth }).to_string())
                .await?;
            let first = self.text().await?;
            ensure!(first.contains("presence_snapshot"), "refused: {first}");
            return Ok(());
        }
        loop {
            let text = self.text().await?;
            match text.as_bytes() {
                [b'0', ..] => self.send(format!("40{auth}")).await?,
                [b'2', ..] => self.send("3".to_owned()).await?,
                [b'4', b'0', ..] => return Ok(()),
                _ => bail!("refused: {text}"),
            }
        }
    }

    /// Sends an event.
    pub(super) async fn emit(&mut self, name: &str, data: &Value) -> anyhow::Result<()> {
        let text = match self.door {
            Door::SocketIo => format!("42{}", json!([name, data])),
            Door::Raw => json!({ "event": name, "data": data }).to_string(),
        };
        self.send(text).await
    }

    /// Reads until the connection ends, and answers pings. Cancelling it loses nothing that matters.
    pub(super) async fn listen(&mut self) -> anyhow::Error {
        loop {
            let text = match self.text().await {
                Ok(text) => text,
                Err(error) => return error,
            };
            if self.door == Door::SocketIo
                && text.starts_with('2')
                && let Err(error) = self.send("3".to_owned()).await
            {
                return error;
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn close(mut self) -> anyhow::Result<()> {
        if self.door == Door::SocketIo {
            self.send("41".to_owned()).await?;
        }
        Ok(self.socket.close(None).await?)
    }

    async fn send(&mut self, text: String) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(text)).await?)
    }

    async fn text(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(Some(frame)))) => bail!("closed: {frame}"),
                Some(Ok(Message::Close(None))) | None => bail!("closed"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}
