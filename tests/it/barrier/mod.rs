//! The barrier in a participant's own database: one account, charged and refunded. Owns the participant that
//! its tests share; `saga.rs` puts it behind a runtime, `cost.rs` measures it.

mod cost;
mod forgotten;
mod python;
mod saga;

use amends::barrier::{self, Action, Compensation, Probe};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use tokio_postgres::{Client, Error};

use crate::harness::{Database, connect, eventually};

/// What the account holds at first, in cents.
const CENTS: i64 = 1_000_000;

/// A participant's database with the barrier and one account.
async fn account() -> (Database, Client) {
    let database = Database::empty().await;
    let client = database.client().await;
    prepare(&client).await;
    (database, client)
}

async fn prepare(client: &Client) {
    barrier::install(client).await.unwrap();
    let sql = format!(
        "create table account (id bigint primary key, cents bigint not null); insert into account values (1, {CENTS})"
    );
    client.batch_execute(&sql).await.unwrap();
}

async fn taken(client: &Client) -> i64 {
    let row = client.query_one("select cents from account", &[]).await.unwrap();
    CENTS - row.get::<_, i64>(0)
}

/// Takes 10 cents once.
async fn charge(client: &mut Client, key: &str) -> Result<Action, Error> {
    let transaction = client.transaction().await?;
    let verdict = barrier::action(&transaction, key, Some(&format!("ch_{key}"))).await?;
    if verdict == Action::Proceed {
        transaction.execute("update account set cents = cents - 10", &[]).await?;
    }
    transaction.commit().await.map(|()| verdict)
}

async fn refund(client: &mut Client, key: &str) -> Result<Compensation, Error> {
    let transaction = client.transaction().await?;
    let verdict = barrier::compensation(&transaction, key).await?;
    if matches!(verdict, Compensation::Proceed { .. }) {
        transaction.execute("update account set cents = cents + 10", &[]).await?;
    }
    transaction.commit().await.map(|()| verdict)
}

async fn find(client: &mut Client, key: &str) -> Result<Probe, Error> {
    let transaction = client.transaction().await?;
    let verdict = barrier::probe(&transaction, key).await?;
    transaction.commit().await.map(|()| verdict)
}

fn known(key: &str) -> Option<String> {
    Some(format!("ch_{key}"))
}

#[tokio::test]
async fn an_action_takes_effect_once_and_is_undone_once() {
    let (_database, mut client) = account().await;
    assert_eq!(charge(&mut client, "a").await.unwrap(), Action::Proceed);
    assert_eq!(charge(&mut client, "a").await.unwrap(), Action::Applied { output: known("a") });
    assert_eq!(find(&mut client, "a").await.unwrap(), Probe::Applied { output: known("a") });
    assert_eq!(taken(&client).await, 10);
    assert_eq!(refund(&mut client, "a").await.unwrap(), Compensation::Proceed { output: known("a") });
    assert_eq!(refund(&mut client, "a").await.unwrap(), Compensation::Undone);
    assert_eq!(charge(&mut client, "a").await.unwrap(), Action::Barred);
    assert_eq!(find(&mut client, "a").await.unwrap(), Probe::Absent);
    assert_eq!(taken(&client).await, 0);
}

#[tokio::test]
async fn a_compensation_before_its_action_bars_it() {
    let (_database, mut client) = account().await;
    for _ in 0..2 {
        assert_eq!(refund(&mut client, "a").await.unwrap(), Compensation::Absent);
    }
    assert_eq!(charge(&mut client, "a").await.unwrap(), Action::Barred);
    assert_eq!(taken(&client).await, 0);
}

#[tokio::test]
async fn a_probe_that_answers_absent_bars_the_late_action() {
    let (_database, mut client) = account().await;
    assert_eq!(find(&mut client, "a").await.unwrap(), Probe::Absent);
    assert_eq!(charge(&mut client, "a").await.unwrap(), Action::Barred);
    assert_eq!(refund(&mut client, "a").await.unwrap(), Compensation::Absent);
    assert_eq!(find(&mut client, "a").await.unwrap(), Probe::Absent);
    assert_eq!(taken(&client).await, 0);
}

#[tokio::test]
async fn an_effect_that_is_rolled_back_leaves_no_trace() {
    let (database, mut client) = account().await;
    let mut business = database.client().await;
    let transaction = business.transaction().await.unwrap();
    assert_eq!(barrier::action(&transaction, "a", None).await.unwrap(), Action::Proceed);
    assert!(transaction.execute("update account set cents = cents / 0", &[]).await.is_err());
    transaction.rollback().await.unwrap();
    assert_eq!(charge(&mut client, "a").await.unwrap(), Action::Proceed);
}

