//! The real server in this process: app, accept loop and a database in a directory of its own.

use super::{DEADLINE, Http};
use lastseen::app::App;
use lastseen::auth::token::{Token, TokenKind};
use lastseen::config::Config;
use lastseen::model::{Clock, KeyRole, ProfileFields, Role, Timestamp, UserId, Username};
use lastseen::server::{self, tls::Tls};
use lastseen::store::{Durability, Lock, NewSignIn, NewUser, Options, Store};
use rusqlite::types::FromSql;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running server and what stands beside it.
pub struct Server {
    pub address: SocketAddr,
    pub database: PathBuf,
    /// As `lastseen user` and `lastseen token` would open it.
    pub side: Store,
    app: Option<Arc<App>>,
    shutdown: CancellationToken,
    accepting: Option<JoinHandle<()>>,
    clock: Clock,
    metrics_key: OnceCell<String>,
    _directory: Option<tempfile::TempDir>,
}

/// Somebody with an account and a sign-in.
#[derive(Clone, Debug)]
pub struct User {
    pub id: i64,
    pub name: String,
    pub token: String,
    /// Asks as this user.
    pub http: Http,
}

/// Short where a default would make tests wait, and without limits that are not the test's own.
pub fn config(database: &Path) -> Config {
    Config {
        database: database.to_owned(),
        offline_grace: Duration::from_millis(300),
        transition_gap: Duration::ZERO,
        presence_rate: 0,
        presence_query_rate: 0,
        // Durability is not what these tests look at, and a disk is slow.
        durability: Durability::Normal,
        ..Config::defaults()
    }
}

