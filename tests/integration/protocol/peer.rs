//! A client that says what it is told to, right or wrong, and shows what it hears.

use super::Echo;
use crate::harness::{Transport, soon};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::OnceLock;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Which of the two echo servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Engine,
    Socket,
}

impl Layer {
    /// With the parameters of a transport.
    pub fn path(self, transport: &str) -> String {
        let name = match self {
            Self::Engine => "engine.io",
            Self::Socket => "socket.io",
        };
        format!("/{name}/?EIO=4&transport={transport}")
    }
}

/// Status, content type and body.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

/// One for all tests, since making one takes long. It keeps no connection, which would belong to the runtime of a test.
fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let builder = reqwest::Client::builder().pool_max_idle_per_host(0);
        builder.build().expect("a client")
    })
}

/// Sends one request.
pub async fn request(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Answer {
    let method = method.parse().expect("a method");
    let url = format!("http://{address}{path}");
    let request = client().request(method, url).body(body.to_vec());
    let answer = soon("an answer", request.send()).await.expect("an answer");
    let content_type = answer.headers().get("content-type");
    let content_type = content_type.map_or("", |it| it.to_str().expect("text"));
    Answer {
        status: answer.status().as_u16(),
        content_type: content_type.to_owned(),
        body: soon("a body", answer.text()).await.expect("a body"),
    }
}

/// A session on HTTP long-polling.
#[derive(Clone)]
pub struct Polling {
    pub address: SocketAddr,
    pub layer: Layer,
    pub open: Value,
}

impl Polling {
    pub async fn open(echo: &Echo, layer: Layer) -> Self {
        let answer = request(echo.address, "GET", &layer.path("polling"), b"").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self {
            address: echo.address,
            layer,
            open: opened(&answer.body),
        }
    }

    pub fn sid(&self) -> &str {
        self.open["sid"].as_str().expect("an id")
    }

    pub fn path(&self) -> String {
        format!("{}&sid={}", self.layer.path("polling"), self.sid())
    }

    /// Status and body of a poll.
    pub async fn get(&self) -> (u16, String) {
        let answer = request(self.address, "GET", &self.path(), b"").await;
        (answer.status, answer.body)
    }

    /// Status and body of a post.
    pub async fn post(&self, body: &str) -> (u16, String) {
        let answer = request(self.address, "POST", &self.path(), body.as_bytes()).await;
        (answer.status, answer.body)
    }

    /// Posts what must be taken.
    pub async fn say(&self, body: &str) {
        assert_eq!(self.post(body).await, (200, "ok".into()), "{body}");
    }

    /// Polls what must come.
    pub async fn hear(&self, body: &str) {
        assert_eq!(self.get().await, (200, body.into()));
    }

    /// A WebSocket for this session, not yet probed.
    pub async fn websocket(&self) -> Socket {
        let path = format!("{}&sid={}", self.layer.path("websocket"), self.sid());
        Socket::connect(self.address, &path)
            .await
            .expect("accepted")
    }

    /// A WebSocket whose probe was answered.
    pub async fn probed(&self) -> Socket {
        let mut socket = self.websocket().await;
        socket.say("2probe").await;
        socket.hear("3probe").await;
        socket
    }

    /// The session is over, and the server knows nothing of it any more.
    pub async fn is_over(&self) {
        let (status, body) = self.get().await;
        assert_eq!(status, 400);
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["code"], 1, "{body}");
        assert_eq!(self.post("6").await.0, 400);
    }
}

/// The payload of an open packet.
pub fn opened(packet: &str) -> Value {
    let json = packet.strip_prefix('0').expect("an open packet");
    serde_json::from_str(json).expect("JSON")
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
    /// The end; the code of the WebSocket, if it had one.
    End(Option<u16>),
}

