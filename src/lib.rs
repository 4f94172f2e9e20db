//! Presence and activity for social and messaging apps, in one binary on an embedded SQLite file.
//!
//! # The map
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | the words everything else speaks: ids, users, presence, sessions, times. No I/O |
//! | [`error`] | the one error of the services |
//! | [`config`] | defaults < file < environment < flags |
//! | [`store`] | SQLite behind domain verbs: one writer with group commit, many readers |
//! | [`bus`] | publish and subscribe to presence transitions; the live stream for administrators |
//! | [`presence`] | who is connected, who watches whom, grace, sessions, the one privacy function |
//! | [`activity`] | the activity log: what may be logged, what the server logs by itself, the newest rows |
//! | [`analytics`] | counts over dates and zones |
//! | [`auth`] | passwords, opaque tokens, API keys, host JWTs |
//! | [`export`] | rows as CSV and JSON lines |
//! | [`realtime`] | one connection's life: raw WebSocket and Socket.IO over the same outbox |
//! | [`http`] | the JSON API |
//! | [`app`] | wires the above; what `serve` and the tests share |
//! | [`logging`] | log lines on standard error |
//! | [`server`] | the accept loop and the drain order |
//! | [`tasks`] | named, supervised periodic work |
//! | [`demo`] | a made-up town: its people, their history, and their life over the network |
//! | [`tui`] | the terminal dashboard |
//! | [`cli`] | one file a subcommand |
//!
//! # Invariants, stated as absences
//!
//! - No SQL outside [`store`], and no handler holds a database connection.
//! - No presence transition reads the database: what visibility needs is in the hub's interest entries.
//! - No second place decides who may see whom: `presence::visibility` is the only one.
//! - No queue without a bound, no task without an owner.
//! - No write is answered before its commit.

pub mod activity;
pub mod analytics;
pub mod app;
pub mod auth;
pub mod bus;
pub mod cli;
pub mod config;
pub mod demo;
pub mod error;
pub mod export;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod presence;
pub mod realtime;
pub mod server;
pub mod store;
pub mod tasks;
pub mod tui;
