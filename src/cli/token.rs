//! `lastseen token`: API keys for a host application and for administrators.

use super::database::{self, Access, with_store};
use super::output;
use crate::auth::token::{Token, TokenKind};
use crate::config::Config;
use crate::model::{Clock, KeyRole, validate};
use crate::store::StoreError;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

/// Create, list and revoke API keys
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  lastseen token create --role service --name backend > key\n  lastseen token list\n  lastseen token revoke backend"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: database::DatabaseArguments,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Create a key and print it; it is shown this once
    #[command(
        after_help = "Examples:\n  (umask 077; lastseen token create --role service --name backend > key)\n  lastseen token create --role admin --name me --json"
    )]
    Create {
        /// admin sees everything; service mirrors users and follows, and reads as a stranger
        #[arg(long)]
        role: KeyRole,
        /// What it is for; unique
        #[arg(long)]
        name: String,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// List the keys there are, without their secrets
    #[command(after_help = "Examples:\n  lastseen token list\n  lastseen token list --json")]
    List {
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key; a running server heeds it within 2 seconds
    #[command(after_help = "Examples:\n  lastseen token revoke backend")]
    Revoke {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        key: String,
        /// Report as a JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = arguments.database.settings()?;
    match arguments.action {
        Action::Create { role, name, json } => create(&config, role, &name, json),
        Action::List { json } => list(&config, json),
        Action::Revoke { key, json } => revoke(&config, &key, json),
    }
}

fn create(config: &Config, role: KeyRole, name: &str, json: bool) -> anyhow::Result<()> {
    validate::text("name", name, 1, 100).context("choose another name")?;
    if name.chars().any(char::is_control) || name.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("name must have no control characters and not be a number; choose another");
    }
    let key = Token::generate(TokenKind::ApiKey)?;
    let id = with_store(config, Access::Write, async |store| {
        let created = store
            .create_api_key(name, role, key.hash(), Clock::system().now())
            .await;
        created.map_err(|error| match error {
            StoreError::Conflict(_) => anyhow::anyhow!(
                "there is a key named {name:?}; revoke it with `lastseen token revoke`, or choose another name"
            ),
            error => database::explain(error, &config.database),
        })
    })?;
    if json {
        let json = serde_json::json!({ "id": id, "name": name, "role": role, "key": key.expose() });
        return output::print_json(&json);
    }
    output::print(format!("{}\n", key.expose()))
}

fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let keys = with_store(config, Access::Read, async |store| {
        let keys = store.api_keys().await;
        keys.map_err(|error| database::explain(error, &config.database))
    })?;
    if json {
        let rows: Vec<_> = keys
            .iter()
            .map(|key| {
                serde_json::json!({ "id": key.id, "name": key.name, "role": key.role, "createdAt": key.created_at })
            })
            .collect();
        return output::print_json(&rows);
    }
    let mut text = format!(
        "{:>6}  {:<7}  {:<24}  {}\n",
        "ID", "ROLE", "CREATED", "NAME"
    );
    for key in keys {
        text += &format!(
            "{:>6}  {:<7}  {:<24}  {}\n",
            key.id.0,
            key.role.as_str(),
            key.created_at.to_string(),
            output::plain(&key.name)
        );
    }
    output::print(text)
}

fn revoke(config: &Config, key: &str, json: bool) -> anyhow::Result<()> {
    let revoked = with_store(config, Access::Write, async |store| {
        let revoked = store.revoke_api_key(key, Clock::system().now()).await;
        revoked.map_err(|error| database::explain(error, &config.database))
    })?;
    if !revoked {
        bail!("there is no key {key:?}; `lastseen token list` shows all");
    }
    if json {
        return output::print_json(&serde_json::json!({ "key": key, "revoked": true }));
    }
    output::print(format!("revoked {}\n", output::plain(key)))
}
