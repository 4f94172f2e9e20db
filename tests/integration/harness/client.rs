//! A realtime client: the same for each way to connect, so that one test runs over all of them.

mod polling;
mod websocket;

use super::{Server, User, soon};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use polling::Polling;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
pub use websocket::WebSocket;

/// How to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Socket.IO over long polling alone.
    Polling,
    /// Socket.IO over WebSocket from the start.
    WebSocket,
    /// Socket.IO over polling, then upgraded, as stock clients do.
    Upgrade,
    /// Raw WebSocket at `/ws`.
    Raw,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Polling, Self::WebSocket, Self::Upgrade, Self::Raw];
}

/// What a client shows when it connects.
#[derive(Clone, Debug, Default)]
pub struct Connect {
    pub token: String,
    pub device_id: Option<String>,
    pub device_type: Option<String>,
}

/// What the server said.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Socket.IO CONNECT.
    Connected,
    /// Socket.IO CONNECT_ERROR.
    Refused(Value),
    Event(String, Value),
    Ack(u64, Value),
    /// Socket.IO DISCONNECT.
    Disconnected,
    /// The transport's end: code and reason of a WebSocket, where the server gave them.
    Closed(Option<u16>, String),
}

type Sayings = mpsc::UnboundedSender<Said>;

enum Pipe {
    Polling(Polling),
    WebSocket(websocket::Sender),
}

/// One connection.
pub struct Client {
    pub transport: Transport,
    said: mpsc::UnboundedReceiver<Said>,
    /// Came while something else was waited for.
    held: VecDeque<Said>,
    pipe: Option<Pipe>,
    reading: JoinHandle<()>,
    next_ack: u64,
}

impl From<&User> for Connect {
    fn from(user: &User) -> Self {
        Self {
            token: user.token.clone(),
            ..Self::default()
        }
    }
}

impl Connect {
    /// Of a device with a name.
    pub fn on_device(user: &User, device_id: &str) -> Self {
        Self {
            device_id: Some(device_id.into()),
            ..user.into()
        }
    }

    /// The Socket.IO CONNECT payload.
    fn payload(&self) -> Value {
        let mut payload = json!({ "token": self.token });
        if let Some(id) = &self.device_id {
            payload["deviceId"] = json!(id);
        }
        if let Some(word) = &self.device_type {
            payload["deviceType"] = json!(word);
        }
        payload
    }

    fn query(&self) -> String {
        let mut query = String::new();
        for (name, value) in [
            ("deviceId", &self.device_id),
            ("deviceType", &self.device_type),
        ] {
            if let Some(value) = value {
                query += &format!("{name}={value}&");
            }
        }
        query
    }
}

impl Client {
    /// Opens a transport and shows who one is; what the server says to that comes from [`Client::next`].
    pub async fn open(address: SocketAddr, transport: Transport, connect: Connect) -> Self {
        let (says, said) = mpsc::unbounded_channel();
        let open = format!("40{}", connect.payload());
        let (pipe, reading) = match transport {
            Transport::Raw => {
                let socket = WebSocket::raw(address, &connect.query(), &connect.token).await;
                let (sender, reading) = socket.run(says, false);
                (Pipe::WebSocket(sender), reading)
            }
            Transport::WebSocket => {
                let mut socket = WebSocket::engine(address, None).await;
                socket.send_text(&open).await;
                let (sender, reading) = socket.run(says, true);
                (Pipe::WebSocket(sender), reading)
            }
            Transport::Polling => {
                let polling = Polling::open(address).await;
                polling.post(&open).await;
                let reading = polling.run(says);
                (Pipe::Polling(polling), reading)
            }
            Transport::Upgrade => {
                let polling = Polling::open(address).await;
                polling.post(&open).await;
                match polling.upgrade(&says).await {
                    Some(socket) => {
                        let (sender, reading) = socket.run(says, true);
                        (Pipe::WebSocket(sender), reading)
                    }
                    None => {
                        let reading = polling.run(says);
                        (Pipe::Polling(polling), reading)
                    }
                }
            }
        };
        Self {
            transport,
            said,
            held: VecDeque::new(),
            pipe: Some(pipe),
            reading,
            next_ack: 0,
        }
    }

