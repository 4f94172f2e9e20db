//! What can go wrong inside a closure that runs on a connection, and what that means for its caller.

use crate::store::StoreError;
use rusqlite::{Error as SqlError, ErrorCode, ffi};

/// An error of SQLite, or one of the store's own that a closure found.
#[derive(Debug)]
pub(in crate::store) enum Fault {
    Sql(SqlError),
    Store(StoreError),
}

impl From<SqlError> for Fault {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Fault {
    /// For the caller, who is told what was being done.
    pub fn in_context(self, context: &'static str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) => classify(context, error),
        }
    }
}

/// Tells a database that cannot take this now from a value that is taken, a user who is gone, and the rest.
pub(super) fn classify(context: &'static str, source: SqlError) -> StoreError {
    if let SqlError::SqliteFailure(failure, message) = &source {
        match failure.code {
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OperationInterrupted => {
                return StoreError::Unavailable(source.to_string());
            }
            ErrorCode::ConstraintViolation => match failure.extended_code {
                ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                    if let Some(field) = message.as_deref().and_then(taken_field) {
                        return StoreError::Conflict(field);
                    }
                }
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return StoreError::NoSuchUser,
                _ => {}
            },
            _ => {}
        }
    }
    StoreError::Sqlite { context, source }
}

/// The wire name of the field in `UNIQUE constraint failed: users.username`.
fn taken_field(message: &str) -> Option<&'static str> {
    Some(match message.rsplit_once(": ")?.1 {
        "users.id" => "id",
        "users.username" => "username",
        "users.email" => "email",
        "users.external_id" => "externalId",
        "api_keys.name" => "name",
        _ => return None,
    })
}

/// The same error once more, for the next command of a transaction that was lost as a whole.
pub(super) fn replay(error: &StoreError) -> StoreError {
    match error {
        StoreError::Sqlite {
            context,
            source: SqlError::SqliteFailure(failure, message),
        } => StoreError::Sqlite {
            context,
            source: SqlError::SqliteFailure(*failure, message.clone()),
        },
        StoreError::Unavailable(what) => StoreError::Unavailable(what.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// Whether somebody else holds the lock.
pub(super) fn is_busy(error: &SqlError) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32, message: &str) -> StoreError {
        classify(
            "testing",
            SqlError::SqliteFailure(ffi::Error::new(code), Some(message.into())),
        )
    }

    #[test]
    fn what_an_error_means() {
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_FULL,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_LOCKED,
        ] {
            assert!(
                matches!(failure(code, "no"), StoreError::Unavailable(_)),
                "{code}"
            );
        }
        let unique = |message| failure(ffi::SQLITE_CONSTRAINT_UNIQUE, message);
        assert!(matches!(
            unique("UNIQUE constraint failed: users.external_id"),
            StoreError::Conflict("externalId")
        ));
        assert!(matches!(
            unique("UNIQUE constraint failed: other.column"),
            StoreError::Sqlite { .. }
        ));
        assert!(matches!(
            failure(
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY,
                "FOREIGN KEY constraint failed"
            ),
            StoreError::NoSuchUser
        ));
        assert!(matches!(
            failure(ffi::SQLITE_CORRUPT, "malformed"),
            StoreError::Sqlite { .. }
        ));
    }
}
