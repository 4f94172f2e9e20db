//! How long the questions of administrators take, asked one after another over one connection.

use super::target::loopback;
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// Options of `analytics`.
#[derive(clap::Args)]
pub struct Args {
    /// The server, http://IP:PORT on loopback
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    target: String,
    /// A file with an admin key, from `lastseen token create --role admin`
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// How often each question is asked
    #[arg(long, default_value_t = 101, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
}

/// Asks everything in turn, so that no question has the machine's best moment for itself.
pub async fn run(args: Args) -> Result<(Value, bool)> {
    let address = loopback(&args.target)?;
    let token = std::fs::read_to_string(&args.token_file)
        .with_context(|| format!("--token-file {}", args.token_file.display()))?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let questions = questions();
    let mut took: Vec<Vec<Duration>> = vec![Vec::new(); questions.len()];
    let mut totals = Map::new();
    for round in 0..=args.times {
        for (index, (name, path)) in questions.iter().enumerate() {
            let request = client
                .get(format!("http://{address}/admin/analytics/{path}"))
                .bearer_auth(token.trim())
                .timeout(Duration::from_secs(60));
            let began = Instant::now();
            let answer = request.send().await?;
            let status = answer.status();
            let text = answer.text().await?;
            let elapsed = began.elapsed();
            ensure!(status.is_success(), "{path}: {status}: {text}");
            // The first round warms what is cached, as the second page of an administrator finds it.
            if round > 0 {
                took[index].push(elapsed);
                continue;
            }
            let answer: Value = serde_json::from_str(&text).context("an answer is no JSON")?;
            let total = ["total", "totalSessions", "activities"]
                .iter()
                .find_map(|key| answer["data"][key].as_i64());
            totals.insert((*name).to_owned(), json!(total));
        }
    }
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
    let mut report = Map::new();
    for ((name, _), mut took) in questions.iter().zip(took) {
        took.sort_unstable();
        report.insert(
            (*name).to_owned(),
            json!({
                "median_ms": milliseconds(took[took.len() / 2]),
                "max_ms": milliseconds(took[took.len() - 1]),
                "counted": totals[*name],
            }),
        );
    }
    Ok((Value::Object(report), true))
}

/// Names and paths. The dates begin and end within a quarter hour, which is the slow case; person 1 owns a fifth of
/// everything that `load history` makes, person 7 as little as most.
fn questions() -> Vec<(&'static str, String)> {
    let now = SystemTime::now();
    let ago = |seconds: u64| humantime::format_rfc3339_seconds(now - Duration::from_secs(seconds));
    let dates = format!(
        "startDate={}&endDate={}",
        ago(40 * 86_400 + 433),
        ago(3 * 86_400 + 671)
    );
    let mut all = vec![
        ("user-sessions", "user-sessions".to_owned()),
        (
            "user-sessions, dates",
            format!("user-sessions?{dates}&tz=Asia/Kathmandu"),
        ),
        ("overview", "overview".to_owned()),
        (
            "overview, dates",
            format!("overview?{dates}&tz=America/Los_Angeles"),
        ),
    ];
    for (name, with_dates, filter) in [
        ("user-activity", "user-activity, dates", ""),
        (
            "user-activity, action",
            "user-activity, action, dates",
            "action=video_posted",
        ),
        (
            "user-activity, busy user",
            "user-activity, busy user, dates",
            "userId=1",
        ),
        (
            "user-activity, user",
            "user-activity, user, dates",
            "userId=7",
        ),
        (
            "user-activity, busy user and action",
            "user-activity, busy user and action, dates",
            "userId=1&action=login",
        ),
        (
            "user-activity, user and action",
            "user-activity, user and action, dates",
            "userId=7&action=login",
        ),
    ] {
        all.push((name, format!("user-activity?{filter}")));
        all.push((with_dates, format!("user-activity?{dates}&{filter}")));
    }
    all
}
