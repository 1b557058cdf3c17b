//! Watermarks of a node's claims: for each definition and priority, the number from which rows may still be there. The
//! lanes of a node share them with its looks. Owns the order in which a claim walks over the definitions.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::DefinitionId;
use super::queue_number::{Class, QueueNumber};
use crate::config::store as limits;

/// Ranges of rows in the order of a claim: definitions, and the numbers between which their rows are, both exclusive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    pub(super) definitions: Vec<i32>,
    pub(super) lows: Vec<i64>,
    pub(super) highs: Vec<i64>,
}

impl Ranges {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.definitions.is_empty()
    }

    fn push(&mut self, (definition, low, high): (i32, i64, i64)) {
        self.definitions.push(definition);
        self.lows.push(low);
        self.highs.push(high);
    }

    /// Splits the ranges by their priority: those before normal starts, those of normal starts, and those after them. A
    /// definition whose starts have no order has one range, with its wakes, among the normal ones.
    pub(super) fn by_priority(self) -> [Self; 3] {
        let mut parts = [Self::default(), Self::default(), Self::default()];
        for ((definition, low), high) in self.definitions.into_iter().zip(self.lows).zip(self.highs) {
            let part = match QueueNumber(low).class() {
                Class::Wake if high == i64::MAX => 1,
                Class::Wake | Class::High => 0,
                Class::Normal => 1,
                Class::Low => 2,
            };
            parts[part].push((definition, low, high));
        }
        parts
    }
}

/// The virtual time of a definition and class: the largest tag that a claim took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VirtualTime {
    pub(super) definition: DefinitionId,
    pub(super) class: Class,
    pub(super) tag: i64,
}

/// How far the rows of each definition were taken, so that a claim does not walk over the dead ones again. Cheap to
/// clone; clones share their marks.
#[derive(Clone, Debug, Default)]
pub struct Watermarks {
    /// Of the ready rows.
    pub(super) ready: QueueMarks,
    /// Of the queue of starts.
    pub(super) starts: QueueMarks,
}

/// Watermarks of one table.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueMarks(Arc<Mutex<Marks>>);

#[derive(Debug, Default)]
struct Marks {
    low: HashMap<(DefinitionId, Class), i64>,
    /// Definitions whose starts have a priority or a fairness key, as far as a claim has met one.
    ordered: HashSet<DefinitionId>,
    /// Virtual times that claims came to and that the database does not know yet.
    times: HashMap<(DefinitionId, Class), i64>,
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

impl QueueMarks {
    /// Returns the ranges of a claim, each from its watermark on, and the epoch for [`Self::took`]. Wakes of
    /// definitions with priorities come first, then starts of high priority, then all others, and starts of low
    /// priority last. Within these, the definitions come in rotation, so that none starves.
    pub(super) fn for_claim(&self, definitions: &[DefinitionId]) -> (Ranges, u64) {
        let mut marks = self.marks();
        if marks.claimed.is_due() {
            marks.low.clear();
            marks.epoch += 1;
        }
        marks.turn = marks.turn.wrapping_add(1);
        let turn = marks.turn % definitions.len().max(1);
        let (after, before) = definitions.split_at(turn);
        (marks.ranges(before.iter().chain(after).copied(), false), marks.epoch)
    }

    /// Returns the ranges of a look.
    pub(super) fn for_look(&self, definitions: &[DefinitionId]) -> Ranges {
        let mut marks = self.marks();
        let full = marks.looked.is_due();
        marks.ranges(definitions.iter().copied(), full)
    }

    /// Records that a claim of this epoch took a row.
    pub(super) fn took(&self, epoch: u64, definition: DefinitionId, n: i64) {
        let mut marks = self.marks();
        let number = QueueNumber(n);
        let class = number.class();
        if class != Class::Wake {
            marks.ordered.insert(definition);
        }
        if let Some(tag) = number.tag() {
            let time = marks.times.entry((definition, class)).or_default();
            *time = (*time).max(tag);
        }
        if epoch == marks.epoch {
            let low = marks.low.entry((definition, class)).or_default();
            *low = (*low).max(number.less_slack());
        }
    }

