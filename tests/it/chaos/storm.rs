//! A storm: node processes are killed so fast one after the other that most calls die with their process,
//! again and again, while no saga is to blame. Owns the storm and its measure: afterwards every saga has
//! ended, and none was put aside. `AMENDS_STORM_SAGAS=2400` makes a long run of it, with kills until nearly
//! all have ended.

use std::process::Child;
use std::time::{Duration, Instant};

use amends::participant::{Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::definition::{Call, Draft, Step};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio_postgres::Client;

use super::setting;
use crate::crash::definitions::Habits;
use crate::crash::ledger::{self, Effect, Ledger};
use crate::harness::{Database, die_with_parent, eventually, in_its_own_process};

const URL: &str = "AMENDS_STORM_NODE";
const NODES: usize = 3;
const LEASE: Duration = Duration::from_secs(2);
/// Time between two kills, in milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 300..1_200;
/// Kills of a short run, and most kills of a long one.
const KILLS: u32 = 40;
const KILLS_MAX: u32 = 1_500;
/// Sagas of a short run.
const SAGAS: u64 = 300;
/// How long the last ones may take when the storm is over: a suspect waits a minute between trials.
const CALM_MAX: Duration = Duration::from_secs(150);

/// Participants that know keys or can be asked, so that no saga ever needs a person. Calls of `slow` last
/// nearly a second each.
const HABITS: Habits = Habits { attempts: 500, settle_ms: 300, naughty: false, forgetful: false };
const DEFINITIONS: [&str; 6] = ["linear", "parallel", "slow", "pivot", "linear_back", "sleeps"];
/// Shorter than it takes to park: what sleeps stays with its node.
const SLEEP_MS: u64 = 8_000;

/// Sagas with a call that lasts as long as the storm: their processes die during it for certain.
const LONG: i64 = 6;
/// Deaths during one such call that a storm must have seen.
const DEATHS_LEAST: i64 = 4;

fn drafts() -> Vec<Draft> {
    let sleeps = Draft::new("sleeps").step(Step::sleeping("nap", SLEEP_MS));
    let call = |handler: &str| HABITS.patient(Call::handler(handler)).idempotent();
    let until_calm = call("until calm").timeout_ms(600_000);
    let long = Draft::new("long").step(Step::new("a", until_calm).compensation(call("undo")));
    let known = HABITS.drafts().into_iter().filter(|draft| DEFINITIONS.contains(&&*draft.name));
    known.chain([sleeps, long]).collect()
}

/// Participants, with one that answers when the storm is over.
fn handlers(url: &str) -> Handlers {
    let (ledger, url) = (Ledger::at(url, HABITS), url.to_owned());
    let handlers = ledger::handlers(&ledger);
    handlers.register("until calm", move |context: StepContext, _: Value| {
        let (ledger, url) = (ledger.clone(), url.clone());
        async move {
            let client = crate::harness::connect(&url).await;
            while count(&client, "select count(*) from calm").await == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let (saga, step) = (context.saga().to_string(), context.step().to_owned());
            ledger.write(&Effect::new(saga, step, context.key().to_owned(), HABITS), true).await
        }
    })
}

async fn begin(url: &str) -> Runtime {
    let builder = Runtime::builder(url).lease(LEASE).without_migration();
    let builder = drafts().into_iter().fold(builder, |builder, draft| builder.definition(draft));
    builder.handlers(handlers(url)).begin().await.unwrap()
}

/// Not a test but a node, when a test has started this binary for it.
#[test]
fn child_process_entry() {
    let Ok(url) = std::env::var(URL) else { return };
    die_with_parent();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let _runtime = begin(&url).await;
        std::future::pending::<()>().await;
    });
}

