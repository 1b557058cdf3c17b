//! The default rules of HTTP at the wire, each of them, for calls with an effect and without: what the guide's
//! table says is what a stranger's server gets.

use std::collections::{BTreeMap, BTreeSet};

use amends::participant::{Answers, DefaultRule, Handlers, Limits, ParticipantConfig, Participants, Secret, Transport};
use amends::saga::definition::{Call, Errors};
use amends::saga::outcome::Outcome;
use serde_json::{Value, json};

use super::wire::{Act, Backlog, Wire, answer, nobody};
use super::{call, executed, probed, said, says, scope};

const JSON: &str = "content-type: application/json\r\n";

fn to(method: &str) -> Value {
    json!({"http": {"participant": "it", "method": method, "path": "/x"}})
}

fn with_answers(url: &str, answers: Answers) -> Participants {
    let transport = Transport::Http { url: Secret::plain(url), headers: BTreeMap::new() };
    let limits = Limits { answer_bytes_max: 4_000, ..Limits::default() };
    let config = ParticipantConfig { name: "it".into(), transport, limits, answers };
    Participants::new(vec![config], Handlers::new(), &tokio::runtime::Handle::current()).unwrap()
}

/// Calls, and returns the outcome in one line with the rule that decided it; none for a plain success.
async fn decided(http: &Participants, call: &Call) -> (String, Option<String>) {
    let (outcome, by) = http.execute(call, &scope(json!({}))).await;
    (said(&outcome), by.map(|by| by.rule))
}

fn refusal(status: &'static str, headers: &'static str, body: &'static str) -> impl Fn() -> Act {
    move || answer(status, &format!("{JSON}{headers}"), body)
}

/// What a server does; the rule, and the outcome's word, for a call that may have an effect, and for one that only
/// reads.
type Row = (Box<dyn Fn() -> Act + Send + Sync>, DefaultRule, &'static str, DefaultRule, &'static str);

