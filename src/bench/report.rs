//! The bench's report, for people and for programs. Owns the arithmetic and the table.

use serde_json::{Value, json};

use super::views::Looks;
use super::{EngineRound, Round};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Tone};

/// Measurements of a bench.
pub(super) struct Measured {
    pub(super) settings: Value,
    /// Bytes of bodies and result per transition.
    pub(super) body_bytes: f64,
    pub(super) engine: Vec<EngineRound>,
    pub(super) against: Against,
    /// Times of each view of the dashboard.
    pub(super) looks: Looks,
}

/// Rounds of the baseline, each after the engine's round of the same position.
#[derive(Default)]
pub(super) struct Against {
    pub(super) rounds: Vec<Round>,
    /// Rounds of the bare statement with the engine's mean batch size.
    pub(super) same: Vec<Round>,
    pub(super) best_batch: usize,
}

/// Prints a table, or one line of JSON.
pub(super) fn show(measured: &Measured, output: &Output) -> Result<(), Failure> {
    let value = summary(measured);
    if output.is_json() {
        return output.value(&value);
    }
    let mut table = output.table();
    let rounds = value["rounds"].as_array().filter(|rounds| rounds.len() > 1);
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| *name != "rounds") {
        let shown = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        table.add_row([output.cell(Tone::Quiet, name.replace('_', " ")), output.cell(Tone::Plain, shown)]);
    }
    output.line(&table.to_string())?;
    if let Some(rounds) = rounds {
        output.line(&rounds_table(rounds, output))?;
    }
    if measured.settings["unsafe"] == true {
        output.line("The server may lose what it has acknowledged (fsync or synchronous_commit is off).")?;
    }
    Ok(())
}

fn summary(measured: &Measured) -> Value {
    let Measured { settings, body_bytes, engine, against, looks } = measured;
    let sum = |of: fn(&EngineRound) -> f64| engine.iter().map(of).sum::<f64>();
    let nodes = |of: fn(&super::Done) -> f64| engine.iter().flat_map(|round| &round.nodes).map(of).sum::<f64>();
    let (wall_s, transitions) = (sum(|one| one.round.wall_s), sum(|one| one.round.transitions));
    let (sagas, commits) = (nodes(|node| node.ended), nodes(|node| node.commits));
    let (wal_bytes, last) = (sum(|one| one.wal_bytes), engine.last());
    let postgres_cpu_s: Option<f64> = engine.iter().map(|one| one.postgres_cpu_s).sum();
    let latencies = sorted(engine.iter().flat_map(|one| one.round.latencies_us.iter().copied()).collect());
    let bytes_per_saga = last.and_then(|one| one.nodes.first()?.bytes_per_saga);
    let mut summary = json!({
        "workload": settings["workload"],
        "sagas": sagas,
        "wall_s": round(wall_s, 3),
        "sagas_per_s": round(sagas / wall_s, 1),
        "transitions_per_s": round(transitions / wall_s, 1),
        "p50_ms": percentile_ms(&latencies, 0.50),
        "p99_ms": percentile_ms(&latencies, 0.99),
        "commits": commits,
        "batch_mean": round(transitions / commits.max(1.0), 1),
        "wal_bytes_per_saga": round(wal_bytes / sagas.max(1.0), 0),
        "wal_bytes_per_transition": round(wal_bytes / transitions.max(1.0), 0),
        "body_bytes_per_transition": round(*body_bytes, 0),
        "cpu_s": { "process": round(nodes(|node| node.cpu_s), 2), "postgres": postgres_cpu_s.map(|s| round(s, 2)) },
        "rss_mb": last.map(resident_mb),
        "bytes_per_resident_saga": bytes_per_saga,
        "rounds": engine.iter().map(one_round).collect::<Vec<_>>(),
        "node_sagas": node_sagas(engine),
        "views_ms": (!looks.is_empty()).then(|| views(looks)),
        "settings": settings,
    });
    if let (Some(all), Value::Object(more)) = (summary.as_object_mut(), compared(engine, against, &latencies)) {
        all.extend(more);
    }
    summary
}

