//! The administrator's terminal dashboard, over a database file or over a server's API.
//!
//! A message changes the [`app`], and what it then wants of the [`source`] is done beside the drawing: the screen never
//! waits for an answer. The [`run`] loop brings the two together; the [`view`] draws what the app knows, in one
//! [`theme`]; [`keys`] is the one table of what keys do.

pub mod app;
pub mod asking;
pub mod export;
pub mod keys;
pub mod once;
pub mod run;
pub mod source;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod view;

#[cfg(test)]
mod tests;
