//! Sessions over HTTP that their server does not know any more, in all the ways in which servers say so, and what looks
//! like it and is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amends::participant::Participants;
use serde_json::{Value, json};

use super::mcp_http::{at, message, method, reply, shake_hands};
use super::wire::{Act, Wire, answer};
use super::{call, executed, says, tool};
use crate::harness::eventually;

/// A server with sessions. `refuses` is given each request and whether the server knows its session, and may answer it.
/// After a restart the server knows only sessions that begin afterwards.
struct Server {
    wire: Wire,
    restarts: Arc<AtomicUsize>,
}

impl Server {
    async fn start(refuses: impl Fn(&str, bool) -> Option<Act> + Send + Sync + 'static) -> Self {
        let restarts = Arc::new(AtomicUsize::new(1));
        let current = Arc::clone(&restarts);
        let wire = Wire::serve(move |request| {
            let session = format!("mcp-session-id: s-{}\r\n", current.load(Ordering::SeqCst));
            let method = method(request);
            let knows = method == "initialize" || request.contains(&session);
            if let Some(act) = refuses(request, knows) {
                return act;
            }
            match method.as_str() {
                "initialize" => shake_hands(request, &session),
                "ping" => reply(request, "", json!({"result": {}})),
                "tools/call" => reply(request, "", json!({"result": {"content": []}})),
                _ => answer("202 Accepted", "", ""),
            }
        })
        .await;
        Self { wire, restarts }
    }

    fn restart(&self) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self, what: &str) -> usize {
        self.wire.requests.lock().unwrap().iter().filter(|request| method(request) == what).count()
    }
}

async fn echo(mcp: &Participants) -> String {
    with_effect(mcp, "idempotent").await
}

async fn with_effect(mcp: &Participants, effect: &str) -> String {
    executed(mcp, &call(tool("echo", json!({})), json!({"timeout_ms": 60_000, "effect": effect}))).await
}

fn json_of(status: &str, body: &Value) -> Act {
    answer(status, "content-type: application/json\r\n", &body.to_string())
}

/// An error as servers without the session write it.
fn no_session(id: Value) -> Value {
    let error = json!({"code": -32000, "message": "Bad Request: No valid session ID provided"});
    json!({"jsonrpc": "2.0", "id": id, "error": error})
}

#[tokio::test]
async fn a_session_that_is_refused_in_any_way_is_begun_again_and_once_is_not_repeated() {
    let refusals: [fn(&str) -> Act; 9] = [
        // server-everything and other servers of the TypeScript SDK after a restart.
        |_| json_of("400 Bad Request", &no_session(Value::Null)),
        |_| answer("404 Not Found", "", "no such session"),
        |_| answer("401 Unauthorized", "www-authenticate: Bearer\r\n", "unknown session"),
        |_| answer("410 Gone", "", ""),
        |_| answer("200 OK", "content-type: text/plain\r\n", "Session not found"),
        |request| json_of("422 Unprocessable Entity", &no_session(message(request)["id"].clone())),
        |request| json_of("200 OK", &no_session(message(request)["id"].clone())),
        // Of the Python SDK, whose errors have this id.
        |_| json_of("200 OK", &no_session(json!("server-error"))),
        |_| {
            let events = format!("data: {}\n\n", no_session(Value::Null));
            answer("200 OK", "content-type: text/event-stream\r\n", &events)
        },
    ];
    for refusal in refusals {
        let server = Server::start(move |request, knows| (!knows).then(|| refusal(request))).await;
        let mcp = at(&server.wire.url);
        assert_eq!(echo(&mcp).await, "succeeded null");
        // A proxy may have sent the call to the process before: what may not be repeated is in doubt.
        let effects = ["read_only", "idempotent", "once"];
        let ends = ["retryable session_lost: ", "retryable session_lost: ", "unknown session_refused: "];
        for (restart, (effect, end)) in (1..).zip(effects.into_iter().zip(ends)) {
            server.restart();
            says(&with_effect(&mcp, effect).await, end, "does not know the session any more");
            assert_eq!(server.count("tools/call"), 2 * restart, "the call was sent once");
            assert_eq!(echo(&mcp).await, "succeeded null");
            assert_eq!(server.count("initialize"), restart + 1);
        }
        mcp.shutdown().await;
    }
}

