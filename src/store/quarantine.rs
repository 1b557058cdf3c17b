//! Quarantine of sagas that are suspected of killing the process that runs them. Owns the mark of a lone trial, the
//! end of the trial, and clearing a suspect. The sweep judges deaths, when it hands back the sagas of a dead lane
//! (`sweep.rs`).

use uuid::Uuid;

use super::lane::LaneId;
use super::{Error, NodeId, Store};
use crate::config::store as limits;
use crate::saga::definition::Millis;

/// Answer to the request to try a saga alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It is marked: from now on a death of this process counts against it.
    Marked,
    /// The pause after the last death lasts this many more milliseconds.
    NotYet(Millis),
    /// Enough trials ended with a death: the owner writes into the journal that a call of the saga kills.
    Convicted,
    /// The lane is dead, or does not own it.
    NotOurs,
}

impl Store {
    /// Marks a saga of this lane before it is tried alone. `is_first`: trials of an earlier suspicion do not count.
    pub async fn try_suspect(&self, lane: LaneId, id: Uuid, is_first: bool) -> Result<Trial, Error> {
        let pauses = trial_pauses();
        let rows = self.query(sql!("quarantine", "mark"), &[&lane.0, &id, &pauses.as_slice(), &is_first]).await?;
        let Some(row) = rows.first() else { return Ok(Trial::NotOurs) };
        let (wait_ms, convicted): (i64, bool) = (row.try_get("wait_ms")?, row.try_get("convicted")?);
        Ok(match wait_ms {
            _ if convicted => Trial::Convicted,
            0 => Trial::Marked,
            wait_ms => Trial::NotYet(super::millis(wait_ms)),
        })
    }

    /// Ends a trial that showed nothing: removes the mark, and earlier trials still count. `was_read`: this process
    /// survived reading the journal, so earlier deaths before a row was written no longer count.
    pub async fn let_be(&self, lane: LaneId, id: Uuid, was_read: bool) -> Result<(), Error> {
        self.query(sql!("quarantine", "let_be"), &[&lane.0, &id, &was_read]).await.map(|_| ())
    }

    /// Reports that the process behind `node`, which was declared dead, is alive. Returns how many sagas were set
    /// aside because of that death; any node may take them now.
    pub async fn exonerate(&self, node: NodeId) -> Result<u64, Error> {
        let rows = self.query_once(sql!("quarantine", "clear_node"), &[&node.0]).await?;
        super::count(&rows, "sagas")
    }

    /// Reports that sagas of this lane killed no process.
    pub async fn acquit(&self, lane: LaneId, ids: &[Uuid]) -> Result<(), Error> {
        self.query(sql!("quarantine", "clear"), &[&lane.0, &ids]).await.map(|_| ())
    }

    /// Deletes suspects that have ended.
    pub(super) async fn forget_suspects(&self) -> Result<(), Error> {
        self.query(sql!("quarantine", "forget"), &[]).await.map(|_| ())
    }
}

/// Returns the pauses before lone trials, in milliseconds: before the first, the second and so on. The last holds for
/// all further trials.
pub(super) fn trial_pauses() -> Vec<i64> {
    let shortened = crate::boundary::trial_pause_ms();
    limits::TRIAL_PAUSES_MS.into_iter().map(|pause| super::signed(shortened.unwrap_or(pause))).collect()
}
