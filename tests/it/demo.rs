//! The demo as a person runs it: whole processes, a killed node, and an audit that holds.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::admin::{ask, until};
use crate::embedded::process::Folder;
use crate::harness::{Database, eventually};

/// Runs a demo on a database of its own and returns its exit code and its last line.
async fn demo(arguments: &[&str]) -> (Option<i32>, Value) {
    let database = Database::empty().await;
    demo_at(&["--database-url", &database.url], arguments).await
}

async fn demo_at(place: &[&str], arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.env_remove("DATABASE_URL").arg("--json").args(place).arg("demo").args(arguments);
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
    assert_eq!((code, &report["sagas"], &report["nodes_killed"]), (Some(0), &40.into(), &1.into()), "{report}");
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(count("completed") + count("compensated") + count("stuck"), 40, "{report}");
    assert!(count("completed") > 0 && count("compensated") > 0 && count("faults_injected") > 10, "{report}");
}

/// Nodes are killed and stopped, connections are cut, and Postgres is killed whole, all the time.
#[tokio::test]
async fn checkouts_survive_chaos_on_the_demos_own_postgres() {
    let folder = Folder::new("chaos");
    let data_dir = folder.join("d");
    let place = ["--data-dir", data_dir.to_str().unwrap()];
    let (code, report) = demo_at(&place, &["--sagas", "60", "--nodes", "2", "--seed", "5", "--chaos"]).await;
    for broken in ["lost_effects", "doubled_effects", "orphaned_effects", "unfinished", "unexplained", "stuck"] {
        assert_eq!(report[broken], 0, "{broken}: {report}");
    }
    // However fast the machine is, a run does not end before each of them had its turn.
    for trouble in ["nodes_killed", "nodes_stopped", "connections_cut", "postgres_killed"] {
        assert!(report[trouble].as_u64() >= Some(1), "{trouble}: {report}");
    }
    assert_eq!((code, &report["sagas"]), (Some(0), &60.into()), "{report}");
}

/// The demo leaves sagas, tables and roles behind: not in the database of the application that the shell is set up for.
#[tokio::test]
async fn a_demo_takes_place_in_its_own_postgres_whatever_the_environment_says() {
    let database = Database::empty().await;
    let folder = Folder::new("own");
    let data_dir = folder.join("d");
    std::fs::write(folder.join("amends.yaml"), "database: { url: 'postgres://nobody@127.0.0.1:1/none' }").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.env("DATABASE_URL", &database.url).current_dir(folder.join("."));
    command.args(["--data-dir", data_dir.to_str().unwrap(), "demo", "--sagas", "3", "--nodes", "1", "--kill=false"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("env -u DATABASE_URL amends show"), "{said}");
    let schemas = "select count(*) from pg_namespace where nspname ~ '^(amends|demo)'";
    let left: i64 = database.client().await.query_one(schemas, &[]).await.unwrap().get(0);
    assert_eq!(left, 0, "the demo left schemas in the application's database");
}

/// The server of somebody else is not killed.
#[tokio::test]
async fn chaos_leaves_a_given_postgres_alone() {
    let (code, report) = demo(&["--sagas", "60", "--nodes", "2", "--seed", "5", "--chaos"]).await;
    for broken in ["lost_effects", "doubled_effects", "orphaned_effects", "unfinished", "unexplained"] {
        assert_eq!(report[broken], 0, "{broken}: {report}");
    }
    for trouble in ["nodes_killed", "nodes_stopped", "connections_cut"] {
        assert!(report[trouble].as_u64() >= Some(1), "{trouble}: {report}");
    }
    assert!(report["postgres_killed"].is_null() && code == Some(0), "{report}");
}

#[tokio::test]
async fn without_faults_everything_completes() {
    let (code, report) = demo(&["--sagas", "20", "--nodes", "1", "--seed", "1", "--faults", "0", "--kill=false"]).await;
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
        eventually("effects are made", async || one("select count(*) from demo_crm.effect").await > Some(0)).await;
        let status = Command::new("kill").args([signal, &demo.id().to_string()]).status().unwrap();
        assert!(status.success());
        let ended = tokio::task::spawn_blocking(move || demo.wait().unwrap()).await.unwrap();
        assert_eq!(ended.code(), code, "{signal}");
        let others = "select count(*) from pg_stat_activity
                      where datname = current_database() and pid <> pg_backend_pid()";
        eventually("its processes are gone", async || one(others).await == Some(0)).await;
    }
}

/// What an operator types who has no more than a row of `amends.stuck`.
const REMEDY: &str = "
    select format('select amends.%s(%L, %L, %s, %L)',
                  case when in_doubt then 'resolve' else 'skip' end, saga, step,
                  case when in_doubt then '''applied'', null' else 'null' end, 'looked it up')
    from amends.stuck
    where definition = 'DEFINITION'
      and case when in_doubt then 'resolve ' || step || ' applied' else 'skip ' || step end = any (legal)";

/// A demo that stays until it is told to end, and does not outlive a test that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One saga of each kind needs a person, and each is found, understood and remedied in psql.
#[tokio::test]
async fn each_kind_of_stuck_saga_is_remedied_from_psql() {
    let database = Database::empty().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.args(["--json", "--database-url", &database.url, "demo", "--leave-stuck"]);
    let mut demo = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let stdout = demo.0.stdout.take().unwrap();
    // It says one line when all of them are stuck, and stays.
    let said = tokio::task::spawn_blocking(move || BufReader::new(stdout).lines().next()).await.unwrap();
    let said: Value = serde_json::from_str(&said.expect("a line").unwrap()).unwrap();
    let url = &database.url;
    let stuck = "select definition, step, direction, reason, in_doubt, error_code from amends.stuck order by 1";
    assert_eq!(
        ask(url, stuck).await.lines().collect::<Vec<_>>(),
        [
            "demo_in_doubt|charge|action|in_doubt|t|timeout",
            "demo_not_undone|advance_opportunity|compensation|failed|f|tool_error",
            "demo_past_the_pivot|email_receipt|action|failed|f|tool_error",
            "demo_process_died|charge|action|process_died|t|process_died",
        ]
    );
    for (definition, ended) in [
        ("demo_in_doubt", "completed"),
        ("demo_not_undone", "compensated"),
        ("demo_past_the_pivot", "completed"),
        ("demo_process_died", "completed"),
    ] {
        let one = said["stuck"].as_array().unwrap().iter().find(|one| one["definition"] == definition).unwrap();
        let saga = one["saga"].as_str().unwrap();
        let remedy = ask(url, &REMEDY.replace("DEFINITION", definition)).await;
        // The demo recommends what the view leads to; only the reason is the operator's own.
        let call = remedy.rsplit_once(", ").unwrap().0;
        assert!(one["remedy"].as_str().unwrap().starts_with(call), "{call}\n{one}");
        assert_ne!(ask(url, one["evidence"].as_str().unwrap()).await, "", "{one}");
        ask(url, &remedy).await;
        until(url, &format!("select status from amends.sagas where saga = '{saga}'"), ended).await;
        let trace = format!("select count(*) from amends.timeline where saga = '{saga}' and reason = 'looked it up'");
        assert_eq!(ask(url, &trace).await, "1", "{definition}");
    }
    assert_eq!(ask(url, "select count(*) from amends.stuck").await, "0");
    let status = Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status().unwrap();
    assert!(status.success());
    let ended = tokio::task::spawn_blocking(move || demo.0.wait().unwrap()).await.unwrap();
    assert_eq!(ended.code(), Some(0));
}
