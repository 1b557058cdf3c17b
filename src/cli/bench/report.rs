//! What a bench found, for people and for programs. Owns the arithmetic and the table.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::output::{Output, Tone};

/// What was measured.
pub(super) struct Measured {
    pub(super) workload: &'static str,
    pub(super) sagas: u32,
    pub(super) in_flight: u32,
    pub(super) lanes: usize,
    pub(super) threads: usize,
    pub(super) wall: Duration,
    pub(super) counters: Counters,
    pub(super) latencies: Vec<Duration>,
    pub(super) memory: Option<Memory>,
}

/// What waiting sagas cost.
pub(super) struct Memory {
    pub(super) bytes_per_saga: u64,
}

/// Counts of the committers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    transitions: f64,
    commits: f64,
}

impl Counters {
    /// Reads them from the node's own metrics.
    pub(super) fn read(exposition: &str) -> Self {
        let sum = |name: &str| -> f64 {
            let lines = exposition.lines().filter_map(|line| line.strip_prefix(name));
            lines.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        Self {
            transitions: sum("amends_commit_transitions_sum"),
            commits: sum("amends_commit_transitions_count"),
        }
    }

    /// What was added since.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self { transitions: self.transitions - before.transitions, commits: self.commits - before.commits }
    }
}

/// Memory of this process that is in use, in bytes; 0 where the system does not say.
pub(super) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1_024
}

/// Shows a table, or one line of JSON.
pub(super) fn show(measured: &Measured, output: &Output) -> Result<(), Failure> {
    let value = summary(measured);
    if output.is_json() {
        return output.value(&value);
    }
    let mut table = output.table();
    for (name, value) in value.as_object().into_iter().flatten() {
        let shown = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        table.add_row([output.cell(Tone::Quiet, name.replace('_', " ")), output.cell(Tone::Plain, shown)]);
    }
    output.line(&table.to_string())
}

fn summary(measured: &Measured) -> Value {
    let seconds = measured.wall.as_secs_f64();
    let Counters { transitions, commits } = measured.counters;
    let mut sorted = measured.latencies.clone();
    sorted.sort_unstable();
    let percentile = |share: f64| -> Value {
        let last = sorted.len().checked_sub(1);
        last.map_or(Value::Null, |last| {
            json!(round(sorted[(last as f64 * share) as usize].as_secs_f64() * 1e3, 2))
        })
    };
    json!({
        "workload": measured.workload,
        "sagas": measured.sagas,
        "in_flight": measured.in_flight,
        "lanes": measured.lanes,
        "threads": measured.threads,
        "wall_s": round(seconds, 3),
        "sagas_per_s": round(f64::from(measured.sagas) / seconds, 0),
        "transitions_per_s": round(transitions / seconds, 0),
        "commits": commits,
        "batch_mean": round(transitions / commits.max(1.0), 1),
        "p50_ms": percentile(0.50),
        "p99_ms": percentile(0.99),
        "bytes_per_resident_saga": measured.memory.as_ref().map(|memory| memory.bytes_per_saga),
    })
}

fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}
