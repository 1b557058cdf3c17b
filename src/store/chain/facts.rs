//! What of a row's body an erasure keeps, so that it can be verified afterwards: the times, the step, the numbers, who
//! asked and what became of it. `sql/admin/erasure.sql` keeps the same fields and some more.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Fields of an event that are kept as they are.
const KEPT: [&str; 18] = [
    "law",
    "at",
    "waited_ms",
    "traceparent",
    "step",
    "direction",
    "attempt",
    "probe",
    "decided_by",
    "jitter",
    "convicted",
    "steps",
    "asked_at",
    "signal",
    "by",
    "claims",
    "by_starter",
    "verb",
];

/// Fields whose word is kept, with the numbers beside it.
const NAMED: [&str; 5] = ["decision", "showing", "outcome", "answer", "request"];

/// What is kept beside the word of an outcome or of an answer.
const BESIDE: [&str; 4] = ["retryable", "retry_after_ms", "answers_key", "renew_key"];

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Returns the facts of a body as a text. It is the same before and after an erasure. Empty for a body that is no
/// event.
pub(super) fn of_body(body: &str) -> String {
    let event: Fields<'_> = serde_json::from_str(body).unwrap_or_default();
    let mut facts = String::new();
    let Some((kind, event)) = event.into_iter().next() else { return facts };
    line(&mut facts, "kind", &kind);
    let event: Fields<'_> = serde_json::from_str(event.get()).unwrap_or_default();
    for name in KEPT {
        if let Some(value) = event.get(name) {
            line(&mut facts, name, &readable(value.get()));
        }
    }
    for name in NAMED {
        if let Some(value) = event.get(name) {
            named(&mut facts, name, value.get());
        }
    }
    facts
}

/// Writes the word of a value, which is a text, or an object with one field.
fn named(facts: &mut String, name: &str, value: &str) {
    let Ok(object) = serde_json::from_str::<Fields<'_>>(value) else { return line(facts, name, value) };
    let Some((word, value)) = object.into_iter().next() else { return };
    line(facts, name, &word);
    let fields: Fields<'_> = serde_json::from_str(value.get()).unwrap_or_default();
    let has_error = fields.contains_key("error");
    for beside in BESIDE {
        if let Some(value) = fields.get(beside).filter(|_| has_error || beside == "retry_after_ms") {
            line(facts, beside, value.get());
        }
    }
    if let Some(finding) = fields.get("finding") {
        named(facts, "finding", finding.get());
    }
}

fn line(facts: &mut String, name: &str, value: &str) {
    facts.extend([name, "=", value, "\n"]);
}

/// Replaces what Postgres cannot read in JSON, as an erasure does: a NUL, and halves of surrogates.
fn readable(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find("\\u") {
        let digits = rest.get(at + 2..at + 6).unwrap_or_default().as_bytes();
        let is_hex = digits.len() == 4 && digits.iter().all(u8::is_ascii_hexdigit);
        let is_half = is_hex && matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', _, _]);
        match is_half || digits == b"0000" {
            true => {
                text.extend([&rest[..at], "\\ufffd"]);
                rest = &rest[at + 6..];
            }
            false => {
                text.push_str(&rest[..at + 2]);
                rest = &rest[at + 2..];
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_what_happened_and_nothing_of_what_was_carried() {
        let body = "{\"attempt_ended\":{\"at\":7,\"step\":1,\"direction\":\"action\",\"attempt\":2,\
                     \"outcome\":{\"failed\":{\"error\":{\"code\":\"no\",\"message\":\"SECRET\"},\"retryable\":true}},\
                     \"jitter\":0.5}}";
        let expected = "kind=attempt_ended\nat=7\nstep=1\ndirection=\"action\"\nattempt=2\njitter=0.5\n\
                        outcome=failed\nretryable=true\n";
        assert_eq!(of_body(body), expected);
        let body = "{\"requested\":{\"signal\":1,\"by\":\"a\",\"request\":{\"resolve\":{\"finding\":\"absent\"}}}}";
        assert_eq!(of_body(body), "kind=requested\nsignal=1\nby=\"a\"\nrequest=resolve\nfinding=\"absent\"\n");
        assert_eq!(of_body("{\"requested\":{\"request\":\"touch\"}}"), "kind=requested\nrequest=\"touch\"\n");
        assert_eq!(of_body("{}") + &of_body("no event"), "");
    }

    #[test]
    fn what_postgres_cannot_read_is_replaced_as_it_does() {
        assert_eq!(readable(r"a\u0000\ud83d\uDE00\u00e4\u12"), r"a\ufffd\ufffd\ufffd\u00e4\u12");
        assert_eq!(readable(r"\\u0000"), r"\\ufffd");
    }
}
