//! Reruns: new sagas that go on from a step of one that has ended. Owns asking, taking and the record of what was
//! decided; whether one is legal is the core's decision, and the new saga's first row is written like any other.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{DefinitionId, Error, NodeId, Store};
use crate::config::store as limits;

/// A rerun that nobody has decided.
#[derive(Clone, Debug)]
pub struct Rerunning {
    n: i64,
    /// The saga that has ended.
    pub of: Uuid,
    /// Name of the step from which everything is done anew.
    pub step: String,
    /// Id of the saga to be.
    pub rerun: Uuid,
    /// Definition of both.
    pub definition: DefinitionId,
    /// Who asked: session user, application name and address.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How many nodes in a row have died that were about to decide it.
    pub deaths: u32,
}

/// What became of a rerun: applied, or refused for a reason.
pub type RerunFate = Result<(), String>;

impl Store {
    /// Asks for a new saga that goes on from a step of one that has ended; returns its id. [`Error::UnknownSaga`],
    /// [`Error::Invalid`], [`Error::OutOfPlace`] when it goes on elsewhere already.
    pub async fn rerun_from(&self, saga: Uuid, step: &str, reason: &str) -> Result<Uuid, Error> {
        match self.try_once(sql!("rerun", "ask"), &[&saga, &step, &reason]).await? {
            Ok(rows) => Ok(rows.first().ok_or_else(super::no_row)?.try_get("rerun")?),
            Err(error) if error.code().is_some_and(|code| code.code() == "AM001") => Err(Error::UnknownSaga(saga)),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a rerun of these definitions that nobody has decided, and keeps it from others for a while. One at a time:
    /// should the node die of one, none of the others is suspected.
    pub async fn take_rerun(&self, node: NodeId, definitions: &[DefinitionId]) -> Result<Option<Rerunning>, Error> {
        let ids: Vec<i32> = definitions.iter().map(|definition| definition.0).collect();
        let params: super::pool::Params<'_> = &[&ids, &limits::RERUN_KEPT_MS, &node.0];
        self.query_once(sql!("rerun", "take"), params).await?.first().map(rerunning).transpose()
    }

    /// Records what was decided about a rerun; the first word stands.
    pub async fn rerun_decided(&self, rerun: &Rerunning, fate: &RerunFate) -> Result<(), Error> {
        let (word, answer) = match fate {
            Ok(()) => ("applied", None),
            Err(reason) => ("refused", Some(reason)),
        };
        let sql = sql!("rerun", "decided");
        self.query(sql, &[&rerun.n, &word, &answer]).await?;
        Ok(())
    }

    /// Reads what became of the rerun that would be this saga; none before a node has decided.
    pub async fn rerun_fate(&self, rerun: Uuid) -> Result<Option<RerunFate>, Error> {
        let rows = self.query(sql!("rerun", "outcome"), &[&rerun]).await?;
        let row = rows.first().ok_or(Error::UnknownSaga(rerun))?;
        Ok(match row.try_get::<_, Option<&str>>("fate")? {
            None => None,
            Some("applied") => Some(Ok(())),
            Some(_) => Some(Err(row.try_get::<_, Option<String>>("answer")?.unwrap_or_default())),
        })
    }
}

fn rerunning(row: &Row) -> Result<Rerunning, Error> {
    let (user, application): (String, String) = (row.try_get("by")?, row.try_get("application_name")?);
    let by = match row.try_get::<_, Option<String>>("addr")? {
        Some(addr) => format!("{user} ({application}, {addr})"),
        None => format!("{user} ({application})"),
    };
    Ok(Rerunning {
        n: row.try_get("n")?,
        of: row.try_get("id")?,
        step: row.try_get("step")?,
        rerun: row.try_get("rerun")?,
        definition: DefinitionId(row.try_get("definition")?),
        by,
        reason: row.try_get("reason")?,
        deaths: super::deaths(row)?,
    })
}