    /// Connects, and gives the snapshot too.
    pub async fn with_snapshot(
        server: &Server,
        transport: Transport,
        connect: impl Into<Connect>,
    ) -> (Self, Value) {
        let mut client = Self::open(server.address, transport, connect.into()).await;
        if transport != Transport::Raw {
            assert_eq!(client.next().await, Said::Connected);
        }
        let snapshot = client.event("presence_snapshot").await;
        (client, snapshot)
    }

    /// Connects; the snapshot is read.
    pub async fn connect(
        server: &Server,
        transport: Transport,
        connect: impl Into<Connect>,
    ) -> Self {
        Self::with_snapshot(server, transport, connect).await.0
    }

    /// What comes next.
    pub async fn next(&mut self) -> Said {
        match self.held.pop_front() {
            Some(said) => said,
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Said {
        let what = format!("word over {:?}", self.transport);
        let said = soon(&what, self.said.recv()).await;
        said.unwrap_or(Said::Closed(None, "the end was read already".into()))
    }

    /// The data of what comes next, which must be this event.
    pub async fn event(&mut self, name: &str) -> Value {
        match self.next().await {
            Said::Event(event, data) if event == name => data,
            other => panic!("expected {name}, got {other:?}"),
        }
    }

    /// The next must be a `presence_update`; of whom, and to what.
    pub async fn update(&mut self, user: &User, status: &str) -> Value {
        let update = self.event("presence_update").await;
        let whose = (update["username"].as_str(), update["status"].as_str());
        assert_eq!(
            whose,
            (Some(&*user.name), Some(status)),
            "over {:?}: {update}",
            self.transport
        );
        assert_eq!(update["userId"], user.id);
        super::time(&update["timestamp"]);
        let has_last_seen = update.get("lastSeen").is_some();
        assert_eq!(has_last_seen, status == "offline", "{update}");
        update
    }

    /// Sends an event that is not to be acknowledged.
    pub async fn emit(&mut self, name: &str, data: Value) {
        let text = match self.transport {
            Transport::Raw => json!({ "event": name, "data": data }).to_string(),
            _ => format!("42{}", json!([name, data])),
        };
        self.send_text(&text).await;
    }

    /// Sends an event and gives its acknowledgement; what comes before that is kept.
    pub async fn ask(&mut self, name: &str, data: Value) -> Value {
        let id = self.next_ack;
        self.next_ack += 1;
        let text = match self.transport {
            Transport::Raw => json!({ "event": name, "data": data, "ack": id }).to_string(),
            _ => format!("42{id}{}", json!([name, data])),
        };
        self.send_text(&text).await;
        loop {
            match self.receive().await {
                Said::Ack(number, data) if number == id => return data,
                closed @ Said::Closed(..) => panic!("no answer to {name}: {closed:?}"),
                said => self.held.push_back(said),
            }
        }
    }

    /// What came while an acknowledgement was waited for.
    pub fn take_held(&mut self) -> Vec<Said> {
        self.held.drain(..).collect()
    }

    /// The `data` of a request that succeeds.
    pub async fn succeed(&mut self, name: &str, data: Value) -> Value {
        let ack = self.ask(name, data).await;
        assert_eq!(ack["success"], true, "{ack}");
        ack["data"].clone()
    }

    /// The code of a request that fails.
    pub async fn fail(&mut self, name: &str, data: Value) -> String {
        let ack = self.ask(name, data).await;
        assert_eq!(ack["success"], false, "{ack}");
        assert!(ack["error"]["message"].is_string(), "{ack}");
        ack["error"]["code"].as_str().expect("a code").to_owned()
    }

    /// To the foreground (`online`) or the background (`offline`).
    pub async fn go(&mut self, status: &str) {
        let answer = self
            .succeed("update_presence", json!({ "status": status }))
            .await;
        assert_eq!(answer, json!({ "status": status }));
    }

    /// Sends a packet (Socket.IO) or text (raw) as it is.
    pub async fn send_text(&mut self, text: &str) {
        match self.pipe.as_mut().expect("open") {
            Pipe::Polling(polling) => polling.post(text).await,
            Pipe::WebSocket(sender) => sender.text(text).await,
        }
    }

    /// Sends a packet that may be answered with an error.
    pub async fn send_anyhow(&mut self, text: &str) {
        match self.pipe.as_mut().expect("open") {
            Pipe::Polling(polling) => {
                polling.post_anyhow(text).await;
            }
            Pipe::WebSocket(sender) => sender.text(text).await,
        }
    }

    /// Sends an attachment.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        match self.pipe.as_mut().expect("open") {
            Pipe::Polling(polling) => polling.post(&format!("b{}", STANDARD.encode(bytes))).await,
            Pipe::WebSocket(sender) => sender.message(Message::binary(bytes.to_vec())).await,
        }
    }

