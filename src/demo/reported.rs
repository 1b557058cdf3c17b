//! Reads what amends reports about the demo's checkouts: status, output, stuck reason, and counts from the journals.
//! The audit (`audit.rs`) judges it.

use uuid::Uuid;

use super::audit::Claim;
use super::report::Told;
use crate::saga::event::{Event, Request};
use crate::saga::outcome::{Answer, Outcome};
use crate::saga::state::StuckReason;
use crate::saga::{Definition, replay};
use crate::store::{self, JournalRow, Store};

/// One checkout that was started.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    /// Id of its saga.
    pub(super) saga: Uuid,
    /// Name of its booking.
    pub(super) booking: String,
    /// Cents it charges.
    pub(super) amount_cents: i64,
}

/// Error while reading the claims.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A journal cannot be decoded or replayed.
    #[error("the journal of saga {saga}: {what}")]
    Journal {
        /// The saga.
        saga: Uuid,
        /// Cause.
        what: String,
    },
}

/// Most journals read at once.
const JOURNALS_MAX: usize = 200;

/// Returns the sagas that are stuck because their processes died too often, each with the request that makes it try
/// again. Chaos caused these deaths, so the demo tries again.
pub(super) async fn put_aside(
    store: &Store,
    definition: &Definition,
    stuck: &[Uuid],
) -> Result<Vec<(Uuid, Request)>, ClaimError> {
    let mut found = Vec::new();
    let reason = || "chaos is over".to_owned();
    for sagas in stuck.chunks(JOURNALS_MAX) {
        for (&saga, journal) in &store.load(sagas).await? {
            let state = replay(definition, &decode(saga, journal)?);
            let state = state.map_err(|error| broken(saga, error.to_string()))?;
            if let Some((step, _, StuckReason::ProcessDied)) = state.stuck() {
                let step = definition.steps()[step].step.name.clone();
                found.push((saga, Request::Retry { step, new_key: false, reason: reason() }));
            } else if store.unreadable(saga).await?.is_some_and(|aside| aside.died) {
                found.push((saga, Request::Resume { reason: reason() }));
            }
        }
    }
    Ok(found)
}

/// Reads the claims of these checkouts. A checkout without a saga row has no claim; the audit reports it as lost.
pub(super) async fn read(
    store: &Store,
    definition: &Definition,
    checkouts: &[Checkout],
) -> Result<(Vec<Claim>, Told), ClaimError> {
    let mut claims = Vec::with_capacity(checkouts.len());
    let mut told = Told::default();
    for checkouts in checkouts.chunks(JOURNALS_MAX) {
        let ids: Vec<_> = checkouts.iter().map(|checkout| checkout.saga).collect();
        let journals = store.load(&ids).await?;
        for checkout in checkouts {
            let Some(row) = store.saga(checkout.saga).await? else { continue };
            let journal = journals.get(&checkout.saga).map(Vec::as_slice).unwrap_or_default();
            let events = decode(checkout.saga, journal)?;
            told.listen(&events);
            let state = if events.is_empty() {
                None
            } else {
                let state = replay(definition, &events);
                Some(state.map_err(|error| broken(checkout.saga, error.to_string()))?)
            };
            let stuck = state.and_then(|state| state.stuck()).map(|(_, _, reason)| reason);
            let output = row.result.map(|result| result.to_value()).unwrap_or_default();
            claims.push(Claim {
                saga: checkout.saga,
                booking: checkout.booking.clone(),
                amount_cents: checkout.amount_cents,
                status: row.status,
                charge: output["charge"].as_str().map(str::to_owned),
                stuck,
            });
        }
    }
    Ok((claims, told))
}

fn broken(saga: Uuid, what: impl Into<String>) -> ClaimError {
    ClaimError::Journal { saga, what: what.into() }
}

fn decode(saga: Uuid, journal: &[JournalRow]) -> Result<Vec<Event>, ClaimError> {
    journal.iter().map(|row| row.event().map_err(|error| broken(saga, error))).collect()
}

impl Told {
    /// Adds the counts of one saga's journal.
    fn listen(&mut self, events: &[Event]) {
        let mut taken_over = false;
        for event in events {
            match event {
                Event::AttemptEnded(event) => {
                    self.attempts += 1;
                    self.unknown += usize::from(matches!(event.outcome, Outcome::Unknown { .. }));
                }
                Event::ProbeAnswered(event) => match event.answer {
                    Answer::Applied { .. } => self.applied += 1,
                    Answer::Absent => self.absent += 1,
                    Answer::Inconclusive { .. } => {}
                },
                Event::OwnerLost(_) => taken_over = true,
                Event::Started(_)
                | Event::ConditionDecided(_)
                | Event::ApprovalShown(_)
                | Event::TimerFired(_)
                | Event::Withdrawn(_)
                | Event::Requested(_)
                | Event::RequestRefused(_) => {}
            }
        }
        self.taken_over += usize::from(taken_over);
    }
}
