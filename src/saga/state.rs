//! The state of a saga: the result of folding its journal. Owns the types and the queries on them. Only the
//! transition function changes a state.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Json;
use super::approval::Shown;
use super::asker::Asker;
use super::definition::Millis;
use super::event::Direction;
use super::law::Law;
use super::outcome::Error;
use super::plan::Appended;
use super::steps::Steps;
use super::tally::Tally;
use super::traits::Traits;

/// The state of one saga.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Law of the journal.
    pub law: Law,
    /// Input of the saga.
    pub input: Json,
    /// W3C trace context of the caller that started the saga.
    pub traceparent: Option<Arc<str>>,
    /// Who started the saga. None if that is not on record.
    pub started_by: Option<Arc<Asker>>,
    /// Start time. For sagas that take turns (`concurrency`) it is the time of the turn. A node may take the saga up
    /// later.
    pub started_at: Millis,
    /// Time of the last event. A clock may step back between owners; the time of a saga never does.
    pub at: Millis,
    /// Direction of the saga.
    pub course: Course,
    /// An operator paused the saga: nothing new starts.
    pub paused: bool,
    /// Why the saga turns back. It turns back as soon as no pivot is in flight.
    pub turn_back: Option<TurnBack>,
    /// One entry for each step of the definition, then one for each appended step. Consecutive states share the
    /// entries that did not change.
    pub steps: Steps,
    /// Steps that the driver of an open saga appended, in order.
    pub appended: Arc<Appended>,
    /// End of the driver's lease on an open saga. None once the plan is closed or the saga runs backward, and for a
    /// saga that was never open.
    pub lease_until: Option<Millis>,
    /// A deadline or the end of the lease closed the plan of an open saga after its point of no return; the driver
    /// did not.
    pub plan_expired: bool,
    /// Events that were provided before a step waited for them, by name.
    pub mailbox: Arc<BTreeMap<String, Json>>,
    /// Highest signal number that was applied or refused.
    pub signals_seen: u64,
}

/// Direction of a saga.
#[derive(Clone, Debug, PartialEq)]
pub enum Course {
    /// Runs its steps.
    Forward,
    /// Undoes its steps.
    Backward,
    /// The saga has ended.
    Ended(End),
}

/// How a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The effect of each step is in place.
    Completed,
    /// No net effect.
    Compensated,
    /// An operator closed it by hand.
    Abandoned,
}

/// Status of a saga, as SQL, metrics and logs show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Started by a caller, not taken by a node yet. The store reports this status; the core never does.
    Queued,
    /// The saga goes forward.
    Running,
    /// The saga turns back.
    Compensating,
    /// An operator paused the saga.
    Paused,
    /// A step needs a person.
    Stuck,
    /// Ended: the effect of each step is in place.
    Completed,
    /// Ended: no net effect.
    Compensated,
    /// Ended: an operator closed it by hand.
    Abandoned,
}

impl Status {
    /// All statuses, in display order.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Compensating,
        Self::Paused,
        Self::Stuck,
        Self::Completed,
        Self::Compensated,
        Self::Abandoned,
    ];

    /// Returns the word used in SQL, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Paused => "paused",
            Self::Stuck => "stuck",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Abandoned => "abandoned",
        }
    }

    /// Returns whether the saga has ended.
    pub fn is_end(self) -> bool {
        match self {
            Self::Completed | Self::Compensated | Self::Abandoned => true,
            Self::Queued | Self::Running | Self::Compensating | Self::Paused | Self::Stuck => false,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|status| status.as_str()).collect();
            format!("expected one of {}, found {text:?}", words.join(", "))
        })
    }
}

/// Why a saga turns back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnBack {
    /// A step failed for good.
    StepFailed {
        /// Index of the step.
        step: usize,
        /// Error of the step.
        error: Error,
    },
    /// An operator cancelled the saga, or its driver aborted it.
    Asked {
        /// Name of the caller.
        by: String,
        /// Reason that the caller gave.
        reason: String,
    },
    /// The saga's deadline passed.
    Deadline,
    /// The driver of an open saga sent nothing within its lease.
    DriverLost,
}

/// State of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepState {
    /// What the step is doing.
    pub phase: Phase,
    /// When the phase began. None while nothing has happened.
    pub since: Option<Millis>,
    /// Output of the action, once known. It stays while the step is undone.
    pub output: Option<Json>,
    /// What the step asked a person to approve. None before it is on record.
    pub shown: Option<Box<Shown>>,
    /// An operator skipped the step: its action was not called, so there is no effect to undo. On a failed step of an
    /// open saga: the driver goes on without the step.
    pub skipped_by_hand: bool,
    /// Origin of the action's key, if the outcome was taken over from another saga.
    pub origin: Option<Origin>,
    /// Attempts and probes of the action.
    pub action: Tally,
    /// Attempts and probes of the compensation.
    pub compensation: Tally,
}

/// The saga that first used an idempotency key. Kept for an outcome that was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Id of that saga.
    pub saga: Uuid,
    /// Law of that saga. It decides the form of the key.
    pub law: Law,
}

/// What a step is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The needs of the step are not met, or the saga does not move.
    Waiting,
    /// The `when` of the step is being evaluated.
    Deciding,
    /// The action or the compensation is under way.
    Active {
        /// Action or compensation.
        direction: Direction,
        /// What the call or wait is doing.
        activity: Activity,
    },
    /// The `when` of the step was false.
    Skipped,
    /// The effect of the action is in place.
    Done,
    /// The action definitely had no effect and is not attempted again.
    Failed,
    /// No effect of the step is left to undo.
    Undone(Undone),
    /// The step needs a person.
    Stuck {
        /// Whether the action or the compensation is stuck.
        direction: Direction,
        /// Reason.
        reason: StuckReason,
    },
}

