//! Retention: what has ended leaves by whole partitions, what lives does not.

use super::Node;
use crate::admin::ask;

/// A saga of long ago, with a journal, a signal and a start key; it ended so many days ago, or is live.
async fn of_old(node: &Node, days: u32, ended: Option<u32>) -> String {
    let (is_ended, ended_days) = (ended.is_some(), ended.unwrap_or(0));
    let sql = format!(
        "with old as (
             select now() - interval '{days} days' as at,
                    (left(amends.uuid_floor(now() - interval '{days} days')::text, 14)
                     || '7000-8000-' || lpad('{days}', 12, '0'))::uuid as id
         ), journal as (
             insert into amends.journal (id, seq, lane, at, kind, body)
             select o.id, 1, 1, o.at, 'started', '{{}}' from old o
         ), signal as (
             insert into amends.signal (id, n, at, by, application_name, request)
             select o.id, 1, o.at, 'x', 'x', '\"touch\"' from old o
         ), key as (
             insert into amends.start_key select 'checkout', o.id::text, o.id, '', o.at from old o
         ), done as (
             insert into amends.saga_done (id, definition, status, signals, started_at, ended_at)
             select o.id, 1, 'completed', 0, o.at, now() - interval '{ended_days} days'
             from old o where {is_ended}
         ), live as (
             insert into amends.saga (id, definition, status, lane, signals, started_at)
             select o.id, 1, 'stuck', null, 0, o.at from old o where not {is_ended}
         )
         select o.id from old o"
    );
    ask(&node.database.url, &sql).await
}

/// Partitions as they were made at that time.
async fn partitions_of(node: &Node, days: u32) {
    let sql = format!(
        "with w as (select date_trunc('week', (now() - interval '{days} days') at time zone 'utc') as at),
              d as (select date_trunc('day', (now() - interval '{days} days') at time zone 'utc') as at)
         select amends.ensure_partition('journal', 'journal_' || to_char(w.at, 'YYYYMMDD'), 'id',
                    amends.uuid_floor(w.at at time zone 'utc')::text,
                    amends.uuid_floor((w.at + interval '1 week') at time zone 'utc')::text),
                amends.ensure_partition('saga_done', 'saga_done_' || to_char(d.at, 'YYYYMMDD'), 'ended_at',
                    (d.at at time zone 'utc')::text, ((d.at + interval '1 day') at time zone 'utc')::text)
         from w, d"
    );
    ask(&node.database.url, &sql).await;
}

async fn kept(node: &Node, saga: &str) -> String {
    let sql = format!(
        "select (select count(*) from amends.saga_done where id = '{saga}') || ' ended, '
             || (select count(*) from amends.journal where id = '{saga}') || ' rows, '
             || (select count(*) from amends.signal where id = '{saga}') || ' signals, '
             || (select count(*) from amends.start_key where id = '{saga}') || ' keys'"
    );
    ask(&node.database.url, &sql).await
}

#[tokio::test]
async fn ended_sagas_leave_after_their_retention_and_live_ones_stay() {
    let node = Node::new().await;
    for days in [40, 120, 200] {
        partitions_of(&node, days).await;
    }
    let recent = of_old(&node, 40, Some(40)).await;
    let ended = of_old(&node, 120, Some(120)).await;
    let live = of_old(&node, 200, None).await;
    let long = of_old(&node, 201, Some(40)).await;
    let dropped = node.store.expire().await.unwrap();
    assert_eq!(dropped.iter().filter(|name| name.starts_with("journal_")).count(), 1, "{dropped:?}");
    assert_eq!(dropped.iter().filter(|name| name.starts_with("saga_done_")).count(), 2, "{dropped:?}");
    assert_eq!(kept(&node, &recent).await, "1 ended, 1 rows, 1 signals, 1 keys");
    assert_eq!(kept(&node, &ended).await, "0 ended, 0 rows, 0 signals, 0 keys");
    assert_eq!(kept(&node, &live).await, "0 ended, 1 rows, 1 signals, 1 keys");
    // A start under its key is still the start of that saga.
    assert_eq!(kept(&node, &long).await, "1 ended, 1 rows, 1 signals, 1 keys");
    assert!(node.store.expire().await.unwrap().is_empty());

    // The key may be used again, for another saga with another input.
    let again = format!("select amends.start('checkout', '{{\"n\":2}}', '{ended}') <> '{ended}'");
    assert_eq!(ask(&node.database.url, &again).await, "t");
    let taken = format!("select amends.start('checkout', '{{\"n\":2}}', '{live}')");
    assert!(crate::admin::psql(&node.database.url, &taken).await.errors.contains("AM004"));
}

/// A definition that is used keeps the days on which its sagas ended; one that is not used keeps nothing.
#[tokio::test]
async fn the_longest_retention_among_the_definitions_of_a_day_counts() {
    let node = Node::new().await;
    for days in [120, 130] {
        partitions_of(&node, days).await;
    }
    let (plain, audited) = (of_old(&node, 120, Some(120)).await, of_old(&node, 130, Some(130)).await);
    let years = 10_u64 * 365 * 24 * 3_600_000;
    let draft = format!("{{\"retention_ms\":{years}}}");
    let long = node.store.put_definition("long", "audited", &draft, &amends::store::AtStart::default()).await.unwrap();
    let moved = format!("update amends.saga_done set definition = {} where id = '{audited}'", long.0);
    ask(&node.database.url, &moved).await;
    assert!(!node.store.expire().await.unwrap().is_empty());
    assert_eq!(kept(&node, &plain).await, "0 ended, 0 rows, 0 signals, 0 keys");
    assert_eq!(kept(&node, &audited).await, "1 ended, 1 rows, 1 signals, 1 keys");
    assert!(node.store.expire().await.unwrap().is_empty(), "the same answer a second time");
}

/// A short retention lets rows go a day after the end at the earliest, and no forged one can hurry that.
#[tokio::test]
async fn rows_stay_a_day_whatever_a_definition_says() {
    let node = Node::new().await;
    for days in [1, 2, 3, 30] {
        partitions_of(&node, days).await;
    }
    for (digest, draft) in [("a", "{\"retention_ms\":1}"), ("b", "{\"retention_ms\":-9000000000000000}"), ("c", "{")] {
        node.store.put_definition(digest, digest, draft, &amends::store::AtStart::default()).await.unwrap();
    }
    let mut sagas = Vec::new();
    for days in [0, 1, 30] {
        sagas.push(of_old(&node, days, Some(days)).await);
    }
    ask(&node.database.url, "update amends.saga_done set definition = (select max(id) - 1 from amends.definition)")
        .await;
    node.store.expire().await.unwrap();
    for (saga, expected) in sagas.iter().zip(["1 ended", "1 ended", "0 ended"]) {
        assert!(kept(&node, saga).await.starts_with(expected), "{saga}");
    }
}