impl Server {
    /// With short settings.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With settings of the test's own.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_clock(Clock::system(), change).await
    }

    /// With a clock of the test's own.
    pub async fn with_clock(clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut server = Self::on(&directory.path().join("lastseen.db"), clock, change)
            .await
            .expect("a server on a new database");
        server._directory = Some(directory);
        server
    }

    /// On a file that is there, or may be.
    pub async fn on(
        database: &Path,
        clock: Clock,
        change: impl FnOnce(&mut Config),
    ) -> anyhow::Result<Self> {
        Self::at(([127, 0, 0, 1], 0).into(), database, clock, change).await
    }

    /// As [`Server::on`], at an address that clients know.
    pub async fn at(
        address: SocketAddr,
        database: &Path,
        clock: Clock,
        change: impl FnOnce(&mut Config),
    ) -> anyhow::Result<Self> {
        let mut config = config(database);
        change(&mut config);
        let listener = server::bind(address)?;
        let address = listener.local_addr()?;
        let app = Arc::new(App::start_with(&config, clock.clone()).await?);
        let shutdown = CancellationToken::new();
        let options = server::Options {
            header_timeout: config.header_timeout,
            body_timeout: config.body_timeout,
            ..server::Options::default()
        };
        let (endpoint, stop) = (app.endpoint(), shutdown.clone());
        let accepting = match config.read_tls()? {
            Some(files) => {
                let tls = Tls::new(files.certificate.expose(), files.key.expose())?;
                let tls = Arc::new(tls);
                tokio::spawn(server::run_tls(listener, tls, endpoint, options, stop))
            }
            None => tokio::spawn(server::run(listener, endpoint, options, stop)),
        };
        let side = Store::open(&config.database, Options::default())?;
        Ok(Self {
            address,
            database: config.database,
            side,
            app: Some(app),
            shutdown,
            accepting: Some(accepting),
            clock,
            metrics_key: OnceCell::new(),
            _directory: None,
        })
    }

    /// Stops in the order of `lastseen serve`.
    pub async fn stop(&mut self) {
        self.side.close().await;
        if let (Some(app), Some(accepting)) = (self.app.take(), self.accepting.take()) {
            app.drain().await;
            self.shutdown.cancel();
            accepting.await.expect("the accept loop ends");
            app.close().await;
        }
    }

    /// The client of nobody in particular.
    pub fn http(&self) -> Http {
        Http::new(self.address, "")
    }

    /// Somebody new, as the command line makes them.
    pub async fn user(&self, name: &str) -> User {
        self.user_with(name, Role::User, Duration::from_secs(3600))
            .await
    }

    /// Somebody new whose sign-in lasts for `ttl`.
    pub async fn user_with(&self, name: &str, role: Role, ttl: Duration) -> User {
        let id = self.never_seen(name, role).await;
        let token = self.sign_in(id, ttl).await;
        User {
            id,
            name: name.into(),
            http: Http::new(self.address, &token),
            token,
        }
    }

    /// Somebody new who has never signed in.
    pub async fn never_seen(&self, name: &str, role: Role) -> i64 {
        let new = NewUser {
            id: None,
            external_id: None,
            username: Username::new(name).expect("a name"),
            password_hash: None,
            profile: ProfileFields::default(),
            role,
            created_at: self.clock.now(),
        };
        self.side.create_user(new).await.expect("a new user").0
    }

    /// Another sign-in of somebody.
    pub async fn sign_in(&self, user: i64, ttl: Duration) -> String {
        let token = Token::generate(TokenKind::SignIn).expect("random numbers");
        let now = self.clock.now();
        let new = NewSignIn {
            token_hash: token.hash(),
            created_at: now,
            expires_at: now.plus(ttl),
            client: Arc::default(),
        };
        let made = self.side.create_sign_in(UserId(user), new).await;
        made.expect("a sign-in");
        token.expose().to_owned()
    }

    /// A new API key.
    pub async fn key(&self, name: &str, role: KeyRole) -> String {
        let token = Token::generate(TokenKind::ApiKey).expect("random numbers");
        let made = self
            .side
            .create_api_key(name, role, token.hash(), self.clock.now());
        made.await.expect("a key");
        token.expose().to_owned()
    }

    /// Follows, as a user does it.
    pub async fn follow(&self, follower: &User, followee: &str) {
        let path = format!("/users/{followee}/follow");
        let answer = follower.http.post(&path, serde_json::Value::Null).await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
    }

    /// One value from the database, read beside the server.
    pub fn read<T: FromSql>(&self, sql: &str) -> T {
        read(&self.database, sql)
    }

    /// Writes to the database beside the server, which must not remember what is changed.
    pub fn write(&self, sql: &str) {
        let connection = rusqlite::Connection::open(&self.database).expect("a database");
        connection
            .busy_timeout(Duration::from_secs(5))
            .expect("a setting");
        connection
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Waits until the database says so.
    pub async fn reads<T: FromSql + PartialEq + std::fmt::Debug>(&self, sql: &str, expected: T) {
        let mut got = self.read::<T>(sql);
        let until = Instant::now() + DEADLINE;
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        while got != expected {
            assert!(Instant::now() < until, "{sql}: {got:?}, not {expected:?}");
            pause.tick().await;
            got = self.read(sql);
        }
    }

    /// What the columns of `users` say: online, last seen.
    pub async fn stored_presence(&self, user: i64, expected: (bool, Option<Timestamp>)) {
        let sql = format!(
            "SELECT is_online || ',' || ifnull(last_seen, '') FROM users WHERE id = {user}"
        );
        let last_seen = expected
            .1
            .map_or(String::new(), |t| t.as_millis().to_string());
        self.reads(&sql, format!("{},{last_seen}", u8::from(expected.0)))
            .await;
    }

    /// The columns of `users` say: offline, and seen before.
    pub async fn stored_offline(&self, user: i64) {
        let sql =
            format!("SELECT NOT is_online AND last_seen IS NOT NULL FROM users WHERE id = {user}");
        self.reads(&sql, true).await;
    }

    /// The value of a metric without labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let key = self
            .metrics_key
            .get_or_init(|| self.key("metrics", KeyRole::Admin))
            .await;
        let answer = Http::new(self.address, key).get("/metrics").await;
        let mut lines = answer.text.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("no {name} in {}", answer.text));
        value.parse().expect("a number")
    }
}

/// One value from a database.
pub fn read<T: FromSql>(database: &Path, sql: &str) -> T {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(database, flags).expect("a database");
    connection
        .busy_timeout(Duration::from_secs(5))
        .expect("a setting");
    connection
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Whether somebody serves this file.
pub fn is_held(database: &Path) -> bool {
    Lock::acquire(database).is_err()
}
