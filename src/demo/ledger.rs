//! The ledger of a participant: one Postgres schema, shared by all processes of the participant. Owns its SQL, locks
//! and lookups. `service.rs` decides which rows a call writes.

use std::time::Duration;

pub(super) use deadpool_postgres::Transaction;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use serde_json::{Value, json};

use super::effect::Kind;
use super::fault::Fault;
use crate::config::demo::{LEDGER_CONNECT_MAX, LEDGER_CONNECTIONS_MAX, LEDGER_WAIT_MAX};
use crate::store::{PostgresConfig, chain};

/// SQL that creates the tables.
const SCHEMA: &str = include_str!("ledger.sql");
/// Advisory lock that serializes the creation of the tables: processes of one participant start at the same time.
const SCHEMA_LOCK: i64 = 0x616d_656e_6473_0001;

/// Error of a ledger.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// The database refused the statement, or the connection was lost.
    #[error("the ledger's database: {}", in_words(.0))]
    Database(#[from] tokio_postgres::Error),
    /// No connection of the pool became free.
    #[error("the ledger's connections: {}", chain(.0))]
    Pool(#[from] deadpool_postgres::PoolError),
    /// The URL is malformed. The text never repeats the URL, since it may hold a password.
    #[error("expected a Postgres URL for the ledger, found a malformed one: {0}")]
    Url(String),
    /// The pool could not be built.
    #[error("the ledger's connections: {0}")]
    Build(#[from] deadpool_postgres::BuildError),
    /// The ledger holds a value that this program never writes.
    #[error("the ledger holds a value that this program never writes: {0}")]
    Foreign(String),
}

fn in_words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.to_string())
}

/// Parses the URL of a ledger. `sslmode` means what it means for amends.
pub(super) fn config(url: &str) -> Result<PostgresConfig, LedgerError> {
    PostgresConfig::parse(url).map_err(|error| LedgerError::Url(error.to_string()))
}

/// The ledger of a participant; a clone shares the pool.
#[derive(Clone)]
pub(super) struct Ledger {
    pool: Pool,
}

/// One effect, as recorded in the ledger.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Effect {
    /// Position in the ledger.
    pub(super) seq: i64,
    /// Kind of effect.
    pub(super) kind: Kind,
    /// Booking it belongs to.
    pub(super) booking: String,
    /// What it touched: the customer, charge, room, stage or address.
    pub(super) subject: String,
    /// Cents moved, always positive; 0 where no money moves.
    pub(super) amount_cents: i64,
}

/// The first answer under a key.
#[derive(Debug)]
pub(super) struct FirstAnswer {
    /// Tool of the first call.
    pub(super) tool: String,
    /// Arguments of the first call.
    pub(super) arguments: Value,
    /// Whether the answer is an error.
    pub(super) failed: bool,
    /// Body of the answer.
    pub(super) body: Value,
}

/// State of an accepted call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// Its effect is not made yet.
    Accepted,
    /// Its effect is made, or there is no such call.
    Landed,
}

/// One call of a tool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// Name of the tool.
    pub(super) tool: &'a str,
    /// Booking of the call.
    pub(super) booking: &'a str,
    /// Idempotency key, or the value of `request`.
    pub(super) key: &'a str,
    /// Number of this call of this tool for this booking, from 1.
    pub(super) call: u32,
}

impl Effect {
    /// Returns the public id of the effect.
    pub(super) fn id(&self) -> String {
        self.kind.id(self.seq)
    }

    /// Returns the effect as tools return it.
    pub(super) fn to_json(&self) -> Value {
        let mut body = json!({
            "id": self.id(),
            "status": self.kind.status(),
            "booking": self.booking,
            "subject": self.subject,
        });
        if self.amount_cents != 0 {
            body["amount_cents"] = self.amount_cents.into();
        }
        body
    }

    fn from_row(row: &tokio_postgres::Row) -> Result<Self, LedgerError> {
        Ok(Self {
            seq: row.try_get("seq")?,
            kind: row.try_get::<_, &str>("kind")?.parse().map_err(LedgerError::Foreign)?,
            booking: row.try_get("booking")?,
            subject: row.try_get("subject")?,
            amount_cents: row.try_get("amount_cents")?,
        })
    }
}

