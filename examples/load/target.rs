//! Where the load goes and as whom: the server's address, the users' tokens, and where connections come from.

use super::graph::{Id, username};
use super::wire::Proto;
use anyhow::{Context, Result, ensure};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpSocket, TcpStream};

/// Connections from one source address, well below the ports that the system hands out (28,232 on Linux).
const CONNECTIONS_PER_ADDRESS: u32 = 20_000;

/// Options that say where the load goes.
#[derive(clap::Args, Clone, Debug)]
pub struct TargetArgs {
    /// The server, http://IP:PORT on loopback
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    target: String,
    /// The secret that the server was given too (with --jwt-sub id)
    #[arg(long, value_name = "FILE")]
    jwt_secret_file: PathBuf,
    /// What to speak
    #[arg(long, value_enum, default_value = "socketio")]
    proto: Proto,
    /// Connection attempts under way at a time
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub in_flight: u32,
    /// How long a connection attempt may take
    #[arg(long, default_value = "30s")]
    connect_timeout: humantime::Duration,
}

/// A server and the key to its door.
pub struct Target {
    /// The server's address.
    pub address: SocketAddr,
    /// What to speak.
    pub proto: Proto,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    key: EncodingKey,
    issued: u64,
}

impl TargetArgs {
    /// Reads the secret and checks the address.
    pub fn build(&self) -> Result<Target> {
        let address = loopback(&self.target)?;
        let secret = std::fs::read_to_string(&self.jwt_secret_file)
            .with_context(|| format!("--jwt-secret-file {}", self.jwt_secret_file.display()))?;
        rlimit::increase_nofile_limit(u64::MAX).context("raising the limit of open files")?;
        Ok(Target {
            address,
            proto: self.proto,
            connect_timeout: *self.connect_timeout,
            key: EncodingKey::from_secret(secret.trim_end_matches(['\r', '\n']).as_bytes()),
            issued: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        })
    }
}

/// Reads http://IP:PORT; only loopback is taken.
pub fn loopback(url: &str) -> Result<SocketAddr> {
    let address = url
        .strip_prefix("http://")
        .unwrap_or(url)
        .trim_end_matches('/');
    let address: SocketAddr = address
        .parse()
        .with_context(|| format!("--target {url}: want http://IP:PORT"))?;
    ensure!(
        address.ip().is_loopback(),
        "--target {url}: only loopback addresses are allowed"
    );
    Ok(address)
}

impl Target {
    /// A token for this person, valid for a day.
    pub fn token(&self, user: Id) -> Result<String> {
        self.sign(user, "user")
    }

    /// A token with which this person may read metrics.
    pub fn admin_token(&self, user: Id) -> Result<String> {
        self.sign(user, "admin")
    }

    fn sign(&self, user: Id, role: &str) -> Result<String> {
        let mut claims = json!({
            "sub": user.to_string(), "username": username(user), "iat": self.issued, "exp": self.issued + 86_400,
        });
        if role == "admin" {
            claims["role"] = json!(role);
        }
        Ok(encode(&Header::default(), &claims, &self.key)?)
    }

    /// A TCP connection for this person.
    pub async fn dial(&self, user: Id) -> std::io::Result<TcpStream> {
        let socket = if self.address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let (true, Some(source)) = (self.address.is_ipv4(), source(user)) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// The address of this person's machine: the system's own choice until its ports run short, then others of 127.0.0.0/8.
fn source(user: Id) -> Option<IpAddr> {
    let block = user / CONNECTIONS_PER_ADDRESS;
    let [_, high, middle, low] = block.to_be_bytes();
    (block > 0).then(|| IpAddr::V4(Ipv4Addr::new(127, 1 + high, middle, low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_a_target() {
        assert!(loopback("http://127.0.0.1:8080").is_ok());
        assert!(loopback("http://[::1]:8080/").is_ok());
        for refused in [
            "http://192.0.2.1:80",
            "http://0.0.0.0:80",
            "http://localhost:80",
            "https://127.0.0.1:80",
        ] {
            assert!(loopback(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn addresses_are_spread_only_when_ports_run_short() {
        assert_eq!(source(1), None);
        assert_eq!(source(19_999), None);
        assert_eq!(
            source(20_000),
            Some(IpAddr::V4(Ipv4Addr::new(127, 1, 0, 1)))
        );
        assert_ne!(source(40_000), source(20_000));
    }
}
