//! Work: which sagas a lane takes, parks and hands back, and what wakes them. Owns claims, parking, timers
//! and inboxes; what to do with a saga is left to the actors.

use std::collections::HashMap;

use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Remedy;
use super::lane::{Failure, Lane, LaneId, Verb};
use super::pool::Params;
use super::{DefinitionId, Error, JournalRow, Store};
use crate::config::store as limits;
use crate::saga::definition::Millis;

/// A saga that a lane owns, and that has reason to look around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which saga.
    pub id: Uuid,
    /// Its definition.
    pub definition: DefinitionId,
    /// How many signals it has got.
    pub signals: u64,
    /// How many processes in a row died when they had it and had written no row of it.
    pub deaths: u32,
    /// Its row says that it is stuck, perhaps only because its journal could not be read.
    pub stuck: bool,
    /// The lane owns it since now. Otherwise it owned it before, and this is a wake.
    pub adopted: bool,
    /// It was started by SQL, and this claim wrote row 1: its whole journal. None when an owner before has written
    /// some.
    pub first: Option<JournalRow>,
    /// How long it was ready before this claim.
    pub waited_ms: Millis,
}

/// A saga that shall be parked.
#[derive(Clone, Copy, Debug)]
pub struct Parking {
    /// Which saga.
    pub id: Uuid,
    /// Highest signal that it has applied or refused.
    pub signals_seen: u64,
    /// Its earliest time; none when only a signal can wake it.
    pub wake_at: Option<Millis>,
}

impl Lane {
    /// Claims up to `limit` wakes (`CLAIM_ROWS_MAX` at most) of sagas of these definitions. Returns the sagas
    /// of this lane among them, each once; wakes of sagas that another lane owns are forwarded. Load the
    /// journals of adopted ones afterwards, by [`Store::load`].
    ///
    /// After an error other than [`Error::Fenced`] the answer may be lost; the next claim then returns
    /// everything that the lane owns, as wakes. An empty answer does not mean that there is nothing: somebody
    /// may roll back.
    pub async fn claim(&mut self, limit: usize, definitions: &[DefinitionId]) -> Result<Vec<Claimed>, Error> {
        if self.has_strays {
            let owned = self.owned().await?;
            self.has_strays = false;
            if !owned.is_empty() {
                return Ok(owned);
            }
        }
        if limit == 0 || definitions.is_empty() {
            return Ok(Vec::new());
        }
        let (ids, lows) = self.watermarks.next(definitions);
        let limit = i64::try_from(limit.min(limits::CLAIM_ROWS_MAX)).unwrap_or(i64::MAX);
        let lane = self.id().0;
        // Until the answer is there; also when this future is dropped.
        self.has_strays = true;
        let params: Params<'_> = &[&lane, &ids, &lows, &limit];
        let answer = match self.send(Verb::ClaimNew, params).await {
            Err(failure) if failure.is_conflict() => self.send(Verb::Claim, params).await,
            answer => answer,
        };
        self.has_strays = matches!(&answer, Err(failure) if failure.remedy == Remedy::Reconnect);
        let rows = answer.map_err(|failure| failure.error)?;
        if rows.is_empty() {
            return Err(Error::Fenced);
        }
        let mut claimed: HashMap<Uuid, Claimed> = HashMap::with_capacity(rows.len());
        for row in &rows {
            if let Some(definition) = row.try_get::<_, Option<i32>>("ready_definition")? {
                self.watermarks.took(DefinitionId(definition), row.try_get("n")?);
            }
            let (Some(id), Some(true)) = (row.try_get::<_, Option<Uuid>>("id")?, row.try_get("mine")?) else {
                continue;
            };
            let saga = Claimed {
                id,
                definition: DefinitionId(row.try_get("definition")?),
                signals: super::millis(row.try_get("signals")?),
                deaths: super::deaths(row)?,
                stuck: row.try_get("stuck")?,
                adopted: row.try_get("adopted")?,
                first: first(row, self.id())?,
                waited_ms: super::millis(row.try_get::<_, Option<i64>>("waited_ms")?.unwrap_or_default()),
            };
            // Of several wakes of one saga only the first brought its input.
            claimed
                .entry(id)
                .and_modify(|known: &mut Claimed| known.first = known.first.take().or(saga.first.clone()))
                .or_insert(saga);
        }
        Ok(claimed.into_values().collect())
    }

    /// Lists everything that the lane owns, as wakes.
    pub async fn owned(&mut self) -> Result<Vec<Claimed>, Error> {
        let lane = self.id().0;
        let rows = self.send_until_answered(Verb::Owned, &[&lane]).await.map_err(|failure| failure.error)?;
        rows.iter().map(owned).collect()
    }

