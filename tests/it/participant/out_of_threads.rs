//! Expressions so deep that they need a thread with a large stack, in a process that gets none. It has a process of its
//! own: its limit is that of all tests in it.

use std::collections::BTreeMap;

use amends::participant::{Secret, Transport, expr};
use amends::saga::definition::{Expression, Template};
use amends::saga::outcome::Outcome;
use serde_json::json;

use super::{call, said, scope, with};
use crate::harness::{die_with_parent, passes_in_its_own_process};
use crate::participant::wire::{Wire, answer};

const NAME: &str = "AMENDS_TEST_OUT_OF_THREADS";
/// Address space that is left: less than the stack of such a thread, and enough for everything else.
const LEFT_BYTES: u64 = 48 << 20;

#[test]
fn an_expression_whose_thread_cannot_start_fails_and_the_node_goes_on() {
    passes_in_its_own_process("participant::out_of_threads::child_process_entry", NAME);
}

/// Not a test but a process without room for a large stack, when the test has started this binary for it.
#[test]
fn child_process_entry() {
    if std::env::var(NAME).is_err() {
        return;
    }
    die_with_parent();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        // On a worker, where a long evaluation hands the other tasks on.
        tokio::spawn(evaluations()).await.unwrap();
    });
}

/// Limits the address space of this process to what it has and this much more; none takes the limit away.
fn limit_space(more: Option<u64>) {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = sizes.split(' ').next().unwrap().parse().unwrap();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain system calls with pointers to a live value.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &raw mut limit), 0);
        limit.rlim_cur = more.map_or(limit.rlim_max, |more| pages * 4_096 + more);
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &raw const limit), 0);
    }
}

async fn evaluations() {
    let wire = Wire::serve(|_| answer("200 OK", "content-type: application/json\r\n", "{\"id\":1}")).await;
    let participants = with(Transport::Http { url: Secret::plain(&wire.url), headers: BTreeMap::new() });
    let deep = |inner: &str| format!("{}{inner}{}", "(1 + ".repeat(30), ")".repeat(30));
    let post = |body: &str| json!({"http": {"participant": "it", "method": "POST", "path": "/x", "body": {"n": body}}});
    let input = scope(json!({"n": 2}));
    let (known, fresh) = (Expression(deep("input.n")), Expression(deep("input.n + 1")));
    assert_eq!(expr::evaluate(&known, &input).unwrap().to_value(), json!(32));
    let plain = call(post("${ input.n + 1 }"), json!({}));
    assert!(matches!(participants.execute(&plain, &input).await.0, Outcome::Succeeded { .. }));

    limit_space(Some(LEFT_BYTES));
    let faults = [
        expr::evaluate(&known, &input).map(drop),
        expr::evaluate(&fresh, &input).map(drop),
        expr::holds(&Expression(format!("{} > 0", known.0)), &input).map(drop),
        expr::render(&Template(json!(format!("${{ {} }}", known.0))), &input).map(drop),
    ];
    let (sent, _) = participants.execute(&call(post(&format!("${{ {} }}", known.0)), json!({})), &input).await;
    let rules = json!({"classify": [{"when": format!("{} == 32", known.0), "outcome": "failed"}]});
    let (classified, _) = participants.execute(&call(post("x"), rules), &input).await;
    let (goes_on, _) = participants.execute(&plain, &input).await;
    limit_space(None);

    for fault in faults {
        let error = fault.unwrap_err();
        assert!(error.code == "expression" && error.message.contains("cannot start a thread"), "{error}");
    }
    // The arguments of a call: it fails for good, before anything was sent.
    assert!(said(&sent).starts_with("failed expression") && said(&sent).contains("cannot start a thread"), "{sent:?}");
    // A rule that reads an answer: what the answer means is not known.
    assert!(matches!(classified, Outcome::Unknown { .. }), "{classified:?}");
    assert!(matches!(goes_on, Outcome::Succeeded { .. }), "{goes_on:?}");
    assert_eq!(wire.count(), 3);
}
