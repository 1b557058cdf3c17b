//! A node in a process of its own that kills itself at a place. Owns both ends: what the child does, and how the test
//! starts it and hears from it. The child is this test binary, asked for one test by name.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::runtime::Runtime;
use amends::saga::event::Request;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::ledger::{self, Habits, Ledger, SAGAS};
use crate::harness::in_its_own_process;

const ORDER: &str = "AMENDS_CRASH_NODE";

/// What a child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) url: String,
    pub(super) name: String,
    /// Where it dies, and the how manieth time it comes there.
    pub(super) place: String,
    pub(super) hit: u32,
    /// Loses the answers to a fifth of its lane's statements.
    pub(super) loses_answers: bool,
    /// Sagas of each definition that it starts.
    pub(super) sagas: u32,
    /// How long it runs before it stops in good order.
    pub(super) runs_ms: u64,
}

/// How a child ended.
pub(super) struct Ended {
    /// It killed itself at its place.
    pub(super) died: bool,
    /// Sagas of which it was told that they had started.
    pub(super) started: Vec<Uuid>,
}

/// Runs a child to its end.
pub(super) fn run(order: &Order) -> Ended {
    let mut child = in_its_own_process("crash::node::child")
        .env(ORDER, serde_json::to_string(order).unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let started = lines.filter_map(|line| line.strip_prefix("started ")?.parse().ok()).collect();
    let status = child.wait().unwrap();
    let died = status.signal() == Some(libc::SIGKILL);
    assert!(died || status.success(), "{order:?}: {status}");
    Ended { died, started }
}

/// Not a test but the child, when a test has started this binary for it.
#[test]
fn child() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: Order = serde_json::from_str(&order).unwrap();
    let hits = AtomicU32::new(0);
    let last = order.hit;
    let arrived = move || {
        if hits.fetch_add(1, Ordering::SeqCst) + 1 == last {
            // SAFETY: plain system calls; nothing of this process is left to care.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
    };
    fail::cfg_callback(order.place.clone(), arrived).unwrap();
    if order.loses_answers {
        fail::cfg("answer lost", "20%return").unwrap();
    }
    tokio::runtime::Runtime::new().unwrap().block_on(work(order));
}

async fn work(order: Order) {
    let runtime = begin(&order.url, &order.name).await;
    let (mut starting, mut waiting) = (Vec::new(), Vec::new());
    for number in 0..order.sagas {
        for name in SAGAS {
            let runtime = runtime.clone();
            starting.push(tokio::spawn(async move {
                // Every third comes from outside.
                let started = match number % 3 {
                    2 => runtime.store().start(name, &json!({}).into(), None).await.ok(),
                    _ => runtime.start(name, &json!({})).await.ok(),
                };
                if let Some(saga) = started {
                    // One write, so that a reader sees whole lines.
                    let line = format!("started {saga}\n");
                    let told = std::io::stdout().lock().write_all(line.as_bytes());
                    told.unwrap();
                }
                started.filter(|_| name == "waits")
            }));
        }
    }
    for started in starting {
        waiting.extend(started.await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(order.runs_ms / 2)).await;
    for saga in waiting {
        provide(&runtime, saga).await;
    }
    tokio::time::sleep(Duration::from_millis(order.runs_ms / 2)).await;
    // It may be unable to say goodbye, if answers are lost.
    let _ = runtime.stop(Duration::from_millis(300)).await;
}

/// What is usual in the matrix.
const HABITS: Habits = Habits { attempts: 8, settle_ms: 300, naughty: false };

/// A node that runs everything.
pub(super) async fn begin(url: &str, name: &str) -> Runtime {
    let mut builder = Runtime::builder(url).name(name).lanes(1).lease(Duration::from_secs(2));
    for draft in HABITS.drafts() {
        builder = builder.definition(draft);
    }
    builder.handlers(ledger::handlers(&Ledger::at(url, HABITS))).begin().await.unwrap()
}

/// Tells a saga what it waits for.
pub(super) async fn provide(runtime: &Runtime, saga: Uuid) {
    let request = Request::Provide { event: "go".into(), payload: json!({}).into() };
    // It may have ended by now.
    let _ = runtime.signal(saga, request).await;
}
