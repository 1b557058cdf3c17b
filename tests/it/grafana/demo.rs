//! The demo as an operator watches it: Debian's Prometheus scrapes its nodes while their participants fail, and what it
//! has seen is held against the demo's own audit.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::live::Prometheus;
use crate::harness::{Database, eventually};

const SAGAS: u32 = 300;
const NODES: u16 = 2;

/// The first of as many free ports as there are nodes, below those that the system gives to connections.
fn ports() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let somewhere = 20_000 + (std::process::id() % 10_000) as u16;
    (somewhere..32_000).find(|&first| (0..NODES).all(|next| free(first + next))).unwrap()
}

/// The largest value of a counter so far, over all that was scraped: a node's is gone with it.
fn seen(selector: &str) -> String {
    format!("sum(max_over_time({selector}[15m]))")
}

#[tokio::test]
async fn the_demo_can_be_watched() {
    if !super::prometheus_is_here() {
        return;
    }
    let database = Database::empty().await;
    let folder = std::env::temp_dir().join(format!("amends-it-{}-watched", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let first = ports();
    let targets: Vec<String> = (0..NODES).map(|next| format!("127.0.0.1:{}", first + next)).collect();
    let prometheus = Prometheus::start(&folder, &targets);
    eventually("Prometheus is up", async || prometheus.query("up").await.is_ok()).await;

    let mut demo = Command::new(env!("CARGO_BIN_EXE_amends"));
    demo.args(["--json", "--database-url", &database.url, "demo", "--seed", "7", "--faults", "0.3"]);
    demo.args(["--sagas", &SAGAS.to_string(), "--nodes", &NODES.to_string()]);
    demo.args(["--metrics-port", &first.to_string()]).stderr(Stdio::null());
    let demo = tokio::task::spawn_blocking(move || demo.output().unwrap()).await.unwrap();
    assert!(demo.status.success(), "{:?}", demo.status);
    let report: Value = serde_json::from_slice(&demo.stdout).unwrap();

    // All that the demo makes is seen, each in its metric.
    for selector in [
        "amends_attempts_total{outcome=\"succeeded\"}",
        "amends_attempts_total{outcome=\"errored\"}",
        "amends_attempts_total{outcome=\"unknown\"}",
        "amends_in_doubt_total",
        "amends_probes_total{answer=\"applied\"}",
        "amends_probes_total{answer=\"absent\"}",
        "amends_retries_total",
        "amends_steps_ended_total{direction=\"compensation\"}",
        "amends_sagas_recovered_total",
    ] {
        let found = value(&prometheus, &seen(selector)).await;
        assert!(found > 0.0, "{selector}: {found}; {report}");
    }
    // Nothing more ended than did, and what is missing is what nodes counted after their last scrape.
    for status in ["completed", "compensated"] {
        let told = report[status].as_f64().unwrap();
        let found = value(&prometheus, &seen(&format!("amends_sagas_ended_total{{status=\"{status}\"}}"))).await;
        assert!(found > 0.5 * told && found <= told, "{status}: {found} were seen, {told} are true; {report}");
    }
    assert_eq!(value(&prometheus, &seen("amends_lost_wakes_total")).await, 0.0, "{report}");
    let _ = fs::remove_dir_all(&folder);
}

async fn value(prometheus: &Prometheus, query: &str) -> f64 {
    let found = prometheus.query(query).await.unwrap();
    let value = found.first().and_then(|one| one["value"][1].as_str()).unwrap_or("0");
    value.parse().unwrap()
}
