//! Measurements of the database, for metrics and for the views of people. Owns measuring; the actors decide when to
//! measure and what becomes of the numbers.

use super::{DefinitionId, Error, NodeId, Store};
use crate::config::store as limits;

/// One measurement of the database.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Live sagas by name of the definition and status, as of the last census.
    pub live: Vec<(String, String, u64)>,
    /// By name of the definition: how many sagas wait for a node, [`limits::BACKLOG_ROWS_MAX`] at most of each
    /// version, and how long the oldest has waited, in seconds.
    pub backlog: Vec<(String, u64, f64)>,
    /// How late the oldest due timer is, in seconds.
    pub timer_lag_s: f64,
    /// Age of the oldest snapshot that keeps dead rows from being removed, in transactions.
    pub oldest_xmin_age: u64,
    /// Bytes of write-ahead log since the cluster was created.
    pub wal_bytes: u64,
    /// Transaction ids that were given since the cluster was created.
    pub transaction_ids: u64,
    /// Most bytes of write-ahead log that a replication slot holds back.
    pub slot_bytes: u64,
    /// Partitions of the journal ahead of now, in weeks.
    pub weeks_ahead: u64,
    /// Partitions of ended sagas ahead of now, in days.
    pub days_ahead: u64,
    /// Dead rows by table.
    pub dead: Vec<(String, u64)>,
    /// Connections of this store's pool: all, idle, and callers that wait for one.
    pub pool: [usize; 3],
}

/// Sagas of one definition that began and ended on one node within a few seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Begun.
    pub started: i64,
    /// Ended with each effect in place.
    pub completed: i64,
    /// Ended without net effect.
    pub compensated: i64,
    /// Closed by hand.
    pub abandoned: i64,
    /// Became stuck: they need a person.
    pub stuck: i64,
}

/// One check of the installation, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub subject: String,
    /// `ok`, `warning` or `fault`.
    pub level: String,
    /// What was found.
    pub found: String,
    /// What to do; none if it is ok.
    pub remedy: Option<String>,
}

impl Store {
    /// Checks the installation for faults.
    pub async fn checkup(&self) -> Result<Vec<Finding>, Error> {
        let rows = self.query(sql!("measure", "checkup"), &[]).await?;
        rows.iter()
            .map(|row| {
                Ok(Finding {
                    subject: row.try_get("subject")?,
                    level: row.try_get("level")?,
                    found: row.try_get("found")?,
                    remedy: row.try_get("remedy")?,
                })
            })
            .collect()
    }

    /// Says how the connection to the database is protected.
    pub async fn protection(&self) -> Result<Finding, Error> {
        let rows = self.query(sql!("measure", "connection"), &[]).await?;
        let row = rows.first().ok_or_else(super::no_row)?;
        let (ssl, version): (bool, String) = (row.try_get("ssl")?, row.try_get("version")?);
        let (found, remedy) = self.config().protection(ssl, &version);
        let level = if remedy.is_some() { "warning" } else { "ok" };
        Ok(Finding { subject: "connection".to_owned(), level: level.to_owned(), found, remedy })
    }

    /// Appends how many sagas a node saw begin and end, for `amends.throughput`.
    pub async fn record_passage(&self, node: NodeId, sums: &[(DefinitionId, Passed)]) -> Result<(), Error> {
        let ids: Vec<i32> = sums.iter().map(|(id, _)| id.0).collect();
        let column = |of: fn(&Passed) -> i64| sums.iter().map(|(_, passed)| of(passed)).collect::<Vec<i64>>();
        let (started, completed) = (column(|passed| passed.started), column(|passed| passed.completed));
        let compensated = column(|passed| passed.compensated);
        let (abandoned, stuck) = (column(|passed| passed.abandoned), column(|passed| passed.stuck));
        let sql = sql!("measure", "throughput");
        self.query_once(sql, &[&node.0, &ids, &started, &completed, &compensated, &abandoned, &stuck]).await.map(drop)
    }

    /// Counts the live sagas, on whichever node comes first, at most once in `CENSUS_INTERVAL_MS`. Readers use the
    /// stored counts.
    pub async fn take_census(&self) -> Result<(), Error> {
        let sql = sql!("measure", "census");
        self.query_once(sql, &[&limits::CENSUS_INTERVAL_MS]).await.map(drop)
    }

    /// Measures the database. Reads a bounded number of rows, however large the tables are.
    pub async fn measure(&self) -> Result<Measured, Error> {
        let one = self.query(sql!("measure", "database"), &[]).await?;
        let number = |name| super::count(&one, name);
        let seconds = |name| Ok::<f64, Error>(one.first().ok_or_else(super::no_row)?.try_get(name)?);
        let pool = self.pool_status();
        let mut measured = Measured {
            timer_lag_s: seconds("timer_lag_s")?,
            oldest_xmin_age: number("oldest_xmin_age")?,
            wal_bytes: number("wal_bytes")?,
            transaction_ids: number("transaction_ids")?,
            slot_bytes: number("slot_bytes")?,
            weeks_ahead: number("weeks_ahead")?,
            days_ahead: number("days_ahead")?,
            pool: [pool.size, pool.available, pool.waiting],
            ..Measured::default()
        };
        for row in self.query(sql!("measure", "live"), &[]).await? {
            let sagas = super::millis(row.try_get("sagas")?);
            measured.live.push((row.try_get("name")?, row.try_get("status")?, sagas));
        }
        let sql = sql!("measure", "backlog");
        for row in self.query(sql, &[&limits::BACKLOG_ROWS_MAX]).await? {
            let ready = super::millis(row.try_get("ready")?);
            measured.backlog.push((row.try_get("name")?, ready, row.try_get("oldest_s")?));
        }
        for row in self.query(sql!("measure", "tables"), &[]).await? {
            measured.dead.push((row.try_get("name")?, super::millis(row.try_get("dead")?)));
        }
        Ok(measured)
    }
}
