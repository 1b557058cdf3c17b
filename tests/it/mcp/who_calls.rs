//! Calls without proof in each form that HTTP has for them, at addresses in each form, and what local callers may do
//! over each of their two doors.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::agent::Agent;
use super::auth::token;
use super::home::{Home, Node};
use super::stdio::{call, hello, talk};

/// The status of the answer to a request in these words; 0 if the connection is closed without one.
fn status(address: &str, request: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).unwrap_or(0);
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;

fn request(line: &str, further: &str) -> String {
    format!(
        "{line}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{further}\r\n{LIST}",
        LIST.len()
    )
}

/// However a request is written, no caller gets in without a valid token, and a caller with one does.
#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_a_request_passes_without_a_token() {
    let home = Home::with("forms-of-calls", "mcp: { hosts: [agents.example], requests_per_minute: 100000 }\n").await;
    let node = home.node(&[]);
    let (_, ada) = token(&home, &["ada", "--scope", "start:*"]);
    let host = "Host: localhost\r\n";
    let mut all = Vec::new();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "QUERY"] {
        for path in ["/mcp", "/mcp/", "/mcp?x=1", "/mcp/x", "//mcp", "/%6dcp", "/x/../mcp", "/MCP"] {
            all.push(request(&format!("{method} {path} HTTP/1.1"), host));
        }
    }
    for line in ["POST /mcp HTTP/1.0", "POST http://agents.example/mcp HTTP/1.1", "POST http://localhost/mcp HTTP/1.1"]
    {
        all.push(request(line, host));
    }
    all.push(request("POST /mcp HTTP/1.0", ""));
    let query = |name: &str| request(&format!("POST /mcp?{name}={ada} HTTP/1.1"), host);
    all.extend(["access_token", "token", "authorization"].map(query));
    let bearing = |value: &str| request("POST /mcp HTTP/1.1", &format!("{host}Authorization: {value}\r\n"));
    all.extend(
        [
            "",
            "Bearer",
            "Bearer ",
            &ada,
            &format!("Basic {ada}"),
            &format!("Token {ada}"),
            &format!("Bearer {ada}x"),
            &format!("Bearer {}", ada.to_uppercase()),
            &format!("Bearer \"{ada}\""),
            &format!("Bearer {ada}, Bearer {ada}"),
            &format!("Bearer x {ada}"),
            "Bearer amends__",
            "Bearer amends_%_%",
            "Bearer amends_';select 1--_x",
        ]
        .map(bearing),
    );
    let beside = |name: &str| request("POST /mcp HTTP/1.1", &format!("{host}{name}: Bearer {ada}\r\n"));
    all.extend(["Proxy-Authorization", "X-Authorization", "Cookie", "Authorization2"].map(beside));
    for good in [format!("Bearer {ada}"), format!("bearer {ada}"), format!("BEARER   {ada}")] {
        let status = status(node.address(), &bearing(&good));
        assert!(!matches!(status, 0 | 401 | 403 | 404 | 405 | 429), "{status}: the token is good: {good:?}");
    }
    for asked in &all {
        let status = status(node.address(), asked);
        assert!(matches!(status, 400 | 401 | 403 | 404 | 405), "{status}: {asked}");
    }
    // Whatever Host says: the words of a client open nothing.
    for host in ["agents.example", "AGENTS.example:443", "localhost", "127.0.0.1", "[::1]", "[::1]:80"] {
        assert_eq!(status(node.address(), &request("POST /mcp HTTP/1.1", &format!("Host: {host}\r\n"))), 401, "{host}");
    }
    for host in ["agents.example.", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "localhost.", "evil.example"] {
        let asked = request("POST /mcp HTTP/1.1", &format!("Host: {host}\r\nAuthorization: Bearer {ada}\r\n"));
        assert_eq!(status(node.address(), &asked), 403, "{host}");
    }
}

