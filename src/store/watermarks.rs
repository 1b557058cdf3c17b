//! Watermarks of a lane's claims: for each definition, the number from which ready rows may still be there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::DefinitionId;
use crate::config::store as limits;

/// How far the ready rows of each definition were taken, so that a claim does not walk over the dead ones again.
#[derive(Debug, Default)]
pub(super) struct Watermarks {
    low: HashMap<DefinitionId, i64>,
    full_at: Option<Instant>,
    turn: usize,
}

impl Watermarks {
    /// Returns the definitions in rotation, so that none starves, each with its watermark. Every
    /// `FULL_CLAIM_INTERVAL_MS` all watermarks are 0, since starts become visible out of order.
    pub(super) fn next(&mut self, definitions: &[DefinitionId]) -> (Vec<i32>, Vec<i64>) {
        let interval = Duration::from_millis(limits::FULL_CLAIM_INTERVAL_MS);
        if self.full_at.is_none_or(|at| at.elapsed() >= interval) {
            self.low.clear();
            self.full_at = Some(Instant::now());
        }
        self.turn = self.turn.wrapping_add(1);
        let turn = self.turn % definitions.len().max(1);
        let (after, before) = definitions.split_at(turn);
        before
            .iter()
            .chain(after)
            .map(|definition| (definition.0, self.low.get(definition).copied().unwrap_or(0)))
            .unzip()
    }

    pub(super) fn took(&mut self, definition: DefinitionId, n: i64) {
        let low = self.low.entry(definition).or_default();
        *low = (*low).max(n - limits::WATERMARK_SLACK);
    }
}
