//! `lastseen user`: accounts, for whoever has the database file.

use super::database::{self, Access, with_store};
use super::{output, password};
use crate::config::Config;
use crate::model::{Clock, ProfileFields, Role, Timestamp, User, UserId, Username};
use crate::store::{NewUser, Store, StoreError, UserChange};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Add, list, show, change and delete users
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  lastseen user add ann --role admin\n  printf %s \"$PASSWORD\" | lastseen user add bob --password-stdin\n  lastseen user list --json\n  lastseen user delete bob --yes"
)]
pub(super) struct Arguments {
    #[command(flatten)]
    database: database::DatabaseArguments,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Add a user; makes the database when there is none
    Add(Add),
    /// List all users
    #[command(after_help = "Examples:\n  lastseen user list\n  lastseen user list --json")]
    List {
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one user
    #[command(after_help = "Examples:\n  lastseen user show ann --json")]
    Show {
        /// Their username
        name: String,
        /// As a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make a user an admin, or an ordinary user
    #[command(after_help = "Examples:\n  lastseen user set-role ann admin")]
    SetRole {
        /// Their username
        name: String,
        /// user or admin
        role: Role,
        /// Report as a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Set a user's password and end their sign-ins; asks for it on a terminal
    #[command(
        after_help = "Examples:\n  lastseen user set-password ann\n  printf %s \"$PASSWORD\" | lastseen user set-password ann --password-stdin"
    )]
    SetPassword {
        /// Their username
        name: String,
        /// Read the password from standard input; one line break at its end is dropped
        #[arg(long)]
        password_stdin: bool,
        /// Report as a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Erase a user and everything of theirs; asks on a terminal
    #[command(
        after_help = "Examples:\n  lastseen user delete bob\n  lastseen user delete bob --yes"
    )]
    Delete {
        /// Their username
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Report as a JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  lastseen user add ann --role admin\n  printf %s \"$PASSWORD\" | lastseen user add bob --password-stdin"
)]
struct Add {
    /// The username: 2 to 30 of A-Z a-z 0-9 _ . with at least one letter
    name: Username,
    /// The id; needed where the host application gives ids (jwt_sub = "id")
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    id: Option<i64>,
    /// user or admin
    #[arg(long, default_value = "user")]
    role: Role,
    /// E-mail address, which can be used to sign in
    #[arg(long)]
    email: Option<String>,
    /// The name that is shown
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Read the password from standard input; one line break at its end is dropped
    #[arg(long)]
    password_stdin: bool,
    /// Report as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = arguments.database.settings()?;
    match arguments.action {
        Action::Add(arguments) => add(&config, arguments),
        Action::List { json } => with_store(&config, Access::Read, async |store| {
            list(store, &config, json).await
        }),
        Action::Show { name, json } => with_store(&config, Access::Read, async |store| {
            let user = find(store, &config, &name).await?;
            if json {
                output::print_json(&to_json(&user))
            } else {
                output::print(to_text(&user))
            }
        }),
        Action::SetRole { name, role, json } => with_store(&config, Access::Write, async |store| {
            let user = find(store, &config, &name).await?;
            let change = UserChange {
                role: Some(role),
                ..UserChange::default()
            };
            change_user(store, &config, &user, change).await?;
            if json {
                let json =
                    serde_json::json!({ "id": user.id, "username": user.username, "role": role });
                return output::print_json(&json);
            }
            output::print(format!("{} is now {role}\n", user.username))
        }),
        Action::SetPassword {
            name,
            password_stdin,
            json,
        } => set_password(&config, &name, password_stdin, json),
        Action::Delete { name, yes, json } => with_store(&config, Access::Write, async |store| {
            delete(store, &config, &name, yes, json).await
        }),
    }
}

fn add(config: &Config, arguments: Add) -> anyhow::Result<()> {
    if config.jwt_sub == crate::config::JwtSub::Id && arguments.id.is_none() {
        bail!("with jwt_sub = \"id\" the host application gives the ids; give it with --id");
    }
    let profile = ProfileFields {
        display_name: arguments.display_name.filter(|text| !text.is_empty()),
        email: arguments.email.filter(|text| !text.is_empty()),
        ..ProfileFields::default()
    };
    profile.check().context("give another value")?;
    let password = password::read(arguments.password_stdin)?;
    // Empty is "none" only where somebody could see that: an empty pipe is a mistake.
    let password = password.filter(|text| arguments.password_stdin || !text.is_empty());
    let password_hash = password.as_deref().map(password::hash).transpose()?;
    let has_password = password_hash.is_some();
    let username = arguments.name.clone();
    let new = NewUser {
        id: arguments.id.map(UserId),
        external_id: None,
        username: arguments.name,
        password_hash,
        profile,
        role: arguments.role,
        created_at: Clock::system().now(),
    };
    let id = with_store(config, Access::Create, async |store| {
        let created = store.create_user(new).await;
        created.map_err(|error| database::explain(error, &config.database))
    })?;
    if arguments.json {
        let json = serde_json::json!({ "id": id, "username": username, "role": arguments.role, "hasPassword": has_password });
        return output::print_json(&json);
    }
    let note = if has_password {
        ""
    } else {
        " without a password; `lastseen user set-password` gives one"
    };
    output::print(format!("added {username} with id {id}{note}\n"))
}

async fn find(store: &Store, config: &Config, name: &str) -> anyhow::Result<User> {
    let found = store.user_by_username(name).await;
    found
        .map_err(|error| database::explain(error, &config.database))?
        .with_context(|| format!("there is no user {name:?}; `lastseen user list` shows all"))
}

