//! Everything that can happen to a saga, in the past tense. Each event is one row of the journal. Time,
//! jitter and outcomes are fields, so replay is the same fold. Owns the shapes; `transition.rs` decides what
//! follows.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::Json;
use super::approval::Shown;
use super::definition::{Millis, Step};
use super::law::Law;
use super::outcome::{Answer, DecidedBy, Error, Outcome};
use super::rerun::Rerun;

/// Which way a call goes: the action, or its compensation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The step's action.
    Action,
    /// The step's compensation.
    Compensation,
}

impl Event {
    /// Returns the word used in the journal's `kind` column.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started(event) if event.law.is_first() => "started",
            // An older version must not fold what it cannot: it ignores unknown fields, and sets aside an unknown kind.
            Self::Started(_) => "begun",
            Self::ConditionDecided(_) => "condition_decided",
            Self::ApprovalShown(_) => "approval_shown",
            Self::AttemptEnded(_) => "attempt_ended",
            Self::ProbeAnswered(_) => "probe_answered",
            Self::TimerFired(_) => "timer_fired",
            Self::OwnerLost(_) => "owner_lost",
            Self::Withdrawn(_) => "withdrawn",
            Self::Requested(_) => "requested",
            Self::RequestRefused(_) => "request_refused",
        }
    }
}

impl Direction {
    /// Returns the word used in idempotency keys, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Compensation => "compensation",
        }
    }
}

/// Something that happened. In JSON an object with one field, the [`kind`](Self::kind).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The saga was started; always the first row.
    #[serde(alias = "begun")]
    Started(Started),
    /// The `when` of a step was evaluated.
    ConditionDecided(ConditionDecided),
    /// What a person shall approve is on record, before anybody is asked.
    ApprovalShown(ApprovalShown),
    /// An attempt of a step's action or compensation ended.
    AttemptEnded(AttemptEnded),
    /// A probe answered.
    ProbeAnswered(ProbeAnswered),
    /// A time came for which the saga was waiting.
    TimerFired(TimerFired),
    /// The process that ran the saga is gone; what it had under way is lost.
    OwnerLost(OwnerLost),
    /// The process that runs the saga hands it back, and has not begun what it was asked to do.
    Withdrawn(Withdrawn),
    /// An operator or a driver asked for something, and it was applied.
    Requested(Requested),
    /// The same, but it was refused.
    RequestRefused(RequestRefused),
}

/// Events as they are written: the first one's name depends on its law.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Written<'a> {
    Started(&'a Started),
    Begun(&'a Started),
    ConditionDecided(&'a ConditionDecided),
    ApprovalShown(&'a ApprovalShown),
    AttemptEnded(&'a AttemptEnded),
    ProbeAnswered(&'a ProbeAnswered),
    TimerFired(&'a TimerFired),
    OwnerLost(&'a OwnerLost),
    Withdrawn(&'a Withdrawn),
    Requested(&'a Requested),
    RequestRefused(&'a RequestRefused),
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self {
            Self::Started(event) if event.law.is_first() => Written::Started(event),
            Self::Started(event) => Written::Begun(event),
            Self::ConditionDecided(event) => Written::ConditionDecided(event),
            Self::ApprovalShown(event) => Written::ApprovalShown(event),
            Self::AttemptEnded(event) => Written::AttemptEnded(event),
            Self::ProbeAnswered(event) => Written::ProbeAnswered(event),
            Self::TimerFired(event) => Written::TimerFired(event),
            Self::OwnerLost(event) => Written::OwnerLost(event),
            Self::Withdrawn(event) => Written::Withdrawn(event),
            Self::Requested(event) => Written::Requested(event),
            Self::RequestRefused(event) => Written::RequestRefused(event),
        };
        written.serialize(serializer)
    }
}

/// The saga was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The law of the journal.
    #[serde(default, skip_serializing_if = "Law::is_first")]
    pub law: Law,
    /// When its journal began, by the database's clock.
    pub at: Millis,
    /// How long it had waited by then for a node to take it up, since its start or, where sagas take turns, since its
    /// ctx.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: Millis,
    /// The input, checked against the definition's schema.
    pub input: Json,
    /// What it takes over of a saga that has ended; none for nearly all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Box<Rerun>>,
    /// The position in a trace from which it was started, as W3C writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Arc<str>>,
}

impl Started {
    /// A start under the newest law that takes over nothing.
    pub fn new(at: Millis, input: Json) -> Self {
        Self { law: Law::NEWEST, at, waited_ms: 0, input, rerun: None, traceparent: None }
    }
}

/// The `when` of a step was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionDecided {
    /// When.
    pub at: Millis,
    /// Index of the step.
    pub step: usize,
    /// What came out.
    pub decision: Decision,
}

/// What the `when` of a step says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on with the step.
    Run,
    /// Leave it out.
    Skip,
    /// The expression failed: the step has failed before any call.
    Failed(Error),
}

/// What a person shall approve is on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalShown {
    /// When.
    pub at: Millis,
    /// Index of the step.
    pub step: usize,
    /// What is shown.
    pub showing: Showing,
}

/// What an approval shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Showing {
    /// This.
    Shown(Shown),
    /// An expression failed: the step has failed, and nobody was asked.
    Failed(Error),
}

/// An attempt of a step's action or compensation ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnded {
    /// When.
    pub at: Millis,
    /// Index of the step.
    pub step: usize,
    /// Action or compensation.
    pub direction: Direction,
    /// Number of the attempt, from 1, over all generations.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What decided so; none where a plain success needs no reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Box<DecidedBy>>,
    /// Chance for the next pause, 0 to 1.
    pub jitter: f64,
}

/// A probe answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeAnswered {
    /// When.
    pub at: Millis,
    /// Index of the step.
    pub step: usize,
    /// Whether the action or the compensation was asked about.
    pub direction: Direction,
    /// Number of the probe, from 1, over all doubts of this call.
    pub probe: u32,
    /// What it found.
    pub answer: Answer,
    /// What decided so: a predicate of the probe, or why none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Box<DecidedBy>>,
    /// Chance for the next pause, 0 to 1.
    pub jitter: f64,
}

/// A time came for which the saga was waiting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerFired {
    /// When.
    pub at: Millis,
}

/// The process that ran the saga is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnerLost {
    /// When the next owner found out.
    pub at: Millis,
    /// Chance for the next pause, 0 to 1.
    pub jitter: f64,
    /// The saga was tried alone, and processes died of it each time: the calls under which they died wait for
    /// a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub convicted: bool,
}

