//! What a client sees before it calls: the list of tools, in both eras, and its changes.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::agent::Events;
use super::home::Home;

const LATER: &str = "
saga: a_later_one
steps:
  - step: nap
    action: { sleep: 10ms }
";

#[tokio::test]
async fn every_definition_is_a_tool_in_both_eras() {
    let home = Home::new("tools").await;
    let node = home.node(&[]);
    let old = node.agent().await;
    let expected = ["bell", "hotel_checkout", "lost_letter", "vigil", "saga_cancel", "saga_list", "saga_status"];
    assert_eq!(old.tool_names().await, expected);
    assert_eq!(node.modern().tool_names().await, expected);

    let tools = old.tools().await;
    let tool = &tools[1];
    assert_eq!(tool["title"], "Hotel checkout");
    assert!(tool["description"].as_str().unwrap().starts_with("Checks a guest out and charges the card. "), "{tool}");
    let input = &tool["inputSchema"];
    assert_eq!((&input["type"], &input["required"]), (&json!("object"), &json!(["guest"])));
    assert_eq!(input["properties"]["idempotency_key"]["type"], "string");
    assert_eq!(tool["outputSchema"]["required"], json!(["status", "saga_id", "next"]));
    let hints = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
    assert_eq!(hints.map(|hint| tool["annotations"][hint].as_bool().unwrap()), [false, false, false, true]);
    assert_eq!(tools[0]["annotations"]["readOnlyHint"], true);
    assert_eq!(tools[2]["annotations"]["destructiveHint"], true);

    let heard = node.modern().ask("server/discover", json!({})).await;
    let versions = heard.answer["result"]["supportedVersions"].to_string();
    assert!(versions.contains("2026-07-28") && versions.contains("2025-11-25"), "{heard:?}");
    assert!(heard.answer["result"]["instructions"].as_str().unwrap().contains("Do not retry"), "{heard:?}");
}

/// A definition that another node brings is a tool of this one, and clients of both eras hear of it.
#[tokio::test]
async fn changes_are_announced_without_a_restart() {
    let home = Home::new("changes").await;
    let node = home.node(&[]);
    let (old, new) = (node.agent().await, node.modern());
    let (mut session, mut subscription) = (Events::new(old.listen().await), Events::new(new.listen().await));
    let to_else = json!({ "notifications": { "promptsListChanged": true } });
    let mut to_else = Events::new(new.request("subscriptions/listen", to_else).send().await.unwrap());
    for stream in [&mut subscription, &mut to_else] {
        let acknowledged = stream.next().await.unwrap();
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    }
    fs::write(home.folder.join("later.yaml"), LATER).unwrap();
    let _other = home.node(&["later.yaml"]);
    for stream in [&mut session, &mut subscription] {
        let heard = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap().unwrap();
        assert_eq!(heard["method"], "notifications/tools/list_changed", "{heard}");
    }
    let heard = tokio::time::timeout(Duration::from_millis(500), to_else.next()).await;
    assert!(heard.is_err(), "a subscription to something else hears nothing of it, and goes on: {heard:?}");
    assert_eq!(new.tool_names().await[0], "a_later_one");
    assert_eq!(old.call("a_later_one", json!({})).await["structuredContent"]["status"], "completed");
}
