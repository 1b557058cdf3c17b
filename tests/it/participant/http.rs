//! Plain HTTP participants against a server that misbehaves on the wire.

use std::collections::BTreeMap;

use amends::participant::{Limits, Participants, Secret, Transport};
use amends::saga::definition::Call;
use serde_json::{Value, json};

use super::wire::{Act, Wire, answer, nobody};
use super::{call, executed, probed, says, with, with_limits};

fn at(url: &str) -> Participants {
    with(Transport::Http { url: Secret::plain(url), headers: BTreeMap::new() })
}

fn post(path: &str) -> Value {
    json!({"http": {"participant": "it", "method": "POST", "path": path, "body": {"id": "${ input.id }"}}})
}

fn get(path: &str) -> Value {
    json!({"http": {"participant": "it", "method": "GET", "path": path}})
}

/// Serves by the last part of the path.
async fn misbehaving() -> Wire {
    Wire::serve(|request| {
        let path = request.split([' ', '?']).nth(1).unwrap_or("");
        match path.rsplit('/').next().unwrap_or("") {
            "good" => answer("200 OK", "content-type: application/json\r\n", r#"{"id":"ch_1","n":1.10}"#),
            "empty" => answer("204 No Content", "", ""),
            "text" => answer("200 OK", "content-type: text/plain\r\n", "Failed to create it"),
            "gone" => answer("404 Not Found", "", r#"{"error":"no such booking"}"#),
            "in-use" => answer("409 Conflict", "", r#"{"code":"idempotency_key_in_use"}"#),
            "conflict" => answer("409 Conflict", "", "the booking is closed"),
            "busy" => answer("429 Too Many Requests", "Retry-After: 7\r\n", ""),
            "accepted" => answer("202 Accepted", "Retry-After: 5\r\n", "{}"),
            "later" => answer("503 Service Unavailable", "Retry-After: 2\r\n", ""),
            "down" => answer("503 Service Unavailable", "", ""),
            "broken" => answer("500 Internal Server Error", "", "stack trace"),
            "moved" => answer("302 Found", "location: /good\r\n", ""),
            "elsewhere" => answer("307 Temporary Redirect", "location: /good\r\n", ""),
            "cut" => Act::Answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":".into()),
            "cut-head" => Act::Answer("HTTP/1.1 200 O".into()),
            "nonsense" => Act::Answer("SSH-2.0-OpenSSH_9.2\r\n".into()),
            "close" => Act::Close,
            "big" => answer("200 OK", "", &format!("\"{}\"", "x".repeat(5_000))),
            "deep" => answer("200 OK", "", &format!("{}{}", "[".repeat(5_000), "]".repeat(5_000))),
            "echo" => answer("400 Bad Request", "", request.split("authorization: ").nth(1).unwrap_or("none")),
            _ => Act::Hang,
        }
    })
    .await
}

#[tokio::test]
async fn every_end_of_a_request_has_its_outcome() {
    let wire = misbehaving().await;
    let limits = Limits { answer_bytes_max: 4_000, ..Limits::default() };
    let http = with_limits(Transport::Http { url: Secret::plain(&wire.url), headers: BTreeMap::new() }, limits);
    for (path, start, part) in [
        ("good", "succeeded ", r#"{"id":"ch_1","n":1.10}"#),
        ("empty", "succeeded null", ""),
        ("text", "succeeded \"Failed to create it\"", ""),
        ("gone", "failed http_404: ", "no such booking"),
        ("in-use", "unknown key_conflict: ", "in_use"),
        ("conflict", "unknown key_conflict: ", "closed"),
        ("busy", "retryable after 7000: busy: HTTP 429", ""),
        ("later", "unknown http_503", ""),
        ("down", "unknown http_503", ""),
        ("broken", "unknown http_500: ", "stack trace"),
        ("moved", "unknown http_302", ""),
        ("elsewhere", "failed http_307: ", "redirects are not followed"),
        ("cut", "unknown answer_incomplete: ", "did not arrive whole"),
        ("cut-head", "unknown closed: ", ""),
        ("nonsense", "unknown closed: ", ""),
        ("close", "unknown closed: ", ""),
        ("big", "unknown answer_too_large: ", "4000 bytes"),
        ("hang", "unknown timeout: ", ""),
    ] {
        let before = wire.count();
        let line = executed(&http, &call(post(&format!("/v1/{path}")), json!({"timeout_ms": 500}))).await;
        says(&line, start, part);
        assert_eq!(wire.count(), before + 1, "{path} was sent more than once");
    }
    let limits = Limits { answer_bytes_max: 20_000, ..Limits::default() };
    let http = with_limits(Transport::Http { url: Secret::plain(&wire.url), headers: BTreeMap::new() }, limits);
    says(&executed(&http, &call(post("/deep"), json!({}))).await, "unknown answer_invalid", "nests deeper");
}

#[tokio::test]
async fn what_was_never_sent_has_definitely_failed() {
    let nobody = nobody().await;
    let line = executed(&at(&nobody), &call(post("/x"), json!({}))).await;
    says(&line, "retryable refused: no connection, nothing was sent", "");
    assert!(!line.contains("/x"), "{line}");
    let line = executed(&at("http://no.such.host.invalid"), &call(post("/x"), json!({}))).await;
    says(&line, "retryable unresolved: ", "nothing was sent");

    let wire = misbehaving().await;
    // Nobody speaks TLS there: the handshake fails before the request.
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secure = at(&format!("https://{}", plain.local_addr().unwrap()));
    tokio::spawn(async move { while plain.accept().await.is_ok() {} });
    says(&executed(&secure, &call(post("/x"), json!({}))).await, "retryable refused: ", "");
    for (target, part) in [
        (post("/${ input.name }"), "`input.name`"),
        (post("/../good"), "leads elsewhere"),
        (post("/good?x=1"), "`query`"),
        (json!({"http": {"participant": "it", "method": "POST", "path": "/good", "headers": {"x": "a\nb"}}}), "header"),
        (json!({"http": {"participant": "it", "method": "PURGE", "path": "/good"}}), "PURGE"),
    ] {
        let line = executed(&at(&wire.url), &call(target, json!({}))).await;
        says(&line, "failed ", part);
    }
    let limits = Limits { arguments_bytes_max: 5, ..Limits::default() };
    let small = with_limits(Transport::Http { url: Secret::plain(&wire.url), headers: BTreeMap::new() }, limits);
    let line = executed(&small, &call(post("/good"), json!({}))).await;
    says(&line, "failed arguments_too_large: ", "at most 5 bytes");
    assert_eq!(wire.count(), 0);

    let other = json!({"http": {"participant": "other", "method": "GET", "path": "/"}});
    says(&executed(&small, &call(other, json!({}))).await, "retryable missing", "\"other\"");
}

#[tokio::test]
async fn requests_carry_what_the_definition_says_and_the_key() {
    let wire = misbehaving().await;
    let secret = Secret::sensitive("Bearer t0ken-of-mine", vec!["t0ken-of-mine".into()]);
    let headers = BTreeMap::from([("Authorization".to_owned(), secret)]);
    let http = with(Transport::Http { url: Secret::plain(format!("{}/api", wire.url)), headers });
    let target = json!({"http": {
        "participant": "it", "method": "PATCH", "path": "/rooms/${ input.id }/good",
        "query": {"at": "${ attempt }", "q": "a&b"}, "headers": {"X-Saga": "s-${ saga }"},
        "body": {"id": "${ input.id }", "list": [1, "${ key }"]},
    }});
    says(&executed(&http, &call(target, json!({}))).await, "succeeded", "ch_1");
    let request = wire.last();
    for part in [
        "PATCH /api/rooms/b%201/good?at=0&q=a%26b HTTP/1.1\r\n",
        "authorization: Bearer t0ken-of-mine\r\n",
        "idempotency-key: saga/step/action/0\r\n",
        "x-saga: s-00000000-0000-0000-0000-000000000000\r\n",
        "content-type: application/json\r\n",
        "\r\n\r\n{\"id\":\"b 1\",\"list\":[1,\"saga/step/action/0\"]}",
    ] {
        assert!(request.contains(part), "no {part:?} in {request}");
    }
    // A participant that repeats a secret does not get it into the journal.
    let echoed = executed(&http, &call(get("/echo"), json!({}))).await;
    says(&echoed, "failed http_400", "[secret]");
    assert!(!echoed.contains("t0ken"), "{echoed}");
}

#[tokio::test]
async fn probes_ask_without_the_key_and_read_a_404() {
    let wire = misbehaving().await;
    let http = at(&wire.url);
    let probe = |path: &str| {
        json!({
            "target": get(path), "applied": "result.id == 'ch_1'", "absent": "status == 404",
            "output": "${ result.id }", "timeout_ms": 300,
        })
    };
    assert_eq!(probed(&http, probe("/good")).await, "applied \"ch_1\"");
    assert!(!wire.last().contains("idempotency-key"), "{}", wire.last());
    assert_eq!(probed(&http, probe("/gone")).await, "absent");
    says(&probed(&http, probe("/conflict")).await, "inconclusive", "");
    says(&probed(&http, probe("/broken")).await, "inconclusive http_500", "");
    says(&probed(&http, probe("/hang")).await, "inconclusive timeout", "");
}

#[tokio::test]
async fn accepted_is_done_unless_the_definition_says_pending() {
    let wire = misbehaving().await;
    assert_eq!(executed(&at(&wire.url), &call(post("/accepted"), json!({}))).await, "succeeded {}");
    let rules = json!({"classify": [{"when": "status == 202", "outcome": "pending"}]});
    assert_eq!(executed(&at(&wire.url), &call(post("/accepted"), rules)).await, "pending Some(5000)");
}

#[tokio::test]
async fn a_slow_participant_delays_only_its_own_callers() {
    let wire = misbehaving().await;
    let limits = Limits { concurrency_max: 2, ..Limits::default() };
    let http = with_limits(Transport::Http { url: Secret::plain(&wire.url), headers: BTreeMap::new() }, limits);
    let hang = call(get("/hang"), json!({"timeout_ms": 400}));
    // Its time is shorter than it has to wait for its place.
    let waits = call(get("/good"), json!({"timeout_ms": 200}));
    let placed = async |call: &Call| {
        let _place = http.place(&call.target).await;
        executed(&http, call).await
    };
    let (first, second, third) = tokio::join!(placed(&hang), placed(&hang), placed(&waits));
    says(&first, "unknown timeout", "");
    says(&second, "unknown timeout", "");
    says(&third, "succeeded", "");
    assert!(wire.last().starts_with("GET /good"), "{}", wire.last());
}

#[tokio::test]
async fn settings_are_refused_with_every_fault_and_no_secret() {
    let headers = BTreeMap::from([
        ("bad name".to_owned(), Secret::plain("x")),
        ("x-key".to_owned(), Secret::sensitive("s3cret\n", vec!["s3cret".into()])),
    ]);
    let config = |name: &str, url: &str| amends::participant::ParticipantConfig {
        name: name.into(),
        transport: Transport::Http { url: Secret::plain(url), headers: headers.clone() },
        limits: Limits::default(),
        answers: Default::default(),
    };
    let configs = vec![config("a", "ftp://host"), config("b", "http://user:pass@host"), config("c", "nonsense")];
    let runtime = tokio::runtime::Handle::current();
    let faults = Participants::new(configs, amends::participant::Handlers::new(), &runtime).unwrap_err();
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 9, "{lines:#?}");
    says(&lines[0], "participants.a.url: ", "\"ftp\"");
    says(&lines[3], "participants.b.url: ", "Authorization");
    assert!(lines.iter().all(|line| !line.contains("s3cret") && !line.contains("pass@")), "{lines:#?}");
}

/// What a saga is given may become a part of a path, and never the name of a host.
#[tokio::test]
async fn an_expression_cannot_reach_another_host() {
    let (wire, elsewhere) = (misbehaving().await, misbehaving().await);
    let secret = Secret::sensitive("Bearer t0ken-of-mine", vec!["t0ken-of-mine".into()]);
    let headers = BTreeMap::from([("Authorization".to_owned(), secret)]);
    let http = with(Transport::Http { url: Secret::plain(&wire.url), headers });
    let other = elsewhere.url.trim_start_matches("http://");
    for given in [format!("/{other}/good"), format!("//{other}/good"), elsewhere.url.clone(), format!("@{other}/good")]
    {
        for path in ["${ input.id }", "/${ input.id }", "${ input.id }/good"] {
            let scope = super::scope(json!({ "id": given }));
            // Refused or sent below the base: both will do.
            http.execute(&call(post(path), json!({"timeout_ms": 500})), &scope).await;
        }
    }
    // A header says what host is meant, too, and whose request it is, and where it ends.
    let scope = super::scope(json!({ "id": other }));
    let with_header = |name: &str| {
        let mut target = post("/good");
        target["http"]["headers"] = json!({ name: "${ input.id }" });
        call(target, json!({}))
    };
    let before = wire.count();
    for name in [
        "Host",
        "hOST",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Idempotency-Key",
        "traceparent",
    ] {
        let line = super::said(&http.execute(&with_header(name), &scope).await.0);
        says(&line, "failed arguments: a definition cannot set the header", name);
    }
    assert_eq!(wire.count(), before, "nothing was sent");
    for name in ["authorization", "AUTHORIZATION"] {
        says(&super::said(&http.execute(&with_header(name), &scope).await.0), "succeeded", "");
        assert!(wire.last().contains("authorization: Bearer t0ken-of-mine\r\n"), "{}", wire.last());
        assert_eq!(wire.last().matches("uthorization: ").count(), 1, "{}", wire.last());
    }
    assert_eq!(elsewhere.count(), 0, "{:?}", elsewhere.requests.lock().unwrap());
    for request in wire.requests.lock().unwrap().iter() {
        let host = wire.url.trim_start_matches("http://");
        assert!(request.to_ascii_lowercase().contains(&format!("host: {host}")), "{request}");
    }
}

/// A server decodes a path before it splits it, as WSGI does: a value never reaches a resource beside its own. The
/// request does not leave.
#[tokio::test]
async fn a_value_in_a_path_cannot_reach_another_resource() {
    let wire = misbehaving().await;
    let http = at(&wire.url);
    let delete = json!({"http": {"participant": "it", "method": "DELETE", "path": "/users/${ input.id }"}});
    for given in ["", "/", "..", "../admin", "..%2F..%2Fadmin", "%2e%2e", "%252e%252e", "a/./b", "..\\admin", "..;/x"] {
        let scope = super::scope(json!({ "id": given }));
        let line = super::said(&http.execute(&call(delete.clone(), json!({})), &scope).await.0);
        says(&line, "failed expression: `input.id`: expected a value for one segment", "");
    }
    assert_eq!(wire.count(), 0, "nothing was sent");
    // A query has no segments, and a slash in a value is a part of the value.
    let mut query = get("/good");
    query["http"]["query"] = json!({ "a": "${ input.id }" });
    for given in ["", "..", "../admin"] {
        let scope = super::scope(json!({ "id": given }));
        says(&super::said(&http.execute(&call(query.clone(), json!({})), &scope).await.0), "succeeded", "");
    }
    let scope = super::scope(json!({ "id": "a/b" }));
    http.execute(&call(delete, json!({"timeout_ms": 300})), &scope).await;
    assert!(wire.last().starts_with("DELETE /users/a%2Fb "), "{}", wire.last());
}
