//! Wires store, services and transports together: what `serve` and the tests share.

use crate::activity::{ActivityService, Rules as ActivityRules};
use crate::analytics::Analytics;
use crate::auth::client::ClientRules;
use crate::auth::geo::Geo;
use crate::auth::jwt::{MIN_SECRET_BYTES, Rules};
use crate::auth::keys::KeySource;
use crate::auth::social::{ProviderSettings, SocialSettings};
use crate::auth::{Auth, HostKey, Settings as AuthSettings};
use crate::config::Config;
use crate::http::{self, Services};
use crate::metrics::{Metrics, RealtimeCounters, Sample};
use crate::model::{BootId, Clock, KeysUrl, Secret};
use crate::presence::{HubSettings, PresenceService, PresenceSettings, TrackerSettings};
use crate::realtime::{Realtime, RealtimeSettings};
use crate::store::{Change, Lock, Options, Store, StoreError};
use crate::tasks::Tasks;
use anyhow::Context as _;
use poem::Endpoint;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

/// How often the proof of life is renewed: after a crash, last seen is wrong by this at most.
const PROOF_EVERY: Duration = Duration::from_secs(5);

/// How often the highest number of people online in each quarter hour is written.
const WRITE_PEAKS_EVERY: Duration = Duration::from_secs(10);

/// How often marks of other processes are looked for.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// How often public keys are looked at, which are loaded again only when they are old.
const REFRESH_KEYS_EVERY: Duration = Duration::from_secs(10);

/// How often expired sign-ins are removed.
const PURGE_EVERY: Duration = Duration::from_secs(600);

/// How often who follows the live stream is told figures, and their credential is looked at again.
const LIVE_EVERY: Duration = Duration::from_secs(5);

/// Read-only connections to the database at most. Each has a page cache of its own, which counts as memory of the
/// server while the operating system caches the file anyway.
const READERS: u32 = 4;

/// A running server without its sockets.
pub struct App {
    store: Store,
    presence: PresenceService,
    realtime: Realtime,
    services: Services,
    /// `None` on a read-only database, where nothing is written and nothing needs repair.
    boot: Option<BootId>,
    tasks: Tasks,
    stopping: CancellationToken,
    /// Held for life, so that a second server cannot repair this one's people.
    _lock: Option<Lock>,
}

impl App {
    /// Opens the database, repairs what a dead boot left open, and starts the background work.
    ///
    /// # Errors
    /// When the database is not ours, newer, corrupt, or served by another process.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        Self::start_with(config, Clock::system()).await
    }

    /// As [`App::start`], with a clock of the caller's.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_with(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        // Before the database, which a wrong setting is not to create.
        let client_rules = client_rules(config)?;
        let (store, lock) = open(config)?;
        let auth = Auth::new(store.clone(), clock.clone(), auth_settings(config));
        let presence =
            PresenceService::new(presence_settings(config), store.clone(), clock.clone());
        let rules = ActivityRules {
            strict_actions: config.strict_actions,
            ip_privacy: config.ip_privacy,
        };
        let activity =
            ActivityService::new(store.clone(), clock.clone(), rules, presence.live().clone());
        let counters = RealtimeCounters::default();
        let tasks = Tasks::new();
        start_keys(&tasks, &auth).await?;
        let boot = if store.is_read_only() {
            warn!("the database is read-only: reads are served, writes are answered 503");
            None
        } else {
            let boot = store
                .begin_boot(clock.now())
                .await
                .context("cannot begin on this database")?;
            start_upkeep(&tasks, &store, boot, &clock);
            Some(boot)
        };
        presence.start(boot, &tasks);
        activity.start(&tasks);
        start_polling(&tasks, &store, &auth, &presence, &activity).await?;
        let realtime = Realtime::start(
            auth.clone(),
            presence.clone(),
            counters.clone(),
            clock.clone(),
            realtime_settings(config, client_rules.clone()),
        );
        let metrics = metrics(&counters, &presence, &realtime, &store, &activity);
        let stopping = CancellationToken::new();
        let zone = config.timezone;
        let analytics = Analytics::new(store.clone(), presence.clone(), clock.clone(), zone);
        if boot.is_some() {
            start_peaks(&tasks, &analytics);
        }
        let services = Services {
            analytics,
            store: store.clone(),
            auth,
            presence: presence.clone(),
            activity,
            metrics: Arc::new(metrics),
            clock,
            stopping: stopping.clone(),
            finishing: TaskTracker::new(),
            settings: http::Settings {
                cors_origins: origins(config),
                presence_rate: config.presence_rate,
                presence_query_rate: config.presence_query_rate,
                client_rules,
                live_every: LIVE_EVERY,
                ids_from_host: config.jwt_sub == crate::model::JwtSub::Id,
            },
        };
        Ok(Self {
            store,
            presence,
            realtime,
            services,
            boot,
            tasks,
            stopping,
            _lock: lock,
        })
    }

    /// Everything that is served on the main address.
    pub fn endpoint(&self) -> impl Endpoint + 'static {
        let realtime = self.realtime.clone();
        http::routes(self.services.clone(), move |route| {
            http::realtime::mount(route, realtime)
        })
    }

    /// `/metrics` for anyone, on an address of its own.
    pub fn metrics_endpoint(&self) -> impl Endpoint + 'static {
        http::metrics_routes(self.services.metrics.clone())
    }

    /// Not ready any more; ends presence and sessions and tells every connection when to come back. To be called
    /// while requests are still answered, so that clients that poll can be told.
    pub async fn drain(&self) {
        self.stopping.cancel();
        self.realtime.stop_accepting();
        let links = self.presence.shut_down();
        self.realtime.shut_down(links).await;
    }

    /// Writes what is not written and closes the database. To be called when no request is left.
    pub async fn close(&self) {
        // What a request has begun to write, and what has to follow it, comes to its end.
        self.services.finishing.close();
        self.services.finishing.wait().await;
        self.tasks.stop().await;
        if let Some(boot) = self.boot {
            // Both bounded by time, so at once: neither takes the other's.
            let (is_written, ()) =
                tokio::join!(self.presence.finish(boot), self.services.activity.drain());
            if !is_written {
                error!(
                    "the last changes could not be written; the next start repairs sessions and presence"
                );
            } else if let Err(error) = self.store.end_boot(boot, self.services.clock.now()).await {
                error!(%error, "the end could not be written; the next start repairs nothing by it");
            }
        }
        self.store.close().await;
    }
}

