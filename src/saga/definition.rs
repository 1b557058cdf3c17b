//! The definition of a saga as plain data. Rust code and YAML files give the same value. Owns the types and their
//! defaults. `validate.rs` decides which definitions can keep the promise; `plan.rs` resolves the order of steps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::builder;
pub use super::quota::{QUOTA_BYTES_MAX, QUOTA_LIVE_MAX, Quota};

/// Milliseconds: an instant since the Unix epoch, or a duration.
pub type Millis = u64;

/// A definition as its author writes it. [`Definition`](super::Definition) is a checked one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Name: lower case letters, digits and `_`, at most [`NAME_MAX`] characters.
    pub name: String,
    /// One or two sentences for people and for models that call the saga as a tool.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// JSON Schema of the input. Default: anything.
    #[serde(default = "any")]
    pub input: Value,
    /// JSON Schema of the output, for documentation and tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Template of the output, over `input` and `steps.NAME`. Default: an object of all steps' outputs.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub output: Option<Template>,
    /// The steps. May be empty only when the saga is open.
    pub steps: Vec<Step>,
    /// Time from the start after which a saga before its point of no return turns back. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<Millis>,
    /// Least time for which ended sagas are kept. Default: 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<Millis>,
    /// Plain path into the input. Sagas with equal values run one at a time, across all versions. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Expression>,
    /// Which waiting starts nodes take first: `high`, `normal` or `low`, or a plain path to such a word in the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Expression>,
    /// What waiting starts share the nodes by, one of each value in turn: `principal`, or a plain path into the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness: Option<Expression>,
    /// Limits of the live sagas of each fairness key. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Notice to send when a step of the saga comes to need a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_stuck: Option<Notice>,
    /// Notice to send when the saga has ended in any way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_end: Option<Notice>,
    /// What happens to a saga whose caller goes away before the answer.
    #[serde(default, skip_serializing_if = "OnDisconnect::is_default")]
    pub on_disconnect: OnDisconnect,
    /// Present when a driver may append steps while the saga runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Open>,
}

/// What happens to a saga whose MCP client closes the stream, times out, or cancels the request before the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// The saga goes on. The same call under the same key joins it.
    #[default]
    Continue,
    /// The saga is cancelled, as by an operator: it undoes its steps unless it has passed its point of no return.
    Abort,
}

impl OnDisconnect {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Lease of an open saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// The saga turns back if its driver sends nothing for this time.
    pub lease_ms: Millis,
}

/// One step of a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Name, unique in the definition. The rules are those for the name of a definition.
    pub name: String,
    /// Steps that must be done or skipped before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Whether the step can be undone, and when it may start.
    #[serde(default)]
    pub kind: Kind,
    /// What the step does.
    pub action: Action,
    /// Call that undoes the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Call>,
    /// Whether the compensation may be called even if the action never took effect.
    #[serde(default, skip_serializing_if = "is_false")]
    pub safe_when_absent: bool,
    /// Whether the author accepts that the effect stays when the saga turns back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub irreversible: bool,
    /// CEL condition over `input` and `steps`. If it is false, the step is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expression>,
}

/// Place of a step relative to the point of no return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The effect can be undone.
    #[default]
    Compensable,
    /// The point of no return: once it is done, the saga only goes forward. Starts after every compensable step.
    Pivot,
    /// Only goes forward: attempted until it is done or stuck. Starts after every compensable step and every pivot.
    Retriable,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per step of a definition, and it is never moved on a hot path"
)]
pub enum Action {
    /// Calls a participant.
    Call(Call),
    /// Waits for an event from outside. The payload of the event is the output.
    Await {
        /// Name of the event.
        event: String,
        /// Longest wait; after it the step fails. Default: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<Millis>,
    },
    /// Sleeps. The output is null.
    Sleep {
        /// How long.
        for_ms: Millis,
    },
    /// Asks a person to approve or deny exactly what is shown. A denial is a definite failure. Allowed only before
    /// the point of no return. The output names the approver and the reason.
    Approval {
        /// Text of the question: a string template over `input` and `steps`.
        message: Template,
        /// What the person approves; shown beside the message. Default: null.
        #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
        arguments: Option<Template>,
        /// Who may answer. Default [`Approver::Operator`].
        #[serde(default, skip_serializing_if = "Approver::is_default")]
        approver: Approver,
        /// Longest wait from the time when the question is shown; after it the step fails. Default: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<Millis>,
    },
}