    /// Lets go of sagas that wait long, and returns those that were let go. One that has got a signal which
    /// it has not seen, or whose row is locked just now, stays. No row of it may be under way. Sending this
    /// again is safe.
    pub async fn park(&mut self, parkings: &[Parking]) -> Result<Vec<Uuid>, Error> {
        let ids: Vec<Uuid> = parkings.iter().map(|parking| parking.id).collect();
        let seen: Vec<i64> = parkings.iter().map(|parking| super::signed(parking.signals_seen)).collect();
        let wakes: Vec<Option<i64>> = parkings.iter().map(|parking| parking.wake_at.map(super::signed)).collect();
        let lane = self.id().0;
        let answer = self.send(Verb::Park, &[&lane, &ids, &seen, &wakes]).await;
        self.let_go(answer, &ids).await
    }

    /// Hands sagas back for any node to claim, and returns those that were. What is left over goes with the
    /// lane, once it is dead. No row of them may be under way.
    pub async fn release(&mut self, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
        let lane = self.id().0;
        let answer = self.send(Verb::Release, &[&lane, &ids]).await;
        self.let_go(answer, ids).await
    }

    /// The sagas that were let go: those of the answer, or when it was lost those that the lane does not own
    /// any more.
    async fn let_go(
        &mut self,
        answer: Result<Vec<tokio_postgres::Row>, Failure>,
        asked: &[Uuid],
    ) -> Result<Vec<Uuid>, Error> {
        match answer {
            Ok(rows) => Ok(rows.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?),
            Err(failure) if failure.remedy == Remedy::Reconnect => {
                let kept: Vec<Uuid> = self.owned().await?.into_iter().map(|saga| saga.id).collect();
                Ok(asked.iter().copied().filter(|id| !kept.contains(id)).collect())
            }
            Err(failure) => Err(failure.error),
        }
    }
}

/// A saga that the lane has owned before.
fn owned(row: &Row) -> Result<Claimed, Error> {
    Ok(Claimed {
        id: row.try_get("id")?,
        definition: DefinitionId(row.try_get("definition")?),
        signals: super::millis(row.try_get("signals")?),
        deaths: super::deaths(row)?,
        stuck: row.try_get("stuck")?,
        adopted: false,
        first: None,
        waited_ms: 0,
    })
}

/// Row 1 of a saga, if this claim wrote it.
fn first(row: &Row, lane: LaneId) -> Result<Option<JournalRow>, Error> {
    let Some(body) = row.try_get("first")? else { return Ok(None) };
    let at = super::millis(row.try_get("at")?);
    Ok(Some(JournalRow { seq: 1, lane, at, kind: row.try_get("kind")?, body }))
}

impl Store {
    /// Reads a saga, as a wake, if this lane owns it.
    pub async fn of_lane(&self, lane: LaneId, id: Uuid) -> Result<Option<Claimed>, Error> {
        self.query(sql!("saga", "of_lane"), &[&lane.0, &id]).await?.first().map(owned).transpose()
    }

    /// Lists what a lane owns, in order.
    pub async fn owned_by(&self, lane: LaneId) -> Result<Vec<Uuid>, Error> {
        let rows = self.query(sql!("saga", "owned"), &[&lane.0]).await?;
        rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
    }

    /// Lists those of the sagas of a lane that have ever got a signal, in order.
    pub async fn signalled(&self, lane: LaneId) -> Result<Vec<Uuid>, Error> {
        let rows = self.query(sql!("saga", "owned"), &[&lane.0]).await?;
        let owned = rows.iter().map(owned).collect::<Result<Vec<_>, _>>()?;
        Ok(owned.into_iter().filter(|saga| saga.signals > 0).map(|saga| saga.id).collect())
    }

    /// Takes the wakes of owned sagas from the inboxes of these lanes. A saga among them that is not resident
    /// was parked meanwhile, and has seen what woke it; drop the wake. After an error the answer may be lost:
    /// take every [`signalled`](Self::signalled) saga of these lanes for woken.
    pub async fn drain_inbox(&self, lanes: &[LaneId]) -> Result<Vec<Uuid>, Error> {
        let lanes: Vec<i64> = lanes.iter().map(|lane| lane.0).collect();
        let rows = self.query_once(sql!("inbox", "drain"), &[&lanes, &limits::INBOX_ROWS_MAX]).await?;
        rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
    }

    /// Makes up to `limit` parked sagas ready whose time has come; returns how many. Ask again at once when
    /// it is `limit`.
    pub async fn fire_timers(&self, limit: usize) -> Result<u64, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(sql!("timer", "fire"), &[&limit]).await?;
        super::count(&rows, "fired")
    }
}
