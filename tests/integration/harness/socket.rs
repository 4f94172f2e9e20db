//! A bare TCP connection after a WebSocket handshake, for what no library would send.

use super::soon;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The stream after the 101.
pub struct Socket(pub TcpStream);

impl Socket {
    /// Upgrades at `path` with a receive buffer as small as the system has it.
    pub async fn open(address: SocketAddr, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a setting");
        let mut stream = socket.connect(address).await.expect("a connection");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon("a head", stream.read_u8()).await.expect("a head"));
        }
        let head = String::from_utf8(head).expect("text");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self(stream)
    }

    /// Sends a frame with this first byte (FIN and opcode); masked with zeros, or not at all.
    pub async fn send(&mut self, first: u8, payload: &[u8], masked: bool) {
        let mut frame = vec![first];
        let bit = if masked { 0x80 } else { 0 };
        match payload.len() {
            length @ 0..=125 => frame.push(bit | length as u8),
            length @ 126..=65_535 => {
                frame.push(bit | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(bit | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([0; 4]);
        }
        frame.extend(payload);
        // A server that has seen enough may have closed already.
        let _ = self.0.write_all(&frame).await;
    }

    /// The next frame: opcode and payload; `None` at the end.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        soon("a frame", self.read_frame()).await.ok()
    }

    async fn read_frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let first = self.0.read_u8().await?;
        let length = match self.0.read_u8().await? {
            126 => u64::from(self.0.read_u16().await?),
            127 => self.0.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await?;
        Ok((first & 0x0f, payload))
    }

    /// Reads on to the close frame; its code, `None` if there is none.
    pub async fn close_code(&mut self) -> Option<u16> {
        while let Some((opcode, payload)) = self.frame().await {
            if opcode == 8 {
                return Some(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]));
            }
        }
        None
    }
}
