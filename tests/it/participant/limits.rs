//! Answers that are too long, or that never come to an end: each is bounded, has its outcome, and harms no other call.

use std::collections::BTreeMap;

use amends::participant::{Handlers, Limits, ParticipantConfig, Participants, Secret, Transport};
use serde_json::json;

use super::mcp_http::{at, method, reply, shake_hands};
use super::wire::{Act, Wire, answer};
use super::{call, executed, says, tool, with};

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// What a server does that goes on without an end, by name, and what is said of it.
fn endless(name: &str) -> Option<(Act, &'static str)> {
    let json = "content-type: application/json\r\n";
    let begin = |text: &str| format!("{OK}{json}{text}");
    let act = match name {
        "status" => (Act::Drip("HTTP/1.1 200 ".into(), "O".into()), "unknown timeout"),
        "head" => (Act::Drip(begin("x-slow: "), "x".into()), "unknown timeout"),
        "body" => (Act::Drip(begin("content-length: 100000\r\n\r\n\""), "x".into()), "unknown timeout"),
        "chunks" => (Act::Drip(begin("transfer-encoding: chunked\r\n\r\n"), "1\r\n \r\n".into()), "unknown timeout"),
        "events" => {
            let begin = format!("{OK}content-type: text/event-stream\r\n\r\n");
            (Act::Drip(begin, ": still here\n\n".into()), "unknown timeout")
        }
        "header" => (Act::Pour(begin("x-long: "), "xxxxxxxxxx".into()), "unknown closed"),
        "headers" => (Act::Pour(begin(""), "x: y\r\n".into()), "unknown closed"),
        // A call that is given time: 16 MiB are read before it counts as too large.
        "flood" => (
            Act::Pour(begin("transfer-encoding: chunked\r\n\r\n"), format!("3e8\r\n{}\r\n", "x".repeat(1_000))),
            "unknown ",
        ),
        _ => return None,
    };
    Some(act)
}

/// The time of a call: what is read to a limit, up to 16 MiB of it, must not run into this one.
fn time_ms(name: &str) -> u64 {
    let drips = endless(name).is_some_and(|(_, said)| said == "unknown timeout");
    if drips { 1_500 } else { 60_000 }
}

#[tokio::test]
async fn an_http_answer_without_an_end_ends_at_its_limits() {
    let wire = Wire::serve(|request| {
        let path = request.split(' ').nth(1).unwrap_or("").trim_start_matches('/');
        endless(path).map_or_else(|| answer("200 OK", "", "{\"id\":1}"), |(act, _)| act)
    })
    .await;
    let http = with(Transport::Http { url: Secret::plain(&wire.url), headers: BTreeMap::new() });
    let to = |path: &str| {
        let target = json!({"http": {"participant": "it", "method": "POST", "path": format!("/{path}")}});
        call(target, json!({"timeout_ms": time_ms(path)}))
    };
    for name in ["status", "head", "body", "chunks", "header", "headers", "flood"] {
        let said = match name {
            "flood" => "unknown answer_too_large",
            other => endless(other).unwrap().1,
        };
        let line = executed(&http, &to(name)).await;
        assert!(line.starts_with(said), "{name}: {line}");
        assert!(line.len() < 300, "{line}");
        says(&executed(&http, &to("good")).await, "succeeded {\"id\":1}", "");
    }
}

#[tokio::test]
async fn an_answer_over_mcp_without_an_end_ends_at_its_limits() {
    for name in ["status", "head", "body", "chunks", "events", "header", "headers", "flood"] {
        let wire = Wire::serve(move |request| match method(request).as_str() {
            "initialize" => shake_hands(request, ""),
            "tools/call" if request.contains("\"good\"") => reply(request, "", json!({"result": {"content": []}})),
            "tools/call" => endless(name).unwrap().0,
            _ => answer("202 Accepted", "", ""),
        })
        .await;
        let mcp = at(&wire.url);
        let to = |tool_name: &str| call(tool(tool_name, json!({})), json!({"timeout_ms": time_ms(name)}));
        let said = match name {
            "flood" => "unknown answer_too_large",
            other => endless(other).unwrap().1,
        };
        let line = executed(&mcp, &to("bad")).await;
        assert!(line.starts_with(said), "{name}: {line}");
        assert!(line.len() < 300, "{line}");
        says(&executed(&mcp, &to("good")).await, "succeeded null", "");
        mcp.shutdown().await;
    }
}

#[tokio::test]
async fn limits_beyond_what_a_message_may_be_are_refused() {
    let config = |transport| {
        let limits = Limits { arguments_bytes_max: 0, answer_bytes_max: (16 << 20) + 1, concurrency_max: 0 };
        ParticipantConfig { name: "it".into(), transport, limits, answers: Default::default() }
    };
    let url = Secret::plain("http://h");
    for transport in [
        Transport::Http { url: url.clone(), headers: BTreeMap::new() },
        Transport::McpHttp { url, headers: BTreeMap::new() },
    ] {
        let runtime = tokio::runtime::Handle::current();
        let faults = Participants::new(vec![config(transport)], Handlers::new(), &runtime).unwrap_err();
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        says(&lines[0], "participants.it.arguments_bytes_max: ", "found 0");
        says(&lines[1], "participants.it.answer_bytes_max: ", "expected 1 to 16777216 bytes, found 16777217");
        says(&lines[2], "participants.it.concurrency_max: ", "at least 1");
    }
}
