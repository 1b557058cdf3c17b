//! The bench's database: creates and drops it, fills its tables, holds an old snapshot, and starts and signals sagas
//! by SQL. These statements come from outside the nodes, as those of an application do.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use uuid::Uuid;

use super::Work;
use super::baseline::Template;
use super::usage::failed;
use super::workload::{self, DEFINITION, Drive, EVENT, SLEEP_MS};
use crate::cli::failure::Failure;
use crate::store::PostgresConfig;

/// Rows in the tables before the bench begins.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Ballast {
    /// Ended sagas with their journals.
    #[arg(long, default_value_t = 0)]
    pub(super) history: u64,
    /// Parked sagas whose timers are at least 30 days away.
    #[arg(long, default_value_t = 0)]
    pub(super) parked: u64,
    /// Sagas in the queue, for `claim` only: the bench runs these.
    #[arg(long, default_value_t = 0)]
    pub(super) backlog: u64,
}

/// Sagas created by one statement.
const CHUNK: u64 = 20_000;
/// Starts or signals in one transaction from outside.
const TOGETHER: i64 = 500;
/// Pause between two checks for the end.
const LOOK: Duration = Duration::from_millis(10);

/// Creates a database for the bench alone. Returns its URL and its name.
pub(super) async fn create_database(url: &str) -> Result<(String, String), Failure> {
    let (client, _task) = PostgresConfig::parse(url)?.open().await?;
    let name = format!("amends_bench_{}", std::process::id());
    let sql = format!("create database {name} template template0 encoding 'UTF8'");
    client.batch_execute(&sql).await.map_err(|error| {
        let words = failed(error).message;
        Failure::new(
            crate::cli::failure::Exit::Database,
            format!("cannot create a database for the bench: {words}; use --in-place to fill the given one"),
        )
    })?;
    let joint = match (url.contains("://"), url.contains('?')) {
        (false, _) => " ",
        (true, false) => "?",
        (true, true) => "&",
    };
    Ok((format!("{url}{joint}dbname={name}"), name))
}

/// Drops the bench's database.
pub(super) async fn drop_database(url: &str, name: &str) -> Result<(), Failure> {
    let (client, _task) = PostgresConfig::parse(url)?.open().await?;
    client.batch_execute("set statement_timeout = 0").await.map_err(failed)?;
    client.batch_execute(&format!("drop database {name} with (force)")).await.map_err(failed)
}

/// The bench's own connection to its database.
pub(super) struct Outside {
    client: Client,
    /// Holds an old snapshot, if asked to.
    _snapshot: Option<Client>,
}

