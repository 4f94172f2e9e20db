//! The lock that a server holds for life, so that no second one repairs the first one's people; and the one that a prune
//! holds.
//!
//! On a file of its own beside the database: closing a descriptor of the database itself would drop SQLite's locks
//! on it, and on some systems the two kinds of lock are one. The file stays; a lock on a file that is deleted and
//! made anew would be two locks.

use crate::store::{Result, StoreError};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Held until dropped; the operating system frees it when the process dies, however that is.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock on a database, whether its file is there yet or not.
    ///
    /// # Errors
    /// `Held` when another process (or another part of this one) holds it, `Unusable` when the file beside the
    /// database cannot be made.
    pub fn acquire(database: &Path) -> Result<Self> {
        Self::take(database, "-lock", StoreError::Held)
    }

    /// Takes the lock that one prune of a database holds, so that no second one works beside it.
    ///
    /// # Errors
    /// `Pruning` when another one does, `Unusable` as for [`Lock::acquire`].
    pub fn for_prune(database: &Path) -> Result<Self> {
        Self::take(database, "-prune-lock", StoreError::Pruning)
    }

    fn take(database: &Path, suffix: &str, held: fn(PathBuf) -> StoreError) -> Result<Self> {
        let unusable = |error: io::Error| StoreError::Unusable {
            path: database.to_owned(),
            reason: format!("its lock cannot be taken ({error})"),
        };
        let path = beside(database, suffix).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(held(database.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }
}

/// The same file for every name of the database.
fn beside(database: &Path, suffix: &str) -> io::Result<PathBuf> {
    let canonical = match database.canonicalize() {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = database
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let name = database.file_name().ok_or(error)?;
            folder.canonicalize()?.join(name)
        }
        Err(error) => return Err(error),
    };
    let mut path = canonical.into_os_string();
    path.push(suffix);
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_under_any_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let lock = Lock::acquire(&path).expect("free");
        assert!(matches!(Lock::acquire(&path), Err(StoreError::Held(_))));
        let roundabout = folder.path().join(".").join("a.db");
        assert!(matches!(
            Lock::acquire(&roundabout),
            Err(StoreError::Held(_))
        ));
        // Also once the file is there, and by a link to it.
        std::fs::write(&path, "").expect("written");
        assert!(matches!(Lock::acquire(&path), Err(StoreError::Held(_))));
        #[cfg(unix)]
        {
            let link = folder.path().join("link.db");
            std::os::unix::fs::symlink(&path, &link).expect("linked");
            assert!(matches!(Lock::acquire(&link), Err(StoreError::Held(_))));
        }
        // A prune and a server do not exclude one another.
        let prune = Lock::for_prune(&path).expect("free");
        let again = Lock::for_prune(&path);
        assert!(matches!(again, Err(StoreError::Pruning(_))));
        drop(prune);
        drop(lock);
        Lock::acquire(&path).expect("free again");
    }
}
