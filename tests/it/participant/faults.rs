//! Ways of a participant to go wrong that need a server of their own kind: one that notices that nobody waits any
//! more, one whose tool has changed, one that forgets a session, one that does a part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use amends::participant::{Answers, ParticipantConfig, Secret, Transport};
use amends::runtime::Runtime;
use amends::saga::definition::{Draft, Errors};
use amends::saga::state::Status;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::mcp_child::child;
use super::mcp_http::{at, message, method, reply, shake_hands};
use super::wire::{Act, Wire, answer};
use super::{call, executed, probed, says, tool, with};
use crate::admin::{ask, until};
use crate::harness::{Database, eventually};

/// An HTTP server that hears when its caller goes away, and then does what it was asked for, or leaves it. Returns its
/// URL and how many went away.
async fn left_alone(does: bool) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let left = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&left);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let left = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut chunk = [0; 8_192];
                let count = stream.read(&mut chunk).await.unwrap_or(0);
                if chunk[..count].starts_with(b"GET ") {
                    let body = format!("{{\"done\":{}}}", does && left.load(Ordering::SeqCst) > 0);
                    if let Act::Answer(bytes) = answer("200 OK", "", &body) {
                        stream.write_all(bytes.as_bytes()).await.ok();
                    }
                    return;
                }
                while stream.read(&mut chunk).await.is_ok_and(|count| count > 0) {}
                left.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    (url, left)
}

/// A server may stop when its caller goes away, or go on: that it noticed proves nothing, so the call is in doubt, and
/// only what a probe finds decides.
#[tokio::test]
async fn f5_a_call_that_is_given_up_is_in_doubt_whatever_its_server_makes_of_that() {
    for does in [false, true] {
        let expected = if does { "applied" } else { "absent" };
        let probe = |target: Value| json!({"target": target, "applied": "result.done", "absent": "!result.done"});

        let (url, left) = left_alone(does).await;
        let http = with(Transport::Http { url: Secret::plain(url), headers: BTreeMap::new() });
        let to = |method: &str| json!({"http": {"participant": "it", "method": method, "path": "/x"}});
        says(&executed(&http, &call(to("POST"), json!({"timeout_ms": 300}))).await, "unknown timeout", "");
        eventually("the server knows", async || left.load(Ordering::SeqCst) == 1).await;
        says(&probed(&http, probe(to("GET"))).await, expected, "");

        let mcp = with(child("plain", &[]));
        let given_up = call(tool("until_cancelled", json!({"does": does})), json!({"timeout_ms": 1_000}));
        says(&executed(&mcp, &given_up).await, "unknown timeout", "");
        let told = call(tool("counts", json!({})), json!({"output": "${ result.done + result.stopped }"}));
        eventually("the server was told", async || executed(&mcp, &told).await == "succeeded 1").await;
        let counts = json!({
            "target": tool("counts", json!({})), "applied": "result.done == 1", "absent": "result.done == 0",
        });
        says(&probed(&mcp, counts).await, expected, "");
        mcp.shutdown().await;
    }
}

