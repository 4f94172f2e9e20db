//! Engine.IO revision 4.

mod closing;
mod handshake;
mod heartbeat;
mod messages;
mod payloads;
mod upgrade;
