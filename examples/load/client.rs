//! One connection: TCP, WebSocket, sign-in, and single frames in and out. What they mean is for others.

use super::graph::Id;
use super::target::Target;
use super::wire::{self, Incoming, Proto};
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How long a server may take to answer our close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An open, accepted connection of one person.
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    proto: Proto,
    acks: u64,
}

impl Client {
    /// Connects and signs in; returns once the server has accepted it. The snapshot is the next thing to come.
    pub async fn open(target: &Target, user: Id) -> Result<Self, String> {
        match tokio::time::timeout(target.connect_timeout, Self::attempt(target, user)).await {
            Ok(result) => result,
            Err(_) => Err("no answer in time".into()),
        }
    }

    async fn attempt(target: &Target, user: Id) -> Result<Self, String> {
        let token = target.token(user).map_err(|e| format!("token: {e}"))?;
        let path = match target.proto {
            Proto::Socketio => "/socket.io/?EIO=4&transport=websocket",
            Proto::Ws => "/ws",
        };
        let mut request = format!("ws://{}{path}", target.address)
            .into_client_request()
            .map_err(|e| format!("request: {e}"))?;
        if target.proto == Proto::Ws {
            let bearer = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|e| format!("token: {e}"))?;
            request.headers_mut().insert(AUTHORIZATION, bearer);
        }
        let stream = target
            .dial(user)
            .await
            .map_err(|e| format!("connect: {e}"))?;
        // The library's own buffers are 128 KiB for each direction, too much for thousands of connections.
        let config = WebSocketConfig::default()
            .read_buffer_size(2_048)
            .write_buffer_size(0);
        let (socket, _) = client_async_with_config(request, stream, Some(config))
            .await
            .map_err(|e| format!("upgrade: {e}"))?;
        let mut client = Self {
            socket,
            proto: target.proto,
            acks: 0,
        };
        if target.proto == Proto::Socketio {
            client.join(&token).await?;
        }
        Ok(client)
    }

    async fn join(&mut self, token: &str) -> Result<(), String> {
        loop {
            match self.next().await? {
                Incoming::Open => self.send(wire::connect(token)).await?,
                Incoming::Connected => return Ok(()),
                Incoming::Ping => self.pong().await?,
                Incoming::Refused(why) => return Err(format!("refused: {why}")),
                other => return Err(format!("{other:?} before the namespace was joined")),
            }
        }
    }

    /// The next frame. Cancelling it loses nothing. The end of the connection is an error that says how it ended.
    pub async fn next(&mut self) -> Result<Incoming, String> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return wire::decode(self.proto, &text),
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or_else(
                        || "closed by the server".to_owned(),
                        |f| {
                            format!(
                                "closed by the server with {} {}",
                                u16::from(f.code),
                                f.reason
                            )
                        },
                    ));
                }
                // The library answers WebSocket pings itself.
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(format!("read: {e}")),
                None => return Err("closed by the server".into()),
            }
        }
    }

    /// Answers Engine.IO's heartbeat.
    pub async fn pong(&mut self) -> Result<(), String> {
        self.send(wire::PONG).await
    }

    /// Goes to the foreground or the background. Returns the number of the acknowledgement to come.
    pub async fn update_presence(&mut self, online: bool) -> Result<u64, String> {
        let status = if online {
            r#"{"status":"online"}"#
        } else {
            r#"{"status":"offline"}"#
        };
        self.request("update_presence", status).await
    }

    /// Sends a heartbeat. Returns the number of the acknowledgement to come.
    pub async fn heartbeat(&mut self) -> Result<u64, String> {
        self.request("heartbeat", "{}").await
    }

    async fn request(&mut self, name: &str, data: &str) -> Result<u64, String> {
        self.acks += 1;
        self.send(wire::event(self.proto, name, data, self.acks))
            .await?;
        Ok(self.acks)
    }

    async fn send(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), String> {
        self.socket
            .send(Message::Text(text.into()))
            .await
            .map_err(|e| format!("write: {e}"))
    }

    /// Says good-bye and waits for the server's.
    pub async fn close(mut self) -> Result<(), String> {
        if self.proto == Proto::Socketio {
            self.send(wire::DISCONNECT).await?;
        }
        match self.socket.close(None).await {
            Ok(()) | Err(Error::ConnectionClosed) => {}
            Err(e) => return Err(format!("close: {e}")),
        }
        let drain = async { while let Some(Ok(_)) = self.socket.next().await {} };
        tokio::time::timeout(CLOSE_TIMEOUT, drain)
            .await
            .map_err(|_| "the server did not answer the close frame".into())
    }
}
