//! `amends mcp` as a host runs it: with a node of its own, and beside one.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::home::Home;

/// Talks to `amends mcp`, one line after the other; returns the answers by request.
pub(super) async fn talk(home: &Home, args: &[&str], messages: &[Value]) -> Vec<Value> {
    let mut command = Command::from(home.amends(args));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut lines = BufReader::new(output).lines();
    let mut answers = Vec::new();
    for message in messages {
        input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        while message.get("id").is_some() {
            let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
            let line = line.expect("an answer in time").unwrap().expect("an answer");
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer.get("id").is_some() {
                answers.push(answer);
                break;
            }
        }
    }
    drop(input);
    let ended = child.wait_with_output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    answers
}

pub(super) fn hello() -> [Value; 2] {
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "host", "version": "1" } });
    [
        json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
    ]
}

pub(super) fn call(id: u32, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

#[tokio::test]
async fn stdio_serves_both_eras_with_a_node_of_its_own_and_beside_one() {
    let home = Home::new("stdio").await;
    let params = json!({ "name": "hotel_checkout", "arguments": { "guest": "ada" }, "idempotencyKey": "k" });
    let [shake, done] = hello();
    let messages = [shake, done, call(1, params.clone()), call(2, params.clone())];
    let answers = talk(&home, &["mcp"], &messages).await;
    assert_eq!(answers[0]["result"]["protocolVersion"], "2025-11-25", "{answers:?}");
    let first = &answers[1]["result"];
    assert_eq!(first["structuredContent"]["status"], "completed", "{answers:?}");
    assert_eq!(answers[2]["result"]["_meta"]["amends/replay"], true, "{answers:?}");

    // Beside the node of somebody else, in the new era: no handshake.
    let _node = home.node(&[]);
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "host", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {} });
    let mut params = params;
    params["_meta"] = meta.clone();
    let list = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": { "_meta": meta } });
    let fresh = json!({ "name": "hotel_checkout", "arguments": { "guest": "eve" }, "_meta": meta });
    let answers = talk(&home, &["mcp", "--no-node"], &[list, call(4, params), call(5, fresh)]).await;
    assert!(answers[0]["result"]["tools"].as_array().is_some_and(|tools| tools.len() == 7), "{answers:?}");
    assert_eq!(answers[1]["result"]["structuredContent"], first["structuredContent"], "{answers:?}");
    assert_eq!(answers[2]["result"]["structuredContent"]["status"], "completed", "{answers:?}");
    assert_eq!((home.ledger.count("/charge", "ada"), home.ledger.count("/charge", "eve")), (1, 1));
}

/// A host that closes the pipe, or is killed, goes away from its calls: a saga that says `on_disconnect: abort` is
/// undone, durably, before the process ends; any other goes on.
#[tokio::test]
async fn a_pipe_that_closes_aborts_what_says_so_and_nothing_else() {
    let home = Home::with("pipe", "mcp: { wait: 30s }\n").await;
    let node = home.node(&[]);
    for (name, args) in [("beside", &["mcp", "--no-node"][..]), ("own", &["mcp"])] {
        let mut command = Command::from(home.amends(args));
        let mut host = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = host.stdin.take().unwrap();
        let [shake, done] = hello();
        let vigil = json!({ "name": "vigil", "arguments": { "guest": name, "idempotency_key": name } });
        let bell = json!({ "name": "bell", "arguments": { "idempotency_key": name } });
        for message in [shake, done, call(1, vigil.clone()), call(2, bell)] {
            input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        }
        let look = node.modern();
        let going = async |tool: &str| {
            let listed = look.call("saga_list", json!({ "tool": tool, "status": "in_progress" })).await;
            listed["structuredContent"]["sagas"].as_array().unwrap().len()
        };
        crate::harness::eventually("both run, and the guest is charged", async || {
            going("vigil").await == 1 && going("bell").await == 1 && home.ledger.count("/charge", name) == 1
        })
        .await;
        drop(input);
        let ended = tokio::time::timeout(Duration::from_secs(20), host.wait_with_output()).await;
        let ended = ended.expect("the server ends with its pipe").unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let undone = look.call("vigil", vigil["arguments"].clone()).await;
        assert_eq!(undone["structuredContent"]["status"], "compensated", "{name}: {undone}");
        let said = undone["structuredContent"]["reason"].as_str().unwrap();
        assert!(said.contains("the caller went away before the answer"), "{undone}");
        assert_eq!((home.ledger.count("/charge", name), home.ledger.count("/refund", name)), (1, 1));
        assert_eq!(going("bell").await, 1, "{name}: nothing else was stopped");
        let bells = look.call("saga_list", json!({ "tool": "bell", "status": "in_progress" })).await;
        let bell = bells["structuredContent"]["sagas"][0]["saga_id"].as_str().unwrap();
        assert_eq!(home.run(&["cancel", bell, "--reason", "tidy"]).0, 0);
        crate::harness::eventually("the bell is silent", async || going("bell").await == 0).await;
    }
}

