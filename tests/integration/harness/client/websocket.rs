//! WebSockets, raw and under Engine.IO.

use super::{Said, Sayings, decode, soon};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One WebSocket.
pub struct WebSocket {
    sink: SplitSink<Stream, Message>,
    stream: SplitStream<Stream>,
}

/// Its sending half.
#[derive(Clone)]
pub struct Sender(Arc<Mutex<SplitSink<Stream, Message>>>);

impl WebSocket {
    /// `/ws`; without a token if it is empty.
    pub async fn raw(address: SocketAddr, query: &str, token: &str) -> Self {
        let url = format!("ws://{address}/ws?{query}");
        let mut request = url.into_client_request().expect("a request");
        if !token.is_empty() {
            let value = format!("Bearer {token}").parse().expect("a header");
            request.headers_mut().insert("Authorization", value);
        }
        let connecting = tokio_tungstenite::connect_async(request);
        let (socket, _) = soon("a WebSocket", connecting).await.expect("a WebSocket");
        let (sink, stream) = socket.split();
        Self { sink, stream }
    }

    /// Engine.IO, opened; or, with the id of a session, still to be probed.
    pub async fn engine(address: SocketAddr, sid: Option<&str>) -> Self {
        let mut url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        if let Some(sid) = sid {
            url += &format!("&sid={sid}");
        }
        let connecting = tokio_tungstenite::connect_async(url);
        let (socket, _) = soon("a WebSocket", connecting).await.expect("a WebSocket");
        let (sink, stream) = socket.split();
        let mut socket = Self { sink, stream };
        if sid.is_none() {
            assert!(socket.text().await.starts_with("0{"));
        }
        socket
    }

    pub async fn send_text(&mut self, text: &str) {
        self.sink.send(text.into()).await.expect("sent");
    }

    /// The next message, which must be text.
    pub async fn text(&mut self) -> String {
        match soon("a message", self.stream.next()).await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// Reads until the end.
    pub fn run(self, says: Sayings, is_engine: bool) -> (Sender, JoinHandle<()>) {
        let Self { sink, mut stream } = self;
        let sender = Sender(Arc::new(Mutex::new(sink)));
        let answers = sender.clone();
        let reading = tokio::spawn(async move {
            let mut end = None;
            while let Some(message) = stream.next().await {
                let said = match message {
                    Ok(Message::Text(text)) if is_engine => {
                        if text.as_str() == "2" {
                            answers.text("3").await;
                        }
                        // The close frame says more than the packet.
                        decode(&text).filter(|said| !matches!(said, Said::Closed(..)))
                    }
                    Ok(Message::Text(text)) => Some(decode_raw(&text)),
                    Ok(Message::Close(frame)) => {
                        end = frame;
                        None
                    }
                    Ok(Message::Ping(_) | Message::Pong(_)) => None,
                    Ok(other) => panic!("unexpected message {other:?}"),
                    Err(_) => break,
                };
                if let Some(said) = said {
                    let _ = says.send(said);
                }
            }
            let (code, reason) = end.map_or((None, String::new()), |frame| {
                (Some(frame.code.into()), frame.reason.to_string())
            });
            let _ = says.send(Said::Closed(code, reason));
        });
        (sender, reading)
    }
}

impl Sender {
    pub async fn text(&self, text: &str) {
        self.message(Message::text(text)).await;
    }

    pub async fn message(&self, message: Message) {
        match soon("room", self.0.lock().await.send(message)).await {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => {}
            Err(Error::Io(_)) => {}
            Err(error) => panic!("not sent: {error}"),
        }
    }

    /// Sends a close frame.
    pub async fn close(&self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        self.message(Message::Close(Some(frame))).await;
    }
}

fn decode_raw(text: &str) -> Said {
    let mut frame: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let data = frame["data"].take();
    match (frame["ack"].as_u64(), frame["event"].as_str()) {
        (Some(id), None) => Said::Ack(id, data),
        (None, Some(name)) => Said::Event(name.to_owned(), data),
        _ => panic!("neither an event nor an acknowledgement: {text}"),
    }
}
