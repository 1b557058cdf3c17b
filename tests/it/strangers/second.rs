//! The second answer after a doubt (case P6d): the first is lost after the effect, and the repeat under the same key is
//! refused. The call has no probe, so nothing that the refusal says ends the doubt.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::stage::{Case, End, Stage, case};
use crate::harness::eventually;
use crate::participant::mcp_http::{message, method, reply, shake_hands};
use crate::participant::wire::{Act, Wire, answer};

const STATUSES: [&str; 12] = [
    "400 Bad Request",
    "401 Unauthorized",
    "402 Payment Required",
    "403 Forbidden",
    "404 Not Found",
    "405 Method Not Allowed",
    "410 Gone",
    "413 Content Too Large",
    "415 Unsupported Media Type",
    "422 Unprocessable Content",
    "425 Too Early",
    "429 Too Many Requests",
];

/// How often each was asked.
type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

/// Whether the question is the first of its kind.
fn is_first(asked: &Asked, kind: &str) -> bool {
    let mut asked = asked.lock().unwrap();
    let count = asked.entry(kind.to_owned()).or_default();
    *count += 1;
    *count == 1
}

fn saga(kind: &str, target: &str, more: &str) -> String {
    format!(
        "saga: {kind}\nsteps:\n  - step: charge\n    effect: idempotent\n    timeout: 5s\n    {more}\n    \
         action: {target}\n    compensation: {{ http: desk, path: /undo, effect: idempotent }}\n"
    )
}

const TWICE: &str = "retry: { attempts: 2, backoff: 50ms }";

/// Two questions were asked of each, and a person is needed.
async fn all_stuck(stage: &Stage, asked: &Asked, kinds: &[String]) {
    let cases: Vec<Case> = kinds.iter().map(|kind| case(kind, "", End::Stuck("charge"))).collect();
    for (kind, (status, story)) in kinds.iter().zip(stage.ends(cases).await) {
        assert_eq!(status, "stuck", "{kind}:\n{story}");
        assert_eq!(asked.lock().unwrap().get(kind), Some(&2), "{kind}:\n{story}");
    }
}

#[tokio::test]
async fn no_refusal_of_http_ends_a_doubt() {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let desk = Wire::serve(move |request| {
        let kind = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
        let refusal = STATUSES.iter().find(|status| kind.strip_prefix('s') == status.get(..3));
        match refusal {
            _ if is_first(&seen, kind) => Act::Close,
            Some(status) => answer(status, "content-type: application/json\r\n", r#"{"code":"refused"}"#),
            // Our own limits.
            None => answer("200 OK", "", &"x".repeat(5_000)),
        }
    })
    .await;
    let mut gone = Wire::serve(|_| Act::Close).await;
    let mut kinds: Vec<String> = STATUSES.iter().map(|status| format!("s{}", &status[..3])).collect();
    kinds.push("large".into());
    let at_desk = |kind: &String| saga(kind, &format!("{{ http: desk, path: /{kind} }}"), TWICE);
    let mut sagas: Vec<String> = kinds.iter().map(at_desk).collect();
    sagas.push(saga("gone", "{ http: gone, path: /gone }", "retry: { attempts: 2, backoff: 3s }"));
    let mut stage = Stage::new("second", &sagas.join("---\n")).await;
    stage.settings(&format!(
        "  desk: {{ url: \"{}\", protocol: http, answer_max: 4KiB }}\n  gone: {{ url: \"{}\", protocol: http }}\n",
        desk.url, gone.url
    ));
    stage.play().await;
    all_stuck(&stage, &asked, &kinds).await;
    // Nobody is there for the repeat.
    let ends = async { stage.ends(vec![case("gone", "", End::Stuck("charge"))]).await };
    let leaves = async {
        eventually("the first attempt came", async || gone.count() == 1).await;
        gone.end().await;
    };
    let (ends, ()) = tokio::join!(ends, leaves);
    assert!(ends[0].0 == "stuck" && ends[0].1.contains("refused"), "{ends:#?}");
}

#[tokio::test]
async fn no_error_of_a_tool_ends_a_doubt() {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let codes = [-32700, -32600, -32601, -32602, -32603, -32000];
    let bank = Wire::serve(move |request| match method(request).as_str() {
        "initialize" => shake_hands(request, ""),
        "tools/list" => reply(request, "", json!({"result": {"tools": []}})),
        "tools/call" => {
            let kind = message(request)["params"]["name"].as_str().unwrap().to_owned();
            match kind.strip_prefix("e").and_then(|code| code.parse::<i64>().ok()) {
                _ if is_first(&seen, &kind) => Act::Close,
                Some(code) => reply(request, "", json!({"error": {"code": -code, "message": "Unknown tool: charge"}})),
                None if kind == "s404" => answer("404 Not Found", "", "no such thing"),
                None => reply(request, "", json!({"result": {"isError": true, "content": []}})),
            }
        }
        _ => answer("202 Accepted", "", ""),
    })
    .await;
    let mut kinds: Vec<String> = codes.iter().map(|code: &i64| format!("e{}", -code)).collect();
    kinds.extend(["s404".to_owned(), "told".to_owned()]);
    let more = format!("errors: definite\n    {TWICE}");
    let sagas = kinds.iter().map(|kind| saga(kind, &format!("{{ tool: bank/{kind}, arguments: {{}} }}"), &more));
    let mut stage = Stage::new("second-tools", &sagas.collect::<Vec<_>>().join("---\n")).await;
    stage.settings(&format!(
        "  bank: {{ url: \"{}/mcp\" }}\n  desk: {{ url: \"{}\", protocol: http }}\n",
        bank.url, bank.url
    ));
    stage.play().await;
    all_stuck(&stage, &asked, &kinds).await;
}