fn open(config: &Config) -> anyhow::Result<(Store, Option<Lock>)> {
    // The lock first, since what follows migrates and repairs. Where it cannot be made, the file cannot be written
    // either, and a store that cannot be written needs none.
    let (lock, refused) = match Lock::acquire(&config.database) {
        Ok(lock) => (Some(lock), None),
        Err(error @ StoreError::Held(_)) => return Err(error.into()),
        Err(error) => (None, Some(error)),
    };
    let options = Options {
        create: lock.is_some(),
        migrate: lock.is_some(),
        mark_changes: false,
        durability: config.durability,
        readers: READERS,
        ..Options::default()
    };
    let store = Store::open(&config.database, options)?;
    match refused {
        Some(error) if !store.is_read_only() => Err(error.into()),
        _ => Ok((store, lock)),
    }
}

fn client_rules(config: &Config) -> anyhow::Result<ClientRules> {
    if config.country_header.is_some() && config.trusted_proxies.is_empty() {
        warn!(
            "country_header is believed of trusted proxies alone, and trusted_proxies names none"
        );
    }
    let open = |path: &PathBuf| {
        Geo::open(path).map_err(|error| {
            anyhow::anyhow!(
                "cannot use the database of addresses {}: {error}; set --geoip to a file in the MaxMind format (.mmdb) or \
                 leave it out",
                path.display()
            )
        })
    };
    Ok(ClientRules {
        trusted_proxies: config.trusted_proxies.clone(),
        ip_privacy: config.ip_privacy,
        country_header: config.country_header.clone(),
        geo: config.geoip.as_ref().map(open).transpose()?.map(Arc::new),
    })
}

fn auth_settings(config: &Config) -> AuthSettings {
    let is_short = |secret: &Secret| secret.expose().len() < MIN_SECRET_BYTES;
    if config.jwt_secret.as_ref().is_some_and(is_short) {
        warn!(
            "the JWT secret is shorter than {MIN_SECRET_BYTES} bytes, which can be guessed (RFC 7518, section 3.2)"
        );
    }
    let secret = config.jwt_secret.clone().map(HostKey::Secret);
    let file = config.jwks_file.clone().map(KeySource::File);
    let url = config.jwks_url.clone().map(KeySource::Url);
    AuthSettings {
        token_ttl: config.token_ttl,
        host_key: secret.or(file.or(url).map(HostKey::Public)),
        host_rules: Rules {
            issuer: config.jwt_issuer.clone(),
            audiences: config.jwt_audience.clone(),
        },
        jwt_sub: config.jwt_sub,
        provision: config.jwt_provision,
        social: SocialSettings {
            google: provider(&config.google_client_id, &config.google_jwks_url),
            apple: provider(&config.apple_client_id, &config.apple_jwks_url),
        },
        ..AuthSettings::default()
    }
}

fn provider(client_ids: &[String], keys: &KeysUrl) -> Option<ProviderSettings> {
    (!client_ids.is_empty()).then(|| ProviderSettings {
        client_ids: client_ids.to_vec(),
        keys: keys.clone(),
    })
}

/// Loads the host application's public keys and keeps all keys fresh. A file that cannot be read is a wrong setting; an
/// address may answer later.
async fn start_keys(tasks: &Tasks, auth: &Auth) -> anyhow::Result<()> {
    if let Some(keys) = auth.host_keys()
        && let Err(why) = keys.load_now().await
    {
        if keys.is_file() {
            anyhow::bail!("cannot use the public keys of {keys:?}: {why}");
        }
        warn!(%why, "the host application's public keys could not be loaded yet: {keys:?}");
    }
    let auth = auth.clone();
    tasks.every("public keys", REFRESH_KEYS_EVERY, move || {
        let auth = auth.clone();
        async move { auth.refresh_keys().await }
    });
    Ok(())
}