impl Outside {
    pub(super) async fn open(config: &PostgresConfig) -> Result<Self, Failure> {
        let (client, _task) = config.open().await?;
        // Filling tables takes longer than any statement of a node may, and vacuum may have to wait for another
        // vacuum.
        client.batch_execute("set statement_timeout = 0; set lock_timeout = 0").await.map_err(failed)?;
        Ok(Self { client, _snapshot: None })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a session that keeps its snapshot: vacuum removes no row that died after it.
    pub(super) async fn hold_snapshot(&mut self, config: &PostgresConfig) -> Result<(), Failure> {
        let (client, _task) = config.open().await?;
        client
            .batch_execute(
                "set idle_in_transaction_session_timeout = 0; begin isolation level repeatable read; \
                 select count(*) from amends.node",
            )
            .await
            .map_err(failed)?;
        self._snapshot = Some(client);
        Ok(())
    }

    /// Fills the tables with copies of one saga, then vacuums and checkpoints, as a server does over time.
    pub(super) async fn fill(&self, ballast: Ballast, template: &Template) -> Result<(), Failure> {
        if (ballast.history, ballast.parked, ballast.backlog) == (0, 0, 0) {
            return Ok(());
        }
        let kinds: Vec<&str> = template.rows.iter().map(|(kind, _)| kind.as_str()).collect();
        let bodies: Vec<&str> = template.rows.iter().map(|(_, body)| body.as_str()).collect();
        let input = workload::input().to_string();
        for count in chunks(ballast.history) {
            self.client.execute(HISTORY, &[&count, &kinds, &bodies]).await.map_err(failed)?;
        }
        for count in chunks(ballast.parked) {
            self.client.execute(PARKED, &[&count, &kinds[0], &bodies[0]]).await.map_err(failed)?;
        }
        for count in chunks(ballast.backlog) {
            self.client.execute(BACKLOG, &[&count, &input, &DEFINITION]).await.map_err(failed)?;
        }
        self.client.batch_execute("vacuum (analyze)").await.map_err(failed)?;
        // Only some roles may run it. Otherwise the server checkpoints at its own time.
        let _ = self.client.batch_execute("checkpoint").await;
        Ok(())
    }

    /// Does the outside part of a workload and waits until no saga newer than `floor` is left. A backlog runs for its
    /// given time only.
    pub(super) async fn drive(&self, drive: Drive, floor: Uuid, work: Work) -> Result<(), Failure> {
        let began = Instant::now();
        match drive {
            Drive::Closed => return Ok(()),
            Drive::Queued if work.backlog => {
                tokio::time::sleep(Duration::from_secs_f64(work.seconds.unwrap_or_default())).await;
                return Ok(());
            }
            Drive::Queued => self.start(work, began).await?,
            Drive::Signalled => {
                self.until_none(PARKING, &floor).await?;
                while self.client.execute(SIGNAL, &[&floor, &EVENT, &TOGETHER]).await.map_err(failed)? > 0 {}
            }
            Drive::Timed | Drive::Held => {}
        }
        self.until_none(LIVE, &floor).await
    }

    /// Starts sagas by SQL, many in a transaction, as an import does; at a rate, one by one.
    async fn start(&self, work: Work, began: Instant) -> Result<(), Failure> {
        let input = workload::input().to_string();
        let (mut left, mut begun) = (i64::from(work.sagas), 0_u32);
        while left > 0 && work.seconds.is_none_or(|seconds| began.elapsed().as_secs_f64() < seconds) {
            let count = if work.rate.is_some() { 1 } else { left.min(TOGETHER) };
            if let Some(rate) = work.rate {
                let due = began + Duration::from_secs_f64(f64::from(begun) / rate);
                tokio::time::sleep_until(due.into()).await;
            }
            self.client.execute(START, &[&count, &input, &DEFINITION]).await.map_err(failed)?;
            left -= count;
            begun += 1;
        }
        Ok(())
    }

    /// Returns the least id that a saga of this round can have.
    pub(super) async fn floor(&self) -> Result<Uuid, Failure> {
        let row = self.client.query_one("select amends.uuid_floor(clock_timestamp()) as id", &[]).await;
        Ok(row.map_err(failed)?.get("id"))
    }

    /// Waits until `sql` finds no saga from `floor` on. Each look starts at the saga found before: all older ones are
    /// done, and walking over their dead rows again would slow the nodes.
    async fn until_none(&self, sql: &str, floor: &Uuid) -> Result<(), Failure> {
        let (statement, mut floor) = (self.client.prepare(sql).await.map_err(failed)?, *floor);
        while let Some(oldest) = self.client.query_opt(&statement, &[&floor]).await.map_err(failed)? {
            floor = oldest.get("id");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Returns the durations of sagas that no node waited for, in microseconds: from the signal, from the due time,
    /// or from the start, to the end.
    pub(super) async fn latencies_us(&self, drive: Drive, sagas: u32) -> Result<Vec<u64>, Failure> {
        let since = match drive {
            Drive::Closed | Drive::Held => return Ok(Vec::new()),
            Drive::Queued => "d.started_at".to_owned(),
            Drive::Timed => format!("(d.started_at + interval '{SLEEP_MS} ms')"),
            Drive::Signalled => "(select s.at from amends.signal s where s.id = d.id and s.n = 1)".to_owned(),
        };
        let sql = format!(
            "select (extract(epoch from d.ended_at - {since}) * 1e6)::int8 as us \
             from amends.saga_done d order by d.ended_at desc limit $1"
        );
        let rows = self.client.query(&sql, &[&i64::from(sagas)]).await.map_err(failed)?;
        Ok(rows.iter().map(|row| u64::try_from(row.get::<_, i64>("us")).unwrap_or_default()).collect())
    }
}

fn chunks(mut left: u64) -> impl Iterator<Item = i64> {
    std::iter::from_fn(move || {
        let count = left.min(CHUNK);
        left -= count;
        (count > 0).then(|| i64::try_from(count).unwrap_or(i64::MAX))
    })
}

const LIVE: &str = "select g.id from amends.live_saga g where g.id >= $1 order by g.id limit 1";
const PARKING: &str = "select g.id from amends.saga g \
    where g.id >= $1 and g.lane is not null order by g.id limit 1";

const START: &str = "select amends.start($3::text, $2::text::json) from generate_series(1, $1::int8)";

/// Signals the next sagas that have had no signal.
const SIGNAL: &str = "select amends.request(g.id, \
    json_build_object('provide', json_build_object('event', $2::text, 'payload', 1))) \
    from (select id from amends.saga where id >= $1 and signals = 0 order by id limit $3) g";

const HISTORY: &str = "with made as materialized (select amends.uuid7() as id from generate_series(1, $1::int8)), \
    journals as ( \
        insert into amends.journal (id, seq, lane, at, kind, body) \
        select m.id, t.seq, 0, now(), t.kind, t.body \
        from made m cross join unnest($2::text[], $3::text[]) with ordinality as t (kind, body, seq) \
    ) \
    insert into amends.saga_done (id, definition, status, signals, started_at, ended_at, result) \
    select m.id, 1, 'completed', 0, now(), now(), ($3::text[])[array_upper($3::text[], 1)] from made m";

const PARKED: &str = "with made as materialized (select amends.uuid7() as id from generate_series(1, $1::int8)), \
    journals as ( \
        insert into amends.journal (id, seq, lane, at, kind, body) \
        select m.id, 1, 0, now(), $2::text, $3::text from made m \
    ), timers as ( \
        insert into amends.timer (id, fire_at) \
        select m.id, now() + interval '30 days' * (1 + random()) from made m \
    ) \
    insert into amends.saga (id, definition, status, lane, signals, started_at) \
    select m.id, 1, 'running', null, 0, now() from made m";

const BACKLOG: &str = "with made as materialized (select amends.uuid7() as id from generate_series(1, $1::int8)), \
    name as materialized (select c.definition from amends.current_definition c where c.name = $3::text) \
    insert into amends.start_queue (definition, id, input) select n.definition, m.id, $2::text \
    from made m cross join name n order by m.id";