/// A client on the pipe could fill in the form of its own saga, so it is not asked, whatever its scopes.
#[tokio::test]
async fn a_client_on_the_pipe_does_not_approve_what_it_started() {
    for (name, settings) in [
        ("usual", "mcp: { wait: 1s }\n"),
        ("operator", "mcp: { wait: 1s, local: { scopes: [\"start:*\", \"operate:*\"] } }\n"),
    ] {
        let home = Home::with_approvals(&format!("own-form-{name}"), settings).await;
        let [mut shake, done] = hello();
        shake["params"]["capabilities"] = json!({ "elicitation": {} });
        let start = |id, tool: &str| call(id, json!({ "name": tool, "arguments": { "guest": "ada" } }));
        let answers = talk(&home, &["mcp"], &[shake, done, start(1, "vetted")]).await;
        let told = &answers[1];
        assert_eq!(told["result"]["structuredContent"]["status"], "in_progress", "not a form: {told}");
        let id = told["result"]["structuredContent"]["saga_id"].as_str().unwrap();
        // In the new era, the client sends an answer to a question that amends did not ask.
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "host", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} } });
        let yes = json!({ "action": "accept", "content": { "decision": "approve" } });
        let reply = json!({ format!("agree:{}", home.digest(id)): yes });
        let params = json!({ "name": "saga_status", "arguments": { "saga_id": id }, "inputResponses": reply,
            "_meta": meta });
        let answers = talk(&home, &["mcp"], &[call(1, params)]).await;
        let told = answers[0]["result"].to_string();
        assert!(told.contains("local may not answer it") && told.contains("in_progress"), "{name}: {told}");
        assert_eq!(home.ledger.count("/charge", "ada"), 0, "{name}");
        // A person with the program may.
        let _node = home.node(&[]);
        assert_eq!(home.run(&["approve", id, "agree", "--digest", &home.digest(id)]).0, 0);
        crate::harness::eventually("it is done", async || home.ledger.count("/charge", "ada") == 1).await;
    }
}

#[tokio::test]
async fn local_callers_may_do_what_the_settings_say() {
    let home = Home::with("local-scopes", "mcp: { local: { scopes: [\"start:bell\"] } }\n").await;
    let node = home.node(&[]);
    let verbs = ["saga_cancel", "saga_list", "saga_status"];
    assert_eq!(node.modern().tool_names().await, [&["bell"], &verbs[..]].concat());
    let [shake, done] = hello();
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
    let answers = talk(&home, &["mcp", "--no-node"], &[shake, done, list]).await;
    assert_eq!(answers[1]["result"]["tools"].as_array().map(Vec::len), Some(4), "{answers:?}");
    std::fs::write(home.folder.join("odd.yaml"), "mcp: { local: { scopes: [\"approve:*\"] } }\n").unwrap();
    let (code, said, _) = home.run(&["check", "odd.yaml"]);
    assert!(code == 1 && said.to_string().contains("a scope such as"), "{said}");
}
