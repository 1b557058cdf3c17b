//! Keys that the barrier has forgotten: an absence is never said of them, and nothing late takes effect. Owns what
//! a participant sees that asks too late, races with the forgetting, or had an older barrier.

use amends::barrier::{self, Action, Compensation, Probe};
use tokio_postgres::{Client, Error, IsolationLevel};
use uuid::{Timestamp, Uuid};

use super::{account, charge, find, refund, taken};
use crate::harness::{Database, eventually};

/// A key of a saga that began then, in the form of today and in the one before.
fn keys(seconds: u64) -> [String; 2] {
    let saga = Uuid::new_v7(Timestamp::from_unix_time(seconds, 0, 0, 0));
    [format!("{saga}-charge-a0"), format!("{saga}/charge/action/0")]
}

async fn forget(client: &Client) -> i64 {
    client.query_one("select amends_barrier.forget('0 seconds')", &[]).await.unwrap().get(0)
}

fn is_unknown<T>(answer: &Result<T, Error>) -> bool {
    answer.as_ref().is_err_and(barrier::is_unknown)
}

/// Whether each of the three calls is answered with "unknown".
async fn all_unknown(client: &mut Client, key: &str) -> bool {
    is_unknown(&find(client, key).await)
        && is_unknown(&refund(client, key).await)
        && is_unknown(&charge(client, key).await)
}

#[tokio::test]
async fn a_key_that_may_be_forgotten_is_unknown_to_every_call() {
    for form in [0, 1] {
        let (_database, mut client) = account().await;
        let key = |seconds: u64| keys(seconds)[form].clone();
        let charged = key(2_000);
        charge(&mut client, &charged).await.unwrap();
        assert_eq!((forget(&client).await, taken(&client).await), (1, 10));
        assert!(all_unknown(&mut client, &charged).await, "{charged}");
        assert!(all_unknown(&mut client, &charged).await, "asking leaves nothing behind");
        // Nobody can tell it from one that came before and was forgotten.
        assert!(all_unknown(&mut client, &key(1_000)).await);
        let sql = "select count(*) from amends_barrier.action_key";
        assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
        // Younger sagas have no forgotten keys.
        assert_eq!(find(&mut client, &key(3_000)).await.unwrap(), Probe::Absent);
        assert_eq!(refund(&mut client, &key(3_000)).await.unwrap(), Compensation::Absent);
        assert_eq!(charge(&mut client, &key(3_000)).await.unwrap(), Action::Proceed);
        // Forgetting them moves the horizon past them.
        assert_eq!(taken(&client).await, 20);
        forget(&client).await;
        assert!(all_unknown(&mut client, &key(2_500)).await);
    }
}

#[tokio::test]
async fn keys_without_a_time_are_unknown_once_one_was_forgotten() {
    let (_database, mut client) = account().await;
    let [dated, _] = keys(2_000);
    let random = Uuid::new_v4().to_string();
    charge(&mut client, &dated).await.unwrap();
    forget(&client).await;
    // Only keys with a time are gone so far.
    assert_eq!(find(&mut client, &random).await.unwrap(), Probe::Absent);
    assert_eq!(charge(&mut client, "order-17").await.unwrap(), Action::Proceed);
    forget(&client).await;
    for key in ["order-17", "order-18", random.as_str()] {
        assert!(all_unknown(&mut client, key).await, "{key}");
    }
}

/// Whoever began before the horizon moved is told of it, at each isolation level.
#[tokio::test]
async fn a_call_that_began_before_the_forgetting_does_not_miss_it() {
    for (number, level) in [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable]
        .into_iter()
        .enumerate()
    {
        let (database, mut client) = account().await;
        let [key, _] = keys(2_000);
        charge(&mut client, &key).await.unwrap();
        let mut late = database.client().await;
        let transaction = late.build_transaction().isolation_level(level).start().await.unwrap();
        transaction.query("select cents from account", &[]).await.unwrap();
        forget(&client).await;
        let answer = match number {
            0 => barrier::action(&transaction, &key, None).await.map(drop),
            1 => barrier::compensation(&transaction, &key).await.map(drop),
            _ => barrier::probe(&transaction, &key).await.map(drop),
        };
        let code = answer.unwrap_err().code().map(|code| code.code().to_owned());
        let expected = if number == 0 { barrier::UNKNOWN } else { "40001" };
        assert_eq!(code.as_deref(), Some(expected), "{level:?}");
        assert_eq!(taken(&client).await, 10);
    }
}

#[tokio::test]
async fn who_comes_while_a_key_is_being_forgotten_waits_for_the_end_of_it() {
    for committed in [true, false] {
        let (database, mut client) = account().await;
        let [key, _] = keys(2_000);
        charge(&mut client, &key).await.unwrap();
        let mut forgetting = database.client().await;
        let transaction = forgetting.transaction().await.unwrap();
        transaction.query("select amends_barrier.forget('0 seconds')", &[]).await.unwrap();
        let (mut asking, of) = (database.client().await, key.clone());
        let undone = tokio::spawn(async move { refund(&mut asking, &of).await });
        let sql = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
        eventually("the compensation waits", async || client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1)
            .await;
        if committed {
            transaction.commit().await.unwrap();
            assert!(is_unknown(&undone.await.unwrap()));
        } else {
            transaction.rollback().await.unwrap();
            assert!(matches!(undone.await.unwrap(), Ok(Compensation::Proceed { .. })));
        }
    }
}

/// The table of the first barrier, which kept no horizon.
const FIRST: &str = "create schema amends_barrier;
    create table amends_barrier.action_key (
        key text primary key, state text not null check (state in ('applied', 'undone', 'barred')),
        output text, at timestamptz not null default now());";

#[tokio::test]
async fn an_older_barrier_keeps_its_keys_and_owns_up_to_what_it_may_have_forgotten() {
    let database = Database::empty().await;
    let mut client = database.client().await;
    client.batch_execute(FIRST).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let [[old, _], [held, _], [young, _]] = [now - 900, now - 600, now - 300].map(keys);
    let sql = "insert into amends_barrier.action_key values ($1, 'applied', null, now() - interval '595 s')";
    client.execute(sql, &[&held]).await.unwrap();
    let sql = "create role shop; grant select, insert, update on amends_barrier.action_key to shop;
               grant usage on schema amends_barrier to shop";
    client.batch_execute(sql).await.unwrap();
    for _ in 0..2 {
        barrier::install(&client).await.unwrap();
    }
    client.batch_execute("set role shop").await.unwrap();
    assert_eq!(find(&mut client, &held).await.unwrap(), Probe::Applied { output: None });
    assert!(is_unknown(&find(&mut client, &old).await));
    assert!(is_unknown(&find(&mut client, "order-17").await));
    assert_eq!(find(&mut client, &young).await.unwrap(), Probe::Absent);
    client.batch_execute("reset role; drop owned by shop; drop role shop").await.unwrap();

    let emptied = Database::empty().await;
    let mut client = emptied.client().await;
    client.batch_execute(FIRST).await.unwrap();
    barrier::install(&client).await.unwrap();
    assert!(is_unknown(&find(&mut client, &young).await), "whatever it held is gone");
}
