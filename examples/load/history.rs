//! A history of people, activities and sessions from a seed, as files for `lastseen import`.

use super::graph::{Id, Random, username};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// What people do, how often of a hundred, and on what kind of thing.
const ACTIONS: [(&str, u32, &str); 9] = [
    ("video_watched", 40, "video"),
    ("message_sent", 25, "conversation"),
    ("login", 10, ""),
    ("logout", 8, ""),
    ("comment_posted", 7, "video"),
    ("user_followed", 5, "user"),
    ("video_posted", 3, "video"),
    ("livestream_started", 1, "livestream"),
    ("livestream_ended", 1, "livestream"),
];

const DEVICES: [&str; 4] = ["ios", "android", "web", ""];

/// Of so many activities and sessions one is person 1's.
const SHARE_OF_FIRST: u32 = 5;

/// Options of `history`.
#[derive(clap::Args)]
pub struct Args {
    /// People
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..))]
    users: u32,
    /// Activities, a fifth of them person 1's
    #[arg(long, default_value_t = 500_000)]
    activities: u64,
    /// Sessions, likewise
    #[arg(long, default_value_t = 50_000)]
    sessions: u64,
    /// Over so many days, which end an hour ago
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
    /// The same seed, the same history
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Folder for users.jsonl, activities.csv and sessions.csv; made if it is not there
    #[arg(long)]
    out: PathBuf,
}

/// Writes the files.
pub fn run(args: &Args) -> Result<(Value, bool)> {
    ensure!(args.users > 1, "a history needs two people");
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let create = |name: &str| -> Result<BufWriter<File>> {
        let path = args.out.join(name);
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(BufWriter::with_capacity(1 << 18, file))
    };
    let mut users = create("users.jsonl")?;
    for id in 1..=args.users {
        writeln!(users, "{}", json!({ "id": id, "username": username(id) }))?;
    }
    users.flush()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let last = now - 3_600_000;
    let span = args.days * 86_400_000;
    let mut random = Random(args.seed);
    let at = |index: u64, of: u64| {
        last - span + (u128::from(span) * u128::from(index) / u128::from(of.max(1))) as u64
    };
    let mut activities = create("activities.csv")?;
    writeln!(
        activities,
        "userId,action,targetType,targetId,metadata,ipAddress,deviceType,countryCode,timestamp"
    )?;
    for index in 0..args.activities {
        let user = somebody(&mut random, args.users);
        let (action, target_type) = some_action(&mut random);
        let target = match target_type {
            "" => String::new(),
            _ => (1 + random.below(args.users)).to_string(),
        };
        writeln!(
            activities,
            "{user},{action},{target_type},{target},\"{{\"\"n\"\":{index}}}\",10.{}.{}.{},{},NP,{}",
            random.below(256),
            random.below(256),
            random.below(256),
            DEVICES[random.below(4) as usize],
            seconds(at(index, args.activities)),
        )?;
    }
    activities.flush()?;
    let mut sessions = create("sessions.csv")?;
    writeln!(
        sessions,
        "userId,deviceId,deviceType,startedAt,endedAt,endReason"
    )?;
    for index in 0..args.sessions {
        let user = somebody(&mut random, args.users);
        let start = at(index, args.sessions);
        let length_ms = 1_000 + u64::from(random.below(3_600_000));
        writeln!(
            sessions,
            "{user},phone,{},{},{},client",
            DEVICES[random.below(4) as usize],
            seconds(start),
            seconds((start + length_ms).min(now)),
        )?;
    }
    sessions.flush()?;
    let report = json!({
        "users": args.users, "activities": args.activities, "sessions": args.sessions, "days": args.days,
    });
    Ok((report, true))
}

fn somebody(random: &mut Random, users: u32) -> Id {
    match random.below(SHARE_OF_FIRST) {
        0 => 1,
        _ => 2 + random.below(users - 1),
    }
}

fn some_action(random: &mut Random) -> (&'static str, &'static str) {
    let mut left = random.below(100);
    for (action, weight, target_type) in ACTIONS {
        if left < weight {
            return (action, target_type);
        }
        left -= weight;
    }
    unreachable!("the weights add up to a hundred")
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
