//! Socket.IO revision 5.

mod connect;
mod events;
mod malformed;

use super::Echo;
use super::peer::{Layer, Peer};
use crate::harness::Transport;

/// A session that is connected to `/`.
async fn connected(echo: &Echo, transport: Transport) -> Peer {
    let mut peer = Peer::open(echo, Layer::Socket, transport).await;
    peer.connect("/").await;
    peer
}
