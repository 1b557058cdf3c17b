//! Messages before rmcp reads them, and those that it cannot read. Owns one thing that its types drop:
//! `params.idempotencyKey` of a call (the shape of SEP-3182), which is moved into `_meta`, where it is kept.

use std::borrow::Cow;

use rmcp::model::ErrorCode;
use serde_json::{Value, json};

use crate::participant::KEY_META;

/// Returns the message with its idempotency key where rmcp keeps it. Whatever is not such a call passes as it
/// is. A key in `_meta` goes before one beside it.
pub(super) fn keep_key(message: &[u8]) -> Cow<'_, [u8]> {
    // Most messages hold no such word, and need not be parsed twice.
    const WORD: &[u8] = b"\"idempotencyKey\"";
    if !message.windows(WORD.len()).any(|window| window == WORD) {
        return Cow::Borrowed(message);
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(message) else { return Cow::Borrowed(message) };
    if keep(&mut value) { Cow::Owned(value.to_string().into_bytes()) } else { Cow::Borrowed(message) }
}

fn keep(message: &mut Value) -> bool {
    if message.get("method").and_then(Value::as_str) != Some("tools/call") {
        return false;
    }
    let Some(params) = message.get_mut("params").and_then(Value::as_object_mut) else { return false };
    let Some(key) = params.remove("idempotencyKey") else { return false };
    let meta = params.entry("_meta").or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(meta) = meta.as_object_mut() {
        meta.entry(KEY_META).or_insert(key);
    }
    true
}

/// The answer to a message that rmcp cannot read.
pub(super) fn unreadable(message: &[u8]) -> Value {
    let (code, why, id) = match serde_json::from_slice::<Value>(message) {
        Err(error) => (ErrorCode::PARSE_ERROR, format!("expected JSON: {error}"), None),
        Ok(Value::Array(_)) => {
            let why = "expected one message, found a batch; send its messages one by one";
            (ErrorCode::INVALID_REQUEST, why.to_owned(), None)
        }
        Ok(value) => {
            let why = "expected a request, a notification or a response of JSON-RPC 2.0";
            let id = value.get("id").filter(|id| id.is_string() || id.is_i64() || id.is_u64());
            (ErrorCode::INVALID_REQUEST, why.to_owned(), id.cloned())
        }
    };
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": why } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &Value, expected: &Value) {
        let text = message.to_string();
        let kept = keep_key(text.as_bytes());
        assert_eq!(&serde_json::from_slice::<Value>(&kept).unwrap(), expected);
    }

    #[test]
    fn moves_the_key_of_a_call_and_nothing_else() {
        let call =
            |params: Value| json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        check(
            &call(json!({ "name": "x", "idempotencyKey": "k", "arguments": { "idempotencyKey": "mine" } })),
            &call(
                json!({ "name": "x", "_meta": { KEY_META: "k" }, "arguments": { "idempotencyKey": "mine" } }),
            ),
        );
        check(
            &call(json!({ "name": "x", "idempotencyKey": "k", "_meta": { KEY_META: "meta", "other": 1 } })),
            &call(json!({ "name": "x", "_meta": { KEY_META: "meta", "other": 1 } })),
        );
        let other = json!({ "method": "prompts/get", "params": { "idempotencyKey": "k" } });
        check(&other, &other);
        let only_argument = call(json!({ "name": "x", "arguments": { "idempotencyKey": "mine" } }));
        check(&only_argument, &only_argument);
        assert_eq!(&*keep_key(b"{\"idempotencyKey\" no json"), b"{\"idempotencyKey\" no json");
    }
}
