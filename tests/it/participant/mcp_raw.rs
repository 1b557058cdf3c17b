//! What MCP servers may answer, as it is: nothing of it is lost, whichever way it comes, and errors prove no more than
//! they say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amends::participant::Participants;
use serde_json::{Value, json};

use super::mcp_http::{at, message, method, reply, shake_hands};
use super::raw_child::RawChild;
use super::wire::{Act, Wire, answer};
use super::{call, executed, probed, says, tool, with};

/// A result, what a step's output asks of it, and what that is.
const ANSWERS: &[(&str, &str, &str)] = &[
    (
        r#"{"content":[{"type":"hologram","beam":1.10},{"type":"text","text":"seen"}]}"#,
        "${ content[1].text }",
        r#""seen""#,
    ),
    (r#"{"content":[{"type":"hologram","beam":1.10}]}"#, "${ content }", r#"[{"type":"hologram","beam":1.10}]"#),
    (
        r#"{"content":[{"type":"text","text":"{\"id\":1}"},{"type":"text","text":"{\"id\":2}"}]}"#,
        "${ content[0].text }",
        r#""{\"id\":1}""#,
    ),
    (r#"{"content":[{"type":"text","text":"{\"n\":49.00}"}]}"#, "${ result.n }", "49.00"),
    (
        r#"{"content":[],"structuredContent":{"n":123456789012345678901234567890}}"#,
        "${ result.n }",
        "123456789012345678901234567890",
    ),
    (
        r#"{"content":[{"type":"text","text":"a","annotations":{"audience":"everybody"}}],"_meta":{"cost":[0.10]}}"#,
        "${ meta.cost }",
        "[0.10]",
    ),
    (r#"{"content":null}"#, "${ result }", "null"),
    (r#"{"content":null,"structuredContent":{"id":7}}"#, "${ result.id }", "7"),
    (r#"{"structuredContent":[1]}"#, "${ size(content == null ? [] : content) }", "0"),
    (r#"{"content":[{"type":"image","data":"AA==","mimeType":null}]}"#, "${ content[0].data }", r#""AA==""#),
    (r#"{"content":[{"type":"resource_link"}],"isError":false}"#, "${ size(content) }", "1"),
];

/// Calls a tool that answers with a text.
async fn answered(mcp: &Participants, said: &str, rules: Value) -> String {
    executed(mcp, &call(tool("answers", json!({ "answer": said })), rules)).await
}

#[tokio::test]
async fn an_answer_over_pipes_is_seen_as_it_came() {
    let child = RawChild::new();
    let mcp = with(child.transport());
    for (result, output, expected) in ANSWERS {
        let line = answered(&mcp, &format!("\"result\":{result}"), json!({ "output": output })).await;
        assert_eq!(line, format!("succeeded {expected}"), "{result}");
    }
    for (error, start) in ERRORS {
        let line = answered(&mcp, &format!("\"error\":{error}"), json!({ "output": "${ 1 }" })).await;
        says(&line, start, "");
    }
    let probe = json!({
        "target": tool("answers", json!({ "answer": r#""result":{"isError":true,"content":[{"text":"none"}]}"# })),
        "applied": "false", "absent": "content[0].text == 'none'",
    });
    assert_eq!(probed(&mcp, probe).await, "absent");
    mcp.shutdown().await;
}

#[tokio::test]
async fn an_answer_over_http_is_seen_as_it_came() {
    for streamed in [false, true] {
        let wire = Wire::serve(move |request| match method(request).as_str() {
            "initialize" => shake_hands(request, ""),
            "tools/call" => {
                let message = message(request);
                let said = message["params"]["arguments"]["answer"].as_str().unwrap();
                carried(streamed, &format!("{{\"jsonrpc\":\"2.0\",\"id\":{},{said}}}", message["id"]))
            }
            _ => answer("202 Accepted", "", ""),
        })
        .await;
        let mcp = at(&wire.url);
        for (result, output, expected) in ANSWERS {
            let line = answered(&mcp, &format!("\"result\":{result}"), json!({ "output": output })).await;
            assert_eq!(line, format!("succeeded {expected}"), "{result}");
        }
        for (error, start) in ERRORS {
            says(&answered(&mcp, &format!("\"error\":{error}"), json!({})).await, start, "");
        }
        mcp.shutdown().await;
    }
}

/// Answers with a message, as JSON or as the last of some events.
fn carried(streamed: bool, message: &str) -> Act {
    if !streamed {
        // With the mark of a byte order, which some frameworks write.
        return answer("200 OK", "content-type: application/json; charset=utf-8\r\n", &format!("\u{feff}{message}"));
    }
    let events = format!(
        ": hello\r\n\r\nevent: message\r\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/odd\"}}\r\n\r\n\
         event: message\r\ndata: {message}\r\n\r\n"
    );
    answer("200 OK", "Content-Type: Text/Event-Stream;charset=UTF-8\r\n", &events)
}

/// An error, and how the outcome's line begins.
const ERRORS: &[(&str, &str)] = &[
    (r#"{"code":-32700,"message":"?"}"#, "failed protocol_refusal: JSON-RPC error -32700: ?"),
    (r#"{"code":-32600,"message":"?"}"#, "errored protocol_error: "),
    (r#"{"code":-32601,"message":"?"}"#, "failed protocol_refusal: "),
    (r#"{"code":-32602,"message":"Output validation error"}"#, "errored protocol_error: JSON-RPC error -32602: Output"),
    (r#"{"code":-32603,"message":"Traceback"}"#, "errored protocol_error: "),
    (r#"{"code":-32000,"message":"no such customer"}"#, "errored protocol_error: "),
    (r#"{"code":-32000,"message":"Connection closed"}"#, "unknown protocol_error: "),
    (r#"{"code":-32001,"message":"Request timed out"}"#, "unknown protocol_error: "),
    (r#"{"code":"E_ODD","message":["?"]}"#, "errored protocol_error: "),
    (r#""refused""#, "errored protocol_error: "),
];

/// What lists of tools a server gives, and what its "unknown tool" is worth.
#[tokio::test]
async fn only_the_list_of_its_tools_proves_that_a_server_has_none_of_that_name() {
    let error = json!({ "error": { "code": -32602, "message": "Unknown tool: charge" } });
    let content = json!([{ "type": "text", "text": "Tool charge not found" }]);
    let as_result = json!({ "result": { "isError": true, "content": content } });
    let named = |name: &str| json!({ "name": name, "inputSchema": "odd" });
    let cases: [(Value, Value, &str, usize); 5] = [
        // All pages lack it.
        (json!([named("a")]), json!([named("b")]), "failed protocol_refusal: ", 4),
        // The second page has it: then something went wrong within, and that may be after the effect.
        (json!([named("a")]), json!([named("charge")]), "errored ", 2),
        (json!([named("charge")]), json!([]), "errored ", 2),
        // A list that cannot be read to its end proves nothing.
        (json!([named("a")]), json!("odd"), "errored ", 4),
        (json!([{}]), json!([]), "errored ", 2),
    ];
    for (first, second, start, lists) in cases {
        let wire = {
            let (first, second, error, as_result) = (first.clone(), second, error.clone(), as_result.clone());
            Wire::serve(move |request| match method(request).as_str() {
                "initialize" => shake_hands(request, ""),
                "tools/list" if message(request)["params"]["cursor"] == "2" => {
                    reply(request, "", json!({ "result": { "tools": second } }))
                }
                "tools/list" => reply(request, "", json!({ "result": { "tools": first, "nextCursor": "2" } })),
                "tools/call" if message(request)["params"]["arguments"]["as"] == "error" => {
                    reply(request, "", error.clone())
                }
                "tools/call" => reply(request, "", as_result.clone()),
                _ => answer("202 Accepted", "", ""),
            })
            .await
        };
        let mcp = at(&wire.url);
        for (way, part) in [("error", "Unknown tool: charge"), ("result", "Tool charge not found")] {
            says(&executed(&mcp, &call(tool("charge", json!({ "as": way })), json!({}))).await, start, part);
        }
        let requests = wire.requests.lock().unwrap();
        let asked = requests.iter().filter(|request| method(request) == "tools/list").count();
        assert_eq!(asked, lists, "{first}");
    }
}

/// What keeps a tool from answering is not the tool's error.
#[tokio::test]
async fn what_stands_between_a_tool_and_its_answer_leaves_its_effect_unknown() {
    const CUT: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"jso";
    const ANOTHERS: &str = r#"{"jsonrpc":"2.0","id":99,"result":{}}"#;
    let events = "content-type: text/event-stream\r\n";
    let acts: [(Act, &str); 6] = [
        (answer("200 OK", events, "id: 1\ndata:\n\n"), "unknown closed: "),
        (answer("200 OK", events, ": hello\n\n"), "unknown closed: "),
        (answer("200 OK", "content-type: application/json\r\n", ANOTHERS), "unknown answer_invalid: "),
        (answer("200 OK", "", ""), "unknown answer_invalid: "),
        (Act::Answer(String::new()), "unknown closed: "),
        (Act::Answer(CUT.into()), "unknown answer_incomplete: "),
    ];
    for (act, start) in acts {
        let Act::Answer(bytes) = act else { unreachable!() };
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let wire = Wire::serve(move |request| match method(request).as_str() {
            "initialize" => shake_hands(request, ""),
            "tools/call" => {
                counted.fetch_add(1, Ordering::SeqCst);
                Act::Answer(bytes.clone())
            }
            "" => answer("405 Method Not Allowed", "", ""),
            _ => answer("202 Accepted", "", ""),
        })
        .await;
        let mcp = at(&wire.url);
        says(&executed(&mcp, &call(tool("charge", json!({})), json!({"timeout_ms": 2_000}))).await, start, "");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{start}");
        mcp.shutdown().await;
    }
}

/// A stream that breaks off may be resumed, where the protocol has that: the answer on the second stream is the call's.
#[tokio::test]
async fn an_answer_on_a_stream_that_was_resumed_is_seen_as_it_came() {
    let id = Arc::new(AtomicUsize::new(0));
    let wire = Wire::serve(move |request| match method(request).as_str() {
        "initialize" => shake_hands(request, ""),
        "tools/call" => {
            let number = message(request)["id"].as_u64().unwrap();
            id.store(usize::try_from(number).unwrap(), Ordering::SeqCst);
            answer("200 OK", "content-type: text/event-stream\r\n", "id: e-1\nretry: 10\ndata:\n\n")
        }
        "" if request.to_ascii_lowercase().contains("last-event-id: e-1") => {
            let id = id.load(Ordering::SeqCst);
            let result = r#"{"content":[{"type":"hologram"}],"structuredContent":1.10}"#;
            let data = format!("id: e-2\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n\n");
            answer("200 OK", "content-type: text/event-stream\r\n", &data)
        }
        "" => answer("405 Method Not Allowed", "", ""),
        _ => answer("202 Accepted", "", ""),
    })
    .await;
    let mcp = at(&wire.url);
    let charge = call(tool("charge", json!({})), json!({"output": "${ [result, content[0].type] }"}));
    assert_eq!(executed(&mcp, &charge).await, r#"succeeded [1.1,"hologram"]"#);
    let whole = call(tool("charge", json!({})), json!({}));
    assert_eq!(executed(&mcp, &whole).await, "succeeded 1.10");
    mcp.shutdown().await;
}
