//! The end of a retention: payloads go within the hour, definition by definition; states and times stay.

use amends::store::AtStart;
use uuid::Uuid;

use crate::admin::ask;
use crate::store::Node;

const HOUR_MS: u64 = 3_600_000;

/// Sagas of a definition that ended so many minutes ago, with a journal.
async fn ended(node: &Node, definition: i32, minutes: u32, count: u32) -> Vec<Uuid> {
    let sql = format!(
        "with made as (select amends.uuid7() as id from generate_series(1, {count})), journal as (
             insert into amends.journal (id, seq, lane, at, kind, body)
             select m.id, 1, 1, now(), 'begun', '{{\"begun\":{{\"law\":2,\"at\":7,\"input\":\"secret\"}}}}' from made m
         ), done as (
             insert into amends.saga_done (id, definition, status, signals, started_at, ended_at, result)
             select m.id, {definition}, 'completed', 0, now(), now() - interval '{minutes} minutes', '\"secret\"'
             from made m
         )
         select id from made"
    );
    ask(&node.database.url, &sql).await.lines().map(|id| id.parse().unwrap()).collect()
}

async fn with_payload(node: &Node, definition: i32) -> String {
    let sql = format!(
        "select count(*) filter (where d.result like '%secret%' and d.erased_at is null
                                   and j.body like '%secret%') || ' of ' || count(*)
         from amends.saga_done d join amends.journal j on j.id = d.id where d.definition = {definition}"
    );
    ask(&node.database.url, &sql).await
}

#[tokio::test]
async fn payloads_go_when_the_retention_of_their_own_definition_has_passed() {
    let node = Node::new().await;
    let of = async |digest: &str, retention: &str| {
        let draft = format!("{{{retention}}}");
        node.store.put_definition(digest, digest, &draft, &AtStart::default()).await.unwrap().0
    };
    let short = of("short", &format!("\"retention_ms\":{HOUR_MS}")).await;
    let day = of("day", &format!("\"retention_ms\":{}", 24 * HOUR_MS)).await;
    let plain = of("plain", "").await;
    // It was never used, so it holds back no other definition.
    of("never used", &format!("\"retention_ms\":{}", 87_600 * HOUR_MS)).await;
    let registered = "update amends.definition set created_at = now() - interval '2 days'";
    ask(&node.database.url, registered).await;
    for definition in [short, day, plain] {
        // Just ended, in the hour of the end, and within an hour after it; more than one statement takes.
        for (minutes, count) in [(1, 3), (50, 3), (121, 150), (35 * 60, 5)] {
            ended(&node, definition, minutes, count).await;
        }
    }
    // A saga that ends in the hour in which another one was erased is not passed over.
    assert_eq!(node.store.erase_expired().await.unwrap(), 155 + 5);
    assert_eq!(with_payload(&node, short).await, "6 of 161");
    assert_eq!(with_payload(&node, day).await, "156 of 161");
    assert_eq!(with_payload(&node, plain).await, "161 of 161", "the default erases nothing; rows go in the end");
    assert_eq!(node.store.erase_expired().await.unwrap(), 0);
    // Time goes on, without a saga being looked at twice.
    ask(
        &node.database.url,
        "update amends.saga_done set ended_at = ended_at - interval '1 hour' where erased_at is null",
    )
    .await;
    ask(&node.database.url, "update amends.redaction set erased_before = erased_before - interval '2 hours'").await;
    assert_eq!(node.store.erase_expired().await.unwrap(), 3);
    assert_eq!(with_payload(&node, short).await, "3 of 161");
    let states = format!(
        "select distinct status || (result is null) from amends.saga_done
                          where definition = {short} and erased_at is not null"
    );
    assert_eq!(ask(&node.database.url, &states).await, "completedtrue");
    assert_eq!(ask(&node.database.url, "select count(*) from amends.erasure").await, "0", "no person asked for it");
}
