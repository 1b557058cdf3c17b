//! Reads answers as law 1 did, before `errored` was an outcome. A saga that began under law 1 keeps this reading to
//! its end, in its outcomes and in the words that its rules see. Where the current reading is safer, that one
//! applies.
//!
//! Under every law, `read_only` calls and probes read errors in this way: they have no effect that could be in doubt.

use super::default_rules::DefaultRule;
use super::reply::Reply;
use crate::saga::definition::Verdict;

/// Gives a reply the verdict and the error code that law 1 gave it.
pub(super) fn read(reply: &mut Reply) {
    match (reply.rule, reply.status) {
        (DefaultRule::ToolError | DefaultRule::ProtocolInternal | DefaultRule::ProtocolError, _) => {
            reply.verdict = of_error(reply);
        }
        (DefaultRule::HttpBusy, Some(status @ (403 | 413))) => {
            coded(reply, Verdict::Failed, &format!("http_{status}"));
        }
        (DefaultRule::Http4xx, Some(status @ (400 | 409 | 422))) if speaks_of_key(status, reply) => {
            coded(reply, Verdict::Unknown, DefaultRule::KeyConflict.word());
        }
        _ => {}
    }
}

/// Returns what an error of a tool meant under law 1: a failure, unless the error may stand for a lost answer. An
/// intermediary, too, reports a lost answer as "internal error".
pub(super) fn of_error(reply: &Reply) -> Verdict {
    let lost = || reply.status.is_some_and(|status| !matches!(status, 200..=299 | 400..=499));
    match reply.rule {
        DefaultRule::ProtocolInternal => Verdict::Unknown,
        DefaultRule::ProtocolError if lost() => Verdict::Unknown,
        _ => Verdict::Failed,
    }
}

fn coded(reply: &mut Reply, verdict: Verdict, code: &str) {
    reply.verdict = verdict;
    if let Some(error) = &mut reply.error {
        code.clone_into(&mut error.code);
    }
}

