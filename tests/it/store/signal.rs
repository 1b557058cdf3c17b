//! Signals against parking: none is lost, whoever comes first.

use std::collections::HashSet;
use std::time::Duration;

use amends::saga::event::Request;
use amends::store::{Error, Parking, Sources, Transition, Written};
use uuid::Uuid;

use super::{Node, ended, waiting, went_on};
use crate::harness::eventually;

fn parking(id: Uuid, signals_seen: u64) -> Parking {
    Parking { id, signals_seen, wake_at: None }
}

#[tokio::test]
async fn a_saga_is_not_parked_past_a_signal_that_it_has_not_seen() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    assert_eq!(node.store.signal(id, &Request::Touch).await.unwrap(), 1);
    assert!(node.lane.park(&[parking(id, 0)]).await.unwrap().is_empty());
    assert_eq!(node.store.drain_inbox(&[node.lane.id()]).await.unwrap(), [id]);
    assert_eq!(node.lane.park(&[parking(id, 1)]).await.unwrap(), [id]);
    assert_eq!(node.store.signal(id, &Request::Touch).await.unwrap(), 2);
    assert_eq!(node.claim_all().await, [id]);
}

#[tokio::test]
async fn a_signal_under_way_keeps_a_saga_owned() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    let mut application = node.database.client().await;
    let transaction = application.transaction().await.unwrap();
    transaction.execute("select amends.request($1, '\"touch\"')", &[&id]).await.unwrap();
    assert!(node.lane.park(&[parking(id, 0)]).await.unwrap().is_empty());
    transaction.commit().await.unwrap();
    assert_eq!(node.store.drain_inbox(&[node.lane.id()]).await.unwrap(), [id]);
}

#[tokio::test]
async fn a_signal_that_waits_for_the_parking_wakes_the_parked_saga() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    let mut parker = node.database.client().await;
    let transaction = parker.transaction().await.unwrap();
    transaction.execute("update amends.saga set lane = null where id = $1", &[&id]).await.unwrap();
    let (store, observer) = (node.store.clone(), node.database.client().await);
    let asking = tokio::spawn(async move { store.signal(id, &Request::Touch).await });
    eventually("the signal waits", async || waiting(&observer, "").await > 0).await;
    transaction.commit().await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap(), 1);
    assert!(node.store.drain_inbox(&[node.lane.id()]).await.unwrap().is_empty());
    assert_eq!(node.claim_all().await, [id]);
}