impl Phase {
    /// Returns what the call or wait that is under way is doing. None in all other phases.
    fn activity(&self) -> Option<Activity> {
        match self {
            Self::Active { activity, .. } => Some(*activity),
            Self::Waiting
            | Self::Deciding
            | Self::Skipped
            | Self::Done
            | Self::Failed
            | Self::Undone(_)
            | Self::Stuck { .. } => None,
        }
    }

    /// Returns the end of the settle window of a doubt that is left open. None in all other phases.
    pub(super) fn unresolved_until(&self) -> Option<Millis> {
        let Some(Activity::Unresolved { until }) = self.activity() else { return None };
        Some(until)
    }

    /// Returns the deadline of a wait for an event or for an approval. None for a wait without a deadline, and in all
    /// other phases.
    pub(super) fn waits_until(&self) -> Option<Millis> {
        let Some(Activity::Awaiting { until } | Activity::Asking { until }) = self.activity() else { return None };
        until
    }
}

/// What a call or wait that is under way is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// An attempt is in flight. Its number is in the tally.
    Attempting,
    /// Waits for the next attempt.
    BackingOff {
        /// When the next attempt begins.
        until: Millis,
    },
    /// In doubt. A probe is in flight; its number is in the tally.
    Probing,
    /// In doubt. Waits for the next probe.
    Settling {
        /// When the next probe begins.
        until: Millis,
    },
    /// The doubt is left open by choice: the saga turns back, and the compensation is safe either way or the effect
    /// may stay. The step is undone after the steps that need it, and not before the settle window ends.
    Unresolved {
        /// End of the settle window.
        until: Millis,
    },
    /// Waits for an event.
    Awaiting {
        /// Deadline of the wait.
        until: Option<Millis>,
    },
    /// The question for the approver is being rendered.
    Showing,
    /// Waits for a person to approve or deny the question.
    Asking {
        /// Deadline of the wait.
        until: Option<Millis>,
    },
    /// Sleeps.
    Sleeping {
        /// When the sleep ends.
        until: Millis,
    },
}

/// Why a step has no effect left to undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Its compensation succeeded.
    Compensated,
    /// There was nothing to undo: the step only read or waited, or an operator skipped it.
    Nothing,
    /// The effect stays, because the definition declares it irreversible.
    LeftInPlace,
    /// An operator undid it by hand.
    ByHand,
}

/// Why a step needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StuckReason {
    /// It is unknown whether the call took effect, and no declared means is left to find out.
    InDoubt,
    /// An action failed for good past the point of no return, or a compensation failed for good.
    Failed,
    /// Too many processes died during this call.
    ProcessDied,
}

impl StuckReason {
    /// Returns the word used in SQL, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InDoubt => "in_doubt",
            Self::Failed => "failed",
            Self::ProcessDied => "process_died",
        }
    }
}

impl State {
    /// Returns how the saga ended; none while it has not.
    pub fn end(&self) -> Option<End> {
        match self.course {
            Course::Ended(end) => Some(end),
            Course::Forward | Course::Backward => None,
        }
    }

    /// Returns whether the saga has passed its point of no return: a pivot is done, or a retriable step has begun.
    #[inline]
    pub(super) fn is_committed(&self) -> bool {
        self.steps.has(Traits::COMMITTING)
    }

    /// Returns the first step that needs a person, if any.
    pub fn stuck(&self) -> Option<(usize, Direction, StuckReason)> {
        let index = self.steps.having(Traits::STUCK).next()?;
        match self.steps[index].phase {
            Phase::Stuck { direction, reason } => Some((index, direction, reason)),
            Phase::Waiting
            | Phase::Deciding
            | Phase::Active { .. }
            | Phase::Skipped
            | Phase::Done
            | Phase::Failed
            | Phase::Undone(_) => None,
        }
    }

    /// Returns the status of the saga.
    pub fn status(&self) -> Status {
        match self.course {
            Course::Ended(End::Completed) => Status::Completed,
            Course::Ended(End::Compensated) => Status::Compensated,
            Course::Ended(End::Abandoned) => Status::Abandoned,
            Course::Forward | Course::Backward if self.stuck().is_some() => Status::Stuck,
            Course::Forward | Course::Backward if self.paused => Status::Paused,
            Course::Forward => Status::Running,
            Course::Backward => Status::Compensating,
        }
    }
}

impl StepState {
    /// A step to which nothing has happened yet.
    pub const WAITING: Self = Self {
        phase: Phase::Waiting,
        since: None,
        output: None,
        shown: None,
        skipped_by_hand: false,
        origin: None,
        action: Tally::NONE,
        compensation: Tally::NONE,
    };

    /// Returns the counts of one direction.
    pub fn tally(&self, direction: Direction) -> &Tally {
        match direction {
            Direction::Action => &self.action,
            Direction::Compensation => &self.compensation,
        }
    }

    /// Returns the counts of one direction, to change them.
    pub(super) fn tally_mut(&mut self, direction: Direction) -> &mut Tally {
        match direction {
            Direction::Action => &mut self.action,
            Direction::Compensation => &mut self.compensation,
        }
    }
}
