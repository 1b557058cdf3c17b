//! The events of a saga. Each event is one row of the journal. Time, jitter and outcomes are fields of the event, so
//! a replay gives the same states. Owns the types; `transition.rs` decides what follows an event.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::Json;
use super::approval::Shown;
use super::asker::Asker;
use super::definition::{Millis, Step};
use super::law::Law;
use super::outcome::{Answer, DecidedBy, Error, Outcome};
use super::rerun::Rerun;

/// Direction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The step's action.
    Action,
    /// The step's compensation.
    Compensation,
}

impl Event {
    /// Returns the word in the journal's `kind` column.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started(event) if event.law.is_first() => "started",
            // An older version of amends must not fold a journal of a newer law. It ignores unknown fields, but it
            // sets aside a saga with an unknown kind.
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
    /// Returns the word in idempotency keys of law V1, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Compensation => "compensation",
        }
    }
}

/// Something that happened to a saga. In JSON an object with one field, named by [`kind`](Self::kind).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The saga was started. Always the first row.
    #[serde(alias = "begun")]
    Started(Started),
    /// The `when` of a step was evaluated.
    ConditionDecided(ConditionDecided),
    /// The question of an approval is on record. No person is asked before that.
    ApprovalShown(ApprovalShown),
    /// An attempt of a step's action or compensation ended.
    AttemptEnded(AttemptEnded),
    /// A probe answered.
    ProbeAnswered(ProbeAnswered),
    /// A time passed that the saga was waiting for.
    TimerFired(TimerFired),
    /// The process that ran the saga is gone. The calls that it had under way are lost.
    OwnerLost(OwnerLost),
    /// The process that ran the saga hands calls back that it did not begin.
    Withdrawn(Withdrawn),
    /// A request of an operator or a driver was applied.
    Requested(Requested),
    /// A request of an operator or a driver was refused.
    RequestRefused(RequestRefused),
}

/// An event as it is written. The name of the first event depends on the law.
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
    /// Law of the journal.
    #[serde(default, skip_serializing_if = "Law::is_first")]
    pub law: Law,
    /// When the journal began, by the database's clock.
    pub at: Millis,
    /// How long the saga had waited for a node by then: since its start or, for sagas that take turns, since its
    /// turn.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: Millis,
    /// Input, checked against the definition's schema.
    pub input: Json,
    /// What the saga takes over from an ended saga. None for nearly all sagas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Box<Rerun>>,
    /// W3C trace context of the caller that started the saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Arc<str>>,
    /// Name of the role or caller that started the saga. None: an older version did, or the program around a node
    /// without a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// The person that `by` claims to be, or to start it for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Arc<str>>,
}

impl Started {
    /// Makes a start under the newest law that takes nothing over.
    pub fn new(at: Millis, input: Json) -> Self {
        let (rerun, traceparent, by, claims) = (None, None, None, None);
        Self { law: Law::NEWEST, at, waited_ms: 0, input, rerun, traceparent, by, claims }
    }

    /// Records who starts the saga.
    pub fn by(self, starter: Option<Asker>) -> Self {
        let Some(Asker { name, claims }) = starter else { return self };
        Self { by: Some(name), claims, ..self }
    }
}

/// The `when` of a step was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionDecided {
    /// When.
    pub at: Millis,
    /// Index of the step.
    pub step: usize,
    /// Result of the condition.
    pub decision: Decision,
}

/// Result of a step's `when`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Run the step.
    Run,
    /// Skip the step.
    Skip,
    /// The expression failed, so the step failed before any call.
    Failed(Error),
}

/// The question of an approval is on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApprovalShown {
    /// When.
    pub at: Millis,
    /// Index of the step.
    pub step: usize,
    /// The question, or why there is none.
    pub showing: Showing,
}

/// Result of rendering an approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Showing {
    /// The question.
    Shown(Shown),
    /// An expression failed, so the step failed without a question.
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
    /// Rule that decided the outcome. None for a plain success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Box<DecidedBy>>,
    /// Random number for the next pause, 0 to 1.
    pub jitter: f64,
}

/// A probe answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeAnswered {
    /// When.
    pub at: Millis,
    /// Index of the step.
    pub step: usize,
    /// Whether the probe asked about the action or the compensation.
    pub direction: Direction,
    /// Number of the probe, from 1, over all doubts of this call.
    pub probe: u32,
    /// What it found.
    pub answer: Answer,
    /// What decided the answer: a predicate of the probe, or why no predicate decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Box<DecidedBy>>,
    /// Random number for the next pause, 0 to 1.
    pub jitter: f64,
}

