//! The Socket.IO handler.