fn spawn(url: &str) -> Child {
    in_its_own_process("chaos::storm::child_process_entry").env(URL, url).spawn().unwrap()
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

const ENDED: &str = "select count(*) from amends.saga_done";
const STUCK: &str = "select format('%s %s %s', saga, coalesce(step, 'all of it'), reason) from amends.stuck";

/// Most deaths of processes during the calls of one saga.
const MOST: &str = "select coalesce(max(n), 0)
    from (select count(*) as n from amends.journal where kind = 'owner_lost' group by id) x";

async fn none_is_stuck(client: &Client, seed: u64) {
    let stuck: Vec<String> = client.query(STUCK, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(stuck, Vec::<String>::new(), "seed {seed}: put aside in a storm");
}

/// Kills nodes one after the other, each replaced at once, as often as `goes_on` says.
async fn rage(url: &str, nodes: &mut [Child], seed: u64, goes_on: impl AsyncFn(u32) -> bool) -> u32 {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut kills = 0;
    while goes_on(kills).await {
        // What happens meanwhile is the storm: the time between two kills is what it is made of.
        tokio::time::sleep(Duration::from_millis(chance.random_range(PAUSE_MS))).await;
        let node = &mut nodes[chance.random_range(0..NODES)];
        node.kill().unwrap();
        node.wait().unwrap();
        *node = spawn(url);
        kills += 1;
    }
    kills
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_saga_is_put_aside_in_a_storm() {
    let (sagas, seed) = (setting("AMENDS_STORM_SAGAS", SAGAS), setting("AMENDS_STORM_SEED", 20_261_129));
    let sagas = i64::try_from(sagas).unwrap();
    println!("{sagas} sagas, AMENDS_STORM_SEED={seed}");
    let database = Database::create().await;
    let client = database.client().await;
    client.batch_execute(ledger::SQL).await.unwrap();
    client.batch_execute("create table calm (at timestamptz)").await.unwrap();
    amends::barrier::install(&database.client().await).await.unwrap();
    begin(&database.url).await.stop(Duration::from_secs(5)).await.unwrap();
    let names = DEFINITIONS.map(str::to_owned).to_vec();
    let start = "select count(amends.start(($1::text[])[1 + n % cardinality($1::text[])], '{}'))
                 from generate_series(1, $2::bigint) n";
    client.query_one(start, &[&names, &(sagas - LONG)]).await.unwrap();
    client.query_one(start, &[&vec!["long"], &LONG]).await.unwrap();
    let began = Instant::now();
    let mut nodes: Vec<Child> = (0..NODES).map(|_| spawn(&database.url)).collect();
    let is_long = u64::try_from(sagas).unwrap() > SAGAS;
    let kills = rage(&database.url, &mut nodes, seed, async |kills| {
        none_is_stuck(&client, seed).await;
        let left = sagas - count(&client, ENDED).await;
        let goes_on = if is_long { left > sagas / 20 } else { kills < KILLS };
        kills < KILLS_MAX && (goes_on || count(&client, MOST).await < DEATHS_LEAST)
    })
    .await;
    let stormy = began.elapsed();
    client.batch_execute("insert into calm values (now())").await.unwrap();
    let deadline = Instant::now() + CALM_MAX;
    while count(&client, ENDED).await < sagas && Instant::now() < deadline {
        none_is_stuck(&client, seed).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let lost = count(&client, "select count(*) from amends.journal where kind = 'owner_lost'").await;
    let most = count(&client, MOST).await;
    println!(
        "{kills} kills in {:.0} s, then {:.0} s of calm: {lost} calls died with their process, {most} of one saga",
        stormy.as_secs_f64(),
        (began.elapsed() - stormy).as_secs_f64(),
    );
    assert!(most >= DEATHS_LEAST, "seed {seed}: that was no storm");
    let left = "select string_agg(format('%s %s %s', g.id, d.name, g.status), ', ')
                from amends.live_saga g join amends.definition d on d.id = g.definition";
    let left: Option<String> = client.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(left, None, "seed {seed}: not ended");
    eventually("no suspect is left", async || {
        count(&client, "select count(*) from amends.suspect s join amends.saga g on g.id = s.id").await == 0
    })
    .await;
    let faults = ledger::audit(&client).await;
    assert!(faults.is_empty(), "seed {seed}: {} broken promises:\n{}", faults.len(), faults.join("\n"));
    for node in &mut nodes {
        node.kill().unwrap();
        node.wait().unwrap();
    }
}
