//! The demo as a person runs it: whole processes, a killed node, and an audit that holds.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Database, eventually};

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

/// Whatever ends a demo, none of its processes is left: each has a connection to the database while it lives.
#[tokio::test]
async fn nothing_outlives_a_demo() {
    for (signal, code) in [("-INT", Some(130)), ("-KILL", None)] {
        let database = Database::empty().await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
        command.args(["--json", "--database-url", &database.url, "demo", "--sagas", "5000", "--nodes", "2"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut demo = command.spawn().unwrap();
        let client = database.client().await;
        let one = async |sql: &str| client.query_one(sql, &[]).await.map(|row| row.get::<_, i64>(0)).ok();
        eventually("effects are made", async || one("select count(*) from demo_crm.effect").await > Some(0))
            .await;
        let status = Command::new("kill").args([signal, &demo.id().to_string()]).status().unwrap();
        assert!(status.success());
        let ended = tokio::task::spawn_blocking(move || demo.wait().unwrap()).await.unwrap();
        assert_eq!(ended.code(), code, "{signal}");
        let others = "select count(*) from pg_stat_activity
                      where datname = current_database() and pid <> pg_backend_pid()";
        eventually("its processes are gone", async || one(others).await == Some(0)).await;
    }
}
