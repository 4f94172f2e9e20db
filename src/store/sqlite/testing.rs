//! What the store's tests share.

use crate::model::*;
use crate::store::{NewUser, Options, Store};
use std::path::PathBuf;
use std::time::Duration;

/// A store on a new file in a folder that goes with it.
pub struct Fixture {
    pub store: Store,
    pub path: PathBuf,
    pub folder: tempfile::TempDir,
}

pub fn options() -> Options {
    Options {
        create: true,
        migrate: true,
        mark_changes: false,
        ..Options::default()
    }
}

pub fn fixture_with(options: Options) -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.db");
    let store = Store::open(&path, options).expect("a new database opens");
    Fixture {
        store,
        path,
        folder,
    }
}

pub fn fixture() -> Fixture {
    fixture_with(options())
}

pub fn impatient() -> Options {
    Options {
        write_deadline: Duration::from_millis(300),
        ..options()
    }
}

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub fn new_user(name: &str) -> NewUser {
    NewUser {
        id: None,
        external_id: None,
        username: Username::new(name).expect("a valid name"),
        password_hash: None,
        profile: ProfileFields::default(),
        role: Role::User,
        created_at: at(1_000),
    }
}

impl Fixture {
    pub async fn user(&self, name: &str) -> UserId {
        self.store
            .create_user(new_user(name))
            .await
            .expect("a user is created")
    }

    /// One number, read by a connection of its own.
    pub fn number(&self, sql: &str) -> Option<i64> {
        rusqlite::Connection::open(&self.path)
            .expect("opens")
            .query_row(sql, [], |row| row.get(0))
            .expect("a row")
    }
}
