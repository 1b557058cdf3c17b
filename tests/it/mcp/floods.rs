//! Strangers who try to take a node down: connections that trickle, bodies that lack their end, sessions without end,
//! and no free file descriptor. Beside each of them a saga that is started completes, and the node keeps its memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::home::{Home, Node};
use crate::harness::eventually;

/// Most memory of a node under any flood, in MiB.
const MEMORY_MIB_MAX: u64 = 256;

/// A node that may open 1,024 files at most.
pub(super) fn small_node(home: &Home) -> Node {
    let amends = home.amends(&["serve", "--json"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 1024; exec \"$0\" serve --json"]).arg(amends.get_program());
    command.current_dir(&home.folder).stdin(std::process::Stdio::null());
    for (name, value) in amends.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Node::spawn(command)
}

/// Strangers. Each does the same again and again until the test tells it to stop.
pub(super) struct Flood {
    over: Arc<AtomicBool>,
    /// How often one of them got a connection.
    connected: Arc<AtomicUsize>,
    strangers: Vec<tokio::task::JoinHandle<()>>,
}

impl Flood {
    /// Connections that send this, and then go on with a little of that. One that is closed is opened again.
    pub(super) fn begin(address: &str, strangers: usize, first: Arc<[u8]>, trickle: &'static [u8]) -> Self {
        Self::of(address, strangers, first, Some(trickle))
    }

    /// Connections that send this and read no answer.
    pub(super) fn begin_deaf(address: &str, strangers: usize, first: Arc<[u8]>) -> Self {
        Self::of(address, strangers, first, None)
    }

    fn of(address: &str, strangers: usize, first: Arc<[u8]>, trickle: Option<&'static [u8]>) -> Self {
        let (over, connected) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let strangers = (0..strangers).map(|number| {
            let (address, first) = (address.to_owned(), first.clone());
            let (over, connected) = (over.clone(), connected.clone());
            tokio::spawn(async move {
                // They come one after the other, not in one moment.
                tokio::time::sleep(Duration::from_millis(number as u64)).await;
                while !over.load(Ordering::Relaxed) {
                    connected.fetch_add(1, Ordering::Relaxed);
                    let _ = match trickle {
                        Some(trickle) => pour(&address, &first, trickle, &over).await,
                        None => send_deaf(&address, &first, &over).await,
                    };
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
            })
        });
        Self { strangers: strangers.collect(), over, connected }
    }

    /// Waits until this many have come.
    pub(super) async fn have_come(&self, count: usize) {
        eventually("all have come", async || self.connected.load(Ordering::Relaxed) >= count).await;
    }

    pub(super) async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        for stranger in self.strangers {
            stranger.abort();
            let _ = stranger.await;
        }
    }
}

async fn pour(address: &str, first: &[u8], trickle: &[u8], over: &AtomicBool) -> std::io::Result<()> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(first).await?;
    let mut heard = [0; 1_024];
    while !over.load(Ordering::Relaxed) {
        if !trickle.is_empty() {
            stream.write_all(trickle).await?;
        }
        // An answer does not send them away; a closed connection does.
        match tokio::time::timeout(Duration::from_millis(200), stream.read(&mut heard)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => drop(read?),
            Err(_) => {}
        }
    }
    Ok(())
}

async fn send_deaf(address: &str, first: &[u8], over: &AtomicBool) -> std::io::Result<()> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    // What does not fit into the buffers of the connection is not sent.
    if let Ok(sent) = tokio::time::timeout(Duration::from_secs(1), stream.write_all(first)).await {
        sent?;
    }
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// A whole request on a connection of its own; none if there is no answer in time.
fn asked(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The node answers, runs a saga and has kept its memory.
pub(super) async fn unharmed(home: &Home, node: &Node, flood: &str) {
    let address = node.address().to_owned();
    // A connection may make room for one of the flood, so an honest client tries again, as probes do.
    let answers = move || (0..5).any(|_| asked(&address, "/healthz").is_some_and(|it| it.starts_with("HTTP/1.1 200")));
    let health = move || (0..10).filter(|_| answers()).count();
    let answered = tokio::task::spawn_blocking(health).await.unwrap();
    assert_eq!(answered, 10, "{flood}: /healthz");
    runs(home, node, flood).await;
}

/// The node runs a saga and has kept its memory, at any time until now.
pub(super) async fn runs(home: &Home, node: &Node, flood: &str) {
    let input = json!({ "guest": flood }).to_string();
    let mut amends = home.amends(&["start", "hotel_checkout", "--input", &input, "--wait", "--json"]);
    let ran = tokio::task::spawn_blocking(move || amends.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && said.contains("\"completed\""), "{flood}: {said}");
    assert_eq!(home.ledger.count("/charge", flood), 1, "{flood}");
    if let Some(bytes) = node.peak_bytes() {
        println!("{flood}: {} MiB at most", bytes >> 20);
        assert!(bytes >> 20 < MEMORY_MIB_MAX, "{flood}: {} MiB", bytes >> 20);
    }
}

pub(super) fn head(method: &str, path: &str, further: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n\
         Content-Type: application/json\r\n{further}\r\n"
    )
}