/// A time passed that the saga was waiting for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerFired {
    /// When.
    pub at: Millis,
}

/// The process that ran the saga is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnerLost {
    /// When the next owner noticed the loss.
    pub at: Millis,
    /// Random number for the next pause, 0 to 1.
    pub jitter: f64,
    /// The saga ran in quarantine and killed its process each time. The calls that killed processes need a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub convicted: bool,
}

/// The process that ran the saga hands calls back that it did not begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// When.
    pub at: Millis,
    /// Indexes of the steps whose calls did not begin: no attempt was made and no probe was sent.
    pub steps: Vec<usize>,
}

/// A request of an operator or a driver was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requested {
    /// When it was applied.
    pub at: Millis,
    /// When the request was made. None means the time of `at`. A deadline that had passed by then refuses the
    /// request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Millis>,
    /// Number of the signal within its saga, from 1. 0 for a request that is no signal.
    pub signal: u64,
    /// Name of the caller, as the database knows it.
    pub by: String,
    /// As far as names and claims tell, the caller may be who started the saga. Such a caller approves nothing, unless
    /// the definition says `approver: caller`.
    #[serde(default, skip_serializing_if = "super::definition::is_false")]
    pub by_starter: bool,
    /// The request.
    pub request: Request,
}

/// A request of an operator or a driver was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestRefused {
    /// When.
    pub at: Millis,
    /// Number of the signal within its saga.
    pub signal: u64,
    /// Name of the caller.
    pub by: String,
    /// Name of the requested verb.
    pub verb: String,
    /// Why it was refused, and what is legal instead.
    pub reason: String,
}

/// Request of an operator or a driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Turn back and compensate.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Attempt a step again now, with a new budget of attempts and probes.
    Retry {
        /// Name of the step.
        step: String,
        /// Take a new key, for a participant that repeats a refusal under the old one. Refused while the call is in
        /// doubt.
        #[serde(default, skip_serializing_if = "super::definition::is_false")]
        new_key: bool,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Skip a step: take it as done without calling it. On a stuck compensation: take the effect as undone by hand.
    /// On a failed step of an open saga: go on without the step.
    Skip {
        /// Name of the step.
        step: String,
        /// Output of the step. Null for a compensation.
        output: Json,
        /// Why.
        reason: String,
    },
    /// Record the outcome of a call in doubt.
    Resolve {
        /// Name of the step.
        step: String,
        /// What the operator found.
        finding: Finding,
        /// Number of attempts when the operator looked, as `attempts` in `amends.stuck`. A finding is refused if an
        /// attempt was made since then, because it says nothing about that attempt. None means the attempts before
        /// the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempts: Option<u32>,
        /// How the operator knows.
        reason: String,
    },
    /// Start nothing new until the saga is resumed.
    Pause {
        /// Why.
        reason: String,
    },
    /// Resume after a pause.
    Resume {
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// End the saga by hand, as it is.
    Abandon {
        /// Why; never empty.
        reason: String,
    },
    /// Take the saga away from its lane. The core does not know where a saga runs: the state stays the same, and the
    /// journal records the request.
    Evict {
        /// Number of the lane. A lane that no longer has the saga refuses.
        lane: u64,
        /// Why; never empty.
        reason: String,
    },
    /// Append a step to an open saga. Appending an identical step of the same name again changes nothing.
    Append {
        /// The step.
        step: Box<Step>,
    },
    /// Close the plan of an open saga. The saga completes when its steps are done. Refused while a failed step is not
    /// skipped.
    Commit,
    /// Turn an open saga back.
    Abort {
        /// Why.
        reason: String,
    },
    /// Keep the lease of the driver of an open saga alive.
    Touch,
    /// Approve the question of a step. The step accepts one answer only.
    Approve {
        /// Name of the step.
        step: String,
        /// Digest of the question that the approver saw.
        digest: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Deny the question of a step. The step fails without an effect.
    Deny {
        /// Name of the step.
        step: String,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Provide an event that a step waits for, or will wait for.
    Provide {
        /// Name of the event. A pending action without a probe waits for the event named after its step. A pending
        /// compensation without a probe waits for `NAME.compensation`.
        event: String,
        /// Output of the waiting step.
        payload: Json,
    },
}

/// An operator's finding about a call in doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The effect is in place.
    Applied {
        /// The output that the lost answer would have carried.
        output: Json,
    },
    /// The effect is not in place and cannot land any more.
    Absent,
}

fn is_zero(value: &Millis) -> bool {
    *value == 0
}
