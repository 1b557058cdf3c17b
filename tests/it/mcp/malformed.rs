//! What is no message, and requests whose params do not fit: the answer says what was expected.

use futures_util::future::{join_all, join3};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::agent::hear;
use super::home::Home;

#[tokio::test]
async fn what_cannot_be_read_is_answered_with_an_error_of_the_protocol() {
    let home = Home::new("malformed").await;
    let node = home.node(&[]);
    let cases = [
        ("", -32700, Value::Null),
        ("{nope", -32700, Value::Null),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, Value::Null),
        (r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, -32600, json!(7)),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, Value::Null),
        (r#""ping""#, -32600, Value::Null),
    ];
    // What only the new era has is not a method of the old one.
    for (agent, of_tasks) in [(node.agent().await, -32601), (node.modern(), -32602)] {
        for (body, code, id) in &cases {
            let heard = hear(agent.request("tools/list", json!({})).body(*body).send().await.unwrap()).await;
            assert_eq!(heard.status, 400, "{body}: {heard:?}");
            assert_eq!((&heard.answer["error"]["code"], &heard.answer["id"]), (&json!(code), id), "{body}: {heard:?}");
        }
        let text = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
        let refused = agent.request("tools/list", json!({})).headers(text).send().await.unwrap();
        assert_eq!(refused.status(), 415, "what is no JSON is not read");
        for params in [json!({}), json!({ "name": "bell", "arguments": ["no object"] })] {
            let heard = agent.ask("tools/call", params.clone()).await;
            assert_eq!(heard.answer["error"]["code"], -32602, "{params}: {heard:?}");
        }
        assert_eq!(agent.ask("tasks/get", json!({})).await.answer["error"]["code"], of_tasks);
        assert_eq!(agent.ask("tools/reckon", json!({})).await.answer["error"]["code"], -32601);
        let long = agent.ask(&"reckon".repeat(500), json!({})).await.answer;
        assert_eq!(long["error"]["code"], -32601);
        assert!(long.to_string().len() < 1_000, "a name that long is not repeated");
    }
}

/// To a client, 404 says that it must begin anew, and 500 that it may not.
#[tokio::test]
async fn a_session_that_ends_while_requests_are_on_their_way_is_not_found() {
    let home = Home::with("ends", "mcp: { requests_per_minute: 1000000 }\n").await;
    let node = home.node(&[]);
    for _ in 0..40 {
        let agent = node.agent().await;
        let ask = || join_all((0..32).map(|_| agent.request("ping", json!({})).send()));
        let (before, (), after) = join3(ask(), agent.leave(), ask()).await;
        for answer in before.into_iter().chain(after) {
            let answer = answer.unwrap();
            let status = answer.status().as_u16();
            assert!([200, 404].contains(&status), "{status}: {}", answer.text().await.unwrap());
        }
    }
}
