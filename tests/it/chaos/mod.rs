//! Chaos: several node processes, a Postgres of their own and participants that lie, under a nemesis; then the sagas'
//! word is held against the participants' ledger. Owns the run and its audit; what goes wrong is in `nemesis.rs`, what
//! participants do wrong in `http.rs`, and what may need a person in `person.rs`.
//! `AMENDS_CHAOS_SAGAS` and `AMENDS_CHAOS_SEED` make another run of it.

mod http;
mod nemesis;
mod node;
mod person;
mod recovery;
mod storm;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amends::saga::definition::Draft;
use amends::saga::event::Request;
use amends::store::{PostgresConfig, Store};
use nemesis::Nemesis;
use person::Person;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::crash::definitions::{Habits, SAGAS};
use crate::crash::ledger;
use crate::harness::Cluster;

/// Patient definitions: an outage of a few seconds is no reason to give up. A node that was stopped may send
/// what it was about to send; the settle window is longer than that.
const HABITS: Habits = Habits { attempts: 200, settle_ms: 8_000, naughty: true, forgetful: false };
/// Every definition of a node.
fn drafts() -> Vec<Draft> {
    HABITS.drafts().into_iter().chain(http::drafts()).collect()
}

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
            if let Ok((client, connection)) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await {
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
        let names: Vec<&str> = SAGAS.into_iter().chain(http::SAGAS).collect();
        let (round, turn) = (usize::try_from(number).unwrap() / names.len(), number as usize % names.len());
        // A few of each definition that takes turns wait for each other.
        let (name, guest) = (names[turn], round / 3);
        let sql = format!("select amends.start('{name}', '{{\"guest\": {guest}}}', 'chaos-{number}')");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
    amends::barrier::install(&way.client().await).await.unwrap();
    let server = http::Server::start(&way.url).await;
    let mut nemesis = Nemesis::new(seed, cluster, server.port).await;
    nemesis.wait_for_definitions(&way).await;
    let ids = rage(&way, &mut nemesis, i64::try_from(sagas).unwrap()).await;
    nemesis.calm().await;
    let person = finish(&way, &store).await;
    let client = way.client().await;
    let mut faults = ledger::audit(&client).await;
    let ended = client.query("select status, count(*) from amends.saga_done group by status", &[]).await.unwrap();
    let ended: BTreeMap<String, i64> = ended.iter().map(|row| (row.get(0), row.get(1))).collect();
    faults.extend(unfinished(&client, &ids).await);
    let owners_lost = way.count("select count(*) from amends.journal where kind = 'owner_lost'").await;
    println!(
        "{ended:?} in {:.0} s; {}; {owners_lost} takeovers amid a call; {person}; {} sagas; \
         answers over HTTP: {:?}",
        began.elapsed().as_secs_f64(),
        nemesis.deeds(),
        ids.len(),
        server.told()
    );
    faults.extend(person.faults());
    assert!(faults.is_empty(), "seed {seed}: {} broken promises:\n{}", faults.len(), faults.join("\n"));
    assert!(ids.len() as u64 >= sagas, "seed {seed}: only {} sagas were started", ids.len());
    let kept = server.told().into_iter().filter(|(_, count)| *count == 0).collect::<Vec<_>>();
    assert_eq!(kept, Vec::new(), "seed {seed}: answers that never went wrong in this way");
    assert_eq!(nemesis.undone(), Vec::<String>::new(), "seed {seed}: what chaos promises and has not done");
}

/// Sagas that were started and have not ended, with their journals.
async fn unfinished(client: &Client, ids: &[Uuid]) -> Vec<String> {
    let sql = "select format(E'%s was started and has not ended: %s %s, lane %s\n%s', x.id, d.name, g.status, g.lane,
            (select string_agg(format('  %s %s %s %s', j.seq, j.at, j.kind, left(j.body, 200)), E'\n' order by j.seq)
             from amends.journal j where j.id = x.id))
        from unnest($1::uuid[]) as x (id)
        left join amends.live_saga g on g.id = x.id left join amends.definition d on d.id = g.definition
        where not exists (select from amends.saga_done s where s.id = x.id)";
    client.query(sql, &[&ids]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Starts sagas while the nemesis does its worst, until nearly all have come to rest. As long as it has not done
/// everything that it promises, there are further ones.
async fn rage(way: &Way, nemesis: &mut Nemesis, sagas: i64) -> Vec<Uuid> {
    let at_rest = "select (select count(*) from amends.saga_done)
        + (select count(*) from amends.saga where status = 'stuck')";
    let waiting = "select count(amends.request(g.id, '{\"provide\": {\"event\": \"go\", \"payload\": {}}}'))
        from amends.live_saga g join amends.definition d on d.id = g.definition
        where d.name = 'waits' and g.lane is null and g.signals = 0";
    let mut ids = Vec::new();
    let started = |ids: &Vec<Uuid>| i64::try_from(ids.len()).unwrap();
    let (mut resting, mut moved) = (0_i64, Instant::now());
    while moved.elapsed() < STILL_MAX {
        let wanted = if nemesis.has_done_everything() { sagas } else { i64::MAX };
        // With each loss of its owner a settle window begins anew, so the last ones end in peace.
        let all = started(&ids);
        if all >= wanted && resting * 20 >= all * 19 {
            break;
        }
        while started(&ids) < wanted.min(resting + UNDER_WAY_MAX) {
            ids.push(way.start(started(&ids)).await);
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

/// Waits for the last ones, and lets a person do what is left, until all has ended or needs nobody and is stuck.
async fn finish(way: &Way, store: &Store) -> Person {
    // What can still land has landed.
    tokio::time::sleep(Duration::from_millis(HABITS.settle_ms)).await;
    let (began, mut person) = (Instant::now(), Person::default());
    let sql = "select g.id, d.name, g.status from amends.live_saga g join amends.definition d on d.id = g.definition";
    while began.elapsed() < STILL_MAX {
        let client = way.client().await;
        let live = client.query(sql, &[]).await.unwrap();
        let live: Vec<(Uuid, String, String)> = live.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
        if live.iter().all(|(saga, ..)| person.is_given_up(*saga)) {
            break;
        }
        for (saga, name, status) in live {
            let event = Request::Provide { event: "go".into(), payload: json!({}).into() };
            if name == "waits" {
                // It may have got it, and may have ended.
                let _ = store.signal(saga, &event).await;
            }
            if status == "stuck" && !person.is_given_up(saga) {
                person.look_at(&client, store, saga, &name).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    person
}