impl Ledger {
    /// Connects to the database and creates the schema if it is missing. Many processes may do so at the same time.
    pub(super) async fn open(config: PostgresConfig, schema: &'static str) -> Result<Self, LedgerError> {
        let (mut config, tls) = config.into_parts();
        config.application_name(schema);
        let options = config.get_options().map(|given| format!("{given} ")).unwrap_or_default();
        config.options(format!("{options}-c search_path={schema}"));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, tls, recycling))
            .max_size(LEDGER_CONNECTIONS_MAX)
            .wait_timeout(Some(LEDGER_WAIT_MAX))
            .create_timeout(Some(LEDGER_CONNECT_MAX))
            .runtime(Runtime::Tokio1)
            .build()?;
        let ledger = Self { pool };
        let mut client = ledger.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute("select pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK]).await?;
        transaction.batch_execute(&format!("create schema if not exists {schema};\n{SCHEMA}")).await?;
        transaction.commit().await?;
        drop(client);
        // Opens all connections now, so that the first calls do not wait for theirs.
        let connections = (0..LEDGER_CONNECTIONS_MAX).map(|_| ledger.client());
        futures_util::future::try_join_all(connections).await?;
        Ok(ledger)
    }

    /// Takes a connection from the pool.
    pub(super) async fn client(&self) -> Result<Object, LedgerError> {
        Ok(self.pool.get().await?)
    }

    /// Counts a call before anything else happens, so that a call that crashes its process counts too. Only the fault
    /// draw uses the count: it need not survive a crash of Postgres, so the statement does not wait for the disk.
    pub(super) async fn count_call(&self, tool: &str, booking: &str) -> Result<u32, LedgerError> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "with relaxed as materialized (select set_config('synchronous_commit', 'off', true))
                 insert into call as c (tool, booking, calls) select $1, $2, 1 from relaxed
                 on conflict (tool, booking) do update set calls = c.calls + 1 returning calls",
            )
            .await?;
        let calls: i32 = client.query_one(&statement, &[&tool, &booking]).await?.try_get(0)?;
        Ok(calls.unsigned_abs())
    }

    /// Returns the first effect of this kind under this key and booking.
    pub(super) async fn find(&self, entry: Entry<'_>, kind: Kind) -> Result<Option<Effect>, LedgerError> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "select seq, kind, booking, subject, amount_cents from effect
                 where key = $1 and booking = $2 and kind = $3 order by seq limit 1",
            )
            .await?;
        let row = client.query_opt(&statement, &[&entry.key, &entry.booking, &kind.as_str()]).await?;
        row.as_ref().map(Effect::from_row).transpose()
    }

    /// Makes the effect of an accepted call, once, if it is due.
    pub(super) async fn land(&self, key: &str) -> Result<Landing, LedgerError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let sql = "select due_at <= clock_timestamp(), kind, booking, subject, amount_cents, call
                   from accepted where key = $1 for update";
        let statement = transaction.prepare_cached(sql).await?;
        let Some(row) = transaction.query_opt(&statement, &[&key]).await? else { return Ok(Landing::Landed) };
        if !row.try_get::<_, bool>(0)? {
            return Ok(Landing::Accepted);
        }
        let kind: Kind = row.try_get::<_, &str>(1)?.parse().map_err(LedgerError::Foreign)?;
        let call = row.try_get::<_, i32>(5)?.unsigned_abs();
        let entry = Entry { tool: "", booking: row.try_get(2)?, key, call };
        let effect = make_effect(&transaction, entry, kind, row.try_get(3)?, row.try_get(4)?).await?;
        transaction.execute("delete from accepted where key = $1", &[&key]).await?;
        let body = effect.to_json().to_string();
        transaction.execute("update answer set body = $2::text::jsonb where key = $1", &[&key, &body]).await?;
        transaction.commit().await?;
        Ok(Landing::Landed)
    }

    /// Records a fault of a call that writes nothing else.
    pub(super) async fn record_fault(&self, entry: Entry<'_>, fault: Fault) -> Result<(), LedgerError> {
        let client = self.client().await?;
        let statement = client.prepare_cached(RECORD_FAULT).await?;
        client.execute(&statement, &fault_row(&entry, &fault.as_str(), &(entry.call as i32))).await?;
        Ok(())
    }

    /// Waits until no connection is in use, for `limit` at most, then closes the pool.
    pub(super) async fn close(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, async {
            while self.pool.status().available < self.pool.status().size {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        self.pool.close();
    }
}

const RECORD_FAULT: &str = "insert into fault (kind, tool, booking, key, call) values ($1, $2, $3, $4, $5)";

fn fault_row<'a>(
    entry: &'a Entry<'_>,
    word: &'a &'static str,
    call: &'a i32,
) -> [&'a (dyn tokio_postgres::types::ToSql + Sync); 5] {
    [word, &entry.tool, &entry.booking, &entry.key, call]
}

/// Locks an effect and its undo for a booking until the transaction ends. Returns false if another call holds the
/// lock. Calls that are not idempotent share the lock: their caller alone keeps them apart.
pub(super) async fn lock(
    transaction: &Transaction<'_>,
    booking: &str,
    deed: Kind,
    shared: bool,
) -> Result<bool, LedgerError> {
    let sql = if shared {
        "select pg_try_advisory_xact_lock_shared(hashtext($1), hashtext($2))"
    } else {
        "select pg_try_advisory_xact_lock(hashtext($1), hashtext($2))"
    };
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.query_one(&statement, &[&deed.as_str(), &booking]).await?.try_get(0)?)
}