/// Compares the engine with the baseline: the ratio of throughput, and of latency at a rate.
fn compared(engine: &[EngineRound], against: &Against, latencies: &[u64]) -> Value {
    if against.rounds.is_empty() {
        return json!({ "limit_per_s": null, "ratio": null });
    }
    let per_s = |round: &Round| round.transitions / round.wall_s;
    let ratios = |others: &[Round]| -> Vec<f64> {
        let pairs = engine.iter().zip(others);
        pairs.map(|(engine, other)| round(per_s(&engine.round) / per_s(other), 3)).collect()
    };
    let limit: Vec<f64> = against.rounds.iter().map(per_s).collect();
    let (best, same) = (ratios(&against.rounds), ratios(&against.same));
    let theirs = sorted(against.rounds.iter().flat_map(|one| one.latencies_us.iter().copied()).collect());
    let times = |share: f64| -> Value {
        match (percentile_ms(latencies, share).as_f64(), percentile_ms(&theirs, share).as_f64()) {
            (Some(ours), Some(theirs)) => json!(round(ours / theirs, 2)),
            _ => Value::Null,
        }
    };
    let batched = against.best_batch > 0;
    json!({
        "limit_per_s": round(median(&limit), 1),
        "limit_batch": batched.then_some(against.best_batch),
        "limit_p50_ms": percentile_ms(&theirs, 0.50),
        "limit_p99_ms": percentile_ms(&theirs, 0.99),
        "ratio": median(&best),
        "ratios": best,
        "ratio_same_batch": batched.then(|| median(&same)),
        "ratios_same_batch": batched.then_some(same),
        "p50_times_limit": times(0.50),
        "p99_times_limit": times(0.99),
    })
}

/// Returns the median and the longest time of each view.
fn views(looks: &Looks) -> Value {
    let views = looks.iter().map(|(name, took)| {
        let took = sorted(took.clone());
        let times = json!({ "p50": percentile_ms(&took, 0.5), "max": percentile_ms(&took, 1.0) });
        ((*name).to_owned(), times)
    });
    views.collect::<serde_json::Map<_, _>>().into()
}

/// Returns the figures of one round: a soak shows whether all rounds are alike.
fn one_round(one: &EngineRound) -> Value {
    let latencies = sorted(one.round.latencies_us.clone());
    let ended: f64 = one.nodes.iter().map(|node| node.ended).sum();
    json!({
        "sagas_per_s": round(ended / one.round.wall_s, 1),
        "p50_ms": percentile_ms(&latencies, 0.50),
        "p99_ms": percentile_ms(&latencies, 0.99),
        "rss_mb": resident_mb(one),
        "dead_rows": one.dead_rows,
    })
}

/// Returns the memory of all nodes at the end of the round, in MB.
fn resident_mb(one: &EngineRound) -> f64 {
    round(one.nodes.iter().map(|node| node.resident_bytes).sum::<u64>() as f64 / 1e6, 1)
}

/// Returns the table of rounds, one a line.
fn rounds_table(rounds: &[Value], output: &Output) -> String {
    let mut table = output.table();
    let fields = |one: &Value| one.as_object().cloned().unwrap_or_default();
    if let Some(first) = rounds.first() {
        table.set_header(fields(first).keys().map(|name| output.cell(Tone::Quiet, name.replace('_', " "))));
    }
    for one in rounds {
        table.add_row(fields(one).values().map(|value| output.cell(Tone::Plain, value.to_string())));
    }
    table.to_string()
}

/// Returns how many sagas ended on each node.
fn node_sagas(engine: &[EngineRound]) -> Vec<f64> {
    let count = engine.first().map_or(0, |one| one.nodes.len());
    (0..count).map(|place| engine.iter().map(|one| one.nodes[place].ended).sum()).collect()
}

fn sorted(mut latencies: Vec<u64>) -> Vec<u64> {
    latencies.sort_unstable();
    latencies
}

/// Returns the value of the nearest rank below, in milliseconds.
fn percentile_ms(sorted: &[u64], share: f64) -> Value {
    let last = sorted.len().checked_sub(1);
    last.map_or(Value::Null, |last| json!(round(sorted[(last as f64 * share) as usize] as f64 / 1e3, 2)))
}

fn median(numbers: &[f64]) -> f64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    match (numbers.len(), numbers.len() / 2) {
        (0, _) => f64::NAN,
        (length, middle) if length % 2 == 1 => numbers[middle],
        (_, middle) => round((numbers[middle - 1] + numbers[middle]) / 2.0, 3),
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_of_what_is_there() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert!(median(&[]).is_nan());
        let latencies: Vec<u64> = (1..=100).map(|number| number * 1_000).collect();
        assert_eq!(percentile_ms(&latencies, 0.5), json!(50.0));
        assert_eq!(percentile_ms(&latencies, 0.99), json!(99.0));
        assert_eq!(percentile_ms(&[], 0.5), Value::Null);
    }
}
