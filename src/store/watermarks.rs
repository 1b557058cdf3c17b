//! Watermarks of a node's claims: for each definition, the number from which ready rows may still be there. The lanes
//! of a node share them with its looks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::DefinitionId;
use crate::config::store as limits;

/// How far the ready rows of each definition were taken, so that a claim does not walk over the dead ones again. Cheap
/// to clone; clones share their marks.
#[derive(Clone, Debug, Default)]
pub struct Watermarks(Arc<Mutex<Marks>>);

#[derive(Debug, Default)]
struct Marks {
    low: HashMap<DefinitionId, i64>,
    /// How often the watermarks were cleared: what a claim from before that took counts no more.
    epoch: u64,
    turn: usize,
    claimed: Full,
    looked: Full,
}

/// When the watermarks were ignored last. They are ignored every `FULL_CLAIM_INTERVAL_MS`, since starts become visible
/// out of order.
#[derive(Debug, Default)]
struct Full(Option<Instant>);

impl Full {
    fn is_due(&mut self) -> bool {
        let interval = Duration::from_millis(limits::FULL_CLAIM_INTERVAL_MS);
        let is_due = self.0.is_none_or(|at| at.elapsed() >= interval);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

impl Watermarks {
    /// Returns the definitions of a claim in rotation, so that none starves, each with its watermark; and the epoch for
    /// [`Self::took`].
    pub(super) fn for_claim(&self, definitions: &[DefinitionId]) -> (Vec<i32>, Vec<i64>, u64) {
        let mut marks = self.marks();
        if marks.claimed.is_due() {
            marks.low.clear();
            marks.epoch += 1;
        }
        marks.turn = marks.turn.wrapping_add(1);
        let turn = marks.turn % definitions.len().max(1);
        let (after, before) = definitions.split_at(turn);
        let (ids, lows) = before.iter().chain(after).map(|definition| (definition.0, marks.of(*definition))).unzip();
        (ids, lows, marks.epoch)
    }

    /// Returns the definitions of a look, each with its watermark.
    pub(super) fn for_look(&self, definitions: &[DefinitionId]) -> (Vec<i32>, Vec<i64>) {
        let mut marks = self.marks();
        let full = marks.looked.is_due();
        let low = |definition: &DefinitionId| if full { 0 } else { marks.of(*definition) };
        definitions.iter().map(|definition| (definition.0, low(definition))).unzip()
    }

    /// Records that a claim of this epoch took a row.
    pub(super) fn took(&self, epoch: u64, definition: DefinitionId, n: i64) {
        let mut marks = self.marks();
        if epoch != marks.epoch {
            return;
        }
        let low = marks.low.entry(definition).or_default();
        *low = (*low).max(n - limits::WATERMARK_SLACK);
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Marks {
    fn of(&self, definition: DefinitionId) -> i64 {
        self.low.get(&definition).copied().unwrap_or(0)
    }
}
