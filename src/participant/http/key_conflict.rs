//! Distinguishes refusals that are about our own idempotency key from other conflicts. Such a refusal means that
//! another request with the key is in flight, or came before. The rules of a definition come before this default.
//!
//! For a request in flight, the IETF draft on the header and Stripe both use 409. For an earlier request, the draft
//! uses 422 and Stripe 400. A member for a code, a type or a title shows such a refusal. A message or a detail may
//! quote our own input, so it proves nothing.

use serde_json::Value;

use crate::saga::Json;

/// Returns why a 400, 409 or 422 may be about our key, and so about another attempt of ours; none if it is a refusal.
pub(super) fn found(status: u16, asks_for_patience: bool, body: Option<&Json>) -> Option<&'static str> {
    let body = body.map(Json::to_value);
    let said = body.as_ref().map(naming).unwrap_or_default();
    if said.iter().any(|text| speaks_of_key(text)) {
        return Some("it speaks of the call's own key");
    }
    match status {
        409 if asks_for_patience => Some("the conflict is expected to pass"),
        409 if !said.iter().any(|text| names_a_conflict(text)) => {
            Some("the conflict may be with an earlier attempt of the same call: nothing names it")
        }
        _ => None,
    }
}

/// Whether the JSON names an error that is about our own key.
pub(in crate::participant) fn speaks_of_own_key(body: &Json) -> bool {
    naming(&body.to_value()).iter().any(|text| speaks_of_key(text))
}

/// Members that hold a service's error: `error` (OAuth, Stripe), `detail` (FastAPI), `problem` (problem details in an
/// envelope) and `fault` (Apigee).
const ENVELOPES: [&str; 4] = ["error", "detail", "problem", "fault"];

/// Returns the texts that name an error: at the top, in an envelope, and in each item of `errors`.
fn naming(body: &Value) -> Vec<&str> {
    let mut said = Vec::new();
    for place in std::iter::once(body).chain(ENVELOPES.iter().filter_map(|name| body.get(name))) {
        said.extend(named_in(place));
        said.extend(place.get("errors").and_then(Value::as_array).into_iter().flatten().flat_map(named_in));
    }
    // `{"error": "key_in_use"}`, as in OAuth: a single word is a code.
    let word = body.get("error").and_then(Value::as_str);
    said.extend(word.filter(|text| !text.contains(char::is_whitespace)));
    said
}

/// Returns the texts of an object's own members that name an error.
fn named_in(place: &Value) -> Vec<&str> {
    let members = place.as_object().into_iter().flatten();
    members.filter(|(name, _)| is_naming(name)).filter_map(|(_, value)| value.as_str()).collect()
}

/// Whether a member names an error: `code`, `type`, `title`, `errorCode`, `error_type`, `__type` and the like.
fn is_naming(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let bare = name.strip_prefix("error").unwrap_or(&name);
    matches!(bare, "code" | "type" | "title")
}

/// Splits a name into its words: `idempotency_key_in_use`, `IdempotencyKeyInUse`, or the path of a URL.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && before.is_ascii_lowercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the name of an error is about an idempotency key, or about an earlier request.
fn speaks_of_key(text: &str) -> bool {
    const USED: [&str; 14] = [
        "same",
        "different",
        "mismatch",
        "reuse",
        "reused",
        "already",
        "use",
        "used",
        "progress",
        "conflict",
        "duplicate",
        "outstanding",
        "flight",
        "concurrent",
    ];
    let words = words(text);
    let has = |any: &[&str]| words.iter().any(|word| any.contains(&word.as_str()));
    if words.iter().any(|word| word.starts_with("idempoten")) {
        // A participant that misses the key has not looked it up.
        return has(&USED) || !has(&["missing", "required", "absent"]);
    }
    let again = ["duplicate", "duplicated", "reused", "mismatch", "progress", "flight", "outstanding"];
    has(&["key", "keys", "request", "requests"]) && has(&again)
}

