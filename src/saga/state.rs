//! Where a saga stands: the fold of its journal. Owns the shapes and the questions one may ask of them; only
//! the files of `transition` change them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Json;
use super::approval::Shown;
use super::definition::Millis;
use super::event::Direction;
use super::law::Law;
use super::outcome::Error;
use super::plan::PlannedStep;

/// The state of one saga.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The law of the journal.
    pub law: Law,
    /// The input it was started with.
    pub input: Json,
    /// The position in a trace from which it was started.
    pub traceparent: Option<Arc<str>>,
    /// When it was started, or got its turn, though no node took it up then.
    pub started_at: Millis,
    /// When its last event happened. Clocks may step back between owners; a saga's own time never does.
    pub at: Millis,
    /// Which way it goes.
    pub course: Course,
    /// Start nothing new: an operator paused it.
    pub paused: bool,
    /// Why the saga shall turn back, as soon as no pivot is in flight.
    pub turn_back: Option<TurnBack>,
    /// One entry for each step of the definition, then one for each appended step. Shared between a state and
    /// the next, but for the steps that differ.
    pub steps: Vec<Arc<StepState>>,
    /// Steps appended by the driver of an open saga, in order.
    pub appended: Vec<Arc<PlannedStep>>,
    /// When the driver's lease on an open saga ends; none once it is committed, or was never open.
    pub lease_until: Option<Millis>,
    /// The plan of an open saga was closed by a deadline when it was too late to turn back, and not by its driver.
    pub plan_expired: bool,
    /// Events provided before a step waited for them.
    pub mailbox: BTreeMap<String, Json>,
    /// Highest signal number that was applied or refused.
    pub signals_seen: u64,
}

/// Which way a saga goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Course {
    /// Towards the end of its graph.
    Forward,
    /// Undoing what was done.
    Backward,
    /// Nowhere: it has ended.
    Ended(End),
}

/// How a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Each step's effect is in place.
    Completed,
    /// No net effect.
    Compensated,
    /// An operator closed it by hand.
    Abandoned,
}

/// Where a saga stands, in one word: the status of SQL, metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Started from outside; no node has taken it yet. The core never says this, the store does.
    Queued,
    /// Going forward.
    Running,
    /// Undoing.
    Compensating,
    /// Held by an operator.
    Paused,
    /// A step needs a person.
    Stuck,
    /// Ended: each step's effect is in place.
    Completed,
    /// Ended: no net effect.
    Compensated,
    /// Ended: closed by hand.
    Abandoned,
}

impl Status {
    /// All of them, in the order in which they are shown.
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

    /// Whether the saga is over.
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

/// Why a saga turned back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnBack {
    /// A step failed for good.
    StepFailed {
        /// Index of the step.
        step: usize,
        /// Its error.
        error: Error,
    },
    /// An operator cancelled it, or its driver aborted.
    Asked {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The saga's deadline passed.
    Deadline,
    /// The driver of an open saga was not heard from within its lease.
    DriverLost,
}

/// Where one step stands.
#[derive(Clone, Debug, PartialEq)]
pub struct StepState {
    /// What it is doing.
    pub phase: Phase,
    /// Since when; none while nothing has happened.
    pub since: Option<Millis>,
    /// The action's output, once known; kept while the step is undone.
    pub output: Option<Json>,
    /// What a person was asked to approve; none before it was on record.
    pub shown: Option<Box<Shown>>,
    /// Taken for done by an operator without a call: there is no effect to undo. Of a failed step of an open
    /// saga: its driver goes on without it.
    pub skipped_by_hand: bool,
    /// Whose key the action had, if its outcome was taken over from another saga.
    pub origin: Option<Origin>,
    /// Calls of the action so far.
    pub action: Tally,
    /// Calls of the compensation so far.
    pub compensation: Tally,
}

/// The saga whose key an action had whose outcome was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Which saga.
    pub saga: Uuid,
    /// Its law: the form of the key.
    pub law: Law,
}

/// What a step is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its needs are not met, or the saga does not move.
    Waiting,
    /// Its `when` is being evaluated.
    Deciding,
    /// Its action or compensation is under way.
    Active {
        /// Which of the two.
        direction: Direction,
        /// How.
        activity: Activity,
    },
    /// Its `when` was false.
    Skipped,
    /// The action's effect is in place.
    Done,
    /// The action definitely has no effect, and will not be tried again.
    Failed,
    /// Nothing of it is left.
    Undone(Undone),
    /// It needs a person.
    Stuck {
        /// Whether the action or the compensation is stuck.
        direction: Direction,
        /// Why.
        reason: StuckReason,
    },
}

impl Phase {
    /// The deadline of a wait for an event or for an approval; none without one, and where nothing of the kind is
    /// waited for.
    pub(super) fn waits_until(&self) -> Option<Millis> {
        match self {
            Self::Active { activity: Activity::Awaiting { until } | Activity::Asking { until }, .. } => *until,
            Self::Active { .. }
            | Self::Waiting
            | Self::Deciding
            | Self::Skipped
            | Self::Done
            | Self::Failed
            | Self::Undone(_)
            | Self::Stuck { .. } => None,
        }
    }
}

/// How a call that is under way stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// An attempt is in flight; its number is the tally's.
    Attempting,
    /// Waits until then for the next attempt.
    BackingOff {
        /// When.
        until: Millis,
    },
    /// In doubt; a probe is in flight; its number is the tally's.
    Probing,
    /// In doubt; waits until then for the next probe.
    Settling {
        /// When.
        until: Millis,
    },
    /// In doubt, by choice: the saga turns back, and the compensation is safe either way or the effect may
    /// stay. Its turn comes when the steps that need this one are undone, and not before a late effect has
    /// had its time to land.
    Unresolved {
        /// When the settle window ends.
        until: Millis,
    },
    /// Waits for an event.
    Awaiting {
        /// Until when at most.
        until: Option<Millis>,
    },
    /// What a person shall approve is being rendered.
    Showing,
    /// Waits for a person to approve or deny what it shows.
    Asking {
        /// Until when at most.
        until: Option<Millis>,
    },
    /// Waits for a time.
    Sleeping {
        /// When.
        until: Millis,
    },
}

