//! Starts in the queue: a start by SQL has no row of its saga until a lane takes it, or until somebody asks something
//! of it. Owns the orders in which lanes, requests and starts under one id meet.

use amends::saga::state::Status;
use amends::store::{AtStart, Filter, Lane, Sources, StartOptions, Written};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::{Node, ended, json, started, waiting, went_on};
use crate::harness::eventually;

const INPUT: &str = r#"{"order":7}"#;
const CANCEL: &str = "select amends.cancel($1, 'not needed')";

async fn start(node: &Node) -> Uuid {
    node.store.start("checkout", &json(INPUT), None).await.unwrap()
}

/// Rows of the saga, of the queue and of `ready`.
async fn rows(client: &Client) -> (i64, i64, i64) {
    let sql = "select (select count(*) from amends.saga), (select count(*) from amends.start_queue), \
               (select count(*) from amends.ready)";
    let row = client.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test]
async fn a_start_is_one_row_until_a_lane_takes_it() {
    let mut node = Node::new().await;
    let id = start(&node).await;
    let client = node.database.client().await;
    assert_eq!(rows(&client).await, (0, 1, 0));
    let only_ready = Sources { ready: true, starts: false };
    assert_eq!(node.lane.claim(only_ready, 10, &[node.definition]).await.unwrap().sagas, []);
    let found = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap();
    assert_eq!(found.sources, Sources { ready: false, starts: true });
    let [saga] = &found.sagas[..] else { panic!("{found:?}") };
    assert!(saga.id == id && saga.adopted && saga.signals == 0 && !saga.stuck, "{saga:?}");
    let first = saga.first.as_ref().unwrap();
    assert!(first.seq == 1 && first.kind == "begun" && first.body.contains(INPUT), "{first:?}");
    assert_eq!(rows(&client).await, (1, 0, 0));
    assert_eq!(node.lane.commit(&[ended(id, 2)]).await.unwrap(), [Written::Accepted]);
    assert_eq!(node.store.saga(id).await.unwrap().unwrap().status, Status::Completed);
}

#[tokio::test]
async fn what_is_in_the_queue_is_seen_like_any_other_saga() {
    let node = Node::new().await;
    let id = start(&node).await;
    let saga = node.store.saga(id).await.unwrap().unwrap();
    assert!(saga.status == Status::Queued && saga.lane.is_none() && saga.signals == 0, "{saga:?}");
    assert_eq!(node.store.ended(&[id]).await.unwrap().len(), 0, "it has not ended");
    let listed = node.store.list(&Filter { status: Some(Status::Queued), ..Filter::default() }).await.unwrap();
    assert_eq!(listed.iter().map(|saga| saga.id).collect::<Vec<_>>(), [id]);
    let client = node.database.client().await;
    for (sql, expected) in [
        ("select status from amends.sagas where saga = $1", "queued"),
        ("select ready::text from amends.backlog where $1::uuid is not null", "1"),
        ("select count(*)::text from amends.timeline where saga = $1", "0"),
    ] {
        assert_eq!(client.query_one(sql, &[&id]).await.unwrap().get::<_, String>(0), expected, "{sql}");
    }
    let error = client.query("select amends.evict($1, 'why')", &[&id]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "AM007");
    node.store.take_census().await.unwrap();
    let live = client.query_one("select sagas from amends.census where status = 'queued'", &[]).await.unwrap();
    assert_eq!(live.get::<_, i64>(0), 1);
}

/// Whoever asks holds the start until the end of its transaction; lanes pass by.
#[tokio::test]
async fn what_is_asked_before_the_first_claim_is_known_to_the_lane_that_takes_it() {
    for commits in [true, false] {
        let mut node = Node::new().await;
        let id = start(&node).await;
        let mut application = node.database.client().await;
        let transaction = application.transaction().await.unwrap();
        transaction.execute(CANCEL, &[&id]).await.unwrap();
        assert_eq!(node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas, []);
        if commits {
            transaction.commit().await.unwrap();
            assert_eq!(rows(&application).await, (1, 0, 1));
        } else {
            transaction.rollback().await.unwrap();
            assert_eq!(rows(&application).await, (0, 1, 0));
        }
        let claimed = node.lane.claim(Sources::ALL, 10, &[node.definition]).await.unwrap().sagas;
        let [saga] = &claimed[..] else { panic!("{claimed:?}") };
        assert_eq!((saga.id, saga.signals, saga.first.is_some()), (id, u64::from(commits), true));
        assert_eq!(rows(&application).await, (1, 0, 0));
    }
}

