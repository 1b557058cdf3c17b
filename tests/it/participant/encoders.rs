//! Participants that repeat a secret as some encoder spells it: none of it may be left, wherever the answer has it.
//! `encoders.tsv` is what the encoders of many languages wrote.

use std::collections::BTreeMap;

use amends::participant::{Participants, Secret, Transport};
use serde_json::{Value, json};

use super::mcp_http::{method, reply, shake_hands};
use super::wire::{Wire, answer};
use super::{call, executed, says, tool, with};

const SECRET: &str = "canary/7f3a+t \"k<e>&n\\~é";

/// A spelling of the secret, and what is left of it.
struct Row {
    encoder: &'static str,
    spelled: &'static str,
    left: String,
}

fn rows() -> Vec<Row> {
    let row = |line: &'static str| {
        let mut columns = line.split('\t');
        let (encoder, spelled) = (columns.next().unwrap(), columns.next().unwrap());
        Row { encoder, spelled, left: columns.next().unwrap_or("[secret]").to_owned() }
    };
    let mut rows: Vec<Row> = include_str!("encoders.tsv").lines().skip(1).map(row).collect();
    // base64 in lines of 76: 40 bytes come before the secret and 40 follow.
    let spelled = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eGNhbmFyeS83ZjNhK3QgIms8\n\
                   ZT4mblx+w6l5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5\n";
    let left = spelled.replace("NhbmFyeS83ZjNhK3QgIms8\nZT4mblx+w6", "[secret]\n[secret]");
    rows.push(Row { encoder: "Python base64.encodebytes", spelled, left });
    rows
}

/// Where an answer has the spelling: the body, and what must come of it.
fn places(row: &Row) -> Vec<(&'static str, String, String)> {
    let within = |text: &str| format!("key {text} end");
    let text = |text: &str| Value::from(text).to_string();
    let inner = |text: &str| json!({ "said": json!({ "a": [text] }).to_string() }).to_string();
    let mut places = vec![
        ("text", within(row.spelled), text(&within(&row.left))),
        ("json", json!({ "said": row.spelled }).to_string(), json!({ "said": row.left }).to_string()),
        ("name", json!({ row.spelled: 1 }).to_string(), json!({ row.left.clone(): 1 }).to_string()),
        ("JSON in JSON", inner(row.spelled), inner(&row.left)),
    ];
    // Some encoders write what stands between the quotes of JSON.
    let quoted = |text: &str| format!("{{\"said\":\"{text}\"}}");
    if serde_json::from_str::<Value>(&quoted(row.spelled)).is_ok() {
        places.push(("quoted", quoted(row.spelled), quoted(&row.left)));
    }
    places
}

fn at(url: &str, secret: &str) -> Participants {
    let secret = Secret::sensitive("Bearer x", vec![secret.into()]);
    with(Transport::Http { url: Secret::plain(url), headers: BTreeMap::from([("x-key".to_owned(), secret)]) })
}

fn get(path: &str) -> Value {
    json!({"http": {"participant": "it", "method": "GET", "path": path}})
}