async fn change_user(
    store: &Store,
    config: &Config,
    user: &User,
    change: UserChange,
) -> anyhow::Result<()> {
    let changed = store.update_user(user.id, change).await;
    if !changed.map_err(|error| database::explain(error, &config.database))? {
        bail!(
            "{} was deleted meanwhile; nothing was changed",
            user.username
        );
    }
    Ok(())
}

fn set_password(config: &Config, name: &str, from_stdin: bool, json: bool) -> anyhow::Result<()> {
    with_store(config, Access::Write, async |store| {
        let user = find(store, config, name).await?;
        let Some(password) = password::read(from_stdin)? else {
            bail!("there is no terminal to ask for the password; use --password-stdin");
        };
        let change = UserChange {
            password_hash: Some(password::hash(&password)?),
            ..UserChange::default()
        };
        change_user(store, config, &user, change).await?;
        // Whoever knew the old password must not stay signed in.
        let ended = store.revoke_sign_ins(user.id).await;
        let ended = ended.map_err(|error| database::explain(error, &config.database))?;
        if json {
            let json = serde_json::json!({
                "id": user.id,
                "username": user.username,
                "signInsEnded": ended.len(),
            });
            return output::print_json(&json);
        }
        output::print(format!(
            "password of {} set; sign-ins ended: {}\n",
            user.username,
            ended.len()
        ))
    })
}

async fn delete(
    store: &Store,
    config: &Config,
    name: &str,
    yes: bool,
    json: bool,
) -> anyhow::Result<()> {
    let user = find(store, config, name).await?;
    if !yes && !confirmed(&user)? {
        bail!("not confirmed; nothing was deleted");
    }
    let deleted = store.delete_user(user.id).await;
    match deleted {
        Ok(true) if json => output::print_json(
            &serde_json::json!({ "id": user.id, "username": user.username, "deleted": true }),
        ),
        Ok(true) => output::print(format!("deleted {}\n", user.username)),
        Ok(false) | Err(StoreError::NoSuchUser) => {
            bail!(
                "{} was deleted meanwhile; there is nothing to do",
                user.username
            )
        }
        Err(error) => Err(database::explain(error, &config.database)),
    }
}

fn confirmed(user: &User) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!(
            "there is no terminal to ask on; to delete {} give --yes",
            user.username
        );
    }
    let question = format!(
        "Delete {} (id {}) and everything of theirs? [y/N] ",
        user.username, user.id
    );
    let mut stderr = std::io::stderr();
    stderr
        .write_all(question.as_bytes())
        .and_then(|()| stderr.flush())
        .context("cannot ask; give --yes")?;
    let mut answer = String::new();
    stdin
        .lock()
        .read_line(&mut answer)
        .context("cannot read the answer; give --yes")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Bounded memory however many there are: one page at a time.
async fn list(store: &Store, config: &Config, json: bool) -> anyhow::Result<()> {
    const PAGE: usize = 500;
    let mut after = None;
    let mut separator = if json { "[" } else { "" };
    if !json {
        output::print(format!(
            "{:>8}  {:<30}  {:<5}  {:<24}  {}\n",
            "ID", "USERNAME", "ROLE", "LAST ACTIVE", "NAME"
        ))?;
    }
    loop {
        let page = store.users_page(after, PAGE).await;
        let page = page.map_err(|error| database::explain(error, &config.database))?;
        let mut text = String::new();
        for user in &page {
            if json {
                text += separator;
                text += &to_json(user).to_string();
                separator = ",\n";
                continue;
            }
            let active = user.last_active_at.map(|at| at.to_string());
            let line = format!(
                "{:>8}  {:<30}  {:<5}  {:<24}  {}",
                user.id.0,
                user.username.as_str(),
                user.role.as_str(),
                active.as_deref().unwrap_or("-"),
                output::plain(user.display_name.as_deref().unwrap_or("")),
            );
            text += line.trim_end();
            text += "\n";
        }
        output::print(text)?;
        after = page.last().map(|user| user.id);
        if page.len() < PAGE {
            break;
        }
    }
    match (json, separator) {
        (true, "[") => output::print("[]\n"),
        (true, _) => output::print("]\n"),
        _ => Ok(()),
    }
}

fn to_json(user: &User) -> serde_json::Value {
    serde_json::json!({
        "id": user.id,
        "externalId": user.external_id,
        "username": user.username,
        "displayName": user.display_name,
        "bio": user.bio,
        "profilePictureUrl": user.profile_picture_url,
        "email": user.email,
        "role": user.role,
        "activityStatus": user.activity_status,
        "isOnline": user.is_online,
        "lastSeen": user.last_seen,
        "lastLoginAt": user.last_login_at,
        "lastActiveAt": user.last_active_at,
        "createdAt": user.created_at,
        "followersCount": user.followers_count,
        "followingCount": user.following_count,
    })
}

fn to_text(user: &User) -> String {
    let time = |at: Option<Timestamp>| at.map_or("never".to_owned(), |at| at.to_string());
    let text = |text: &Option<String>| output::plain(text.as_deref().unwrap_or("-"));
    let online = if user.is_online { "yes" } else { "no" };
    let rows = [
        ("id", user.id.to_string()),
        ("external id", text(&user.external_id)),
        ("username", user.username.to_string()),
        ("name", text(&user.display_name)),
        ("email", text(&user.email)),
        ("bio", text(&user.bio)),
        ("picture", text(&user.profile_picture_url)),
        ("role", user.role.to_string()),
        ("activity status", user.activity_status.to_string()),
        ("online", online.to_owned()),
        ("last seen", time(user.last_seen)),
        ("last login", time(user.last_login_at)),
        ("last active", time(user.last_active_at)),
        ("created", user.created_at.to_string()),
        ("followers", user.followers_count.to_string()),
        ("following", user.following_count.to_string()),
    ];
    rows.iter()
        .map(|(name, value)| format!("{name:<16} {value}\n"))
        .collect()
}
