//! Bytes by chance at a node's own doors, made of good ones: `AMENDS_FUZZ_CASES` and `AMENDS_FUZZ_SEED` as in
//! `crate::fuzz`. Owns the messages and what is done to them; how they arrive is in `web.rs` and `pipe.rs`.

mod pipe;
mod web;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::home::Home;
use crate::fuzz::damaged;

/// A position in a trace.
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A place where nobody is told to wait, and calls answer soon.
async fn home(name: &str) -> Home {
    Home::with(name, "mcp: { wait: 100ms, requests_per_minute: 1000000 }\n").await
}

/// What no field expects.
fn odd(chance: &mut StdRng) -> Value {
    match chance.random_range(0..14) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(0),
        4 => json!(u64::MAX),
        5 => json!(1e308),
        6 => json!(""),
        7 => json!("\u{0}\r\n\u{202e}"),
        8 => json!("x".repeat(chance.random_range(0..70_000))),
        9 => json!([]),
        10 => json!({}),
        11 => (0..chance.random_range(1..120)).fold(json!(1), |inner, _| json!([inner])),
        12 => json!({ "name": "hotel_checkout", "arguments": { "guest": "odd" } }),
        _ => json!("00000000-0000-0000-0000-000000000000"),
    }
}

/// Puts something odd in the place of some part of a message, takes the part away, or adds one. Mostly deep
/// inside: what holds the message together is read first, and nothing else if it is wrong.
fn warp(message: &mut Value, chance: &mut StdRng) {
    let stays_here = chance.random_range(0..8) == 0;
    match message {
        Value::Object(fields) if !stays_here && !fields.is_empty() => {
            let is_deeper = |name: &&String| fields[*name].is_object() || fields[*name].is_array();
            let deeper: Vec<String> = fields.keys().filter(is_deeper).cloned().collect();
            let all: Vec<String> = fields.keys().cloned().collect();
            let names = if deeper.is_empty() || chance.random_range(0..6) == 0 { all } else { deeper };
            let name = &names[chance.random_range(0..names.len())];
            match chance.random_range(0..10) {
                0 => drop(fields.remove(name)),
                1 => drop(fields.insert(format!("{name}_"), odd(chance))),
                _ => warp(&mut fields[name], chance),
            }
        }
        Value::Array(items) if !stays_here && !items.is_empty() => {
            let at = chance.random_range(0..items.len());
            warp(&mut items[at], chance);
        }
        other => *other = odd(chance),
    }
}

/// A message as it arrives: as it was, warped, damaged, or deeper than anybody reads.
fn worn(message: &Value, chance: &mut StdRng) -> Vec<u8> {
    let mut message = message.clone();
    match chance.random_range(0..24) {
        0 => {
            let depth = chance.random_range(1..200_000);
            let deep = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            return message.to_string().replace("\"arguments\":{", &format!("\"arguments\":{{\"deep\":{deep},")).into();
        }
        1..5 => {}
        5..20 => (0..chance.random_range(1..4)).for_each(|_| warp(&mut message, chance)),
        _ => return damaged(&[message.to_string().into_bytes()], chance),
    }
    message.to_string().into_bytes()
}

/// Messages that mean something to a node, about one of its sagas.
fn messages(is_modern: bool, saga: &str) -> Vec<Value> {
    let call = |tool: &str, arguments: Value| ("tools/call", json!({ "name": tool, "arguments": arguments }));
    let checkout = json!({ "guest": "ada", "nights": 2, "idempotency_key": "k" });
    let mut keyed = call("hotel_checkout", json!({ "guest": "eve" }));
    keyed.1["idempotencyKey"] = "beside".into();
    keyed.1["_meta"] = json!({ "progressToken": 7, "traceparent": TRACEPARENT });
    let client = json!({ "name": "chance", "version": "1" });
    let requests = [
        ("tools/list", json!({})),
        call("hotel_checkout", checkout),
        call("vigil", json!({ "guest": "bob" })),
        keyed,
        call("saga_status", json!({ "saga_id": saga, "wait_seconds": 1 })),
        call("saga_list", json!({ "tool": "bell", "status": "in_progress", "limit": 5, "before": saga })),
        call("saga_cancel", json!({ "saga_id": saga, "reason": "enough" })),
        ("tasks/get", json!({ "taskId": saga })),
        ("tasks/cancel", json!({ "taskId": saga })),
        ("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } })),
        ("initialize", json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client })),
        ("ping", json!({})),
        ("prompts/get", json!({ "name": "none" })),
        ("notifications/cancelled", json!({ "requestId": 1, "reason": "late" })),
    ];
    let message = |(id, (method, mut params)): (usize, (&str, Value))| {
        if is_modern {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2026-07-28".into();
            params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({ "name": "chance", "version": "1" });
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({ "elicitation": {} });
        }
        match method.starts_with("notifications/") {
            true => json!({ "jsonrpc": "2.0", "method": method, "params": params }),
            false => json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }),
        }
    };
    let mut all: Vec<Value> = requests.into_iter().enumerate().map(message).collect();
    let agreed = json!({ "action": "accept", "content": { "decision": "approve" } });
    all.push(json!({ "jsonrpc": "2.0", "id": 3, "result": agreed }));
    all.push(json!({ "jsonrpc": "2.0", "id": 3, "error": { "code": -1, "message": "no" } }));
    all
}
