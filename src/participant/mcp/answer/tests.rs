//! Tests of the replies made for answers of MCP servers.

use super::*;
use crate::saga::definition::Verdict;

fn heard(said: Said) -> Heard {
    Heard { said, via: Via::default() }
}

fn error(error: &str, named: bool, status: Option<u16>, in_session: bool) -> Heard {
    let said = Said::Error { error: error.into(), named };
    Heard { said, via: Via { status, pause: None, in_session } }
}

fn judged(heard: &Heard) -> Reply {
    judged_of(heard, true)
}

fn judged_of(heard: &Heard, keyed: bool) -> Reply {
    reply(heard, keyed, &Limits::default(), &Filter::default())
}

/// Checks the rule of the reply to a result, and its result, text and content.
#[track_caller]
fn check(result: &str, rule: Rule, parts: [&str; 3]) {
    let reply = judged(&heard(Said::Result(result.into())));
    assert_eq!(reply.rule, rule, "{result}: {:?}", reply.error);
    assert_eq!([reply.result.get(), reply.text(), reply.content()], parts, "{result}");
}

#[test]
fn no_result_is_lost_whatever_its_blocks_are() {
    let text = |text: &str| format!(r#"{{"type":"text","text":{text}}}"#);
    let ok = Rule::ToolResult;
    let two = format!("[{},{}]", text(r#""{\"id\":1}""#), text(r#""{\"id\":2}""#));
    check(&format!(r#"{{"content":{two}}}"#), ok, [r#""{\"id\":1}\n{\"id\":2}""#, "{\"id\":1}\n{\"id\":2}", &two]);
    let one = format!("[{}]", text(r#"" {\"n\":1.10} ""#));
    check(&format!(r#"{{"content":{one}}}"#), ok, [r#"{"n":1.10}"#, r#" {"n":1.10} "#, &one]);
    let odd = r#"[{"type":"hologram","data":7},{"type":"text","text":"seen","audience":"x"},7,"said"]"#;
    check(&format!(r#"{{"content":{odd}}}"#), ok, [r#""seen\nsaid""#, "seen\nsaid", odd]);
    let image = r#"[{"type":"image","data":"AA==","mimeType":5}]"#;
    check(&format!(r#"{{"content":{image}}}"#), ok, [image, "", image]);
    // Numbers keep their digits. The last of two fields with one name counts.
    let exact = r#"{"structuredContent":{"n":1},"structuredContent":{"n":12345678901234567890.10},"content":[]}"#;
    check(exact, ok, [r#"{"n":12345678901234567890.10}"#, "", "[]"]);
    for nothing in ["{}", r#"{"content":null}"#, r#"{"content":[],"structuredContent":null}"#] {
        assert_eq!(judged(&heard(Said::Result(nothing.into()))).result.get(), "null", "{nothing}");
    }
    check(r#"{"content":"plain"}"#, ok, [r#""plain""#, "plain", r#""plain""#]);
    let block = r#"{"type":"text","text":"alone"}"#;
    check(&format!(r#"{{"content":{block}}}"#), ok, [r#""alone""#, "alone", block]);
    // Half a surrogate pair cannot be decoded, so its escaped form is passed on.
    let half = format!("[{}]", text(r#""\ud800""#));
    assert_eq!(judged(&heard(Said::Result(format!(r#"{{"content":{half}}}"#)))).text(), r"\ud800");
    check(r#""done""#, ok, [r#""done""#, "", "null"]);
    check(r#"{"content":[],"resultType":"complete"}"#, ok, ["null", "", "[]"]);
}

#[test]
fn meta_is_kept_as_it_came() {
    let result = r#"{"content":[],"_meta":{"cost":0.10,"x/y":[]}}"#;
    assert_eq!(judged(&heard(Said::Result(result.into()))).meta(), r#"{"cost":0.10,"x/y":[]}"#);
}

#[test]
fn an_error_of_a_tool_keeps_what_was_said() {
    let content = r#"[{"type":"text","text":"no such room"}]"#;
    for flag in ["true", "\"true\"", "1", "{}"] {
        let result = format!(r#"{{"content":{content},"isError":{flag}}}"#);
        check(&result, Rule::ToolError, [r#""no such room""#, "no such room", content]);
        let reply = judged(&heard(Said::Result(result)));
        assert_eq!(reply.error.map(|error| error.message).as_deref(), Some("no such room"));
        assert_eq!(reply.verdict, Verdict::Errored);
    }
    for flag in ["false", "null", "0", "\"false\""] {
        check(&format!(r#"{{"isError":{flag}}}"#), Rule::ToolResult, ["null", "", "null"]);
    }
    // An error that is too large or too deep is still an error.
    let deep = format!(r#"{{"isError":true,"structuredContent":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    check(&deep, Rule::ToolError, ["null", "", "null"]);
}

#[test]
fn what_is_no_result_of_the_tool_is_told_apart() {
    let rule = |result: &str| judged(&heard(Said::Result(result.into()))).rule;
    assert_eq!(rule(r#"{"resultType":"input_required","inputRequests":{}}"#), Rule::InputRequired);
    assert_eq!(rule(r#"{"resultType":"task","taskId":"t"}"#), Rule::Invalid);
    assert_eq!(rule(r#"{"task":{"taskId":"t"}}"#), Rule::Invalid);
    assert_eq!(rule(r#"{"resultType":"to_come"}"#), Rule::Invalid);
    assert_eq!(rule(&format!("[{}]", "[".repeat(200) + &"]".repeat(200))), Rule::Invalid);
    let large = format!(r#"{{"structuredContent":"{}"}}"#, "x".repeat(2 << 20));
    assert_eq!(rule(&large), Rule::TooLarge);
    // A large block beside a small result is left out of `content`. The result stays.
    let image = format!(r#"{{"structuredContent":1,"content":[{{"data":"{}"}}]}}"#, "x".repeat(2 << 20));
    check(&image, Rule::ToolResult, ["1", "", "null"]);
}

#[test]
fn few_protocol_errors_prove_that_nothing_was_done() {
    let rule = |code: &str, message: &str, status| {
        let said = format!(r#"{{"code":{code},"message":"{message}"}}"#);
        let reply = judged(&error(&said, true, status, false));
        (reply.rule, reply.verdict)
    };
    for code in ["-32700", "-32601"] {
        assert_eq!(rule(code, "no", None), (Rule::ProtocolRefusal, Verdict::Failed), "{code}");
        assert_eq!(rule(code, "no", Some(400)), (Rule::ProtocolRefusal, Verdict::Failed), "{code}");
    }
    // A tool of the official SDKs can throw -32600 like any other error.
    for code in ["-32600", "-32602", "-32000", "-32001", "-32042", "500", "null", "\"E\"", "-32602.0"] {
        for status in [None, Some(400), Some(422)] {
            assert_eq!(rule(code, "no such customer", status), (Rule::ProtocolError, Verdict::Errored), "{code}");
        }
    }
    for status in [None, Some(400), Some(422)] {
        let internal = (Rule::ProtocolInternal, Verdict::Errored);
        assert_eq!(rule("-32603", "no such customer", status), internal);
    }
    let code = judged(&error(r#"{"code":-32603}"#, true, None, false)).error.map(|error| error.code);
    assert_eq!(code.as_deref(), Some("protocol_error"), "the word that rules of definitions ask for");
    assert_eq!(rule("-32000", "Connection closed", None), (Rule::Closed, Verdict::Unknown));
    assert_eq!(rule("-32001", "Request timed out", None), (Rule::Closed, Verdict::Unknown));
    assert_eq!(rule("-32000", "slow down", Some(429)).0, Rule::HttpBusy);
    assert_eq!(rule("-32001", "who?", Some(401)).0, Rule::Http4xx);
    // The error of a gateway, whatever its code.
    for code in ["-32700", "-32600", "-32601", "-32603"] {
        for status in [500, 502, 503] {
            assert_eq!(rule(code, "no", Some(status)), (Rule::Http5xx, Verdict::Unknown), "{code} {status}");
        }
        for status in [None, Some(400), Some(409)] {
            let said = format!(r#"{{"code":{code},"message":"no"}}"#);
            let reply = judged(&error(&said, false, status, true));
            assert_eq!((reply.rule, reply.verdict), (Rule::ProtocolUnnamed, Verdict::Unknown), "{code}");
        }
    }
    // No unusual shape loses an error.
    for odd in ["\"no\"", "{}", r#"{"message":7}"#, r#"{"code":"-32602","data":[]}"#] {
        assert_eq!(judged(&error(odd, true, None, false)).rule, Rule::ProtocolError, "{odd}");
    }
    let key = r#"{"code":-32602,"message":"busy","data":{"type":"idempotency_key_in_progress"}}"#;
    assert_eq!(judged(&error(key, true, None, false)).rule, Rule::KeyConflict);
    let key = r#"{"code":-32601,"message":"busy","data":{"error":{"code":"idempotency_key_in_use"}}}"#;
    assert_eq!(judged(&error(key, true, Some(409), false)).rule, Rule::KeyConflict);
    // A `read_only` call has no earlier attempt to conflict with.
    assert_eq!(judged_of(&error(key, true, Some(409), false), false).rule, Rule::ProtocolRefusal);
    let bare =
        Heard { said: Said::Body(String::new()), via: Via { status: Some(409), pause: None, in_session: false } };
    assert_eq!((judged_of(&bare, true).rule, judged_of(&bare, false).rule), (Rule::KeyConflict, Rule::Http4xx));
}

#[test]
fn a_pause_counts_with_every_rule() {
    let via = |status| Via { status, pause: Some(std::time::Duration::from_secs(3)), in_session: false };
    let of_error = |code| Said::Error { error: format!(r#"{{"code":{code}}}"#), named: true };
    for (said, status) in [
        (Said::Result(r#"{"isError":true}"#.into()), None),
        (of_error(-32603), None),
        (of_error(-32601), Some(404)),
        (of_error(-32000), Some(429)),
        (of_error(-32000), Some(413)),
        (of_error(-32000), Some(403)),
        (Said::Body("no".into()), Some(403)),
        (Said::Body(String::new()), Some(503)),
        (Said::Unread(Rule::Incomplete, "end of file".into()), Some(409)),
    ] {
        let reply = judged(&Heard { said, via: via(status) });
        let busy = matches!(status, Some(403 | 413 | 429));
        assert_eq!(reply.verdict == Verdict::Retryable, busy, "{status:?}: {:?}", reply.rule);
        assert_eq!(reply.retry_after_ms, Some(3_000), "{:?}", reply.rule);
        assert_eq!(reply.status, status);
    }
}

#[test]
fn a_session_is_doubted_by_what_may_refuse_it() {
    use SessionWord::{Doubtful, Gone, Nothing, Wrong};
    let none = r#"{"code":-32000,"message":"Bad Request: No valid session ID provided"}"#;
    let other = r#"{"code":-32602,"message":"no such customer"}"#;
    let word = |said: &str, named, status, in_session| of_session(&error(said, named, status, in_session));
    let body = |status, in_session| {
        let via = Via { status: Some(status), pause: None, in_session };
        of_session(&Heard { said: Said::Body("no".into()), via })
    };
    assert_eq!(word(none, false, Some(400), true), Doubtful);
    assert_eq!(word(none, true, None, true), Doubtful);
    assert_eq!(word(other, false, None, true), Wrong, "an error that names no request");
    assert_eq!(word(other, false, Some(502), true), Wrong);
    assert_eq!(word(other, true, None, true), Nothing);
    assert_eq!(word(other, true, Some(400), false), Nothing);
    assert_eq!(word(none, false, Some(404), true), Gone);
    assert_eq!(word(other, true, Some(404), true), Doubtful, "it was read");
    assert_eq!(word(r#"{"code":-32022}"#, true, Some(400), false), Doubtful);
    let cut = |status| {
        let said = Said::Unread(Rule::Incomplete, "end".into());
        of_session(&Heard { said, via: Via { status, pause: None, in_session: true } })
    };
    assert_eq!([cut(Some(404)), cut(Some(502)), cut(None)], [Doubtful, Wrong, Wrong]);
    assert_eq!(body(404, true), Gone);
    assert_eq!(body(404, false), Nothing);
    for status in [400, 401, 403, 410, 422] {
        assert_eq!((body(status, true), body(status, false)), (Doubtful, Nothing), "{status}");
    }
    for status in [425, 429] {
        assert_eq!(body(status, true), Nothing, "{status}");
    }
    // A load balancer whose server has died.
    for status in [302, 408, 500, 502, 503] {
        assert_eq!((body(status, true), body(status, false)), (Wrong, Nothing), "{status}");
        assert_eq!(word(none, true, Some(status), true), Wrong, "it may have been carried out");
    }
    let plain = |text: &str| {
        let via = Via { status: None, pause: None, in_session: true };
        of_session(&Heard { said: Said::Body(text.into()), via })
    };
    assert_eq!([plain("Session not found"), plain("<html>")], [Doubtful, Wrong]);
    for (heard, knows) in [
        (heard(Said::Result("{}".into())), true),
        (error(r#"{"code":-32601,"message":"no such method"}"#, true, Some(404), true), true),
        (error(none, true, None, true), false),
        (error(other, true, Some(502), true), false),
        (error(other, false, None, true), false),
        (heard(Said::Body("<html>".into())), false),
    ] {
        assert_eq!(knows_session(&heard), knows, "{heard:?}");
    }
    assert_eq!(of_session(&heard(Said::Result("{}".into()))), Nothing);
}

#[test]
fn a_tool_may_be_missing_where_a_failure_says_so() {
    let missing = |heard: &Heard| may_miss_tool(heard, &judged(heard));
    let protocol =
        |code: i64, message: &str| error(&format!(r#"{{"code":{code},"message":"{message}"}}"#), true, None, false);
    let tool = |said: &str| {
        let result = format!(r#"{{"content":[{{"type":"text","text":"{said}"}}],"isError":true}}"#);
        heard(Said::Result(result))
    };
    for said in ["Unknown tool: chrage", "MCP error -32602: Tool chrage not found", "tool not found"] {
        assert!(missing(&protocol(-32602, said)) && missing(&tool(said)), "{said}");
    }
    assert!(!missing(&protocol(-32602, "Output validation error")));
    let unknown = r#"{"code":-32602,"message":"Unknown tool: chrage"}"#;
    assert!(!missing(&error(unknown, true, Some(502), false)) && !missing(&error(unknown, false, None, false)));
    assert!(!missing(&protocol(-32603, "Unknown tool: chrage")));
    assert!(!missing(&tool("no such room")));
    assert!(!missing(&heard(Said::Result(r#"{"content":"tool not found"}"#.into()))));
}
