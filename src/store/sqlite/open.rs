//! Opening a database file: is it there, is it ours, is it whole, is it current, may we write.
//!
//! The questions are asked before anything is opened for writing, so that a file that is refused stays as it was,
//! byte for byte. The file is only ever opened through SQLite: closing a descriptor of our own would drop the locks
//! that SQLite's other connections in this process hold on it.

use super::fault::is_busy;
use super::{migrate, pool};
use crate::store::{Durability, Options, Result, StoreError};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// "LSEN", which migration 1 writes into the header.
pub(in crate::store) const APPLICATION_ID: i64 = 0x4C53_454E;

/// Up to this size all of the file is checked on opening (some 30 ms); of a larger one the schema and the root of
/// each table.
const FULL_CHECK_BYTES: i64 = 16 << 20;

/// How long switching to a write-ahead log may take, and how often it is tried meanwhile.
const WAL_PATIENCE: Duration = Duration::from_secs(5);
const WAL_PAUSE: Duration = Duration::from_millis(5);

/// Where the file is and how reading connections open it.
#[derive(Clone)]
pub(super) struct Location {
    path: PathBuf,
    /// On a read-only file system: nobody can change it, and SQLite needs to be told.
    immutable: bool,
}

/// An open database.
pub(super) struct Opened {
    pub location: Location,
    /// None when it is read-only.
    pub writer: Option<Connection>,
}

/// See [`crate::store::Store::open`].
pub(super) fn open(path: &Path, options: &Options) -> Result<Opened> {
    let may_create = options.create && !options.read_only;
    let version = match inspect(path)? {
        Found::Missing if !may_create => return Err(StoreError::Missing(path.to_owned())),
        Found::Empty if !may_create => return Err(StoreError::Foreign(path.to_owned())),
        Found::Missing | Found::Empty => 0,
        Found::Ours { version } => version,
    };
    let is_new = version == 0;
    let known = migrate::latest();
    if version > known {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version,
            known,
        });
    }
    if version < known && !is_new && (options.read_only || !options.migrate) {
        return Err(StoreError::Outdated(path.to_owned()));
    }
    let mut location = Location {
        path: path.to_owned(),
        immutable: false,
    };
    let mut writer = None;
    if !options.read_only {
        if is_new {
            create_file(path)?;
        }
        let mut connection = location.connect_for_writing(options.write_deadline)?;
        if !connection
            .is_readonly(MAIN_DB)
            .map_err(|error| location.unusable(&error))?
        {
            open_up_beside(path);
            prepare(&mut connection, is_new).map_err(|error| located(path, error))?;
            set_up_writer(&connection, options.durability)
                .and_then(|()| set_up_bulk(&connection, options))
                .map_err(|error| location.unusable(&error))?;
            writer = Some(connection);
        } else if version < known {
            return Err(StoreError::Unusable {
                path: path.to_owned(),
                reason: "it is read-only and has an older schema".into(),
            });
        }
    }
    if writer.is_none() {
        location.settle_for_reading()?;
    }
    Ok(Opened { location, writer })
}

/// A failure to open says which file it is about.
fn located(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Sqlite { source, .. } => StoreError::Unusable {
            path: path.to_owned(),
            reason: source.to_string(),
        },
        StoreError::Unavailable(reason) => StoreError::Unusable {
            path: path.to_owned(),
            reason,
        },
        other => other,
    }
}

/// What is at a path.
pub(super) enum Found {
    Missing,
    /// Nothing in it yet: no bytes, or no more than a header.
    Empty,
    Ours {
        version: i64,
    },
}

/// Looks at a file without changing it or leaving anything beside it. `Foreign` when it is not ours, `Unusable` when
/// it is damaged.
pub(super) fn inspect(path: &Path) -> Result<Found> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => {
            return Err(StoreError::Unusable {
                path: path.to_owned(),
                reason: error.to_string(),
            });
        }
        Ok(metadata) if !metadata.is_file() => {
            return Err(StoreError::Unusable {
                path: path.to_owned(),
                reason: "it is not a file".into(),
            });
        }
        Ok(metadata) if metadata.len() == 0 => return Ok(Found::Empty),
        // No database is smaller than its smallest page, and SQLite takes a file of one byte for an empty one.
        Ok(metadata) if metadata.len() < 512 => {
            return Err(StoreError::Foreign(path.to_owned()));
        }
        Ok(_) => {}
    }
    let mut location = Location {
        path: path.to_owned(),
        immutable: true,
    };
    // Without a log the file is all there is, and can be read without locks and without making files beside it.
    let log = log_length(path);
    if log.unwrap_or(0) == 0 {
        let found = location.examine();
        if found.is_ok() || log.is_none() {
            return found;
        }
    }
    location.immutable = false;
    location.examine()
}

