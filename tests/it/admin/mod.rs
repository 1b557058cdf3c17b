//! The operators' door: what somebody with no more than psql can see and do. Owns what its tests share: a node
//! with definitions that get stuck in each way, and psql itself.

mod bulk;
mod doctor;
mod early;
mod nodes;
mod plans;
mod rerun;
mod roles;
mod start;
mod steps;
mod verbs;

use std::process::{Command, Stdio};

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Retry, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{self, Database, eventually};

/// What psql said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) errors: String,
}

/// Runs statements in psql, as somebody at a terminal would.
pub(crate) async fn psql(url: &str, sql: &str) -> Said {
    let mut command = Command::new(harness::program("psql"));
    command.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", url, "-c", sql]);
    command.env("PGAPPNAME", "a terminal").stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    Said { ok: output.status.success(), out: text(output.stdout), errors: text(output.stderr) }
}

/// Runs statements that must succeed; returns what they print.
#[track_caller]
pub(crate) fn ask(url: &str, sql: &str) -> impl Future<Output = String> {
    let (url, sql, place) = (url.to_owned(), sql.to_owned(), std::panic::Location::caller());
    async move {
        let said = psql(&url, &sql).await;
        assert!(said.ok, "{place}: {sql}\n{}", said.errors);
        said.out
    }
}

/// Runs the command line on a database; returns its exit code, and all that it said.
pub(crate) fn program(url: &str, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    let output = command.args(args).env("DATABASE_URL", url).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), said)
}

/// Runs a statement until it prints this.
pub(crate) async fn until(url: &str, sql: &str, expected: &str) {
    eventually(&format!("{sql} prints {expected}"), async || psql(url, sql).await.out == expected).await;
}

fn call(handler: &str) -> Call {
    let retry = Retry { attempts: 2, backoff_ms: 1, multiplier: 1.0, backoff_max_ms: 5, jitter: 0.0 };
    Call::handler(handler).idempotent().retry(retry)
}

fn step(name: &str, action: &str) -> Step {
    Step::new(name, call(action)).compensation(call("good"))
}

/// Definitions that end, and that get stuck in each way but by the death of a process.
fn drafts() -> Vec<Draft> {
    let doubtful = Step::new("charge", Call::handler("panics")).compensation(call("good"));
    vec![
        Draft::new("happy").step(step("a", "good")).step(step("b", "good").needs(["a"])),
        Draft::new("sad").step(step("a", "good")).step(step("b", "bad").needs(["a"])),
        Draft::new("doubtful").step(step("book", "good")).step(doubtful.needs(["book"])),
        Draft::new("past_the_pivot")
            .step(Step::new("pay", call("good")).pivot())
            .step(Step::new("receipt", call("bad")).retriable().needs(["pay"])),
        Draft::new("not_undone")
            .step(Step::new("a", call("good")).compensation(call("bad")))
            .step(step("b", "bad").needs(["a"])),
        Draft::new("patient")
            .step(Step::awaiting("approval", "approved", Some(3_600_000)))
            .step(step("a", "good").needs(["approval"])),
        Draft::new("guarded")
            .step(step("a", "good"))
            .step(
                Step::approval("sign", "Pay ${ steps.a.id }?", Some(json!({ "id": "${ steps.a.id }" })), None)
                    .needs(["a"]),
            )
            .step(step("b", "good").needs(["sign"])),
    ]
}

fn handlers() -> Handlers {
    Handlers::new()
        .register("good", |_: StepContext, _: Value| async move { Ok::<_, Failure>(json!({ "id": "ch_1" })) })
        .register(
            "bad",
            |_: StepContext, _: Value| async move { Err::<Value, _>(Failure::permanent("declined", "no way")) },
        )
        .register("panics", |_: StepContext, _: Value| async move {
            if true {
                panic!("on purpose");
            }
            Ok::<_, Failure>(json!(null))
        })
}

/// A node on a database of its own.
pub(crate) struct Operated {
    pub(crate) database: Database,
    pub(crate) runtime: Runtime,
}

impl Operated {
    pub(crate) async fn begin() -> Self {
        let database = Database::create().await;
        let mut builder = Runtime::builder(database.url.clone()).name("one").handlers(handlers());
        for draft in drafts() {
            builder = builder.definition(draft);
        }
        let runtime = builder.begin().await.unwrap();
        Self { database, runtime }
    }

    pub(crate) fn url(&self) -> &str {
        &self.database.url
    }

    /// Starts a saga and waits until it has this status.
    pub(crate) async fn reach(&self, definition: &str, status: &str) -> Uuid {
        let id = self.runtime.start(definition, &json!({})).await.unwrap();
        until(self.url(), &format!("select status from amends.sagas where saga = '{id}'"), status).await;
        id
    }

    pub(crate) async fn stop(&self) {
        self.runtime.clone().stop(std::time::Duration::from_secs(5)).await.unwrap();
    }
}
