//! What can be seen of the server from outside: memory and CPU of its process, and its `/metrics`.

use super::graph::Id;
use super::target::Target;
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Linux counts CPU time in hundredths of a second for user space on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// Resident memory of a process in KiB (`VmRSS`: without the kernel's socket buffers).
pub fn resident_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).context(path)?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS: has it ended?")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// CPU time that a process has used.
pub fn cpu(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).context(path)?;
    // The name may hold blanks and parentheses; after its last ')' come state and numbers.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    ensure!(fields.len() > 12, "/proc/{pid}/stat is short");
    let ticks: u32 = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
    Ok(TICK * ticks)
}

/// The server's counters, summed over their labels.
pub type Counters = BTreeMap<String, f64>;

/// Reads `/metrics` of the target, or of `url` if there is a listener of its own for them.
pub async fn counters(target: &Target, admin: Id, url: Option<&str>) -> Result<Counters> {
    let own = format!("http://{}/metrics", target.address);
    let url = url.unwrap_or(&own);
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .get(url)
        .bearer_auth(target.admin_token(admin)?)
        .timeout(Duration::from_secs(10))
        .send()
        .await?
        .error_for_status()?;
    Ok(parse(&answer.text().await?))
}

fn parse(text: &str) -> Counters {
    let mut counters = Counters::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((sample, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let name = sample.split('{').next().unwrap_or(sample);
        if let (true, Ok(value)) = (name.ends_with("_total"), value.parse::<f64>()) {
            *counters.entry(name.to_owned()).or_default() += value;
        }
    }
    counters
}

/// By how much each counter has grown; those that have not are left out.
pub fn grown(before: &Counters, after: &Counters) -> Value {
    let changes = after.iter().filter_map(|(name, value)| {
        let by = value - before.get(name).copied().unwrap_or(0.0);
        (by != 0.0).then(|| (name.clone(), Value::from(by)))
    });
    Value::Object(changes.collect::<Map<_, _>>())
}

/// A latency's distribution in milliseconds; null without samples.
pub fn distribution(mut samples: Vec<Duration>) -> Value {
    samples.sort_unstable();
    let Some(&max) = samples.last() else {
        return Value::Null;
    };
    let at = |share: f64| samples[((samples.len() as f64 * share) as usize).min(samples.len() - 1)];
    let millis = |d: Duration| (d.as_secs_f64() * 1e6).round() / 1e3;
    serde_json::json!({"p50": millis(at(0.5)), "p99": millis(at(0.99)), "max": millis(max)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_labels() {
        let text = "# HELP x\nsent_total{kind=\"a b\"} 2\nsent_total{kind=\"c\"} 3\nopen 7\nother_total 1\n# EOF\n";
        let before = parse(text);
        assert_eq!((before["sent_total"], before.len()), (5.0, 2));
        let after = parse("sent_total 9\nother_total 1\n");
        assert_eq!(
            grown(&before, &after),
            serde_json::json!({"sent_total": 4.0})
        );
    }

    #[test]
    fn distributions_are_ordered() {
        let samples = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(
            distribution(samples),
            serde_json::json!({"p50": 51.0, "p99": 100.0, "max": 100.0})
        );
        assert_eq!(distribution(Vec::new()), Value::Null);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn our_own_process_has_memory_and_time() {
        assert!(resident_kib(std::process::id()).expect("valid in this test") > 100);
        assert!(cpu(std::process::id()).is_ok());
        assert!(resident_kib(u32::MAX).is_err());
    }
}
