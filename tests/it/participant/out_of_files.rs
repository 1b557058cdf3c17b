//! Calls of a process that has no free file descriptor, over each transport. Nothing leaves it, and no rule of a
//! definition takes that for an answer. It has a process of its own: its limit is that of all tests in it.

use std::collections::BTreeMap;

use amends::participant::{Secret, Transport};
use amends::saga::outcome::Outcome;
use serde_json::json;

use super::{call, probed, scope, tool, with};
use crate::harness::{die_with_parent, passes_in_its_own_process};
use crate::participant::wire::{Wire, answer};

const NAME: &str = "AMENDS_TEST_OUT_OF_FILES";

#[test]
fn no_transport_takes_a_shortage_of_files_for_an_answer() {
    passes_in_its_own_process("participant::out_of_files::child_process_entry", NAME);
}

/// Not a test but a process without free files, when the test has started this binary for it.
#[test]
fn child_process_entry() {
    if std::env::var(NAME).is_err() {
        return;
    }
    die_with_parent();
    tokio::runtime::Runtime::new().unwrap().block_on(calls());
}

/// Sets the limit of open files of this process.
fn set_limit(files: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain system calls with pointers to a live value.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = files;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}

async fn calls() {
    let wire = Wire::serve(|_| answer("200 OK", "content-type: application/json\r\n", "{\"id\":1}")).await;
    let port = wire.url.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    let http = |url: String| with(Transport::Http { url: Secret::plain(&url), headers: BTreeMap::new() });
    let child = Transport::Stdio {
        command: Secret::plain("cat"),
        args: Vec::new(),
        env: BTreeMap::new(),
        cwd: None,
        user: None,
    };
    let post = || json!({"http": {"participant": "it", "method": "POST", "path": "/x"}});
    let named = format!("http://localhost:{port}");
    let all = [
        ("an address", http(wire.url.clone()), post()),
        ("a name", http(named.clone()), post()),
        ("a child", with(child), tool("x", json!({}))),
        (
            "MCP over HTTP",
            with(Transport::McpHttp { url: Secret::plain(&named), headers: BTreeMap::new() }),
            tool("x", json!({})),
        ),
    ];
    // The definition would take anything but a success for a refusal.
    let rules = json!({"classify": [{"when": "outcome != 'succeeded'", "outcome": "failed"}]});
    // A first call, so that whatever is opened once is open.
    let (outcome, _) = all[1].1.execute(&call(post(), json!({})), &scope(json!({}))).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    // The resolver's threads and the connections of that call are gone or stay; either way nothing is free.
    set_limit(3);
    let mut said = Vec::new();
    for round in 0..3 {
        for (what, participants, target) in &all {
            let ruled = call(target.clone(), rules.clone());
            let (outcome, decided_by) = participants.execute(&ruled, &scope(json!({}))).await;
            said.push((round, *what, outcome, decided_by.map(|by| by.rule)));
        }
    }
    let probe = json!({"target": post(), "timeout_ms": 5_000, "applied": "true", "absent": "false"});
    let answered = probed(&all[0].1, probe).await;
    set_limit(256);
    for (round, what, outcome, rule) in said {
        assert_eq!(rule.as_deref(), Some("out_of_files"), "{what}, round {round}: {outcome:?}");
        assert!(matches!(outcome, Outcome::Failed { retryable: true, .. }), "{what}: {outcome:?}");
    }
    assert!(answered.starts_with("inconclusive out_of_files"), "{answered}");
    assert_eq!(wire.count(), 1, "only the first call arrived");
    let (outcome, _) = all[1].1.execute(&call(post(), json!({})), &scope(json!({}))).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
}
