//! Turns: which of the sagas with equal concurrency keys may run. Owns giving turns and taking starts out of the
//! queue. The actors judge what was asked of a waiting start.

use uuid::Uuid;

use super::{Error, Store};
use crate::config::store as limits;

/// Result of one look at the turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// New starts that were looked at.
    pub answered: u64,
    /// Starts that were given their turn.
    pub given: u64,
}

/// A start that waits for its turn and was asked something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Number of the knock.
    pub knock: i64,
    /// The waiting saga.
    pub saga: Uuid,
}

/// Position of the walk over all turns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnCursor {
    name: String,
    key: String,
}

impl Store {
    /// Looks at up to `KNOCKS_MAX` new starts and at the turns held by the sagas `ended`. Each turn that is free goes
    /// to the start that has waited longest, which becomes ready. Any node may do this at any time; a repeat is
    /// harmless.
    pub async fn give_turns(&self, ended: &[Uuid]) -> Result<Turns, Error> {
        let sql = sql!("turn", "give");
        let rows = self.query(sql, &[&limits::KNOCKS_MAX, &ended]).await?;
        Ok(Turns { answered: super::count(&rows, "answered")?, given: super::count(&rows, "given")? })
    }

    /// Lists up to `KNOCKS_MAX` starts that wait for their turn and were asked something.
    pub async fn asked_while_waiting(&self) -> Result<Vec<Asked>, Error> {
        let sql = sql!("turn", "asked");
        let rows = self.query(sql, &[&limits::KNOCKS_MAX]).await?;
        rows.iter().map(|row| Ok(Asked { knock: row.try_get("n")?, saga: row.try_get("id")? })).collect()
    }

    /// Takes starts out of the queue and forgets knocks. The starts become ready, and any node ends them before they
    /// begin anything. Returns how many were still waiting.
    pub async fn cancel_waiting(&self, sagas: &[Uuid], knocks: &[i64]) -> Result<u64, Error> {
        let sql = sql!("turn", "cancel_waiting");
        super::count(&self.query(sql, &[&sagas, &knocks]).await?, "called_off")
    }

    /// Takes one bounded step of the walk that finds turns whose holder has ended. Such a turn is left if the
    /// holder's node died before it passed the turn on. At the end of the walk the cursor starts over.
    pub async fn ended_holders(&self, cursor: &TurnCursor) -> Result<(Vec<Uuid>, TurnCursor), Error> {
        let sql = sql!("turn", "ended");
        let rows = self.query(sql, &[&cursor.name, &cursor.key, &limits::TURNS_WALKED_MAX]).await?;
        let Some(row) = rows.first() else { return Ok((Vec::new(), TurnCursor::default())) };
        let cursor = TurnCursor { name: row.try_get("name")?, key: row.try_get("key")? };
        Ok((row.try_get("holders")?, cursor))
    }
}
