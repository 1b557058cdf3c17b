//! Compaction: a table is written anew without its dead rows. Vacuum does that, but not while somebody holds an old
//! snapshot; then the tables whose rows come and go would grow for as long as that lasts. Owns the rewriting;
//! which table is in need of it, and when, is left to the actors.
//!
//! It is a TRUNCATE and a COPY in one transaction, under a lock that is waited for only shortly and held only for
//! as long as few rows take. That a table emptied by TRUNCATE survives a held snapshot is PgQ's idea. A snapshot
//! older than a TRUNCATE would find the table empty; COPY's FREEZE makes the rows visible to it, too.

use std::io::Cursor;

use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::error::SqlState;

use super::{Error, Store};
use crate::config::store as limits;

/// Tables whose rows come and go.
const TABLES: [&str; 5] = ["inbox", "outbox", "ready", "saga", "timer"];

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
}

/// A table that was written anew: its bytes before and after, without indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

impl Store {
    /// Looks at the tables whose rows come and go.
    pub async fn count_rows(&self) -> Result<Vec<Rows>, Error> {
        let tables = TABLES.as_slice();
        let rows = self.query(include_str!("../../sql/queries/compact/look.sql"), &[&tables]).await?;
        rows.iter()
            .map(|row| {
                Ok(Rows {
                    table: row.try_get("name")?,
                    live: super::millis(row.try_get("live")?),
                    dead: super::millis(row.try_get("dead")?),
                    vacuums: super::millis(row.try_get("vacuums")?),
                })
            })
            .collect()
    }

    /// Writes one of these tables anew. Answers none, and has changed nothing, when somebody uses the table and does
    /// not let go of it at once, when it is small already, or when there is too much to keep.
    pub async fn compact(&self, table: &str) -> Result<Option<Compacted>, Error> {
        let Some(table) = TABLES.iter().find(|known| **known == table) else {
            return Err(Error::Settings(format!("expected one of {TABLES:?}, found {table:?}")));
        };
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let locking = format!(
            "set local lock_timeout = {}; set local statement_timeout = {}; \
             set local idle_in_transaction_session_timeout = {}; \
             lock table amends.{table} in access exclusive mode",
            limits::COMPACT_LOCK_TIMEOUT_MS,
            limits::COMPACT_STATEMENT_TIMEOUT_MS,
            limits::COMPACT_STATEMENT_TIMEOUT_MS,
        );
        match transaction.batch_execute(&locking).await {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => return Ok(None),
            locked => locked?,
        }
        let size = format!("select pg_relation_size('amends.{table}') as bytes");
        let bytes =
            async || Ok::<_, Error>(super::millis(transaction.query_one(&size, &[]).await?.try_get(0)?));
        let before = bytes().await?;
        if before < limits::COMPACT_BYTES_MIN {
            return Ok(None);
        }
        let out = format!("copy amends.{table} to stdout (format binary)");
        let mut kept = Vec::new();
        let mut rows = std::pin::pin!(transaction.copy_out(&out).await?);
        while let Some(part) = rows.try_next().await? {
            kept.extend_from_slice(&part);
            if kept.len() > limits::COMPACT_KEPT_BYTES_MAX {
                return Ok(None);
            }
        }
        transaction.batch_execute(&format!("truncate amends.{table}")).await?;
        let back = format!("copy amends.{table} from stdin (format binary, freeze)");
        let mut sink = std::pin::pin!(transaction.copy_in::<_, Cursor<Vec<u8>>>(&back).await?);
        sink.send(Cursor::new(kept)).await?;
        sink.finish().await?;
        let after = bytes().await?;
        transaction.commit().await?;
        Ok(Some(Compacted { before, after }))
    }
}
