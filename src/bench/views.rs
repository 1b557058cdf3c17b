//! An operator's dashboard during the load: reads every view once a second and times it. Owns the list of views; the
//! store owns the views.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::usage::failed;
use crate::cli::failure::Failure;
use crate::store::PostgresConfig;

/// The queries of a dashboard: a page of each view, and one saga in full.
const VIEWS: [(&str, &str); 11] = [
    ("stuck", "select * from amends.stuck limit 100"),
    ("in_doubt", "select * from amends.in_doubt limit 100"),
    ("backlog", "select * from amends.backlog"),
    ("nodes", "select * from amends.nodes"),
    ("throughput", "select * from amends.throughput where minute > amends.now() - interval '10 minutes'"),
    ("timers", "select * from amends.timers order by fires_at limit 100"),
    ("outbox_lag", "select * from amends.outbox_lag"),
    ("definitions", "select * from amends.definitions"),
    ("sagas", "select * from amends.sagas s where s.saga = (select id from amends.saga order by id desc limit 1)"),
    ("steps", "select * from amends.steps s where s.saga = (select id from amends.saga order by id desc limit 1)"),
    (
        "timeline",
        "select * from amends.timeline s where s.saga = (select id from amends.saga order by id desc limit 1)",
    ),
];

/// Pause between two reads of the dashboard.
const PAUSE: Duration = Duration::from_secs(1);

/// Times of each view, in microseconds.
pub(super) type Looks = BTreeMap<&'static str, Vec<u64>>;

/// A running dashboard.
pub(super) struct Dashboard {
    over: Arc<AtomicBool>,
    reading: JoinHandle<Result<Looks, tokio_postgres::Error>>,
}

impl Dashboard {
    /// Starts reading, on a connection of its own.
    pub(super) async fn open(config: &PostgresConfig) -> Result<Self, Failure> {
        let (client, _task) = config.open().await?;
        let over = Arc::new(AtomicBool::new(false));
        let reading = tokio::spawn(read(client, over.clone()));
        Ok(Self { over, reading })
    }

    /// Ends reading. Every view was read at least once.
    pub(super) async fn close(self) -> Result<Looks, Failure> {
        self.over.store(true, Ordering::Relaxed);
        let looks = self.reading.await.map_err(|error| Failure::failed(error.to_string()))?;
        looks.map_err(failed)
    }
}

async fn read(client: Client, over: Arc<AtomicBool>) -> Result<Looks, tokio_postgres::Error> {
    let mut looks = Looks::new();
    loop {
        for (name, sql) in VIEWS {
            let began = Instant::now();
            client.query(sql, &[]).await?;
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            looks.entry(name).or_default().push(took);
        }
        if over.load(Ordering::Relaxed) {
            return Ok(looks);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
