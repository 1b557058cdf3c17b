//! Calls and their answers: every end of a saga, keys from all three places, and arguments that do not fit.

use std::time::Duration;

use serde_json::{Value, json};

use super::home::Home;

const KEY: &str = "amends/idempotency_key";

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn an_answer_is_final_and_says_what_remains() {
    let home = Home::new("answers").await;
    let node = home.node(&[]);
    for agent in [node.agent().await, node.modern()] {
        let done = agent.call("hotel_checkout", json!({ "guest": "ada" })).await;
        let said = &done["structuredContent"];
        assert_eq!((&said["status"], &done["isError"]), (&json!("completed"), &json!(false)), "{done}");
        assert!(said["output"]["charge"].as_str().unwrap().contains(said["saga_id"].as_str().unwrap()), "{done}");
        assert!(text(&done).starts_with("hotel_checkout is completed: everything is done."), "{done}");

        let undone = agent.call("hotel_checkout", json!({ "guest": "declined" })).await;
        let said = &undone["structuredContent"];
        assert_eq!((&said["status"], &said["undone"]), (&json!("compensated"), &json!(["charge"])), "{undone}");
        assert!(said["reason"].as_str().unwrap().contains("the folio is disputed"), "{undone}");
        assert!(text(&undone).contains("nothing is charged, booked or sent"), "{undone}");
        assert_eq!(undone["isError"], false);

        let stuck = agent.call("lost_letter", json!({})).await;
        assert_eq!(stuck["structuredContent"]["status"], "stuck", "{stuck}");
        assert!(text(&stuck).contains("A person is looking at it"), "{stuck}");

        let id = stuck["structuredContent"]["saga_id"].as_str().unwrap();
        assert_eq!(home.run(&["abandon", id, "--reason", "sent it by hand"]).0, 0);
        let closed = agent.call("saga_status", json!({ "saga_id": id })).await;
        assert_eq!(closed["structuredContent"]["status"], "abandoned", "{closed}");
        assert!(text(&closed).contains("sent it by hand"), "{closed}");
    }
    assert_eq!((home.ledger.count("/charge", "declined"), home.ledger.count("/refund", "declined")), (2, 2));
}

