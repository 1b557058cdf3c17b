//! A life of three sagas on two nodes, statement by statement, with one request or one answer lost at each word that is
//! said to the server. Owns the life; whoever calls repeats what the store says it may.

use std::collections::BTreeSet;
use std::time::Duration;

use amends::saga::event::Request;
use amends::store::{
    DefinitionId, Error, Lane, NetCursor, NodeId, Parking, Passed, PostgresConfig, Sources, Store, Transition,
    TurnCursor, Written,
};
use uuid::Uuid;

use super::{ended, json, went_on};
use crate::admin::ask;
use crate::harness::{Database, cluster, eventually};
use crate::proxy::{Fault, Proxy};

/// Lives that are led at the same time, each on a database of its own.
const AT_ONCE: u64 = 3;
/// What nobody would wait for.
const TIMES_MAX: usize = 60;

/// Asks again while the server is not there.
async fn again<T>(mut work: impl AsyncFnMut() -> Result<T, Error>) -> T {
    for _ in 0..TIMES_MAX {
        match work().await {
            Ok(done) => return done,
            Err(Error::Unavailable(_) | Error::Busy(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the server does not come back");
}

struct World {
    database: Database,
    proxy: Proxy,
    config: PostgresConfig,
    store: Store,
}

impl World {
    async fn new() -> Self {
        let database = Database::create().await;
        let proxy = Proxy::before(cluster().port).await;
        let url = format!("{}?sslmode=disable", database.tcp_url("127.0.0.1", proxy.port));
        let config = PostgresConfig::parse(&url).unwrap();
        let store = Store::connect(config.clone()).await.unwrap();
        Self { database, proxy, config, store }
    }

    async fn node(&self, name: &str) -> (NodeId, Lane) {
        let id = again(async || self.store.join(name, "test", 60_000).await).await;
        (id, again(async || Lane::open(&self.config, id).await).await)
    }

    /// Claims until the lane has these, doing before each claim what may bring them.
    async fn take(&self, lane: &mut Lane, of: &[DefinitionId], wanted: &[Uuid], before: impl AsyncFn()) {
        let mut missing: BTreeSet<Uuid> = wanted.iter().copied().collect();
        for _ in 0..TIMES_MAX {
            before().await;
            for saga in again(async || lane.claim(Sources::ALL, 10, of).await).await.sagas {
                missing.remove(&saga.id);
            }
            if missing.is_empty() {
                return;
            }
        }
        panic!("nobody gets {missing:?}");
    }

    /// Three sagas from their start to their end. Whatever is lost on the way, all that is asked is there once.
    async fn live(&self, name: &str) {
        let store = &self.store;
        let (plain, turned) = (format!("plain_{name}"), format!("turned_{name}"));
        let turns = amends::store::AtStart { concurrency: Some(vec!["guest".to_owned()]), ..Default::default() };
        let definition =
            again(async || store.put_definition(&plain, &plain, "{}", &amends::store::AtStart::default()).await).await;
        let turns = again(async || store.put_definition(&turned, &turned, "{}", &turns).await).await;
        let both = [definition, turns];
        let (first, mut lane) = self.node("first").await;
        let start =
            async |of: &str, key: &str| again(async || store.start(of, &json(r#"{"guest":1}"#), Some(key)).await).await;
        let (one, two) = (start(&plain, "one").await, start(&turned, "two").await);
        let give = async || {
            again(async || store.give_turns(&[]).await).await;
        };
        self.take(&mut lane, &both, &[one, two], give).await;

        again(async || store.signal(one, &Request::Touch).await).await;
        again(async || store.drain_inbox(&[lane.id()]).await).await;
        let signals = again(async || store.signals_after(one, 0).await).await;
        let told = Transition { outbox: Some(json(&format!(r#"{{"definition":{}}}"#, turns.0))), ..went_on(two, 2) };
        commit(&mut lane, &[went_on(one, 2), told]).await;
        let parking = [Parking { id: one, signals_seen: signals.last().unwrap().n, wake_at: Some(1) }];
        // A request that was lost lets go of nothing, and says so.
        eventually("it is parked", async || again(async || lane.park(&parking).await).await == [one]).await;
        let fire = async || {
            again(async || store.fire_timers(10).await).await;
        };
        self.take(&mut lane, &both, &[one], fire).await;
        eventually("it is released", async || again(async || lane.release(&[one]).await).await == [one]).await;
        self.take(&mut lane, &both, &[one], async || {}).await;
        again(async || lane.owned().await).await;

        let mut events = BTreeSet::new();
        for tries in 1.. {
            if again(async || store.pending_events(two).await).await.is_empty() {
                break;
            }
            assert!(tries < TIMES_MAX, "an event that nobody gets");
            let lease = Duration::from_millis(1);
            for event in again(async || store.take_events(first, 10, &[turns], lease).await).await {
                match events.insert(event.n) {
                    true => again(async || store.event_failed(event.n, first, 0, "not yet").await).await,
                    false => again(async || store.event_relayed(event.n).await).await,
                }
            }
        }
        assert_eq!(events.len(), 1, "one event, told twice");

        let three = start(&plain, "three").await;
        // Nobody has it yet.
        again(async || store.signal(three, &Request::Touch).await).await;
        self.take(&mut lane, &both, &[three], async || {}).await;
        commit(&mut lane, &[ended(one, 3), ended(two, 3), went_on(three, 2)]).await;
        again(async || store.give_turns(&[two]).await).await;
        again(async || store.ended_holders(&TurnCursor::default()).await).await;
        again(async || store.leave(first).await).await;
        let (second, mut lane) = self.node("second").await;
        let sweep = async || {
            again(async || store.sweep(second).await).await;
        };
        self.take(&mut lane, &both, &[three], sweep).await;
        commit(&mut lane, &[ended(three, 3)]).await;

        let rerun = again(async || store.rerun_from(one, "x", "to see").await).await;
        if let Some(one) = again(async || store.take_rerun(second, &both).await).await {
            again(async || store.rerun_decided(&one, &Err("no".to_owned())).await).await;
        }
        again(async || store.rerun_fate(rerun).await).await;
        again(async || store.beat(second, 0, None, None).await).await;
        again(async || store.record_passage(second, &[(definition, Passed::default())]).await).await;
        again(async || store.take_census().await).await;
        again(async || store.measure().await).await;
        again(async || store.safety_net(NetCursor::default()).await).await;
        again(async || store.tidy().await).await;
        again(async || store.leave(second).await).await;
        self.audit(&[one, two, three]).await;
    }

    async fn audit(&self, sagas: &[Uuid]) {
        let ids = sagas.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
        for (rows, expected) in [
            (format!("saga_done where id in ({ids})"), 3),
            (format!("journal where id in ({ids})"), 9),
            (format!("saga where id in ({ids})"), 0),
            (format!("ready where id in ({ids})"), 0),
            (format!("start_queue where id in ({ids})"), 0),
            (format!("timer where id in ({ids})"), 0),
            (format!("outbox where id in ({ids})"), 0),
            (format!("waiting where id in ({ids})"), 0),
            (format!("turn where holder in ({ids})"), 0),
        ] {
            let found = ask(&self.database.url, &format!("select count(*) from amends.{rows}")).await;
            assert_eq!(found, expected.to_string(), "{rows}");
        }
    }
}

async fn commit(lane: &mut Lane, batch: &[Transition]) {
    let written = again(async || lane.commit(batch).await).await;
    assert_eq!(written, vec![Written::Accepted; batch.len()]);
}

/// Every other word is lost once: which ones, and whether the request or its answer, as the seed has it.
#[tokio::test]
async fn any_word_may_be_lost_and_nothing_is_done_twice_or_never() {
    let clean = World::new().await;
    let before = clean.proxy.said();
    clean.live("clean").await;
    let words = clean.proxy.said() - before;
    let (_, seed) = crate::fuzz::run(0);
    println!("{words} words, seed {seed}");
    assert!(words > 60, "{words} words");
    let lead = async |part: u64| {
        let world = World::new().await;
        for number in (part..words).step_by(usize::try_from(AT_ONCE).unwrap()) {
            if number / AT_ONCE % 2 == seed / 2 % 2 {
                continue;
            }
            let fault = if number % 2 == seed % 2 { Fault::LoseRequest } else { Fault::LoseAnswer };
            println!("{fault:?} at word {number}");
            world.proxy.nth(number, fault);
            world.live(&format!("of_{number}")).await;
        }
    };
    tokio::join!(lead(0), lead(1), lead(2));
}
