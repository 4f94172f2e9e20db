//! Files that have their name only once they are whole and on the disk, and never take another's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A new file that is not finished, under a name that nobody else has taken, for its owner alone.
pub(super) fn create(folder: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!("{name}-{:08x}.tmp", rand::random::<u32>()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    Ok((path, file))
}

/// Gives a finished file its name, and brings that to the disk; `AlreadyExists` when there is such a file, whose place
/// `rename` would take.
pub(super) fn place(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
        // A file system without links.
        Err(_) if to.try_exists()? => return Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to)?,
    }
    // The name is of the directory.
    File::open(folder_of(to))?.sync_all()
}

/// The directory that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    let named = folder.filter(|folder| !folder.as_os_str().is_empty());
    named.unwrap_or(Path::new("."))
}
