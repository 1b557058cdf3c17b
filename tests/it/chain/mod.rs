//! Chained journals: each kind of tampering is found, and nothing else is taken for one. Owns the scene: a node whose
//! sagas carry something, and what `amends verify` says of them.

mod erased;
mod fleet;
mod range;
mod takeover;
mod tampered;

use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::{Builder, Runtime};
use amends::saga::definition::{Call, Draft, Step};
use amends::step_transaction::Transaction;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::admin::{program, until};
use crate::harness::{self, Database};

/// Key of the chains that have one.
const KEY: &str = "a key of the operators alone";

fn drafts() -> [Draft; 3] {
    let echo = || Call::handler("echo").idempotent();
    let undo = |step: Step| step.compensation(Call::handler("echo").idempotent());
    [
        Draft::new("whole")
            .step(undo(Step::new("a", echo())))
            .step(Step::new("b", Call::handler("stored").transactional()).compensation(echo()).needs(["a"]))
            .step(Step::new("c", echo()).compensation(echo()).needs(["b"])),
        Draft::new("waits")
            .step(undo(Step::new("a", echo())))
            .step(Step::awaiting("bell", "bell", Some(3_600_000)).needs(["a"]))
            .step(undo(Step::new("c", echo())).needs(["bell"])),
        Draft::new("undone")
            .step(undo(Step::new("a", echo())))
            .step(undo(Step::new("b", Call::handler("refuse").idempotent())).needs(["a"])),
    ]
}

fn builder(url: &str) -> Builder {
    let handlers = Handlers::new()
        .register("echo", |_: StepContext, input: Value| async move { Ok::<_, Failure>(json!({ "echo": input })) })
        .register("refuse", |_: StepContext, input: Value| async move {
            Err::<Value, _>(Failure::permanent("declined", format!("no card of {input}")))
        })
        .register_transactional("stored", |_: StepContext, database: Transaction, input: Value| async move {
            database.execute("select 1", &[]).await?;
            Ok::<_, Failure>(input)
        });
    drafts().into_iter().fold(Runtime::builder(url).handlers(handlers), Builder::definition)
}

/// A node whose sagas are chained, with a key or without.
async fn chaining(database: &Database, key: Option<&str>) -> Runtime {
    builder(&database.url).name("chains").chain(key).begin().await.unwrap()
}

async fn stop(runtime: Runtime) {
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}

/// Starts a saga and waits for its end.
async fn run(runtime: &Runtime, definition: &str) -> Uuid {
    let id = runtime.start(definition, &json!({ "mail": "ada@example.com", "n": 1.50 })).await.unwrap();
    harness::eventually("it ends", async || runtime.store().result(id).await.unwrap().is_some()).await;
    id
}

/// Starts a saga by SQL, as an application would, and waits for its end or until it waits.
async fn start_by_sql(database: &Database, definition: &str, status: &str) -> Uuid {
    let start = format!("select amends.start('{definition}', '{{\"mail\": \"ada@example.com\"}}')");
    let id: Uuid = crate::admin::ask(&database.url, &start).await.parse().unwrap();
    let rows = "(select count(*) > 1 from amends.journal j where j.id = g.saga)";
    let sql = format!("select status from amends.sagas g where saga = '{id}' and {rows}");
    until(&database.url, &sql, status).await;
    id
}

/// What `amends verify` says of these arguments: its exit code and its report.
fn verified(url: &str, key: Option<&str>, arguments: &[&str]) -> (i32, Value) {
    let mut arguments = [&["verify", "--json"], arguments].concat();
    if let Some(key) = key {
        arguments.extend(["--chain-key", key]);
    }
    let (code, said) = program(url, &arguments);
    (code, serde_json::from_str(&said).unwrap_or_else(|error| panic!("{said}: {error}")))
}

/// What does not fit in a saga's journal: each fault as `word row`.
fn faults(url: &str, key: Option<&str>, id: Uuid) -> Vec<String> {
    let (code, said) = verified(url, key, &[&id.to_string()]);
    let one = |fault: &Value| match fault["row"].as_i64() {
        Some(row) => format!("{} {row}", fault["fault"].as_str().unwrap()),
        None => fault["fault"].as_str().unwrap().to_owned(),
    };
    let found: Vec<String> = said["faults"].as_array().unwrap().iter().map(one).collect();
    assert_eq!((code, said["ok"] == true), if found.is_empty() { (0, true) } else { (1, false) }, "{said}");
    found
}
