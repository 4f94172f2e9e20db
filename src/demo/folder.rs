//! The folder that a demo lives in, for its owner alone, and gone with it; and the secrets in it.

use super::random_secret;
use crate::auth::token::{Token, TokenKind};
use crate::model::Secret;
use anyhow::Context as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What opens doors; only what a person needs is written to the folder.
#[derive(Debug)]
pub struct Keys {
    /// An administrator's API key.
    pub admin: Token,
    /// Signs the people's tokens. Only in memory.
    pub jwt: Secret,
    /// Of everybody who has one.
    pub password: Secret,
}

/// A temporary folder, removed when it is dropped.
#[derive(Debug)]
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// A new one in the system's folder for such.
    ///
    /// # Errors
    /// When there is no room, or no right.
    pub fn new() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("lastseen-demo-");
        #[cfg(unix)]
        {
            let owner = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            builder.permissions(owner);
        }
        builder.tempdir().map(Self)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The database in it.
    pub fn database(&self) -> PathBuf {
        self.path().join("lastseen.db")
    }

    /// The file with the admin key, and nothing else.
    pub fn admin_key(&self) -> PathBuf {
        self.path().join("admin.key")
    }

    /// The file with what signs the guest in, as the server wants it.
    pub fn sign_in(&self) -> PathBuf {
        self.path().join("demo.json")
    }

    /// Makes secrets, and writes those that a person needs.
    ///
    /// # Errors
    /// When the system gives no random numbers, or a file cannot be written.
    pub fn keys(&self) -> anyhow::Result<Keys> {
        let keys = Keys {
            admin: Token::generate(TokenKind::ApiKey)?,
            jwt: random_secret()?,
            password: random_secret()?,
        };
        let sign_in = serde_json::json!({
            "username": super::GUEST,
            "password": keys.password.expose(),
        });
        write(&self.admin_key(), &format!("{}\n", keys.admin.expose()))?;
        write(&self.sign_in(), &format!("{sign_in}\n"))?;
        Ok(keys)
    }

    /// Removes it, and says why it cannot.
    ///
    /// # Errors
    /// When something of it stays.
    pub fn remove(self) -> anyhow::Result<()> {
        let path = self.path().to_owned();
        self.0
            .close()
            .with_context(|| format!("cannot remove {}; remove it by hand", path.display()))
    }
}

/// A new file for its owner alone.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(path)
        .and_then(|mut file: File| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}; make room", path.display()))
}
