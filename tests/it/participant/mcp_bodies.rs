//! Messages of MCP over HTTP as strangers carry them: what was announced is what was read, or the outcome is unknown.
//! And the arguments of a call arrive as they are.

use std::io::Write as _;
use std::sync::Arc;

use amends::participant::Scope;
use amends::saga::Json;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::mcp_http::{at, message, method, reply, shake_hands};
use super::raw_child::RawChild;
use super::wire::{Act, Backlog, Wire, answer};
use super::{call, executed, said, says, tool, with};

const JSON: &str = "content-type: application/json\r\n";

/// An answer of the right length.
fn whole(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Act {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    Act::Bytes([head.as_bytes(), body].concat())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A message that answers a request.
fn answered(request: &str, mut said: Value) -> String {
    said["jsonrpc"] = "2.0".into();
    said["id"] = message(request)["id"].clone();
    said.to_string()
}

fn result(request: &str) -> String {
    answered(request, json!({"result": {"structuredContent": "gr\u{fc}n"}}))
}

fn unnamed(code: i64) -> String {
    json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": "?"}}).to_string()
}

/// How a call is answered, how the outcome's line begins, and what is in it.
type Case = (fn(&str) -> Act, &'static str, &'static str);

const GZIP: &str = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
const IN_USE: &str = r#"{"code":"idempotency_key_in_use"}"#;

/// The effect is in place in each of these, for all that we know.
const CASES: &[Case] = &[
    // Cut off, which nothing but the JSON tells.
    (
        |_| Act::Answer(format!("HTTP/1.0 400 No\r\n{JSON}\r\n{{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{{\"co")),
        "unknown answer_incomplete: ",
        "HTTP 400",
    ),
    (
        |request| {
            let text = result(request);
            Act::Answer(format!("HTTP/1.0 200 OK\r\n{JSON}\r\n{}", &text[..text.len() - 9]))
        },
        "unknown answer_incomplete: ",
        "",
    ),
    (
        |_| Act::Answer(format!("HTTP/1.1 502 No\r\n{JSON}content-length: 70\r\n\r\n{{\"co")),
        "unknown answer_incomplete: ",
        "HTTP 502",
    ),
    (|_| Act::Answer(format!("HTTP/1.0 400 No\r\n{JSON}\r\n")), "unknown answer_incomplete: ", ""),
    (|_| whole("422 No", GZIP, gzip(IN_USE)), "unknown key_conflict: ", ""),
    (|_| whole("400 No", GZIP, &gzip(IN_USE)[..20]), "unknown answer_incomplete: ", ""),
    (|_| whole("400 No", GZIP, gzip(r#"{"code":"closed"}"#)), "failed http_400: ", "closed"),
    (|_| whole("422 No", &format!("{JSON}content-encoding: br\r\n"), IN_USE), "unknown answer_invalid: ", "br"),
    (|_| whole("422 No", JSON, "<html>"), "unknown answer_invalid: ", ""),
    (|_| whole("409 No", JSON, r#"{"detail":{"code":"idempotency_key_in_use"}}"#), "unknown key_conflict: ", ""),
    (|request| whole("206 Part", JSON, result(request)), "unknown answer_incomplete: ", "a part"),
    (|request| whole("200 OK", GZIP, gzip(&result(request))), "succeeded \"grün\"", ""),
    (
        |request| {
            let latin: Vec<u8> = result(request).chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            whole("200 OK", "content-type: application/json; charset=iso-8859-1\r\n", latin)
        },
        "succeeded \"grün\"",
        "",
    ),
    (
        |request| whole("200 OK", "content-type: application/json; charset=martian\r\n", result(request)),
        "unknown answer_invalid: ",
        "martian",
    ),
    (
        |request| {
            let events = format!("data: {}\n\n", result(request));
            whole("200 OK", "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n", gzip(&events))
        },
        "unknown answer_invalid: ",
        "gzip",
    ),
    (
        |request| {
            let events = format!("data: {}\n\n", result(request));
            whole("200 OK", "content-type: text/event-stream; charset=iso-8859-1\r\n", events)
        },
        "unknown answer_invalid: ",
        "not in UTF-8",
    ),
    // Statuses that are the transport's, with a body of JSON-RPC.
    (
        |request| {
            let error = json!({"error": {"code": -32000, "message": "too large"}});
            whole("413 Large", &format!("{JSON}Retry-After: 3\r\n"), answered(request, error))
        },
        "retryable after 3000: busy",
        "",
    ),
    // A date is meant by the clock of the server that says it.
    (
        |_| {
            let dates = "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:28:03 GMT\r\n";
            whole("429 Many", dates, "")
        },
        "retryable after 3000: busy",
        "",
    ),
    // Errors of a gateway, whatever the settings say of the tool's.
    (|_| whole("502 Bad Gateway", JSON, unnamed(-32603)), "unknown http_502: ", ""),
    (|_| whole("200 OK", JSON, unnamed(-32603)), "unknown protocol_unnamed: ", ""),
    (|_| whole("400 No", JSON, unnamed(-32600)), "unknown protocol_unnamed: ", ""),
    (|_| whole("400 No", JSON, unnamed(-32700)), "unknown protocol_unnamed: ", ""),
    (|request| whole("500 Oh", JSON, answered(request, json!({"error": {"code": -32700}}))), "unknown http_500: ", ""),
];

#[tokio::test]
async fn an_answer_counts_only_if_it_is_what_was_announced() {
    for (index, (act, start, part)) in CASES.iter().enumerate() {
        let wire = Wire::serve(move |request| match method(request).as_str() {
            "initialize" => shake_hands(request, ""),
            "tools/call" => act(request),
            _ => answer("202 Accepted", "", ""),
        })
        .await;
        let mcp = at(&wire.url);
        let fields = json!({
            "errors": "definite",
            "classify": [{"when": "error.code == 'answer_incomplete' && status != null", "outcome": "failed"}],
        });
        let line = executed(&mcp, &call(tool("t", json!({})), fields)).await;
        assert!(line.starts_with(start) && line.contains(part), "{index}: expected {start}{part}, found {line}");
        mcp.shutdown().await;
    }
}

/// Calls a tool with numbers that no machine has.
async fn called_with_numbers(mcp: &amends::participant::Participants) -> String {
    let input = "{\"n\":123456789012345678901234567890,\n\"m\":49.00,\"e\":1e400}";
    let scope = Scope::of_saga(uuid::Uuid::nil(), Json::parse(input).unwrap(), Vec::new());
    let arguments = json!({
        "n": "${ input.n }", "m": "${ input.m }", "e": "${ input.e }", "all": "${ input }", "id": "é\n",
    });
    said(&mcp.execute(&call(tool("numbers", arguments), json!({})), &Arc::new(scope)).await.0)
}

/// What was written of them.
fn as_written(text: &str) {
    let all = r#""all":{"n":123456789012345678901234567890, "m":49.00,"e":1e400}"#;
    for part in [r#""arguments":{"n":123456789012345678901234567890,"#, r#""m":49.00,"e":1e400,"#, all, r#""é\n""#] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test]
async fn arguments_keep_their_digits() {
    let child = RawChild::new();
    let mcp = with(child.transport());
    says(&called_with_numbers(&mcp).await, "succeeded ", "");
    as_written(&child.ledger().join("\n"));
    mcp.shutdown().await;
    // Both eras of HTTP.
    for modern in [false, true] {
        let wire = Wire::serve(move |request| {
            // A server that is not ours reads such a number as it likes.
            let request = &request.replace("1e400", "1");
            match method(request).as_str() {
                "initialize" if modern => reply(request, "", json!({"error": {"code": -32601, "message": "no"}})),
                "initialize" => shake_hands(request, ""),
                "server/discover" => {
                    let hello = json!({"result": {
                        "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
                        "capabilities": {"tools": {}}, "cacheScope": "private",
                    }});
                    reply(request, "", hello)
                }
                "tools/call" => reply(request, "", json!({"result": {"resultType": "complete", "content": []}})),
                _ => answer("202 Accepted", "", ""),
            }
        })
        .await;
        let mcp = at(&wire.url);
        assert_eq!(called_with_numbers(&mcp).await, "succeeded null");
        let requests = wire.requests.lock().unwrap().clone();
        as_written(requests.iter().find(|request| request.contains("1e400")).unwrap());
        mcp.shutdown().await;
    }
}

/// A connection that a call in an open session does not get: nothing was sent, and it is not sent later.
#[tokio::test]
async fn a_call_whose_connection_does_not_open_was_not_sent() {
    let wire = Wire::narrow(|request| match method(request).as_str() {
        "initialize" => shake_hands(request, ""),
        "tools/call" => reply(request, "", json!({"result": {"content": []}})),
        _ => answer("202 Accepted", "", ""),
    })
    .await;
    let mcp = at(&wire.url);
    let charge = call(tool("charge", json!({})), json!({"timeout_ms": 60_000}));
    assert_eq!(executed(&mcp, &charge).await, "succeeded null");
    let deaf: Backlog = wire.deafen().await;
    let late = call(tool("charge", json!({})), json!({"timeout_ms": 400}));
    says(
        &executed(&mcp, &late).await,
        "retryable refused: no connection within the time of an attempt; nothing was sent",
        "",
    );
    drop(deaf);
    mcp.shutdown().await;
}
