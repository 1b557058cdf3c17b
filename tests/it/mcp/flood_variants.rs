//! The floods again, in the other forms that HTTP has for them: other versions, methods and paths, endless heads,
//! trailers and chunk extensions, requests one behind the other, answers that nobody reads, and streams that stay open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::agent::Agent;
use super::floods::{Flood, head, initialize, runs, small_node, unharmed};
use super::home::Home;

/// How a stranger begins, and how it goes on.
struct Form {
    name: String,
    first: Arc<[u8]>,
    trickle: &'static [u8],
    /// It reads no answer.
    deaf: bool,
}

fn form(name: impl Into<String>, first: impl Into<Vec<u8>>, trickle: &'static [u8]) -> Form {
    Form { name: name.into(), first: first.into().into(), trickle, deaf: false }
}

fn deaf(name: &str, first: String) -> Form {
    Form { deaf: true, ..form(name, first, b"") }
}

fn forms() -> Vec<Form> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let short =
        "POST /mcp HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n";
    let call = |body: String| format!("{}{body}", head("POST", "/mcp", &format!("Content-Length: {}\r\n", body.len())));
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }).to_string();
    let upgrade = "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let mut all = vec![
        form("HTTP/1.0, a body without end", format!("{short}\r\n"), b" "),
        form("HTTP/1.0, a head without end", "GET /readyz HTTP/1.0\r\n", b"x: y\r\n"),
        form("HTTP/0.9", "GET /mcp\r\n", b"x"),
        form("trailers without end", format!("{}0\r\n", head("POST", "/mcp", chunked)), b"x: y\r\n"),
        form("a chunk extension without end", format!("{}1;", head("POST", "/mcp", chunked)), b"a=b;"),
        form("a chunk size without end", head("POST", "/mcp", chunked), b"0"),
        form("chunks of one byte", head("POST", "/mcp", chunked), b"1\r\n \r\n1\r\n \r\n1\r\n \r\n"),
        form("many headers", format!("GET /healthz HTTP/1.1\r\n{}", "a: b\r\n".repeat(20_000)), b"a: b\r\n"),
        form("a long header", format!("GET /healthz HTTP/1.1\r\nx: {}", "a".repeat(1_000_000)), b"a"),
        form("a long line", format!("GET /{}", "a".repeat(1_000_000)), b"a"),
        form("two lengths", head("POST", "/mcp", "Content-Length: 5\r\nContent-Length: 1000000\r\n"), b" "),
        form("a length and chunks", head("POST", "/mcp", &format!("Content-Length: 9\r\n{chunked}")), b"1\r\n \r\n"),
        form("a length that overflows", head("POST", "/mcp", "Content-Length: 99999999999999999999\r\n"), b" "),
        form(
            "a body that waits for 100",
            head("POST", "/mcp", "Expect: 100-continue\r\nContent-Length: 900000\r\n"),
            b"",
        ),
        form("an upgrade", head("POST", "/mcp", &format!("{upgrade}{chunked}")), b"1\r\n \r\n"),
        form("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\x04\0\0\0\0\0"),
        form("TLS", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\0"),
        form("nothing", "", b""),
        form("empty lines", "\r\n", b"\r\n"),
        deaf("metrics that nobody reads", head("GET", "/metrics", "").repeat(200)),
        deaf("lists of tools that nobody reads", call(list).repeat(200)),
        deaf("sessions that nobody reads", call(initialize(10)).repeat(200)),
        deaf("refusals that nobody reads", head("GET", "/nowhere", "").repeat(2_000)),
    ];
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
        all.push(form(format!("{method} /mcp"), head(method, "/mcp", chunked), b"1\r\n \r\n"));
    }
    for path in [
        "/metrics",
        "/readyz",
        "/mcp/",
        "/mcp/x",
        "/MCP",
        "//mcp",
        "/%6dcp",
        "*",
        "http://localhost/mcp",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        all.push(form(format!("POST {path}"), head("POST", path, chunked), b"1\r\n \r\n"));
    }
    all
}

