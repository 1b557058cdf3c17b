//! The hotel checkout, called by the Inspector from the command line: the example as it is shipped, and one whose node
//! is killed during the call.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::clients::{inspect, installed};
use super::home::{Home, Node};
use crate::harness::{Database, eventually};

/// A call as the Inspector takes it.
fn call(arguments: &Value) -> Vec<String> {
    let args = ["--method", "tools/call", "--tool-name", "hotel_checkout", "--tool-args-json"];
    args.map(str::to_owned).into_iter().chain([arguments.to_string()]).collect()
}

async fn ask(place: &Path, home: &Home, server: &Node, args: &[String]) -> (i32, Value, String) {
    inspect(place, home, server, &args.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn the_example_runs_from_the_inspector_against_its_own_settings() {
    let Some(place) = installed() else { return };
    let (home, ledger) = (Home::new("example").await, Database::empty().await);
    let program = Path::new(env!("CARGO_BIN_EXE_amends"));
    let mut crm = Command::new(program);
    crm.args(["demo-participant", "crm", "--ledger-url", &ledger.url]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut crm = crm.spawn().unwrap();
    let crm_url = BufReader::new(crm.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/amends.yaml");
    let mut serve = home.amends(&["serve", "--json", "--http", "127.0.0.1:0", "--config"]);
    // The settings name the program as it is found when it is installed.
    let path = std::env::var("PATH").unwrap();
    serve.arg(settings).env("PATH", format!("{}:{path}", program.parent().unwrap().display()));
    serve.env("AMENDS_DEMO_LEDGER_URL", &ledger.url).env("AMENDS_DEMO_CRM_URL", crm_url);
    let server = Node::spawn(serve);
    let guest = json!({ "guest": "ada", "email": "ada@example.org", "booking": "b17", "room": "12",
        "amount_cents": 25_000, "idempotency_key": "b17" });
    let mut sagas = Vec::new();
    for _ in 0..2 {
        let (code, called, said) = ask(&place, &home, &server, &call(&guest)).await;
        let answer = &called["result"]["structuredContent"];
        assert_eq!((code, &answer["status"]), (0, &json!("completed")), "{said}");
        sagas.push(answer.clone());
    }
    assert_eq!(sagas[0], sagas[1]);
    let sql = "select kind, count(*)::int from demo_payments.effect group by kind";
    let effects = ledger.client().await.query(sql, &[]).await.unwrap();
    let effects: Vec<(String, i32)> = effects.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(effects, [("charge".to_owned(), 1)]);
}

#[tokio::test]
async fn the_inspector_calls_again_after_its_node_was_killed_and_hears_the_one_true_result() {
    let Some(place) = installed() else { return };
    let home = Home::new("inspector-kill").await;
    let first = home.node(&["--name", "first"]);
    let args = call(&json!({ "guest": "slow ada", "idempotency_key": "once" }));
    {
        let called = ask(&place, &home, &first, &args);
        let charged = eventually("the guest is charged", async || home.ledger.count("/charge", "slow ada") == 1);
        tokio::pin!(called);
        tokio::select! {
            answer = &mut called => panic!("it was answered already: {answer:?}"),
            () = charged => first.die(),
        }
        // There is nobody to answer; the Inspector would wait for a minute, which a person does not.
        if let Ok((code, _, said)) = tokio::time::timeout(Duration::from_secs(2), called).await {
            assert_ne!(code, 0, "{said}");
        }
    }

    let second = home.node(&["--name", "second"]);
    let mut answers = Vec::new();
    for era in ["modern", "legacy"] {
        let args = [args.clone(), ["--protocol-era", era].map(str::to_owned).to_vec()].concat();
        let (code, called, said) = ask(&place, &home, &second, &args).await;
        assert_eq!(code, 0, "{said}");
        answers.push(called["result"]["structuredContent"].clone());
    }
    assert_eq!((&answers[0]["status"], &answers[0]), (&json!("completed"), &answers[1]));
    let counts = ["/charge", "/close", "/refund"].map(|path| home.ledger.count(path, "slow ada"));
    assert_eq!(counts, [1, 1, 0], "once, whatever died");
}