/// A refusal that is the tool's own, or everybody's, is not taken for one of the session.
#[tokio::test]
async fn a_refusal_that_is_not_the_sessions_stands_by_its_own_rule() {
    let calls_alone = |request: &str| method(request) == "tools/call";
    type Case = (fn(&str, bool) -> Option<Act>, fn(&str) -> bool, &'static str, [usize; 2]);
    let all = |_: &str| true;
    let cases: [Case; 4] = [
        // The session answers a ping: it is the call that was refused.
        (|_, _| Some(answer("400 Bad Request", "", "no such customer")), calls_alone, "failed http_400: ", [1, 3]),
        (
            |request, _| Some(json_of("200 OK", &no_session(message(request)["id"].clone()))),
            calls_alone,
            "errored protocol_error: ",
            [1, 3],
        ),
        // Another refusal of the session than of the call: the call may have been carried out.
        (
            |request, knows| match method(request).as_str() {
                "tools/call" => Some(answer("422 Unprocessable Entity", "", "rejected after the effect")),
                _ => (!knows).then(|| answer("400 Bad Request", "", "no session")),
            },
            all,
            "failed http_422: ",
            [2, 3],
        ),
        // A credential that has expired is refused in any session, and when one begins: a third call is not even sent.
        (
            |request, knows| {
                let expired = !knows || request.contains("s-2\r\n") || method(request) == "tools/call";
                expired.then(|| answer("401 Unauthorized", "", "token expired"))
            },
            all,
            "failed http_401: ",
            [3, 2],
        ),
    ];
    for (refuses, of, start, [sessions, calls]) in cases {
        let server = Server::start(move |request, knows| of(request).then(|| refuses(request, knows)).flatten()).await;
        let mcp = at(&server.wire.url);
        // The session begins, and its server forgets it.
        let warm = executed(&mcp, &call(tool("echo", json!({})), json!({}))).await;
        says(&warm, start, "");
        if sessions > 1 {
            server.restart();
        }
        says(&echo(&mcp).await, start, "");
        let _ = echo(&mcp).await;
        assert_eq!(server.count("initialize"), sessions, "{start}");
        assert_eq!(server.count("tools/call"), calls, "{start}");
        mcp.shutdown().await;
    }
}

/// A gateway whose server has died may say so in every answer of the session, also to a call that was carried out: the
/// session is begun again, and the error proves nothing.
#[tokio::test]
async fn an_error_that_names_no_request_ends_the_session_and_proves_nothing() {
    let error = json!({"code": -32603, "message": "the server behind has ended"});
    let error = json!({"jsonrpc": "2.0", "id": null, "error": error});
    let server = Server::start(move |_, knows| (!knows).then(|| json_of("200 OK", &error))).await;
    let mcp = at(&server.wire.url);
    assert_eq!(echo(&mcp).await, "succeeded null");
    server.restart();
    says(&echo(&mcp).await, "unknown protocol_unnamed: ", "the server behind has ended");
    eventually("a session that is answered", async || echo(&mcp).await == "succeeded null").await;
    assert_eq!(server.count("initialize"), 2);
    mcp.shutdown().await;
}

/// A balancer that sends the requests of a session to a server that has died says so for ever, in words of its own.
/// They prove nothing, whatever the definition says of errors, and the session is begun again.
#[tokio::test]
async fn a_session_whose_gateway_answers_is_begun_again() {
    let rpc = |id: Value, code: i64| json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "?"}});
    type Case = (fn(&str, &dyn Fn(Value, i64) -> Value) -> Act, &'static str);
    let cases: [Case; 8] = [
        // An exchange that ends without an answer.
        (|_, _| answer("200 OK", "content-type: text/event-stream\r\n", ""), "unknown closed: "),
        (|_, _| answer("200 OK", "content-type: text/event-stream\r\n", ": hello\n\n"), "unknown closed: "),
        (|_, _| answer("502 Bad Gateway", "content-type: text/html\r\n", "<html>"), "unknown http_502: "),
        (|_, _| answer("503 Service Unavailable", "", ""), "unknown http_503: "),
        (|_, _| answer("200 OK", "content-type: text/html\r\n", "<html>"), "unknown answer_invalid: "),
        (|_, rpc| json_of("200 OK", &rpc(Value::Null, -32600)), "unknown protocol_unnamed: "),
        (|_, rpc| json_of("502 Bad Gateway", &rpc(Value::Null, -32603)), "unknown http_502: "),
        (|request, rpc| json_of("502 Bad Gateway", &rpc(message(request)["id"].clone(), -32700)), "unknown http_502: "),
    ];
    for ((act, start), effect) in cases.into_iter().flat_map(|case| [(case, "idempotent"), (case, "once")]) {
        let server = Server::start(move |request, knows| match request.starts_with("GET ") {
            true => Some(answer("405 Method Not Allowed", "", "")),
            false => (!knows).then(|| act(request, &rpc)),
        })
        .await;
        let mcp = at(&server.wire.url);
        assert_eq!(echo(&mcp).await, "succeeded null");
        server.restart();
        let definite = json!({"errors": "definite", "effect": effect});
        says(&executed(&mcp, &call(tool("echo", json!({})), definite)).await, start, "");
        assert_eq!(server.count("tools/call"), 2, "{start}: it was sent once");
        eventually("a session that is answered", async || echo(&mcp).await == "succeeded null").await;
        assert_eq!(server.count("initialize"), 2, "{start}");
        mcp.shutdown().await;
    }
}

