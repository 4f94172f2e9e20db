//! A client in Rust over the raw WebSocket: signs in, prints who comes and goes, and stays connected.
//!
//! ```sh
//! cargo run --example client -- --username ann --password-file secret bob carol   # watches bob and carol too
//! LASTSEEN_TOKEN=… cargo run --example client
//! ```
//!
//! It shows what a client has to heed: after a lost connection it comes back with growing delays, after
//! `server_shutdown` when the server asks it to, and after close code 4001, 4002 or 4003 not at all, since the same
//! token would be refused again.

use anyhow::{Context, Result, bail};
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, interval, sleep, timeout_at};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderValue};

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one: the next delay is short again.
const GOOD: Duration = Duration::from_secs(60);
const HEARTBEAT: Duration = Duration::from_secs(60);
/// The server pings every 25 s unless told otherwise. A longer silence means that the network is gone.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
#[command(about = "Prints who comes online and goes offline")]
struct Args {
    /// The server, http://HOST:PORT; for TLS build tokio-tungstenite and reqwest with one of their TLS features
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    server: String,
    /// A token, instead of signing in
    #[arg(
        long,
        env = "LASTSEEN_TOKEN",
        hide_env_values = true,
        required_unless_present = "username"
    )]
    token: Option<String>,
    /// Whom to sign in as
    #[arg(long, requires = "password_file", conflicts_with = "token")]
    username: Option<String>,
    /// A file with the password
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// People to watch beside those one follows and talks to
    watch: Vec<String>,
}

/// Why a connection ended.
enum End {
    /// Come back as usual.
    Lost(String),
    /// The server goes away and says when to come back.
    Shutdown(Duration),
    /// Coming back would be refused.
    Refused(String),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("client: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<Infallible> {
    let token = match &args.token {
        Some(token) => token.clone(),
        None => sign_in(&args).await?,
    };
    let mut delay = FIRST_DELAY;
    loop {
        let begun = Instant::now();
        let end = match connection(&args, &token).await {
            Ok(end) => end,
            Err(error) => End::Lost(format!("{error:#}")),
        };
        if begun.elapsed() > GOOD {
            delay = FIRST_DELAY;
        }
        let pause = match end {
            End::Refused(why) => bail!("refused: {why}"),
            End::Shutdown(after) => {
                delay = FIRST_DELAY;
                after
            }
            End::Lost(why) => {
                println!("-- {why}");
                // Half of it by chance, so that many clients do not come back at once.
                let pause = delay.mul_f64(rand::random_range(0.5..1.0));
                delay = (delay * 2).min(LONGEST_DELAY);
                pause
            }
        };
        println!("-- back in {pause:.1?}");
        sleep(pause).await;
    }
}

async fn sign_in(args: &Args) -> Result<String> {
    let path = args
        .password_file
        .as_deref()
        .context("--password-file is needed to sign in")?;
    let password = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let body =
        json!({"username": args.username, "password": password.trim_end_matches(['\r', '\n'])});
    let url = format!("{}/auth/signin", args.server);
    let answer: Value = reqwest::Client::new()
        .post(url)
        .json(&body)
        .send()
        .await?
        .json()
        .await?;
    match answer["data"]["token"].as_str() {
        Some(token) => Ok(token.to_owned()),
        None => bail!(
            "sign-in: {}",
            answer["error"]["message"]
                .as_str()
                .unwrap_or("no token in the answer")
        ),
    }
}

async fn connection(args: &Args, token: &str) -> Result<End> {
    let address = args
        .server
        .strip_prefix("http://")
        .context("--server: want http://HOST:PORT")?;
    let mut request = format!("ws://{address}/ws").into_client_request()?;
    request.headers_mut().insert(
        AUTHORIZATION,
        HeaderValue::try_from(format!("Bearer {token}"))?,
    );
    let (mut socket, _) = connect_async(request).await?;
    if !args.watch.is_empty() {
        let watch = json!({"event": "watch", "data": {"usernames": args.watch}, "ack": 1});
        socket.send(Message::text(watch.to_string())).await?;
    }

    let mut heartbeat = interval(HEARTBEAT);
    let mut last_heard = Instant::now();
    let mut back_after = None;
    loop {
        let message = tokio::select! {
            message = timeout_at(last_heard + SILENCE, socket.next()) => message,
            _ = heartbeat.tick() => {
                socket.send(Message::text(r#"{"event":"heartbeat","data":{}}"#)).await?;
                continue;
            }
        };
        let message = match message {
            Err(_) => return Ok(End::Lost("nothing heard".into())),
            Ok(None) => return Ok(ended(back_after, "the connection ended")),
            Ok(Some(Err(error))) => return Ok(ended(back_after, &error.to_string())),
            Ok(Some(Ok(message))) => message,
        };
        last_heard = Instant::now();
        match message {
            Message::Text(text) => {
                if let Some(after) = show(&serde_json::from_str(&text)?) {
                    back_after = Some(after);
                }
            }
            Message::Close(Some(frame)) => {
                let (code, reason) = (u16::from(frame.code), frame.reason);
                return Ok(match code {
                    4001..=4003 => End::Refused(format!("{code} {reason}")),
                    _ => ended(back_after, &format!("closed with {code} {reason}")),
                });
            }
            // Pings are answered by the library while we read.
            _ => {}
        }
    }
}

fn ended(back_after: Option<Duration>, why: &str) -> End {
    back_after.map_or_else(|| End::Lost(why.to_owned()), End::Shutdown)
}

/// Prints an event. Returns the delay that a server going away asks for.
fn show(frame: &Value) -> Option<Duration> {
    let data = &frame["data"];
    match frame["event"].as_str() {
        Some("presence_snapshot") => {
            println!("-- connected");
            people(&data["users"]);
        }
        Some("presence_update") => person(data),
        Some("message") => println!(
            "{}: {}",
            data["message"]["senderUsername"], data["message"]["text"]
        ),
        Some("error") => println!("-- error: {}", data["message"]),
        Some("server_shutdown") => {
            return data["reconnectAfterMs"].as_u64().map(Duration::from_millis);
        }
        Some(_) => {}
        None if data["success"] == false => println!("-- failed: {}", data["error"]["message"]),
        // The only acknowledgement asked for is that of `watch`.
        None => people(&data["data"]["users"]),
    }
    None
}

fn people(users: &Value) {
    users.as_array().into_iter().flatten().for_each(person);
}

fn person(user: &Value) {
    let name = user["username"].as_str().unwrap_or("?");
    match (user["status"].as_str(), user["lastSeen"].as_str()) {
        (Some("online"), _) => println!("{name} is online"),
        (_, Some(at)) => println!("{name} is offline, last seen {at}"),
        _ => println!("{name} is offline"),
    }
}
