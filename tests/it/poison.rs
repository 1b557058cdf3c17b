//! A saga that kills every process that runs it: after a bounded number of deaths it waits for a person, and
//! the nodes and everybody else's sagas live. Owns the pool of node processes and what is true about their
//! deaths.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use serde_json::{Value, json};

use crate::harness::Database;

const URL: &str = "AMENDS_POISON_NODE";

/// Deaths that a saga may cause before it is put aside (`LOST_MAX` of the core).
const DEATHS_OF_A_SAGA: usize = 3;

async fn begin(url: &str, kills: bool) -> Runtime {
    let handlers = Handlers::new().register("drink", move |_: StepContext, input: Value| async move {
        if kills && input["cup"] == "poison" {
            // As a stack overflow, a broken C library or the kernel's OOM killer would.
            std::process::abort();
        }
        Ok::<_, Failure>(input)
    });
    let drink = || Call::handler("drink").idempotent();
    let draft = Draft::new("banquet").step(Step::new("drink", drink()).compensation(drink()));
    let draft = draft.step(Step::new("leave", drink()).compensation(drink()).needs(["drink"]));
    let builder = Runtime::builder(url).lease(Duration::from_secs(2)).lanes(1);
    builder.handlers(handlers).definition(draft).begin().await.unwrap()
}

/// Not a test but a node, when a test has started this binary for it.
#[test]
fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    // SAFETY: a plain system call; the test that started us may be killed.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let _runtime = begin(&url, true).await;
        std::future::pending::<()>().await;
    });
}

fn spawn(url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["poison::child", "--exact", "--nocapture", "--test-threads=1"]).env(URL, url);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_that_kills_its_process_each_time_is_put_aside_and_the_nodes_live() {
    const POISONED: i64 = 2;
    const HEALTHY: i64 = 30;
    let database = Database::create().await;
    let client = database.client().await;
    let mut pool = vec![spawn(&database.url), spawn(&database.url)];
    let count = async |sql: &str| client.query_one(sql, &[]).await.map_or(-1, |row| row.get::<_, i64>(0));
    crate::harness::eventually("the definition is there", async || {
        count("select count(*) from amends.current_definition").await == 1
    })
    .await;
    let start = async |cup: &str, sagas: i64| {
        let sql = "select count(amends.start('banquet', $1::text::json)) from generate_series(1, $2::bigint)";
        client.query_one(sql, &[&json!({ "cup": cup }).to_string(), &sagas]).await.unwrap();
    };
    start("poison", POISONED).await;
    let (mut deaths, deadline) = (0, Instant::now() + Duration::from_secs(90));
    let stuck = "select count(*) from amends.stuck where reason = 'process_died'";
    while count(stuck).await != POISONED {
        assert!(Instant::now() < deadline, "{} are put aside after {deaths} deaths", count(stuck).await);
        for node in &mut pool {
            if let Some(status) = node.try_wait().unwrap() {
                assert_eq!(status.signal(), Some(libc::SIGABRT), "a node ended for another reason");
                deaths += 1;
                // As the service manager of each machine would.
                *node = spawn(&database.url);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Both may die in one process, and neither more often than its share.
    assert!((DEATHS_OF_A_SAGA..=2 * DEATHS_OF_A_SAGA).contains(&deaths), "{deaths} deaths");
    start("wine", HEALTHY).await;
    let done = "select count(*) from amends.sagas where status = 'completed'";
    crate::harness::eventually("the others are done", async || count(done).await == HEALTHY).await;
    assert!(pool.iter_mut().all(|node| node.try_wait().unwrap().is_none()), "the nodes live on");

    // A person mends the cause and tells the sagas to go on.
    for node in &mut pool {
        node.kill().unwrap();
        node.wait().unwrap();
    }
    let mended = begin(&database.url, false).await;
    client.query("select amends.retry(saga, step, 'mended') from amends.stuck", &[]).await.unwrap();
    crate::harness::eventually("all are done", async || count(done).await == HEALTHY + POISONED).await;
    mended.stop(Duration::from_secs(5)).await.unwrap();
}