/// The beginning of a request whose body never ends.
fn endless(path: &str) -> Arc<[u8]> {
    head("POST", path, "Transfer-Encoding: chunked\r\n").into_bytes().into()
}

/// A request that lacks the last ten bytes of its body.
fn cut_short(bytes: usize) -> Arc<[u8]> {
    let mut request = head("POST", "/mcp", &format!("Content-Length: {bytes}\r\n")).into_bytes();
    request.resize(request.len() + bytes - 10, b' ');
    request.into()
}

pub(super) fn initialize(padding: usize) -> String {
    let name = "a".repeat(padding);
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": name, "version": "1" },
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string()
}

/// Begins sessions and ends none.
async fn begin_sessions(url: &str, count: usize) -> (usize, usize) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (http, body) = (reqwest::Client::new(), initialize(10));
    let mut begun = (0, 0);
    for batch in 0..count.div_ceil(50) {
        let posts = (0..50).map(|_| {
            let accept = "application/json, text/event-stream";
            http.post(url).header("accept", accept).header("content-type", "application/json").body(body.clone()).send()
        });
        for answer in futures_util::future::join_all(posts).await {
            match answer {
                Ok(answer) if answer.status() == 200 => begun.0 += 1,
                Ok(_) | Err(_) => begun.1 += 1,
            }
        }
        assert!(batch < count);
    }
    begun
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_trickle_close_nobody_out() {
    amends::files::raise_limit().unwrap();
    let home = Home::with("trickle", "mcp: { requests_per_minute: 100000 }\n").await;
    let mut node = small_node(&home);
    for path in ["/healthz", "/mcp", "/nowhere"] {
        let flood = Flood::begin(node.address(), 1_100, endless(path), b"1\r\n \r\n");
        flood.have_come(1_100).await;
        unharmed(&home, &node, &format!("trickle {path}")).await;
        flood.end().await;
    }
    let head = Arc::<[u8]>::from(&b"GET /healthz HTTP/1.1\r\nx-slow: "[..]);
    let flood = Flood::begin(node.address(), 1_100, head, b"x");
    flood.have_come(1_100).await;
    unharmed(&home, &node, "trickle of a head").await;
    flood.end().await;
    let metrics = asked(node.address(), "/metrics").unwrap();
    assert!(metrics.contains("amends_http_connections_closed_total{reason=\"evicted\"}"), "{metrics}");
    assert!(metrics.contains("amends_file_shortages_total 0"), "{metrics}");
    let log = node.end();
    assert!(log.contains("limit of open files"), "{log}");
}

