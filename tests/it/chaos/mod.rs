//! Chaos: several node processes, a Postgres of their own and participants that lie, under a nemesis; then the sagas'
//! word is held against the participants' ledger. Owns the run and its audit; what goes wrong is in `nemesis.rs`.
//! `AMENDS_CHAOS_SAGAS` and `AMENDS_CHAOS_SEED` make another run of it.

mod nemesis;
mod node;
mod recovery;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amends::saga::event::{Finding, Request};
use amends::store::{PostgresConfig, Store};
use nemesis::Nemesis;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::crash::ledger::{self, Habits, SAGAS};
use crate::harness::Cluster;

/// Patient definitions: an outage of a few seconds is no reason to give up. A node that was stopped may send
/// what it was about to send; the settle window is longer than that.
const HABITS: Habits = Habits { attempts: 200, settle_ms: 8_000, naughty: true };
/// Sagas that are started at once.
const UNDER_WAY_MAX: i64 = 300;
/// How long all of it may stand still.
const STILL_MAX: Duration = Duration::from_secs(90);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The way to the database, which comes and goes.
struct Way {
    url: String,
}

impl Way {
    async fn client(&self) -> Client {
        let deadline = Instant::now() + STILL_MAX;
        loop {
            if let Ok((client, connection)) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await
            {
                tokio::spawn(connection);
                return client;
            }
            assert!(Instant::now() < deadline, "the database does not come back");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Repeats a question until it is answered.
    async fn count(&self, sql: &str) -> i64 {
        loop {
            if let Ok(row) = self.client().await.query_one(sql, &[]).await {
                return row.get(0);
            }
        }
    }

    /// Starts a saga once, whatever happens on the way.
    async fn start(&self, number: i64) -> Uuid {
        let name = SAGAS[usize::try_from(number).unwrap() % SAGAS.len()];
        let sql = format!("select amends.start('{name}', '{{}}', 'chaos-{number}')");
        loop {
            match self.client().await.query_one(&sql, &[]).await {
                Ok(row) => return row.get(0),
                Err(error) => {
                    assert!(error.as_db_error().is_none_or(|e| !e.code().code().starts_with("AM")), "{error}")
                }
            }
        }
    }
}

#[tokio::test]
async fn sagas_survive_a_nemesis() {
    let (sagas, seed) = (setting("AMENDS_CHAOS_SAGAS", 500), setting("AMENDS_CHAOS_SEED", 20_261_122));
    println!("{sagas} sagas, AMENDS_CHAOS_SEED={seed}");
    let began = Instant::now();
    let cluster = Cluster::start("chaos", true);
    let way = Way { url: cluster.url("postgres") };
    drop(cluster.ready().await);
    let store = Store::connect(PostgresConfig::parse(&way.url).unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    way.client().await.batch_execute(ledger::SQL).await.unwrap();
    let mut nemesis = Nemesis::new(seed, cluster).await;
    nemesis.wait_for_definitions(&way).await;
    let ids = rage(&way, &mut nemesis, i64::try_from(sagas).unwrap()).await;
    nemesis.calm().await;
    let looked_up = finish(&way, &store).await;
    let client = way.client().await;
    let mut faults = ledger::audit(&client).await;
    let ended =
        client.query("select status, count(*) from amends.saga_done group by status", &[]).await.unwrap();
    let ended: BTreeMap<String, i64> = ended.iter().map(|row| (row.get(0), row.get(1))).collect();
    let sql = "select x.id::text from unnest($1::uuid[]) as x (id)
               where not exists (select from amends.saga_done g where g.id = x.id)";
    let lost = client.query(sql, &[&ids]).await.unwrap();
    faults.extend(lost.iter().map(|row| format!("{} was started and has not ended", row.get::<_, &str>(0))));
    let owners_lost = way.count("select count(*) from amends.journal where kind = 'owner_lost'").await;
    println!(
        "{ended:?} in {:.0} s; {}; {owners_lost} takeovers amid a call; {looked_up} steps looked up by a person",
        began.elapsed().as_secs_f64(),
        nemesis.deeds()
    );
    assert_eq!(ids.len() as u64, sagas);
    assert!(faults.is_empty(), "seed {seed}: {} broken promises:\n{}", faults.len(), faults.join("\n"));
}

/// Starts sagas while the nemesis does its worst, until all have come to rest.
async fn rage(way: &Way, nemesis: &mut Nemesis, sagas: i64) -> Vec<Uuid> {
    let at_rest = "select (select count(*) from amends.saga_done)
        + (select count(*) from amends.saga where status = 'stuck')";
    let waiting = "select count(amends.request(g.id, '{\"provide\": {\"event\": \"go\", \"payload\": {}}}'))
        from amends.saga g join amends.definition d on d.id = g.definition
        where d.name = 'waits' and g.lane is null and g.signals = 0";
    let mut ids = Vec::new();
    let (mut resting, mut moved) = (0, Instant::now());
    while resting < sagas && moved.elapsed() < STILL_MAX {
        while i64::try_from(ids.len()).unwrap() < sagas.min(resting + UNDER_WAY_MAX) {
            ids.push(way.start(i64::try_from(ids.len()).unwrap()).await);
            nemesis.next().await;
        }
        nemesis.next().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        way.count(waiting).await;
        let now = way.count(at_rest).await;
        if now != resting {
            (resting, moved) = (now, Instant::now());
        }
    }
    ids
}

/// Does what is left to a person: looks up in the ledger what nobody else can know. Returns how often.
async fn finish(way: &Way, store: &Store) -> usize {
    // What can still land has landed.
    tokio::time::sleep(Duration::from_millis(HABITS.settle_ms)).await;
    let began = Instant::now();
    let mut looked_up = 0;
    let sql =
        "select g.id, d.name, g.status from amends.saga g join amends.definition d on d.id = g.definition";
    while began.elapsed() < STILL_MAX {
        let client = way.client().await;
        let live = client.query(sql, &[]).await.unwrap();
        if live.is_empty() {
            break;
        }
        for row in live {
            let (saga, name, status): (Uuid, String, String) = (row.get(0), row.get(1), row.get(2));
            let event = Request::Provide { event: "go".into(), payload: json!({}).into() };
            if name == "waits" {
                // It may have got it, and may have ended.
                let _ = store.signal(saga, &event).await;
            }
            if status == "stuck" {
                looked_up += 1;
                look_up(&client, store, saga, &name).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    looked_up
}

/// A step without keys and without a probe is looked up; what killed its process too often is tried again.
async fn look_up(client: &Client, store: &Store, saga: Uuid, name: &str) {
    let sql = "select key from ledger.effect where saga = $1 and step = 'x'";
    let found = client.query_opt(sql, &[&saga.to_string()]).await.unwrap();
    let finding = match found.map(|row| row.get::<_, String>(0)) {
        Some(key) => Finding::Applied { output: json!({ "key": key }).into() },
        None => Finding::Absent,
    };
    let reason = "looked it up".to_owned();
    // An absence proves nothing while an effect can still land; a person knows that as well as a probe.
    let settled = "select coalesce(max(j.at), '-infinity') < clock_timestamp() - $2::bigint * interval '1 ms'
        from amends.journal j where j.id = $1 and j.kind in ('attempt_ended', 'owner_lost')";
    let window_ms = i64::try_from(HABITS.settle_ms).unwrap();
    if !client.query_one(settled, &[&saga, &window_ms]).await.unwrap().get::<_, bool>(0) {
        return;
    }
    // What is not legal now is refused, and what has gone on since does not need it.
    if name.starts_with("bare") {
        let _ =
            store.signal(saga, &Request::Resolve { step: "x".into(), finding, reason: reason.clone() }).await;
    }
    for step in ["a", "b", "c", "p", "r", "z"] {
        let _ = store.signal(saga, &Request::Retry { step: step.into(), reason: reason.clone() }).await;
    }
}
