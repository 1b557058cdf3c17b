//! Clients nobody here wrote, against real nodes: the official Inspector, the SDKs of Python and
//! TypeScript. `.ci/mcp-clients` installs them; without them these tests pass idle, except in CI.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::home::{Home, Node};

/// Where the clients are, if they are installed.
pub(super) fn installed() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mcp-clients");
    let there = place.join("complete").exists();
    assert!(there || std::env::var_os("CI").is_none(), "expected the clients in CI: run .ci/mcp-clients");
    there.then_some(place)
}

pub(super) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/mcp/clients").join(name)
}

/// A program of the Node.js that was installed with the clients.
pub(super) fn node(place: &Path, home: &Home, args: &[&str]) -> Command {
    let mut command = Command::new(place.join("node_modules/node/bin/node"));
    command.args(args).current_dir(&home.folder).env("DATABASE_URL", &home.database.url).kill_on_drop(true);
    command
}

/// Runs a client; returns its exit code and the JSON that it printed.
pub(super) async fn run(mut command: Command) -> (i32, Value, String) {
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), serde_json::from_str(&text).unwrap_or_default(), said)
}

pub(super) async fn inspect(place: &Path, home: &Home, server: &Node, args: &[&str]) -> (i32, Value, String) {
    let program = place.join("node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js");
    let program = program.to_str().unwrap().to_owned();
    let to = ["--cli", "--transport", "http", "--server-url", &server.url, "--format", "json"];
    run(node(place, home, &[&[program.as_str()], &to[..], args].concat())).await
}

#[tokio::test]
async fn the_inspector_lists_calls_and_storms_in_both_eras() {
    let Some(place) = installed() else { return };
    let home = Home::new("inspector").await;
    let server = home.node(&[]);
    for era in ["legacy", "modern"] {
        let call = |guest: &str, more: &[&'static str]| {
            let arguments = format!("{{\"guest\":\"{guest}\",\"idempotency_key\":\"{guest}\"}}");
            let mut args =
                vec!["--protocol-era".to_owned(), era.to_owned(), "--method".to_owned(), "tools/call".to_owned()];
            args.extend(["--tool-name", "hotel_checkout", "--tool-args-json"].map(str::to_owned));
            args.push(arguments);
            args.extend(more.iter().map(|&one| one.to_owned()));
            args
        };
        let lint = ["--protocol-era", era, "--method", "tools/list", "--strict"];
        let (code, listed, said) = inspect(&place, &home, &server, &lint).await;
        assert_eq!((code, listed["result"]["tools"].as_array().map(Vec::len)), (0, Some(7)), "{said}");
        assert!(said.contains("0 errors, 0 warnings") || !said.contains("warning"), "{said}");
        let guest = format!("ada {era}");
        let args = call(&guest, &[]);
        let (code, called, said) =
            inspect(&place, &home, &server, &args.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!((code, &called["result"]["structuredContent"]["status"]), (0, &json!("completed")), "{said}");
        let guest = format!("storm {era}");
        let args = call(&guest, &["--load", "--load-requests", "40", "--load-concurrency", "10"]);
        let (code, storm, said) =
            inspect(&place, &home, &server, &args.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!((code, &storm["result"]["ok"]), (0, &json!(40)), "{said}");
        assert_eq!(home.ledger.count("/charge", &guest), 1, "one key, one saga");
    }
}

#[tokio::test]
async fn the_python_sdk_gives_up_and_calls_again_over_http_and_stdio() {
    let Some(place) = installed() else { return };
    let home = Home::new("python").await;
    let server = home.node(&[]);
    for reach in [vec![server.url.as_str()], vec![env!("CARGO_BIN_EXE_amends"), "mcp", "--no-node"]] {
        let mut command = Command::new(place.join("python/bin/python"));
        command.arg(script("agent.py")).args(&reach).current_dir(&home.folder).kill_on_drop(true);
        let config = home.folder.join("amends.yaml");
        command.env("DATABASE_URL", &home.database.url).env("AMENDS_CONFIG", config);
        let (code, told, said) = run(command).await;
        assert_eq!(code, 0, "{said}");
        for (era, version) in [(0, "2025-11-25"), (1, "2026-07-28")] {
            let told = &told[era];
            assert_eq!(told["version"], version, "{told}");
            // Over stdio the same keys are repeats of what was done over HTTP.
            let gave_up = reach.len() == 1;
            assert_eq!((&told["gave_up"], &told["refused"]), (&json!(gave_up), &json!(true)), "{told}");
            assert_eq!((told["tools"].as_array().unwrap().len(), &told["result"]["status"]), (7, &json!("completed")));
        }
    }
    assert_eq!((home.ledger.count("/charge", "slow legacy"), home.ledger.count("/charge", "slow auto")), (1, 1));
}

#[tokio::test]
async fn the_typescript_sdk_gives_up_and_calls_again_over_http_and_stdio() {
    let Some(place) = installed() else { return };
    let home = Home::new("typescript").await;
    let server = home.node(&[]);
    // Modules are looked for beside the script.
    let agent = place.join(format!("agent-{}.mjs", std::process::id()));
    std::fs::copy(script("agent.mjs"), &agent).unwrap();
    let program = agent.to_str().unwrap();
    let same = "the same key of the same caller is the same saga, however it is reached";
    let mut sagas = Vec::new();
    for reach in [&[server.url.as_str()][..], &[env!("CARGO_BIN_EXE_amends"), "mcp", "--no-node"]] {
        let (code, told, said) = run(node(&place, &home, &[&[program], reach].concat())).await;
        if reach.len() > 1 {
            // The key was used with another guest over HTTP.
            assert!(code != 0 && said.contains("idempotency_key_conflict"), "{same}: {said}");
            continue;
        }
        assert_eq!((code, &told["gaveUp"]), (0, &json!(-32001)), "{said}");
        assert_eq!((&told["result"]["status"], &told["replay"]["amends/replay"]), (&json!("completed"), &json!(true)));
        sagas.push(told["result"]["saga_id"].clone());
    }
    std::fs::remove_file(agent).unwrap();
    assert_eq!((sagas.len(), home.ledger.count("/charge", "slow http")), (1, 1));
    assert_eq!(home.ledger.count("/charge", "slow stdio"), 0);
}