/// Whether the name of an error says which conflict it is.
fn names_a_conflict(text: &str) -> bool {
    const HOLLOW: [&str; 11] =
        ["http", "https", "status", "code", "error", "errors", "conflict", "about", "blank", "exception", "e"];
    let lower = text.to_ascii_lowercase();
    // Pages of the standard. Frameworks name them if the application says nothing.
    if lower.contains("rfc-editor.org") || lower.contains("ietf.org") || lower.contains("httpwg") {
        return false;
    }
    // Only the last part of a URL counts: `https://httpstatuses.io/409` says no more than the status.
    let page = if text.contains("://") { text.rsplit(['/', '#']).next().unwrap_or(text) } else { text };
    let words = words(page);
    words.iter().any(|word| !HOLLOW.contains(&word.as_str()) && !word.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: bool) {
        let json = Json::parse(body).ok();
        assert_eq!(found(status, false, json.as_ref()).is_some(), expected, "{status} {body}");
    }

    #[test]
    fn a_name_that_speaks_of_our_key_is_a_conflict_over_it() {
        for body in [
            r#"{"code":"idempotency_key_in_use"}"#,
            r#"{"error":{"type":"idempotency_error","message":"Keys for idempotent requests ..."}}"#,
            r#"{"error":{"code":"IdempotencyKeyInUse"}}"#,
            r#"{"errors":[{"code":"DUPLICATE_REQUEST","detail":"x"}]}"#,
            r#"{"error":{"errors":[{"errorCode":"requestInProgress"}]}}"#,
            r#"{"type":"https://example.com/idempotency","title":"Idempotency-Key is already used"}"#,
            r#"{"title":"A request is outstanding for this Idempotency-Key"}"#,
            r#"{"__type":"IdempotentParameterMismatch"}"#,
            r#"{"error":"idempotency_key_in_use"}"#,
            r#"{"error_code":"duplicate_key"}"#,
            r#"{"detail":{"code":"idempotency_key_in_use"}}"#,
            r#"{"problem":{"title":"Idempotency-Key is already used"}}"#,
            r#"{"fault":{"type":"IdempotencyKeyInUse"}}"#,
            r#"{"errors":[{"code":"invalid"},{"code":"idempotency_key_in_use"}]}"#,
            r#"{"detail":{"errors":[{"code":"x"},{"type":"request_in_progress"}]}}"#,
        ] {
            for status in [400, 409, 422] {
                check(status, body, true);
            }
        }
    }

    #[test]
    fn what_is_quoted_is_no_name() {
        let fastapi = r#"{"detail":[{"type":"greater_than","msg":"Input should be greater than 0",
            "input":{"idempotency_key":"k","note":"the same room as last year"}}]}"#;
        for body in [
            fastapi,
            r#"{"code":"invalid","message":"the Idempotency-Key is already in use"}"#,
            r#"{"code":"invalid","input":{"code":"idempotency_key_in_use"}}"#,
            r#"{"error":"the idempotency key was used already"}"#,
            r#"{"errors":[{"code":"invalid","input":{"code":"idempotency_key_in_use"}}]}"#,
            r#"{"detail":{"code":"invalid","input":{"code":"idempotency_key_in_use"}}}"#,
            r#"{"detail":"idempotency_key_in_use"}"#,
            r#"{"title":"Idempotency-Key is missing"}"#,
            r#"{"code":"monkey_taken"}"#,
            r#"["idempotency_key_in_use"]"#,
            "",
        ] {
            for status in [400, 422] {
                check(status, body, false);
            }
        }
    }

    #[test]
    fn a_409_is_a_refusal_only_where_it_has_a_name() {
        for body in [
            "",
            "{}",
            r#"{"message":"a request with this key is in progress"}"#,
            r#"{"type":"about:blank","title":"Conflict","status":409}"#,
            r#"{"type":"https://tools.ietf.org/html/rfc9110#section-15.5.10","title":"Conflict"}"#,
            r#"{"timestamp":1,"status":409,"error":"Conflict","message":"","path":"/x"}"#,
            r#"{"type":"https://httpstatuses.io/409","title":"Conflict"}"#,
            r#"{"code":409,"type":null,"title":""}"#,
            r#"{"error":{"code":409,"message":"booking closed"}}"#,
            r#"{"error":"the booking is closed"}"#,
        ] {
            check(409, body, true);
        }
        for body in [
            r#"{"code":"booking_closed"}"#,
            r#"{"error":{"type":"invalid_state"}}"#,
            r#"{"type":"https://example.com/problems/closed","title":"Conflict"}"#,
            r#"{"error":"booking_closed"}"#,
            r#"{"detail":{"code":"booking_closed"}}"#,
        ] {
            check(409, body, false);
            assert!(found(409, true, Json::parse(body).ok().as_ref()).is_some(), "{body}");
        }
        assert!(found(422, true, None).is_none());
    }
}
