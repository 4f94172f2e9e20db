//! One connection's life, whatever its transport.
//!
//! The layers, from the wire up; none of them knows about users, presence or the store:
//!
//! | module | holds |
//! | --- | --- |
//! | [`frame`] | server frames as shared bytes; the incremental reader of client frames |
//! | [`outbox`] | one connection's queue: ordinary frames, replies, and per key only the newest |
//! | [`flusher`] | what the outboxes share: limits, clock, and the gathering of writes under load |
//! | [`heartbeat`] | one task that pings every connection and ends those that do not answer |
//! | [`stream`] | the raw stream that is left after an HTTP upgrade |
//! | [`websocket`] | the opening handshake and the I/O of one WebSocket |
//! | [`socketio`] | Engine.IO 4 and Socket.IO 5 with a handler trait each |

pub mod flusher;
pub mod frame;
pub mod heartbeat;
pub mod outbox;
pub mod socketio;
pub mod stream;
pub mod websocket;
