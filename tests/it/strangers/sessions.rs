//! Sessions that a server lost without saying 404, and a process with one thread (cases P8, P9).

use std::process::{Command, Stdio};

use super::stage::{Case, End, Entries, Stage, case};
use super::{installed, node, script};
use crate::harness::eventually;

const LOST: [&str; 7] = ["s404", "s400", "s401", "s410", "s422", "s200", "silent"];

/// P8: each server forgets its first session after the first call.
#[tokio::test]
async fn a_session_that_the_server_lost_is_begun_anew() {
    let sagas: Vec<String> = LOST.iter().map(|bank| include_str!("sessions.yaml").replace("BANK", bank)).collect();
    let mut stage = Stage::new("sessions", &sagas.join("---\n")).await;
    let ledger = stage.ledger();
    let url = stage.stranger(Command::new(node()).arg(script("sessions.mjs")).arg(ledger));
    let settings = LOST.map(|bank| format!("  {bank}: {{ url: \"{url}/{}\" }}\n", bank.trim_start_matches('s')));
    stage.settings(&settings.concat().replace("/ilent", "/silent"));
    stage.play().await;
    let each = |kind: &str| -> Vec<Case> {
        LOST.iter().map(|bank| case(&format!("{bank}_{kind}"), "", End::Completed)).collect()
    };
    // The one call of the first session.
    stage.check(each("keyed_probed")).await;
    stage.check(each("once_probed")).await;
    stage.check(each("keyed_probed")).await;
}

/// P8 with the real package, which is started again: it answers 400 with `"id": null`.
#[tokio::test]
async fn server_everything_is_restarted() {
    let sagas = "
saga: sum
steps:
  - step: add
    effect: read_only
    timeout: 5s
    retry: { attempts: 5, backoff: 100ms }
    action: { tool: everything/get-sum, arguments: { a: 2, b: 40 } }
";
    let mut stage = Stage::new("everything", sagas).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stage.settings(&format!("  everything: {{ url: \"http://127.0.0.1:{port}/mcp\" }}\n"));
    let program = installed().join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    for _ in 0..2 {
        let mut server = Command::new(node());
        server.arg(&program).arg("streamableHttp").env("PORT", port.to_string());
        stage.stranger_at(&mut server, port).await;
        if stage.is_idle() {
            stage.play().await;
        }
        let ends = stage.ends(vec![case("sum", "", End::Completed), case("sum", "", End::Completed)]).await;
        for (status, story) in ends {
            assert!(status == "completed" && story.contains("succeeded"), "{status}\n{story}");
        }
        stage.kill_stranger();
    }
}

/// P8 in the middle of calls with an effect: the process dies under them and is started again.
#[tokio::test]
async fn server_everything_is_restarted_under_its_calls() {
    let saga = |name: &str, effect: &str| {
        format!(
            "saga: {name}\nsteps:\n  - step: operate\n    kind: pivot\n    effect: {effect}\n    errors: definite\n    \
             timeout: 30s\n    \
             retry: {{ attempts: 5, backoff: 300ms }}\n    action:\n      \
             tool: everything/trigger-long-running-operation\n      arguments: {{ duration: 4, steps: 2 }}\n"
        )
    };
    let sagas = [saga("keyed", "idempotent"), saga("once", "once")].join("---\n");
    let mut stage = Stage::new("everything-under", &sagas).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stage.settings(&format!("  everything: {{ url: \"http://127.0.0.1:{port}/mcp\" }}\n"));
    let program = installed().join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
    let serve = async || {
        let mut server = Command::new(node());
        server.arg(&program).arg("streamableHttp").env("PORT", port.to_string());
        let server = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("the server listens", listens).await;
        server
    };
    let mut first = serve().await;
    stage.play().await;
    let client = stage.database.client().await;
    let restart = async {
        let sql = "select count(*) from amends.sagas where status = 'running'";
        let run = async || client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 2;
        eventually("both run", run).await;
        // The calls take four seconds; this is in the middle.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        first.kill().unwrap();
        first.wait().unwrap();
        serve().await
    };
    let cases = vec![case("keyed", "", End::Completed), case("once", "", End::Stuck("operate"))];
    let (ends, mut second) = tokio::join!(stage.ends(cases), restart);
    second.kill().unwrap();
    second.wait().unwrap();
    assert_eq!([ends[0].0.as_str(), ends[1].0.as_str()], ["completed", "stuck"], "{ends:#?}");
}

/// P9: a call of two seconds' patience and one of ninety, to a process that reads no request for twelve.
#[tokio::test]
async fn a_busy_process_is_not_killed_under_another_call() {
    let mut stage = Stage::new("slow", include_str!("slow.yaml")).await;
    let ledger = stage.ledger().display().to_string();
    let slow = script("slow.py");
    stage.settings(&format!("  slow: {{ command: python3, args: [\"-B\", \"{slow}\", \"{ledger}\"] }}\n"));
    stage.play().await;
    let behind = case("behind", "", End::Completed).after("begin");
    stage.check(vec![case("slow", "", End::Completed), behind]).await;
    assert_eq!(Entries::read(&stage.ledger()).count("start"), 1, "the process was killed");
}
