//! Compaction: a table is written anew without its dead rows. Vacuum does that, but not while somebody holds an old
//! snapshot; then the tables whose rows come and go would grow for as long as that lasts. Owns the rewriting;
//! which table is in need of it, and when, is left to the actors.
//!
//! It is a TRUNCATE and a COPY in one transaction, under a lock that is waited for only shortly and held only for
//! as long as few rows take. That a table emptied by TRUNCATE survives a held snapshot is PgQ's idea. A snapshot
//! older than a TRUNCATE would find the table empty; COPY's FREEZE makes the rows visible to it, too. What would mix
//! these with what it saw before is refused (`amends.refuse_old_snapshot`).
//!
//! A server that waits for its client within a COPY heeds no time limit. So a second connection tells it beforehand to
//! end the transaction when it lasts too long, whether this process lives or not.

use std::io::Cursor;

use deadpool_postgres::Transaction;
use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::error::SqlState;

use super::statement::Sql;
use super::{Error, Store};
use crate::boundary;
use crate::config::store as limits;

/// Tables whose rows come and go, each with what its rows hold besides short columns, in bytes.
const TABLES: [(&str, &str); 5] = [
    ("inbox", "sum(0)"),
    ("outbox", "sum(octet_length(body))"),
    ("ready", "sum(octet_length(input))"),
    ("saga", "sum(octet_length(attention))"),
    ("timer", "sum(0)"),
];

/// What a look at a table found; numbers as of the server's statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Which table.
    pub table: String,
    /// Rows that somebody may need.
    pub live: u64,
    /// Rows that nobody needs.
    pub dead: u64,
    /// How often it was vacuumed so far.
    pub vacuums: u64,
    /// Transactions that use it now.
    pub users: Vec<String>,
}

/// A table that was written anew: its bytes before and after, without indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

const BEGIN: Sql = sql!("compact", "begin");

impl Store {
    /// Looks at the tables whose rows come and go, as far as they may be written anew.
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

    /// Writes one of these tables anew. Answers none, and has changed nothing, when somebody uses the table and does
    /// not let go of it at once, when it is small already or too large to be read quickly, when there is too much to
    /// keep, and when another node is about it.
    pub async fn compact(&self, table: &str) -> Result<Option<Compacted>, Error> {
        match self.compact_in_time(table).await {
            Err(Error::Rejected { code, .. }) if code == SqlState::QUERY_CANCELED.code() => Ok(None),
            done => done,
        }
    }

    async fn compact_in_time(&self, table: &str) -> Result<Option<Compacted>, Error> {
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
        // What can be known without the lock is looked at before.
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

    /// Has the server end this transaction should it last too long; false if another compaction is under way.
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
                tracing::debug!(error = %super::error::chain(&error), "the guard of a compaction is gone");
            }
        });
        Ok(true)
    }
}

async fn bytes(transaction: &Transaction<'_>, sql: &str) -> Result<u64, Error> {
    Ok(super::millis(transaction.query_one(sql, &[]).await?.try_get("bytes")?))
}

/// Empties a locked table and brings its rows back; false when there is too much to keep.
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
