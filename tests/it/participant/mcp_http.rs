//! MCP servers over streamable HTTP: a real one, one that forgot its sessions, and what a raw socket can do.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use amends::participant::{Participants, Secret, Transport};
use amends::saga::definition::Call;
use amends::saga::outcome::Outcome;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp_actix_web::transport::StreamableHttpService;
use serde_json::{Value, json};

use super::server::TestServer;
use super::wire::{Act, Wire, answer, nobody};
use super::{call, executed, said, says, scope, tool, with};

pub(super) fn at(url: &str) -> Participants {
    let secret = Secret::sensitive("Bearer t0ken-of-mine", vec!["t0ken-of-mine".into()]);
    let headers = BTreeMap::from([("authorization".to_owned(), secret)]);
    with(Transport::McpHttp { url: Secret::plain(format!("{url}/mcp")), headers })
}

/// A server on a thread of its own; it can be stopped and started again on the same port.
struct Server {
    port: u16,
    handle: actix_web::dev::ServerHandle,
    thread: std::thread::JoinHandle<()>,
}

impl Server {
    fn start(port: u16) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
                let port = listener.local_addr().unwrap().port();
                let service = StreamableHttpService::builder()
                    .service_factory(Arc::new(|| Ok(TestServer)))
                    .session_manager(Arc::new(LocalSessionManager::default()))
                    .build();
                let app = move || App::new().service(web::scope("/mcp").service(service.clone().scope()));
                let server = HttpServer::new(app).workers(1).shutdown_timeout(0).listen(listener).unwrap().run();
                tell.send((port, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (port, handle) = told.recv().unwrap();
        Self { port, handle, thread }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn stop(self) -> u16 {
        self.handle.stop(false).await;
        tokio::task::spawn_blocking(move || self.thread.join().unwrap()).await.unwrap();
        self.port
    }
}

#[tokio::test]
async fn tools_answer_over_http_and_outlive_their_server() {
    let server = Server::start(0);
    let mcp = at(&server.url());
    let fields = json!({"output": "${ result.arguments }", "effect": "idempotent"});
    let echo = call(tool("echo", json!({"a": 1})), fields);
    assert_eq!(executed(&mcp, &echo).await, r#"succeeded {"a":1}"#);
    for (name, start) in [
        ("tool_error", "errored tool_error: no such room"),
        ("protocol_error", "failed protocol_refusal: "),
        ("internal_error", "errored protocol_error: "),
        ("text", "succeeded \"Failed"),
    ] {
        says(&executed(&mcp, &call(tool(name, json!({})), json!({}))).await, start, "");
    }
    let slow = call(tool("slow", json!({"ms": 3_000})), json!({"timeout_ms": 300}));
    says(&executed(&mcp, &slow).await, "unknown timeout", "");
    assert_eq!(executed(&mcp, &echo).await, r#"succeeded {"a":1}"#);

    // The server is gone, then back without the session: each end is definite, and nothing is sent twice.
    let port = server.stop().await;
    says(&settled(&mcp, &echo).await, "retryable refused: ", "Connection refused");
    assert!(!settled(&mcp, &echo).await.contains("/mcp"));
    let server = Server::start(port);
    assert_eq!(executed(&mcp, &echo).await, r#"succeeded {"a":1}"#);
    let port = server.stop().await;
    let server = Server::start(port);
    // A connection that broke under a call may hide the lost session: then the session was made anew already.
    let line = executed(&mcp, &echo).await;
    assert!(line.starts_with("retryable session_lost") || line.starts_with("unknown closed"), "{line}");
    assert_eq!(executed(&mcp, &echo).await, r#"succeeded {"a":1}"#);
    mcp.shutdown().await;
    server.stop().await;
}

/// Calls until the outcome is no broken connection: after its server was stopped, one may break under a call.
async fn settled(mcp: &Participants, call: &Call) -> String {
    let mut line = executed(mcp, call).await;
    for _ in 0..5 {
        if line.starts_with("unknown closed") {
            line = executed(mcp, call).await;
        }
    }
    line
}

/// Shakes hands, and then does as the test wants with calls of tools.
async fn raw(act: impl Fn() -> Act + Send + Sync + 'static) -> Wire {
    Wire::serve(move |request| match method(request).as_str() {
        "initialize" => shake_hands(request, ""),
        "tools/call" => act(),
        _ => answer("202 Accepted", "", ""),
    })
    .await
}

/// Returns the method of a request's message; empty if it is none.
pub(crate) fn method(request: &str) -> String {
    message(request)["method"].as_str().unwrap_or_default().to_owned()
}

/// Returns the message that a request carries.
pub(crate) fn message(request: &str) -> Value {
    let (_, body) = request.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body).unwrap_or_default()
}

/// Answers a request with a result or an error, `{"result": …}`, and these headers.
pub(crate) fn reply(request: &str, headers: &str, mut answered: Value) -> Act {
    answered["jsonrpc"] = "2.0".into();
    answered["id"] = message(request)["id"].clone();
    answer("200 OK", &format!("content-type: application/json\r\n{headers}"), &answered.to_string())
}

/// Answers the first request of a session.
pub(crate) fn shake_hands(request: &str, headers: &str) -> Act {
    let hello = json!({"result": {
        "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
        "serverInfo": {"name": "raw", "version": "1"},
    }});
    reply(request, headers, hello)
}

/// What the server does to a call, how the outcome's line begins, and what is in it.
type Case = (fn() -> Act, &'static str, &'static str);

#[tokio::test]
async fn every_end_of_a_post_has_its_outcome() {
    let closed = nobody().await;
    says(&executed(&at(&closed), &call(tool("echo", json!({})), json!({}))).await, "retryable refused", "");

    let sse = "content-type: text/event-stream\r\n";
    let cases: Vec<Case> = vec![
        (|| answer("429 Too Many Requests", "retry-after: 3\r\n", ""), "retryable after 3000: busy", ""),
        (|| answer("503 Service Unavailable", "retry-after: 1\r\n", ""), "unknown http_503", ""),
        (|| answer("500 Internal Server Error", "", "oh"), "unknown http_500", ""),
        (|| answer("502 Bad Gateway", "content-type: text/html\r\n", "<html>"), "unknown http_502", ""),
        (|| answer("400 Bad Request", "", "no such thing"), "failed http_400", "no such thing"),
        (|| answer("401 Unauthorized", "www-authenticate: Bearer\r\n", ""), "failed http_401", ""),
        (|| answer("403 Forbidden", "", "t0ken-of-mine is bad"), "failed http_403", "[secret] is bad"),
        (|| answer("200 OK", "content-type: application/json\r\n", "{}"), "unknown answer_invalid", ""),
        (|| answer("200 OK", "content-type: text/html\r\n", "hello"), "unknown ", ""),
        (|| Act::Close, "unknown closed", ""),
        (|| Act::Hang, "unknown timeout", ""),
    ];
    for (act, start, part) in cases {
        let wire = raw(act).await;
        let line = executed(&at(&wire.url), &call(tool("echo", json!({})), json!({"timeout_ms": 1_500}))).await;
        says(&line, start, part);
        let requests = wire.requests.lock().unwrap();
        let calls: Vec<_> = requests.iter().filter(|request| request.contains("tools/call")).collect();
        assert_eq!(calls.len(), 1, "{start}: sent {} times", calls.len());
        assert!(calls[0].contains("authorization: Bearer t0ken-of-mine"), "{}", calls[0]);
    }
    // A stream of events that ends before the answer.
    let wire = raw(move || answer("200 OK", sse, ": hello\n\n")).await;
    let line = executed(&at(&wire.url), &call(tool("echo", json!({})), json!({"timeout_ms": 1_500}))).await;
    says(&line, "unknown closed", "");
    // The head of an answer that ends early, or that does not come, has asked for a pause.
    let head = "content-type: text/event-stream\r\nretry-after: 3\r\n";
    let drips = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
    let acts: [Box<dyn Fn() -> Act + Send + Sync>; 2] = [
        Box::new(move || answer("200 OK", head, ": hello\n\n")),
        Box::new(move || Act::Drip(drips.clone(), ": still here\n\n".into())),
    ];
    for (act, code) in acts.into_iter().zip(["closed", "timeout"]) {
        let wire = raw(act).await;
        let echo = call(tool("echo", json!({})), json!({"timeout_ms": 1_500}));
        let outcome = at(&wire.url).execute(&echo, &scope(json!({}))).await.0;
        let Outcome::Unknown { error, retry_after_ms: Some(3_000) } = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.code, code);
    }
}

/// A server that refuses the handshake for now says for how long: no call comes earlier.
#[tokio::test]
async fn a_refused_handshake_keeps_the_pause_that_the_server_asks_for() {
    let first: fn(&str, Act) -> Act = |request, act| match method(request).as_str() {
        "initialize" => act,
        _ => answer("404 Not Found", "", "no handshake yet"),
    };
    let last: fn(&str, Act) -> Act = |request, act| match method(request).as_str() {
        "initialize" => shake_hands(request, "mcp-session-id: s-1\r\n"),
        "notifications/initialized" => act,
        _ => answer("202 Accepted", "", ""),
    };
    let (ra, json) = ("retry-after: 3\r\n", "content-type: application/json\r\n");
    let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "later"}}).to_string();
    let dates = "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:28:03 GMT\r\n";
    for (place, status, headers, body) in [
        (first, "429 Too Many Requests", ra.to_owned(), ""),
        (first, "429 Too Many Requests", dates.to_owned(), ""),
        (first, "429 Too Many Requests", format!("{json}{ra}"), error.as_str()),
        (first, "503 Service Unavailable", ra.to_owned(), "starting"),
        (first, "500 Oh", format!("{json}{ra}"), error.as_str()),
        (first, "403 Forbidden", format!("www-authenticate: Bearer\r\n{ra}"), "your token has no more calls"),
        (last, "429 Too Many Requests", ra.to_owned(), ""),
        (last, "503 Service Unavailable", ra.to_owned(), ""),
    ] {
        for asked in [true, false] {
            let headers = if asked { headers.clone() } else { headers.replace("etry-", "etry-not-") };
            let body = body.to_owned();
            let wire = Wire::serve(move |request| place(request, answer(status, &headers, &body))).await;
            let mcp = at(&wire.url);
            let line = executed(&mcp, &call(tool("echo", json!({})), json!({}))).await;
            says(&line, if asked { "retryable after 3000: refused: " } else { "retryable refused: " }, "");
            assert!(!wire.requests.lock().unwrap().iter().any(|request| method(request) == "tools/call"));
            mcp.shutdown().await;
        }
    }
}

/// Settings cannot say what the protocol says itself.
#[tokio::test]
async fn a_header_of_the_protocol_in_the_settings_is_refused() {
    let wire = raw(|| answer("200 OK", "", "")).await;
    for name in ["Accept", "Mcp-Session-Id", "last-event-id"] {
        let headers = BTreeMap::from([(name.to_owned(), Secret::plain("mine"))]);
        let mcp = with(Transport::McpHttp { url: Secret::plain(&wire.url), headers });
        let line = executed(&mcp, &call(tool("echo", json!({})), json!({}))).await;
        says(&line, "retryable refused: the handshake failed: Header name", &name.to_ascii_lowercase());
        mcp.shutdown().await;
    }
    assert_eq!(wire.count(), 0);
}

#[tokio::test]
async fn a_server_whose_name_does_not_resolve_is_told_from_one_that_refuses() {
    for (url, start) in
        [("http://no.such.host.invalid".to_owned(), "retryable unresolved: "), (nobody().await, "retryable refused: ")]
    {
        let mcp = at(&url);
        let (outcome, by) = mcp.execute(&call(tool("echo", json!({})), json!({})), &scope(json!({}))).await;
        says(&said(&outcome), start, "the handshake failed: ");
        assert_eq!(by.map(|by| format!("retryable {}: ", by.rule)).as_deref(), Some(start));
        mcp.shutdown().await;
    }
}
