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

use super::definitions::{EARLY, Habits, SAGAS};
use super::errant;
use super::ledger::{self, Ledger};
use crate::harness::in_its_own_process;

const ORDER: &str = "AMENDS_CRASH_NODE";

/// What a child is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) url: String,
    /// Where the participant is that errs after the effect.
    pub(super) errant_port: u16,
    pub(super) name: String,
    /// Where it dies, and the how manieth time it comes there.
    pub(super) point: String,
    pub(super) hit: u32,
    /// Loses the answers to a fifth of its lane's statements.
    pub(super) loses_answers: bool,
    /// Its participants lose answers.
    pub(super) forgetful: bool,
    /// Sagas of each definition that it starts, and of which definition it starts more.
    pub(super) sagas: u32,
    pub(super) more_of: Option<String>,
    /// Some sagas wait for a time, which it makes come early; it dies at its place only after that.
    pub(super) naps: bool,
    /// How long it runs before it stops in good order.
    pub(super) runs_ms: u64,
}

/// Sagas of a definition of which there shall be more.
const MORE: u32 = 5;

impl Order {
    fn sagas_of(&self, name: &str) -> u32 {
        match &self.more_of {
            Some(more) if more == name => MORE,
            Some(_) => 1,
            None => self.sagas,
        }
    }

    /// From now on the process dies at its place.
    fn arm(&self) {
        let (hits, last) = (AtomicU32::new(0), self.hit);
        let arrived = move || {
            if hits.fetch_add(1, Ordering::SeqCst) + 1 == last {
                // SAFETY: plain system calls; nothing of this process is left to care.
                unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            }
        };
        fail::cfg_callback(self.point.clone(), arrived).unwrap();
    }
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
    let mut child = in_its_own_process("crash::node::child_process_entry")
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
fn child_process_entry() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: Order = serde_json::from_str(&order).unwrap();
    if !order.naps {
        order.arm();
    }
    if order.loses_answers {
        fail::cfg("answer lost", "20%return").unwrap();
    }
    tokio::runtime::Runtime::new().unwrap().block_on(work(order));
}

async fn work(order: Order) {
    let runtime = begin(&order.url, order.errant_port, &order.name, order.forgetful).await;
    let mut starting = Vec::new();
    let names = SAGAS.into_iter().chain(EARLY).chain(errant::SAGAS).chain(order.naps.then_some("naps"));
    for (name, number) in names.flat_map(|name| (0..order.sagas_of(name)).map(move |number| (name, number))) {
        let (runtime, url) = (runtime.clone(), order.url.clone());
        starting.push(tokio::spawn(async move {
            // Every other one comes from outside.
            let from_outside = number % 2 == 1;
            let started = match from_outside {
                _ if EARLY.contains(&name) => start_and_ask(&url, name).await.ok(),
                true => runtime.store().start(name, &input().into(), None).await.ok(),
                false => runtime.start(name, &input()).await.ok(),
            }?;
            // One write, so that a reader sees whole lines.
            std::io::stdout().lock().write_all(format!("started {started}\n").as_bytes()).unwrap();
            if from_outside {
                tokio::spawn(look_after(runtime, name, started));
            }
            Some((name, started))
        }));
    }
    let mut started = Vec::new();
    for one in starting {
        started.extend(one.await.unwrap());
    }
    tokio::spawn(run_again(runtime.clone(), started.clone()));
    tokio::time::sleep(Duration::from_millis(order.runs_ms / 2)).await;
    for (_, saga) in started.iter().filter(|(name, _)| *name == "waits") {
        provide(&runtime, *saga).await;
    }
    if order.naps {
        let sql = "update amends.timer set fire_at = clock_timestamp() where isfinite(fire_at)";
        crate::harness::connect(&order.url).await.execute(sql, &[]).await.unwrap();
        order.arm();
    }
    tokio::time::sleep(Duration::from_millis(order.runs_ms / 2)).await;
    // It may be unable to say goodbye, if answers are lost.
    let _ = runtime.stop(Duration::from_millis(300)).await;
}

/// Starts a saga and asks something of it in the same transaction. Leaves a wake of it there, too, as a timer or an
/// older version would.
async fn start_and_ask(url: &str, name: &str) -> Result<Uuid, tokio_postgres::Error> {
    let mut client = crate::harness::connect(url).await;
    let transaction = client.transaction().await?;
    let start = "select amends.start($1, '{\"guest\": \"one\"}')";
    let saga: Uuid = transaction.query_one(start, &[&name]).await?.get(0);
    let asked: &[&str] = match name {
        "early_back" => &["select amends.cancel($1, 'not needed')"],
        _ => &["select amends.pause($1, 'wait')", "select amends.resume($1, 'go on')"],
    };
    let wake = "insert into amends.ready (definition, id) select definition, id from amends.saga where id = $1";
    for sql in asked.iter().chain([&wake]) {
        transaction.execute(*sql, &[&saga]).await?;
    }
    transaction.commit().await?;
    Ok(saga)
}

/// Does what callers do with a saga that they have started from outside.
async fn look_after(runtime: Runtime, name: &str, saga: Uuid) {
    if name == "turns_back" {
        // It ends without effect all the same, before its turn or after.
        let cancel = Request::Cancel { reason: "not needed".into() };
        let _ = runtime.signal(saga, cancel).await;
    }
    let _ = runtime.wait(saga).await;
}

/// Lets one saga that was undone go on from its first step, as a new one.
async fn run_again(runtime: Runtime, started: Vec<(&'static str, Uuid)>) {
    let Some((_, saga)) = started.into_iter().find(|(name, _)| *name == "linear_back") else { return };
    while runtime.store().saga(saga).await.is_ok_and(|row| row.is_none_or(|row| !row.status.is_end())) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It may be under way already.
    let _ = runtime.store().rerun_from(saga, "a", "once more").await;
}

fn input() -> serde_json::Value {
    json!({ "guest": "one" })
}

/// What is usual in the matrix.
pub(super) const HABITS: Habits = Habits { attempts: 8, settle_ms: 300, naughty: false, forgetful: false };

/// A node that runs everything.
pub(super) async fn begin(url: &str, errant_port: u16, name: &str, forgetful: bool) -> Runtime {
    let mut builder = Runtime::builder(url).name(name).lanes(1).lease(Duration::from_secs(2));
    builder = builder.participants([errant::participant(errant_port)]);
    for draft in HABITS.drafts().into_iter().chain(HABITS.errant_drafts()) {
        builder = builder.definition(draft);
    }
    if is_chained(url) {
        builder = builder.chain(None);
    }
    let ledger = Ledger::at(url, Habits { forgetful, ..HABITS });
    builder.handlers(ledger::handlers(&ledger)).begin().await.unwrap()
}

/// Whether the journals of a database are chained: those of every other case are.
pub(super) fn is_chained(url: &str) -> bool {
    url.bytes().map(u32::from).sum::<u32>() % 2 == 0
}

/// Tells a saga what it waits for.
pub(super) async fn provide(runtime: &Runtime, saga: Uuid) {
    let request = Request::Provide { event: "go".into(), payload: json!({}).into() };
    // It may have ended by now.
    let _ = runtime.signal(saga, request).await;
}
