//! What is no message, and requests whose params do not fit: the answer says what was expected.

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
            assert_eq!(
                (&heard.answer["error"]["code"], &heard.answer["id"]),
                (&json!(code), id),
                "{body}: {heard:?}"
            );
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
    }
}
