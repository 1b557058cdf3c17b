//! The batch: conflicts, locks, and rows that the database cannot take.

use amends::saga::state::Status;
use amends::store::{Transition, Written};
use uuid::Uuid;

use super::{Node, ended, json, keyed, started, waiting, went_on};
use crate::harness::eventually;

async fn count(node: &Node, sql: &str) -> i64 {
    node.database.client().await.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_batch_sent_again_changes_nothing() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    let told = Transition { outbox: Some(json("{}")), ..went_on(id, 2) };
    let batch = [told, started(node.definition), keyed(node.definition, "k", "{}")];
    for _ in 0..3 {
        assert_eq!(node.lane.commit(&batch).await.unwrap(), vec![Written::Accepted; 3]);
    }
    let end = [ended(id, 3)];
    for _ in 0..2 {
        assert_eq!(node.lane.commit(&end).await.unwrap(), [Written::Accepted]);
    }
    assert_eq!(count(&node, "select count(*) from amends.journal").await, 5);
    assert_eq!(count(&node, "select count(*) from amends.outbox").await, 1);
    assert_eq!(count(&node, "select count(*) from amends.saga").await, 2);
    assert_eq!(count(&node, "select count(*) from amends.saga_done").await, 1);
}

/// What no row of a batch needs is left out of its statement: each of the sixteen must do all that its rows ask for,
/// and again nothing when it is sent again.
#[tokio::test]
async fn each_shape_of_a_batch_writes_everything_once() {
    let mut node = Node::new().await;
    for shape in 0..16_u8 {
        let has = |part: u8| shape & (1 << part) != 0;
        let ids = node.started(4).await;
        let mut batch = vec![went_on(ids[0], 2)];
        batch.extend(has(0).then(|| keyed(node.definition, &format!("key {shape}"), "{}")));
        batch.extend(has(1).then(|| started(node.definition)));
        batch.extend(has(2).then(|| ended(ids[1], 2)));
        batch.extend(has(3).then(|| Transition { status: Some(Status::Paused), ..went_on(ids[2], 2) }));
        batch.extend(has(3).then(|| Transition { outbox: Some(json("{}")), ..went_on(ids[3], 2) }));
        for _ in 0..2 {
            assert_eq!(node.lane.commit(&batch).await.unwrap(), vec![Written::Accepted; batch.len()], "{shape}");
        }
        for row in &batch {
            let saga = node.store.saga(row.id).await.unwrap().unwrap();
            let status = row.status.or(row.end.as_ref().map(|end| end.status)).unwrap_or(Status::Running);
            assert_eq!((saga.status, saga.lane.is_some()), (status, row.end.is_none()), "{shape}: {row:?}");
            assert_eq!(node.store.journal(row.id).await.unwrap().len(), row.seq as usize, "{shape}: {row:?}");
        }
    }
    assert_eq!(count(&node, "select count(*) from amends.start_key").await, 8);
    assert_eq!(count(&node, "select count(*) from amends.outbox").await, 8);
}

#[tokio::test]
async fn one_conflict_does_not_hold_up_the_others() {
    let mut node = Node::new().await;
    let ids = node.started(3).await;
    let mut other = Node::on_same(&node, "two").await;
    node.lane.release(&ids[1..2]).await.unwrap();
    assert_eq!(other.claim_all().await, ids[1..2]);
    assert_eq!(other.lane.commit(&[went_on(ids[1], 2)]).await.unwrap(), [Written::Accepted]);
    let late = Transition { outbox: Some(json("{}")), ..ended(ids[1], 2) };
    let batch = [ended(ids[2], 2), late, went_on(ids[0], 2)];
    assert_eq!(node.lane.commit(&batch).await.unwrap(), [Written::Accepted, Written::Refused, Written::Accepted]);
    assert_eq!(count(&node, "select count(*) from amends.outbox").await, 0);
    assert_eq!(node.store.saga(ids[1]).await.unwrap().unwrap().lane, Some(other.lane.id()));
}

