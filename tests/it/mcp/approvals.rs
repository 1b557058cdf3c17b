//! Approvals that a person gives through the client while the call waits (the old era), and those that an
//! operator gives with the program.

use std::time::Duration;

use serde_json::{Value, json};

use super::agent::{Agent, Events};
use super::auth::token;
use super::home::Home;

fn text(result: &Value) -> String {
    let blocks = result["content"].as_array().unwrap();
    blocks.iter().map(|block| block["text"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

fn accept(decision: &str) -> Value {
    json!({ "result": { "action": "accept", "content": { "decision": decision, "reason": "so" } } })
}

fn status(result: &Value) -> &str {
    result["structuredContent"]["status"].as_str().unwrap_or_else(|| panic!("{result}"))
}

/// Who answered, as the journal has it: the principal, the name that its client claims, and the node's session.
fn by(principal: &str) -> String {
    format!("{principal} over MCP (client \"agent\", as it claims) (amends)")
}

#[tokio::test]
async fn a_person_is_asked_while_the_call_waits_and_every_answer_means_something() {
    let home = Home::with_approvals("asked", "mcp: { wait: 20s }\n").await;
    let node = home.node(&[]);
    let agent = Agent::of_old_with_person(&node.url).await;
    let error = json!({ "error": { "code": -32601, "message": "nobody is here" } });
    let cases = [
        ("yes", accept("approve"), "completed", "everything is done"),
        (
            "no",
            accept("deny"),
            "compensated",
            r#"local over MCP (client \"agent\", as it claims) (amends) denied it: so"#,
        ),
        ("declined it", json!({ "result": { "action": "decline" } }), "compensated", "denied it"),
        ("aside", json!({ "result": { "action": "cancel" } }), "in_progress", "A person has to approve"),
        ("blank", json!({ "result": { "action": "accept" } }), "in_progress", "gave no valid answer"),
        ("odd", json!({ "result": { "yes": true } }), "in_progress", "gave no valid answer"),
        (
            "bool",
            json!({ "result": { "action": "accept", "content": { "decision": true } } }),
            "in_progress",
            "no valid answer",
        ),
        ("failed", error, "in_progress", "nobody is here"),
    ];
    for (guest, reply, expected, said) in cases {
        let arguments = json!({ "guest": guest, "idempotency_key": guest });
        let heard = agent.call_asked("transfer", arguments.clone(), async |_| Some(reply.clone())).await;
        let result = &heard.answer["result"];
        assert_eq!(status(result), expected, "{guest}: {heard:?}");
        assert!(text(result).contains(said), "{guest}: {heard:?}");
        let [question] = heard.before.as_slice() else { panic!("{guest}: {heard:?}") };
        let asked = &question["params"];
        let message = asked["message"].as_str().unwrap();
        assert!(
            message.starts_with(&format!("Close the folio of {guest}?\n\n{{\n  \"guest\": \"{guest}\"")),
            "{message}"
        );
        assert_eq!((&question["method"], &asked["mode"]), (&json!("elicitation/create"), &json!("form")));
        let done = (home.ledger.count("/close", guest), home.ledger.count("/refund", guest));
        let left = match expected {
            "completed" => (1, 0),
            "compensated" => (0, 1),
            _ => (0, 0),
        };
        assert_eq!(done, left, "{guest}");
        if expected == "in_progress" {
            // It stands, and whoever waits for it is asked again.
            let id = &result["structuredContent"]["saga_id"];
            let about = json!({ "saga_id": id, "wait_seconds": 20 });
            let silent = agent.call("saga_status", json!({ "saga_id": id })).await;
            assert_eq!(status(&silent), "in_progress");
            let heard = agent.call_asked("saga_status", about, async |_| Some(accept("approve"))).await;
            assert_eq!(status(&heard.answer["result"]), "completed", "{heard:?}");
            let again = agent.call("transfer", arguments).await;
            assert_eq!(again["structuredContent"]["output"]["approved_by"], by("local"), "{again}");
        }
    }
}

/// The question that the server takes back on the session's own stream, where rmcp puts such notifications.
async fn withdrawn(stream: &mut Events) -> Value {
    let next = async {
        loop {
            let told = stream.next().await.expect("the stream goes on");
            if told["method"] == "notifications/cancelled" {
                return told["params"]["requestId"].clone();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), next).await.expect("a question is withdrawn in time")
}

#[tokio::test]
async fn a_question_that_somebody_else_answers_is_withdrawn() {
    let home = Home::with_approvals("withdrawn", "mcp: { wait: 20s }\n").await;
    let node = home.node(&[]);
    let agent = Agent::of_old_with_person(&node.url).await;
    let mut stream = Events::new(agent.listen().await);
    let heard = agent
        .call_asked("transfer", json!({ "guest": "ada" }), async |question| {
            let saga = question["params"]["_meta"]["amends/saga_id"].as_str().unwrap();
            let digest = question["params"]["_meta"]["amends/digest"].as_str().unwrap();
            assert_eq!(home.digest(saga), digest);
            let (code, answer, errors) = home.run(&["approve", saga, "agree", "--digest", digest, "--reason", "seen"]);
            assert_eq!(code, 0, "{answer} {errors}");
            None
        })
        .await;
    assert_eq!(status(&heard.answer["result"]), "completed", "{heard:?}");
    assert_eq!(withdrawn(&mut stream).await, heard.before[0]["id"]);
    assert_eq!(heard.answer["result"]["structuredContent"]["output"]["reason"], "seen", "{heard:?}");

    // The question's own time is over: that is no.
    let heard = agent.call_asked("hasty", json!({}), async |_| None).await;
    assert_eq!(status(&heard.answer["result"]), "compensated", "{heard:?}");
    assert_eq!(withdrawn(&mut stream).await, heard.before[0]["id"]);

    // The call does not wait for ever, and a question goes with its call.
    let home = Home::with_approvals("late", "mcp: { wait: 1s }\n").await;
    let node = home.node(&[]);
    let agent = Agent::of_old_with_person(&node.url).await;
    let mut stream = Events::new(agent.listen().await);
    let heard = agent.call_asked("transfer", json!({ "guest": "eve" }), async |_| None).await;
    assert_eq!(status(&heard.answer["result"]), "in_progress", "{heard:?}");
    assert_eq!(withdrawn(&mut stream).await, heard.before[0]["id"]);
    // Clients without a person are not asked.
    let heard = node.agent().await.call_asked("transfer", json!({ "guest": "bob" }), async |_| None).await;
    assert!(heard.before.is_empty() && status(&heard.answer["result"]) == "in_progress", "{heard:?}");
    // A caller that goes away while its person is asked takes nothing along.
    let agent = Agent::of_old_with_person(&node.url).await;
    agent
        .drop_call("transfer", json!({ "guest": "gone", "idempotency_key": "gone" }), Duration::from_millis(600))
        .await;
    let stands = node.agent().await.call("transfer", json!({ "guest": "gone", "idempotency_key": "gone" })).await;
    assert_eq!(status(&stands), "in_progress", "{stands}");
}

#[tokio::test]
async fn whoever_may_start_is_not_who_approves_unless_the_definition_says_so() {
    let home = Home::with_approvals("approver", "mcp: { auth: bearer, wait: 1s }\n").await;
    let node = home.node(&[]);
    let (_, ada) = token(&home, &["ada", "--scope", "start:*", "--scope", "read:*"]);
    let (_, desk) = token(&home, &["desk", "--scope", "start:*", "--scope", "operate:vetted"]);
    let person = json!({ "elicitation": {} });
    let of = |token: &str| Agent::of_new(&node.url).with_token(token).able(person.clone());

    let own = of(&ada).call("vetted", json!({ "guest": "ada" })).await;
    assert_eq!(status(&own), "in_progress", "{own}");
    let id = own["structuredContent"]["saga_id"].as_str().unwrap().to_owned();
    // Answering what one was not asked does not help.
    let reply = json!({ format!("agree:{}", home.digest(&id)): accept("approve")["result"] });
    let about = json!({ "saga_id": id });
    let heard = of(&ada).call_with("saga_status", about.clone(), json!({ "inputResponses": reply })).await;
    let result = &heard.answer["result"];
    assert_eq!(status(result), "in_progress", "{heard:?}");
    assert!(text(result).contains("was not taken: ada may not answer it"), "{heard:?}");
    let heard = of(&desk).call_with("saga_status", about.clone(), json!({ "inputResponses": reply })).await;
    assert!(heard.answer["result"]["resultType"] == "complete", "{heard:?}");
    let done = of(&desk).call("saga_status", json!({ "saga_id": id, "wait_seconds": 1 })).await;
    assert_eq!(done["structuredContent"]["output"]["approved_by"], by("desk"), "{done}");

    // The grant `operate` does not make a starter its own approver, by no tool that carries an answer.
    let own = of(&desk).call("vetted", json!({ "guest": "desk", "idempotency_key": "own" })).await;
    assert_eq!((&own["resultType"], status(&own)), (&json!("complete"), "in_progress"), "{own}");
    let id = own["structuredContent"]["saga_id"].as_str().unwrap().to_owned();
    let reply = json!({ format!("agree:{}", home.digest(&id)): accept("approve")["result"] });
    let beside = json!({ "inputResponses": reply, "requestState": id });
    let about = json!({ "saga_id": id });
    let again = json!({ "guest": "desk", "idempotency_key": "own" });
    for (tool, arguments) in [("saga_status", about.clone()), ("vetted", again)] {
        let heard = of(&desk).call_with(tool, arguments, beside.clone()).await;
        assert!(text(&heard.answer["result"]).contains("desk may not answer it"), "{tool}: {heard:?}");
    }
    let able = json!({ "elicitation": {}, "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let tasks = of(&desk).able(able);
    let updated = tasks.ask("tasks/update", json!({ "taskId": id, "inputResponses": reply })).await;
    let task = tasks.ask("tasks/get", json!({ "taskId": id })).await;
    assert_eq!(task.answer["result"]["status"], "working", "{updated:?} {task:?}");
    assert_eq!(home.ledger.count("/charge", "desk"), 0);
    // Another operator may.
    let (_, chief) = token(&home, &["chief", "--scope", "operate:*"]);
    of(&chief).call_with("saga_status", about.clone(), json!({ "inputResponses": reply })).await;
    let done = of(&desk).call("saga_status", json!({ "saga_id": id, "wait_seconds": 1 })).await;
    assert_eq!(done["structuredContent"]["output"]["approved_by"], by("chief"), "{done}");

    // Where the caller may answer, only the one that started it may.
    let asked = of(&ada).call("self_service", json!({ "idempotency_key": "s" })).await;
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let id = asked["requestState"].clone();
    let requests = asked["inputRequests"].as_object().unwrap();
    let reply = json!({ requests.keys().next().unwrap(): accept("approve")["result"] });
    let (_, eve) = token(&home, &["eve", "--scope", "read:*", "--scope", "start:*"]);
    let about = json!({ "saga_id": id, "wait_seconds": 1 });
    let heard = of(&eve).call_with("saga_status", about.clone(), json!({ "inputResponses": reply })).await;
    assert!(text(&heard.answer["result"]).contains("eve may not answer it"), "{heard:?}");
    let heard = of(&ada).call_with("saga_status", about, json!({ "inputResponses": reply })).await;
    let output = &heard.answer["result"]["structuredContent"]["output"];
    assert_eq!(output["approved_by"], by("ada"), "{heard:?}");
}

#[tokio::test]
async fn operators_approve_and_deny_with_the_program_and_the_record_names_callers() {
    let home = Home::with_approvals("operators", "mcp: { wait: 200ms }\n").await;
    let node = home.node(&[]);
    let agent = node.agent().await;
    let start = async |guest: &str| {
        let started = agent.call("transfer", json!({ "guest": guest })).await;
        let id = started["structuredContent"]["saga_id"].as_str().unwrap().to_owned();
        crate::harness::eventually("it asks", async || home.run(&["show", &id]).1.to_string().contains("\"shown\":"))
            .await;
        id
    };
    let ended = async |id: &str| {
        let about = json!({ "saga_id": id, "wait_seconds": 20 });
        let mut ended = Value::Null;
        crate::harness::eventually("it ends", async || {
            ended = agent.call("saga_status", about.clone()).await;
            status(&ended) != "in_progress"
        })
        .await;
        ended
    };
    let id = start("ada").await;
    let wrong = "0".repeat(64);
    let (code, _, errors) = home.run(&["approve", &id, "agree", "--digest", &wrong]);
    assert!(code == 5 && errors.contains("look at what it shows"), "{code} {errors}");
    let (code, _, errors) = home.run(&["approve", &id, "hold", "--digest", &home.digest(&id)]);
    assert!(code == 5 && errors.contains("asks for no approval now"), "{code} {errors}");
    assert_eq!(home.ledger.count("/close", "ada"), 0);
    let (code, answer, errors) = home.run(&["approve", &id, "agree", "--digest", &home.digest(&id), "--reason", "ok"]);
    assert_eq!((code, &answer["fate"]), (0, &json!("applied")), "{errors}");
    assert_eq!(ended(&id).await["structuredContent"]["output"]["reason"], "ok");
    let (code, _, errors) = home.run(&["approve", &id, "agree", "--digest", &home.digest(&id)]);
    assert_eq!(code, 5, "an approval is used up: {errors}");
    assert_eq!(home.ledger.count("/close", "ada"), 1);

    let id = start("bob").await;
    assert_eq!(home.run(&["deny", &id, "agree", "--reason", "not today"]).0, 0);
    let denied = ended(&id).await;
    assert!(status(&denied) == "compensated" && text(&denied).contains("not today"), "{denied}");
    assert_eq!((home.ledger.count("/close", "bob"), home.ledger.count("/refund", "bob")), (0, 1));

    // Whoever asks over MCP is named in the timeline, not the database's user that their node has.
    let id = start("eve").await;
    let cancelled = agent.call("saga_cancel", json!({ "saga_id": id, "reason": "no more" })).await;
    assert_eq!(status(&cancelled), "compensated", "{cancelled}");
    let rows = home.database.client().await;
    let sql = "select asked_by, reason, address from amends.timeline
               where saga = $1::text::uuid and asked_by is not null order by seq";
    let asked = rows.query(sql, &[&id]).await.unwrap();
    assert_eq!(asked[0].get::<_, String>(0), "local over MCP", "who started it");
    assert_eq!(asked[1].get::<_, String>(0), "local over MCP (client \"agent\", as it claims)");
    assert_eq!((asked[1].get::<_, String>(1), asked[1].get::<_, Option<String>>(2)), ("no more".to_owned(), None));
}