/// Who may answer an approval. The entry points (SQL, CLI, MCP) enforce it; the core records who answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// Everyone who may operate sagas of the definition.
    #[default]
    Operator,
    /// These operators, and the person in front of the MCP client that started the saga.
    Caller,
}

impl Approver {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One call of a participant: the action or the compensation of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// What is called, and how.
    pub target: Target,
    /// Whether a repeat is safe. Default [`Effect::Once`].
    #[serde(default)]
    pub effect: Effect,
    /// How long the participant remembers a key: more than `timeout_ms` plus `settle_ms`. No repeat is sent under a
    /// key if it could land later, and a probe that finds no effect later proves nothing. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_lifetime_ms: Option<Millis>,
    /// How often and how fast the call is attempted.
    #[serde(default)]
    pub retry: Retry,
    /// Limit of one attempt. An attempt without an answer by then has an unknown outcome. Default 30 s.
    #[serde(default = "timeout_default")]
    pub timeout_ms: Millis,
    /// Limit of all attempts together, counted from the first. No attempt starts after it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<Millis>,
    /// How long the effect of an attempt without an answer, or of an accepted attempt, can still land. Before that,
    /// absence proves nothing and an action in doubt is not compensated. Default 10 s.
    #[serde(default = "settle_default")]
    pub settle_ms: Millis,
    /// Asks the participant whether the call took effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// What errors of the participant prove. Default: what the participant's settings say. Without such a setting,
    /// errors of tools prove nothing, and HTTP 4xx proves that there was no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// Which answers are refusals: no effect, and no use in another attempt. Checked after `classify`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// CEL predicate over `result`. If it is false, an answer that looks successful is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Expression>,
    /// Rules over an answer. The first match wins, before the default rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classify: Vec<Rule>,
    /// Template of the output over `result`. Default: the whole result.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub output: Option<Template>,
}

impl Call {
    /// Returns whether the effect and its record are one transaction.
    pub fn is_transactional(&self) -> bool {
        self.effect == Effect::Transactional
    }
}

/// A call that reports on a saga to a participant. Sent at least once, until it is received; no saga waits for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// What is called, and how.
    pub target: Target,
    /// Limit of one attempt, at most [`NOTICE_TIMEOUT_MS_MAX`]. Default 10 s.
    #[serde(default = "notice_timeout_default")]
    pub timeout_ms: Millis,
    /// CEL predicate over the answer. If it is false, the notice was not received. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Expression>,
}

/// What is called, and how. The core does not look inside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A Rust function registered under this name.
    Handler {
        /// Name of the handler.
        name: String,
        /// Argument of the handler. Default: the saga's input and the outputs of the steps that this step needs.
        #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
        arguments: Option<Template>,
    },
    /// A tool of an MCP server.
    Tool {
        /// Name of the participant in the settings.
        participant: String,
        /// Name of the tool.
        tool: String,
        /// Arguments: an object template.
        #[serde(default = "empty_object")]
        arguments: Template,
    },
    /// A plain HTTP request.
    Http {
        /// Name of the participant in the settings, which give its base URL and its headers.
        participant: String,
        /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
        method: String,
        /// Path below the base URL: a string template.
        path: Template,
        /// Query parameters: templates by name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        query: BTreeMap<String, Template>,
        /// Further headers: string templates by name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, Template>,
        /// JSON body template. Default: none.
        #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
        body: Option<Template>,
    },
}

impl Target {
    /// Returns the name of the participant in the settings; none for a handler.
    pub fn participant(&self) -> Option<&str> {
        match self {
            Self::Handler { .. } => None,
            Self::Tool { participant, .. } | Self::Http { participant, .. } => Some(participant),
        }
    }
}

/// Whether a repeat under the same idempotency key is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing. An unknown outcome is only a failed read.
    ReadOnly,
    /// Safe to repeat under the same key until the participant forgets the key. Without a probe, only a success or a
    /// refusal with `answers_key` resolves a doubt: any other refusal says nothing about an earlier attempt. Give the
    /// call a probe if it can be refused in another way.
    Idempotent,
    /// Never repeated after an unknown outcome.
    #[default]
    Once,
    /// Made by a Rust handler in the transaction that records its success, in the runtime's own Postgres. The effect
    /// is there exactly once if a success is recorded, and not at all otherwise.
    Transactional,
}

