//! `amends explain`: of a file with and without settings, and of a definition that is registered. The tables without a
//! definition are held against the README in `readme.rs`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use serde_json::{Value, json};

use crate::admin::program;
use crate::harness::Database;

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("amends-explain-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Writes a file and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What follows an answer to a call, and what the call has.
fn next(tables: &Value, step: &str, call: &str, answer: &str) -> String {
    let calls = tables["calls"].as_array().unwrap();
    let table = calls.iter().find(|one| one["step"] == step && one["call"] == call).unwrap();
    let starts = |one: &Value| one.as_str().unwrap().starts_with(answer);
    let holds = |row: &&Value| row["answers"].as_array().unwrap().iter().any(starts);
    let row = table["rows"].as_array().unwrap().iter().find(holds);
    let row = row.unwrap_or_else(|| panic!("no row {answer:?} in {table:#}"));
    let [has, outcome, next] = [&table["has"], &row["outcome"], &row["next"]].map(|text| text.as_str().unwrap());
    format!("({has}) {outcome}: {next}")
}

fn explained(url: &str, args: &[&str]) -> Value {
    let (code, said) = program(url, &[&["explain", "--json"], args].concat());
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&said).unwrap()
}

/// What the settings say of a participant changes what its answers mean.
#[tokio::test]
async fn settings_have_their_say() {
    let (database, folder) = (Database::create().await, Folder::new("settings"));
    let definition = folder.file(
        "pay.yaml",
        "saga: pay\nsteps:\n  - step: look\n    effect: read_only\n    action: { tool: bank/look }\n  \
         - step: charge\n    irreversible: true\n    action: { tool: bank/charge }\n  \
         - step: ship\n    effect: idempotent\n    irreversible: true\n    action: { http: desk, path: /ship }\n",
    );
    let settings = folder.file(
        "amends.yaml",
        "participants:\n  bank: { url: \"http://127.0.0.1:9/mcp\", errors: definite }\n  \
         desk: { url: \"http://127.0.0.1:9\", protocol: http, errors: unknown }\n",
    );
    let plain = explained(&database.url, &[&definition]);
    let told = explained(&database.url, &[&definition, "--config", &settings]);
    let error = "a tool's result with `isError`";
    assert_eq!(next(&plain, "charge", "action", error), "(once, irreversible) errored: turn back, the effect may stay");
    let definite = "(once, irreversible, errors: definite) failed: turn back";
    assert_eq!(next(&told, "charge", "action", error), definite);
    let (internal, again) = ("the JSON-RPC error -32603", "unknown: repeat under the same key");
    assert_eq!(next(&told, "charge", "action", internal), definite);
    assert_eq!(next(&plain, "look", "action", internal), format!("(read_only) {again}"));
    let refusal = "another HTTP 4xx";
    assert_eq!(next(&plain, "ship", "action", refusal), "(idempotent, irreversible) failed: turn back");
    let unknown = format!("(idempotent, irreversible, errors: unknown) {again}");
    assert_eq!(next(&told, "ship", "action", refusal), unknown);
    let (code, said) = program(&database.url, &["explain", &definition, "--config", "nowhere.yaml"]);
    assert!(code != 0 && said.contains("nowhere.yaml"), "{code} {said}");
}

/// A definition in Rust has no file: it is explained by the name under which it is registered.
#[tokio::test]
async fn a_registered_definition_is_explained_by_its_name() {
    let database = Database::create().await;
    let work = |_: StepContext, _: Value| async { Ok::<_, Failure>(json!("done")) };
    let undo = Call::handler("work").idempotent();
    let draft = Draft::new("pay").step(Step::new("charge", Call::handler("work")).compensation(undo));
    let handlers = Handlers::new().register("work", work);
    let builder = Runtime::builder(database.url.clone()).handlers(handlers).definition(draft);
    let runtime = builder.begin().await.unwrap();
    let tables = explained(&database.url, &["pay"]);
    assert_eq!(tables["definition"], "pay");
    let said = |call, kind: &str| next(&tables, "charge", call, &format!("`Failure::{kind}`"));
    assert_eq!(said("action", "permanent"), "(once) failed: turn back");
    assert_eq!(said("action", "retryable"), "(once) retryable: repeat under the same key");
    assert_eq!(said("action", "pending"), "(once) pending: wait for the event");
    assert_eq!(said("action", "unknown"), "(once) unknown: stuck: a person decides");
    assert_eq!(said("compensation", "unknown"), "(idempotent) unknown: repeat under the same key");
    // For people, too.
    let (code, text) = program(&database.url, &["explain", "pay"]);
    assert!(code == 0 && text.contains("pay: the compensation of step charge (idempotent)"), "{text}");
    let (code, said) = program(&database.url, &["explain", "nothing"]);
    assert!(code == 4 && said.contains("nothing"), "{code} {said}");
    runtime.stop(Duration::from_secs(5)).await.unwrap();
}
