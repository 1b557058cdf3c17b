//! Baselines of the bench: plain connections that write the same rows with nothing around them. Owns both baselines:
//! the bare statement writes in batches, the naive loop commits each row by itself. A live lane that does nothing
//! else owns their sagas, so that no sweep recovers them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::sleep_until;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::Round;
use super::usage::failed;
use crate::cli::failure::Failure;
use crate::store::{Lane, LaneId, PostgresConfig, Store};

/// A baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Limit {
    /// The bare statement: in batches of the engine's mean size, and of the best size.
    Bare,
    /// A loop that commits each transition by itself, on 32 connections.
    Naive,
}

/// Connections of the naive loop.
const NAIVE_CONNECTIONS: usize = 32;

/// Batch sizes to try, each for `TRIAL_S` seconds.
const BATCHES: [usize; 5] = [100, 250, 500, 1_000, 2_000];
const TRIAL_S: f64 = 0.7;

/// Lease of the baseline's lane, in milliseconds: longer than any bench, since it has no heartbeat.
const LEASE_MS: u64 = 7 * 24 * 3_600_000;

/// Rows of one saga that the engine ran.
pub(super) struct Template {
    definition: i32,
    status: String,
    result: Option<String>,
    /// Kind and body of each row.
    pub(super) rows: Vec<(String, String)>,
}

impl Template {
    /// Copies the saga that ended last.
    pub(super) async fn of_last(client: &Client) -> Result<Self, Failure> {
        let sql = "select d.id, d.definition, d.status, d.result from amends.saga_done d \
                   order by d.ended_at desc, d.id desc limit 1";
        let done = client.query_opt(sql, &[]).await.map_err(failed)?;
        let done = done.ok_or_else(|| Failure::failed("expected a saga that has ended, found none"))?;
        let sql = "select j.kind, j.body from amends.journal j where j.id = $1 order by j.seq";
        let rows = client.query(sql, &[&done.get::<_, Uuid>("id")]).await.map_err(failed)?;
        Ok(Self {
            definition: done.get("definition"),
            status: done.get("status"),
            result: done.get("result"),
            rows: rows.iter().map(|row| (row.get("kind"), row.get("body"))).collect(),
        })
    }

    /// Returns the bytes of bodies and result per row.
    pub(super) fn body_bytes(&self) -> f64 {
        let bodies: usize = self.rows.iter().map(|(_, body)| body.len()).sum();
        (bodies + self.result.as_ref().map_or(0, String::len)) as f64 / self.rows.len() as f64
    }
}

/// Connections that write for a baseline.
pub(super) struct Writers {
    writers: Vec<Writer>,
    /// Keeps the lane's connection open; the rows carry the lane's number.
    _lane: Lane,
}

impl Writers {
    /// Opens `lanes` connections for the bare statement, or 32 for the naive loop.
    pub(super) async fn open(
        limit: Limit,
        lanes: usize,
        config: &PostgresConfig,
        template: Template,
    ) -> Result<Self, Failure> {
        let store = Store::connect(config.clone()).await?;
        let node = store.join("yardstick", env!("CARGO_PKG_VERSION"), LEASE_MS).await?;
        let lane = Lane::open(config, node).await?;
        let (id, template) = (lane.id(), Arc::new(template));
        let count = match limit {
            Limit::Bare => lanes,
            Limit::Naive => NAIVE_CONNECTIONS,
        };
        let writers = (0..count).map(|_| Writer::open(config, id, template.clone()));
        Ok(Self { writers: try_join_all(writers).await?, _lane: lane })
    }

    /// Returns the fastest batch size, by a short trial of each.
    pub(super) async fn best_batch(&self) -> Result<usize, Failure> {
        let mut best = (BATCHES[0], 0.0);
        for batch in BATCHES {
            let round = self.bare(batch, TRIAL_S).await?;
            if round.transitions / round.wall_s > best.1 {
                best = (batch, round.transitions / round.wall_s);
            }
        }
        Ok(best.0)
    }

