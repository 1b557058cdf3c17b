//! Participants as the runtime meets them: real servers in other processes or on other sockets, and
//! everything they may do to a call.

mod answers;
mod bodies;
mod encoders;
mod faults;
mod handlers;
mod http;
mod limits;
mod mcp_bodies;
mod mcp_busy;
mod mcp_child;
pub(crate) mod mcp_http;
mod mcp_raw;
mod mcp_session;
mod out_of_files;
mod out_of_threads;
mod raw_child;
mod secure;
pub(crate) mod server;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::Duration;

use amends::participant::{Handlers, Limits, ParticipantConfig, Participants, Scope, Transport};
use amends::saga::Json;
use amends::saga::definition::{Call, Probe};
use amends::saga::outcome::{Answer, Outcome};
use serde_json::{Value, json};

/// Makes participants with one remote of the name `it`.
fn with(transport: Transport) -> Participants {
    with_limits(transport, Limits::default())
}

fn with_limits(transport: Transport, limits: Limits) -> Participants {
    let config = ParticipantConfig { name: "it".into(), transport, limits, answers: Default::default() };
    Participants::new(vec![config], Handlers::new(), &tokio::runtime::Handle::current()).unwrap()
}

fn scope(input: Value) -> Arc<Scope> {
    let mut scope = Scope::of_saga(uuid::Uuid::nil(), Json::from(input), Vec::new());
    scope.key = "saga/step/action/0".into();
    Arc::new(scope)
}

/// Makes a call to a target, with further fields of it.
fn call(target: Value, fields: Value) -> Call {
    let mut call = json!({"target": target, "timeout_ms": 5_000});
    call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(call).unwrap()
}

fn tool(name: &str, arguments: Value) -> Value {
    json!({"tool": {"participant": "it", "tool": name, "arguments": arguments}})
}

/// Writes an outcome in one line.
fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded { output } => format!("succeeded {}", output.get()),
        Outcome::Failed { error, retryable: false, .. } => format!("failed {error}"),
        Outcome::Failed { error, retry_after_ms: Some(ms), .. } => format!("retryable after {ms}: {error}"),
        Outcome::Failed { error, .. } => format!("retryable {error}"),
        Outcome::Pending { retry_after_ms } => format!("pending {retry_after_ms:?}"),
        Outcome::Errored { error, .. } => format!("errored {error}"),
        Outcome::Unknown { error, .. } => format!("unknown {error}"),
    }
}

/// Calls and writes the outcome in one line.
async fn executed(participants: &Participants, call: &Call) -> String {
    said(&participants.execute(call, &scope(json!({"id": "b 1"}))).await.0)
}

async fn probed(participants: &Participants, probe: Value) -> String {
    let probe: Probe = serde_json::from_value(probe).unwrap();
    match participants.probe(&probe, &scope(json!({"id": "b 1"}))).await.0 {
        Answer::Applied { output } => format!("applied {}", output.get()),
        Answer::Absent => "absent".into(),
        Answer::Inconclusive { error, .. } => format!("inconclusive {error}"),
    }
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still not so after 10 s: {what}");
}

/// Asserts that a line starts with one text and contains another.
#[track_caller]
fn says(line: &str, start: &str, part: &str) {
    assert!(line.starts_with(start) && line.contains(part), "expected `{start}…{part}…`, found `{line}`");
}
