//! Requests of HTTP by chance at a node: heads, bodies, lengths and chunks that lie, pipelines, ends in the
//! middle, clients that leave. Owns what must hold: an answer of the right kind or none, and a node that stays
//! ready, small and useful.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::home::Node;
use super::{TRACEPARENT, home, messages, worn};
use crate::fuzz::damaged;

/// Requests after which the node is looked at.
const ROUND: u64 = 200;
/// Requests at once.
const AT_ONCE: usize = 32;
/// Longer than any message may be.
const TOO_LONG: usize = 2 << 20;
/// How much memory a node may take for whatever it is sent: 5 minutes of sessions, which anybody may open.
const GROWTH_BYTES_MAX: u64 = 256 << 20;

/// Heads of requests without a body.
const BARE: &[&str] = &[
    "GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept: text/plain\r\n",
    "GET /readyz?x=%00&y HTTP/1.1\r\nhost: localhost\r\n",
    "HEAD /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
    "GET /.well-known/oauth-protected-resource/mcp HTTP/1.1\r\nhost: localhost\r\n",
    "OPTIONS /mcp HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost:1\r\n",
];

/// What is aimed at: a session of the old era, and a saga.
struct Aim {
    session: String,
    saga: String,
}

impl Aim {
    /// The head of a message, up to its length.
    fn head(&self, is_modern: bool, message: &Value) -> String {
        let common = "POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\n\
                      content-type: application/json\r\n";
        let (method, params) = (message["method"].as_str().unwrap_or("none"), &message["params"]);
        if is_modern {
            let name = params["name"].as_str().or(params["taskId"].as_str()).unwrap_or("none");
            return format!("{common}mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\nmcp-name: {name}\r\n");
        }
        let trace = format!("traceparent: {TRACEPARENT}\r\n");
        let session = match method {
            "initialize" => String::new(),
            _ => format!("mcp-session-id: {}\r\n", self.session),
        };
        format!("{common}{trace}mcp-protocol-version: 2025-11-25\r\n{session}")
    }

    /// A request by chance.
    fn request(&self, chance: &mut StdRng) -> Vec<u8> {
        if chance.random_range(0..6) == 0 {
            return self.bare(chance);
        }
        let is_modern = chance.random();
        let all = messages(is_modern, &self.saga);
        let message = &all[chance.random_range(0..all.len())];
        let (head, body) = (self.head(is_modern, message), worn(message, chance));
        let good = message.to_string().into_bytes();
        match chance.random_range(0..32) {
            0..12 => whole(head.as_bytes(), &body),
            12..17 => whole(&damaged(&[head.into_bytes()], chance), &good),
            17..21 => damaged(&[whole(head.as_bytes(), &good)], chance),
            21..24 => [whole(head.as_bytes(), &body), self.request(chance)].concat(),
            24..27 => {
                let mut all = whole(head.as_bytes(), &body);
                all.truncate(chance.random_range(0..=all.len()));
                all
            }
            27..29 => chunked(&head, &body, chance),
            29..31 => {
                let lengths = ["0", "1", "+7", "-1", "99999999999", "18446744073709551616", "0x10", ""];
                let length = lengths[chance.random_range(0..lengths.len())];
                [format!("{head}content-length: {length}\r\n\r\n").as_bytes(), &body].concat()
            }
            _ => whole(head.as_bytes(), &vec![b' '; TOO_LONG]),
        }
    }

    fn bare(&self, chance: &mut StdRng) -> Vec<u8> {
        let of_session = |method: &str| {
            format!(
                "{method} /mcp HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\
                     mcp-protocol-version: 2025-11-25\r\nmcp-session-id: {}\r\nlast-event-id: 0/1\r\n",
                self.session
            )
        };
        let mut heads: Vec<Vec<u8>> = BARE.iter().map(|head| head.as_bytes().to_vec()).collect();
        heads.extend(["GET", "GET", "DELETE"].map(|method| of_session(method).into_bytes()));
        match chance.random_range(0..3) {
            0 => [&heads[chance.random_range(0..heads.len())][..], b"\r\n"].concat(),
            _ => [&damaged(&heads, chance)[..], b"\r\n"].concat(),
        }
    }
}

