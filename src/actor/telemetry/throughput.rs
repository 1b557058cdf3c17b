//! How many sagas begin and end on this node, until that is written down for people. Owns the sums; a sweep
//! writes them every few seconds. What a killed node had not written is missing: it is a picture of the flow,
//! not an account.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::saga::state::{State, Status};
use crate::store::{DefinitionId, Passed};

/// Sums since they were last taken.
#[derive(Debug, Default)]
pub struct Throughput(Mutex<HashMap<DefinitionId, Passed>>);

impl Throughput {
    /// A saga has begun: its first row is durable, whoever wrote it.
    pub(crate) fn began(&self, definition: DefinitionId) {
        self.add(definition, |passed| passed.started += 1);
    }

    /// A saga has moved; only coming to an end, or to need a person, is told.
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

    /// Takes the sums.
    pub(crate) fn take(&self) -> Vec<(DefinitionId, Passed)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }

    /// Gives back sums that could not be written.
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
