//! The chain goes on where another process left it: after a kill, after a handover, and from what the journal says.

use std::process::Child;
use std::time::Duration;

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::{Builder, Runtime};
use amends::saga::definition::{Call, Draft, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{KEY, faults, stop, verified};
use crate::admin::{ask, until};
use crate::harness::{Database, die_with_parent, in_its_own_process};

const URL: &str = "AMENDS_CHAIN_NODE";
const SAGAS: usize = 20;

/// Steps that take a while on the node that is killed.
fn builder(url: &str, slow: bool) -> Builder {
    let handlers = Handlers::new().register("work", move |context: StepContext, input: Value| async move {
        if slow && context.step() == "c" {
            std::future::pending::<()>().await;
        }
        Ok::<_, Failure>(input)
    });
    let work = || Call::handler("work").idempotent().timeout_ms(60_000);
    let step = |name: &str| Step::new(name, work()).compensation(work());
    let draft = Draft::new("long").step(step("a")).step(step("b").needs(["a"])).step(step("c").needs(["b"]));
    Runtime::builder(url)
        .lease(Duration::from_secs(2))
        .handlers(handlers)
        .definition(draft.step(step("d").needs(["c"])))
}

/// Not a test but a node, when a test has started this binary for it.
#[test]
fn child_process_entry() {
    let Ok(url) = std::env::var(URL) else { return };
    die_with_parent();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let runtime = builder(&url, true).chain(Some(KEY)).begin().await.unwrap();
        for n in 0..SAGAS {
            runtime.start_once("long", &json!({ "n": n }), &format!("key-{n}")).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
}

fn spawn(url: &str) -> Child {
    in_its_own_process("chain::takeover::child_process_entry").env(URL, url).spawn().unwrap()
}

#[tokio::test]
async fn a_chain_goes_on_after_a_kill() {
    let database = Database::create().await;
    let url = &database.url;
    let mut child = spawn(url);
    until(url, "select count(*) from amends.journal where seq = 3", &SAGAS.to_string()).await;
    child.kill().unwrap();
    child.wait().unwrap();
    // One journal is changed while no node has it: the node that goes on does not hide that.
    let victim: Uuid = ask(url, "select id from amends.saga order by id limit 1").await.parse().unwrap();
    ask(
        url,
        &format!(
            "update amends.journal set body = replace(body, '\"n\":', '\"m\":') where id = '{victim}' and seq = 2"
        ),
    )
    .await;
    let next = builder(url, false).chain(Some(KEY)).begin().await.unwrap();
    until(url, "select count(*) from amends.saga_done where status = 'completed'", &SAGAS.to_string()).await;
    let (code, said) = verified(url, Some(KEY), &["--all", "--chained"]);
    assert_eq!(
        (code, &said["sagas"], &said["faulty"], &said["found"]),
        (1, &json!(SAGAS), &json!(1), &json!(1)),
        "{said}"
    );
    assert_eq!(faults(url, Some(KEY), victim), ["changed 2"]);
    let taken_over = "select count(distinct lane) > 1 and count(*) = count(link) and bool_or(kind = 'owner_lost')
                      from amends.journal";
    assert_eq!(ask(url, taken_over).await, "t");
    stop(next).await;
}
