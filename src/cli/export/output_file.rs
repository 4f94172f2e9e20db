//! A file that is there whole or not at all.

use super::Target;
use anyhow::{Context as _, bail};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Written as `NAME.tmp`, which takes the name at the end and is removed when there is none.
pub(super) struct OutputFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    is_done: bool,
}

impl OutputFile {
    /// # Errors
    /// When there is something by that name, or it cannot be written there.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        refuse_existing(path)?;
        let mut name = OsString::from(path);
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        let file = File::create(&temporary).with_context(|| {
            let shown = temporary.display();
            format!("cannot write {shown}; check the path and its permissions")
        })?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            file,
            is_done: false,
        })
    }

    /// Gives it its name, once it is on the disk.
    ///
    /// # Errors
    /// When it cannot be synced or renamed, or something has taken its name meanwhile.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        let shown = self.path.display().to_string();
        self.file
            .sync_all()
            .with_context(|| format!("cannot write {shown}; check that the disk is not full"))?;
        refuse_existing(&self.path)?;
        std::fs::rename(&self.temporary, &self.path)
            .with_context(|| format!("cannot give {shown} its name; check its folder"))?;
        self.is_done = true;
        // The name, too, is to survive a power cut; not every system can sync a folder.
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Target for OutputFile {
    fn write(&mut self, text: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(text).with_context(|| {
            let shown = self.path.display();
            format!("cannot write {shown}; check that the disk is not full")
        })
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.is_done {
            // What cannot be removed is not worth a second error.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

fn refuse_existing(path: &Path) -> anyhow::Result<()> {
    // A link that leads nowhere is something, too.
    if path.symlink_metadata().is_ok() {
        let shown = path.display();
        bail!("{shown} exists already; give another name, or remove it first");
    }
    Ok(())
}
