//! The demo as a person runs it: whole processes, a killed node, and an audit that holds.

use std::process::Command;

use serde_json::Value;

use crate::harness::Database;

/// Runs a demo on a database of its own and returns its exit code and its last line.
async fn demo(arguments: &[&str]) -> (Option<i32>, Value) {
    let database = Database::empty().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.args(["--json", "--database-url", &database.url, "demo"]).args(arguments);
    // Its children live as long as the thread that waits for it, and so does it.
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), serde_json::from_str(last).unwrap())
}

#[tokio::test]
async fn forty_checkouts_survive_faults_and_a_killed_node() {
    let (code, report) = demo(&["--sagas", "40", "--nodes", "2", "--seed", "11", "--faults", "0.15"]).await;
    for broken in ["lost_effects", "doubled_effects", "orphaned_effects", "unfinished", "unexplained"] {
        assert_eq!(report[broken], 0, "{broken}: {report}");
    }
    assert_eq!(
        (code, &report["sagas"], &report["nodes_killed"]),
        (Some(0), &40.into(), &1.into()),
        "{report}"
    );
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(count("completed") + count("compensated") + count("stuck"), 40, "{report}");
    assert!(count("completed") > 0 && count("compensated") > 0 && count("faults_injected") > 10, "{report}");
}

#[tokio::test]
async fn without_faults_everything_completes() {
    let (code, report) =
        demo(&["--sagas", "20", "--nodes", "1", "--seed", "1", "--faults", "0", "--kill=false"]).await;
    let expected = serde_json::json!({ "completed": 20, "faults_injected": 0, "nodes_killed": 0 });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&report[name], value, "{name}: {report}");
    }
    assert_eq!(code, Some(0));
}
