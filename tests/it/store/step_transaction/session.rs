//! The session in which a handler works: what it leaves behind, how durable it is, how it is waited for, and that
//! whatever blocks it blocks nobody else.

use amends::store::{PostgresConfig, Store, Written};
use futures_util::poll;

use super::*;

/// Whether another connection may take the lock that a handler took.
async fn is_free(client: &Client) -> bool {
    let sql = "select pg_try_advisory_lock(17) and pg_advisory_unlock(17)";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_session_comes_back_as_new() {
    let mut node = node().await;
    let id = node.started(1).await[0];
    let (client, mut seq) = (node.database.client().await, 2);
    let leaves = "listen gossip; select pg_advisory_lock(17); create temp table mine (); set search_path = amends;
                  set synchronous_commit = off; set default_transaction_read_only = off; create sequence s;
                  select nextval('s'); drop sequence s; declare mine cursor with hold for select 1";
    for left in ["select 1", "prepare mine as select 1"] {
        for committed in [true, false] {
            let within = begin(&node.store).await;
            within.transaction().batch_execute(leaves).await.unwrap();
            within.transaction().batch_execute(left).await.unwrap();
            if committed {
                assert_eq!(commit(&node, within, id, seq).await, Ok(Written::Accepted));
                seq += 1;
            } else {
                node.store.roll_back(within, late()).await.unwrap();
            }
            eventually("nothing is held while the session is idle", async || is_free(&client).await).await;
            let within = begin(&node.store).await;
            let sql = "select (select count(*) from pg_prepared_statements where from_sql),
                              (select count(*) from pg_listening_channels()),
                              (select count(*) from pg_cursors where is_holdable),
                              (select count(*) from pg_class where relname = 'mine' and pg_table_is_visible(oid))";
            let row = within.transaction().query_one(sql, &[]).await.unwrap();
            let found: [i64; 4] = std::array::from_fn(|column| row.get(column));
            assert_eq!(found, [0; 4], "{left}, {committed}");
            node.store.roll_back(within, late()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_handlers_effect_is_as_durable_as_a_lanes_row() {
    let mut node = node().await;
    let ids = node.started(2).await;
    let client = node.database.client().await;
    let sql = format!(
        "create function told() returns trigger language plpgsql as $$ begin
             insert into public.effect values (current_setting('synchronous_commit')); return new; end $$;
         create trigger told before insert on amends.journal for each row execute function told();
         alter database {} set synchronous_commit = off",
        node.database.name
    );
    client.batch_execute(&sql).await.unwrap();
    let store = node.database.store().await;
    for (id, words, expected) in [
        (ids[0], "set local synchronous_commit = off; set local role pg_monitor", "on"),
        (ids[1], "set synchronous_commit = remote_apply", "remote_apply"),
    ] {
        let within = begin(&store).await;
        let sql = "select current_setting('synchronous_commit')";
        assert_eq!(within.transaction().query_one(sql, &[]).await.unwrap().get::<_, &str>(0), "on");
        within.transaction().batch_execute(words).await.unwrap();
        let within = store.settle(within, late()).await.unwrap();
        let written = store.commit_within(within, node.lane.id(), &went_on(id, 2)).await;
        assert_eq!(written, Ok(Written::Accepted), "{words}");
        let row = client.query_one("delete from effect returning key", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), expected, "{words}");
    }
}

/// What an operator has set to read-only takes no effect of a handler.
#[tokio::test]
async fn a_database_that_is_set_to_read_only_is_waited_for() {
    let node = node().await;
    let client = node.database.client().await;
    let name = &node.database.name;
    client.batch_execute(&format!("alter database {name} set default_transaction_read_only = on")).await.unwrap();
    let mut waiting = Box::pin(begin(&node.store));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err());
    let taken_back = format!("begin read write; alter database {name} reset default_transaction_read_only; commit");
    client.batch_execute(&taken_back).await.unwrap();
    node.store.roll_back(waiting.await, late()).await.unwrap();
}

#[tokio::test]
async fn a_place_and_a_connection_are_waited_for() {
    let node = node().await;
    let proxy = Proxy::before(cluster().port).await;
    let url = format!("{}?sslmode=disable", node.database.tcp_url("127.0.0.1", proxy.port));
    let store = Store::connect(PostgresConfig::parse(&url).unwrap()).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(begin(&store).await);
    }
    let mut next = Box::pin(begin(&store));
    assert!(poll!(&mut next).is_pending(), "all places are taken");
    let gone = Box::pin(begin(&store));
    drop(gone);
    store.roll_back(open.pop().unwrap(), late()).await.unwrap();
    open.push(next.await);

    // The place is there, and the database is not.
    proxy.next(Fault::Refuse);
    drop(open);
    let mut unreachable = Box::pin(begin(&store));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut unreachable).await.is_err());
    proxy.next(Fault::None);
    store.roll_back(unreachable.await, late()).await.unwrap();
}

