//! Claims: which sagas a lane takes, parks and releases, and what wakes them. Owns claims, parking, timers and
//! inboxes. The actors decide what to do with a saga.

use std::collections::HashMap;

use tokio_postgres::Row;
use uuid::Uuid;

use super::error::Remedy;
use super::lane::{Failure, Lane, LaneId, Verb};
use super::payload::Stored;
use super::pool::Params;
use super::watermarks::Ranges;
use super::{DefinitionId, Error, JournalRow, Store};
use crate::config::store as limits;
use crate::saga::definition::Millis;

/// A saga that a lane owns and that was woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Id of the saga.
    pub id: Uuid,
    /// Its definition.
    pub definition: DefinitionId,
    /// How many signals it has got.
    pub signals: u64,
    /// How many processes in a row died while they had the saga and before they wrote a row of it.
    pub deaths: u32,
    /// Whether its row says that it is stuck, perhaps only because its journal could not be read.
    pub stuck: bool,
    /// Whether this claim gave it to the lane. If not, the lane owned it before, and this is only a wake.
    pub adopted: bool,
    /// Row 1 of a saga that was started by SQL, if this claim wrote it: it is the whole journal. None if an earlier
    /// owner wrote rows.
    pub first: Option<JournalRow>,
    /// How long it was ready before this claim.
    pub waited_ms: Millis,
}

/// Where a claim looks for sagas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Ready rows: wakes, and starts that are ordered or were asked something.
    pub ready: bool,
    /// The queue of starts.
    pub starts: bool,
}

impl Sources {
    /// All of them.
    pub const ALL: Self = Self { ready: true, starts: true };

    /// Returns these sources and others together.
    pub fn and(self, other: Self) -> Self {
        Self { ready: self.ready || other.ready, starts: self.starts || other.starts }
    }

    /// Returns these sources without others.
    pub fn without(self, other: Self) -> Self {
        Self { ready: self.ready && !other.ready, starts: self.starts && !other.starts }
    }

    /// Whether there is any.
    pub fn any(self) -> bool {
        self.ready || self.starts
    }
}

/// Answer to a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Sagas of this lane, each once.
    pub sagas: Vec<Claimed>,
    /// Where they were: perhaps there are more.
    pub sources: Sources,
}

/// A saga to park.
#[derive(Clone, Copy, Debug)]
pub struct Parking {
    /// Id of the saga.
    pub id: Uuid,
    /// Number of the last signal that it has applied or refused.
    pub signals_seen: u64,
    /// The earliest time at which it wakes; none if only a signal can wake it.
    pub wake_at: Option<Millis>,
}

impl Lane {
    /// Fails with [`Error::Fenced`] if the lane is out of service.
    pub async fn check(&mut self) -> Result<(), Error> {
        self.check_live().await.map_err(|failure| failure.error)
    }

    /// Claims up to `limit` sagas of these definitions (`CLAIM_ROWS_MAX` at most). Forwards wakes of sagas that another
    /// lane owns. Load the journals of adopted sagas afterwards, with [`Store::load`].
    ///
    /// After an error other than [`Error::Fenced`] the answer may be lost; the next claim then returns everything
    /// that the lane owns, as wakes. An empty answer does not mean that nothing is there: a claim skips locked rows,
    /// and the transaction that holds them may roll back.
    pub async fn claim(
        &mut self,
        sources: Sources,
        limit: usize,
        definitions: &[DefinitionId],
    ) -> Result<Found, Error> {
        if self.has_strays {
            let sagas = self.owned().await?;
            self.has_strays = false;
            if !sagas.is_empty() {
                return Ok(Found { sagas, sources });
            }
        }
        if limit == 0 || definitions.is_empty() {
            return Ok(Found::default());
        }
        let mut found = Found::default();
        match self.claim_in_order(sources, limit, definitions, &mut found).await {
            Ok(()) => Ok(found),
            Err(error) if found.sagas.is_empty() || matches!(error, Error::Fenced) => Err(error),
            Err(error) => {
                // The lane owns what it has claimed.
                tracing::warn!(%error, "a claim took only a part of what it looked for; claiming again");
                Ok(Found { sources, ..found })
            }
        }
    }

