//! Reruns: new sagas that go on from a step of an ended saga. Owns asking for a rerun, taking it, and the record of
//! the decision. The core decides whether a rerun is legal. The new saga's first row is written in a batch like any
//! other.

use tokio_postgres::Row;
use uuid::Uuid;

use super::payload::Stored;
use super::{DefinitionId, Error, NodeId, Store};
use crate::config::store as limits;
use crate::saga::Asker;

/// A rerun without a decision.
#[derive(Clone, Debug)]
pub struct Rerunning {
    n: i64,
    /// The ended saga.
    pub of: Uuid,
    /// Name of the first step that the new saga runs itself.
    pub step: String,
    /// Id of the new saga.
    pub rerun: Uuid,
    /// Definition of both sagas.
    pub definition: DefinitionId,
    /// The asker: session user, application name and address.
    pub by: String,
    /// The same asker, by name and claim. It starts the new saga.
    pub asker: Asker,
    /// The asker's reason.
    pub reason: String,
    /// Nodes in a row that took this rerun and died before they decided it.
    pub deaths: u32,
}

/// Decision on a rerun: applied, or refused with a reason.
pub type RerunFate = Result<(), String>;

impl Store {
    /// Asks for a new saga that goes on from a step of an ended one; returns the new saga's id. The same request
    /// again returns the same id. Errors: [`Error::UnknownSaga`], [`Error::Invalid`], and [`Error::OutOfPlace`] if
    /// the saga goes on from another step already.
    pub async fn rerun_from(&self, saga: Uuid, step: &str, reason: &str) -> Result<Uuid, Error> {
        match self.try_once(sql!("rerun", "ask"), &[&saga, &step, &reason]).await? {
            Ok(rows) => Ok(rows.first().ok_or_else(super::no_row)?.try_get("rerun")?),
            Err(error) if error.code().is_some_and(|code| code.code() == "AM001") => Err(Error::UnknownSaga(saga)),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes one undecided rerun of these definitions. Keeps it from other nodes for `RERUN_KEPT_MS` plus this node's
    /// time to live. Takes one at a time, so that if this node dies of it, no other rerun is suspected.
    pub async fn take_rerun(&self, node: NodeId, definitions: &[DefinitionId]) -> Result<Option<Rerunning>, Error> {
        let ids: Vec<i32> = definitions.iter().map(|definition| definition.0).collect();
        let params: super::pool::Params<'_> = &[&ids, &limits::RERUN_KEPT_MS, &node.0];
        self.query_once(sql!("rerun", "take"), params).await?.first().map(rerunning).transpose()
    }

    /// Records the decision on a rerun; the first decision stands.
    pub async fn rerun_decided(&self, rerun: &Rerunning, fate: &RerunFate) -> Result<(), Error> {
        let (word, answer) = match fate {
            Ok(()) => ("applied", None),
            Err(reason) => ("refused", Some(reason)),
        };
        let sql = sql!("rerun", "decided");
        self.query(sql, &[&rerun.n, &word, &answer.map(|answer| Stored::of_text(answer))]).await?;
        Ok(())
    }

    /// Reads the decision on the rerun that has, or would have, the id `rerun`; none before a node has decided.
    pub async fn rerun_fate(&self, rerun: Uuid) -> Result<Option<RerunFate>, Error> {
        let rows = self.query(sql!("rerun", "outcome"), &[&rerun]).await?;
        let row = rows.first().ok_or(Error::UnknownSaga(rerun))?;
        Ok(match row.try_get::<_, Option<&str>>("fate")? {
            None => None,
            Some("applied") => Some(Ok(())),
            Some(_) => {
                Some(Err(Stored::maybe(row, "answer")?.map(|answer| answer.text().to_owned()).unwrap_or_default()))
            }
        })
    }
}

fn rerunning(row: &Row) -> Result<Rerunning, Error> {
    let (user, application): (String, String) = (row.try_get("by")?, row.try_get("application_name")?);
    let by = match row.try_get::<_, Option<String>>("addr")? {
        Some(addr) => format!("{user} ({application}, {addr})"),
        None => format!("{user} ({application})"),
    };
    let asker = super::signal::asker(&user, &application);
    Ok(Rerunning {
        n: row.try_get("n")?,
        of: row.try_get("id")?,
        step: row.try_get("step")?,
        rerun: row.try_get("rerun")?,
        definition: DefinitionId(row.try_get("definition")?),
        by,
        asker,
        reason: row.try_get("reason")?,
        deaths: super::deaths(row)?,
    })
}
