//! What the barrier costs a participant: its transactions per second with and without, on a durable cluster.
//! Owns the figures; the README quotes a longer run of the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use amends::barrier;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::prepare;
use crate::harness::{Cluster, connect};

/// Connections of the participant.
const CONNECTIONS: u64 = 8;

/// One business transaction: a balance and a row of the ledger.
struct Business {
    client: Client,
    balance: Statement,
    entry: Statement,
}

impl Business {
    async fn open(url: &str) -> Self {
        let client = connect(url).await;
        let balance = client.prepare("update account set cents = cents - 10 where id = $1").await.unwrap();
        let sql = "insert into ledger (account, cents, reference) values ($1, 10, $2) returning id";
        let entry = client.prepare(sql).await.unwrap();
        Self { client, balance, entry }
    }

    async fn charge(&mut self, account: i64, guarded: bool) {
        let key = format!("{}/charge/action/0", Uuid::now_v7());
        let transaction = self.client.transaction().await.unwrap();
        if guarded {
            let verdict = barrier::action(&transaction, &key, Some(&key)).await.unwrap();
            assert_eq!(verdict, barrier::Action::Proceed);
        }
        transaction.execute(&self.balance, &[&account]).await.unwrap();
        transaction.query_one(&self.entry, &[&account, &key]).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

/// Transactions per second of all connections together, and how many there were in all.
async fn throughput(url: &str, guarded: bool, duration: Duration) -> (f64, u64) {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for number in 0..CONNECTIONS {
        let (stop, count) = (stop.clone(), count.clone());
        let mut business = Business::open(url).await;
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                business.charge(i64::try_from(number).unwrap() + 1, guarded).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
    tokio::time::sleep(duration).await;
    let rate = (count.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    (rate, count.load(Ordering::Relaxed))
}

/// Rounds alternate, so that what else the machine does strikes both. The figures are for people; what
/// decides is that under load each charge stands once, and each guarded one with its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_each_charge_stands_with_its_key() {
    let rounds: usize = std::env::var("AMENDS_BARRIER_ROUNDS").map_or(3, |text| text.parse().unwrap());
    let cluster = Cluster::start("barrier", true);
    let client = cluster.ready().await;
    prepare(&client).await;
    let sql = "insert into account select i, 0 from generate_series(2, 8) i;
        create table ledger (id bigint generated always as identity primary key, account bigint not null,
                             cents bigint not null, reference text not null unique)";
    client.batch_execute(sql).await.unwrap();
    let url = cluster.url("postgres");
    let (mut bare, mut guarded) = (Vec::new(), Vec::new());
    let (mut charges, mut keys) = (0, 0);
    for _ in 0..rounds {
        let (rate, count) = throughput(&url, false, Duration::from_millis(700)).await;
        bare.push(rate);
        charges += count;
        let (rate, count) = throughput(&url, true, Duration::from_millis(700)).await;
        guarded.push(rate);
        charges += count;
        keys += count;
    }
    let sql = "select (select count(*) from ledger), (select count(*) from amends_barrier.action_key)";
    let row = client.query_one(sql, &[]).await.unwrap();
    let found = (row.get::<_, i64>(0).unsigned_abs(), row.get::<_, i64>(1).unsigned_abs());
    assert!(keys > 0, "nothing was charged");
    assert_eq!(found, (charges, keys), "charges, and keys of guarded ones");
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (bare, guarded) = (median(&mut bare), median(&mut guarded));
    let cost = 100.0 * (1.0 - guarded / bare);
    println!("without {bare:.0}/s, with the barrier {guarded:.0}/s: it costs {cost:.1}%");
}
