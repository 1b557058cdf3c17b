//! `amends bench`: the real program against a server that the test brings up. What it measures here is worth nothing;
//! that it measures what it says is.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::{Database, eventually};

fn command(database: &Database, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.args(["--json", "--database-url", &database.url, "bench"]).args(arguments);
    command
}

fn bench(database: &Database, arguments: &[&str]) -> Output {
    command(database, arguments).output().unwrap()
}

/// Runs a bench that must succeed; returns what it found.
fn found(database: &Database, arguments: &[&str]) -> Value {
    let output = bench(database, &[arguments, &["--unsafe"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(found: &Value, field: &str) -> f64 {
    found[field].as_f64().unwrap_or_else(|| panic!("expected a number in {field}, found {found}"))
}

/// The tests' server does not flush, so it must be refused, and the database must be as before.
#[tokio::test]
async fn refuses_a_server_that_may_lose_what_it_acknowledged() {
    let database = Database::create().await;
    let mut refused = command(&database, &["--sagas", "10"]);
    let refused = refused.stderr(Stdio::piped()).spawn().unwrap();
    let own = format!("amends_bench_{}", refused.id());
    let output = refused.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("fsync"), "{words}");
    let client = database.client().await;
    let left = "select count(*) from pg_database where datname = $1";
    assert_eq!(client.query_one(left, &[&own]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_node_ends_with_whoever_told_it_what_to_run() {
    let database = Database::create().await;
    let mut node = Command::new(env!("CARGO_BIN_EXE_amends"));
    node.args(["bench-node", "--in-flight", "50", "--lanes", "1", "--threads", "1", "--residents-max", "100"]);
    node.env("DATABASE_URL", &database.url).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut node = node.spawn().unwrap();
    let mut orders = node.stdin.take().unwrap();
    let order = json!({ "sagas": 12_000, "rate": 20.0, "seconds": 600.0 });
    writeln!(orders, "{order}").unwrap();
    let client = database.client().await;
    let begun = "select count(*) from amends.journal";
    let at_work = async || client.query_one(begun, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) > 0);
    eventually("it is at work", at_work).await;
    drop(orders);
    eventually("it has ended", async || node.try_wait().unwrap().is_some_and(|end| end.success())).await;
}

#[tokio::test]
async fn measures_the_engine_in_turn_with_both_yardsticks() {
    let database = Database::create().await;
    let limit = found(&database, &["--sagas", "300", "--in-flight", "50", "--pairs", "2", "--limit"]);
    assert_eq!(number(&limit, "sagas"), 300.0);
    assert_eq!(limit["ratios"].as_array().map(Vec::len), Some(2));
    assert_eq!(limit["settings"]["unsafe"], true);
    let rounds = limit["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    for field in ["sagas_per_s", "p50_ms", "p99_ms", "rss_mb"] {
        assert!(rounds.iter().all(|one| number(one, field) > 0.0), "{field}: {limit}");
    }
    assert!(rounds.iter().all(|one| number(one, "dead_rows") >= 0.0), "{limit}");
    for field in ["sagas_per_s", "transitions_per_s", "p50_ms", "p99_ms", "limit_per_s", "ratio", "ratio_same_batch"] {
        assert!(number(&limit, field) > 0.0, "{field}: {limit}");
    }
    let (wal, body) = (number(&limit, "wal_bytes_per_transition"), number(&limit, "body_bytes_per_transition"));
    assert!(body > 200.0 && wal > body, "{limit}");
    // Four transitions a saga: its start, and three outcomes.
    let per_saga = number(&limit, "transitions_per_s") / number(&limit, "sagas_per_s");
    assert!((per_saga - 4.0).abs() < 0.01, "{limit}");

    let naive = found(&database, &["--rate", "50", "--seconds", "1", "--pairs", "1", "--limit", "naive"]);
    assert!(number(&naive, "limit_p50_ms") > 0.0 && number(&naive, "p50_times_limit") > 0.0, "{naive}");
}

/// Each kind of work, with all that makes its life hard.
#[tokio::test]
async fn runs_every_workload() {
    let database = Database::create().await;
    let hard = ["--sagas", "200", "--nodes", "2", "--history", "500", "--parked", "500", "--held-xmin"];
    for workload in ["checkout-3-comp", "fan-out-8", "claim", "signals", "admin-views", "resident"] {
        let found = found(&database, &[&["--workload", workload], hard.as_slice()].concat());
        assert_eq!((number(&found, "sagas"), found["workload"].as_str()), (200.0, Some(workload)));
        let views = found["views_ms"].as_object().map_or(0, |views| views.len());
        assert_eq!(views, if workload == "admin-views" { 11 } else { 0 }, "{found}");
        let nodes: Vec<f64> = found["node_sagas"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        assert_eq!((nodes.len(), nodes.iter().sum()), (2, 200.0), "{found}");
        assert_eq!(
            (number(&found["settings"], "history"), &found["settings"]["held_xmin"]),
            (500.0, &Value::Bool(true))
        );
    }
    let backlog = ["--workload", "claim", "--backlog", "5000", "--seconds", "5"];
    assert!(number(&found(&database, &backlog), "sagas") > 0.0);
}

#[tokio::test]
async fn says_what_does_not_go_together() {
    let database = Database::create().await;
    for (arguments, word) in [
        (["--workload", "resident", "--limit"].as_slice(), "--limit"),
        (["--backlog", "5", "--seconds", "1"].as_slice(), "--backlog"),
        (["--workload", "timers", "--rate", "5"].as_slice(), "--rate"),
        (["--seconds", "0"].as_slice(), "more than 0"),
    ] {
        let output = bench(&database, arguments);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && words.contains(word), "{arguments:?}: {words}");
    }
}
