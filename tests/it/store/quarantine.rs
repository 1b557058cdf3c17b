//! Sagas of which processes may have died: which deaths make one a suspect, which convict it, and what becomes of it.

use std::collections::BTreeMap;

use amends::saga::event::Request;
use amends::saga::state::Status;
use amends::store::{Parking, Sources, Swept, Trial, Written};
use uuid::Uuid;

use super::{Node, ended, went_on};

/// How many deaths are counted of each saga.
async fn deaths(node: &Node) -> BTreeMap<Uuid, i16> {
    let rows = node.database.client().await.query("select id, deaths from amends.saga", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// How many lone trials of a saga ended with a death; none of one that is no suspect.
async fn trials(node: &Node, id: Uuid) -> Option<i16> {
    let sql = "select trials from amends.suspect where id = $1";
    node.database.client().await.query_opt(sql, &[&id]).await.unwrap().map(|row| row.get(0))
}

/// For how long a saga is held back, in whole seconds; none if it is not.
async fn held_for(node: &Node, id: Uuid) -> Option<i64> {
    let sql = "select ceil(extract(epoch from t.fire_at - amends.now()))::bigint from amends.timer t where t.id = $1";
    node.database.client().await.query_opt(sql, &[&id]).await.unwrap().map(|row| row.get(0))
}

/// Lets two minutes pass: pauses are over, and the deaths so far are long ago.
async fn let_time_pass(node: &Node) {
    let sql = "update amends.timer set fire_at = fire_at - interval '2 min';
        update amends.suspect set judged_at = judged_at - interval '2 min';
        update amends.node set beat_at = beat_at - interval '2 min', gone_at = gone_at - interval '2 min'
        where gone_at is not null";
    node.database.client().await.batch_execute(sql).await.unwrap();
    node.store.fire_timers(100).await.unwrap();
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

async fn asks(node: &Node, id: Uuid) -> Trial {
    node.store.try_suspect(node.lane.id(), id, false).await.unwrap()
}

/// A process dies while it tries a saga alone, long after all before.
async fn dies_of(node: &Node, id: Uuid) -> Swept {
    let_time_pass(node).await;
    live_and_die(node, async |node| {
        claims(node).await;
        assert_eq!(asks(node, id).await, Trial::Marked);
    })
    .await
}

/// Two sagas that no node has, each with its first row.
async fn two() -> (Node, Uuid, Uuid) {
    let mut node = Node::new().await;
    node.steady().await;
    let ids = node.started(2).await;
    node.lane.release(&ids).await.unwrap();
    (node, ids[0], ids[1])
}

/// The same, and two processes have died that had them and wrote nothing.
async fn two_suspects() -> (Node, Uuid, Uuid) {
    let (node, one, two) = two().await;
    for _ in 0..2 {
        live_and_die(&node, claims).await;
    }
    (node, one, two)
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
    // The suspect waits a moment before it is tried, whatever is asked of it.
    assert_eq!((held_for(&node, one).await, held_for(&node, two).await), (Some(1), None));
    node.store.signal(one, &Request::Touch).await.unwrap();
    assert_eq!(node.claim_all().await, [two]);
    let_time_pass(&node).await;
    // Parking shows that it was read; a process that only lost its lane did not die.
    let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert_eq!(claimed.iter().find(|saga| saga.id == one).unwrap().deaths, 2);
    let parking = Parking { id: one, signals_seen: 1, wake_at: None };
    assert_eq!(node.lane.park(&[parking]).await.unwrap(), [one]);
    node.store.retire(node.lane.id()).await.unwrap();
    node.store.sweep(node.id).await.unwrap();
    assert_eq!(deaths(&node).await, BTreeMap::from([(one, 0), (two, 0)]));
}

#[tokio::test]
async fn deaths_outside_of_trials_convict_no_saga() {
    let (node, one, two) = two().await;
    for _ in 0..9 {
        let swept = live_and_die(&node, claims).await;
        assert_eq!(swept, Swept { lanes: 1, sagas: 2, ..Swept::default() });
        let_time_pass(&node).await;
    }
    assert_eq!(deaths(&node).await, BTreeMap::from([(one, 2), (two, 2)]));
    assert_eq!((trials(&node, one).await, trials(&node, two).await), (Some(0), Some(0)));
    // The mark of an owner that let go of it says nothing of the next.
    let mut next = Node::on_same(&node, "next").await;
    next.claim_all().await;
    assert_eq!(asks(&next, one).await, Trial::Marked);
    next.lane.release(&[one]).await.unwrap();
    assert_eq!(asks(&next, one).await, Trial::NotOurs);
    live_and_die(&node, claims).await;
    assert_eq!(trials(&node, one).await, Some(0));
    // Neither does one that was taken away, as the trial showed nothing.
    let_time_pass(&node).await;
    live_and_die(&node, async |node| {
        claims(node).await;
        assert_eq!(asks(node, one).await, Trial::Marked);
        node.store.let_be(node.lane.id(), one, false).await.unwrap();
    })
    .await;
    assert_eq!((trials(&node, one).await, deaths(&node).await[&one]), (Some(0), 2));
    // What is acquitted is under suspicion no more.
    let_time_pass(&node).await;
    live_and_die(&node, async |node| {
        claims(node).await;
        assert_eq!(asks(node, one).await, Trial::Marked);
        node.store.acquit(node.lane.id(), &[one]).await.unwrap();
    })
    .await;
    assert_eq!((trials(&node, one).await, deaths(&node).await[&one]), (None, 1));
}

#[tokio::test]
async fn three_deaths_in_lone_trials_put_a_saga_aside_until_it_is_told_to_resume() {
    let (mut node, one, two) = two_suspects().await;
    for pause in [10, 60] {
        assert_eq!(dies_of(&node, one).await, Swept { lanes: 1, sagas: 2, ..Swept::default() });
        assert_eq!((held_for(&node, one).await, held_for(&node, two).await), (Some(pause), Some(1)));
    }
    let swept = dies_of(&node, one).await;
    assert_eq!(swept, Swept { lanes: 1, sagas: 2, aside: vec![(one, node.definition)], ..Swept::default() });
    let aside = node.store.unreadable(one).await.unwrap().unwrap();
    assert!(aside.died && aside.reason.starts_with("3 processes in a row died"), "{aside:?}");
    let client = node.database.client().await;
    let stuck = "select saga, step, reason, legal from amends.stuck";
    let row = client.query_one(stuck, &[]).await.unwrap();
    let legal: Vec<String> = row.get(3);
    assert_eq!((row.get(0), row.get::<_, Option<String>>(1), row.get(2)), (one, None, "process_died"));
    assert_eq!(legal, ["resume"]);
    let_time_pass(&node).await;
    assert_eq!(node.claim_all().await, [two], "no node takes it by itself");
    let lost = node.store.safety_net(Default::default()).await.unwrap().0;
    assert_eq!(lost, 0, "it is not forgotten either");

    // Whatever else is asked of it waits, and it is not read for a rerun.
    node.store.signal(one, &Request::Touch).await.unwrap();
    client.query("select amends.cancel($1, 'enough')", &[&one]).await.unwrap();
    assert!(node.claim_all().await.is_empty());

    // A person has it tried again: that is a new set of trials. What was asked of a dead owner is no wake.
    let resume = Request::Resume { reason: "once more".into() };
    node.store.signal(one, &resume).await.unwrap();
    for trial in 1..=3 {
        let_time_pass(&node).await;
        let swept = live_and_die(&node, async |node| {
            claims(node).await;
            assert_eq!(asks(node, one).await, Trial::Marked);
            node.store.signal(one, &Request::Touch).await.unwrap();
        });
        let swept = swept.await;
        assert_eq!((swept.aside.len(), swept.wakes), (usize::from(trial == 3), 1), "trial {trial}");
        assert!(node.claim_all().await.is_empty());
    }

    // What was told to resume while it was tried in vain is tried again.
    node.store.signal(one, &resume).await.unwrap();
    for _ in 0..2 {
        assert!(dies_of(&node, one).await.aside.is_empty());
    }
    let_time_pass(&node).await;
    let told = async |node: &mut Node| {
        claims(node).await;
        assert_eq!(asks(node, one).await, Trial::Marked);
        node.store.signal(one, &resume).await.unwrap();
        node.store.signal(one, &Request::Touch).await.unwrap();
    };
    assert_eq!(live_and_die(&node, told).await.aside.len(), 1);
    assert_eq!(node.claim_all().await, [one]);
    let asked = asks(&node, one).await;
    assert!(matches!(asked, Trial::NotYet(1..=1_000)), "after a pause, as always: {asked:?}");
    let_time_pass(&node).await;
    assert_eq!(asks(&node, one).await, Trial::Marked);
    // Now the cause is mended.
    node.store.take_back(node.lane.id(), one, Status::Running).await.unwrap();
    node.store.acquit(node.lane.id(), &[one]).await.unwrap();
    assert!(client.query(stuck, &[]).await.unwrap().is_empty());
    assert_eq!(node.store.saga(one).await.unwrap().unwrap().status, Status::Running);
    assert_eq!((deaths(&node).await[&one], trials(&node, one).await), (0, None));
}

#[tokio::test]
async fn many_sagas_that_were_put_aside_are_told_to_resume_once() {
    let (mut node, one, _) = two_suspects().await;
    for _ in 0..3 {
        dies_of(&node, one).await;
    }
    let client = node.database.client().await;
    let bulk = async || -> i32 {
        let sql = "select amends.bulk('resume', 'checkout', 'mended')";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    assert_eq!((bulk().await, bulk().await), (1, 0));
    let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert!(claimed[0].id == one && claimed[0].stuck && claimed[0].deaths >= 2, "{claimed:?}");
}

/// A saga whose reading kills no process is stuck by its journal: the next owner is told to write that.
#[tokio::test]
async fn a_call_is_convicted_where_its_owner_had_written_rows() {
    let (mut node, one, two) = two().await;
    for trial in 1..=3 {
        let_time_pass(&node).await;
        let swept = live_and_die(&node, async |node| {
            claims(node).await;
            assert_eq!(node.store.try_suspect(node.lane.id(), one, trial == 1).await.unwrap(), Trial::Marked);
            node.lane.commit(&[went_on(one, trial + 1)]).await.unwrap();
        });
        assert_eq!(swept.await, Swept { lanes: 1, sagas: 2, ..Swept::default() });
        let held = [Some(10), Some(60), None][usize::try_from(trial).unwrap() - 1];
        assert_eq!(held_for(&node, one).await, held);
    }
    // The next owner asks, and another one asks again if that died before it could write what it was told.
    live_and_die(&node, claims).await;
    let_time_pass(&node).await;
    let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert!(claimed.iter().any(|saga| saga.id == one && !saga.stuck && saga.deaths == 2), "{claimed:?}");
    assert_eq!(asks(&node, one).await, Trial::Convicted);
    let marked = "select count(*) from amends.saga where tried";
    assert_eq!(node.database.client().await.query_one(marked, &[]).await.unwrap().get::<_, i64>(0), 0);
    // It is written; whatever comes later is another suspicion.
    node.store.acquit(node.lane.id(), &[one]).await.unwrap();
    assert_eq!(asks(&node, one).await, Trial::Marked);
    // What ended under its trial, or was parked, is acquitted all the same.
    node.lane.commit(&[ended(one, 5)]).await.unwrap();
    node.store.acquit(node.lane.id(), &[one]).await.unwrap();
    assert_eq!(asks(&node, two).await, Trial::Marked);
    node.lane.park(&[Parking { id: two, signals_seen: 0, wake_at: None }]).await.unwrap();
    node.store.acquit(node.lane.id(), &[two]).await.unwrap();
    assert_eq!((trials(&node, one).await, trials(&node, two).await), (None, None));
}

/// Processes are killed from outside, too: then others die beside those that try something.
#[tokio::test]
async fn each_process_that_dies_beside_a_trial_makes_another_one_necessary() {
    let (node, one, _) = two_suspects().await;
    for trial in 1..=6 {
        let_time_pass(&node).await;
        for _ in 0..3 {
            Node::on_same(&node, "beside").await.age(9_000).await;
        }
        let swept = live_and_die(&node, async |node| {
            claims(node).await;
            assert_eq!(asks(node, one).await, Trial::Marked);
        });
        assert_eq!(swept.await.aside.len(), usize::from(trial == 6), "trial {trial}");
    }
}

#[tokio::test]
async fn deaths_that_were_announced_count_for_nothing() {
    let (sweeper, one, two) = two_suspects().await;
    for how in ["it left", "it was about to leave", "an operator drains it"] {
        let_time_pass(&sweeper).await;
        let swept = live_and_die(&sweeper, async |node| {
            claims(node).await;
            assert_eq!(asks(node, one).await, Trial::Marked);
            match how {
                "it left" => node.store.leave(node.id).await.unwrap(),
                "it was about to leave" => node.store.announce_end(node.id).await.unwrap(),
                _ => {
                    let client = node.database.client().await;
                    let drain = "select amends.drain_node($1, 'maintenance')";
                    client.query(drain, &[&node.id.0]).await.unwrap();
                }
            }
        });
        assert_eq!(swept.await.sagas, 2, "{how}");
        assert_eq!(deaths(&sweeper).await, BTreeMap::from([(one, 2), (two, 2)]), "{how}");
        assert_eq!((trials(&sweeper, one).await, held_for(&sweeper, one).await), (Some(0), None), "{how}");
    }
    // Who is dead tries nothing.
    let mut dead = Node::on_same(&sweeper, "dead").await;
    dead.claim_all().await;
    dead.store.leave(dead.id).await.unwrap();
    assert_eq!(asks(&dead, one).await, Trial::NotOurs);
}

#[tokio::test]
async fn a_process_that_was_taken_for_dead_and_lives_has_died_of_nothing() {
    let (sweeper, one, two) = two_suspects().await;
    for _ in 0..2 {
        dies_of(&sweeper, one).await;
    }
    let zombie = async |id: Uuid| {
        let_time_pass(&sweeper).await;
        let mut zombie = Node::on_same(&sweeper, "zombie").await;
        zombie.claim_all().await;
        assert_eq!(asks(&zombie, id).await, Trial::Marked);
        zombie.age(9_000).await;
        (sweeper.store.sweep(sweeper.id).await.unwrap(), zombie)
    };
    let (swept, first) = zombie(one).await;
    assert_eq!(swept.aside.len(), 1);
    assert_eq!(first.store.exonerate(first.id).await.unwrap(), 1);
    // A trial that put nothing aside counts for nothing either, however often it is said.
    let (_, second) = zombie(two).await;
    assert_eq!(trials(&sweeper, two).await, Some(1));
    for _ in 0..2 {
        assert_eq!(second.store.exonerate(second.id).await.unwrap(), 0);
        assert_eq!(trials(&sweeper, two).await, Some(0));
    }
    let_time_pass(&sweeper).await;
    let mut next = Node::on_same(&sweeper, "next").await;
    let claimed = next.lane.claim(Sources::ALL, 10, &[next.definition]).await.unwrap().sagas;
    let found: BTreeMap<Uuid, (u32, bool)> = claimed.iter().map(|saga| (saga.id, (saga.deaths, saga.stuck))).collect();
    assert_eq!(found, BTreeMap::from([(one, (1, true)), (two, (2, false))]));
    // It comes before the sweep, too.
    assert_eq!(asks(&next, two).await, Trial::Marked);
    assert_eq!(next.store.exonerate(next.id).await.unwrap(), 0);
    next.age(9_000).await;
    sweeper.store.sweep(sweeper.id).await.unwrap();
    assert_eq!(trials(&sweeper, two).await, Some(0));
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
