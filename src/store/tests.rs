//! The store as its callers see it: on real files, through its public verbs.

mod files;
mod people;
mod presence;
mod upserts;
mod writes;
