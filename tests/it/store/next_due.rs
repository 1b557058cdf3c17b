//! When a node that may sleep is needed again: whatever is due first, and at once while a saga runs or is ready.

use std::time::Duration;

use super::Node;

const MINUTE: Duration = Duration::from_secs(60);

/// Each of these gives a node something to do, after so many minutes; zero: now.
const DUE: [(&str, u32); 7] = [
    ("insert into amends.timer (id, fire_at) values (gen_random_uuid(), now() + interval '10 min')", 10),
    ("insert into amends.timer (id, fire_at) values (gen_random_uuid(), 'infinity')", 10),
    (
        "insert into amends.outbox (id, seq, at, body, due_at)
         values (gen_random_uuid(), 1, now(), '{}', now() + interval '8 min')",
        8,
    ),
    (
        "insert into amends.rerun (id, step, rerun, definition, at, by, application_name, reason, due_at)
         select gen_random_uuid(), 'a', gen_random_uuid(), d.id, now(), 'me', '', '', now() + interval '6 min'
         from amends.definition d",
        6,
    ),
    ("insert into amends.knock (name, key) values ('checkout', 'k')", 0),
    ("delete from amends.knock; select amends.start('checkout', '1')", 0),
    (
        "delete from amends.start_queue; delete from amends.saga;
         insert into amends.saga (id, definition, status, lane, signals, started_at)
         select gen_random_uuid(), d.id, 'running', 1, 0, now() from amends.definition d",
        0,
    ),
];

#[tokio::test]
async fn a_node_sleeps_until_the_first_thing_that_is_due() {
    let node = Node::new().await;
    let client = node.database.client().await;
    assert_eq!(node.store.next_due(&[node.definition]).await.unwrap(), None);
    for (sql, minutes) in DUE {
        client.batch_execute(sql).await.unwrap();
        let due = node.store.next_due(&[node.definition]).await.unwrap().expect("something is due");
        let (least, most) = (MINUTE * minutes.saturating_sub(1), MINUTE * minutes);
        assert!(due >= least && due <= most, "{due:?} after {sql}");
    }
    // Nothing that this node could run.
    client.batch_execute("delete from amends.saga; delete from amends.timer; delete from amends.outbox").await.unwrap();
    assert_eq!(node.store.next_due(&[]).await.unwrap(), None);
}
