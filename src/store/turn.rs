//! Turns: which of the sagas with equal concurrency keys may run. Owns giving turns and taking starts out of the
//! queue; what was asked of a start that waits is judged by the actors.

use uuid::Uuid;

use super::{Error, Store};
use crate::config::store as limits;

/// What a look at the turns came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// Starts that had come, and were looked at.
    pub answered: u64,
    /// Starts whose turn it is now.
    pub given: u64,
}

/// A start that waits for its turn, and of which something was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Number of the knock.
    pub knock: i64,
    /// Which saga.
    pub saga: Uuid,
}

/// Where the walk over all turns stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnCursor {
    name: String,
    key: String,
}

impl Store {
    /// Looks at starts that have come, up to `KNOCKS_MAX`, and at the turns of sagas that have ended; makes
    /// ready whose turn it is. Any node may do this at any time; doing it twice is harmless.
    pub async fn give_turns(&self, ended: &[Uuid]) -> Result<Turns, Error> {
        let sql = sql!("turn", "give");
        let rows = self.query(sql, &[&limits::KNOCKS_MAX, &ended]).await?;
        Ok(Turns { answered: super::count(&rows, "answered")?, given: super::count(&rows, "given")? })
    }

    /// Lists starts that wait for their turn and of which something was asked, up to `KNOCKS_MAX`.
    pub async fn asked_while_waiting(&self) -> Result<Vec<Asked>, Error> {
        let sql = sql!("turn", "asked");
        let rows = self.query(sql, &[&limits::KNOCKS_MAX]).await?;
        rows.iter().map(|row| Ok(Asked { knock: row.try_get("n")?, saga: row.try_get("id")? })).collect()
    }

    /// Takes starts out of the queue, for any node to end them before they begin anything, and forgets knocks.
    /// Returns how many still waited.
    pub async fn cancel_waiting(&self, sagas: &[Uuid], knocks: &[i64]) -> Result<u64, Error> {
        let sql = sql!("turn", "cancel_waiting");
        super::count(&self.query(sql, &[&sagas, &knocks]).await?, "called_off")
    }

    /// Takes one bounded step of the walk that finds turns whose holder has ended, in case the node on which it
    /// did died before it gave the turn on. The cursor starts over at the end.
    pub async fn ended_holders(&self, cursor: &TurnCursor) -> Result<(Vec<Uuid>, TurnCursor), Error> {
        let sql = sql!("turn", "ended");
        let rows = self.query(sql, &[&cursor.name, &cursor.key, &limits::TURNS_WALKED_MAX]).await?;
        let Some(row) = rows.first() else { return Ok((Vec::new(), TurnCursor::default())) };
        let cursor = TurnCursor { name: row.try_get("name")?, key: row.try_get("key")? };
        Ok((row.try_get("holders")?, cursor))
    }
}