fn whole(head: &[u8], body: &[u8]) -> Vec<u8> {
    [head, format!("content-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// The body in chunks, some of which lie about their size.
fn chunked(head: &str, body: &[u8], chance: &mut StdRng) -> Vec<u8> {
    let mut all = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(chance.random_range(1..2_000).max(body.len() / 50)) {
        let lie = if chance.random_range(0..20) == 0 { chance.random_range(0..usize::MAX) } else { 0 };
        all.extend_from_slice(format!("{:x}\r\n", chunk.len() ^ lie).as_bytes());
        all.extend_from_slice(chunk);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"0\r\n\r\n");
    all
}

/// Sends a request and hears what comes until nobody speaks for a while; then leaves.
async fn shoot(address: &str, request: &[u8], patience: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.split();
    let hear = async {
        let (mut heard, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        while let Ok(Ok(length @ 1..)) = tokio::time::timeout(patience, read.read(&mut buffer)).await {
            heard.extend_from_slice(&buffer[..length]);
            if heard.len() > 4 << 20 {
                break;
            }
        }
        heard
    };
    let send = async {
        // Whoever is refused early is not heard to the end.
        let _ = write.write_all(request).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        heard = hear => heard,
        () = send => unreachable!(),
    }
}

/// The statuses of what was heard; whatever is no answer, or says that the node failed, is a defect.
fn statuses(heard: &[u8]) -> Result<Vec<u16>, String> {
    if heard.is_empty() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(heard);
    let status = |at: usize| text.get(at + 9..at + 12).and_then(|digits| digits.parse().ok());
    let answers = text.match_indices("HTTP/1.").filter(|(at, _)| *at == 0 || text[..*at].ends_with(['\n', '}', '.']));
    let found: Vec<u16> = answers.filter_map(|(at, _)| status(at)).collect();
    match found.first() {
        Some(_) if found.iter().all(|status| *status < 500) && !text.contains("-32603") => Ok(found),
        _ => Err(text.chars().take(4_000).collect()),
    }
}

/// Everybody is served as if nothing had been, in both eras.
async fn is_well(node: &Node) -> String {
    let ready =
        shoot(node.address(), b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", Duration::from_secs(20))
            .await;
    assert!(ready.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&ready));
    let agent = node.agent().await;
    assert!(agent.tool_names().await.contains(&"hotel_checkout".to_owned()));
    assert!(node.modern().tool_names().await.contains(&"hotel_checkout".to_owned()));
    agent.session().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_answers_whatever_it_is_sent_and_stays_well() {
    let home = home("fuzz").await;
    let mut node = home.node(&[]);
    let bell = node.modern().call("bell", json!({ "idempotency_key": "aim" })).await;
    let saga = bell["structuredContent"]["saga_id"].as_str().unwrap().to_owned();
    let mut aim = Aim { session: is_well(&node).await, saga };
    let (cases, seed) = crate::fuzz::run(600);
    let mut chance = StdRng::seed_from_u64(seed);
    let (mut met, mut memory): (BTreeMap<u16, u64>, Vec<u64>) = Default::default();
    for round in 0..cases.div_ceil(ROUND) {
        let requests: Vec<_> = (0..ROUND)
            .map(|_| (aim.request(&mut chance), Duration::from_millis(chance.random_range(20..250))))
            .collect();
        let address = node.address();
        let shots =
            requests.iter().map(async |(request, patience)| (request, shoot(address, request, *patience).await));
        let mut heard = std::pin::pin!(futures_util::stream::iter(shots).buffer_unordered(AT_ONCE));
        while let Some((request, heard)) = heard.next().await {
            let met_now = statuses(&heard).unwrap_or_else(|heard| {
                let request: String = String::from_utf8_lossy(request).chars().take(8_000).collect();
                panic!("seed {seed}, round {round}: {request:?}\nwas answered with {heard:?}")
            });
            // 0 stands for silence.
            *met.entry(met_now.first().copied().unwrap_or(0)).or_default() += 1;
        }
        aim.session = is_well(&node).await;
        memory.extend(node.resident_bytes());
    }
    let most = memory.iter().max().copied().unwrap_or_default();
    println!("http: {cases} cases, seed {seed}; answers by status {met:?}; at most {} MiB", most >> 20);
    assert!(met.contains_key(&200) && met.contains_key(&400), "chance reached nothing: {met:?}");
    assert!(most < memory.first().copied().unwrap_or_default() + GROWTH_BYTES_MAX, "{memory:?}");
    let agent = node.modern();
    crate::harness::eventually("a good call completes", async || {
        let order = json!({ "guest": "last", "idempotency_key": "last" });
        agent.call("hotel_checkout", order).await["structuredContent"]["status"] == "completed"
    })
    .await;
    assert_eq!(home.ledger.count("/charge", "last"), 1);
    let log = tokio::task::spawn_blocking(move || node.end()).await.unwrap();
    assert!(!log.contains("panicked"), "seed {seed}: {log}");
}
