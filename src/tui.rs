//! The administrator's terminal dashboard, over a database file or over a server's API.
//!
//! A message changes the [`app`], and what it then wants of the [`source`] is done beside the drawing: the screen never
//! waits for an answer.

pub mod app;
pub mod keys;
pub mod source;
pub mod text;
pub mod theme;
pub mod view;