/// A result that is not read blocks its connection: the attempt ends in time all the same, and nobody else gets that
/// connection.
#[tokio::test]
async fn a_result_that_is_not_read_holds_up_nobody() {
    use futures_util::TryStreamExt as _;

    let mut node = node().await;
    let id = node.started(1).await[0];
    let rows = "select repeat('x', 1000) from generate_series(1, 1000000)";
    let pid = async |within: &Within| -> i32 {
        let row = within.transaction().query_one("select pg_backend_pid()", &[]).await.unwrap();
        row.get(0)
    };
    let client = node.database.client().await;
    for kept in [true, false] {
        for succeeded in [true, false] {
            let within = effect(&node.store).await;
            let process = pid(&within).await;
            let none: [&str; 0] = [];
            let mut stream = Box::pin(within.transaction().query_raw(rows, none).await.unwrap());
            assert!(stream.try_next().await.unwrap().is_some());
            let kept = kept.then_some(stream);
            let until = sleep(Duration::from_millis(200));
            if succeeded {
                let answer = node.store.settle(within, until).await;
                // One that nobody reads is read away, if that is quick enough.
                if let Ok(within) = answer {
                    assert!(kept.is_none());
                    node.store.roll_back(within, late()).await.unwrap();
                    continue;
                }
                assert!(answer.unwrap_err().retryable);
            } else {
                // Whether the handler had ended the transaction cannot be asked while a result is in the way.
                let answer = node.store.roll_back(within, until).await;
                assert!(answer.is_ok() || (kept.is_some() && answer.is_err_and(|told| !told.known)));
            }
            let sql = "select count(*) from pg_stat_activity where pid = $1 and state <> 'idle'";
            eventually("the server stops", async || {
                client.query_one(sql, &[&process]).await.unwrap().get::<_, i64>(0) == 0
            })
            .await;
            let within = effect(&node.store).await;
            if kept.is_some() {
                assert_ne!(pid(&within).await, process, "the connection is thrown away");
            }
            node.store.roll_back(within, late()).await.unwrap();
        }
    }
    let within = effect(&node.store).await;
    assert_eq!(commit(&node, within, id, 2).await, Ok(Written::Accepted));
    assert_eq!(count(&node, "effect").await, 1);
}

/// A statement that runs on after the attempt holds its locks no longer than it takes to cancel it.
#[tokio::test]
async fn what_runs_on_is_cancelled() {
    let node = node().await;
    let within = begin(&node.store).await;
    let transaction = within.transaction();
    transaction.batch_execute("select pg_advisory_xact_lock(17)").await.unwrap();
    let mut running = Box::pin(transaction.batch_execute("select pg_sleep(3600)"));
    assert!(poll!(&mut running).is_pending());
    drop(running);
    drop(transaction);
    node.store.roll_back(within, now()).await.unwrap();
    let client = node.database.client().await;
    eventually("its locks are gone", async || is_free(&client).await).await;
}

/// The same refusal would come again, or it passes with what caused it.
#[tokio::test]
async fn a_refusal_of_the_database_is_definite_or_passes() {
    let node = node().await;
    for (words, definite) in [
        ("insert into room values (null)", true),
        ("select * from nowhere", true),
        ("selekt", true),
        ("do $$ begin raise exception 'sold out'; end $$", true),
        ("do $$ begin raise exception using errcode = '40001'; end $$", false),
        ("do $$ begin raise exception using errcode = '40P01'; end $$", false),
        ("do $$ begin raise exception using errcode = '55P03'; end $$", false),
        ("do $$ begin raise exception using errcode = '57014'; end $$", false),
        ("do $$ begin raise exception using errcode = '53200'; end $$", false),
    ] {
        let within = begin(&node.store).await;
        let deferred = format!(
            "create function late() returns trigger language plpgsql as $f$ begin execute {}; return null; end $f$;
             create constraint trigger late after insert on effect deferrable initially deferred
             for each row execute function late(); insert into effect values ('k')",
            quoted(words)
        );
        within.transaction().batch_execute(&deferred).await.unwrap();
        let told = node.store.settle(within, late()).await.unwrap_err();
        assert_eq!(told.retryable, !definite, "{words}: {}", told.message);
    }
}

fn quoted(words: &str) -> String {
    format!("'{}'", words.replace('\'', "''"))
}
