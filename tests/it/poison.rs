//! A saga that kills every process that runs it: after three lone trials it waits for a person, and the nodes and all
//! other sagas live. Owns the pool of node processes and what is true about their deaths. The pauses before trials are
//! shorter here than in life.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::time::{Duration, Instant};

use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Probe, Retry, Step, Target};
use serde_json::{Value, json};

use crate::harness::{Database, die_with_parent, in_its_own_process};

const URL: &str = "AMENDS_POISON_NODE";
/// How long the first pause before a lone trial is in that process, in milliseconds.
const PAUSE: &str = "AMENDS_POISON_TRIAL_PAUSE_MS";

/// How long the patient wait: as long as a saga stays with its owner without a row.
const PATIENCE_MS: u64 = 9_000;

/// Deaths that make a saga a suspect.
const DEATHS_BEFORE_TRIALS: usize = 2;
/// Deaths of lone trials that convict it, if no other process dies around then.
const TRIALS: usize = 3;
/// Deaths that a saga may cause before it is put aside.
const DEATHS_OF_A_SAGA: usize = DEATHS_BEFORE_TRIALS + TRIALS;
/// Shorter than the first trial of a slow poison, which it survives.
const SLOWLY_MS: u64 = 3_000;

async fn begin(url: &str, kills: bool) -> Runtime {
    let handlers = Handlers::new().register("drink", move |_: StepContext, input: Value| async move {
        if kills && input["cup"] == "poison" {
            // By then what came with it is under way.
            tokio::time::sleep(Duration::from_millis(100)).await;
            // As a stack overflow, a broken C library or the kernel's OOM killer would.
            std::process::abort();
        }
        if kills && input["cup"] == "slow poison" {
            // As what takes ever more memory would.
            tokio::time::sleep(Duration::from_millis(SLOWLY_MS)).await;
            std::process::abort();
        }
        if input["cup"] == "tea" {
            tokio::time::sleep(Duration::from_millis(1_200)).await;
        }
        Ok::<_, Failure>(input)
    });
    let handlers = handlers.register("taste", async |_: StepContext, _: Value| {
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        Ok::<_, Failure>(json!(false))
    });
    let at_once = || Retry { attempts: 9, backoff_ms: 20, backoff_max_ms: 20, ..Retry::default() };
    let drink = move || Call::handler("drink").idempotent().retry(at_once());
    // What is in doubt is asked: the question begins with the take-over, not after a pause.
    let taste = Probe::new(Target::Handler { name: "taste".into(), arguments: None }, "result");
    let slowly = drink().timeout_ms(4 * SLOWLY_MS);
    let first = Call::handler("drink").probe(taste).retry(at_once()).timeout_ms(2_000).settle_ms(100);
    let draft = Draft::new("banquet").step(Step::new("drink", first).compensation(drink()));
    let draft = draft.step(Step::new("leave", drink()).compensation(drink()).needs(["drink"]));
    let builder = Runtime::builder(url).lease(Duration::from_secs(2)).lanes(1);
    let cursed = Draft::new("cursed").step(Step::new("drink", drink()).compensation(drink()));
    // Who takes it up has nothing to write, and keeps it: its time is near.
    let patient = Draft::new("patient").step(Step::awaiting("word", "word", Some(PATIENCE_MS)));
    let doomed = Draft::new("doomed").step(Step::sleeping("doze", 500));
    let late = Draft::new("late").step(Step::new("drink", slowly).compensation(drink()));
    let drafts = [draft, cursed, patient, doomed, late];
    drafts
        .into_iter()
        .fold(builder.handlers(handlers), |builder, draft| builder.definition(draft))
        .begin()
        .await
        .unwrap()
}

/// Not a test but a node, when a test has started this binary for it.
#[test]
fn child_process_entry() {
    let Ok(url) = std::env::var(URL) else { return };
    die_with_parent();
    for place in ["saga: reading for cursed forward", "saga: decided for doomed forward"] {
        fail::cfg_callback(place, || std::process::abort()).unwrap();
    }
    let pause = std::env::var(PAUSE).unwrap_or_else(|_| "300".to_owned());
    fail::cfg("trial pause", &format!("return({pause})")).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let _runtime = begin(&url, true).await;
        std::future::pending::<()>().await;
    });
}

fn spawn(url: &str) -> Child {
    in_its_own_process("poison::child_process_entry").env(URL, url).spawn().unwrap()
}

/// A database in which `banquet` is registered, and the connection of whoever looks.
async fn hall() -> (Database, tokio_postgres::Client) {
    let database = Database::create().await;
    begin(&database.url, false).await.stop(Duration::from_secs(5)).await.unwrap();
    let client = database.client().await;
    (database, client)
}

