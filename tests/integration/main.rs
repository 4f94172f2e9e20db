//! One binary for all that is tested from outside: the real server over real sockets, and the real program.
//!
//! One file an area, named as in `src`; what they have in common is in [`harness`]. Tests wait for events with a
//! deadline and never for a time; that something does *not* arrive is proven by order: something that was begun
//! later must be what comes next.

mod account;
mod activities;
mod admin;
mod auth;
mod backup;
mod cli;
mod demo;
mod export;
mod failures;
mod harness;
mod host;
mod limits;
mod presence;
mod protocol;
mod prune;
mod realtime;
mod social;
mod stats;
mod structure;
mod tls;
mod tui;
mod visibility;
