//! Counts the sagas that begin and end on this node, until the counts are written for `amends.throughput`. Owns the
//! sums; `maintenance/measurement.rs` writes them every `MEASURE_MS`. A killed node loses its unwritten sums, so the
//! numbers show the flow and are no exact account.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::saga::state::{State, Status};
use crate::store::{DefinitionId, Passed};

/// Sums since the last take.
#[derive(Debug, Default)]
pub struct Throughput(Mutex<HashMap<DefinitionId, Passed>>);

impl Throughput {
    /// Counts a saga that has begun. Its first row is durable, written by its actor or by the claim.
    pub(crate) fn began(&self, definition: DefinitionId) {
        self.add(definition, |passed| passed.started += 1);
    }

    /// Counts a saga that has ended or become stuck. Other changes are not counted.
    pub(crate) fn moved(&self, definition: DefinitionId, old: &State, new: &State) {
        match new.status() {
            same if same == old.status() => {}
            Status::Completed => self.add(definition, |passed| passed.completed += 1),
            Status::Compensated => self.add(definition, |passed| passed.compensated += 1),
            Status::Abandoned => self.add(definition, |passed| passed.abandoned += 1),
            Status::Stuck => self.add(definition, |passed| passed.stuck += 1),
            Status::Queued | Status::Running | Status::Compensating | Status::Paused => {}
        }
    }

    /// Takes the sums and resets them.
    pub(crate) fn take(&self) -> Vec<(DefinitionId, Passed)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    /// Adds back sums that could not be written.
    pub(crate) fn give_back(&self, sums: Vec<(DefinitionId, Passed)>) {
        for (definition, sum) in sums {
            self.add(definition, |passed| {
                passed.started += sum.started;
                passed.completed += sum.completed;
                passed.compensated += sum.compensated;
                passed.abandoned += sum.abandoned;
                passed.stuck += sum.stuck;
            });
        }
    }

    fn add(&self, definition: DefinitionId, change: impl FnOnce(&mut Passed)) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(sums.entry(definition).or_default());
    }
}
