//! Approvals in the new era: questions are an answer to the call, which is then made again with the replies, or
//! they are those of its task.

use serde_json::{Value, json};

use super::agent::Agent;
use super::home::Home;

fn person() -> Value {
    json!({ "elicitation": { "form": {} } })
}

fn accept() -> Value {
    json!({ "action": "accept", "content": { "decision": "approve" } })
}

/// The one question of an answer: its id and what it asks.
fn question(asked: &Value) -> (String, Value) {
    let all = asked["inputRequests"].as_object().unwrap_or_else(|| panic!("{asked}"));
    let (id, one) = all.iter().next().unwrap();
    assert_eq!((all.len(), &one["method"]), (1, &json!("elicitation/create")), "{asked}");
    (id.clone(), one["params"].clone())
}

async fn again(agent: &Agent, tool: &str, arguments: &Value, replies: Value, state: &Value) -> Value {
    let mut beside = json!({ "inputResponses": replies });
    if !state.is_null() {
        beside["requestState"] = state.clone();
    }
    agent.call_with(tool, arguments.clone(), beside).await.answer
}

#[tokio::test]
async fn a_call_is_made_again_with_the_replies_and_goes_on_with_its_saga() {
    let home = Home::with_approvals("rounds", "mcp: { wait: 20s }\n").await;
    let nodes = [home.node(&[]), home.node(&[])];
    let agent = nodes[0].modern().able(person());
    // With a key and without: it is the state that goes on, and any node answers.
    for (guest, key) in [("ada", Value::Null), ("bob", json!("k"))] {
        let arguments = json!({ "guest": guest, "idempotency_key": key });
        let asked = agent.call("transfer", arguments.clone()).await;
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        let (id, shown) = question(&asked);
        assert!(shown["message"].as_str().unwrap().contains(&format!("\"guest\": \"{guest}\"")), "{shown}");
        assert_eq!(id, format!("agree:{}", shown["_meta"]["amends/digest"].as_str().unwrap()));
        let state = &asked["requestState"];

        let other = nodes[1].modern().able(person());
        // A yes to something else is none: the question comes again.
        let forged = json!({ format!("agree:{}", "0".repeat(64)): accept(), "nobody": accept() });
        let heard = again(&other, "transfer", &arguments, forged, state).await;
        assert_eq!(question(&heard["result"]).0, id, "{heard}");
        for odd in [json!({ "action": "accept" }), json!("yes"), json!({ "action": "approve" }), json!(null)] {
            let heard = again(&other, "transfer", &arguments, json!({ &id: odd }), state).await;
            assert_eq!(heard["error"]["code"], -32602, "{heard}");
        }
        // Put aside, it stands, and the call does not ask a second time.
        let heard = again(&other, "transfer", &arguments, json!({ &id: { "action": "cancel" } }), state).await;
        assert_eq!(heard["result"]["structuredContent"]["status"], "in_progress", "{heard}");
        assert_eq!(home.ledger.count("/close", guest), 0);

        let done = again(&other, "transfer", &arguments, json!({ &id: accept() }), state).await;
        let said = &done["result"]["structuredContent"];
        assert_eq!((&said["status"], &said["saga_id"]), (&json!("completed"), state), "{done}");
        assert_eq!(done["result"]["_meta"]["amends/replay"], Value::Null, "{done}");
        // The stream broke, and the client says it again: the same answer. Another word comes too late.
        let repeated = again(&agent, "transfer", &arguments, json!({ &id: accept() }), state).await;
        assert_eq!(repeated["result"], done["result"], "{repeated}");
        let late = again(&agent, "transfer", &arguments, json!({ &id: { "action": "decline" } }), state).await;
        assert_eq!(&late["result"]["structuredContent"], said, "{late}");
        assert!(late["result"]["content"][0]["text"].as_str().unwrap().contains("was not taken"), "{late}");
        let counts = ["/charge", "/close", "/refund"].map(|path| home.ledger.count(path, guest));
        assert_eq!(counts, [1, 1, 0], "one saga: {guest}");
    }
    // A reply that is none starts nothing.
    let guest = json!({ "guest": "zoe" });
    let heard = again(&agent, "transfer", &guest, json!({ "x": "yes" }), &Value::Null).await;
    assert_eq!((&heard["error"]["code"], home.ledger.count("/charge", "zoe")), (&json!(-32602), 0), "{heard}");
    let listed = agent.call("saga_list", json!({ "tool": "transfer" })).await;
    assert_eq!(listed["structuredContent"]["sagas"].as_array().map(Vec::len), Some(2), "{listed}");

    let arguments = json!({ "guest": "eve" });
    let asked = agent.call("transfer", arguments.clone()).await;
    let (id, state) = (question(&asked).0, &asked["requestState"]);
    // What goes on has the same arguments, and its state is no invention.
    let heard = again(&agent, "transfer", &json!({ "guest": "mallory" }), json!({ &id: accept() }), state).await;
    assert_eq!(heard["error"]["data"]["type"], "idempotency_key_conflict", "{heard}");
    for odd in [json!("x"), json!("01990000-0000-7000-8000-000000000000")] {
        let heard = again(&agent, "transfer", &arguments, json!({ &id: accept() }), &odd).await;
        assert_eq!(heard["error"]["code"], -32602, "{heard}");
    }
    let heard = again(&agent, "self_service", &json!({}), json!({}), state).await;
    assert_eq!(heard["error"]["code"], -32602, "another tool's state: {heard}");
    assert_eq!((home.ledger.count("/close", "eve"), home.ledger.count("/charge", "mallory")), (0, 0));
    let denied = again(&agent, "transfer", &arguments, json!({ &id: { "action": "decline" } }), state).await;
    assert_eq!(denied["result"]["structuredContent"]["status"], "compensated", "{denied}");
    assert_eq!(home.ledger.count("/refund", "eve"), 1);
}