/// Answers come before the end of the request, and what follows on the connection would be the rest of it.
#[tokio::test]
async fn a_connection_is_closed_after_a_body_that_nobody_read() {
    let home = Home::new("unread").await;
    let node = home.node(&[]);
    let mut stream = TcpStream::connect(node.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(head("GET", "/healthz", "Transfer-Encoding: chunked\r\n").as_bytes()).unwrap();
    let (mut answer, begun) = (String::new(), Instant::now());
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // A body that was read leaves the connection open.
    let mut stream = TcpStream::connect(node.address()).unwrap();
    for _ in 0..2 {
        stream.write_all(head("GET", "/healthz", "").as_bytes()).unwrap();
        let mut answer = [0; 4_096];
        let read = stream.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_lack_their_end_fill_no_memory() {
    amends::files::raise_limit().unwrap();
    let home = Home::with("bodies", "mcp: { requests_per_minute: 100000 }\n").await;
    let node = small_node(&home);
    let flood = Flood::begin(node.address(), 400, cut_short(1_100_000), b"");
    flood.have_come(400).await;
    unharmed(&home, &node, "bodies").await;
    // A short message passes beside them.
    let passes = async || {
        let sent = node.modern().request("tools/call", json!({ "name": "saga_list", "arguments": {} })).send().await;
        sent.is_ok_and(|answer| answer.status() == 200)
    };
    eventually("a short message passes", passes).await;
    flood.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_without_end_fill_no_memory() {
    let home = Home::with("sessions", "mcp: { requests_per_minute: 100000 }\n").await;
    let node = small_node(&home);
    let (begun, refused) = begin_sessions(&node.url, 6_000).await;
    assert!(begun >= 5_900, "{begun} begun, {refused} refused: what is not in use makes room");
    unharmed(&home, &node, "sessions").await;
    let agent = node.agent().await;
    assert_eq!(agent.call("saga_list", json!({})).await["isError"], false);
    // A message that begins a session is short.
    let long = reqwest::Client::new().post(&node.url).header("content-type", "application/json");
    let long = long.header("accept", "application/json, text/event-stream").body(initialize(100_000)).send();
    assert_eq!(long.await.unwrap().status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_floods_at_once_leave_a_small_node_at_work() {
    amends::files::raise_limit().unwrap();
    let home = Home::with("all-floods", "mcp: { requests_per_minute: 100000 }\n").await;
    let node = small_node(&home);
    let floods = [
        Flood::begin(node.address(), 400, endless("/healthz"), b"1\r\n \r\n"),
        Flood::begin(node.address(), 400, endless("/mcp"), b"1\r\n \r\n"),
        Flood::begin(node.address(), 300, Arc::from(&b"GET / HTTP/1.1\r\nx: "[..]), b"x"),
        Flood::begin(node.address(), 200, cut_short(1_100_000), b""),
    ];
    let url = node.url.clone();
    let sessions = tokio::spawn(async move { begin_sessions(&url, 2_000).await });
    for flood in &floods {
        flood.have_come(200).await;
    }
    for round in 0..5 {
        unharmed(&home, &node, &format!("all floods {round}")).await;
    }
    sessions.abort();
    for flood in floods {
        flood.end().await;
    }
}

/// Lowers or raises the limit of a node's open files while it runs.
fn set_files(node: &Node, files: u64) {
    let id = i32::try_from(node.id()).unwrap();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain system calls with pointers to a live value.
    unsafe {
        assert_eq!(libc::prlimit(id, libc::RLIMIT_NOFILE, std::ptr::null(), &raw mut limit), 0);
        limit.rlim_cur = files;
        assert_eq!(libc::prlimit(id, libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()), 0);
    }
}

const BRIEF: &str = "
saga: brief
description: Gives up soon.
input: { type: object, required: [guest], properties: { guest: { type: string } } }
steps:
  - step: charge
    effect: idempotent
    retry: { attempts: 2, backoff: 10ms }
    classify:
      - { when: \"outcome != 'succeeded'\", outcome: failed }
    action: { http: desk, path: /charge, body: { guest: \"${ input.guest }\" } }
    compensation: { http: desk, path: /refund, effect: idempotent, body: { guest: \"${ input.guest }\" } }
";

/// Without a free file descriptor a node reaches no participant. That is no answer of the participant, and no attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_free_files_neither_fails_a_saga_nor_counts_an_attempt() {
    let home = Home::new("files").await;
    std::fs::write(home.folder.join("sagas/brief.yaml"), BRIEF).unwrap();
    let mut node = home.node(&[]);
    let start = |guest: &str, wait: bool| {
        let input = json!({ "guest": guest }).to_string();
        let mut arguments = vec!["start", "brief", "--input", &input];
        arguments.extend(wait.then_some("--wait"));
        let (code, started, errors) = home.run(&arguments);
        assert_eq!(code, 0, "{errors}");
        started
    };
    assert_eq!(start("before", true)["status"], "completed");
    let mut watched = TcpStream::connect(node.address()).unwrap();
    let mut ready = move || {
        watched.write_all(head("GET", "/readyz", "").as_bytes()).unwrap();
        let mut answer = [0; 4_096];
        let read = watched.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    assert!(ready().starts_with("HTTP/1.1 200"));
    set_files(&node, 8);
    let started = start("during", false);
    eventually("it is short of files", async || ready().contains("no free file descriptor")).await;
    let id = started["id"].as_str().unwrap();
    let shown = home.run(&["show", id]).1;
    assert_eq!(shown["status"], "running", "{shown}");
    set_files(&node, 1_024);
    eventually("it completes", async || home.run(&["show", id]).1["status"] == "completed").await;
    let shown = home.run(&["show", id]).1;
    assert_eq!(shown["steps"][0]["attempts"], 1, "{shown}");
    assert_eq!((home.ledger.count("/charge", "during"), home.ledger.count("/refund", "during")), (1, 0));
    eventually("it is ready again", async || ready().starts_with("HTTP/1.1 200")).await;
    let metrics = asked(node.address(), "/metrics").unwrap();
    assert!(!metrics.contains("amends_file_shortages_total 0"), "{metrics}");
    let log = node.end();
    assert!(log.contains("no free file descriptor: the node claims no sagas for a while"), "{log}");
}