#[tokio::test]
async fn no_encoder_carries_a_secret_out() {
    let rows = rows();
    assert!(rows.len() >= 40, "{}", rows.len());
    let bodies: Vec<String> = rows.iter().flat_map(places).map(|(_, body, _)| body).collect();
    let wire = Wire::serve(move |request| {
        let mut path = request.split([' ', '/']).skip(2);
        let status = if path.next() == Some("good") { "200 OK" } else { "400 Bad Request" };
        answer(status, "", &bodies[path.next().unwrap().parse::<usize>().unwrap()])
    })
    .await;
    let http = at(&wire.url, SECRET);
    let mut faults = Vec::new();
    let all = rows.iter().flat_map(|row| places(row).into_iter().map(move |place| (row, place)));
    for (at, (row, (place, body, expected))) in all.enumerate() {
        let found = executed(&http, &call(get(&format!("/good/{at}")), json!({}))).await;
        let expected = format!("succeeded {expected}");
        // A value that stands in a name or in a text is written as JSON again, and that may spell it otherwise.
        if found != expected {
            faults.push(format!("{}, {place}: {body}\n  expected {expected}\n  found    {found}", row.encoder));
        }
        let error = executed(&http, &call(get(&format!("/bad/{at}")), json!({}))).await;
        if !error.starts_with("failed http_400: HTTP 400: ") || !error.contains("[secret]") || error.contains("7f3a") {
            faults.push(format!("{}, {place}, as an error: {error}", row.encoder));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A secret of digits can be a number of JSON; a key can have many lines; a secret can look as if it were escaped.
#[tokio::test]
async fn secrets_of_other_shapes_are_cut_out_too() {
    let pem = "-----BEGIN KEY-----\nMIIB+x/yz0123456789abcdef\n-----END KEY-----\n";
    for (secret, body, expected) in [
        ("1234567890", r#"{"pin":1234567890,"n":12}"#, r#"{"pin":"[secret]","n":12}"#),
        ("1234567890", r#"[-1234567890.5e1,"1234567890"]"#, r#"["[secret]","[secret]"]"#),
        (pem, &json!({ "key": pem }).to_string(), r#"{"key":"[secret]"}"#),
        (
            pem,
            &json!({ "key": pem.replace('\n', "\r\n") }).to_string(),
            r#"{"key":"[secret]\r\n[secret]\r\n[secret]\r\n"}"#,
        ),
        (
            "p%41\\/quite&amp;",
            r#"{"a":"p%41\\\/quite&amp;","b":"p%2541%5C%2Fquite%26amp%3B"}"#,
            r#"{"a":"[secret]","b":"[secret]"}"#,
        ),
        (
            "abcdefgh",
            r#"{"abcdefgh":"xabcdefgh\u0061bcdefghx","b":["abcde"]}"#,
            r#"{"[secret]":"x[secret]x","b":["abcde"]}"#,
        ),
        (
            "tök€n-1",
            r#"["t\u00f6k\u20acn-1","tök€n-1","t%C3%B6k%E2%82%ACn-1"]"#,
            r#"["[secret]","[secret]","[secret]"]"#,
        ),
        (
            "s3cr\u{1f600}t",
            r#"["s3cr\ud83d\ude00t","s3cr\uD83D\uDE00t","\ud83d"]"#,
            r#"["[secret]","[secret]","\ud83d"]"#,
        ),
    ] {
        let sent = body.to_owned();
        let wire = Wire::serve(move |_| answer("200 OK", "content-type: application/json\r\n", &sent)).await;
        let found = executed(&at(&wire.url, secret), &call(get("/"), json!({}))).await;
        assert_eq!(found, format!("succeeded {expected}"), "{body}");
    }
}

/// Every text block of a tool's answer has a part of the secret.
#[tokio::test]
async fn text_blocks_do_not_carry_a_secret_in_parts() {
    let wire = Wire::serve(|request| match method(request).as_str() {
        "initialize" => shake_hands(request, ""),
        "tools/call" => {
            let block = |text: &str| json!({ "type": "text", "text": text });
            let content = [block("it is canary/7f"), block("3a+t"), block("oken, really")];
            reply(request, "", json!({ "result": { "content": content, "isError": request.contains("\"denies\"") } }))
        }
        _ => answer("202 Accepted", "", ""),
    })
    .await;
    let secret = Secret::sensitive("Bearer canary/7f3a+token", vec!["canary/7f3a+token".into()]);
    let headers = BTreeMap::from([("authorization".to_owned(), secret)]);
    let mcp = with(Transport::McpHttp { url: Secret::plain(format!("{}/mcp", wire.url)), headers });
    let fields = json!({ "output": { "result": "${ result }", "text": "${ text }", "content": "${ content }" } });
    let said = executed(&mcp, &call(tool("says", json!({})), fields)).await;
    says(&said, "succeeded ", "it is [secret]");
    for part in ["canary", "7f", "3a", "oken"] {
        assert!(!said.contains(part), "{part}: {said}");
    }
    let said = executed(&mcp, &call(tool("denies", json!({})), json!({}))).await;
    says(&said, "errored tool_error: ", "it is [secret] [secret] [secret], really");
    mcp.shutdown().await;
}

/// An answer is read in time whatever it consists of: each kind of byte that could make the search slow.
#[tokio::test]
async fn the_search_takes_time_in_proportion_to_the_answer() {
    for unit in ["\\\\", "\\u005c", "%25", "&amp;", "canary/7f3a", "\\n", "a"] {
        let body = format!("\"{}\"", unit.repeat(1_000_000 / unit.len()));
        let wire = Wire::serve(move |_| answer("200 OK", "content-type: application/json\r\n", &body)).await;
        let fields = json!({ "timeout_ms": 20_000, "output": "${ size(text) }" });
        let found = executed(&at(&wire.url, SECRET), &call(get("/"), fields)).await;
        says(&found, "succeeded ", "");
    }
}