#[tokio::test]
async fn another_row_of_this_lane_at_the_same_place_is_told_apart_from_a_resend() {
    let mut node = Node::new().await;
    let id = node.started(1).await[0];
    assert_eq!(node.lane.commit(&[went_on(id, 2)]).await.unwrap(), [Written::Accepted]);
    let another = Transition::new(id, 2, "timer_fired", json(r#"{"timer_fired":{"at":3}}"#));
    assert!(matches!(node.lane.commit(&[another]).await.unwrap()[..], [Written::Rejected { .. }]));
}

#[tokio::test]
async fn somebodys_open_transaction_makes_one_saga_busy_and_no_other() {
    let mut node = Node::new().await;
    let ids = node.started(4).await;
    let mut application = node.database.client().await;
    let transaction = application.transaction().await.unwrap();
    transaction.execute("select amends.request($1, '\"touch\"')", &[&ids[0]]).await.unwrap();
    transaction.execute("select amends.start('checkout', '{}', key => 'k')", &[]).await.unwrap();
    let batch = [
        ended(ids[0], 2),
        ended(ids[1], 2),
        went_on(ids[2], 2),
        Transition { status: Some(Status::Paused), ..went_on(ids[3], 2) },
        keyed(node.definition, "k", "{}"),
        keyed(node.definition, "l", "{}"),
    ];
    let written = node.lane.commit(&batch).await.unwrap();
    let (yes, busy) = (Written::Accepted, Written::Busy);
    assert_eq!(written, [busy.clone(), yes.clone(), yes.clone(), yes.clone(), busy, yes.clone()]);
    transaction.commit().await.unwrap();
    let written = node.lane.commit(&batch[..1]).await.unwrap();
    assert_eq!(written, [yes]);
    let written = node.lane.commit(&batch[4..5]).await.unwrap();
    assert!(matches!(written[..], [Written::Duplicate { .. }]), "{written:?}");
}

#[tokio::test]
async fn many_busy_sagas_cost_a_bounded_time() {
    let mut node = Node::new().await;
    let ids = node.started(40).await;
    let mut application = node.database.client().await;
    let transaction = application.transaction().await.unwrap();
    transaction.execute("select from amends.saga for update", &[]).await.unwrap();
    let batch: Vec<Transition> = ids.iter().map(|id| ended(*id, 2)).collect();
    let begin = std::time::Instant::now();
    assert_eq!(node.lane.commit(&batch).await.unwrap(), vec![Written::Busy; 40]);
    assert!(begin.elapsed() < std::time::Duration::from_secs(6), "{:?}", begin.elapsed());
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn a_row_that_the_database_cannot_take_does_not_take_the_others_with_it() {
    let mut node = Node::new().await;
    let ids = node.started(3).await;
    let client = node.database.client().await;
    client.batch_execute("alter table amends.journal add check (kind <> 'poison')").await.unwrap();
    let poison = Transition::new(ids[1], 2, "poison", json("{}"));
    let written = node.lane.commit(&[went_on(ids[0], 2), poison, ended(ids[2], 2)]).await.unwrap();
    assert!(matches!(&written[..], [Written::Accepted, Written::Rejected { .. }, Written::Accepted]), "{written:?}");
}

#[tokio::test]
async fn hostile_texts_in_a_batch_are_only_texts() {
    let mut node = Node::new().await;
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let inputs = [
        r#"{"a":"\u0000"}"#,
        r#"{"a":1e1000000}"#,
        r#"{"a":"\ud800"}"#,
        "\"'); drop schema amends cascade; --\"",
        "\"\\\\'\\n\\r\\t{},,\\\"\"",
        nested.as_str(),
    ];
    let mut batch: Vec<Transition> = inputs
        .iter()
        .enumerate()
        .map(|(n, input)| keyed(node.definition, &format!("'); drop table amends.saga; -- {n} \u{1f600} NULL"), input))
        .collect();
    let mut plain = started(node.definition);
    plain.body = json(r#"{"started":{"at":1,"input":"\u0000'"}}"#);
    batch.push(plain);
    assert_eq!(node.lane.commit(&batch).await.unwrap(), vec![Written::Accepted; 7]);
    for (row, input) in batch.iter().zip(inputs) {
        let again = keyed(node.definition, row.start.as_ref().unwrap().key.as_ref().unwrap().as_str(), input);
        let written = node.lane.commit(&[again]).await.unwrap();
        assert_eq!(written, [Written::Duplicate { existing: row.id }], "{input}");
    }
}

/// Two batches with the same sagas in opposite orders, both held up at the saga in the middle.
#[tokio::test]
async fn batches_that_meet_in_the_journal_do_not_deadlock() {
    let node = Node::new().await;
    let mut blocker = node.database.client().await;
    let mut ids: Vec<Uuid> = (0..21).map(|_| Uuid::now_v7()).collect();
    ids.sort();
    let transaction = blocker.transaction().await.unwrap();
    let insert = "insert into amends.journal (id, seq, lane, at, kind, body) values ($1, 2, 0, now(), 'x', '{}')";
    transaction.execute(insert, &[&ids[10]]).await.unwrap();
    let mut tasks = Vec::new();
    for reversed in [false, true] {
        let mut lane = node.database.lane(node.id).await;
        let mut batch: Vec<Transition> = ids.iter().map(|id| went_on(*id, 2)).collect();
        if reversed {
            batch.reverse();
        }
        tasks.push(tokio::spawn(async move { lane.commit(&batch).await.unwrap() }));
    }
    let observer = node.database.client().await;
    eventually("both batches wait", async || waiting(&observer, "-- Writes the").await == 2).await;
    transaction.rollback().await.unwrap();
    let mut accepted = 0;
    for task in tasks {
        let written = task.await.unwrap();
        assert!(written.iter().all(|written| matches!(written, Written::Accepted | Written::Refused)));
        accepted += written.iter().filter(|written| **written == Written::Accepted).count();
    }
    assert_eq!(accepted, ids.len());
    assert_eq!(super::deadlocks(&node).await, 0);
}

#[tokio::test]
async fn a_stale_plan_is_not_the_callers_business() {
    let mut node = Node::new().await;
    let ids = node.started(2).await;
    node.store.saga(ids[0]).await.unwrap();
    assert_eq!(node.lane.owned().await.unwrap().len(), 2);
    // The prepared statements of the lane and of the pool answer 0A000 after this.
    let client = node.database.client().await;
    client
        .batch_execute(
            "drop view amends.live_saga, amends.sagas, amends.steps, amends.timeline, amends.progress, amends.history,
                 amends.timers, amends.in_doubt;
             alter table amends.saga alter status type varchar(20);
             create view amends.live_saga as select * from amends.saga",
        )
        .await
        .unwrap();
    assert_eq!(node.lane.owned().await.unwrap().len(), 2);
    assert!(node.store.saga(ids[0]).await.unwrap().is_some());
    // An old program meets a newer table.
    client.batch_execute("alter table amends.saga add column note text").await.unwrap();
    assert_eq!(node.lane.commit(&[ended(ids[0], 2)]).await.unwrap(), [Written::Accepted]);
}

#[tokio::test]
async fn an_application_that_locks_in_the_wrong_order_is_survived() {
    let mut node = Node::new().await;
    let ids = node.started(2).await;
    let mut application = node.database.client().await;
    application.batch_execute("set deadlock_timeout = '1min'").await.unwrap();
    let transaction = application.transaction().await.unwrap();
    let request = "select amends.request($1, '\"touch\"')";
    transaction.execute(request, &[&ids[1]]).await.unwrap();
    let batch = [ended(ids[0], 2), ended(ids[1], 2)];
    let observer = node.database.client().await;
    let commit = node.lane.commit(&batch);
    let rest = async {
        eventually("the batch waits", async || waiting(&observer, "-- Writes the").await == 1).await;
        transaction.execute(request, &[&ids[0]]).await.map(drop)
    };
    let (written, asked) = tokio::join!(commit, rest);
    let written = written.unwrap();
    match asked {
        Ok(()) => assert_eq!(written, vec![Written::Busy; 2], "the batch gave way"),
        // Slow, the application asked after the first had ended; its failure let go of the second.
        Err(_) => assert_eq!(written[0], Written::Accepted),
    }
    transaction.rollback().await.unwrap();
    assert_eq!(node.lane.commit(&batch).await.unwrap(), vec![Written::Accepted; 2]);
}

/// Twice the server says that a transaction should be repeated: as the victim of a deadlock, and as one that could not
/// be put in an order with others.
#[tokio::test]
async fn the_victim_of_a_deadlock_or_of_a_serialization_failure_is_repeated() {
    let mut node = Node::new().await;
    let trouble = "create sequence public.tries;
        create function public.trouble() returns trigger language plpgsql as $$
        declare
            v_try bigint := nextval('public.tries');
        begin
            if v_try <= 2 then
                raise exception 'not now' using errcode = case v_try when 1 then '40P01' else '40001' end;
            end if;
            return new;
        end $$;
        create trigger trouble before insert on amends.journal for each row execute function public.trouble();
        create trigger trouble before update on amends.node for each row execute function public.trouble()";
    let client = node.database.client().await;
    client.batch_execute(trouble).await.unwrap();
    assert_eq!(node.lane.commit(&[started(node.definition)]).await.unwrap(), [Written::Accepted]);
    // What the pool sends is repeated once.
    for before in ["setval('public.tries', 1)", "setval('public.tries', 1, false)"] {
        client.batch_execute(&format!("select {before}")).await.unwrap();
        let beat = node.store.beat(node.id, 0, None, None).await;
        assert_eq!(beat.is_ok(), before.ends_with("1)"), "{before}: {beat:?}");
    }
}