/// The process that runs the saga hands it back in good order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// When.
    pub at: Millis,
    /// Indexes of the steps whose commands were not begun: no attempt was made, no probe asked.
    pub steps: Vec<usize>,
}

/// An operator or a driver asked for something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requested {
    /// When it was applied.
    pub at: Millis,
    /// When it was made; none: when it was applied. A deadline that had passed by then refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Millis>,
    /// Number of the signal within its saga, from 1; 0 for requests that are no signal.
    pub signal: u64,
    /// Who asked, as the database saw them.
    pub by: String,
    /// What was asked.
    pub request: Request,
}

/// A request was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestRefused {
    /// When.
    pub at: Millis,
    /// Number of the signal within its saga.
    pub signal: u64,
    /// Who asked.
    pub by: String,
    /// What was asked, as the verb's name.
    pub verb: String,
    /// Why not, and what is legal instead.
    pub reason: String,
}

/// What operators and drivers may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// TransitionContext back and compensate.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Try a step again now, with a fresh budget of attempts.
    Retry {
        /// Name of the step.
        step: String,
        /// Under a new key, for a participant that repeats a refusal under the old one. Refused while the call is in
        /// doubt.
        #[serde(default, skip_serializing_if = "is_false")]
        new_key: bool,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Take a step for done without calling it, or a stuck compensation for done by hand; or go on without a
    /// step of an open saga that has failed.
    Skip {
        /// Name of the step.
        step: String,
        /// Its output; null for a compensation.
        output: Json,
        /// Why.
        reason: String,
    },
    /// Say what became of a call in doubt.
    Resolve {
        /// Name of the step.
        step: String,
        /// What the operator found.
        finding: Finding,
        /// How many attempts there were when they looked, as `attempts` of `amends.stuck` says. With another one since,
        /// the finding says nothing of it and is refused. None: those before the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempts: Option<u32>,
        /// How they know.
        reason: String,
    },
    /// Start nothing new until resumed.
    Pause {
        /// Why.
        reason: String,
    },
    /// Go on after a pause.
    Resume {
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Close the saga by hand, as it is.
    Abandon {
        /// Why; never empty.
        reason: String,
    },
    /// Take the saga away from the lane that has it. Where it runs is nothing to the law: the saga stays as
    /// it is, and says so in its journal.
    Evict {
        /// Number of the lane; one that has the saga no more refuses.
        lane: u64,
        /// Why; never empty.
        reason: String,
    },
    /// Append a step to an open saga; the same name with the same step again is no change.
    Append {
        /// The step.
        step: Box<Step>,
    },
    /// Close an open saga's plan: it completes when its steps have. Refused while a step has failed that was
    /// not skipped.
    Commit,
    /// TransitionContext an open saga back.
    Abort {
        /// Why.
        reason: String,
    },
    /// The driver of an open saga is alive.
    Touch,
    /// Approve what a step shows. Used up by the step: there is no other answer after it.
    Approve {
        /// Name of the step.
        step: String,
        /// Digest of what was shown to whoever approves.
        digest: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Deny what a step asks; the step has failed, without an effect.
    Deny {
        /// Name of the step.
        step: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Provide an event for which a step waits, or will.
    Provide {
        /// Name of the event. A pending step without a probe waits for the event of its own name, a pending
        /// compensation without one for `NAME.compensation`.
        event: String,
        /// Output of the waiting step.
        payload: Json,
    },
}

/// What an operator found out about a call in doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The effect is in place.
    Applied {
        /// The output that the lost answer would have carried.
        output: Json,
    },
    /// The effect is not there and cannot land any more.
    Absent,
}

fn is_zero(value: &Millis) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !value
}