#[tokio::test]
async fn two_answers_at_once_are_one() {
    let home = Home::with_approvals("two", "mcp: { wait: 20s }\n").await;
    let nodes = [home.node(&[]), home.node(&[])];
    let agents = [nodes[0].modern().able(person()), nodes[1].modern().able(person())];
    for round in 0..4 {
        let arguments = json!({ "guest": format!("g{round}"), "idempotency_key": format!("k{round}") });
        let asked = agents[0].call("transfer", arguments.clone()).await;
        let (id, state) = (question(&asked).0, &asked["requestState"]);
        let say = |agent, reply: Value| again(agent, "transfer", &arguments, json!({ &id: reply }), state);
        let (yes, no) = tokio::join!(say(&agents[0], accept()), say(&agents[1], json!({ "action": "decline" })));
        let said = &yes["result"]["structuredContent"];
        assert_eq!(said, &no["result"]["structuredContent"], "{yes} {no}");
        let guest = format!("g{round}");
        let counts = ["/close", "/refund"].map(|path| home.ledger.count(path, &guest));
        let expected = if said["status"] == "completed" { [1, 0] } else { [0, 1] };
        assert_eq!(counts, expected, "{yes} {no}");
        let told = |answer: &Value| answer["result"]["content"][0]["text"].as_str().unwrap().contains("was not taken");
        assert!(told(&yes) != told(&no), "one of them is told: {yes} {no}");
    }
}

#[tokio::test]
async fn a_task_asks_and_is_told() {
    let home = Home::with_approvals("asking-task", "").await;
    let (mut first, second) = (home.node(&[]), home.node(&[]));
    let tasks = json!({ "io.modelcontextprotocol/tasks": {} });
    let able = json!({ "elicitation": {}, "extensions": tasks });
    let task = first.modern().able(able.clone()).call("transfer", json!({ "guest": "ada" })).await;
    assert_eq!(task["resultType"], "task", "{task}");
    let id = task["taskId"].as_str().unwrap().to_owned();
    first.kill();

    let agent = second.modern().able(able);
    let get = async |agent: &Agent| agent.ask("tasks/get", json!({ "taskId": id })).await.answer["result"].clone();
    let mut asks = Value::Null;
    crate::harness::eventually("the task asks", async || {
        asks = get(&agent).await;
        asks["status"] == "input_required"
    })
    .await;
    let (question, shown) = question(&asks);
    assert!(shown["message"].as_str().unwrap().starts_with("Close the folio of ada?"), "{asks}");
    // Whoever has no person is not asked.
    let alone = second.modern().able(json!({ "extensions": tasks }));
    assert_eq!(get(&alone).await["status"], "working");

    let update = async |replies: Value| {
        let params = json!({ "taskId": id, "inputResponses": replies });
        agent.ask("tasks/update", params).await.answer
    };
    let ignored = update(json!({ format!("agree:{}", "0".repeat(64)): accept(), "x": accept() })).await;
    assert!(ignored["result"].is_object(), "{ignored}");
    assert_eq!(update(json!({ &question: { "action": "maybe" } })).await["error"]["code"], -32602);
    update(json!({ &question: { "action": "cancel" } })).await;
    assert_eq!((get(&agent).await["status"].as_str(), home.ledger.count("/close", "ada")), (Some("input_required"), 0));

    let told = update(json!({ &question: accept() })).await;
    assert!(told["result"].is_object(), "{told}");
    let mut done = Value::Null;
    crate::harness::eventually("the task is completed", async || {
        done = get(&agent).await;
        done["status"] == "completed"
    })
    .await;
    let by = "local over MCP (client \"agent\", as it claims) (amends)";
    assert_eq!(done["result"]["structuredContent"]["output"]["approved_by"], by, "{done}");
    update(json!({ &question: { "action": "decline" } })).await;
    assert_eq!(get(&agent).await, done, "used up");
    assert_eq!(home.ledger.count("/close", "ada"), 1);
}
