//! Messages before rmcp reads them. Owns one thing that its types drop: `params.idempotencyKey` of a call
//! (the shape of SEP-3182), which is moved into `_meta`, where it is kept.

use std::borrow::Cow;

use serde_json::Value;

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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
