//! Signals before the first claim: a saga without its first row is taken only together with its input. Owns the orders
//! in which two lanes meet the row that brings the input and a wake of the same saga. Starts that nobody has asked
//! anything of are in start_queue.rs.

use amends::saga::event::Request;
use amends::store::{Claimed, Lane, NetCursor, Sources, Written};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Node, json, waiting, went_on};
use crate::harness::eventually;

/// A wake as a timer, a sweep or a node of an older version writes it.
const WAKE: &str = "insert into amends.ready (definition, id) select definition, id from amends.saga where id = $1";
const LOCK_INPUT: &str = "select from amends.ready where id = $1 and input is not null for update";
const LOCK_WAKE: &str = "select from amends.ready where id = $1 and input is null for update";

/// A start that is ready, as one is that was asked something.
async fn start(node: &Node) -> Uuid {
    let id = node.store.start("checkout", &json(r#"{"order":7}"#), None).await.unwrap();
    let row = node.database.client().await.query_one("select amends.unqueue($1)", &[&id]).await.unwrap();
    assert!(row.get::<_, bool>(0));
    id
}

/// A saga that no lane has claimed yet, with its input and a wake in `ready`.
async fn started_and_woken(node: &Node) -> Uuid {
    let id = start(node).await;
    node.store.signal(id, &Request::Cancel { reason: "not needed".into() }).await.unwrap();
    wake(&node.database.client().await, id).await;
    id
}

async fn wake(client: &Client, id: Uuid) {
    client.execute(WAKE, &[&id]).await.unwrap();
}

async fn count(client: &Client, rows: &str) -> i64 {
    client.query_one(&format!("select count(*) from amends.{rows}"), &[]).await.unwrap().get(0)
}

/// The saga was taken with its first row, and all that was asked of it is known.
#[track_caller]
fn assert_begun(claimed: &[Claimed], id: Uuid, signals: u64) {
    let [saga] = claimed else { panic!("expected saga {id}, found {claimed:?}") };
    assert!(saga.id == id && saga.adopted && saga.signals == signals, "{saga:?}");
    let first = saga.first.as_ref().expect("the claim brings the first row");
    assert!(first.seq == 1 && first.body.contains(r#""input":{"order":7}"#), "{first:?}");
}

async fn assert_one_first_row(node: &Node, id: Uuid) {
    let journal = node.store.journal(id).await.unwrap();
    assert_eq!(journal.iter().map(|row| row.seq).collect::<Vec<_>>(), [1]);
    assert_eq!(count(&node.database.client().await, "ready").await, 0, "nothing is left over");
}

#[tokio::test]
async fn a_wake_alone_takes_no_saga_whose_input_another_lane_is_about_to_take() {
    let mut one = Node::new().await;
    let mut two = Node::on_same(&one, "two").await;
    for again in [false, true] {
        let id = started_and_woken(&one).await;
        let mut other = one.database.client().await;
        let transaction = other.transaction().await.unwrap();
        transaction.execute(LOCK_INPUT, &[&id]).await.unwrap();
        assert_eq!(
            two.lane.claim(Sources::ALL, 10, &[two.definition]).await.unwrap().sagas,
            [],
            "a wake brings no input"
        );
        assert!(two.store.saga(id).await.unwrap().unwrap().lane.is_none());
        transaction.rollback().await.unwrap();
        if again {
            wake(&other, id).await;
        }
        let claimed = one.lane.claim(Sources::ALL, 10, &[one.definition]).await.unwrap().sagas;
        assert_begun(&claimed, id, 1);
        assert_one_first_row(&one, id).await;
    }
}

#[tokio::test]
async fn a_wake_that_comes_after_its_input_goes_to_the_owner() {
    let mut one = Node::new().await;
    let mut two = Node::on_same(&one, "two").await;
    let id = started_and_woken(&one).await;
    let mut other = one.database.client().await;
    let transaction = other.transaction().await.unwrap();
    transaction.execute(LOCK_WAKE, &[&id]).await.unwrap();
    assert_begun(&one.lane.claim(Sources::ALL, 10, &[one.definition]).await.unwrap().sagas, id, 1);
    transaction.rollback().await.unwrap();
    assert_eq!(two.lane.claim(Sources::ALL, 10, &[two.definition]).await.unwrap().sagas, []);
    assert_eq!(one.store.drain_inbox(&[one.lane.id()]).await.unwrap(), [id]);
    assert_one_first_row(&one, id).await;
}

#[tokio::test]
async fn while_something_is_asked_neither_row_is_taken() {
    let mut node = Node::new().await;
    let id = start(&node).await;
    wake(&node.database.client().await, id).await;
    let mut application = node.database.client().await;
    let transaction = application.transaction().await.unwrap();
    transaction.execute("select amends.cancel($1, 'not needed')", &[&id]).await.unwrap();
    assert_eq!(node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas, []);
    transaction.commit().await.unwrap();
    assert_begun(&node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas, id, 1);
    assert_one_first_row(&node, id).await;
}

/// A claim takes its snapshot while the saga is queued, and stands still. Meanwhile another lane takes the saga and
/// does something with it. Then the claim goes on and meets the wake.
async fn claim_behind<F: AsyncFnOnce(&mut Node)>(
    claimer: &mut Node,
    other: &mut Node,
    id: Uuid,
    meanwhile: F,
) -> Vec<Claimed> {
    let (mut blocker, mut holder) = (claimer.database.client().await, claimer.database.client().await);
    let held = holder.transaction().await.unwrap();
    held.execute(LOCK_WAKE, &[&id]).await.unwrap();
    let stop = blocker.transaction().await.unwrap();
    let lane = claimer.lane.id().0;
    stop.execute("select from amends.lane where id = $1 for update", &[&lane]).await.unwrap();
    let observer = claimer.database.client().await;
    let definition = [claimer.definition];
    let claim = claimer.lane.claim(Sources::ALL, 10, &definition);
    let rest = async {
        eventually("the claim waits for its lane", async || waiting(&observer, "-- Claims up").await > 0).await;
        assert_begun(&other.lane.claim(Sources::ALL, 10, &definition).await.unwrap().sagas, id, 1);
        meanwhile(other).await;
        held.rollback().await.unwrap();
        stop.commit().await.unwrap();
    };
    let (claimed, ()) = tokio::join!(claim, rest);
    claimed.unwrap().sagas
}

#[tokio::test]
async fn a_claim_with_an_old_snapshot_sees_whether_the_saga_has_begun() {
    let mut one = Node::new().await;
    let mut two = Node::on_same(&one, "two").await;
    let id = started_and_woken(&one).await;
    let claimed = claim_behind(&mut one, &mut two, id, async |_: &mut Node| {}).await;
    assert_eq!(claimed, []);
    assert_eq!(one.store.drain_inbox(&[two.lane.id()]).await.unwrap(), [id]);

    // The other lane has let go of it again: then it is a wake like any other.
    let id = started_and_woken(&one).await;
    let claimed = claim_behind(&mut one, &mut two, id, async |two: &mut Node| {
        assert_eq!(two.lane.commit(&[went_on(id, 2)]).await.unwrap(), [Written::Accepted]);
        assert_eq!(two.lane.release(&[id]).await.unwrap(), [id]);
    })
    .await;
    assert!(claimed.len() == 1 && claimed[0].adopted && claimed[0].first.is_none(), "{claimed:?}");
    assert_eq!(one.store.journal(id).await.unwrap().len(), 2);
}

/// A node of an older version takes the wake. The input stays for whoever can begin the saga with it.
#[tokio::test]
async fn an_input_is_kept_until_the_first_row_is_there() {
    let mut node = Node::new().await;
    let old = Node::on_same(&node, "old").await;
    let id = start(&node).await;
    let client = node.database.client().await;
    let taken = "update amends.saga set lane = $2, status = 'running' where id = $1";
    client.execute(taken, &[&id, &old.lane.id().0]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas, []);
    }
    assert_eq!(count(&client, "ready where input is not null").await, 1);
    assert!(old.store.set_aside(old.lane.id(), id, "its journal is empty").await.unwrap());
    let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert_begun(&claimed, id, 0);
    assert!(claimed[0].stuck, "it is taken back");
    assert_one_first_row(&node, id).await;

    // An input that came twice begins nothing, and goes with the owner.
    let twice = "insert into amends.ready (definition, id, input) select definition, id, '1' from amends.saga";
    client.execute(twice, &[]).await.unwrap();
    let mut other = Node::on_same(&node, "other").await;
    assert_eq!(other.lane.claim(Sources::ALL, 10, &[other.definition]).await.unwrap().sagas, []);
    assert_eq!(node.lane.release(&[id]).await.unwrap(), [id]);
    let claimed = other.lane.claim(Sources::ALL, 10, &[other.definition]).await.unwrap().sagas;
    assert!(claimed.len() == 1 && claimed[0].first.is_none(), "{claimed:?}");
    assert_one_first_row(&node, id).await;
}

#[tokio::test]
async fn what_is_asked_of_a_queued_saga_costs_no_wake() {
    let mut node = Node::new().await;
    let mut application = node.database.client().await;
    let transaction = application.transaction().await.unwrap();
    let sql = "select amends.start('checkout', '{\"order\":7}')";
    let id: Uuid = transaction.query_one(sql, &[]).await.unwrap().get(0);
    for verb in ["pause", "resume", "cancel"] {
        transaction.execute(&format!("select amends.{verb}($1, 'why')"), &[&id]).await.unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(count(&application, "ready").await, 1);
    let bulk = "select amends.bulk('cancel', 'checkout', 'why', 'queued', spread => interval '1 h')";
    assert_eq!(application.query_one(bulk, &[]).await.unwrap().get::<_, i32>(0), 0, "it was asked already");
    assert_begun(&node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas, id, 3);
    assert_one_first_row(&node, id).await;

    let id = node.store.start("checkout", &json(r#"{"order":7}"#), None).await.unwrap();
    assert_eq!(application.query_one(bulk, &[]).await.unwrap().get::<_, i32>(0), 1);
    assert_eq!(count(&application, "timer").await, 0, "it is queued, not parked");
    assert_begun(&node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas, id, 1);
}

/// A saga whose input is gone is no lane's to begin: the net wakes it, so that it is read, set aside and seen.
#[tokio::test]
async fn a_queued_saga_without_its_input_is_found_by_the_net() {
    let mut node = Node::new().await;
    let id = start(&node).await;
    let client = node.database.client().await;
    client.execute("delete from amends.ready", &[]).await.unwrap();
    wake(&client, id).await;
    assert_eq!(node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas, []);
    assert_eq!(count(&client, "ready").await, 0, "the wake blocks no other");
    assert_eq!(node.store.safety_net(NetCursor::default()).await.unwrap().0, 1);
    let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert!(claimed.len() == 1 && claimed[0].id == id && claimed[0].first.is_none(), "{claimed:?}");
}

/// A database of the version before: what waits there is begun by the new one, whatever wakes it.
#[tokio::test]
async fn wakes_that_an_older_version_wrote_for_queued_sagas_are_dropped_by_the_migration() {
    let mut node = Node::new().await;
    let begun = node.started(1).await[0];
    node.lane.release(&[begun]).await.unwrap();
    let client = node.database.client().await;
    let (queued, lost) = (start(&node).await, start(&node).await);
    for id in [queued, lost] {
        wake(&client, id).await;
    }
    client.execute("delete from amends.ready where id = $1 and input is not null", &[&lost]).await.unwrap();
    client.batch_execute("drop function amends.clock()").await.unwrap();
    client.batch_execute(include_str!("../../../sql/migrations/0006_early_signals.sql")).await.unwrap();
    let left = "select id, input is null from amends.ready order by n";
    let left: Vec<(Uuid, bool)> =
        client.query(left, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(left, [(begun, true), (queued, false), (lost, true)]);
}

/// Clients start sagas and ask at once, others wake them; four lanes of two nodes claim meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_input_is_lost_in_a_crowd() {
    const CLIENTS: usize = 6;
    const SAGAS: usize = 150;
    let one = Node::new().await;
    let two = Node::on_same(&one, "two").await;
    let mut asking = Vec::new();
    for number in 0..CLIENTS {
        let client = one.database.client().await;
        asking.push(tokio::spawn(async move {
            for _ in 0..SAGAS {
                let row = client.query_one("select amends.start('checkout', '{\"order\":7}')", &[]).await;
                let id: Uuid = row.unwrap().get(0);
                if number % 2 == 0 {
                    client.execute("select amends.unqueue($1)", &[&id]).await.unwrap();
                    wake(&client, id).await;
                }
                client.execute("select amends.cancel($1, 'not needed')", &[&id]).await.unwrap();
            }
        }));
    }
    let mut lanes: Vec<Lane> = Vec::new();
    for node in [&one, &one, &two, &two] {
        lanes.push(node.database.lane(node.id).await);
    }
    let definition = one.definition;
    let claims = lanes.into_iter().map(|mut lane| {
        tokio::spawn(async move {
            let (mut begun, mut quiet) = (Vec::new(), 0);
            while quiet < 20 {
                let claimed = lane.claim(Sources::ALL, 4, &[definition]).await.unwrap().sagas;
                quiet = if claimed.is_empty() { quiet + 1 } else { 0 };
                begun.extend(claimed.into_iter().filter(|saga| saga.first.is_some()).map(|saga| saga.id));
                tokio::task::yield_now().await;
            }
            begun
        })
    });
    let claims: Vec<_> = claims.collect();
    for client in asking {
        client.await.unwrap();
    }
    let mut begun: Vec<Uuid> = Vec::new();
    for lane in claims {
        begun.extend(lane.await.unwrap());
    }
    let mut late = one.database.lane(one.id).await;
    eventually("everything is claimed", async || {
        let claimed = late.claim(Sources::ALL, 500, &[definition]).await.unwrap().sagas;
        begun.extend(claimed.into_iter().filter(|saga| saga.first.is_some()).map(|saga| saga.id));
        let client = one.database.client().await;
        count(&client, "ready").await + count(&client, "start_queue").await == 0
    })
    .await;
    begun.sort();
    begun.dedup();
    assert_eq!(begun.len(), CLIENTS * SAGAS, "each saga begins once, with its input");
    let without = "saga g where not exists (select from amends.journal j where j.id = g.id and j.seq = 1)";
    assert_eq!(count(&one.database.client().await, without).await, 0);
    assert_eq!(super::deadlocks(&one).await, 0);
}