impl From<&str> for Heard {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A session on WebSocket.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Any WebSocket; the status if it was refused.
    pub async fn connect(address: SocketAddr, path: &str) -> Result<Self, u16> {
        let connecting = tokio_tungstenite::connect_async(format!("ws://{address}{path}"));
        match soon("a WebSocket", connecting).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A session from the start, and what its open packet says.
    pub async fn open(echo: &Echo, layer: Layer) -> (Self, Value) {
        let path = layer.path("websocket");
        let mut socket = Self::connect(echo.address, &path).await.expect("accepted");
        match socket.next().await {
            Heard::Text(packet) => (socket, opened(&packet)),
            other => panic!("no open packet: {other:?}"),
        }
    }

    pub async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    pub async fn say_binary(&mut self, bytes: &[u8]) {
        self.send(Message::binary(bytes.to_vec())).await;
    }

    /// A server that has seen enough may have closed already.
    async fn send(&mut self, message: Message) {
        let _ = soon("room", self.0.send(message)).await;
    }

    pub async fn next(&mut self) -> Heard {
        match soon("a message", self.0.next()).await {
            Some(Ok(Message::Text(text))) => Heard::Text(text.to_string()),
            Some(Ok(Message::Binary(bytes))) => Heard::Binary(bytes.to_vec()),
            Some(Ok(Message::Close(frame))) => Heard::End(frame.map(|it| it.code.into())),
            Some(Ok(other)) => panic!("unexpected: {other:?}"),
            Some(Err(_)) | None => Heard::End(None),
        }
    }

    pub async fn hear(&mut self, text: &str) {
        assert_eq!(self.next().await, text.into());
    }

    /// The server closes, with nothing before it.
    pub async fn is_closed(&mut self, code: u16) {
        assert_eq!(self.next().await, Heard::End(Some(code)));
    }
}

/// A session on any transport.
pub enum Peer {
    Polling(Polling, VecDeque<Heard>),
    Socket(Box<Socket>),
}

impl Peer {
    pub async fn open(echo: &Echo, layer: Layer, transport: Transport) -> Self {
        match transport {
            Transport::Polling => Self::Polling(Polling::open(echo, layer).await, VecDeque::new()),
            Transport::WebSocket => Self::Socket(Box::new(Socket::open(echo, layer).await.0)),
            Transport::Upgrade => {
                let polling = Polling::open(echo, layer).await;
                let mut socket = polling.probed().await;
                socket.say("5").await;
                Self::Socket(Box::new(socket))
            }
            Transport::Raw => panic!("not Engine.IO"),
        }
    }

    /// Says what may end the session.
    pub async fn say(&mut self, text: &str) {
        match self {
            Self::Polling(polling, _) => {
                let (status, _) = polling.post(text).await;
                assert!([200, 400].contains(&status), "{status}");
            }
            Self::Socket(socket) => socket.say(text).await,
        }
    }

    pub async fn say_binary(&mut self, bytes: &[u8]) {
        match self {
            Self::Polling(..) => self.say(&format!("b{}", STANDARD.encode(bytes))).await,
            Self::Socket(socket) => socket.say_binary(bytes).await,
        }
    }

    pub async fn next(&mut self) -> Heard {
        let (polling, waiting) = match self {
            Self::Polling(polling, waiting) => (polling, waiting),
            Self::Socket(socket) => return socket.next().await,
        };
        if let Some(heard) = waiting.pop_front() {
            return heard;
        }
        let (status, body) = polling.get().await;
        if status != 200 {
            assert_eq!(status, 400, "{body}");
            return Heard::End(None);
        }
        waiting.extend(
            body.split('\x1e')
                .map(|packet| match packet.strip_prefix('b') {
                    Some(encoded) => Heard::Binary(STANDARD.decode(encoded).expect("base64")),
                    None if packet == "1" => Heard::End(None),
                    None => packet.into(),
                }),
        );
        waiting.pop_front().expect("a packet at least")
    }

    pub async fn hear(&mut self, text: &str) {
        assert_eq!(self.next().await, text.into());
    }

    pub async fn hear_binary(&mut self, bytes: &[u8]) {
        assert_eq!(self.next().await, Heard::Binary(bytes.into()));
    }

    /// The server closes the session for a broken protocol, with nothing before it.
    pub async fn is_closed(&mut self) {
        let end = self.next().await;
        match self {
            Self::Polling(polling, _) => {
                assert_eq!(end, Heard::End(None));
                polling.is_over().await;
            }
            Self::Socket(_) => assert_eq!(end, Heard::End(Some(4007))),
        }
    }

    /// Connects to a namespace, without a payload; the id of the socket.
    pub async fn connect(&mut self, namespace: &str) -> String {
        let prefix = if namespace == "/" {
            String::new()
        } else {
            format!("{namespace},")
        };
        self.say(&format!("40{prefix}")).await;
        let sid = self.accepted(&prefix).await;
        self.hear(&format!(r#"42{prefix}["auth",{{}}]"#)).await;
        sid
    }

    /// Hears the answer to a CONNECT, which has nothing but the id of the socket.
    pub async fn accepted(&mut self, prefix: &str) -> String {
        let Heard::Text(packet) = self.next().await else {
            panic!("no answer to CONNECT");
        };
        let json = packet.strip_prefix(&format!("40{prefix}"));
        let json = json.unwrap_or_else(|| panic!("no answer to CONNECT: {packet}"));
        let json: Value = serde_json::from_str(json).expect("JSON");
        let keys: Vec<_> = json.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["sid"]);
        json["sid"].as_str().expect("an id").to_owned()
    }
}
