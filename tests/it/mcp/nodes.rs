//! Several nodes, and one that dies between call and answer. The participant's ledger decides.

use std::time::Duration;

use serde_json::{Value, json};

use super::home::Home;

/// Asks again under the same key until the answer is final, as a host does that lost its stream.
async fn insist(node: &super::home::Node, arguments: &Value) -> Value {
    for _ in 0..30 {
        let answer = node.modern().call("hotel_checkout", arguments.clone()).await;
        if answer["isError"] == false && answer["structuredContent"]["status"] != "in_progress" {
            return answer;
        }
    }
    panic!("no final answer");
}

#[tokio::test]
async fn a_node_killed_during_the_call_changes_nothing() {
    let home = Home::new("kill").await;
    let (mut first, second) = (home.node(&["--name", "first"]), home.node(&["--name", "second"]));
    for guest in ["slow ada", "declined bob"] {
        let arguments = json!({ "guest": guest, "idempotency_key": guest });
        let agent = first.modern();
        let pause = Duration::from_millis(if guest.starts_with("slow") { 400 } else { 2 });
        let call = agent.call_with("hotel_checkout", arguments.clone(), json!({}));
        let _ = tokio::time::timeout(pause, call).await;
        if guest.starts_with("slow") {
            first.kill();
            first = home.node(&["--name", "again"]);
        }
        let ended = insist(&second, &arguments).await;
        let expected = if guest.starts_with("slow") { "completed" } else { "compensated" };
        assert_eq!(ended["structuredContent"]["status"], expected, "{ended}");
        assert_eq!(insist(&first, &arguments).await["structuredContent"], ended["structuredContent"]);
        let (charged, refunded) = (home.ledger.count("/charge", guest), home.ledger.count("/refund", guest));
        assert_eq!((charged, refunded), if expected == "completed" { (1, 0) } else { (1, 1) }, "{guest}");
    }
}

/// Host retries with new request ids, at two nodes at once, with streams that break.
#[tokio::test]
async fn a_storm_of_one_key_at_two_nodes_is_one_saga() {
    let home = Home::new("storm").await;
    let nodes = [home.node(&[]), home.node(&[])];
    for round in 0..5 {
        let arguments = json!({ "guest": format!("g{round}"), "idempotency_key": format!("k{round}") });
        let calls = (0..8).map(|n| {
            let (agent, arguments) = (nodes[n % 2].modern(), arguments.clone());
            async move { agent.call("hotel_checkout", arguments).await }
        });
        let answers = futures_util::future::join_all(calls).await;
        let said = &answers[0]["structuredContent"];
        assert_eq!(said["status"], "completed", "{answers:?}");
        assert!(answers.iter().all(|answer| &answer["structuredContent"] == said), "{answers:?}");
        let fresh = answers.iter().filter(|answer| answer["_meta"]["amends/replay"].is_null()).count();
        assert_eq!((fresh, home.ledger.count("/charge", &format!("g{round}"))), (1, 1), "{answers:?}");
    }
}

#[tokio::test]
async fn a_node_that_stops_hands_its_callers_a_handle() {
    let home = Home::new("drain").await;
    let (mut first, second) = (home.node(&[]), home.node(&[]));
    let agent = first.agent().await;
    let arguments = json!({ "idempotency_key": "rung" });
    let call = tokio::spawn(async move { agent.call("bell", arguments).await });
    let listed = async || second.modern().call("saga_list", json!({ "tool": "bell" })).await;
    crate::harness::eventually("it runs", async || listed().await["structuredContent"]["sagas"][0].is_object()).await;
    let log = tokio::task::spawn_blocking(move || first.end()).await.unwrap();
    assert!(!log.contains("ERROR"), "{log}");
    let handed = call.await.unwrap();
    assert_eq!(handed["structuredContent"]["status"], "in_progress", "{handed}");
    let id = handed["structuredContent"]["saga_id"].as_str().unwrap();
    assert_eq!(home.run(&["provide", id, "ring", "--payload", "1"]).0, 0);
    let rung = second.modern().call("saga_status", json!({ "saga_id": id, "wait_seconds": 20 })).await;
    assert_eq!(rung["structuredContent"]["status"], "completed", "{rung}");
}
