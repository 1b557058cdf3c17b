//! Reads the participants' ledgers for the audit. Owns the queries over both schemas; the judgement is in `audit.rs`.

use tokio_postgres::Client;

use super::audit::{Entered, Evidence, Injected};
use super::effect::Kind;
use super::ledger::LedgerError;
use super::participant::{CRM_SCHEMA, PAYMENTS_SCHEMA};

/// Reads all effects and faults of both participants. A ledger that was never opened is an empty one.
pub(super) async fn read(client: &Client) -> Result<Evidence, LedgerError> {
    let mut evidence = Evidence::default();
    for schema in [PAYMENTS_SCHEMA, CRM_SCHEMA] {
        let exists =
            client.query_one("select to_regclass($1) is not null", &[&format!("{schema}.fault")]).await?;
        if !exists.try_get::<_, bool>(0)? {
            continue;
        }
        let effects =
            format!("select seq, kind, booking, subject, amount_cents from {schema}.effect order by seq");
        for row in client.query(&effects, &[]).await? {
            let kind: Kind = row.try_get::<_, &str>("kind")?.parse().map_err(LedgerError::Foreign)?;
            evidence.effects.push(Entered {
                kind,
                id: kind.id(row.try_get("seq")?),
                booking: row.try_get("booking")?,
                subject: row.try_get("subject")?,
                amount_cents: row.try_get("amount_cents")?,
            });
        }
        let faults = format!("select kind, tool, booking from {schema}.fault order by seq");
        for row in client.query(&faults, &[]).await? {
            evidence.faults.push(Injected {
                fault: row.try_get::<_, &str>("kind")?.parse().map_err(LedgerError::Foreign)?,
                tool: row.try_get("tool")?,
                booking: row.try_get("booking")?,
            });
        }
    }
    Ok(evidence)
}

/// Counts the participants' processes that still have a connection: an effect of theirs may still land.
pub(super) async fn participants_connected(client: &Client) -> Result<i64, LedgerError> {
    let row = client
        .query_one(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name in ($1, $2)",
            &[&PAYMENTS_SCHEMA, &CRM_SCHEMA],
        )
        .await?;
    Ok(row.try_get(0)?)
}