    /// Sends a WebSocket message as it is.
    pub async fn send_message(&mut self, message: Message) {
        match self.pipe.as_mut().expect("open") {
            Pipe::Polling(_) => panic!("no WebSocket"),
            Pipe::WebSocket(sender) => sender.message(message).await,
        }
    }

    /// Says goodbye as a stock client does, and waits until the server has taken it.
    pub async fn close(mut self) {
        match self.pipe.take().expect("open") {
            Pipe::Polling(polling) => {
                polling.post("41").await;
                self.reading.abort();
            }
            Pipe::WebSocket(sender) => {
                if self.transport != Transport::Raw {
                    sender.text("41").await;
                }
                sender.close().await;
                // Ends when the server has answered the close frame.
                soon("the end", &mut self.reading).await.expect("no panic");
            }
        }
    }

    /// Ends the transport without a word.
    pub async fn lose(mut self) {
        if let Some(Pipe::Polling(polling)) = &self.pipe {
            polling.polls().await;
        }
        self.reading.abort();
        let _ = (&mut self.reading).await;
        self.pipe = None;
    }

    /// Falls silent with the transport open: reads nothing, answers no ping.
    pub async fn freeze(&mut self) {
        match self.pipe.as_ref().expect("open") {
            // A poll that waits must go on waiting: to drop it would be to end it.
            Pipe::Polling(polling) => polling.freeze(),
            Pipe::WebSocket(_) => {
                self.reading.abort();
                let _ = (&mut self.reading).await;
            }
        }
    }

    /// The next must be the transport's end; its code, where there is one.
    pub async fn closed(&mut self) -> (Option<u16>, String) {
        match self.next().await {
            Said::Closed(code, reason) => (code, reason),
            other => panic!("expected the end, got {other:?}"),
        }
    }

    /// The connection is not taken: CONNECT_ERROR with this word, or `error` with it and this close code.
    pub async fn refused(&mut self, word: &str, code: u16) {
        if self.transport == Transport::Raw {
            let error = self.event("error").await;
            assert_eq!(error["code"], word, "{error}");
            assert_eq!(self.closed().await.0, Some(code));
        } else {
            let expected = json!({ "message": word });
            assert_eq!(self.next().await, Said::Refused(expected));
        }
    }

    /// The server ends the connection: `error` with this code, DISCONNECT on Socket.IO, this close code on WebSockets.
    pub async fn ended(&mut self, error: &str, code: u16) {
        let data = self.event("error").await;
        assert_eq!(data["code"], error, "{data}");
        assert!(data["message"].is_string(), "{data}");
        if self.transport != Transport::Raw {
            assert_eq!(self.next().await, Said::Disconnected);
        }
        let (got, reason) = self.closed().await;
        if self.transport != Transport::Polling {
            assert_eq!(got, Some(code), "{reason}");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Reads one Engine.IO packet of Socket.IO; `None` for what only the transport cares about.
fn decode(packet: &str) -> Option<Said> {
    let Some(packet) = packet.strip_prefix('4') else {
        return packet
            .starts_with('1')
            .then(|| Said::Closed(None, "close packet".into()));
    };
    let (kind, rest) = packet.split_at(1);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (id, data) = rest.split_at(digits);
    // A namespace other than `/`.
    let data = match data.split_once(',') {
        Some((namespace, data)) if namespace.starts_with('/') => data,
        _ => data,
    };
    let data: Value = match data {
        "" => Value::Null,
        data => serde_json::from_str(data).unwrap_or_else(|e| panic!("{packet}: {e}")),
    };
    Some(match kind {
        "0" => Said::Connected,
        "1" => Said::Disconnected,
        "2" => {
            assert_eq!(data.as_array().map(Vec::len), Some(2), "{packet}");
            Said::Event(
                data[0].as_str().expect("a name").to_owned(),
                data[1].clone(),
            )
        }
        "3" => Said::Ack(id.parse().expect("a number"), data[0].clone()),
        "4" => Said::Refused(data),
        _ => panic!("unexpected packet {packet}"),
    })
}