/// A request that comes while a lane takes the start waits for the lane, and goes to its inbox.
#[tokio::test]
async fn what_is_asked_while_a_lane_takes_the_start_goes_to_the_lane() {
    let node = Node::new().await;
    let id = start(&node).await;
    let (mut taking, asking) = (node.database.client().await, node.database.client().await);
    let transaction = taking.transaction().await.unwrap();
    let take = include_str!("../../../sql/queries/start_queue/take.sql");
    let lane = node.lane.id().0;
    let taken = transaction.query(take, &[&lane, &vec![node.definition.0], &vec![0_i64], &10_i64]).await.unwrap();
    assert_eq!(taken.len(), 1);
    let observer = node.database.client().await;
    let ask = async { asking.execute(CANCEL, &[&id]).await };
    let rest = async {
        eventually("the request waits", async || waiting(&observer, "select amends.cancel").await > 0).await;
        transaction.commit().await.unwrap();
    };
    let (asked, ()) = tokio::join!(ask, rest);
    asked.unwrap();
    assert_eq!(node.store.drain_inbox(&[node.lane.id()]).await.unwrap(), [id]);
    assert_eq!(node.store.saga(id).await.unwrap().unwrap().signals, 1);
    assert_eq!(rows(&observer).await, (1, 0, 0));
}

/// A start and its request in one transaction that sees no later rows.
#[tokio::test]
async fn an_isolated_transaction_asks_of_its_own_start_and_begins_anew_after_a_lane_took_it() {
    let mut node = Node::new().await;
    let mut application = node.database.client().await;
    let transaction = application.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
    let transaction = transaction.start().await.unwrap();
    let sql = "select amends.start('checkout', '{\"order\":7}')";
    let own: Uuid = transaction.query_one(sql, &[]).await.unwrap().get(0);
    transaction.execute(CANCEL, &[&own]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(node.claim_all().await, [own]);

    let id = start(&node).await;
    let transaction = application.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
    let transaction = transaction.start().await.unwrap();
    transaction.query("select from amends.sagas", &[]).await.unwrap();
    assert_eq!(node.claim_all().await, [id]);
    let error = transaction.execute(CANCEL, &[&id]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE));
}

/// A lane began the saga, and the same start came by SQL at the same time.
#[tokio::test]
async fn the_same_start_twice_begins_one_saga_and_blocks_no_other() {
    let mut node = Node::new().await;
    let row = started(node.definition);
    let options = StartOptions { id: Some(row.id), ..StartOptions::default() };
    assert_eq!(node.store.start_with("checkout", &json(INPUT), options).await.unwrap(), row.id);
    let other = start(&node).await;
    assert_eq!(node.lane.commit(std::slice::from_ref(&row)).await.unwrap(), [Written::Accepted]);
    let mut two = Node::on_same(&node, "two").await;
    assert_eq!(two.claim_all().await, [other]);
    assert_eq!(rows(&node.database.client().await).await, (2, 0, 0));

    // The same, and the saga ends before a lane meets the start.
    let row = started(node.definition);
    let again = StartOptions { id: Some(row.id), ..StartOptions::default() };
    node.store.start_with("checkout", &json(INPUT), again).await.unwrap();
    assert_eq!(node.lane.commit(std::slice::from_ref(&row)).await.unwrap(), [Written::Accepted]);
    assert_eq!(node.store.ended(&[row.id]).await.unwrap().len(), 0);
    assert_eq!(node.lane.commit(&[ended(row.id, 2)]).await.unwrap(), [Written::Accepted]);
    let client = node.database.client().await;
    let late = client.query("select amends.unqueue($1)", &[&row.id]).await.unwrap();
    assert!(!late[0].get::<_, bool>(0), "its saga has begun");
    let error = client.query(CANCEL, &[&row.id]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "AM002");

    // Once the saga has begun, the start is refused at once; also after its end.
    let row = started(node.definition);
    let options = StartOptions { id: Some(row.id), ..StartOptions::default() };
    assert_eq!(node.lane.commit(std::slice::from_ref(&row)).await.unwrap(), [Written::Accepted]);
    for seq in [2, 3] {
        let again = node.store.start_with("checkout", &json(INPUT), options).await.unwrap_err();
        assert!(again.to_string().contains("expected a new id"), "{again}");
        let next = if seq == 2 { went_on(row.id, seq) } else { ended(row.id, seq) };
        assert_eq!(node.lane.commit(&[next]).await.unwrap(), [Written::Accepted]);
    }
}