fn presence_settings(config: &Config) -> PresenceSettings {
    PresenceSettings {
        tracker: TrackerSettings {
            offline_grace: config.offline_grace,
            session_resume: config.session_resume,
            max_connections_per_user: config.max_connections_per_user,
            max_connections: match config.max_connections {
                0 => usize::MAX,
                most => most,
            },
        },
        hub: HubSettings {
            audience: config.audience,
            transition_gap: config.transition_gap,
        },
    }
}

fn realtime_settings(config: &Config, client_rules: ClientRules) -> RealtimeSettings {
    RealtimeSettings {
        cors_origins: origins(config),
        client_rules,
        ping_interval: config.ping_interval,
        ping_timeout: config.ping_timeout,
        event_rate: NonZeroU32::new(config.event_rate).unwrap_or(NonZeroU32::MIN),
        event_burst: NonZeroU32::new(config.event_burst).unwrap_or(NonZeroU32::MIN),
        max_unauthenticated_per_address: config.max_unauthenticated_per_address,
        slow_consumer_timeout: config.slow_consumer_timeout,
        body_timeout: config.body_timeout,
    }
}

fn origins(config: &Config) -> Vec<String> {
    config
        .cors_origin
        .iter()
        .map(|origin| origin.as_str().to_owned())
        .collect()
}

fn metrics(
    counters: &RealtimeCounters,
    presence: &PresenceService,
    realtime: &Realtime,
    store: &Store,
    activity: &ActivityService,
) -> Metrics {
    let (presence, realtime, store) = (presence.clone(), realtime.clone(), store.clone());
    let activity = activity.clone();
    Metrics::new(counters, move || {
        let written = store.stats();
        Sample {
            connections: presence.tracker().connections() as u64,
            online: presence.tracker().online() as u64,
            transitions: presence.tracker().transitions(),
            write_batches: written.write_batches,
            write_commands: written.write_commands,
            write_queue: written.write_queue,
            write_refused: written.write_refused,
            unwritten: presence.unwritten() as u64,
            slow_consumers: realtime.slow_consumers(),
            activity_dropped: activity.dropped(),
        }
    })
}

fn start_upkeep(tasks: &Tasks, store: &Store, boot: BootId, clock: &Clock) {
    let (prover, now) = (store.clone(), clock.clone());
    tasks.every("proof of life", PROOF_EVERY, move || {
        let (store, now) = (prover.clone(), now.now());
        async move {
            if let Err(error) = store.prove_life(boot, now).await {
                warn!(%error, "the proof of life could not be renewed");
            }
        }
    });
    let (purger, now) = (store.clone(), clock.clone());
    tasks.every("expired sign-ins", PURGE_EVERY, move || {
        let (store, now) = (purger.clone(), now.now());
        async move {
            if let Err(error) = store.purge_expired(now).await {
                warn!(%error, "expired sign-ins could not be removed");
            }
            if let Err(error) = store.forget_answers(now).await {
                warn!(%error, "answers kept for repeated requests could not be removed");
            }
        }
    });
}

/// Writes the most who were online at once.
fn start_peaks(tasks: &Tasks, analytics: &Analytics) {
    let analytics = analytics.clone();
    tasks.every("online peaks", WRITE_PEAKS_EVERY, move || {
        let analytics = analytics.clone();
        async move {
            if let Err(error) = analytics.write_peaks().await {
                warn!(%error, "the most who were online could not be written; trying again");
            }
        }
    });
}

/// Heeds what commands change beside the server.
async fn start_polling(
    tasks: &Tasks,
    store: &Store,
    auth: &Auth,
    presence: &PresenceService,
    activity: &ActivityService,
) -> anyhow::Result<()> {
    let seen = Arc::new(AtomicI64::new(store.newest_change().await?));
    let (store, auth, presence) = (store.clone(), auth.clone(), presence.clone());
    let activity = activity.clone();
    tasks.every("changes by commands", POLL_EVERY, move || {
        let (store, auth, presence, seen) =
            (store.clone(), auth.clone(), presence.clone(), seen.clone());
        let activity = activity.clone();
        async move {
            match store.poll_changes(seen.load(Ordering::Relaxed)).await {
                Ok(changes) => {
                    for (id, change) in changes {
                        if let Change::UserErased(user) = change {
                            activity.recent().forget(user);
                        }
                        heed(&auth, &presence, change).await;
                        seen.store(id, Ordering::Relaxed);
                    }
                }
                Err(error) => warn!(%error, "changes by commands could not be read"),
            }
        }
    });
    Ok(())
}

async fn heed(auth: &Auth, presence: &PresenceService, change: Change) {
    match change {
        Change::User(user) => {
            auth.forget_user(user);
            presence.user_changed(user).await;
        }
        Change::UserErased(user) => {
            auth.forget_user(user);
            presence.user_erased(user);
        }
        Change::SignIns(user) => {
            auth.forget_user(user);
            presence.end_user(user);
        }
        Change::Keys => auth.forget_keys(),
        Change::Graph => {
            auth.forget_users();
            presence.graph_changed();
        }
    }
}

#[cfg(test)]
mod tests;
