//! Reads the participants' ledgers for the audit. Owns the queries over both schemas. `audit.rs` judges the rows.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::audit::{Entered, Evidence, Injected};
use super::effect::Kind;
use super::ledger::LedgerError;
use super::participant::{CRM_SCHEMA, PAYMENTS_SCHEMA};
use crate::config::demo::LOOK_INTERVAL;

/// Reads the effects and faults of all bookings whose name ends with `tail`. A ledger that was never opened counts as
/// empty.
pub(super) async fn read(client: &Client, tail: &str) -> Result<Evidence, LedgerError> {
    let mut evidence = Evidence::default();
    for schema in [PAYMENTS_SCHEMA, CRM_SCHEMA] {
        let exists = client.query_one("select to_regclass($1) is not null", &[&format!("{schema}.fault")]).await?;
        if !exists.try_get::<_, bool>(0)? {
            continue;
        }
        let effects = format!(
            // An accepted call will still make its effect.
            "select seq, kind, booking, subject, amount_cents from (
                 select seq, kind, booking, subject, amount_cents from {schema}.effect
                 union all select 0, kind, booking, subject, amount_cents from {schema}.accepted
             ) as made where right(booking, length($1)) = $1 order by seq"
        );
        for row in client.query(&effects, &[&tail]).await? {
            let kind: Kind = row.try_get::<_, &str>("kind")?.parse().map_err(LedgerError::Foreign)?;
            evidence.effects.push(Entered {
                kind,
                id: kind.id(row.try_get("seq")?),
                booking: row.try_get("booking")?,
                subject: row.try_get("subject")?,
                amount_cents: row.try_get("amount_cents")?,
            });
        }
        let faults = format!(
            "select kind, booking from {schema}.fault
             where right(booking, length($1)) = $1 order by seq"
        );
        for row in client.query(&faults, &[&tail]).await? {
            evidence.faults.push(Injected {
                fault: row.try_get::<_, &str>("kind")?.parse().map_err(LedgerError::Foreign)?,
                booking: row.try_get("booking")?,
            });
        }
    }
    Ok(evidence)
}

/// Waits until no participant is connected, so that no effect can land any more. Waits for `limit` at most, since
/// another demo may run on the same database.
pub(super) async fn wait_for_participants(client: &Client, limit: Duration) -> Result<(), LedgerError> {
    let begun = Instant::now();
    while connected(client).await? > 0 && begun.elapsed() < limit {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

async fn connected(client: &Client) -> Result<i64, LedgerError> {
    let row = client
        .query_one(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name in ($1, $2)",
            &[&PAYMENTS_SCHEMA, &CRM_SCHEMA],
        )
        .await?;
    Ok(row.try_get(0)?)
}
