//! The files of `--tls-cert` and `--tls-key`: at the start, and again at each SIGHUP.

use super::signals::Hangups;
use crate::config::{Config, TlsFiles};
use crate::server::tls::{Tls, TlsError};
use anyhow::Context as _;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

/// The certificate and key to serve with; `None` without TLS.
pub(super) fn load(config: &Config) -> anyhow::Result<Option<Arc<Tls>>> {
    let Some(TlsFiles { certificate, key }) = config.read_tls()? else {
        return Ok(None);
    };
    let tls = Tls::new(certificate.expose(), key.expose());
    Ok(Some(Arc::new(tls.map_err(|error| named(config, error))?)))
}

/// At each hangup reads the files again. A bad pair changes nothing, so that a slip while certificates are renewed
/// locks nobody out.
pub(super) async fn reload_on(
    mut hangups: Hangups,
    config: &Config,
    tls: Option<&Tls>,
) -> Infallible {
    loop {
        hangups.next().await;
        let Some(tls) = tls else {
            tracing::info!(target: "lastseen", "SIGHUP: there is no TLS, so there is nothing to read again");
            continue;
        };
        match reload(config, tls).await {
            Ok(()) => {
                tracing::info!(target: "lastseen", "SIGHUP: new connections get the certificate that was read again");
            }
            Err(error) => {
                tracing::error!(target: "lastseen", "SIGHUP: the old certificate stays: {error:#}");
            }
        }
    }
}

async fn reload(config: &Config, tls: &Tls) -> anyhow::Result<()> {
    let own = config.clone();
    // Files may be on a file system that hangs, and a signal to stop must not wait for it.
    let read = tokio::task::spawn_blocking(move || own.read_tls());
    let files = read.await.context("reading failed")??;
    let TlsFiles { certificate, key } = files.context("no files are set")?;
    let replaced = tls.replace(certificate.expose(), key.expose());
    replaced.map_err(|error| named(config, error))
}

/// The error with the files that it is about.
fn named(config: &Config, error: TlsError) -> anyhow::Error {
    let shown = |path: &Option<_>| {
        path.as_deref()
            .unwrap_or(Path::new(""))
            .display()
            .to_string()
    };
    let (certificate, key) = (shown(&config.tls_cert), shown(&config.tls_key));
    match error {
        TlsError::Certificate(why) => anyhow::anyhow!("tls_cert {certificate}: {why}"),
        TlsError::Key(why) => anyhow::anyhow!("tls_key {key}: {why}"),
        TlsError::Mismatch => anyhow::anyhow!(
            "tls_key {key}: is not the key of the first certificate in {certificate}; give both of the same pair, the server's own certificate first"
        ),
        TlsError::Random(_) => error.into(),
    }
}
