//! The store as its callers see it: on real files, through its public verbs.

mod activities;
mod analytics;
mod exports;
mod files;
mod imports;
mod messages;
mod own;
mod people;
mod presence;
mod prune;
mod sign_ins;
mod upserts;
mod writes;