async fn serve(client: &tokio_postgres::Client, cup: &str, sagas: i64) {
    let sql = "select count(amends.start('banquet', $1::text::json)) from generate_series(1, $2::bigint)";
    client.query_one(sql, &[&json!({ "cup": cup }).to_string(), &sagas]).await.unwrap();
}

async fn count(client: &tokio_postgres::Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.map_or(-1, |row| row.get(0))
}

/// Starts nodes again that have died, as the service manager of each machine would; returns how many had.
fn replace_the_dead(pool: &mut [Child], url: &str) -> usize {
    let mut deaths = 0;
    for node in pool {
        if let Some(status) = node.try_wait().unwrap() {
            assert_eq!(status.signal(), Some(libc::SIGABRT), "a node ended for another reason");
            deaths += 1;
            *node = spawn(url);
        }
    }
    deaths
}

/// The same until something is so; returns how many had died by then.
async fn replace_until(pool: &mut [Child], url: &str, done: impl AsyncFn() -> bool) -> usize {
    let (mut deaths, deadline) = (0, Instant::now() + Duration::from_secs(90));
    while !done().await {
        assert!(Instant::now() < deadline, "not yet, after {deaths} deaths");
        deaths += replace_the_dead(pool, url);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    deaths
}

const DONE: &str = "select count(*) from amends.sagas where status = 'completed'";
/// A saga that is put aside as a whole, since the last time that it was.
const ASIDE: &str = "select count(*) from amends.unreadable u join amends.saga g on g.id = u.id
    where g.status = 'stuck' and g.lane is null and u.reason like '3 processes in a row died%'
      and u.at > (select coalesce(max(s.at), '-infinity') from amends.signal s)";

const PUT_ASIDE: &str = "select count(*) from amends.stuck where reason = 'process_died'";

/// Who looks at a saga that stands still learns what it waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_that_waits_for_its_lone_trial_says_so() {
    let (database, client) = hall().await;
    serve(&client, "poison", 1).await;
    let patient =
        || in_its_own_process("poison::child_process_entry").env(URL, &database.url).env(PAUSE, "60000").spawn();
    let mut node = patient().unwrap();
    let waits = "select count(*) from amends.waits w join amends.sagas s using (saga)
                 where w.step is null and w.waits_for like 'its lone trial%' and s.status = 'running'";
    crate::harness::eventually("it waits for its trial", async || {
        if node.try_wait().unwrap().is_some() {
            node = patient().unwrap();
        }
        count(&client, waits).await == 1
    })
    .await;
    let saga: uuid::Uuid = client.query_one("select saga from amends.waits", &[]).await.unwrap().get(0);
    let show = ["show", &saga.to_string(), "--database-url", &database.url].map(str::to_owned);
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_amends")).args(show).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("the saga has waited for its lone trial (processes died while they ran it) for "), "{said}");
    node.kill().unwrap();
    node.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_beside_a_saga_that_kills_is_not_put_aside_with_it() {
    const BESIDE: i64 = 3;
    let (database, client) = hall().await;
    serve(&client, "tea", BESIDE).await;
    serve(&client, "poison", 1).await;
    let mut pool = [spawn(&database.url)];
    let all = async || (count(&client, DONE).await, count(&client, PUT_ASIDE).await) == (BESIDE, 1);
    assert_eq!(replace_until(&mut pool, &database.url, all).await, DEATHS_OF_A_SAGA);
    // They had been under way each time.
    let lost = "select count(*) from amends.journal j join amends.sagas s on s.saga = j.id
                where j.kind = 'owner_lost' and s.status = 'completed'";
    assert!(count(&client, lost).await >= 2 * (BESIDE - 1), "{}", count(&client, lost).await);
    for node in &mut pool {
        node.kill().unwrap();
        node.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_that_kills_its_process_each_time_is_put_aside_and_the_nodes_live() {
    const POISONED: i64 = 2;
    const HEALTHY: i64 = 30;
    let (database, client) = hall().await;
    let mut pool = vec![spawn(&database.url), spawn(&database.url)];
    serve(&client, "poison", POISONED).await;
    let aside = async || count(&client, PUT_ASIDE).await == POISONED;
    let deaths = replace_until(&mut pool, &database.url, aside).await;
    // Both may die in one process, and neither more often than its share.
    assert!((DEATHS_OF_A_SAGA..=2 * DEATHS_OF_A_SAGA).contains(&deaths), "{deaths} deaths");
    serve(&client, "wine", HEALTHY).await;
    crate::harness::eventually("the others are done", async || count(&client, DONE).await == HEALTHY).await;
    assert!(pool.iter_mut().all(|node| node.try_wait().unwrap().is_none()), "the nodes live on");

    // A person mends the cause and tells the sagas to go on.
    for node in &mut pool {
        node.kill().unwrap();
        node.wait().unwrap();
    }
    let mended = begin(&database.url, false).await;
    client.query("select amends.retry(saga, step, 'mended') from amends.stuck", &[]).await.unwrap();
    let all = HEALTHY + POISONED;
    crate::harness::eventually("all are done", async || count(&client, DONE).await == all).await;
    mended.stop(Duration::from_secs(5)).await.unwrap();
}

/// What a node died of nobody sees in the journal: there is no row of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_that_kills_whoever_reads_it_is_put_aside_and_the_nodes_live() {
    const PATIENT: i64 = 20;
    let (database, client) = hall().await;
    let start = "select amends.start('patient', '{}') from generate_series(1, $1::bigint)";
    client.query(start, &[&PATIENT]).await.unwrap();
    let saga: uuid::Uuid = client.query_one("select amends.start('cursed', '{}')", &[]).await.unwrap().get(0);
    let mut pool = [spawn(&database.url)];
    // The first death is that of the one which wrote the first row; then an operator asks for a new set of trials.
    for (is_first, deaths) in [(true, DEATHS_OF_A_SAGA + 1), (false, TRIALS)] {
        let aside = async || count(&client, ASIDE).await == 1;
        assert_eq!(replace_until(&mut pool, &database.url, aside).await, deaths);
        // Those with it were handed from one dead node to the next, and suspected as well.
        let ended = "select count(*) from amends.sagas where definition = 'patient' and ended_at is not null";
        crate::harness::eventually("the others end", async || count(&client, ended).await == PATIENT).await;
        assert!(pool.iter_mut().all(|node| node.try_wait().unwrap().is_none()), "the node lives on");
        if is_first {
            client.query("select amends.resume($1, 'try it again')", &[&saga]).await.unwrap();
        }
    }
    let [mut node] = pool;
    node.kill().unwrap();
    node.wait().unwrap();

    // Whoever looks does not read it either. A person mends the cause and has it tried once more.
    let mended = begin(&database.url, false).await;
    let looked = mended.client().inspect(saga).await.unwrap_err().to_string();
    assert!(looked.contains("processes in a row died"), "{looked}");
    let (code, shown, _) = crate::cli::run(&database, &["show", &saga.to_string()]).await;
    assert!(code == 0 && shown.contains("its journal is not read here"), "{shown}");
    client.query("select amends.rerun_from($1, 'drink', 'to be rid of it')", &[&saga]).await.unwrap();
    let refused = "select count(*) from amends.reruns where fate = 'refused' and answer like '%in a row died%'";
    crate::harness::eventually("nor for a rerun", async || count(&client, refused).await == 1).await;
    client.query("select amends.resume($1, 'mended')", &[&saga]).await.unwrap();
    let done = mended.wait(saga).await.unwrap();
    assert_eq!(done.status, amends::saga::state::Status::Completed);
    assert_eq!(count(&client, "select count(*) from amends.stuck").await, 0);
    mended.stop(Duration::from_secs(5)).await.unwrap();
}

/// The result of a saga is rendered before there is a row of its end; here none of its calls is under way then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saga_that_kills_with_its_last_word_is_put_aside() {
    let (database, client) = hall().await;
    client.query("select amends.start('doomed', '{}')", &[]).await.unwrap();
    let mut pool = [spawn(&database.url)];
    let aside = async || count(&client, ASIDE).await == 1;
    assert_eq!(replace_until(&mut pool, &database.url, aside).await, DEATHS_OF_A_SAGA + 1);
    let [mut node] = pool;
    node.kill().unwrap();
    node.wait().unwrap();
}

/// What kills late survives its first trial, which is short; each further one takes twice as long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_kills_late_is_put_aside_too() {
    let (database, client) = hall().await;
    let start = "select amends.start('late', '{\"cup\": \"slow poison\"}')";
    client.query(start, &[]).await.unwrap();
    let mut pool = [spawn(&database.url)];
    let aside = async || count(&client, PUT_ASIDE).await == 1;
    assert_eq!(replace_until(&mut pool, &database.url, aside).await, DEATHS_OF_A_SAGA + 1);
    let [mut node] = pool;
    node.kill().unwrap();
    node.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_stopped_says_so_before_it_hands_anything_back() {
    let (database, client) = hall().await;
    let node = begin(&database.url, false).await;
    serve(&client, "tea", 1).await;
    let under_way = "select count(*) from amends.saga where lane is not null";
    crate::harness::eventually("it is under way", async || count(&client, under_way).await == 1).await;
    let stopping = node.clone();
    let stopped = tokio::spawn(async move { stopping.stop(Duration::from_secs(20)).await.unwrap() });
    let announced = "select count(*) from amends.node where leaving and gone_at is null";
    crate::harness::eventually("it says so", async || {
        assert!(!stopped.is_finished(), "it has ended without a word");
        count(&client, announced).await == 1
    })
    .await;
    assert!(stopped.await.unwrap());
}