/// A node of an older version makes another definition the current one, and knows nothing of `plain`.
#[tokio::test]
async fn a_definition_that_an_older_version_chose_is_looked_at_again() {
    let node = Node::new().await;
    let turns = AtStart { concurrency: Some(vec!["order".to_owned()]), ..AtStart::default() };
    let id = node.store.put_definition("with turns", "checkout", "{}", &turns).await.unwrap();
    let client = node.database.client().await;
    let plain = "select plain from amends.current_definition where name = 'checkout' and plain = definition";
    assert!(client.query(plain, &[]).await.unwrap().is_empty());
    node.store.put_definition("digest", "checkout", "{}", &AtStart::default()).await.unwrap();
    node.store.note_plain_definitions().await.unwrap();
    assert_eq!(client.query_one(plain, &[]).await.unwrap().get::<_, Option<i32>>(0), Some(node.definition.0));
    let choose = "update amends.current_definition set definition = $1 where name = 'checkout'";
    client.execute(choose, &[&id.0]).await.unwrap();
    start(&node).await;
    let queued = client.query_one("select count(*) from amends.waiting", &[]).await.unwrap();
    assert_eq!((queued.get::<_, i64>(0), rows(&client).await), (1, (1, 0, 0)));
}

#[tokio::test]
async fn sagas_under_way_come_before_starts() {
    let mut node = Node::new().await;
    let id = start(&node).await;
    let ids = node.started(10).await;
    node.lane.release(&ids).await.unwrap();
    // Most places are for sagas under way.
    let found = node.lane.claim(Sources::ALL, 4, &[node.definition]).await.unwrap();
    assert_eq!(found.sagas.iter().filter(|saga| saga.id != id).count(), 3, "{found:?}");
    assert!(found.sagas.len() == 4 && found.sources == Sources::ALL, "{found:?}");
    assert_eq!(node.claim_all().await.len(), 7);
}

/// Ready rows without end keep no start waiting, however little room there is.
#[tokio::test]
async fn a_start_has_its_turn_among_wakes() {
    let mut node = Node::new().await;
    let ids = node.started(10).await;
    node.lane.release(&ids).await.unwrap();
    let id = start(&node).await;
    let mut taken = Vec::new();
    for _ in 0..2 {
        taken.extend(node.lane.claim(Sources::ALL, 1, &[node.definition]).await.unwrap().sagas);
    }
    assert!(taken.len() == 2 && taken.iter().any(|saga| saga.id == id), "{taken:?}");
}

#[tokio::test]
async fn a_claim_says_where_there_may_be_more() {
    let mut node = Node::new().await;
    for _ in 0..9 {
        start(&node).await;
    }
    let found = node.lane.claim(Sources::ALL, 8, &[node.definition]).await.unwrap();
    assert_eq!((found.sagas.len(), found.sources), (8, Sources { ready: false, starts: true }));
}

/// Starts go to the queue only once every node in service knows it.
#[tokio::test]
async fn a_node_of_an_older_version_gets_its_starts_where_it_looks() {
    let mut node = Node::new().await;
    let client = node.database.client().await;
    let older = "update amends.node set schema_version = 11; update amends.current_definition set plain = null";
    client.batch_execute(older).await.unwrap();
    node.store.note_plain_definitions().await.unwrap();
    let id = start(&node).await;
    assert_eq!(rows(&client).await, (1, 0, 1));
    assert_eq!(node.claim_all().await, [id]);
    client.batch_execute("update amends.node set gone_at = now()").await.unwrap();
    node.store.note_plain_definitions().await.unwrap();
    start(&node).await;
    assert_eq!(rows(&client).await, (1, 1, 0));
}

#[tokio::test]
async fn a_dead_lane_takes_nothing() {
    let node = Node::new().await;
    start(&node).await;
    let mut lane: Lane = node.database.lane(node.id).await;
    node.store.retire(lane.id()).await.unwrap();
    let starts = Sources { ready: false, starts: true };
    let refused = lane.claim(starts, 10, &[node.definition]).await;
    assert!(matches!(refused, Err(amends::store::Error::Fenced)), "{refused:?}");
    assert_eq!(rows(&node.database.client().await).await, (0, 1, 0));
}