    /// Writes in batches for `seconds`. Sagas under way then are ended outside the measurement.
    pub(super) async fn bare(&self, batch: usize, seconds: f64) -> Result<Round, Failure> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        let sides = self.writers.iter().map(|writer| writer.bare(batch.max(1), until));
        Ok(Round::of_all(&spawned(sides).await?))
    }

    /// Commits row by row for `seconds`; at a rate, on one connection.
    pub(super) async fn naive(&self, rate: Option<f64>, seconds: f64) -> Result<Round, Failure> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        let count = if rate.is_some() { 1 } else { self.writers.len() };
        let sides = self.writers[..count].iter().map(|writer| writer.naive(rate, until));
        Ok(Round::of_all(&spawned(sides).await?))
    }
}

/// Runs each future in a task of its own.
async fn spawned<F>(sides: impl Iterator<Item = F>) -> Result<Vec<Round>, Failure>
where
    F: Future<Output = Result<Round, tokio_postgres::Error>> + Send + 'static,
{
    let tasks: Vec<_> = sides.map(tokio::spawn).collect();
    let mut rounds = Vec::with_capacity(tasks.len());
    for task in tasks {
        let ended = task.await.map_err(|error| Failure::failed(error.to_string()))?;
        rounds.push(ended.map_err(failed)?);
    }
    Ok(rounds)
}

/// One connection with its prepared statements.
#[derive(Clone)]
struct Writer {
    client: Arc<Client>,
    lane: LaneId,
    template: Arc<Template>,
    bare: Statement,
    begin: Statement,
    go_on: Statement,
    end: Statement,
}

const BEGIN: &str = "with s as (insert into amends.saga (id, definition, status, lane, signals, started_at) \
    values ($1, $4, 'running', $5, 0, now())) insert into amends.journal (id, seq, lane, at, kind, body) \
    values ($1, 1, $5, now(), $2, $3)";
const GO_ON: &str = "insert into amends.journal (id, seq, lane, at, kind, body) values ($1, $2, $5, now(), $3, $4)";
const END: &str = "with j as (insert into amends.journal (id, seq, lane, at, kind, body) \
    values ($1, $2, $5, now(), $3, $4)), g as (delete from amends.saga where id = $1) \
    insert into amends.saga_done (id, definition, status, signals, started_at, ended_at, result) \
    values ($1, $6, $7, 0, now(), now(), $8)";

impl Writer {
    async fn open(config: &PostgresConfig, lane: LaneId, template: Arc<Template>) -> Result<Self, Failure> {
        let (client, _task) = config.open().await?;
        let prepare = |sql| client.prepare(sql);
        let (bare, begin) = (prepare(include_str!("bare.sql")), prepare(BEGIN));
        let (go_on, end) = (prepare(GO_ON), prepare(END));
        let prepared = futures_util::future::try_join4(bare, begin, go_on, end).await;
        let (bare, begin, go_on, end) = prepared.map_err(failed)?;
        Ok(Self { client: Arc::new(client), lane, template, bare, begin, go_on, end })
    }

    /// Keeps `batch` sagas under way and writes one row of each in a statement. They begin one after the other, so
    /// that each batch has the same mix of first, middle and last rows.
    fn bare(&self, batch: usize, until: Instant) -> impl Future<Output = Result<Round, tokio_postgres::Error>> + use<> {
        let writer = self.clone();
        async move {
            let length = writer.template.rows.len();
            let mut sagas: Vec<Saga> = (0..batch).map(|place| Saga::new(place % length)).collect();
            let (began, mut transitions, mut wall_s) = (Instant::now(), 0, 0.0);
            while !sagas.is_empty() {
                let written = writer.write(&sagas).await?;
                let goes_on = Instant::now() < until;
                if goes_on || wall_s == 0.0 {
                    transitions += written;
                }
                if !goes_on && wall_s == 0.0 {
                    wall_s = began.elapsed().as_secs_f64();
                }
                sagas.iter_mut().for_each(Saga::step);
                let over = |saga: &Saga| saga.row >= length;
                if goes_on {
                    sagas.iter_mut().filter(|saga| over(saga)).for_each(|saga| *saga = Saga::new(0));
                } else {
                    sagas.retain(|saga| !over(saga) && (saga.row > 0 || saga.waits == 0));
                }
            }
            Ok(Round { transitions: transitions as f64, wall_s, latencies_us: Vec::new() })
        }
    }

