//! Marks that commands leave beside a running server, and how the server finds them.

use super::Fault;
use crate::model::UserId;
use crate::store::Change;
use rusqlite::Connection;

/// Marks that are kept; a server polls every second or two.
const KEPT: i64 = 4_096;

/// Whether marks are left at all: a server knows what it does itself.
#[derive(Clone, Copy, Debug)]
pub struct Marks(pub bool);

const INSERT: &str = "INSERT INTO changes (kind, user_id, at) \
     VALUES (?1, ?2, CAST(unixepoch('subsec') * 1000 AS INTEGER))";
const FORGET: &str = "DELETE FROM changes WHERE id <= ?1";

/// Leaves a mark in the transaction that makes the change.
pub fn mark(connection: &Connection, marks: Marks, change: &Change) -> Result<(), Fault> {
    if !marks.0 {
        return Ok(());
    }
    let (kind, user) = match change {
        Change::User(id) => ("user", Some(id.0)),
        Change::UserErased(id) => ("user_erased", Some(id.0)),
        Change::Graph => ("graph", None),
        Change::Keys => ("keys", None),
        Change::SignIns(id) => ("sign_ins", Some(id.0)),
    };
    connection.prepare_cached(INSERT)?.execute((kind, user))?;
    let newest = connection.last_insert_rowid();
    connection
        .prepare_cached(FORGET)?
        .execute([newest - KEPT])?;
    Ok(())
}

/// The connection that sees whether somebody else has written, and what it saw last.
pub struct Poller {
    connection: Connection,
    data_version: Option<i64>,
    after: i64,
}

const NEWEST: &str = "SELECT ifnull(max(id), 0) FROM changes";
const OLDEST: &str = "SELECT min(id) FROM changes";
const AFTER: &str = "SELECT id, kind, user_id FROM changes WHERE id > ?1 ORDER BY id";

impl Poller {
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            data_version: None,
            after: 0,
        }
    }

    pub fn newest(&self) -> Result<i64, Fault> {
        Ok(self
            .connection
            .prepare_cached(NEWEST)?
            .query_row([], |row| row.get(0))?)
    }

    pub fn poll(&mut self, after: i64) -> Result<Vec<(i64, Change)>, Fault> {
        let version: i64 = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if self.data_version == Some(version) && self.after == after {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        let oldest: Option<i64> = self
            .connection
            .prepare_cached(OLDEST)?
            .query_row([], |row| row.get(0))?;
        if let Some(oldest) = oldest.filter(|oldest| *oldest > after + 1) {
            // Some were forgotten before they were read: take it that everything changed.
            found.push((oldest - 1, Change::Graph));
            found.push((oldest - 1, Change::Keys));
        }
        let mut statement = self.connection.prepare_cached(AFTER)?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let user = UserId(row.get::<_, Option<i64>>(2)?.unwrap_or(0));
            let change = match row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)? {
                "user" => Change::User(user),
                "user_erased" => Change::UserErased(user),
                "keys" => Change::Keys,
                "sign_ins" => Change::SignIns(user),
                // Also one that a newer lastseen knows: many things may have changed.
                _ => Change::Graph,
            };
            found.push((id, change));
        }
        self.data_version = Some(version);
        self.after = after;
        Ok(found)
    }
}
