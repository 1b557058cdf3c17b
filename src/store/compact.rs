//! Compaction: rewrites a table without its dead rows. Vacuum removes dead rows too, but not while a session holds an
//! old snapshot; meanwhile the tables whose rows come and go would grow. Owns the rewrite; the actors decide which
//! table needs it, and when.
//!
//! A compaction is a TRUNCATE and a COPY in one transaction. It waits only briefly for its lock, and holds the lock
//! only while it copies few rows. PgQ had the idea that emptying a table by TRUNCATE works despite a held snapshot. A
//! snapshot older than a TRUNCATE would find the table empty; COPY with FREEZE makes the rows visible to it too.
//! `amends.refuse_old_snapshot` refuses transactions that would mix these rows with what they saw before.
//!
//! A server that waits for its client within a COPY ignores its time limits. So a second connection tells the server
//! beforehand to end the transaction if it lasts too long, whether this process lives or not.

use std::io::Cursor;

use deadpool_postgres::Transaction;
use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::error::SqlState;

use super::statement::Sql;
use super::{Error, Store};
use crate::boundary;
use crate::config::store as limits;

/// Tables whose rows come and go, each with the SQL that sums the bytes of its long columns.
const TABLES: [(&str, &str); 6] = [
    ("inbox", "sum(0)"),
    ("outbox", "sum(octet_length(body))"),
    ("ready", "sum(octet_length(input))"),
    ("saga", "sum(octet_length(attention))"),
    ("start_queue", "sum(octet_length(input))"),
    ("timer", "sum(0)"),
];

/// Rows of one table, by the server's statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Name of the table.
    pub table: String,
    /// Live rows.
    pub live: u64,
    /// Dead rows.
    pub dead: u64,
    /// How often it was vacuumed so far.
    pub vacuums: u64,
    /// Transactions that use it now.
    pub users: Vec<String>,
}

/// A rewritten table: its bytes before and after, without indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

const BEGIN: Sql = sql!("compact", "begin");

impl Store {
    /// Counts the rows of the tables whose rows come and go. Leaves out tables that must not be rewritten now.
    pub async fn count_rows(&self) -> Result<Vec<Rows>, Error> {
        let tables = TABLES.map(|(table, _)| table);
        let rows = self.query(sql!("compact", "look"), &[&tables.as_slice()]).await?;
        rows.iter()
            .map(|row| {
                Ok(Rows {
                    table: row.try_get("name")?,
                    live: super::millis(row.try_get("live")?),
                    dead: super::millis(row.try_get("dead")?),
                    vacuums: super::millis(row.try_get("vacuums")?),
                    users: row.try_get("users")?,
                })
            })
            .collect()
    }

    /// Rewrites one of these tables. Returns none, and changes nothing, in any of these cases: a transaction uses the
    /// table and does not let go of it at once; the table is too small to be worth it or too large to be read
    /// quickly; there is too much to keep; another compaction is under way.
    pub async fn compact(&self, table: &str) -> Result<Option<Compacted>, Error> {
        let Some((table, weight)) = TABLES.iter().find(|(known, _)| *known == table) else {
            let tables = TABLES.map(|(table, _)| table);
            return Err(Error::Settings(format!("expected one of {tables:?}, found {table:?}")));
        };
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let limited = format!(
            "set local lock_timeout = {}; set local statement_timeout = {}",
            limits::COMPACT_LOCK_TIMEOUT_MS,
            limits::COMPACT_MS_MAX
        );
        transaction.batch_execute(&limited).await?;
        // The checks that need no lock come before the lock.
        let weight = format!("select coalesce({weight}, 0)::bigint as bytes from amends.{table}");
        let size = format!("select pg_relation_size('amends.{table}') as bytes");
        let sizes = limits::COMPACT_BYTES_MIN..=limits::COMPACT_BYTES_MAX;
        if !sizes.contains(&bytes(&transaction, &size).await?)
            || bytes(&transaction, &weight).await? > limits::COMPACT_KEPT_BYTES_MAX
            || !self.guard(&transaction).await?
        {
            return Ok(None);
        }
        let lock = format!("lock table amends.{table} in access exclusive mode");
        match transaction.batch_execute(&lock).await {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => return Ok(None),
            locked => locked?,
        }
        let before = bytes(&transaction, &size).await?;
        if before < limits::COMPACT_BYTES_MIN || !rewrite(&transaction, table).await? {
            return Ok(None);
        }
        let after = bytes(&transaction, &size).await?;
        transaction.commit().await?;
        Ok(Some(Compacted { before, after }))
    }

    /// Makes the server end this transaction if it lasts too long; returns false if another compaction is under way.
    async fn guard(&self, transaction: &Transaction<'_>) -> Result<bool, Error> {
        BEGIN.sending();
        let own = transaction.query_opt(BEGIN.text, &[]).await?;
        BEGIN.answered();
        let Some(own) = own else { return Ok(false) };
        let (pid, backend, transaction): (i32, String, String) =
            (own.try_get("pid")?, own.try_get("backend_start")?, own.try_get("xact_start")?);
        let seconds = limits::COMPACT_MS_MAX as f64 / 1e3;
        let end = format!(
            "select pg_sleep({seconds}); \
             select pg_terminate_backend(a.pid) from pg_stat_activity a where a.pid = {pid} \
             and a.backend_start = '{backend}' and a.xact_start = '{transaction}'"
        );
        let guard = self.client().await?;
        tokio::spawn(async move {
            if let Err(error) = guard.batch_execute(&end).await {
                tracing::debug!(error = %super::error::chain(&error), "lost the connection that limits a compaction");
            }
        });
        Ok(true)
    }
}

async fn bytes(transaction: &Transaction<'_>, sql: &str) -> Result<u64, Error> {
    Ok(super::millis(transaction.query_one(sql, &[]).await?.try_get("bytes")?))
}

/// Empties a locked table and brings its rows back; returns false if there is too much to keep.
async fn rewrite(transaction: &Transaction<'_>, table: &str) -> Result<bool, Error> {
    let out = format!("copy amends.{table} to stdout (format binary)");
    let mut kept = Vec::new();
    let mut rows = std::pin::pin!(transaction.copy_out(&out).await?);
    while let Some(part) = rows.try_next().await? {
        kept.extend_from_slice(&part);
        if kept.len() as u64 > 2 * limits::COMPACT_KEPT_BYTES_MAX {
            return Ok(false);
        }
    }
    transaction.batch_execute(&format!("truncate amends.{table}")).await?;
    let back = format!("copy amends.{table} from stdin (format binary, freeze)");
    let mut sink = std::pin::pin!(transaction.copy_in::<_, Cursor<Vec<u8>>>(&back).await?);
    boundary::pass("compact: copying");
    sink.send(Cursor::new(kept)).await?;
    sink.finish().await?;
    Ok(true)
}
