//! `amends erase`: erases the payloads of ended sagas. Owns the options, the repetition and the report.

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::bulk::millis;
use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::{Output, harmless};
use crate::saga::definition::Millis;
use crate::store::{Erase, Store};

/// `amends erase`.
///
/// Erases what ended sagas carry: inputs, outputs, results, errors, reasons, start keys, and the payloads of requests
/// and notices. Steps, states, times and names of askers stay. The erasure is recorded in amends.erasures. A saga that
/// has not ended is refused.
///
/// Backups, archived WAL, replicas that lag, logs, traces and what participants keep are not reached. Delete them by
/// their own retention, and repeat the erasure after you restore a backup.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Erasure {
    /// One saga, and the sagas that go on from it.
    #[arg(long, value_name = "ID", required_unless_present_any = ["start_key", "before"],
          conflicts_with_all = ["start_key", "definition", "before"])]
    saga: Option<Uuid>,
    /// The saga that was started under this key, and the sagas that go on from it. A later start under the key starts
    /// another saga.
    #[arg(long, value_name = "KEY", conflicts_with = "before")]
    start_key: Option<String>,
    /// Whose the start key is, if no application's: mcp:NAME for a caller over MCP. Its key K is then k:K.
    #[arg(long, value_name = "OWNER", requires = "start_key", conflicts_with_all = ["saga", "before"])]
    owner: Option<String>,
    /// With --before: all ended sagas of this definition. With --start-key: only the key of this definition.
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// Only sagas that ended before this time, such as 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = millis, requires = "definition")]
    before: Option<Millis>,
    /// Why; kept with the record of the erasure. Do not repeat here what is to be forgotten.
    #[arg(long)]
    reason: String,
}

impl Erasure {
    fn what(&self) -> Result<Erase, Failure> {
        match (self.saga, &self.start_key, &self.definition, self.before) {
            (Some(id), ..) => Ok(Erase::Saga(id)),
            (None, Some(key), definition, _) => {
                Ok(Erase::StartKey { key: key.clone(), owner: self.owner.clone(), definition: definition.clone() })
            }
            (None, None, Some(definition), Some(before)) => {
                Ok(Erase::Ended { definition: definition.clone(), before, after: None })
            }
            (None, None, _, _) => {
                Err(Failure::usage("expected --saga, --start-key, or --definition with --before, found none of them"))
            }
        }
    }
}

/// Erases sagas and prints how many.
pub(super) fn run(args: &Erasure, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let what = args.what()?;
    let (sagas, running) =
        database.run(Schema::Current, async |store| erase(store, what.clone(), &args.reason).await)?;
    if output.is_json() {
        output.value(&json!({ "erased": sagas, "running": running }))?;
        return Ok(Exit::Done);
    }
    output.line(&format!("erased {sagas} sagas; backups, archives, logs and participants still have what they had"))?;
    if running > 0 {
        let definition = harmless(args.definition.as_deref().unwrap_or_default());
        let line = format!("{running} sagas of {definition} have not ended and were left; erase again when they have");
        output.line(&line)?;
    }
    Ok(Exit::Done)
}

/// Erases in steps until nothing is left. Returns how many sagas were erased, and how many have not ended. What was
/// erased stays erased if a later step fails.
async fn erase(store: &Store, mut what: Erase, reason: &str) -> Result<(u64, u64), Failure> {
    let mut sagas = 0;
    loop {
        let Some(erased) = store.erase(&what, reason).await? else {
            let message = match &what {
                Erase::Saga(id) => format!("expected the id of a saga, found {id}, which no saga has"),
                Erase::StartKey { .. } | Erase::Ended { .. } => {
                    "expected the start key of a saga that is kept, found one that started none".to_owned()
                }
            };
            return Err(Failure::new(Exit::NotFound, message));
        };
        sagas += erased.sagas;
        let Erase::Ended { after, .. } = &mut what else { return Ok((sagas, erased.running)) };
        if erased.sagas == 0 {
            return Ok((sagas, erased.running));
        }
        *after = erased.until;
    }
}
