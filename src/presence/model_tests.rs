//! Hub and tracker together against a model that knows only the plain facts.
//!
//! [`steps`] takes one random step at a time and compares after each what every connected client believes, and what
//! it was pushed, with what SPEC.md says; [`storm`] runs everything at once and compares what is believed in the end.

mod model;
mod steps;
mod storm;
pub(in crate::presence) mod world;