/// How it came that nothing of a step is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Its compensation succeeded.
    Compensated,
    /// There was nothing to undo: it only read, waited, or was skipped by hand.
    Nothing,
    /// Its effect stays: the definition says that it is irreversible.
    LeftInPlace,
    /// An operator undid it by hand.
    ByHand,
}

/// Why a step needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StuckReason {
    /// Nobody knows whether the call took effect, and no declared means is left to find out.
    InDoubt,
    /// It failed for good where the saga may not turn back any more.
    Failed,
    /// Its process died too often during this call.
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

/// Counts of one call, the action's or the compensation's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Attempts begun.
    pub attempts: u32,
    /// Attempts begun before an operator granted a fresh budget.
    pub attempts_forgiven: u32,
    /// Probes begun.
    pub probes: u32,
    /// Probes begun before the present doubt.
    pub probes_forgiven: u32,
    /// Attempts or conditions lost with their process, since the last one that was not.
    pub lost: u32,
    /// Probes lost with their process, since the last one that was not. Apart: a probe that answers says nothing of a
    /// call that kills its process, and one that is asked for weeks may see several processes die.
    pub probes_lost: u32,
    /// Generation of the idempotency key of the last attempt.
    pub generation: u32,
    /// When the first attempt of this generation began; none before, and none when the next attempt takes a new key.
    pub generation_at: Option<Millis>,
    /// When the first attempt of this budget began; none before.
    pub first_at: Option<Millis>,
    /// When the last attempt began; none before.
    pub attempt_at: Option<Millis>,
    /// The last error. Boxed, as `shown`: most calls have none, and sagas wait by the ten thousand.
    pub error: Option<Box<Error>>,
    /// What went on besides; none while each answer was a success. Boxed for the same reason.
    evidence: Option<Box<Evidence>>,
}

/// What is known of a call beside its counts: what its participant asked for, and what nobody knows about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// When the last probe was sent; none before.
    pub probed_at: Option<Millis>,
    /// The participant asked to be left alone until then: neither an attempt nor a probe begins before.
    pub not_before: Option<Millis>,
    /// When the last attempt of this generation whose effect nobody knows had ended at the latest; none when
    /// not in doubt.
    pub doubt_at: Option<Millis>,
    /// When the end of that attempt was heard of: what somebody found out before says nothing of it.
    pub heard_at: Option<Millis>,
    /// The participant accepted an attempt of this generation. It may carry it out as late as it likes: only word from
    /// the participant ends the doubt.
    pub pending: bool,
    /// The present doubt came with an error of the participant's: a repeat would meet it again.
    pub errored: bool,
    /// The last definite failure said that another attempt is no use.
    pub final_failure: bool,
}

impl Evidence {
    /// Of a call whose answers were successes.
    const NONE: Self = Self {
        probed_at: None,
        not_before: None,
        doubt_at: None,
        heard_at: None,
        pending: false,
        errored: false,
        final_failure: false,
    };
}

impl Tally {
    /// What is known beside the counts.
    pub fn evidence(&self) -> &Evidence {
        self.evidence.as_deref().unwrap_or(&Evidence::NONE)
    }

    /// The same, to add to it.
    pub(super) fn evidence_mut(&mut self) -> &mut Evidence {
        self.evidence.get_or_insert_with(|| Box::new(Evidence::NONE))
    }

    /// Takes something back of what is known, if anything is.
    pub(super) fn correct(&mut self, take_back: impl FnOnce(&mut Evidence)) {
        if let Some(evidence) = &mut self.evidence {
            take_back(evidence);
        }
    }
}

impl State {
    /// Whether the saga has ended.
    pub fn end(&self) -> Option<End> {
        match self.course {
            Course::Ended(end) => Some(end),
            Course::Forward | Course::Backward => None,
        }
    }

    /// One step, to change it.
    pub(super) fn step_mut(&mut self, index: usize) -> &mut StepState {
        Arc::make_mut(&mut self.steps[index])
    }

    /// The step that needs a person, if any.
    pub fn stuck(&self) -> Option<(usize, Direction, StuckReason)> {
        self.steps.iter().enumerate().find_map(|(index, step)| match step.phase {
            Phase::Stuck { direction, reason } => Some((index, direction, reason)),
            Phase::Waiting
            | Phase::Deciding
            | Phase::Active { .. }
            | Phase::Skipped
            | Phase::Done
            | Phase::Failed
            | Phase::Undone(_) => None,
        })
    }

    /// Where the saga stands, in one word.
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
    /// A step of which nothing has happened yet.
    pub fn waiting() -> Self {
        Self {
            phase: Phase::Waiting,
            since: None,
            output: None,
            shown: None,
            skipped_by_hand: false,
            origin: None,
            action: Tally::default(),
            compensation: Tally::default(),
        }
    }

    /// The counts of one direction.
    pub fn tally(&self, direction: Direction) -> &Tally {
        match direction {
            Direction::Action => &self.action,
            Direction::Compensation => &self.compensation,
        }
    }

    /// The counts of one direction, to change them.
    pub(super) fn tally_mut(&mut self, direction: Direction) -> &mut Tally {
        match direction {
            Direction::Action => &mut self.action,
            Direction::Compensation => &mut self.compensation,
        }
    }
}
