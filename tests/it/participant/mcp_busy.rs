//! MCP servers that carry out one call after the other: which calls are written to them, and when they are killed.

use serde_json::json;

use super::raw_child::RawChild;
use super::{call, executed, says, tool, until, with};
use crate::harness::eventually;

/// The time of one call is over while the server still carries it out; a second call waits behind it and has time. The
/// server is not killed while the second call may be answered, and no further call is written to it.
#[tokio::test]
async fn a_server_is_not_ended_while_a_call_in_flight_has_time() {
    let child = RawChild::new();
    let mcp = with(child.transport());
    let pid = executed(&mcp, &call(tool("first", json!({})), json!({}))).await;
    let waits = call(tool("waits", json!({"until": "go", "note": "a"})), json!({"timeout_ms": 500}));
    let behind = call(tool("behind", json!({})), json!({"timeout_ms": 90_000}));
    let (a, b, ()) = tokio::join!(executed(&mcp, &waits), executed(&mcp, &behind), async {
        // The server has left a ping unanswered for its limit: no further call is written to it.
        let held = call(tool("held", json!({})), json!({"timeout_ms": 100}));
        eventually("the server is given no call", async || {
            executed(&mcp, &held).await.starts_with("retryable refused: ")
        })
        .await;
        let line = executed(&mcp, &held).await;
        says(&line, "retryable refused: ", "nothing was sent");
        child.says("go");
    });
    says(&a, "unknown timeout: ", "");
    assert_eq!(b, pid, "carried out by the same process");
    // It answers again, and is given calls again.
    let after = call(tool("after", json!({})), json!({"timeout_ms": 10_000}));
    assert_eq!(executed(&mcp, &after).await, pid);
    let ledger = child.ledger();
    let done = |note: &str| ledger.iter().filter(|line| *line == note).count();
    assert_eq!((done("first"), done("a"), done("behind"), done("after")), (1, 1, 1, 1), "{ledger:?}");
    mcp.shutdown().await;
}

/// Waiting for a server that does not answer for now is no attempt: it comes before the call begins, with the place.
#[tokio::test]
async fn a_busy_server_is_waited_for_before_the_time_of_a_call_begins() {
    let child = RawChild::new();
    let mcp = with(child.transport());
    let first = call(tool("first", json!({})), json!({}));
    let pid = executed(&mcp, &first).await;
    let waits = call(tool("waits", json!({"until": "go"})), json!({"timeout_ms": 500}));
    let behind = call(tool("behind", json!({})), json!({"timeout_ms": 90_000}));
    let (_, _, ()) = tokio::join!(executed(&mcp, &waits), executed(&mcp, &behind), async {
        let held = call(tool("held", json!({})), json!({"timeout_ms": 100}));
        eventually("the server is given no call", async || {
            executed(&mcp, &held).await.starts_with("retryable refused: ")
        })
        .await;
        let placed = async {
            let _place = mcp.place(&first.target).await;
            executed(&mcp, &call(tool("placed", json!({})), json!({"timeout_ms": 5_000}))).await
        };
        tokio::pin!(placed);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), &mut placed).await.is_err());
        child.says("go");
        assert_eq!(placed.await, pid);
    });
    mcp.shutdown().await;
}

/// A server that hangs for good is ended once no call in flight has time, and calls that came meanwhile are carried out
/// by the next one.
#[tokio::test]
async fn a_server_that_hangs_is_replaced_and_calls_wait_for_the_next_one() {
    let child = RawChild::new();
    let mcp = with(child.transport());
    let pid = executed(&mcp, &call(tool("first", json!({})), json!({}))).await;
    let waits = call(tool("waits", json!({"until": "never"})), json!({"timeout_ms": 300}));
    says(&executed(&mcp, &waits).await, "unknown timeout: ", "");
    let held = call(tool("held", json!({})), json!({"timeout_ms": 100}));
    eventually("the server is given no call", async || {
        let line = executed(&mcp, &held).await;
        line.starts_with("retryable refused: ") || line.starts_with("succeeded ")
    })
    .await;
    let next = executed(&mcp, &call(tool("next", json!({})), json!({"timeout_ms": 60_000}))).await;
    assert!(next.starts_with("succeeded ") && next != pid, "{next} after {pid}");
    assert_eq!(child.ledger().iter().filter(|line| *line == "next").count(), 1);
    mcp.shutdown().await;
}

/// What the server could not take was not sent: it is no doubt, and it is not sent later either.
#[tokio::test]
async fn a_call_that_was_not_written_is_refused_and_never_carried_out() {
    let child = RawChild::new();
    let mcp = with(child.transport());
    let pid = executed(&mcp, &call(tool("first", json!({})), json!({}))).await;
    let waits = call(tool("waits", json!({"until": "go"})), json!({"timeout_ms": 600_000}));
    // More than a pipe takes while the server reads nothing.
    let large = json!({"note": "large", "bulk": "x".repeat(300_000)});
    let large = call(tool("large", large), json!({"timeout_ms": 1_000}));
    let small = call(tool("small", json!({})), json!({"timeout_ms": 1_000}));
    let (waited, ()) = tokio::join!(executed(&mcp, &waits), async {
        let (large, small) = tokio::join!(executed(&mcp, &large), executed(&mcp, &small));
        says(&large, "unknown timeout: ", "");
        says(&small, "retryable refused: ", "nothing was sent");
        child.says("go");
    });
    assert_eq!(waited, pid);
    until("the large one was read", || child.ledger().contains(&"large".to_owned())).await;
    let after = call(tool("after", json!({})), json!({"timeout_ms": 10_000}));
    assert_eq!(executed(&mcp, &after).await, pid);
    assert!(!child.ledger().contains(&"small".to_owned()), "{:?}", child.ledger());
    mcp.shutdown().await;
}

/// Of the calls that a dying server was given, each may have been carried out.
#[tokio::test]
async fn calls_that_were_written_to_a_server_that_dies_are_in_doubt() {
    let child = RawChild::new();
    let mcp = with(child.transport());
    let pid = executed(&mcp, &call(tool("first", json!({})), json!({}))).await;
    let waits = call(tool("waits", json!({"until": "go"})), json!({"timeout_ms": 60_000}));
    let dies = call(tool("dies", json!({})), json!({"timeout_ms": 60_000}));
    let behind = call(tool("behind", json!({})), json!({"timeout_ms": 60_000}));
    let last = call(tool("last", json!({})), json!({"timeout_ms": 300}));
    let (waited, dead, behind, ()) =
        tokio::join!(executed(&mcp, &waits), executed(&mcp, &dies), executed(&mcp, &behind), async {
            // Requests are written one after the other: once the last one is in doubt, all were written.
            says(&executed(&mcp, &last).await, "unknown timeout: ", "");
            child.says("go");
        });
    assert_eq!(waited, pid);
    says(&dead, "unknown closed: ", "exit status: 7");
    says(&behind, "unknown closed: ", "");
    assert_eq!(child.ledger(), ["first", "waits"]);
    assert_ne!(executed(&mcp, &call(tool("next", json!({})), json!({"timeout_ms": 60_000}))).await, pid);
    mcp.shutdown().await;
}