    /// Writes the next row of each saga that no longer waits. Returns their number.
    async fn write(&self, sagas: &[Saga]) -> Result<usize, tokio_postgres::Error> {
        let rows = &self.template.rows;
        let due: Vec<&Saga> = sagas.iter().filter(|saga| saga.waits == 0).collect();
        let at = |row: usize| -> Vec<Uuid> { due.iter().filter(|saga| saga.row == row).map(|saga| saga.id).collect() };
        let ids: Vec<Uuid> = due.iter().map(|saga| saga.id).collect();
        let seqs: Vec<i32> = due.iter().map(|saga| seq(saga.row)).collect();
        let kinds: Vec<&str> = due.iter().map(|saga| rows[saga.row].0.as_str()).collect();
        let bodies: Vec<&str> = due.iter().map(|saga| rows[saga.row].1.as_str()).collect();
        let (begun, ended) = (at(0), at(rows.len() - 1));
        let Template { definition, status, result, .. } = &*self.template;
        let lane = self.lane.0;
        self.client
            .execute(&self.bare, &[&ids, &seqs, &kinds, &bodies, &begun, &ended, definition, &lane, status, result])
            .await?;
        Ok(due.len())
    }

    /// Runs one saga after the other, with a commit for each row.
    fn naive(
        &self,
        rate: Option<f64>,
        until: Instant,
    ) -> impl Future<Output = Result<Round, tokio_postgres::Error>> + use<> {
        let writer = self.clone();
        async move {
            let (began, mut latencies_us) = (Instant::now(), Vec::new());
            while Instant::now() < until {
                let nth = u32::try_from(latencies_us.len()).unwrap_or(u32::MAX);
                let due = rate.map(|rate| began + Duration::from_secs_f64(f64::from(nth) / rate));
                if let Some(due) = due {
                    sleep_until(due.into()).await;
                }
                let saga_began = due.unwrap_or_else(Instant::now);
                writer.run_one().await?;
                latencies_us.push(u64::try_from(saga_began.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            let transitions = (latencies_us.len() * writer.template.rows.len()) as f64;
            Ok(Round { transitions, wall_s: began.elapsed().as_secs_f64(), latencies_us })
        }
    }

    async fn run_one(&self) -> Result<(), tokio_postgres::Error> {
        let Template { definition, status, result, rows } = &*self.template;
        let (id, lane) = (Uuid::now_v7(), self.lane.0);
        for (place, (kind, body)) in rows.iter().enumerate() {
            let seq = seq(place);
            if place == 0 {
                self.client.execute(&self.begin, &[&id, kind, body, definition, &lane]).await?;
            } else if place + 1 < rows.len() {
                self.client.execute(&self.go_on, &[&id, &seq, kind, body, &lane]).await?;
            } else {
                let end: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
                    [&id, &seq, kind, body, &lane, definition, status, result];
                self.client.execute(&self.end, &end).await?;
            }
        }
        Ok(())
    }
}

/// A saga of the bare statement: its next row, and the number of batches before its first.
struct Saga {
    id: Uuid,
    row: usize,
    waits: usize,
}

impl Saga {
    fn new(waits: usize) -> Self {
        Self { id: Uuid::now_v7(), row: 0, waits }
    }

    fn step(&mut self) {
        match self.waits {
            0 => self.row += 1,
            _ => self.waits -= 1,
        }
    }
}

/// Returns the `seq` of a row: journals count from 1.
fn seq(row: usize) -> i32 {
    i32::try_from(row + 1).unwrap_or(i32::MAX)
}