/// Two lanes park, claim and end sagas while others signal them: each signal is seen by whoever owns the
/// saga.
#[tokio::test]
async fn no_signal_is_lost_in_a_crowd() {
    let mut node = Node::new().await;
    let ids = node.started(30).await;
    let mut other = Node::on_same(&node, "two").await;
    let (store, targets) = (node.store.clone(), ids.clone());
    let asking = tokio::spawn(async move {
        for round in 0..600 {
            match store.signal(targets[round * 7 % targets.len()], &Request::Touch).await {
                Ok(_) | Err(Error::Busy(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    let mut seen: Vec<std::collections::HashMap<Uuid, u64>> = vec![Default::default(); 2];
    seen[0].extend(ids.iter().map(|id| (*id, 0)));
    let mut quiet = 0;
    while quiet < 3 {
        let done = asking.is_finished();
        let mut busy = false;
        for (turn, node) in [&mut node, &mut other].into_iter().enumerate() {
            let mut woken: HashSet<Uuid> =
                node.store.drain_inbox(&[node.lane.id()]).await.unwrap().into_iter().collect();
            for saga in node.lane.claim(Sources::ALL, 8, &[node.definition]).await.unwrap().sagas {
                seen[turn].entry(saga.id).or_default();
                woken.insert(saga.id);
            }
            busy |= !woken.is_empty();
            for id in woken {
                // Parked meanwhile: it has seen what woke it.
                let Some(last) = seen[turn].get_mut(&id) else { continue };
                *last = node.store.signals_after(id, 0).await.unwrap().last().map_or(0, |signal| signal.n);
            }
            let parkings: Vec<Parking> = seen[turn].iter().map(|(id, last)| parking(*id, *last)).collect();
            for id in node.lane.park(&parkings).await.unwrap() {
                seen[turn].remove(&id);
            }
        }
        quiet = if busy || !done { 0 } else { quiet + 1 };
    }
    asking.await.unwrap();
    let sql = "select count(*) from amends.saga g where g.lane is not null";
    assert_eq!(node.database.client().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0, "{seen:?}");
    assert_eq!(super::deadlocks(&node).await, 0);
}

#[tokio::test]
async fn signals_of_unknown_and_ended_sagas_are_refused() {
    let mut node = Node::new().await;
    let unknown = Uuid::now_v7();
    assert!(matches!(node.store.signal(unknown, &Request::Touch).await, Err(Error::UnknownSaga(id)) if id == unknown));
    let id = node.started(1).await[0];
    node.lane.commit(&[ended(id, 2)]).await.unwrap();
    assert!(matches!(node.store.signal(id, &Request::Touch).await, Err(Error::SagaEnded(found)) if found == id));
    let client = node.database.client().await;
    for (sql, code) in [
        ("select amends.request('ffffffff-ffff-ffff-ffff-ffffffffffff', '1')", "AM001"),
        ("select amends.request(null, '1')", "AM001"),
        ("select amends.request('00000000-0000-0000-0000-000000000000', null)", "AM005"),
        ("select amends.request('00000000-0000-0000-0000-000000000000', to_json(repeat('x', 1048577)))", "AM005"),
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), code, "{sql}");
    }
}

#[tokio::test]
async fn a_refusal_is_recorded_with_its_reason() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    let hostile = Request::Cancel { reason: "'); drop table amends.signal; --\n\u{1b}[31m".to_owned() };
    for _ in 0..3 {
        node.store.signal(id, &hostile).await.unwrap();
    }
    let refusal = Some("not now: '); --".to_owned());
    let row =
        Transition { signal: Some(amends::store::AnsweredSignal { n: 2, refusal: refusal.clone() }), ..went_on(id, 2) };
    assert_eq!(node.lane.commit(&[row]).await.unwrap(), [Written::Accepted]);
    let signals = node.store.signals_after(id, 1).await.unwrap();
    assert_eq!(signals.iter().map(|signal| signal.n).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((signals[0].fate.as_deref(), signals[0].answer.clone()), (Some("refused"), refusal));
    assert_eq!((signals[1].fate.as_deref(), signals[1].answer.clone()), (None, None));
    assert_eq!(signals[0].request.decode::<Request>().unwrap(), hostile);
    tokio::time::sleep(Duration::ZERO).await;
}

/// The database's clock, in microseconds.
async fn clock(client: &tokio_postgres::Client) -> i64 {
    let sql = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// When each kind of request was made, as the tables have it.
const ASKED: [&str; 4] = ["signal", "fleet_signal", "eviction", "rerun"];

async fn asked_at(client: &tokio_postgres::Client, table: &str) -> i64 {
    let sql = format!("select (extract(epoch from max(at)) * 1000000)::bigint from amends.{table}");
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_request_is_dated_when_it_is_made_and_not_when_its_transaction_began() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    let (mut application, observer) = (node.database.client().await, node.database.client().await);
    let transaction = application.transaction().await.unwrap();
    // From here on its now() stands still.
    transaction.execute("select now()", &[]).await.unwrap();
    let before = clock(&observer).await;
    for sql in [
        format!("select amends.signal('{id}', 'approved')"),
        "select amends.pause_definition('checkout', 'a look')".to_owned(),
        format!("select amends.evict('{id}', 'a look')"),
        format!("select amends.rerun_from('{id}', 'x', 'a look')"),
    ] {
        transaction.execute(&sql, &[]).await.unwrap();
    }
    let began: i64 =
        transaction.query_one("select (extract(epoch from now()) * 1000000)::bigint", &[]).await.unwrap().get(0);
    transaction.commit().await.unwrap();
    let after = clock(&observer).await;
    for table in ASKED {
        let at = asked_at(&observer, table).await;
        assert!(began < before && (before..=after).contains(&at), "{table}: {began} {before} {at} {after}");
    }
    let signals = node.store.signals_after(id, 0).await.unwrap();
    assert!(signals.iter().all(|signal| signal.at * 1_000 + 1_000 > u64::try_from(before).unwrap()));
}

#[tokio::test]
async fn a_request_that_waits_for_the_sagas_row_is_dated_before_it_waits() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    let (mut holder, observer) = (node.database.client().await, node.database.client().await);
    let transaction = holder.transaction().await.unwrap();
    transaction.execute("select from amends.saga where id = $1 for update", &[&id]).await.unwrap();
    let store = node.store.clone();
    let asking = tokio::spawn(async move { store.signal(id, &Request::Touch).await });
    eventually("the signal waits", async || waiting(&observer, "").await > 0).await;
    let waited = clock(&observer).await;
    transaction.commit().await.unwrap();
    asking.await.unwrap().unwrap();
    assert!(asked_at(&observer, "signal").await <= waited);
}

/// Who drives amends.now() drives the instants of requests, too.
#[tokio::test]
async fn requests_are_dated_by_the_clock_that_a_test_drives() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    let client = node.database.client().await;
    let driven = "create or replace function amends.now() returns timestamptz language sql stable \
                  as $$ select pg_catalog.now() + interval '1 day' $$";
    client.batch_execute(driven).await.unwrap();
    let before = clock(&client).await;
    node.store.signal(id, &Request::Touch).await.unwrap();
    let ahead = asked_at(&client, "signal").await - before;
    assert!((86_400_000_000..86_460_000_000).contains(&ahead), "{ahead}");
}