fn log_length(path: &Path) -> Option<u64> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).ok().map(|metadata| metadata.len())
}

/// Creates the file for its owner alone; SQLite gives the files beside it the same mode.
fn create_file(path: &Path) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unusable {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// While a database was read-only, SQLite gave the files beside it the same mode, and with those it could not be
/// written once it is not any more.
fn open_up_beside(path: &Path) {
    let Ok(database) = fs::metadata(path) else {
        return;
    };
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        let is_read_only =
            fs::metadata(&beside).is_ok_and(|metadata| metadata.permissions().readonly());
        if is_read_only && let Err(error) = fs::set_permissions(&beside, database.permissions()) {
            tracing::warn!(%error, path = %Path::new(&beside).display(), "a file is read-only");
        }
    }
}

/// Journal mode and schema.
fn prepare(connection: &mut Connection, is_new: bool) -> Result<()> {
    let prepared = |error| super::fault::classify("preparing the file", error);
    if is_new {
        // Silently without effect once the file has a log or a table.
        connection
            .execute_batch("PRAGMA auto_vacuum = INCREMENTAL")
            .map_err(prepared)?;
    }
    enter_wal(connection).map_err(prepared)?;
    connection
        .execute_batch("PRAGMA foreign_keys = ON")
        .map_err(prepared)?;
    migrate::apply(connection)
}

/// Switches to a write-ahead log. That takes the whole file for a moment, and where two do it at once SQLite answers
/// one of them "busy" without asking how long it would wait.
fn enter_wal(connection: &Connection) -> rusqlite::Result<()> {
    let until = Instant::now() + WAL_PATIENCE;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())) {
            Err(error) if is_busy(&error) && Instant::now() < until => {
                // Nobody can tell us when the other one is through: look again.
                std::thread::sleep(WAL_PAUSE);
            }
            result => return result,
        }
    }
}

/// What every writing connection is told, once the file is prepared.
fn set_up_writer(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(256);
    pool::plan_once(connection)?;
    // The writer waits for locks by itself, since its patience differs by command.
    connection.busy_timeout(Duration::ZERO)?;
    connection.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4000; \
         PRAGMA secure_delete = ON;",
    )?;
    // Both answer with a row.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)
}

/// Many rows in one transaction touch many pages, which are not to go to the disk before it ends.
const BULK_CACHE_KIB: i64 = 256 * 1024;

fn set_up_bulk(connection: &Connection, options: &Options) -> rusqlite::Result<()> {
    if options.is_bulk {
        connection.pragma_update(None, "cache_size", -BULK_CACHE_KIB)?;
        // What is sorted may be larger than memory, and one part of it is sorted while the next is read.
        connection.pragma_update(None, "temp_store", "FILE")?;
        connection.pragma_update(None, "threads", 1)?;
        // Whose a row is was found out in its own transaction, and nothing is deleted: each row would be looked up twice.
        connection.pragma_update(None, "foreign_keys", false)?;
    }
    Ok(())
}

impl Location {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A reading connection outside the pool.
    pub fn open_reader(&self) -> Result<Connection> {
        pool::open_reader(self).map_err(|error| located(&self.path, error))
    }

    /// A further writing connection, for checkpoints.
    pub fn open_writer(&self, durability: Durability) -> Result<Connection> {
        let connection = self.connect_for_writing(Duration::ZERO)?;
        set_up_writer(&connection, durability).map_err(|error| self.unusable(&error))?;
        Ok(connection)
    }