/// The tools of a server had other arguments when the definition was written: after the first call, and until told
/// otherwise, each is refused as the protocol has it.
#[tokio::test]
async fn f16_a_tool_that_changed_amid_a_saga_refuses_its_compensation_which_is_stuck() {
    let changed = Arc::new(AtomicBool::new(false));
    let of_server = Arc::clone(&changed);
    let wire = Wire::serve(move |request| match method(request).as_str() {
        "initialize" => shake_hands(request, ""),
        "tools/call" if of_server.load(Ordering::SeqCst) => {
            let message = "Input validation error: 'amount_minor' is a required property";
            reply(request, "", json!({"error": {"code": -32602, "message": message}}))
        }
        "tools/call" => {
            // A new version is deployed right after the first charge.
            of_server.store(message(request)["params"]["name"] == "charge", Ordering::SeqCst);
            reply(request, "", json!({"result": {"content": [], "structuredContent": {"id": "ch_1"}}}))
        }
        _ => answer("202 Accepted", "", ""),
    })
    .await;
    let transport = Transport::McpHttp { url: Secret::plain(&wire.url), headers: BTreeMap::new() };
    let it = ParticipantConfig {
        name: "it".into(),
        transport,
        limits: Default::default(),
        // It checks arguments before it works on them, and errs at no other time.
        answers: Answers { errors: Some(Errors::Definite), ..Default::default() },
    };
    let to = |name: &str| call(tool(name, json!({"amount": 5})), json!({"effect": "idempotent"}));
    let step = |name: &str| amends::saga::definition::Step::new(name, to(name));
    let draft = Draft::new("drift")
        .step(step("charge").compensation(to("refund")))
        .step(step("book").compensation(to("unbook")).needs(["charge"]));
    let database = Database::create().await;
    let begun = Runtime::builder(database.url.clone()).participants([it]).definition(draft).begin();
    let runtime = begun.await.unwrap();
    let saga = runtime.start("drift", &json!({})).await.unwrap();
    // The action failed for good, before any effect; so did the compensation, whose effect stays until a person helps.
    let stuck = "select step || ' ' || reason || ' ' || error from amends.stuck";
    until(&database.url, "select count(*) from amends.stuck", "1").await;
    let said = ask(&database.url, stuck).await;
    says(&said, "charge failed ", "-32602");
    says(&said, "charge failed ", "amount_minor");
    let tools = || -> Vec<String> {
        let requests = wire.requests.lock().unwrap();
        let calls = requests.iter().filter(|request| method(request) == "tools/call");
        calls.map(|request| message(request)["params"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(tools(), ["charge", "book", "refund"], "what is refused for good is not repeated");
    // The tool takes the old arguments again: a person has the compensation tried once more.
    changed.store(false, Ordering::SeqCst);
    ask(&database.url, &format!("select amends.retry('{saga}', 'charge', 'the tool is mended')")).await;
    assert_eq!(runtime.wait(saga).await.unwrap().status, Status::Compensated);
    assert_eq!(tools(), ["charge", "book", "refund", "refund"]);
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// 404 to a session says that nothing was done: the call fails as one that may be repeated, and the next one has a new
/// session. Nothing is sent twice by itself.
#[tokio::test]
async fn f18_a_server_that_forgot_the_session_did_nothing_and_is_greeted_anew() {
    let session = Arc::new(AtomicU32::new(1));
    let of_server = Arc::clone(&session);
    let wire = Wire::serve(move |request| {
        let id = format!("mcp-session-id: s-{}\r\n", of_server.load(Ordering::SeqCst));
        match method(request).as_str() {
            "initialize" => shake_hands(request, &id),
            _ if !request.contains(&id) => answer("404 Not Found", "", "no such session"),
            "tools/call" => reply(request, "", json!({"result": {"content": []}})),
            _ => answer("202 Accepted", "", ""),
        }
    })
    .await;
    let mcp = at(&wire.url);
    let echo = call(tool("echo", json!({})), json!({"effect": "idempotent"}));
    assert_eq!(executed(&mcp, &echo).await, "succeeded null");
    let counted = |what: &str| wire.requests.lock().unwrap().iter().filter(|r| method(r) == what).count();
    for forgotten in 1..=2 {
        session.fetch_add(1, Ordering::SeqCst);
        says(&executed(&mcp, &echo).await, "retryable session_lost: ", "does not know the session any more");
        assert_eq!((counted("initialize"), counted("tools/call")), (forgotten, 2 * forgotten));
        assert_eq!(executed(&mcp, &echo).await, "succeeded null");
        assert_eq!((counted("initialize"), counted("tools/call")), (forgotten + 1, 2 * forgotten + 1));
    }
    mcp.shutdown().await;
}

/// 207 is a success to the default rules; only the definition knows what its parts mean.
#[tokio::test]
async fn f19_what_was_done_in_part_is_what_the_definition_makes_of_it() {
    let body = r#"{"results":[{"id":"a","status":201},{"id":"b","status":409}]}"#;
    let wire = Wire::serve(move |_| answer("207 Multi-Status", "", body)).await;
    let http = with(Transport::Http { url: Secret::plain(&wire.url), headers: BTreeMap::new() });
    let target = json!({"http": {"participant": "it", "method": "POST", "path": "/batch", "body": {}}});
    let in_part = "status == 207 && result.results.exists(part, part.status >= 400)";
    for (rules, start, part) in [
        (json!({}), "succeeded {\"results\":[", ""),
        // Some of it took effect, so it has not definitely failed: a probe or a person finds out.
        (
            json!({"classify": [{"when": in_part, "outcome": "unknown", "error": "'refused: ' + \
                   result.results.filter(part, part.status >= 400).map(part, part.id).join(', ')"}]}),
            "unknown classified: refused: b",
            "",
        ),
        (json!({"success": format!("!({in_part})")}), "", "success"),
        (
            json!({"output": "${ result.results.filter(part, part.status < 400).map(part, part.id) }"}),
            "succeeded [\"a\"]",
            "",
        ),
    ] {
        says(&executed(&http, &call(target.clone(), rules)).await, start, part);
    }
}

/// HTTP answers do not say to which request they are. A server that answers once too often, with what it said before,
/// is not heard in the name of the next call.
#[tokio::test]
async fn an_answer_that_comes_twice_is_none_to_the_next_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut chunk, mut before) = ([0; 8_192], String::new());
                while let Ok(count @ 1..) = stream.read(&mut chunk).await {
                    let head = String::from_utf8_lossy(&chunk[..count]).into_owned();
                    let body = format!("{{\"of\":\"{}\"}}", head.split(' ').nth(1).unwrap_or_default());
                    let length = body.len();
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                    stream.write_all(format!("{before}{answer}").as_bytes()).await.ok();
                    before = answer;
                }
            });
        }
    });
    let http = with(Transport::Http { url: Secret::plain(url), headers: BTreeMap::new() });
    for path in ["/one", "/two", "/three"] {
        let target = json!({"http": {"participant": "it", "method": "POST", "path": path}});
        let expected = format!("succeeded {{\"of\":\"{path}\"}}");
        says(&executed(&http, &call(target, json!({}))).await, &expected, "");
    }
}
