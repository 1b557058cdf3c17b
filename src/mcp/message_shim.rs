//! Prepares messages for rmcp, and answers messages that rmcp cannot read. The types of rmcp drop two things:
//! `params.idempotencyKey` of a call (the shape of SEP-3182), and the `traceparent` header of the request. Both are
//! moved into `_meta`, where rmcp keeps them.

use std::borrow::Cow;

use rmcp::model::ErrorCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::participant::KEY_META;
use crate::trace;

/// Returns the message with its idempotency key, and the trace position of its request, in `_meta`. Other messages
/// pass unchanged. A value that is already in `_meta` wins.
pub(super) fn keep<'a>(message: &'a [u8], traceparent: Option<&str>) -> Cow<'a, [u8]> {
    // Most messages hold neither word, and need not be parsed twice.
    let holds = |word: &[u8]| message.windows(word.len()).any(|window| window == word);
    let may_call = holds(b"\"idempotencyKey\"") || traceparent.is_some() && holds(b"\"tools/call\"");
    if !may_call {
        return Cow::Borrowed(message);
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(message) else { return Cow::Borrowed(message) };
    if put(&mut value, traceparent) { Cow::Owned(value.to_string().into_bytes()) } else { Cow::Borrowed(message) }
}

fn put(message: &mut Value, traceparent: Option<&str>) -> bool {
    if message.get("method").and_then(Value::as_str) != Some("tools/call") {
        return false;
    }
    let Some(params) = message.get_mut("params").and_then(Value::as_object_mut) else { return false };
    let found = [(KEY_META, params.remove("idempotencyKey")), (trace::NAME, traceparent.map(Value::from))];
    if found.iter().all(|(_, found)| found.is_none()) {
        return false;
    }
    let meta = params.entry("_meta").or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(meta) = meta.as_object_mut() {
        for (name, found) in found {
            if let Some(found) = found {
                meta.entry(name).or_insert(found);
            }
        }
    }
    true
}

/// Whether a message outside of a session may begin one. What is not clearly another message may be read as one that
/// does.
pub(super) fn may_begin_session(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        method: Option<Cow<'a, str>>,
    }
    serde_json::from_slice::<Head<'_>>(message).map_or(true, |head| head.method.is_some_and(|is| is == "initialize"))
}

/// Returns the answer to a message that rmcp cannot read.
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
        let kept = keep(text.as_bytes(), None);
        assert_eq!(&serde_json::from_slice::<Value>(&kept).unwrap(), expected);
    }

    #[test]
    fn a_message_that_begins_a_session_is_known_however_it_is_spelled() {
        for begins in [
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
            r#"{"method":"\u0069nitialize"}"#,
            r#"{"method":"ping","method":"initialize"}"#,
            r#"{"method":"ping","#,
        ] {
            assert!(may_begin_session(begins.as_bytes()), "{begins}");
        }
        for other in [r#"{"method":"tools/call","params":{"name":"initialize"}}"#, r#"{"id":1,"result":{}}"#] {
            assert!(!may_begin_session(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn moves_the_key_of_a_call_and_nothing_else() {
        let call = |params: Value| json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        check(
            &call(json!({ "name": "x", "idempotencyKey": "k", "arguments": { "idempotencyKey": "mine" } })),
            &call(json!({ "name": "x", "_meta": { KEY_META: "k" }, "arguments": { "idempotencyKey": "mine" } })),
        );
        check(
            &call(json!({ "name": "x", "idempotencyKey": "k", "_meta": { KEY_META: "meta", "other": 1 } })),
            &call(json!({ "name": "x", "_meta": { KEY_META: "meta", "other": 1 } })),
        );
        let other = json!({ "method": "prompts/get", "params": { "idempotencyKey": "k" } });
        check(&other, &other);
        let only_argument = call(json!({ "name": "x", "arguments": { "idempotencyKey": "mine" } }));
        check(&only_argument, &only_argument);
        assert_eq!(&*keep(b"{\"idempotencyKey\" no json", None), b"{\"idempotencyKey\" no json");
    }
}