/// A node is open where only this machine reaches it, in whatever form its address is written, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_known_in_each_of_its_forms() {
    let home = Home::new("forms-of-addresses").await;
    let list = |node: &Node, host: &str| {
        status(node.address(), &request("POST /mcp HTTP/1.1", &format!("Host: {host}\r\nMcp-Method: tools/list\r\n")))
    };
    for address in ["127.0.0.1:0", "127.0.0.7:0", "[::1]:0", "[0:0:0:0:0:0:0:1]:0", "[::ffff:127.0.0.1]:0"] {
        let node = home.node(&["--http", address]);
        assert!(!matches!(list(&node, "localhost"), 401 | 403), "{address} is open");
        assert_eq!(list(&node, "evil.example"), 403, "{address}");
        let (code, _, errors) = home.run(&["start", "hotel_checkout", "--input", "{\"guest\":\"x\"}", "--wait"]);
        assert_eq!(code, 0, "{errors}");
        let metrics = names(&node);
        assert!(metrics.contains("definition=\"hotel_checkout\""), "{address}: names are told here");
    }
    for address in ["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0"] {
        let mut node = home.node(&["--http", address]);
        let port = node.address().rsplit(':').next().unwrap().to_owned();
        node.url = format!("http://127.0.0.1:{port}/mcp");
        assert_eq!(list(&node, "localhost"), 401, "{address} asks for a token");
        let (code, _, errors) = home.run(&["start", "hotel_checkout", "--input", "{\"guest\":\"x\"}", "--wait"]);
        assert_eq!(code, 0, "{errors}");
        assert!(!names(&node).contains("hotel_checkout"), "{address}: no names are told there");
    }
    let check = |address: &str| {
        let text = format!("mcp: {{ auth: none }}\nhttp: {{ address: \"{address}\" }}\n");
        std::fs::write(home.folder.join("address.yaml"), text).unwrap();
        home.run(&["check", "address.yaml"]).0
    };
    assert_eq!(["127.0.0.7:0", "[::1]:0", "[::ffff:127.0.0.1]:0", "[::ffff:7f00:1]:0"].map(check), [0; 4]);
    assert_eq!(["0.0.0.0:0", "[::]:0", "[::ffff:0.0.0.0]:0", "[::127.0.0.1]:0", "192.0.2.1:0"].map(check), [1; 5]);
}

/// What `/metrics` and `/readyz` say, once there was a saga.
fn names(node: &Node) -> String {
    let get = |path: &str| {
        let mut stream = TcpStream::connect(node.address()).unwrap();
        let asked = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    ["/metrics", "/metrics?definition=hotel_checkout", "/readyz", "/healthz"].map(get).concat()
}

fn text(result: &Value) -> String {
    result.to_string()
}

/// A reply to the question of the step `agree`, which the client fills in by itself.
fn own_reply(home: &Home, saga: &str) -> Value {
    let yes = json!({ "action": "accept", "content": { "decision": "approve" } });
    json!({ format!("agree:{}", home.digest(saga)): yes })
}

fn able() -> Value {
    json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "host", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} } })
}

/// Starts a saga over one local door and answers its question by itself; returns its state then.
async fn answered_by_itself(home: &Home, node: Option<&Node>, tool: &str) -> Value {
    let start = json!({ "guest": "ada", "idempotency_key": tool });
    let ask = async |name: &str, arguments: Value, reply: Option<Value>| match node {
        Some(node) => {
            let agent = Agent::of_new(&node.url).able(json!({ "elicitation": {} }));
            let beside = reply.map_or(json!({}), |reply| json!({ "inputResponses": reply }));
            agent.call_with(name, arguments, beside).await.answer["result"].clone()
        }
        None => {
            let mut params = json!({ "name": name, "arguments": arguments, "_meta": able() });
            if let Some(reply) = reply {
                params["inputResponses"] = reply;
            }
            talk(home, &["mcp"], &[call(1, params)]).await[0]["result"].clone()
        }
    };
    let begun = ask(tool, start, None).await;
    let saga = begun["structuredContent"]["saga_id"].as_str().or_else(|| begun["requestState"].as_str());
    let saga = saga.unwrap_or_else(|| panic!("{begun}")).to_owned();
    let about = json!({ "saga_id": saga, "wait_seconds": 2 });
    let replied = ask("saga_status", about.clone(), Some(own_reply(home, &saga))).await;
    assert_eq!(text(&replied).contains("local may not answer it"), tool == "vetted", "{tool}: {replied}");
    ask("saga_status", about, None).await
}