fn rows() -> Vec<Row> {
    use DefaultRule as Rule;
    let same = |act: Box<dyn Fn() -> Act + Send + Sync>, rule, word| (act, rule, word, rule, word);
    let of = |status, headers, body, rule, word| same(Box::new(refusal(status, headers, body)), rule, word);
    let keyed = |status, headers, body| -> Row {
        (Box::new(refusal(status, headers, body)), Rule::KeyConflict, "unknown", Rule::Http4xx, "failed")
    };
    let (ra, busy, failed, unknown, retryable) =
        ("Retry-After: 3\r\n", Rule::HttpBusy, "failed", "unknown", "retryable");
    vec![
        of("200 OK", "", "{}", Rule::Http2xx, "succeeded"),
        of("201 Created", "", "{}", Rule::Http2xx, "succeeded"),
        of("300 Choices", "", "", Rule::Http3xx, unknown),
        of("304 Not Modified", "", "", Rule::Http3xx, unknown),
        of("302 Found", "location: /y\r\n", "", Rule::Http3xx, unknown),
        of("307 Elsewhere", "location: /y\r\n", "", Rule::HttpRedirect, failed),
        of("308 Elsewhere", "location: /y\r\n", "", Rule::HttpRedirect, failed),
        of("400 Bad Request", "", "{}", Rule::Http4xx, failed),
        of("401 Unauthorized", "", "", Rule::Http4xx, failed),
        of("402 Payment Required", "", "{\"code\":\"declined\"}", Rule::Http4xx, failed),
        of("403 Forbidden", "", "", Rule::Http4xx, failed),
        of("403 Forbidden", ra, "", busy, retryable),
        of("413 Too Large", ra, "", busy, retryable),
        of("413 Too Large", "", "", Rule::Http4xx, failed),
        of("404 Not Found", ra, "", Rule::Http4xx, failed),
        of("408 Request Timeout", ra, "", Rule::Http408, unknown),
        of("425 Too Early", "", "", busy, retryable),
        of("429 Too Many Requests", "", "", busy, retryable),
        of("500 Oh", "", "", Rule::Http5xx, unknown),
        of("503 Unavailable", ra, "", Rule::Http5xx, unknown),
        of("599 What", "", "", Rule::Http5xx, unknown),
        // The settings vouch for this one.
        of("529 Overloaded", "", "", Rule::HttpVouched, retryable),
        // P6: what is quoted is not what is said.
        of(
            "422 Unprocessable",
            "",
            r#"{"detail":[{"msg":"Input should be greater than 0",
                "input":{"idempotency_key":"..","note":"the same room as last year"}}]}"#,
            Rule::Http4xx,
            failed,
        ),
        of("409 Conflict", "", r#"{"code":"booking_closed","message":"idempotency"}"#, Rule::Http4xx, failed),
        keyed("400 Bad Request", "", r#"{"error":{"type":"idempotency_error"}}"#),
        keyed("422 Unprocessable", "", r#"{"title":"Idempotency-Key is already used"}"#),
        keyed("409 Conflict", "", r#"{"errors":[{"code":"idempotency_key_in_use"}]}"#),
        keyed("422 Unprocessable", "", r#"{"detail":{"code":"idempotency_key_in_use"}}"#),
        keyed("409 Conflict", ra, r#"{"code":"booking_closed"}"#),
        keyed("409 Conflict", "", r#"{"message":"a request with this key is in progress"}"#),
        keyed("409 Conflict", "", ""),
        // P6b: cut off.
        same(
            Box::new(|| Act::Answer("HTTP/1.1 409 Conflict\r\ncontent-length: 70\r\n\r\n{\"code\":\"cl".into())),
            Rule::Incomplete,
            unknown,
        ),
        of("404 Not Found", "", "<html>", Rule::Invalid, unknown),
        same(Box::new(|| answer("200 OK", "", &"x".repeat(5_000))), Rule::TooLarge, unknown),
        same(Box::new(|| Act::Close), Rule::Closed, unknown),
        same(Box::new(|| Act::Hang), Rule::Timeout, unknown),
        same(Box::new(|| Act::Drip("HTTP/1.1 200 OK\r\n\r\n".into(), "x".into())), Rule::Timeout, unknown),
    ]
}

#[tokio::test]
async fn every_default_rule_of_http_holds_at_the_wire() {
    let mut seen = BTreeSet::new();
    for (index, (act, keyed, keyed_word, plain, plain_word)) in rows().into_iter().enumerate() {
        let wire = Wire::serve(move |_| act()).await;
        let http = with_answers(&wire.url, Answers { busy: vec![529], errors: None });
        let (keyed, plain) = ((keyed, keyed_word), (plain, plain_word));
        for (method, effect, (rule, word)) in [
            ("POST", "once", keyed),
            // Whatever the method promises: the effect is what the definition says.
            ("GET", "idempotent", keyed),
            ("GET", "read_only", plain),
            ("POST", "read_only", plain),
        ] {
            let time = if rule == DefaultRule::Timeout { 300 } else { 20_000 };
            let fields = json!({ "timeout_ms": time, "effect": effect });
            let (line, by) = decided(&http, &call(to(method), fields)).await;
            let row = format!("row {index}, {method}, {effect}");
            assert!(line.starts_with(word), "{row}: expected {word}, found {line}");
            let by = by.unwrap_or_else(|| DefaultRule::Http2xx.word().to_owned());
            assert_eq!(by, rule.word(), "{row}: {line}");
            seen.insert(by);
        }
    }
    let by = async |url: &str, target: Value, time: u64| {
        let http = with_answers(url, Answers::default());
        decided(&http, &call(target, json!({ "timeout_ms": time }))).await.1.unwrap()
    };
    seen.insert(by(&nobody().await, to("POST"), 20_000).await);
    seen.insert(by("http://no.such.host.invalid", to("POST"), 20_000).await);
    seen.insert(by("http://h", json!({"http": {"participant": "it", "method": "PURGE", "path": "/"}}), 1_000).await);
    let path = "/${ input.nothing }";
    seen.insert(by("http://h", json!({"http": {"participant": "it", "method": "GET", "path": path}}), 1_000).await);
    let other = json!({"http": {"participant": "other", "method": "GET", "path": "/"}});
    seen.insert(by("http://h", other, 1_000).await);
    // What only tools and handlers do.
    let elsewhere = [
        "session_lost",
        // What only a process without free files does: `out_of_files.rs`.
        "out_of_files",
        "session_refused",
        "tool_result",
        "tool_error",
        "input_required",
        "protocol_refusal",
        "protocol_unnamed",
        "protocol_internal",
        "protocol_error",
        "handler",
        "handler_permanent",
        "handler_retryable",
        "handler_pending",
        "handler_unknown",
        "panic",
        "no_transaction",
        "rejected",
        "not_committed",
        "handler_broke_transaction",
        "transaction_ended",
        // What the node itself does.
        "process_died",
        "call_lost",
    ];
    let missing: Vec<_> = DefaultRule::ALL
        .iter()
        .map(|rule| rule.word())
        .filter(|word| !seen.contains(*word) && !elsewhere.contains(word))
        .collect();
    assert!(missing.is_empty(), "rules that no row has: {missing:?}");
}

/// A rule of the definition comes before the default one: a 409 that it reads is what it says.
#[tokio::test]
async fn a_rule_reads_a_conflict_before_the_default_does() {
    let wire = Wire::serve(|_| answer("409 Conflict", "", "the booking is closed")).await;
    let http = with_answers(&wire.url, Answers::default());
    says(&executed(&http, &call(to("POST"), json!({}))).await, "unknown key_conflict", "nothing names it");
    let rules = [
        json!({"classify": [{"when": "status == 409", "outcome": "failed"}]}),
        json!({"refused": {"when": "status == 409 && text.contains('closed')"}}),
    ];
    for rule in rules {
        says(&executed(&http, &call(to("POST"), rule)).await, "failed key_conflict", "closed");
    }
    let probe = json!({"target": to("GET"), "applied": "false", "absent": "status == 409"});
    assert_eq!(probed(&http, probe).await, "absent");
}

#[tokio::test]
async fn retry_after_counts_with_every_rule_that_has_the_call_repeated() {
    let serve = async |status: &'static str, header: &'static str| {
        Wire::serve(move |_| answer(status, &format!("{JSON}{header}"), r#"{"code":"x"}"#)).await
    };
    let ra = "Retry-After: 3\r\n";
    let retryable =
        |status: u16| json!({"classify": [{"when": format!("status == {status}"), "outcome": "retryable"}]});
    for (status, number) in
        [("200 OK", 200), ("403 No", 403), ("404 No", 404), ("409 No", 409), ("500 No", 500), ("503 No", 503)]
    {
        let wire = serve(status, ra).await;
        let http = with_answers(&wire.url, Answers::default());
        says(&executed(&http, &call(to("POST"), retryable(number))).await, "retryable after 3000: ", "");
        let pending = json!({"classify": [{"when": format!("status == {number}"), "outcome": "pending"}]});
        assert_eq!(executed(&http, &call(to("POST"), pending)).await, "pending Some(3000)");
        let errored = json!({"classify": [{"when": format!("status == {number}"), "outcome": "errored"}]});
        let outcome = http.execute(&call(to("POST"), errored), &scope(json!({}))).await.0;
        assert!(matches!(outcome, Outcome::Errored { retry_after_ms: Some(3_000), .. }), "{outcome:?}");
    }
    for status in ["403 No", "413 No", "425 No", "429 No", "529 No"] {
        let wire = serve(status, ra).await;
        let http = with_answers(&wire.url, Answers { busy: vec![529], errors: None });
        says(&executed(&http, &call(to("POST"), json!({}))).await, "retryable after 3000: busy", "");
    }
    // The rest of the answer never comes.
    let wire = Wire::serve(|_| {
        Act::Drip("HTTP/1.1 503 No\r\nRetry-After: 3\r\ncontent-length: 9000\r\n\r\n".into(), "x".into())
    })
    .await;
    let http = with_answers(&wire.url, Answers::default());
    let outcome = http.execute(&call(to("POST"), json!({"timeout_ms": 1_500})), &scope(json!({}))).await.0;
    let Outcome::Unknown { error, retry_after_ms: Some(3_000) } = outcome else { panic!("{outcome:?}") };
    says(&error.to_string(), "timeout: ", "");
    // A date is meant by the clock of the server that says it.
    let dates = "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:28:03 GMT\r\n";
    let wire = serve("429 No", dates).await;
    let http = with_answers(&wire.url, Answers::default());
    says(&executed(&http, &call(to("POST"), json!({}))).await, "retryable after 3000: busy", "");
}

/// Settings may say that this participant's refusals prove nothing.
#[tokio::test]
async fn errors_unknown_withdraws_what_a_4xx_proves() {
    let wire = Wire::serve(|request| match request.split(' ').nth(1) {
        Some("/declined") => {
            answer("402 Payment Required", &format!("{JSON}Retry-After: 3\r\n"), r#"{"code":"declined"}"#)
        }
        _ => answer("429 Too Many Requests", "", ""),
    })
    .await;
    let post = |path: &str| json!({"http": {"participant": "it", "method": "POST", "path": path}});
    let trusted = with_answers(&wire.url, Answers::default());
    says(&executed(&trusted, &call(post("/declined"), json!({}))).await, "failed http_402", "");
    let http = with_answers(&wire.url, Answers { errors: Some(Errors::Unknown), busy: Vec::new() });
    let (outcome, by) = http.execute(&call(post("/declined"), json!({})), &scope(json!({}))).await;
    assert!(matches!(outcome, Outcome::Unknown { retry_after_ms: Some(3_000), .. }), "{outcome:?}");
    assert_eq!(by.map(|by| (by.rule, by.status)), Some(("http_4xx, errors: unknown".into(), Some(402))));
    // The definition knows better, and a call that only reads has no effect. What the server says of its load is
    // withdrawn, too.
    let own = json!({"errors": "definite"});
    says(&executed(&http, &call(post("/declined"), own)).await, "failed http_402", "");
    let reads = json!({"effect": "read_only"});
    says(&executed(&http, &call(post("/declined"), reads)).await, "failed http_402", "");
    says(&executed(&http, &call(post("/busy"), json!({}))).await, "unknown busy", "");
}

/// Whatever a server does, an attempt ends with its time, and what never had a connection was never sent.
#[tokio::test]
async fn an_attempt_ends_with_its_time() {
    let full = Backlog::full().await;
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secure = format!("https://{}", deaf.local_addr().unwrap());
    let accepts = Wire::serve(|_| Act::Hang).await;
    let drips =
        Wire::serve(|_| Act::Drip("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n".into(), "x".into())).await;
    for (url, expected) in [
        (full.url.as_str(), "retryable refused: no connection within the time of an attempt; nothing was sent"),
        // The handshake of TLS has no answer.
        (secure.as_str(), "retryable refused: no connection within the time of an attempt; nothing was sent"),
        (accepts.url.as_str(), "unknown timeout: "),
        (drips.url.as_str(), "unknown timeout: "),
    ] {
        let http = with_answers(url, Answers::default());
        // The limit of a connection's own, 10 s, has other words.
        let line = executed(&http, &call(to("POST"), json!({"timeout_ms": 400}))).await;
        says(&line, expected, "");
    }
}

/// A request that cannot be written was never sent.
#[tokio::test]
async fn a_url_longer_than_may_be_is_an_argument_that_is_wrong() {
    let wire = Wire::serve(|_| answer("200 OK", "", "")).await;
    let target = json!({"http": {"participant": "it", "method": "GET", "path": "/x", "query": {"q": "${ input.q }"}}});
    let http = with_answers(&wire.url, Answers::default());
    let outcome = http.execute(&call(target, json!({})), &scope(json!({"q": "x".repeat(70_000)}))).await.0;
    says(&said(&outcome), "failed arguments: ", "");
    assert_eq!(wire.count(), 0);
}
