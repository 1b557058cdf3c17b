//! A saga's whole way through the store, when nothing goes wrong.

use amends::saga::event::Request;
use amends::saga::state::Status;
use amends::store::{AnsweredSignal, Filter, Parking, Sources, Transition, Written};

use super::{Node, ended, json, keyed, started, went_on};

#[tokio::test]
async fn a_saga_goes_from_start_to_end_in_batches() {
    let mut node = Node::new().await;
    let ids = node.started(3).await;
    let batch: Vec<Transition> = ids.iter().map(|id| went_on(*id, 2)).collect();
    assert_eq!(node.lane.commit(&batch).await.unwrap(), vec![Written::Accepted; 3]);
    let compensating = Transition { status: Some(Status::Compensating), ..went_on(ids[1], 3) };
    let with_event = Transition { outbox: Some(json("{}")), ..went_on(ids[2], 3) };
    let batch = [ended(ids[0], 3), compensating, with_event, started(node.definition)];
    assert_eq!(node.lane.commit(&batch).await.unwrap(), vec![Written::Accepted; 4]);

    let saga = node.store.saga(ids[0]).await.unwrap().unwrap();
    assert_eq!((saga.status, saga.lane, saga.name.as_str()), (Status::Completed, None, "checkout"));
    assert_eq!(saga.result, Some(json(r#"{"ok":true}"#)));
    assert_eq!(node.store.saga(ids[1]).await.unwrap().unwrap().status, Status::Compensating);
    let saga = node.store.saga(ids[2]).await.unwrap().unwrap();
    assert_eq!((saga.status, saga.lane, saga.node), (Status::Running, Some(node.lane.id()), Some(node.id)));
    let journal = node.store.journal(ids[0]).await.unwrap();
    assert_eq!(
        journal.iter().map(|row| (row.seq, row.kind.as_str())).collect::<Vec<_>>(),
        [(1, "started"), (2, "attempt_ended"), (3, "attempt_ended")]
    );
    assert_eq!(node.store.list(&Filter::default()).await.unwrap().len(), 4);
    let filter = Filter { status: Some(Status::Completed), ..Filter::default() };
    assert_eq!(node.store.list(&filter).await.unwrap()[0].id, ids[0]);
    assert_eq!(node.store.counts().await.unwrap()[&Status::Running], 2);
}

#[tokio::test]
async fn a_saga_that_ends_with_its_first_row_is_only_an_ended_one() {
    let mut node = Node::new().await;
    let mut row = started(node.definition);
    row.end = ended(row.id, 1).end;
    assert_eq!(node.lane.commit(std::slice::from_ref(&row)).await.unwrap(), [Written::Accepted]);
    assert_eq!(node.store.saga(row.id).await.unwrap().unwrap().status, Status::Completed);
    let live = node.database.client().await.query("select from amends.saga", &[]).await.unwrap();
    assert!(live.is_empty());
}

#[tokio::test]
async fn a_start_from_sql_is_claimed_with_its_first_row_written() {
    let mut node = Node::new().await;
    let id = node.store.start("checkout", &json(r#"{"guest": "Ann"}"#), None).await.unwrap();
    assert_eq!(node.store.saga(id).await.unwrap().unwrap().status, Status::Queued);
    let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert_eq!(claimed.len(), 1);
    assert!(claimed[0].id == id && claimed[0].adopted && claimed[0].first.is_some());
    let journal = node.store.journal(id).await.unwrap();
    assert_eq!((journal.len(), journal[0].seq, journal[0].kind.as_str()), (1, 1, "begun"));
    let event: amends::saga::event::Event = serde_json::from_str(&journal[0].body).unwrap();
    let amends::saga::event::Event::Started(event) = event else { panic!("{event:?}") };
    assert_eq!(event.input.get(), r#"{"guest": "Ann"}"#);
    assert!(event.at > 1_700_000_000_000);
    assert_eq!(node.store.saga(id).await.unwrap().unwrap().status, Status::Running);
    assert!(node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas.is_empty());
}

#[tokio::test]
async fn a_key_holds_through_both_doors() {
    let mut node = Node::new().await;
    let first = keyed(node.definition, "k", r#"{"a":1,"b":2}"#);
    assert_eq!(node.lane.commit(std::slice::from_ref(&first)).await.unwrap(), [Written::Accepted]);
    let batch = [
        keyed(node.definition, "k", r#"{"b": 2, "a": 1}"#),
        keyed(node.definition, "k", r#"{"a":1}"#),
        keyed(node.definition, "other", "{}"),
    ];
    assert_eq!(
        node.lane.commit(&batch).await.unwrap(),
        [Written::Duplicate { existing: first.id }, Written::KeyConflict { existing: first.id }, Written::Accepted]
    );
    let again = node.store.start("checkout", &json(r#"{"b":2,"a":1}"#), Some("k")).await.unwrap();
    assert_eq!(again, first.id);
    let error = node.store.start("checkout", &json("[]"), Some("k")).await.unwrap_err();
    assert!(
        matches!(&error, amends::store::Error::KeyConflict(text) if text.contains(&first.id.to_string())),
        "{error}"
    );
    assert_eq!(node.database.client().await.query("select from amends.saga", &[]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_parked_saga_is_woken_by_its_timer_and_by_a_signal() {
    let mut node = Node::new().await;
    let ids = node.started(2).await;
    let now = node.store.clock().await.unwrap();
    let parkings = [
        Parking { id: ids[0], signals_seen: 0, wake_at: Some(now) },
        Parking { id: ids[1], signals_seen: 0, wake_at: None },
    ];
    assert_eq!(node.lane.park(&parkings).await.unwrap().len(), 2);
    assert!(node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas.is_empty());
    assert_eq!(node.store.fire_timers(10).await.unwrap(), 1);
    let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert!(claimed.len() == 1 && claimed[0].id == ids[0] && claimed[0].adopted && claimed[0].first.is_none());

    let n = node.store.signal(ids[1], &Request::Cancel { reason: "test".into() }).await.unwrap();
    assert_eq!(n, 1);
    let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
    assert!(claimed.len() == 1 && claimed[0].id == ids[1] && claimed[0].signals == 1);
    let signals = node.store.signals_after(ids[1], 0).await.unwrap();
    assert_eq!((signals.len(), signals[0].n, signals[0].by.as_str()), (1, 1, "postgres"));
    assert_eq!(signals[0].application_name, "amends");
    let answered = Transition { signal: Some(AnsweredSignal { n: 1, refusal: None }), ..went_on(ids[1], 2) };
    assert_eq!(node.lane.commit(&[answered]).await.unwrap(), [Written::Accepted]);
    assert_eq!(node.store.signals_after(ids[1], 0).await.unwrap()[0].fate.as_deref(), Some("applied"));
}

#[tokio::test]
async fn a_signal_for_an_owned_saga_lies_in_the_inbox_of_its_lane() {
    let mut node = Node::new().await;
    let ids = node.started(2).await;
    node.store.signal(ids[1], &Request::Touch).await.unwrap();
    assert!(node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas.is_empty());
    assert_eq!(node.store.drain_inbox(&[node.lane.id()]).await.unwrap(), [ids[1]]);
    assert!(node.store.drain_inbox(&[node.lane.id()]).await.unwrap().is_empty());
}

#[tokio::test]
async fn released_sagas_and_those_of_a_node_that_left_go_to_others() {
    let mut node = Node::new().await;
    let ids = node.started(3).await;
    let mut other = Node::on_same(&node, "two").await;
    assert_eq!(node.lane.release(&ids[..1]).await.unwrap(), ids[..1]);
    assert_eq!(other.claim_all().await, ids[..1]);
    node.store.leave(node.id).await.unwrap();
    let swept = node.store.sweep(other.id).await.unwrap();
    assert_eq!(swept.sagas, 2);
    assert_eq!(other.claim_all().await, ids[1..]);
}
