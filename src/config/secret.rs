//! Secrets: from the environment, or from a file that only its owner should read; and the certificate that belongs to
//! one.

use super::{Config, ConfigError, Env, SETTINGS, Source};
use crate::model::Secret;
use std::io::Read as _;
use std::path::Path;

const MAX_SIZE_BYTES: u64 = 64 * 1024;

/// Takes `LASTSEEN_JWT_SECRET`, unless a stronger source names a file; a weaker one is passed over for it.
pub(super) fn from_env(
    config: &mut Config,
    sources: &mut [Source],
    env: &Env,
) -> Result<(), ConfigError> {
    const VARIABLE: &str = "LASTSEEN_JWT_SECRET";
    let Some(text) = env.get(VARIABLE)? else {
        return Ok(());
    };
    let Some(secret) = Secret::new(text) else {
        return Err(ConfigError(format!(
            "environment variable {VARIABLE}: must not be empty; unset it or give a secret"
        )));
    };
    let file_source = SETTINGS
        .iter()
        .zip(sources)
        .find_map(|(setting, source)| (setting.key == "jwt_secret_file").then_some(source))
        .expect("it is in the table of settings");
    match (&config.jwt_secret_file, *file_source) {
        (Some(_), Source::Flag) => {}
        (Some(_), Source::Env) => {
            return Err(ConfigError(format!(
                "environment variables {VARIABLE} and LASTSEEN_JWT_SECRET_FILE are both set; keep one"
            )));
        }
        _ => {
            if config.jwt_secret_file.take().is_some() {
                *file_source = Source::Env;
            }
            config.jwt_secret = Some(secret);
        }
    }
    Ok(())
}

/// What the files of `tls_cert` and `tls_key` hold: text that should be PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: Secret,
    /// The private key.
    pub key: Secret,
}

/// The error for one setting without the other.
pub(super) fn alone(key: &str, other: &str) -> ConfigError {
    ConfigError(format!(
        "{key} is set and {other} is not; TLS needs both, and without TLS set neither"
    ))
}

/// Reads a secret, without one line break at its end.
pub(super) fn read(path: &Path, key: &str) -> Result<Secret, ConfigError> {
    let text = read_text(path, key, true)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Secret::new(text).ok_or_else(|| failed(path, key, &"is empty; write the secret into it"))
}

/// Reads a PEM file.
pub(super) fn read_pem(path: &Path, key: &str, is_private: bool) -> Result<Secret, ConfigError> {
    let text = read_text(path, key, is_private)?;
    Secret::new(&text).ok_or_else(|| failed(path, key, &"is empty; give a PEM file"))
}

fn read_text(path: &Path, key: &str, is_private: bool) -> Result<String, ConfigError> {
    let file = std::fs::File::open(path).map_err(|error| failed(path, key, &error))?;
    if is_private {
        warn_if_exposed(&file, path, key);
    }
    let mut text = String::new();
    let size_bytes = file
        .take(MAX_SIZE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => failed(path, key, &"is not text"),
            _ => failed(path, key, &error),
        })?;
    if size_bytes as u64 > MAX_SIZE_BYTES {
        return Err(failed(
            path,
            key,
            &"is larger than 64 KiB; is it the right file?",
        ));
    }
    Ok(text)
}

fn failed(path: &Path, key: &str, why: &dyn std::fmt::Display) -> ConfigError {
    ConfigError(format!("{key} {}: {why}", path.display()))
}

#[cfg(unix)]
fn warn_if_exposed(file: &std::fs::File, path: &Path, key: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    // What cannot be told is no reason to stop.
    if let Ok(metadata) = file.metadata() {
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            tracing::warn!(
                target: "lastseen",
                file = %path.display(),
                mode = format!("{mode:03o}"),
                "{key} can be read by others than its owner; chmod 600 it"
            );
        }
    }
}

#[cfg(not(unix))]
fn warn_if_exposed(_: &std::fs::File, _: &Path, _: &str) {}
