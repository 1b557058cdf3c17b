//! Sessions that a server lost without saying 404, and a process with one thread (cases P8, P9).

use std::process::Command;

use super::stage::{Case, End, Entries, Stage, case};
use super::{installed, node, script};

const LOST: [&str; 7] = ["s404", "s400", "s401", "s410", "s422", "s200", "silent"];

/// P8: each server forgets its first session after the first call.
#[tokio::test]
async fn a_session_that_the_server_lost_is_begun_anew() {
    let sagas: Vec<String> =
        LOST.iter().map(|bank| include_str!("sessions.yaml").replace("BANK", bank)).collect();
    let mut stage = Stage::new("sessions", &sagas.join("---\n")).await;
    let ledger = stage.ledger();
    let url = stage.stranger(Command::new(node()).arg(script("sessions.mjs")).arg(ledger));
    let settings =
        LOST.map(|bank| format!("  {bank}: {{ url: \"{url}/{}\" }}\n", bank.trim_start_matches('s')));
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
