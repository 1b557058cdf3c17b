//! Tasks of the new era: only for clients that declare them, durable before the answer leaves, readable on
//! any node.

use serde_json::{Value, json};

use super::home::Home;

#[tokio::test]
async fn a_task_is_the_saga_and_outlives_the_node_that_answered_with_it() {
    let home = Home::new("tasks").await;
    let (mut first, second) = (home.node(&[]), home.node(&[]));
    let declared = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let agent = first.modern().able(declared.clone());
    let quick = agent.call("hotel_checkout", json!({ "guest": "ada" })).await;
    assert_eq!(
        (&quick["resultType"], &quick["structuredContent"]["status"]),
        (&json!("complete"), &json!("completed"))
    );
    let task = agent.call("hotel_checkout", json!({ "guest": "slow", "idempotency_key": "t" })).await;
    assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")), "{task}");
    let id = task["taskId"].as_str().unwrap().to_owned();
    first.kill();

    let agent = second.modern().able(declared);
    let get = async |id: &str| agent.ask("tasks/get", json!({ "taskId": id })).await.answer;
    let mut done = Value::Null;
    crate::harness::eventually("the task is completed", async || {
        done = get(&id).await["result"].clone();
        done["status"] == "completed"
    })
    .await;
    assert_eq!(done["result"]["structuredContent"]["status"], "completed", "{done}");
    assert_eq!(home.ledger.count("/charge", "slow"), 1);

    let bell = agent.call("bell", json!({})).await;
    let id = bell["taskId"].as_str().unwrap().to_owned();
    let cancelled = agent.ask("tasks/cancel", json!({ "taskId": id })).await;
    assert!(cancelled.answer["result"].is_object(), "{cancelled:?}");
    crate::harness::eventually("the task is cancelled", async || get(&id).await["result"]["status"] == "cancelled")
        .await;
    assert_eq!(get("x").await["error"]["code"], -32602);

    // Who does not declare them, and who speaks the old era, gets no task.
    let plain = second.modern();
    assert_eq!(plain.ask("tasks/get", json!({ "taskId": id })).await.answer["error"]["code"], -32021);
    let old = second.agent().await;
    let blocked = old.call("hotel_checkout", json!({ "guest": "slow again" })).await;
    assert_eq!(blocked["structuredContent"]["status"], "completed", "{blocked}");
}