    /// Takes the virtual times to tell the database.
    pub(super) fn take_times(&self) -> Vec<VirtualTime> {
        let times = std::mem::take(&mut self.marks().times);
        times.into_iter().map(|((definition, class), tag)| VirtualTime { definition, class, tag }).collect()
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Marks {
    /// Returns the ranges of these definitions: from their watermarks on, or all rows if `full`.
    fn ranges(&self, definitions: impl Iterator<Item = DefinitionId> + Clone, full: bool) -> Ranges {
        let mut ranges = Ranges::default();
        let mut add = |definition: DefinitionId, class: Class, end: i64| {
            let low = self.low.get(&(definition, class)).copied().unwrap_or_else(|| class.start());
            ranges.push((definition.0, if full { class.start() } else { low }, end));
        };
        let ordered = definitions.clone().filter(|definition| self.ordered.contains(definition));
        for class in [Class::Wake, Class::High] {
            ordered.clone().for_each(|definition| add(definition, class, class.end()));
        }
        for definition in definitions {
            match self.ordered.contains(&definition) {
                true => add(definition, Class::Normal, Class::Normal.end()),
                // Perhaps no claim has met a priority of its starts yet: all of them are here, in their order.
                false => add(definition, Class::Wake, i64::MAX),
            }
        }
        ordered.for_each(|definition| add(definition, Class::Low, Class::Low.end()));
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: DefinitionId = DefinitionId(1);
    const TWO: DefinitionId = DefinitionId(2);
    const HIGH: i64 = 1 << 61;
    const NORMAL: i64 = 2 << 61;
    const LOW: i64 = 3 << 61;
    const FAIR: i64 = 1 << 60;

    #[test]
    fn a_definition_without_priorities_has_one_range() {
        let marks = QueueMarks::default();
        let (ranges, epoch) = marks.for_claim(&[ONE]);
        assert_eq!(ranges, Ranges { definitions: vec![1], lows: vec![0], highs: vec![i64::MAX] });
        marks.took(epoch, ONE, 10_000);
        assert_eq!(marks.for_claim(&[ONE]).0.lows, [10_000 - limits::WATERMARK_SLACK]);
        assert!(marks.take_times().is_empty());
    }

    #[test]
    fn high_priorities_come_first_and_low_ones_last() {
        let marks = QueueMarks::default();
        let (_, epoch) = marks.for_claim(&[ONE, TWO]);
        marks.took(epoch, TWO, NORMAL | 7);
        let look = marks.for_look(&[ONE, TWO]);
        assert_eq!(look.definitions, [2, 2, 1, 2, 2]);
        assert_eq!(look.lows, [0, HIGH, 0, NORMAL, LOW]);
        assert_eq!(look.highs, [HIGH, NORMAL, i64::MAX, LOW, i64::MAX]);
    }

    #[test]
    fn definitions_without_an_order_are_among_the_normal_starts() {
        let marks = QueueMarks::default();
        let (_, epoch) = marks.for_claim(&[ONE, TWO]);
        marks.took(epoch, TWO, NORMAL | 7);
        let [first, normal, last] = marks.for_look(&[ONE, TWO]).by_priority();
        assert_eq!((first.lows, normal.lows, last.lows), (vec![0, HIGH], vec![0, NORMAL], vec![LOW]));
        assert_eq!((normal.definitions, last.definitions), (vec![1, 2], vec![2]));
        let [first, _, last] = marks.for_look(&[ONE]).by_priority();
        assert!(first.is_empty() && last.is_empty());
    }

    #[test]
    fn the_slack_of_a_fairness_key_counts_tags() {
        let marks = QueueMarks::default();
        let (_, epoch) = marks.for_claim(&[ONE]);
        let number = |tag: i64| NORMAL | FAIR | tag << 24 | 5;
        marks.took(epoch, ONE, number(5_000));
        marks.took(epoch, ONE, number(4_000));
        let low = marks.for_claim(&[ONE]).0.lows[2];
        assert_eq!(low, number(5_000 - limits::WATERMARK_SLACK));
        let times = marks.take_times();
        assert_eq!(times, [VirtualTime { definition: ONE, class: Class::Normal, tag: 5_000 }]);
        assert!(marks.take_times().is_empty());
    }
}