/// Returns the first answer under a key.
pub(super) async fn first_answer(transaction: &Transaction<'_>, key: &str) -> Result<Option<FirstAnswer>, LedgerError> {
    let statement = transaction
        .prepare_cached("select tool, arguments::text, failed, body::text from answer where key = $1")
        .await?;
    let Some(row) = transaction.query_opt(&statement, &[&key]).await? else { return Ok(None) };
    let parse = |text: &str| serde_json::from_str(text).map_err(|error| LedgerError::Foreign(error.to_string()));
    Ok(Some(FirstAnswer {
        tool: row.try_get(0)?,
        arguments: parse(row.try_get(1)?)?,
        failed: row.try_get(2)?,
        body: parse(row.try_get(3)?)?,
    }))
}

/// Stores the answer under its key. The primary key is the second guard against a double, besides the lock.
pub(super) async fn keep_answer(
    transaction: &Transaction<'_>,
    entry: Entry<'_>,
    arguments: &Value,
    failed: bool,
    body: &Value,
) -> Result<(), LedgerError> {
    let statement = transaction
        .prepare_cached(
            "insert into answer (key, tool, arguments, failed, body)
             values ($1, $2, $3::text::jsonb, $4, $5::text::jsonb)",
        )
        .await?;
    transaction
        .execute(&statement, &[&entry.key, &entry.tool, &arguments.to_string(), &failed, &body.to_string()])
        .await?;
    Ok(())
}

/// Returns the last effect of a kind for a booking.
pub(super) async fn last_effect(
    transaction: &Transaction<'_>,
    booking: &str,
    kind: Kind,
) -> Result<Option<Effect>, LedgerError> {
    let statement = transaction
        .prepare_cached(
            "select seq, kind, booking, subject, amount_cents from effect
             where booking = $1 and kind = $2 order by seq desc limit 1",
        )
        .await?;
    let row = transaction.query_opt(&statement, &[&booking, &kind.as_str()]).await?;
    row.as_ref().map(Effect::from_row).transpose()
}

/// Makes an effect: inserts one row.
pub(super) async fn make_effect(
    transaction: &Transaction<'_>,
    entry: Entry<'_>,
    kind: Kind,
    subject: &str,
    amount_cents: i64,
) -> Result<Effect, LedgerError> {
    let statement = transaction
        .prepare_cached(
            "insert into effect (kind, booking, key, subject, amount_cents, call) values ($1, $2, $3, $4, $5, $6)
             returning seq",
        )
        .await?;
    let call = entry.call as i32;
    let row = transaction
        .query_one(&statement, &[&kind.as_str(), &entry.booking, &entry.key, &subject, &amount_cents, &call])
        .await?;
    let (booking, subject) = (entry.booking.to_owned(), subject.to_owned());
    Ok(Effect { seq: row.try_get(0)?, kind, booking, subject, amount_cents })
}

/// Stores an accepted call; its effect is due after `slow`.
pub(super) async fn accept(
    transaction: &Transaction<'_>,
    entry: Entry<'_>,
    kind: Kind,
    subject: &str,
    amount_cents: i64,
    slow: Duration,
) -> Result<(), LedgerError> {
    let statement = transaction
        .prepare_cached(
            "insert into accepted (key, kind, booking, subject, amount_cents, call, due_at)
             values ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 s')",
        )
        .await?;
    let (call, seconds) = (entry.call as i32, slow.as_secs_f64());
    transaction
        .execute(&statement, &[&entry.key, &kind.as_str(), &entry.booking, &subject, &amount_cents, &call, &seconds])
        .await?;
    Ok(())
}

/// Blocks an effect for a booking from now on: its undo came first.
pub(super) async fn forestall(transaction: &Transaction<'_>, booking: &str, deed: Kind) -> Result<(), LedgerError> {
    let statement = transaction
        .prepare_cached("insert into tombstone (booking, kind) values ($1, $2) on conflict do nothing")
        .await?;
    transaction.execute(&statement, &[&booking, &deed.as_str()]).await?;
    Ok(())
}

/// Returns whether an effect is blocked by an earlier undo.
pub(super) async fn is_forestalled(
    transaction: &Transaction<'_>,
    booking: &str,
    deed: Kind,
) -> Result<bool, LedgerError> {
    let statement =
        transaction.prepare_cached("select exists (select from tombstone where booking = $1 and kind = $2)").await?;
    Ok(transaction.query_one(&statement, &[&booking, &deed.as_str()]).await?.try_get(0)?)
}

/// Records a fault in the transaction of its call.
pub(super) async fn record_fault(
    transaction: &Transaction<'_>,
    entry: Entry<'_>,
    fault: Fault,
) -> Result<(), LedgerError> {
    let statement = transaction.prepare_cached(RECORD_FAULT).await?;
    transaction.execute(&statement, &fault_row(&entry, &fault.as_str(), &(entry.call as i32))).await?;
    Ok(())
}