/// A caller that fills in its own form approves what its definition leaves to the caller, and nothing else: over both
/// local doors, and whatever the scopes are.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_caller_approves_what_is_left_to_the_caller_and_nothing_else() {
    for (name, scopes) in [
        ("usual", None),
        ("start", Some("\"start:*\"")),
        ("operator", Some("\"start:*\", \"read:*\", \"operate:*\"")),
        ("one", Some("\"start:vetted\", \"start:self_service\", \"operate:vetted\"")),
    ] {
        let local = scopes.map(|scopes| format!(", local: {{ scopes: [{scopes}] }}")).unwrap_or_default();
        for is_http in [false, true] {
            let settings = format!("mcp: {{ wait: 1s{local} }}\n");
            let home = Home::with_approvals(&format!("local-{name}-{is_http}"), &settings).await;
            let node = is_http.then(|| home.node(&[]));
            let own = answered_by_itself(&home, node.as_ref(), "self_service").await;
            assert_eq!(own["structuredContent"]["status"], "completed", "{name} {is_http}: {own}");
            let vetted = answered_by_itself(&home, node.as_ref(), "vetted").await;
            assert_eq!(vetted["structuredContent"]["status"], "in_progress", "{name} {is_http}: {vetted}");
            assert_eq!(home.ledger.count("/charge", "ada"), 0, "{name} {is_http}");
        }
    }
}

/// All callers of this machine are one principal: what one has started, no other of them approves. What a person has
/// started with the program, a local caller approves if its scopes say so.
#[tokio::test(flavor = "multi_thread")]
async fn local_callers_are_one_and_their_scopes_hold() {
    for (name, scopes, may) in [
        ("operator", "\"start:*\", \"operate:vetted\"", true),
        ("reader", "\"start:*\", \"read:*\"", false),
        ("other", "\"start:*\", \"read:*\", \"operate:transfer\"", false),
        ("nothing", "", false),
    ] {
        let settings = format!("mcp: {{ wait: 1s, local: {{ scopes: [{scopes}] }} }}\n");
        let home = Home::with_approvals(&format!("local-one-{name}"), &settings).await;
        let node = home.node(&[]);
        if name == "nothing" {
            let verbs = ["saga_cancel", "saga_list", "saga_status"];
            assert_eq!(node.modern().tool_names().await, verbs);
            let [shake, done] = hello();
            let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
            let over_pipe = talk(&home, &["mcp", "--no-node"], &[shake, done, list]).await;
            assert_eq!(over_pipe[1]["result"]["tools"].as_array().map(Vec::len), Some(3), "{over_pipe:?}");
            let refused = node.modern().call_with("vetted", json!({ "guest": "ada" }), json!({})).await;
            assert_eq!(refused.answer["error"]["code"], -32602, "{refused:?}");
        }
        let able = || Agent::of_new(&node.url).able(json!({ "elicitation": {} }));
        let answer = async |saga: &str| {
            let reply = json!({ "inputResponses": own_reply(&home, saga) });
            able().call_with("saga_status", json!({ "saga_id": saga }), reply).await.answer["result"].clone()
        };
        if name == "operator" {
            // Started over the pipe, answered over HTTP.
            let [shake, done] = hello();
            let start = json!({ "name": "vetted", "arguments": { "guest": "pipe" } });
            let begun = talk(&home, &["mcp", "--no-node"], &[shake, done, call(1, start)]).await[1]["result"].clone();
            let saga = begun["structuredContent"]["saga_id"].as_str().unwrap_or_else(|| panic!("{begun}"));
            let replied = answer(saga).await;
            assert!(text(&replied).contains("local may not answer it"), "{replied}");
        }
        let (code, begun, errors) = home.run(&["start", "vetted", "--input", "{\"guest\":\"desk\"}"]);
        assert_eq!(code, 0, "{errors}");
        let saga = begun["id"].as_str().unwrap();
        crate::harness::eventually("it asks", async || home.run(&["show", saga]).1.to_string().contains("\"shown\":"))
            .await;
        answer(saga).await;
        match may {
            true => {
                crate::harness::eventually("it is approved", async || home.ledger.count("/charge", "desk") == 1).await;
            }
            false => assert_eq!(home.ledger.count("/charge", "desk"), 0, "{name}"),
        }
    }
}
