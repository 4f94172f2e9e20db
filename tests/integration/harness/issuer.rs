//! Somebody who publishes a key set over HTTP, well or badly.

use super::signer::{Signer, key_set};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Publishes at one address until it is dropped.
pub struct Issuer {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Issuer {
    /// Publishes the keys of these.
    pub async fn of<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::<Mutex<Vec<u8>>>::default();
        let asked = Arc::<AtomicUsize>::default();
        let (answers, count) = (answer.clone(), asked.clone());
        let serving = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut request = Vec::new();
                let mut buffer = [0; 1024];
                while !request.ends_with(b"\r\n\r\n") {
                    match socket.read(&mut buffer).await {
                        Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                        _ => break,
                    }
                }
                let answer = answers.lock().clone();
                // Whoever has heard enough may go away.
                socket.write_all(&answer).await.ok();
            }
        });
        let issuer = Self {
            address,
            answer,
            asked,
            serving,
        };
        issuer.publish(signers);
        issuer
    }

    /// From now on the keys of these.
    pub fn publish<'a>(&self, signers: impl IntoIterator<Item = &'a Signer>) {
        self.answer("200 OK", &key_set(signers).to_string());
    }

    /// From now on this.
    pub fn answer(&self, status: &str, body: &str) {
        self.answer_with(status, "", body);
    }

    /// From now on this, with a header.
    pub fn answer_with(&self, status: &str, header: &str, body: &str) {
        let length = body.len();
        *self.answer.lock() = format!(
            "HTTP/1.1 {status}\r\n{header}Content-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .into_bytes();
    }

    /// Where.
    pub fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    /// How often somebody has asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