/// A server that was started again while nothing was asked of it: a call that may not be repeated does not find that
/// out.
#[tokio::test]
async fn a_session_is_asked_for_before_a_call_that_may_not_be_repeated() {
    let server = Server::start(|_, knows| (!knows).then(|| answer("404 Not Found", "", "no such session"))).await;
    let mcp = at(&server.wire.url);
    assert_eq!(with_effect(&mcp, "once").await, "succeeded null");
    assert_eq!(server.count("ping"), 0, "it was known a moment ago");
    server.restart();
    // As long as a session counts as known.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(with_effect(&mcp, "once").await, "succeeded null");
    assert_eq!((server.count("tools/call"), server.count("initialize"), server.count("ping")), (2, 2, 1));
    mcp.shutdown().await;
}

/// A server leaves the requests of an old session without any answer: the call is in doubt, and the next calls get a
/// session that the server answers.
#[tokio::test]
async fn a_session_that_is_not_answered_any_more_is_begun_again() {
    let server = Server::start(|_, knows| (!knows).then_some(Act::Hang)).await;
    let mcp = at(&server.wire.url);
    assert_eq!(echo(&mcp).await, "succeeded null");
    server.restart();
    let quick = call(tool("echo", json!({})), json!({"timeout_ms": 300}));
    says(&executed(&mcp, &quick).await, "unknown timeout", "");
    eventually("a session that is answered", async || executed(&mcp, &quick).await == "succeeded null").await;
    assert_eq!(server.count("initialize"), 2);
    mcp.shutdown().await;
}

/// The newest protocol has no sessions. What may change under a client is which versions the server speaks: it is asked
/// again, and the call was not carried out.
#[tokio::test]
async fn a_version_that_is_refused_is_asked_for_again() {
    let discovered = Arc::new(AtomicUsize::new(0));
    let (current, restarts) = (Arc::clone(&discovered), Arc::new(AtomicUsize::new(1)));
    let wanted = Arc::clone(&restarts);
    let wire = Wire::serve(move |request| {
        let id = message(request)["id"].clone();
        let error = |code: i64| {
            let error = json!({"code": code, "message": "no", "data": {"supported": ["2026-07-28"]}});
            json_of("400 Bad Request", &json!({"jsonrpc": "2.0", "id": id, "error": error}))
        };
        let wanted = wanted.load(Ordering::SeqCst);
        match method(request).as_str() {
            "initialize" => error(-32601),
            "server/discover" => {
                current.store(wanted, Ordering::SeqCst);
                let hello = json!({"result": {
                    "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
                    "capabilities": {"tools": {}}, "cacheScope": "private",
                }});
                reply(request, "", hello)
            }
            _ if current.load(Ordering::SeqCst) != wanted => error(-32022),
            "tools/list" => reply(request, "", json!({"result": {"resultType": "complete", "tools": []}})),
            "tools/call" => {
                let named = request.contains("mcp-method: tools/call") && request.contains("mcp-name: echo");
                reply(request, "", json!({"result": {"resultType": "complete", "structuredContent": named}}))
            }
            _ => answer("202 Accepted", "", ""),
        }
    })
    .await;
    let server = Server { wire, restarts };
    let mcp = at(&server.wire.url);
    assert_eq!(echo(&mcp).await, "succeeded true");
    server.restart();
    says(&echo(&mcp).await, "retryable session_lost: ", "");
    assert_eq!(echo(&mcp).await, "succeeded true");
    assert_eq!((server.count("tools/call"), server.count("server/discover")), (3, 2));
    mcp.shutdown().await;
}

/// A server of the newest protocol that answers nothing: it is asked for its tools, and then discovered anew.
#[tokio::test]
async fn silence_of_the_newest_protocol_is_checked_by_its_list_of_tools() {
    let restarts = Arc::new(AtomicUsize::new(1));
    let (discovered, current) = (AtomicUsize::new(0), Arc::clone(&restarts));
    let wire = Wire::serve(move |request| {
        let current = current.load(Ordering::SeqCst);
        match method(request).as_str() {
            "initialize" => {
                let id = message(request)["id"].clone();
                let error = json!({"code": -32601, "message": "no"});
                json_of("400 Bad Request", &json!({"jsonrpc": "2.0", "id": id, "error": error}))
            }
            "server/discover" => {
                discovered.store(current, Ordering::SeqCst);
                let hello = json!({"result": {
                    "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
                    "capabilities": {"tools": {}}, "cacheScope": "private",
                }});
                reply(request, "", hello)
            }
            _ if discovered.load(Ordering::SeqCst) != current => Act::Hang,
            "tools/call" => reply(request, "", json!({"result": {"resultType": "complete", "content": []}})),
            _ => answer("202 Accepted", "", ""),
        }
    })
    .await;
    let server = Server { wire, restarts };
    let mcp = at(&server.wire.url);
    assert_eq!(echo(&mcp).await, "succeeded null");
    server.restart();
    let quick = call(tool("echo", json!({})), json!({"timeout_ms": 300}));
    says(&executed(&mcp, &quick).await, "unknown timeout", "");
    eventually("a server that answers", async || executed(&mcp, &quick).await == "succeeded null").await;
    assert!(server.count("tools/list") > 0);
    assert_eq!(server.count("server/discover"), 2);
    mcp.shutdown().await;
}