    /// Claims by priority. Starts in the queue have normal priority. They share the room with ready rows of normal
    /// priority and wakes, which get the larger part.
    async fn claim_in_order(
        &mut self,
        sources: Sources,
        limit: usize,
        definitions: &[DefinitionId],
        found: &mut Found,
    ) -> Result<(), Error> {
        let (ranges, epoch) = self.watermarks.ready.for_claim(definitions);
        if !sources.starts {
            return self.claim_ready(&ranges, epoch, limit, found).await;
        }
        self.starts_first = !self.starts_first;
        let [first, normal, last] = if sources.ready { ranges.by_priority() } else { Default::default() };
        self.claim_ready(&first, epoch, limit, found).await?;
        let free = room(limit, found);
        let kept = match free / limits::STARTS_SHARE {
            0 if self.starts_first => free,
            share => share,
        };
        self.claim_ready(&normal, epoch, limit.saturating_sub(kept), found).await?;
        let may_be_more = room(limit, found) <= kept;
        self.take_starts(definitions, limit, found).await?;
        if may_be_more && room(limit, found) > 0 {
            self.claim_ready(&normal, epoch, limit, found).await?;
        }
        self.claim_ready(&last, epoch, limit, found).await
    }

    async fn claim_ready(&mut self, ranges: &Ranges, epoch: u64, limit: usize, found: &mut Found) -> Result<(), Error> {
        if ranges.is_empty() {
            return Ok(());
        }
        let room = i64::try_from(room(limit, found)).unwrap_or(i64::MAX);
        if room == 0 {
            found.sources.ready = true;
            return Ok(());
        }
        let lane = self.id().0;
        // Until the answer is there, and also if this future is dropped.
        self.has_strays = true;
        let params: Params<'_> = &[&lane, &ranges.definitions, &ranges.lows, &room, &ranges.highs];
        let answer = match self.send(Verb::ClaimNew, params).await {
            Err(failure) if failure.is_conflict() => self.send(Verb::Claim, params).await,
            answer => answer,
        };
        let rows = self.answered(answer)?;
        let mut claimed: HashMap<Uuid, Claimed> = HashMap::with_capacity(rows.len());
        for row in &rows {
            if let Some(definition) = row.try_get::<_, Option<i32>>("ready_definition")? {
                self.watermarks.ready.took(epoch, DefinitionId(definition), row.try_get("n")?);
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
            // If a saga has several wakes, keeps the row 1 that one of them brought.
            claimed
                .entry(id)
                .and_modify(|known: &mut Claimed| known.first = known.first.take().or(saga.first.clone()))
                .or_insert(saga);
        }
        found.sources.ready |= !claimed.is_empty();
        found.sagas.extend(claimed.into_values());
        Ok(())
    }

    /// Takes starts out of the queue. The answer has the whole journals of their sagas.
    async fn take_starts(
        &mut self,
        definitions: &[DefinitionId],
        limit: usize,
        found: &mut Found,
    ) -> Result<(), Error> {
        let room = i64::try_from(room(limit, found)).unwrap_or(i64::MAX);
        if room == 0 {
            found.sources.starts = true;
            return Ok(());
        }
        let (ranges, epoch) = self.watermarks.starts.for_claim(definitions);
        let lane = self.id().0;
        // Until the answer is there, and also if this future is dropped.
        self.has_strays = true;
        let params: Params<'_> = &[&lane, &ranges.definitions, &ranges.lows, &room];
        let answer = match self.send(Verb::TakeStarts, params).await {
            Err(failure) if failure.is_conflict() => match self.send(Verb::ForgetStarts, &params[1..]).await {
                Ok(_) => self.send(Verb::TakeStarts, params).await,
                Err(failure) => Err(failure),
            },
            answer => answer,
        };
        for row in self.answered(answer)? {
            let Some(id) = row.try_get::<_, Option<Uuid>>("id")? else { continue };
            let definition = DefinitionId(row.try_get("definition")?);
            self.watermarks.starts.took(epoch, definition, row.try_get("n")?);
            found.sources.starts = true;
            found.sagas.push(Claimed {
                id,
                definition,
                signals: 0,
                deaths: 0,
                stuck: false,
                adopted: true,
                first: first(&row, self.id())?,
                waited_ms: super::millis(row.try_get("waited_ms")?),
            });
        }
        Ok(())
    }

    /// Returns the rows of a claim's answer. None at all: the lane is dead.
    fn answered(&mut self, answer: Result<Vec<Row>, Failure>) -> Result<Vec<Row>, Error> {
        self.has_strays = matches!(&answer, Err(failure) if failure.remedy == Remedy::Reconnect);
        let rows = answer.map_err(|failure| failure.error)?;
        if rows.is_empty() { Err(Error::Fenced) } else { Ok(rows) }
    }

    /// Lists every saga that the lane owns, as wakes.
    pub async fn owned(&mut self) -> Result<Vec<Claimed>, Error> {
        let lanes: [i64; 1] = [self.id().0];
        let rows =
            self.send_until_answered(Verb::Owned, &[&lanes.as_slice()]).await.map_err(|failure| failure.error)?;
        rows.iter().map(owned).collect()
    }

    /// Parks sagas that wait long; returns those that were parked. A saga stays if it has got a signal that it has
    /// not seen, or if its row is locked just now. No row of these sagas may be under way. Sending this again is
    /// safe.
    pub async fn park(&mut self, parkings: &[Parking]) -> Result<Vec<Uuid>, Error> {
        let ids: Vec<Uuid> = parkings.iter().map(|parking| parking.id).collect();
        let seen: Vec<i64> = parkings.iter().map(|parking| super::signed(parking.signals_seen)).collect();
        let wakes: Vec<Option<i64>> = parkings.iter().map(|parking| parking.wake_at.map(super::signed)).collect();
        let lane = self.id().0;
        let answer = self.send(Verb::Park, &[&lane, &ids, &seen, &wakes]).await;
        self.let_go(answer, &ids).await
    }

    /// Releases sagas for any node to claim; returns those that were released. The sweep hands back the rest once the
    /// lane is dead. No row of these sagas may be under way.
    pub async fn release(&mut self, ids: &[Uuid]) -> Result<Vec<Uuid>, Error> {
        let lane = self.id().0;
        let answer = self.send(Verb::Release, &[&lane, &ids]).await;
        self.let_go(answer, ids).await
    }

    /// Returns the sagas that were let go: those in the answer or, if the answer was lost, those that the lane no
    /// longer owns.
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

/// Returns how many more sagas a claim may take.
fn room(limit: usize, found: &Found) -> usize {
    limit.min(limits::CLAIM_ROWS_MAX).saturating_sub(found.sagas.len())
}

/// Reads a saga that the lane owned before.
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

/// Returns row 1 of a saga if this claim wrote it.
fn first(row: &Row, lane: LaneId) -> Result<Option<JournalRow>, Error> {
    let Some(body) = Stored::maybe(row, "first")? else { return Ok(None) };
    let at = super::millis(row.try_get("at")?);
    Ok(Some(JournalRow { seq: 1, lane, at, kind: "begun".to_owned(), body: body.text().to_owned(), link: None }))
}

impl Store {
    /// Reads a saga, as a wake, if this lane owns it.
    pub async fn of_lane(&self, lane: LaneId, id: Uuid) -> Result<Option<Claimed>, Error> {
        self.query(sql!("saga", "of_lane"), &[&lane.0, &id]).await?.first().map(owned).transpose()
    }

    /// Lists the sagas that these lanes own, each with its lane, ordered by id.
    pub async fn owned_by(&self, lanes: &[LaneId]) -> Result<Vec<(LaneId, Uuid)>, Error> {
        let lanes: Vec<i64> = lanes.iter().map(|lane| lane.0).collect();
        let rows = self.query(sql!("saga", "owned"), &[&lanes]).await?;
        rows.iter().map(|row| Ok((LaneId(row.try_get("lane")?), row.try_get("id")?))).collect()
    }

    /// Lists the sagas of a lane that have ever got a signal, ordered by id.
    pub async fn signalled(&self, lane: LaneId) -> Result<Vec<Uuid>, Error> {
        let rows = self.query(sql!("saga", "owned"), &[&[lane.0].as_slice()]).await?;
        let owned = rows.iter().map(owned).collect::<Result<Vec<_>, _>>()?;
        Ok(owned.into_iter().filter(|saga| saga.signals > 0).map(|saga| saga.id).collect())
    }

    /// Takes the wakes of owned sagas from the inboxes of these lanes, up to `INBOX_ROWS_MAX` of each. Drop the wake
    /// of a saga that is not here: it was parked meanwhile, and has seen what woke it. After an error the answer
    /// may be lost: treat every [`signalled`](Self::signalled) saga of these lanes as woken.
    pub async fn drain_inbox(&self, lanes: &[LaneId]) -> Result<Vec<Uuid>, Error> {
        let lanes: Vec<i64> = lanes.iter().map(|lane| lane.0).collect();
        let rows = self.query_once(sql!("inbox", "drain"), &[&lanes, &limits::INBOX_ROWS_MAX]).await?;
        rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
    }

    /// Makes up to `limit` parked sagas ready, those whose time has come; returns how many. If it returns `limit`,
    /// call it again at once.
    pub async fn fire_timers(&self, limit: usize) -> Result<u64, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(sql!("timer", "fire"), &[&limit]).await?;
        super::count(&rows, "fired")
    }
}
