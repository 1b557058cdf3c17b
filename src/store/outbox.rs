//! The outbox: events for other systems, written with the transitions that they report. Owns taking events, so that
//! one relay at a time sends an event, and recording what became of them. The actors relay them.

use std::time::Duration;

use uuid::Uuid;

use super::payload::Stored;
use super::{DefinitionId, Error, NodeId, Store};
use crate::config::store as limits;
use crate::saga::Json;
use crate::saga::definition::Millis;

/// An event that this node relays now.
#[derive(Clone, Debug)]
pub struct Relaying {
    /// Number in the outbox.
    pub n: i64,
    /// The saga that it is about.
    pub saga: Uuid,
    /// The row of the saga's journal that it is about.
    pub seq: i32,
    /// The event.
    pub body: Json,
    /// How often it was taken, this time included.
    pub attempts: u32,
    /// First row of the saga's journal, while that is kept.
    pub started: Option<Json>,
    /// Result of the saga, once it has ended and while that is kept.
    pub result: Option<Json>,
}

/// An event that is not relayed yet, for people.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The event.
    pub body: Json,
    /// How often it was taken.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// When it was written.
    pub at: Millis,
    /// When it is due again; none before the first attempt, and after a node died with it.
    pub due_at: Option<Millis>,
}

impl Store {
    /// Takes up to `limit` due events of these definitions for `lease`. After an error the answer may be lost; the
    /// events are due again when the lease ends.
    pub async fn take_events(
        &self,
        node: NodeId,
        limit: usize,
        definitions: &[DefinitionId],
        lease: Duration,
    ) -> Result<Vec<Relaying>, Error> {
        let definitions: Vec<i32> = definitions.iter().map(|definition| definition.0).collect();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let sql = sql!("outbox", "take");
        let rows = self.query_once(sql, &[&node.0, &limit, &definitions, &lease_ms]).await?;
        let json = |row, column| Ok::<_, Error>(Stored::maybe(row, column)?.and_then(Stored::json));
        rows.iter()
            .map(|row| {
                Ok(Relaying {
                    n: row.try_get("n")?,
                    saga: row.try_get("id")?,
                    seq: row.try_get("seq")?,
                    body: json(row, "body")?.unwrap_or_else(Json::null),
                    attempts: attempts(row.try_get("attempts")?),
                    started: json(row, "started")?,
                    result: json(row, "result")?,
                })
            })
            .collect()
    }

    /// Deletes an event that was received.
    pub async fn event_relayed(&self, n: i64) -> Result<(), Error> {
        self.query(sql!("outbox", "relayed"), &[&n]).await?;
        Ok(())
    }

    /// Puts off an event that could not be relayed, and records the error.
    pub async fn event_failed(&self, n: i64, node: NodeId, pause_ms: Millis, error: &str) -> Result<(), Error> {
        // SQL texts cannot hold a NUL, and the message may come from any program.
        let error: String = error.replace('\0', "\u{fffd}").chars().take(limits::EVENT_ERROR_CHARS_MAX).collect();
        let sql = sql!("outbox", "failed");
        self.query(sql, &[&n, &node.0, &super::signed(pause_ms), &error]).await?;
        Ok(())
    }

    /// Makes events of dead nodes due again, up to `EVENTS_FREED_MAX`; returns how many.
    pub async fn free_events(&self) -> Result<u64, Error> {
        let sql = sql!("outbox", "free");
        super::count(&self.query(sql, &[&limits::EVENTS_FREED_MAX]).await?, "freed")
    }

    /// Counts the events that are not relayed yet, up to `EVENTS_COUNTED_MAX`. Returns the count and the age of the
    /// oldest in milliseconds.
    pub async fn outbox_depth(&self) -> Result<(u64, Millis), Error> {
        let sql = sql!("outbox", "depth");
        let rows = self.query(sql, &[&limits::EVENTS_COUNTED_MAX]).await?;
        Ok((super::count(&rows, "events")?, super::count(&rows, "age_ms")?))
    }

    /// Lists the events of one saga that are not relayed yet.
    pub async fn pending_events(&self, saga: Uuid) -> Result<Vec<Pending>, Error> {
        let rows = self.query(sql!("outbox", "of_saga"), &[&saga]).await?;
        rows.iter()
            .map(|row| {
                Ok(Pending {
                    body: Stored::read(row, "body")?.json().unwrap_or_else(Json::null),
                    attempts: attempts(row.try_get("attempts")?),
                    error: row.try_get("error")?,
                    at: super::millis(row.try_get("at")?),
                    due_at: row.try_get::<_, Option<i64>>("due_at")?.map(super::millis),
                })
            })
            .collect()
    }
}

fn attempts(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
