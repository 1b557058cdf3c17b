//! The number of a ready row, which is its place in the queue of its definition. Owns what its bits say, which
//! `amends.queue_number` sets.

use crate::config::store as limits;

/// First bit of the class.
const CLASS_SHIFT: u32 = 61;
/// Set in the number of a start with a fairness key.
const TAGGED: i64 = 1 << 60;
/// First bit of the tag.
const TAG_SHIFT: u32 = 24;

/// Classes of ready rows, in the order in which nodes take those of one definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// Wakes of sagas under way, and starts of definitions without priority and fairness.
    Wake,
    /// Starts of high priority.
    High,
    /// Starts of normal priority.
    Normal,
    /// Starts of low priority.
    Low,
}

impl Class {
    /// Returns the number before the first number of the class.
    pub(super) fn start(self) -> i64 {
        (self as i64) << CLASS_SHIFT
    }

    /// Returns the number after the last number of the class.
    pub(super) fn end(self) -> i64 {
        match self {
            Self::Wake => Self::High.start(),
            Self::High => Self::Normal.start(),
            Self::Normal => Self::Low.start(),
            Self::Low => i64::MAX,
        }
    }
}

/// Number of a ready row.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueNumber(pub(super) i64);

impl QueueNumber {
    /// Returns the class of the row.
    pub(super) fn class(self) -> Class {
        match self.0 >> CLASS_SHIFT {
            1 => Class::High,
            2 => Class::Normal,
            3 => Class::Low,
            _ => Class::Wake,
        }
    }

    /// Returns the tag of a start with a fairness key.
    pub(super) fn tag(self) -> Option<i64> {
        let bits = self.0 - self.class().start();
        (self.class() != Class::Wake && bits & TAGGED != 0).then_some((bits & !TAGGED) >> TAG_SHIFT)
    }

    /// Returns the number before which no row is expected any more once this one was taken.
    pub(super) fn less_slack(self) -> i64 {
        let slack = if self.tag().is_some() { limits::WATERMARK_SLACK << TAG_SHIFT } else { limits::WATERMARK_SLACK };
        (self.0 - slack).max(self.class().start())
    }
}
