//! Sagas of which processes may have died that took them up: whose deaths count, and what becomes of one.

use std::collections::BTreeMap;

use amends::saga::event::Request;
use amends::saga::state::Status;
use amends::store::{Parking, Swept, Written};
use uuid::Uuid;

use super::{Node, went_on};

/// How many deaths are counted of each saga.
async fn deaths(node: &Node) -> BTreeMap<Uuid, i16> {
    let rows = node.database.client().await.query("select id, deaths from amends.saga", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// A process claims all there is; does what is told, with what it has; and dies. Returns what the sweep found.
async fn live_and_die(sweeper: &Node, mut does: impl AsyncFnMut(&mut Node)) -> Swept {
    let mut node = Node::on_same(sweeper, "mortal").await;
    does(&mut node).await;
    node.age(9_000).await;
    sweeper.store.sweep(sweeper.id).await.unwrap()
}

async fn claims(node: &mut Node) {
    node.claim_all().await;
}

/// Two sagas that nobody has, each with its first row.
async fn two() -> (Node, Uuid, Uuid) {
    let mut node = Node::new().await;
    node.steady().await;
    let ids = node.started(2).await;
    node.lane.release(&ids).await.unwrap();
    (node, ids[0], ids[1])
}

#[tokio::test]
async fn deaths_without_a_row_count_and_others_do_not() {
    let (mut node, one, two) = two().await;
    for times in 1..=2 {
        let swept = live_and_die(&node, async |node| {
            claims(node).await;
            let written = node.lane.commit(&[went_on(two, times + 1)]).await.unwrap();
            assert_eq!(written, [Written::Accepted]);
        });
        assert_eq!(swept.await, Swept { lanes: 1, sagas: 2, ..Swept::default() });
        let counted = i16::try_from(times).unwrap();
        assert_eq!(deaths(&node).await, BTreeMap::from([(one, counted), (two, 0)]));
    }
    // Parking shows that it was read; a process that only lost its lane did not die.
    let claimed = node.lane.claim(10, &[node.definition]).await.unwrap();
    assert_eq!(claimed.iter().find(|saga| saga.id == one).unwrap().deaths, 2);
    let parking = Parking { id: one, signals_seen: 0, wake_at: None };
    assert_eq!(node.lane.park(&[parking]).await.unwrap(), [one]);
    node.store.retire(node.lane.id()).await.unwrap();
    node.store.sweep(node.id).await.unwrap();
    assert_eq!(deaths(&node).await, BTreeMap::from([(one, 0), (two, 0)]));
}

#[tokio::test]
async fn whoever_only_waits_for_its_trial_is_not_put_aside() {
    let (node, one, two) = two().await;
    for _ in 0..6 {
        let swept = live_and_die(&node, claims).await;
        assert_eq!(swept, Swept { lanes: 1, sagas: 2, ..Swept::default() });
    }
    assert_eq!(deaths(&node).await, BTreeMap::from([(one, 2), (two, 2)]));
    // The mark of an owner that let go of it says nothing of the next.
    let mut next = Node::on_same(&node, "next").await;
    next.claim_all().await;
    assert!(next.store.try_suspect(next.lane.id(), one).await.unwrap());
    next.lane.release(&[one]).await.unwrap();
    assert!(!next.store.try_suspect(next.lane.id(), one).await.unwrap(), "it is not its own any more");
    let swept = live_and_die(&node, claims).await;
    assert!(swept.aside.is_empty(), "{swept:?}");
    // Who was acquitted begins anew.
    let swept = live_and_die(&node, async |node| {
        claims(node).await;
        assert!(node.store.try_suspect(node.lane.id(), one).await.unwrap());
        node.store.acquit(node.lane.id(), one).await.unwrap();
    });
    assert!(swept.await.aside.is_empty());
    assert_eq!(deaths(&node).await[&one], 1);
}

#[tokio::test]
async fn who_dies_of_a_trial_puts_the_saga_aside_until_it_is_told_to_resume() {
    let (mut node, one, two) = two().await;
    for _ in 0..2 {
        live_and_die(&node, claims).await;
    }
    let tries = async |node: &mut Node| {
        claims(node).await;
        assert!(node.store.try_suspect(node.lane.id(), one).await.unwrap());
    };
    let swept = live_and_die(&node, tries).await;
    assert_eq!(swept, Swept { lanes: 1, sagas: 2, aside: vec![(one, node.definition)], ..Swept::default() });
    let aside = node.store.unreadable(one).await.unwrap().unwrap();
    assert!(aside.died && aside.reason.starts_with("3 processes in a row died"), "{aside:?}");
    let client = node.database.client().await;
    let stuck = "select saga, step, reason, legal from amends.stuck";
    let row = client.query_one(stuck, &[]).await.unwrap();
    let legal: Vec<String> = row.get(3);
    assert_eq!((row.get(0), row.get::<_, Option<String>>(1), row.get(2)), (one, None, "process_died"));
    assert_eq!(legal, ["resume"]);
    assert_eq!(node.claim_all().await, [two], "nobody takes it by itself");
    let lost = node.store.safety_net(Default::default()).await.unwrap().0;
    assert_eq!(lost, 0, "it is not forgotten either");

    // Whatever else is asked of it waits, and nobody reads it for a rerun.
    node.store.signal(one, &Request::Touch).await.unwrap();
    client.query("select amends.cancel($1, 'enough')", &[&one]).await.unwrap();
    assert!(node.claim_all().await.is_empty());

    // A person has it tried once more: that is one death more, and no other. What was asked of the dead owner is no
    // wake.
    let resume = Request::Resume { reason: "once more".into() };
    node.store.signal(one, &resume).await.unwrap();
    let tries = async |node: &mut Node| {
        tries(node).await;
        node.store.signal(one, &Request::Touch).await.unwrap();
    };
    let swept = live_and_die(&node, tries).await;
    assert_eq!((swept.aside, swept.wakes), (vec![(one, node.definition)], 1));
    assert!(node.claim_all().await.is_empty());

    // Who was told to resume while it was tried in vain is tried again.
    node.store.signal(one, &resume).await.unwrap();
    let told = async |node: &mut Node| {
        tries(node).await;
        node.store.signal(one, &resume).await.unwrap();
        node.store.signal(one, &Request::Touch).await.unwrap();
    };
    assert_eq!(live_and_die(&node, told).await.aside.len(), 1);
    assert_eq!(live_and_die(&node, tries).await.aside.len(), 1);
    assert!(node.claim_all().await.is_empty());

    // Now the cause is mended.
    let bulk = async || -> i32 {
        let sql = "select amends.bulk('resume', 'checkout', 'mended')";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    assert_eq!((bulk().await, bulk().await), (1, 0));
    let claimed = node.lane.claim(10, &[node.definition]).await.unwrap();
    assert!(claimed[0].stuck && claimed[0].deaths == 6, "{claimed:?}");
    assert!(node.store.try_suspect(node.lane.id(), one).await.unwrap());
    node.store.take_back(node.lane.id(), one, Status::Running).await.unwrap();
    node.store.acquit(node.lane.id(), one).await.unwrap();
    assert!(client.query(stuck, &[]).await.unwrap().is_empty());
    assert_eq!(node.store.saga(one).await.unwrap().unwrap().status, Status::Running);
    assert_eq!(deaths(&node).await[&one], 0);
}

#[tokio::test]
async fn who_leaves_in_good_order_has_not_died_and_who_is_dead_tries_nothing() {
    let (sweeper, one, two) = two().await;
    let mut node = Node::on_same(&sweeper, "mortal").await;
    node.claim_all().await;
    assert!(node.store.try_suspect(node.lane.id(), one).await.unwrap());
    node.store.leave(node.id).await.unwrap();
    assert!(!node.store.try_suspect(node.lane.id(), two).await.unwrap(), "its lane is dead");
    let swept = sweeper.store.sweep(sweeper.id).await.unwrap();
    assert_eq!(swept, Swept { sagas: 2, ..Swept::default() });
    assert_eq!(deaths(&sweeper).await, BTreeMap::from([(one, 0), (two, 0)]));
}

#[tokio::test]
async fn who_was_taken_for_dead_and_lives_has_died_of_nothing() {
    let (sweeper, one, two) = two().await;
    for _ in 0..2 {
        live_and_die(&sweeper, claims).await;
    }
    let mut zombie = Node::on_same(&sweeper, "zombie").await;
    zombie.claim_all().await;
    assert!(zombie.store.try_suspect(zombie.lane.id(), one).await.unwrap());
    zombie.age(9_000).await;
    let swept = sweeper.store.sweep(sweeper.id).await.unwrap();
    assert_eq!(swept.aside.len(), 1);
    assert_eq!(zombie.store.exonerate(zombie.id).await.unwrap(), 1);
    let mut next = Node::on_same(&sweeper, "next").await;
    let claimed = next.lane.claim(10, &[next.definition]).await.unwrap();
    let found: BTreeMap<Uuid, (u32, bool)> =
        claimed.iter().map(|saga| (saga.id, (saga.deaths, saga.stuck))).collect();
    assert_eq!(found, BTreeMap::from([(one, (0, true)), (two, (2, false))]));
    // It comes before the sweep, too.
    assert!(next.store.try_suspect(next.lane.id(), two).await.unwrap());
    assert_eq!(next.store.exonerate(next.id).await.unwrap(), 0);
    next.age(9_000).await;
    assert!(sweeper.store.sweep(sweeper.id).await.unwrap().aside.is_empty());
}

#[tokio::test]
async fn a_rerun_of_which_nodes_die_is_not_decided_for_ever() {
    let (node, one, _) = two().await;
    node.store.rerun_from(one, "a", "again").await.unwrap();
    let client = node.database.client().await;
    let mut counted = Vec::new();
    for good_order in [false, false, true, false, false] {
        let next = Node::on_same(&node, "mortal").await;
        let due = "update amends.rerun set due_at = now()";
        client.execute(due, &[]).await.unwrap();
        let take = async || next.store.take_rerun(next.id, &[next.definition]).await.unwrap();
        let taken = take().await.unwrap();
        assert!(take().await.is_none(), "it is kept for a while");
        client.execute(due, &[]).await.unwrap();
        assert_eq!(taken.deaths, take().await.unwrap().deaths, "it has only looked twice");
        counted.push(taken.deaths);
        if good_order { next.store.leave(next.id).await.unwrap() } else { next.age(9_000).await }
    }
    assert_eq!(counted, [0, 1, 2, 0, 1]);
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_tells_of_deaths_too() {
    let (node, one, _) = two().await;
    live_and_die(&node, claims).await;
    let mut next = Node::on_same(&node, "next").await;
    next.claim_all().await;
    let owned = next.lane.owned().await.unwrap();
    assert_eq!(owned.iter().find(|saga| saga.id == one).unwrap().deaths, 1);
}