/// Whether law 1 takes a refusal for one about our own key: its text speaks of the key anywhere, or a 409 asks for a
/// pause. For a 400 or 422 the text must also say how the key was used.
fn speaks_of_key(status: u16, reply: &Reply) -> bool {
    const USED: [&str; 8] = ["same", "different", "mismatch", "reuse", "already", "in use", "in progress", "conflict"];
    let text = reply.text().to_ascii_lowercase();
    let about_key = text.contains("idempot");
    match status {
        409 => about_key || reply.retry_after_ms.is_some(),
        _ => about_key && USED.iter().any(|word| text.contains(word)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::participant::{definition_rules, http, scope::Scope};
    use crate::saga::definition::{Call, Errors};
    use crate::saga::outcome::{Answer, Outcome};
    use crate::saga::{Json, Law};

    fn rpc(code: i64, status: Option<u16>) -> Reply {
        let result = Json::from(json!({ "code": code, "message": "no" }));
        let rule = if code == -32603 { DefaultRule::ProtocolInternal } else { DefaultRule::ProtocolError };
        Reply { result, status, ..Reply::coded(rule, "protocol_error", "no") }
    }

    fn tool() -> Reply {
        Reply::new(DefaultRule::ToolError, "no")
    }

    fn status(status: u16, pause_s: Option<u64>, text: &str) -> Reply {
        let reply = http::judged(status, true, pause_s.map(Duration::from_secs), text.into());
        Reply { status: Some(status), ..reply }
    }

    fn scope(law: Law) -> Scope {
        Scope { law, ..Scope::of_saga(Uuid::nil(), Json::null(), Vec::new()) }
    }

    /// Returns the outcome in one word, and what a rule sees in `outcome` and `error.code`.
    fn read(law: Law, effect: &str, reply: Reply) -> [String; 3] {
        let seen = json!({ "when": "true", "outcome": "failed", "error": "outcome + ' ' + error.code" });
        let call = |rules: Value| -> Call {
            let call = json!({ "target": { "handler": { "name": "h" } }, "effect": effect, "classify": rules });
            serde_json::from_value(call).unwrap()
        };
        let outcome = |rules, reply| definition_rules::outcome(&call(rules), &scope(law), None, reply).0;
        let word = match outcome(json!([]), reply.clone()) {
            Outcome::Succeeded { .. } => "succeeded",
            Outcome::Failed { retryable: false, .. } => "failed",
            Outcome::Failed { retryable: true, .. } => "retryable",
            Outcome::Pending { .. } => "pending",
            Outcome::Errored { .. } => "errored",
            Outcome::Unknown { .. } => "unknown",
        };
        let Outcome::Failed { error, .. } = outcome(json!([seen]), reply) else { panic!("the rule holds") };
        let (outcome, code) = error.message.split_once(' ').unwrap();
        [word.into(), outcome.into(), code.into()]
    }

    /// Returns answers, each with the outcome and the error code that the last version under law 1 gave it.
    fn before() -> Vec<(Reply, &'static str, &'static str)> {
        vec![
            (tool(), "failed", "tool_error"),
            (rpc(-32602, None), "failed", "protocol_error"),
            (rpc(-32000, None), "failed", "protocol_error"),
            (rpc(-32001, Some(200)), "failed", "protocol_error"),
            (rpc(-32002, Some(400)), "failed", "protocol_error"),
            (rpc(7, None), "failed", "protocol_error"),
            (rpc(-32603, None), "unknown", "protocol_error"),
            (rpc(-32603, Some(200)), "unknown", "protocol_error"),
            (rpc(-32000, Some(500)), "unknown", "protocol_error"),
            (status(400, None, ""), "failed", "http_400"),
            (status(404, None, ""), "failed", "http_404"),
            (status(408, None, ""), "unknown", "http_408"),
            (status(403, Some(3), ""), "failed", "http_403"),
            (status(413, Some(3), ""), "failed", "http_413"),
            (status(409, Some(1), ""), "unknown", "key_conflict"),
            (status(409, None, r#"{"code":"idempotency_key_in_use"}"#), "unknown", "key_conflict"),
            (status(422, None, "Idempotency-Key is already used"), "unknown", "key_conflict"),
            (status(422, None, r#"{"a":"idempotency","b":"the same room"}"#), "unknown", "key_conflict"),
            (status(400, None, "Idempotency-Key is missing"), "failed", "http_400"),
            (status(425, None, ""), "retryable", "busy"),
            (status(429, Some(2), ""), "retryable", "busy"),
            (status(500, None, ""), "unknown", "http_500"),
            (status(503, None, ""), "unknown", "http_503"),
            (status(302, None, ""), "unknown", "http_302"),
            (status(307, None, ""), "failed", "http_307"),
            (Reply::new(DefaultRule::Timeout, "late"), "unknown", "timeout"),
            (Reply::new(DefaultRule::Refused, "no"), "retryable", "refused"),
            (Reply::new(DefaultRule::ProtocolRefusal, "no"), "failed", "protocol_refusal"),
        ]
    }

    #[test]
    fn a_saga_of_the_first_law_is_read_as_it_was() {
        for effect in ["once", "idempotent", "read_only"] {
            for (reply, word, code) in before() {
                let found = read(Law::V1, effect, reply.clone());
                assert_eq!(found, [word, word, code], "{effect}: {reply:?}");
            }
        }
        // The current reading is safer for these, so it applies. Law 1 took them for refusals.
        for reply in [status(503, Some(2), ""), status(409, None, "the booking is closed")] {
            assert_eq!(read(Law::V1, "once", reply)[0], "unknown");
        }
    }

    #[test]
    fn a_call_that_only_reads_meets_errors_as_it_did() {
        for (reply, word, code) in before() {
            if reply.verdict == Verdict::Errored {
                assert_eq!(read(Law::V2, "read_only", reply.clone()), [word, word, code], "{reply:?}");
                assert_eq!(read(Law::V2, "once", reply)[0], "errored");
            }
        }
    }

    #[test]
    fn a_probe_meets_errors_as_it_did() {
        let probe = json!({
            "target": { "handler": { "name": "h" } }, "applied": "false", "absent": "error != null",
        });
        let probe = serde_json::from_value(probe).unwrap();
        for law in [Law::V1, Law::V2] {
            let absent = |reply| definition_rules::answer(&probe, &scope(law), &reply).0 == Answer::Absent;
            assert!(absent(tool()) && absent(rpc(-32602, None)) && !absent(rpc(-32603, None)), "{law:?}");
        }
    }

    #[test]
    fn settings_decide_what_is_still_an_error() {
        let call: Call =
            serde_json::from_value(json!({ "target": { "handler": { "name": "h" } }, "effect": "read_only" })).unwrap();
        let scope = Arc::new(scope(Law::V2));
        let by = |errors, reply| definition_rules::outcome(&call, &scope, errors, reply).1.unwrap().rule;
        // The setting changed nothing, so it is not named.
        assert_eq!(by(Some(Errors::Unknown), tool()), "tool_error");
        assert_eq!(by(Some(Errors::Definite), rpc(-32603, None)), "protocol_internal");
    }
}