#[tokio::test]
async fn an_answer_is_noted_only_where_an_action_proceeds() {
    let (_database, mut client) = account().await;
    assert!(barrier::answer(&client, "a", "late").await.is_err());
    let transaction = client.transaction().await.unwrap();
    assert_eq!(barrier::action(&transaction, "a", None).await.unwrap(), Action::Proceed);
    barrier::answer(&transaction, "a", "made").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(charge(&mut client, "a").await.unwrap(), Action::Applied { output: Some("made".into()) });
}

#[tokio::test]
async fn who_comes_while_an_action_is_open_waits_for_its_end() {
    for committed in [true, false] {
        let (database, _client) = account().await;
        let mut business = database.client().await;
        let transaction = business.transaction().await.unwrap();
        assert_eq!(barrier::action(&transaction, "a", None).await.unwrap(), Action::Proceed);
        let (mut asking, mut undoing) = (database.client().await, database.client().await);
        let asked = tokio::spawn(async move { find(&mut asking, "a").await.unwrap() });
        let sql = "select count(*) from pg_locks where not granted";
        let looking = database.client().await;
        let waits = async |n: i64| looking.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == n;
        eventually("the probe waits", async || waits(1).await).await;
        let undone = tokio::spawn(async move { refund(&mut undoing, "a").await.unwrap() });
        eventually("the compensation waits", async || waits(2).await).await;
        if committed {
            transaction.commit().await.unwrap();
            assert_eq!(undone.await.unwrap(), Compensation::Proceed { output: None });
            // Either order is true: it was applied, and then it was undone.
            asked.await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
            assert_eq!(undone.await.unwrap(), Compensation::Absent);
            assert_eq!(asked.await.unwrap(), Probe::Absent);
        }
    }
}

/// What the tasks below were told about one key.
#[derive(Default)]
struct Told {
    charged: u32,
    refunded: u32,
    absent: bool,
    applied: bool,
}

#[tokio::test]
async fn any_order_of_calls_at_once_keeps_the_books() {
    let seed: u64 = 6;
    println!("seed {seed}");
    let (database, client) = account().await;
    let mut tasks = Vec::new();
    for task in 0..12 {
        let url = database.url.clone();
        tasks.push(tokio::spawn(async move {
            let mut chance = StdRng::seed_from_u64(seed + task);
            let mut client = connect(&url).await;
            let mut told: Vec<Told> = (0..40).map(|_| Told::default()).collect();
            for _ in 0..160 {
                let number = chance.random_range(0..40);
                let (key, told) = (format!("k{number}"), &mut told[number]);
                match chance.random_range(0..10) {
                    0..5 => match charge(&mut client, &key).await.unwrap() {
                        Action::Proceed => told.charged += 1,
                        Action::Applied { .. } => told.applied = true,
                        Action::Barred => {}
                    },
                    5..7 => match refund(&mut client, &key).await.unwrap() {
                        Compensation::Proceed { .. } => told.refunded += 1,
                        Compensation::Absent => told.absent = true,
                        Compensation::Undone => {}
                    },
                    _ => match find(&mut client, &key).await.unwrap() {
                        Probe::Absent => {}
                        Probe::Applied { .. } => told.applied = true,
                    },
                }
            }
            told
        }));
    }
    let mut keys: Vec<Told> = (0..40).map(|_| Told::default()).collect();
    for task in tasks {
        for (sum, told) in keys.iter_mut().zip(task.await.unwrap()) {
            sum.charged += told.charged;
            sum.refunded += told.refunded;
            sum.absent |= told.absent;
            sum.applied |= told.applied;
        }
    }
    for (number, told) in keys.iter().enumerate() {
        assert!(told.charged <= 1 && told.refunded <= told.charged, "k{number}: more than once");
        assert!(!(told.absent && told.charged > 0), "k{number}: absent, and charged");
        assert!(!(told.applied && told.charged == 0), "k{number}: applied, and never charged");
    }
    let standing: u32 = keys.iter().map(|told| told.charged - told.refunded).sum();
    assert_eq!(taken(&client).await, i64::from(standing) * 10);
    assert!(keys.iter().any(|told| told.refunded == 1) && keys.iter().any(|told| told.absent));
}

#[tokio::test]
async fn old_keys_are_forgotten_and_young_ones_kept() {
    let (_database, mut client) = account().await;
    for key in ["a", "b", "c"] {
        charge(&mut client, key).await.unwrap();
    }
    client
        .execute("update amends_barrier.action_key set at = now() - interval '2 days' where key <> 'c'", &[])
        .await
        .unwrap();
    let forget = "select amends_barrier.forget('1 day', 1)";
    let mut forgotten = Vec::new();
    for _ in 0..3 {
        forgotten.push(client.query_one(forget, &[]).await.unwrap().get::<_, i64>(0));
    }
    assert_eq!(forgotten, [1, 1, 0]);
    assert_eq!(charge(&mut client, "c").await.unwrap(), Action::Applied { output: known("c") });
}
