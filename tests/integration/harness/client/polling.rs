//! Engine.IO over HTTP long-polling.

use super::{Said, Sayings, WebSocket, decode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// Between packets of one body.
const SEPARATOR: char = '\x1e';

#[derive(Clone)]
pub struct Polling(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    sid: String,
    http: reqwest::Client,
    /// One post at a time.
    posting: Mutex<()>,
    is_frozen: AtomicBool,
    /// A poll is under way.
    is_polling: watch::Sender<bool>,
}

impl Polling {
    pub async fn open(address: SocketAddr) -> Self {
        let http = reqwest::Client::new();
        let url = format!("http://{address}/socket.io/?EIO=4&transport=polling");
        let answer = http.get(url).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.expect("a body");
        let open = text.strip_prefix('0').expect("an open packet");
        let open: serde_json::Value = serde_json::from_str(open).expect("JSON");
        assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
        assert_eq!(open["maxPayload"], 65_536);
        Self(Arc::new(Inner {
            address,
            sid: open["sid"].as_str().expect("an id").to_owned(),
            http,
            posting: Mutex::new(()),
            is_frozen: AtomicBool::new(false),
            is_polling: watch::Sender::new(false),
        }))
    }

    fn url(&self) -> String {
        let Inner { address, sid, .. } = &*self.0;
        format!("http://{address}/socket.io/?EIO=4&transport=polling&sid={sid}")
    }

    pub async fn post(&self, packets: &str) {
        let answer = self.post_anyhow(packets).await;
        assert_eq!(answer, (200, "ok".to_owned()), "{packets}");
    }

    /// Posts what may be refused; the status and the body.
    pub async fn post_anyhow(&self, packets: &str) -> (u16, String) {
        let _turn = self.0.posting.lock().await;
        let request = self.0.http.post(self.url()).body(packets.to_owned());
        let answer = super::soon("an answer", request.send()).await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("a body"))
    }

    /// The packets of one poll; `None` when the session is over.
    async fn poll(&self) -> Option<Vec<String>> {
        self.0.is_polling.send_replace(true);
        let answer = self.0.http.get(self.url()).send().await;
        self.0.is_polling.send_replace(false);
        let answer = answer.ok().filter(|answer| answer.status() == 200)?;
        let text = answer.text().await.ok()?;
        Some(text.split(SEPARATOR).map(str::to_owned).collect())
    }

    /// Passes packets on and answers pings; `false` at the end.
    async fn take(&self, packets: Vec<String>, says: &Sayings) -> bool {
        for packet in packets {
            if packet == "2" {
                self.unless_frozen().await;
                self.post("3").await;
            } else if let Some(said) = decode(&packet) {
                let is_end = matches!(said, Said::Closed(..));
                let _ = says.send(said);
                if is_end {
                    return false;
                }
            }
        }
        true
    }

    async fn unless_frozen(&self) {
        if self.0.is_frozen.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    /// Polls until the end.
    pub fn run(&self, says: Sayings) -> JoinHandle<()> {
        let polling = self.clone();
        tokio::spawn(async move {
            loop {
                polling.unless_frozen().await;
                let Some(packets) = polling.poll().await else {
                    let _ = says.send(Said::Closed(None, "no such session".into()));
                    return;
                };
                if !polling.take(packets, &says).await {
                    return;
                }
            }
        })
    }

    /// Polls until the server has answered the CONNECT, then goes over to a WebSocket; `None` when it is refused.
    pub async fn upgrade(&self, says: &Sayings) -> Option<WebSocket> {
        loop {
            let packets = super::soon("an answer", self.poll()).await;
            let packets = packets.expect("the session goes on");
            let is_connected = packets.iter().any(|p| p.starts_with("40"));
            let is_refused = packets.iter().any(|p| p.starts_with("44"));
            assert!(self.take(packets, says).await);
            if is_refused {
                return None;
            }
            if is_connected {
                break;
            }
        }
        // As stock clients do it: a poll is under way, which the server must end.
        let probe = async {
            let mut socket = WebSocket::engine(self.0.address, Some(&self.0.sid)).await;
            socket.send_text("2probe").await;
            assert_eq!(socket.text().await, "3probe");
            socket
        };
        let both = async { tokio::join!(probe, self.poll()) };
        let (mut socket, packets) = super::soon("an upgrade", both).await;
        let packets = packets.expect("the session goes on");
        assert!(self.take(packets, says).await);
        socket.send_text("5").await;
        Some(socket)
    }

    /// Waits until the server has most likely a poll of this client in its hands: one that it never got cannot be
    /// missed.
    pub async fn polls(&self) {
        let mut polling = self.0.is_polling.subscribe();
        let waiting = polling.wait_for(|polling| *polling);
        super::soon("a poll", waiting).await.expect("it is held");
        self.post(r#"42["heartbeat",{}]"#).await;
    }

    pub fn freeze(&self) {
        self.0.is_frozen.store(true, Ordering::SeqCst);
    }
}