impl Effect {
    /// Returns whether an attempt without a recorded success has surely changed nothing, however it ended.
    pub fn is_never_in_doubt(self) -> bool {
        match self {
            Self::ReadOnly | Self::Transactional => true,
            Self::Idempotent | Self::Once => false,
        }
    }
}

/// How often a call is attempted, and the pause between attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts in all, the first included. Default 5.
    pub attempts: u32,
    /// Pause after the first attempt. Default 500 ms.
    pub backoff_ms: Millis,
    /// Factor from each pause to the next. Default 2.
    pub multiplier: f64,
    /// Longest pause. Default 60 s.
    pub backoff_max_ms: Millis,
    /// Share of the pause that is random, 0 to 1. Default 0.5: between half of the pause and the whole.
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, backoff_ms: 500, multiplier: 2.0, backoff_max_ms: 60_000, jitter: 0.5 }
    }
}

/// Asks a participant whether a call took effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What is asked, and how.
    pub target: Target,
    /// CEL predicate over `result`: the effect is in place.
    pub applied: Expression,
    /// CEL predicate over `result`: the effect is absent. Default: not `applied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Expression>,
    /// Template of the action's output over `result`. Default: the whole result.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub output: Option<Template>,
    /// How often and how fast the probe is asked. Defaults as for calls, with 10 attempts.
    #[serde(default = "probe_retry_default")]
    pub retry: Retry,
    /// Limit of one probe. Default 30 s.
    #[serde(default = "timeout_default")]
    pub timeout_ms: Millis,
}

/// What errors of a participant prove: a tool's `isError`, JSON-RPC errors, HTTP 4xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errors {
    /// The participant checks everything before it does anything, so an error had no effect.
    Definite,
    /// An error may come after the effect.
    Unknown,
}

/// Which answers are refusals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// CEL predicate over the answer.
    pub when: Expression,
    /// See [`Rule::answers_key`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub answers_key: bool,
}

/// One rule of `classify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// CEL predicate over the answer.
    pub when: Expression,
    /// Outcome of an answer that satisfies `when`.
    pub outcome: Verdict,
    /// CEL expression for the text of the error. Default: the text of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Expression>,
    /// The participant looks the key up before it gives this refusal, so the refusal holds for every attempt under
    /// the key. Allowed for `failed` and `retryable`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub answers_key: bool,
    /// What happens to the key after this answer. Default: it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRule>,
}

/// What happens to a key after a refusal that allows another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRule {
    /// The next attempt takes a new key, because the participant repeats the refusal under the old one.
    Renew,
}

/// Outcome that a rule gives an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The effect is in place.
    Succeeded,
    /// No effect, and no use in another attempt.
    Failed,
    /// No effect; another attempt may succeed.
    Retryable,
    /// The participant accepted the call; the effect may come later.
    Pending,
    /// The participant answered with an error. The effect may be in place.
    Errored,
    /// The effect is unknown.
    Unknown,
}

/// The text of a CEL expression, without `${ }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Expression(pub String);

/// JSON whose strings may hold `${ expression }`. A string that is one expression keeps the type of its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub Value);

/// Reads a template that is present, so that null is a template and not a missing field.
fn said<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Template>, D::Error> {
    Template::deserialize(deserializer).map(Some)
}

/// Longest name of a definition, step or event, in characters.
pub const NAME_MAX: usize = 64;
/// Most steps of a definition, appended ones included.
pub const STEPS_MAX: usize = 256;
/// Most attempts that a `retry` may ask for.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// Longest time-out of a notice. A notice that was not received within it is sent again.
pub const NOTICE_TIMEOUT_MS_MAX: Millis = 60_000;
/// Longest duration in a definition: ten years.
pub const DURATION_MS_MAX: Millis = 10 * 365 * 24 * 3_600_000;

fn any() -> Value {
    Value::Bool(true)
}
fn empty_object() -> Template {
    Template(Value::Object(serde_json::Map::new()))
}
pub(super) fn is_false(value: &bool) -> bool {
    !value
}
fn timeout_default() -> Millis {
    builder::TIMEOUT_MS
}
fn notice_timeout_default() -> Millis {
    builder::NOTICE_TIMEOUT_MS
}
fn settle_default() -> Millis {
    builder::SETTLE_MS
}
fn probe_retry_default() -> Retry {
    Retry { attempts: builder::PROBE_ATTEMPTS, ..Retry::default() }
}