    fn connect_for_writing(&self, patience: Duration) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)
            .map_err(|error| self.unusable(&error))?;
        connection
            .busy_timeout(patience)
            .map_err(|error| self.unusable(&error))?;
        Ok(connection)
    }

    pub fn reader_manager(&self) -> SqliteConnectionManager {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let manager = match self.immutable_uri() {
            Some(uri) => {
                SqliteConnectionManager::file(uri).with_flags(flags | OpenFlags::SQLITE_OPEN_URI)
            }
            None => SqliteConnectionManager::file(&self.path).with_flags(flags),
        };
        manager.with_init(|connection| pool::set_up_reader(connection))
    }

    fn immutable_uri(&self) -> Option<String> {
        use std::fmt::Write;
        if !self.immutable {
            return None;
        }
        let mut uri = String::from("file:");
        for byte in self.path.to_str()?.bytes() {
            match byte {
                b'%' | b'?' | b'#' => write!(uri, "%{byte:02X}").ok()?,
                // The bytes of other characters are not special to a URI; pushing them one by one would recode them.
                _ if byte.is_ascii() => uri.push(char::from(byte)),
                _ => write!(uri, "%{byte:02X}").ok()?,
            }
        }
        uri.push_str("?immutable=1");
        Some(uri)
    }

    /// Proves that the file can be read, and on a read-only file system how.
    fn settle_for_reading(&mut self) -> Result<()> {
        let read = |location: &Self| {
            pool::open_reader(location).and_then(|connection| {
                connection
                    .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
                    .map_err(|error| super::fault::classify("reading", error))
            })
        };
        let Err(error) = read(self) else {
            return Ok(());
        };
        if log_length(&self.path).unwrap_or(0) == 0 && self.on_read_only_file_system() {
            self.immutable = true;
            return read(self).map_err(|error| located(&self.path, error));
        }
        Err(located(&self.path, error))
    }

    /// Asks the file system, by trying to create a file beside the database.
    fn on_read_only_file_system(&self) -> bool {
        let mut probe = self.path.as_os_str().to_owned();
        probe.push("-probe");
        match fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&probe)
        {
            Ok(_) => {
                if let Err(error) = fs::remove_file(&probe) {
                    tracing::warn!(%error, "a probe file could not be removed");
                }
                false
            }
            Err(error) => error.kind() == ErrorKind::ReadOnlyFilesystem,
        }
    }

    fn examine(&self) -> Result<Found> {
        let judged = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => StoreError::Foreign(self.path.clone()),
            Some(ErrorCode::DatabaseCorrupt) => self.damaged(&error.to_string()),
            _ => self.unusable(&error),
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match self.immutable_uri() {
            Some(uri) => Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI),
            None => Connection::open_with_flags(&self.path, flags),
        }
        .map_err(judged)?;
        connection
            .busy_timeout(Duration::from_secs(5))
            .map_err(judged)?;
        let number = |sql: &str| {
            connection
                .query_row(sql, [], |row| row.get::<_, i64>(0))
                .map_err(judged)
        };
        let application = number("PRAGMA application_id")?;
        let version = number("PRAGMA user_version")?;
        if application != APPLICATION_ID && application != 0 {
            return Err(StoreError::Foreign(self.path.clone()));
        }
        let objects = number("SELECT count(*) FROM sqlite_schema")?;
        if application == 0 {
            return if objects == 0 && version == 0 {
                Ok(Found::Empty)
            } else {
                Err(StoreError::Foreign(self.path.clone()))
            };
        }
        if version > migrate::latest() {
            // Not for us to judge whether it is whole.
            return Ok(Found::Ours { version });
        }
        if version < 1 {
            return Err(self.damaged("its schema version is missing"));
        }
        if number("PRAGMA page_count")? * number("PRAGMA page_size")? <= FULL_CHECK_BYTES {
            let verdict: String = connection
                .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
                .map_err(judged)?;
            if verdict != "ok" {
                return Err(self.damaged(&verdict));
            }
        } else {
            let mut tables = connection
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
                .map_err(judged)?;
            let names = tables
                .query_map([], |row| row.get::<_, String>(0))
                .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
                .map_err(judged)?;
            for name in names {
                let quoted = name.replace('"', "\"\"");
                connection
                    .prepare(&format!("SELECT 1 FROM \"{quoted}\" LIMIT 1"))
                    .and_then(|mut statement| statement.exists([]))
                    .map_err(judged)?;
            }
        }
        Ok(Found::Ours { version })
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Unusable {
            path: self.path.clone(),
            reason: format!(
                "it is damaged ({}); restore a backup",
                what.replace('\n', " ")
            ),
        }
    }

    fn unusable(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::Unusable {
            path: self.path.clone(),
            reason: error.to_string(),
        }
    }
}
