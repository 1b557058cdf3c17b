//! A storm: node processes are killed so fast one after the other that most calls die with their process,
//! again and again, while no saga is to blame. Owns the storm and its measure: afterwards every saga has
//! ended, and none was put aside. `AMENDS_STORM_SAGAS=2400` makes a long run of it, with kills until nearly
//! all have ended.

use std::process::Child;
use std::time::{Duration, Instant};

use amends::runtime::Runtime;
use amends::saga::definition::{Draft, Step};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio_postgres::Client;

use super::setting;
use crate::crash::definitions::Habits;
use crate::crash::ledger::{self, Ledger};
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

fn drafts() -> Vec<Draft> {
    let sleeps = Draft::new("sleeps").step(Step::sleeping("nap", SLEEP_MS));
    let known = HABITS.drafts().into_iter().filter(|draft| DEFINITIONS.contains(&&*draft.name));
    known.chain([sleeps]).collect()
}

async fn begin(url: &str) -> Runtime {
    let ledger = Ledger::at(url, HABITS);
    let builder = Runtime::builder(url).lease(LEASE).without_migration();
    let builder = drafts().into_iter().fold(builder, |builder, draft| builder.definition(draft));
    builder.handlers(ledger::handlers(&ledger)).begin().await.unwrap()
}

/// Not a test but a node, when a test has started this binary for it.
#[test]
fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    die_with_parent();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let _runtime = begin(&url).await;
        std::future::pending::<()>().await;
    });
}

fn spawn(url: &str) -> Child {
    in_its_own_process("chaos::storm::child").env(URL, url).spawn().unwrap()
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

const ENDED: &str = "select count(*) from amends.saga_done";
const STUCK: &str = "select format('%s %s %s', saga, coalesce(step, 'all of it'), reason) from amends.stuck";

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
    amends::barrier::install(&database.client().await).await.unwrap();
    begin(&database.url).await.stop(Duration::from_secs(5)).await.unwrap();
    let names = DEFINITIONS.map(str::to_owned).to_vec();
    let start = "select count(amends.start(($1::text[])[1 + n % cardinality($1::text[])], '{}'))
                 from generate_series(1, $2::bigint) n";
    client.query_one(start, &[&names, &sagas]).await.unwrap();
    let began = Instant::now();
    let mut nodes: Vec<Child> = (0..NODES).map(|_| spawn(&database.url)).collect();
    let is_long = u64::try_from(sagas).unwrap() > SAGAS;
    let kills = rage(&database.url, &mut nodes, seed, async |kills| {
        if is_long {
            kills < KILLS_MAX && count(&client, ENDED).await * 20 < sagas * 19
        } else {
            kills < KILLS
        }
    })
    .await;
    let stormy = began.elapsed();
    let deadline = Instant::now() + CALM_MAX;
    while count(&client, ENDED).await < sagas && Instant::now() < deadline {
        let stuck: Vec<String> =
            client.query(STUCK, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(stuck, Vec::<String>::new(), "seed {seed}: put aside in a storm");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let lost = count(&client, "select count(*) from amends.journal where kind = 'owner_lost'").await;
    let most = "select coalesce(max(n), 0)
        from (select count(*) as n from amends.journal where kind = 'owner_lost' group by id) x";
    let most = count(&client, most).await;
    println!(
        "{kills} kills in {:.0} s, then {:.0} s of calm: {lost} calls died with their process, {most} of one saga",
        stormy.as_secs_f64(),
        (began.elapsed() - stormy).as_secs_f64(),
    );
    let left = "select string_agg(format('%s %s %s', g.id, d.name, g.status), ', ')
                from amends.saga g join amends.definition d on d.id = g.definition";
    let left: Option<String> = client.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(left, None, "seed {seed}: not ended");
    // Else nothing was tried.
    assert!(most >= 3, "seed {seed}: no saga lost three processes in a row, perhaps");
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