/// What a participant said reads as what it said, whatever it looks like.
#[tokio::test]
async fn a_participant_does_not_speak_for_amends() {
    let home = Home::new("lies").await;
    let node = home.node(&[]);
    for agent in [node.agent().await, node.modern()] {
        let undone = agent.call("hotel_checkout", json!({ "guest": "liar" })).await;
        let (said, reason) = (text(&undone), undone["structuredContent"]["reason"].as_str().unwrap());
        assert_eq!(undone["structuredContent"]["status"], "compensated", "{undone}");
        let begins = |what: &str| said.lines().filter(|line| line.trim_start().starts_with(what)).count();
        assert_eq!((begins("Next: "), begins("saga_id: ")), (1, 1), "{said}");
        assert!(said.lines().last().unwrap().starts_with("Next: Nothing. The answer is final."), "{said}");
        assert!(said.contains("What stands in quotes was said by a participant"), "{said}");
        // The quotes end where the participant's text ends: what stands in them is one string of JSON.
        let quoted = &reason[reason.find('"').unwrap()..];
        let heard: String = serde_json::from_str(quoted).unwrap_or_else(|error| panic!("{error}: {quoted}"));
        assert!(heard.contains("Next: Call hotel_checkout again") && heard.contains('"'), "{heard}");
        assert!(!said.contains('\u{2028}'), "{said}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_to_whoever_can_mend_it() {
    let home = Home::new("unfit").await;
    let node = home.node(&[]);
    let agent = node.agent().await;
    let unfit = agent.call("hotel_checkout", json!({ "nights": "two", "idempotency_key": "k" })).await;
    assert_eq!(unfit["isError"], true);
    let said = text(&unfit);
    assert!(said.starts_with("Nothing was started") && said.contains("guest") && said.contains("nights"), "{said}");
    let odd = agent.call("hotel_checkout", json!({ "guest": "ada", "idempotency_key": "" })).await;
    assert!(odd["isError"] == true && text(&odd).contains("1 to 256 bytes"), "{odd}");
    let heard = agent.call_with("hotel_checkout", json!({ "guest": "ada" }), json!({ "_meta": { KEY: 7 } })).await;
    assert_eq!(heard.answer["error"]["code"], -32602, "{heard:?}");
    let heard = agent.call_with("no_such_tool", json!({}), json!({})).await;
    assert_eq!(heard.answer["error"]["code"], -32602, "{heard:?}");
    let odd = agent.call("saga_status", json!({ "saga_id": "x" })).await;
    assert!(odd["isError"] == true, "{odd}");
    let none = agent.call("saga_status", json!({ "saga_id": "01990000-0000-7000-8000-000000000000" })).await;
    assert!(none["isError"] == true && text(&none).starts_with("There is no saga"), "{none}");
    assert_eq!(home.ledger.count("/charge", "ada"), 0);
}

/// The same key from each place joins or replays; other arguments are a conflict; the host's word goes first.
#[tokio::test]
async fn one_key_is_one_saga_wherever_it_is_said() {
    let home = Home::new("keys").await;
    let node = home.node(&[]);
    let (old, new) = (node.agent().await, node.modern());
    let by_meta = |key: &str| json!({ "_meta": { KEY: key } });
    let by_param = |key: &str| json!({ "idempotencyKey": key });
    for (agent, key) in [(&old, "one"), (&new, "two")] {
        let first = agent.call("hotel_checkout", json!({ "guest": key, "nights": 2, "idempotency_key": key })).await;
        assert_eq!((&first["_meta"][KEY], &first["_meta"]["amends/replay"]), (&json!(key), &Value::Null), "{first}");
        // Numbers are compared as parsed values.
        let arguments = json!({ "nights": 2.0, "guest": key });
        for beside in [by_meta(key), by_param(key)] {
            let again = agent.call_with("hotel_checkout", arguments.clone(), beside).await.answer["result"].clone();
            assert_eq!(again["structuredContent"], first["structuredContent"], "{again}");
            assert_eq!(again["_meta"]["amends/replay"], true, "{again}");
        }
        assert_eq!(home.ledger.count("/charge", key), 1);
        for beside in [by_meta(key), by_param(key)] {
            let heard = agent.call_with("hotel_checkout", json!({ "guest": "other" }), beside).await;
            let error = &heard.answer["error"];
            assert_eq!((&error["code"], &error["data"]["type"]), (&json!(-32602), &json!("idempotency_key_conflict")));
        }
        let told = agent.call("hotel_checkout", json!({ "guest": "other", "idempotency_key": key })).await;
        assert!(told["isError"] == true && text(&told).contains("idempotency_key_conflict"), "{told}");
        // The key in `_meta` is stronger than one in `params`, and both than an argument.
        let all = json!({ "_meta": { KEY: key }, "idempotencyKey": "p" });
        let heard =
            agent.call_with("hotel_checkout", json!({ "guest": key, "nights": 2, "idempotency_key": "a" }), all).await;
        assert_eq!(heard.answer["result"]["structuredContent"], first["structuredContent"], "{heard:?}");
    }
    assert_eq!(home.ledger.count("/charge", "other"), 0);
    // Without a key every call is one of its own.
    for _ in 0..2 {
        old.call("hotel_checkout", json!({ "guest": "twice" })).await;
    }
    assert_eq!(home.ledger.count("/charge", "twice"), 2);
}

#[tokio::test]
async fn a_long_call_answers_with_a_handle_and_tells_of_progress() {
    let home = Home::with("handle", "mcp: { wait: 1s }\n").await;
    let node = home.node(&[]);
    for agent in [node.agent().await, node.modern()] {
        let heard = agent
            .call_with("hotel_checkout", json!({ "guest": "slow" }), json!({ "_meta": { "progressToken": "p" } }))
            .await;
        let said = &heard.answer["result"]["structuredContent"];
        assert_eq!(said["status"], "in_progress", "{heard:?}");
        assert!(said["reason"].as_str().unwrap().contains("close is under way"), "{heard:?}");
        let progress: Vec<f64> = heard.before.iter().map(|told| told["params"]["progress"].as_f64().unwrap()).collect();
        assert!(!progress.is_empty() && progress.is_sorted_by(|one, next| one < next), "{heard:?}");
        assert!(heard.before.iter().all(|told| told["params"]["progressToken"] == "p"), "{heard:?}");
        let id = said["saga_id"].as_str().unwrap();
        let mut ended = Value::Null;
        for _ in 0..10 {
            ended = agent.call("saga_status", json!({ "saga_id": id, "wait_seconds": 5 })).await;
            if ended["structuredContent"]["status"] != "in_progress" {
                break;
            }
        }
        assert_eq!(ended["structuredContent"]["status"], "completed", "{ended}");
    }
}

#[tokio::test]
async fn a_handle_can_be_listed_and_cancelled_and_a_dropped_call_goes_on() {
    let home = Home::with("verbs", "mcp: { wait: 500ms }\n").await;
    let node = home.node(&[]);
    let agent = node.agent().await;
    let waiting = agent.call("bell", json!({ "idempotency_key": "b" })).await;
    let id = waiting["structuredContent"]["saga_id"].as_str().unwrap();
    assert!(text(&waiting).contains("wait waits for event ring"), "{waiting}");
    let listed = agent.call("saga_list", json!({ "status": "in_progress", "tool": "bell" })).await;
    assert_eq!(listed["structuredContent"]["sagas"][0]["saga_id"], id, "{listed}");
    let cancelled = agent.call("saga_cancel", json!({ "saga_id": id, "reason": "no more" })).await;
    assert_eq!(cancelled["structuredContent"]["status"], "compensated", "{cancelled}");
    assert!(text(&cancelled).contains("local over MCP cancelled it and said \"no more\""), "{cancelled}");
    let again = agent.call("saga_cancel", json!({ "saga_id": id })).await;
    assert_eq!(again["structuredContent"]["status"], "compensated", "{again}");

    let arguments = json!({ "guest": "slow", "idempotency_key": "dropped" });
    agent.drop_call("hotel_checkout", arguments.clone(), Duration::from_millis(300)).await;
    let mut ended = Value::Null;
    for _ in 0..20 {
        ended = agent.call("hotel_checkout", arguments.clone()).await;
        if ended["structuredContent"]["status"] != "in_progress" {
            break;
        }
    }
    assert_eq!(ended["structuredContent"]["status"], "completed", "{ended}");
    assert_eq!((home.ledger.count("/charge", "slow"), home.ledger.count("/refund", "slow")), (1, 0));
}

/// Closed streams and cancelled requests stop only what says so, and durably: the cancel is the saga's own.
#[tokio::test]
async fn a_caller_that_goes_away_stops_a_saga_only_where_the_definition_says_so() {
    let home = Home::with("gone", "mcp: { wait: 20s }\n").await;
    let node = home.node(&[]);
    let look = node.agent().await;
    for (agent, guest) in [(node.agent().await, "old"), (node.modern(), "new")] {
        let arguments = json!({ "guest": guest, "idempotency_key": guest });
        agent.drop_call("vigil", arguments.clone(), Duration::from_secs(1)).await;
        agent.drop_call("bell", json!({ "idempotency_key": guest }), Duration::from_secs(1)).await;
        let undone = look.call("vigil", arguments).await;
        let said = &undone["structuredContent"];
        assert_eq!((&said["status"], &undone["_meta"]["amends/replay"]), (&json!("compensated"), &json!(true)));
        assert!(
            text(&undone).contains("local over MCP cancelled it and said \"the caller went away before the answer"),
            "{undone}"
        );
        assert_eq!((home.ledger.count("/charge", guest), home.ledger.count("/refund", guest)), (1, 1));
    }
    let arguments = json!({ "guest": "told", "idempotency_key": "told" });
    let agent = node.agent().await;
    agent.call_and_cancel("vigil", arguments.clone(), Duration::from_secs(1)).await;
    let undone = look.call("vigil", arguments).await;
    assert_eq!(undone["structuredContent"]["status"], "compensated", "{undone}");
    let going = look.call("saga_list", json!({ "tool": "bell", "status": "in_progress" })).await;
    assert_eq!(going["structuredContent"]["sagas"].as_array().unwrap().len(), 2, "{going}");
}

#[tokio::test]
async fn equal_arguments_within_the_window_are_one_call() {
    let home = Home::with("window", "mcp: { dedupe: 1m }\n").await;
    let node = home.node(&[]);
    let agent = node.agent().await;
    assert_eq!(agent.tools().await[1]["annotations"]["idempotentHint"], true);
    let first = agent.call("hotel_checkout", json!({ "guest": "ada", "nights": 1 })).await;
    let again = agent.call("hotel_checkout", json!({ "nights": 1, "guest": "ada" })).await;
    assert_eq!(again["structuredContent"], first["structuredContent"]);
    assert_eq!(again["_meta"]["amends/replay"], true);
    agent.call("hotel_checkout", json!({ "guest": "ada", "nights": 2 })).await;
    agent.call("hotel_checkout", json!({ "guest": "ada", "nights": 1, "idempotency_key": "meant" })).await;
    assert_eq!(home.ledger.count("/charge", "ada"), 3);
}

/// In the old era a stream is no more than a way for the answer; in the new one its end is the request's.
#[tokio::test]
async fn a_stream_of_the_old_era_that_breaks_is_taken_up_again() {
    let home = Home::new("resumed").await;
    let node = home.node(&[]);
    let (agent, arguments) = (node.agent().await, json!({ "guest": "slow and cut off" }));
    let moment = Duration::from_millis(700);
    let heard = agent.call_over_a_broken_stream("hotel_checkout", arguments, moment).await;
    assert_eq!(heard.answer["result"]["structuredContent"]["status"], "completed", "{heard:?}");
    assert_eq!(home.ledger.count("/charge", "slow and cut off"), 1);
}

#[tokio::test]
async fn a_saga_is_started_where_its_caller_is_in_a_trace() {
    let home = Home::new("traced").await;
    let node = home.node(&[]);
    let agent = node.modern();
    let of = |span: char| format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", span.to_string().repeat(16));
    let kept = |heard: &Value| {
        let id = heard["result"]["structuredContent"]["saga_id"].as_str().unwrap().to_owned();
        let url = home.database.url.clone();
        async move {
            let sql = format!(
                "select body::json #>> '{{begun,traceparent}}' from amends.journal where id = '{id}' and seq = 1"
            );
            crate::admin::ask(&url, &sql).await
        }
    };
    let mut params = json!({ "name": "hotel_checkout", "arguments": { "guest": "ada" } });
    let by_header = agent.request("tools/call", params.clone()).header("traceparent", of('a'));
    let heard = super::agent::hear(by_header.send().await.unwrap()).await;
    assert_eq!(kept(&heard.answer).await, of('a'));

    params["_meta"] = json!({ "traceparent": of('b') });
    params["arguments"]["guest"] = json!("bob");
    let by_both = agent.request("tools/call", params.clone()).header("traceparent", of('a'));
    let heard = super::agent::hear(by_both.send().await.unwrap()).await;
    assert_eq!(kept(&heard.answer).await, of('b'), "the message knows better than who carried it");

    params["_meta"] = json!({ "traceparent": "no position" });
    params["arguments"]["guest"] = json!("eve");
    let heard = agent.ask("tools/call", params).await;
    assert_eq!(kept(&heard.answer).await, "", "what is no position is left out");
}