impl Form {
    fn begin(&self, address: &str, strangers: usize) -> Flood {
        match self.deaf {
            false => Flood::begin(address, strangers, self.first.clone(), self.trickle),
            true => Flood::begin_deaf(address, strangers, self.first.clone()),
        }
    }
}

/// Each form alone, on few connections: it is closed in time, so that what no flood holds open, no trickle does.
#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_a_request_holds_a_connection_for_long() {
    let home = Home::with("forms", "mcp: { requests_per_minute: 100000 }\n").await;
    let node = home.node(&[]);
    let address = node.address().to_owned();
    let held = forms().into_iter().filter(|form| !form.deaf).map(|form| {
        let address = address.clone();
        async move {
            let begun = Instant::now();
            let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            let _ = stream.write_all(&form.first).await;
            let mut heard = [0; 4_096];
            // A keep-alive after a whole answer is 30 s; what has no end is closed before.
            while begun.elapsed() < Duration::from_secs(50) {
                if !form.trickle.is_empty() && stream.write_all(form.trickle).await.is_err() {
                    break;
                }
                let read = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut heard)).await;
                if matches!(read, Ok(Ok(0) | Err(_))) {
                    break;
                }
            }
            (form.name, begun.elapsed())
        }
    });
    let held = futures_util::future::join_all(held).await;
    let late: Vec<_> = held.into_iter().filter(|(_, held)| *held > Duration::from_secs(40)).collect();
    assert!(late.is_empty(), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_a_flood_leaves_a_small_node_at_work() {
    amends::files::raise_limit().unwrap();
    let home = Home::with("variants", "mcp: { requests_per_minute: 100000 }\n").await;
    let node = small_node(&home);
    let forms = forms();
    for some in forms.chunks(7) {
        let names = some.iter().map(|form| form.name.as_str()).collect::<Vec<_>>().join(", ");
        let floods: Vec<_> = some.iter().map(|form| form.begin(node.address(), 80)).collect();
        for flood in &floods {
            flood.have_come(80).await;
        }
        unharmed(&home, &node, &names).await;
        for flood in floods {
            flood.end().await;
        }
    }
    let floods: Vec<_> = forms.iter().map(|form| form.begin(node.address(), 20)).collect();
    for flood in &floods {
        flood.have_come(20).await;
    }
    for round in 0..3 {
        unharmed(&home, &node, &format!("all forms {round}")).await;
    }
    for flood in floods {
        flood.end().await;
    }
}

/// Streams that a client keeps open fill the part of its address, and no more: others are answered, sagas run.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_stay_open_close_no_other_address_out() {
    amends::files::raise_limit().unwrap();
    let home = Home::with("streams", "mcp: { requests_per_minute: 100000 }\n").await;
    let node = small_node(&home);
    let mut open = Vec::new();
    for _ in 0..8 {
        let streams = (0..50).map(|_| async {
            let body = initialize(10);
            let accept = "application/json, text/event-stream";
            let post = reqwest::Client::new().post(&node.url).header("accept", accept);
            let begun = post.header("content-type", "application/json").body(body).send().await.ok()?;
            let session = begun.headers().get("mcp-session-id")?.clone();
            drop(begun);
            let stream = reqwest::Client::new().get(&node.url).header("accept", "text/event-stream");
            let stream = stream.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25");
            stream.send().await.ok().filter(|answer| answer.status() == 200)
        });
        open.extend(futures_util::future::join_all(streams).await.into_iter().flatten());
    }
    println!("{} streams are open", open.len());
    assert!((50..200).contains(&open.len()), "{} streams are open", open.len());
    let other = Agent::of_new(&node.url).from("127.0.0.9");
    for _ in 0..10 {
        assert_eq!(other.tools_under(&[]).await.status, 200);
    }
    let done = other.call("hotel_checkout", json!({ "guest": "beside the streams" })).await;
    assert_eq!(done["structuredContent"]["status"], "completed", "{done}");
    runs(&home, &node, "streams").await;
    // They are streams indeed, and end with their clients; then the address has room again.
    drop(open);
    crate::harness::eventually("the address has room again", async || {
        let answer = reqwest::Client::new().get(node.url.replace("/mcp", "/healthz")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
}
