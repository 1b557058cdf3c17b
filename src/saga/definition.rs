//! What a saga is: the definition as plain data, the same value from Rust and from YAML. Owns the shapes and
//! their defaults; `validate.rs` decides which of them can keep the promise, `graph.rs` answers questions
//! about order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::builder;

/// Milliseconds: of an instant since the Unix epoch, or of a duration.
pub type Millis = u64;

/// A definition as an author writes it; [`Definition`](super::Definition) is one that was checked.
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
    /// Time from start after which a saga that has not passed its pivot is turned back. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<Millis>,
    /// How long ended sagas are kept at least. Default: 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<Millis>,
    /// Sagas with equal values run one at a time, across versions of the definition: a plain path into the
    /// input. Null or missing: no limit. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Expression>,
    /// Whom to tell when the saga comes to need a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_stuck: Option<Notice>,
    /// Whom to tell when the saga has ended, however it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_end: Option<Notice>,
    /// What becomes of a saga whose caller goes away before the answer.
    #[serde(default, skip_serializing_if = "OnDisconnect::is_default")]
    pub on_disconnect: OnDisconnect,
    /// Present when a driver may append steps while the saga runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Open>,
}

impl Draft {
    /// Whether a definition notifies any participant of its sagas.
    pub fn tells(&self) -> bool {
        self.on_stuck.is_some() || self.on_end.is_some()
    }
}

/// What becomes of a saga when whoever called it as a tool goes away before the answer: closes the stream, times
/// out, or cancels the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// It goes on; the same call under the same key joins it.
    #[default]
    Continue,
    /// It is cancelled, as an operator would: what was done is undone unless it has passed its pivot.
    Abort,
}

impl OnDisconnect {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// An open saga's lease: the driver must be heard from within it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Time without a word from the driver after which the saga is turned back.
    pub lease_ms: Millis,
}

/// One step of a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Name, unique in the definition; the same rules as for a definition's.
    pub name: String,
    /// Steps that must be done or skipped before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What may become of the step once it is done.
    #[serde(default)]
    pub kind: Kind,
    /// What the step does.
    pub action: Action,
    /// What undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Call>,
    /// The compensation may be called even if the action never took effect.
    #[serde(default, skip_serializing_if = "is_false")]
    pub safe_when_absent: bool,
    /// The author accepts that the effect stays when the saga turns back.
    #[serde(default, skip_serializing_if = "is_false")]
    pub irreversible: bool,
    /// CEL condition over `input` and `steps`; false means that the step is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expression>,
}

/// What may become of a step's effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Can be undone.
    #[default]
    Compensable,
    /// The point of no return: once done, the saga only goes forward. Starts after every compensable step.
    Pivot,
    /// Goes forward only: repeated until done, or stuck. Starts after every compensable step and pivot.
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
    /// Waits for an event that somebody provides; its payload is the output.
    Await {
        /// Name of the event.
        event: String,
        /// Longest wait; afterwards the step has failed. Default: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<Millis>,
    },
    /// Waits for a time; the output is null.
    Sleep {
        /// How long.
        for_ms: Millis,
    },
    /// Asks a person, who approves or denies exactly what is shown; a denial is a definite failure. Before the
    /// point of no return only. The output says who approved it, and why.
    Approval {
        /// What is asked: a string template, over `input` and `steps`.
        message: Template,
        /// What is approved: shown beside the message. Default: null.
        #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
        arguments: Option<Template>,
        /// Whose word is taken. Default [`Approver::Operator`].
        #[serde(default, skip_serializing_if = "Approver::is_default")]
        approver: Approver,
        /// Longest wait from when it is shown; afterwards the step has failed. Default: no limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<Millis>,
    },
}

/// Whose word an approval takes. The doors see to it; the core records who gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approver {
    /// Whoever may operate sagas of the definition.
    #[default]
    Operator,
    /// Besides them, whoever started the saga by calling it as a tool: the person in front of that client.
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
    /// Who is called, and how.
    pub target: Target,
    /// Whether a repeat is safe. Default [`Effect::Once`].
    #[serde(default)]
    pub effect: Effect,
    /// How long the participant remembers a key, more than `timeout_ms` and `settle_ms` together; no repeat
    /// that could land later is sent under it, and an absence that the probe finds later proves nothing. Default: for
    /// ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_lifetime_ms: Option<Millis>,
    /// How often, and how fast.
    #[serde(default)]
    pub retry: Retry,
    /// Limit of one attempt; an attempt without an answer by then is unknown. Default 30 s.
    #[serde(default = "timeout_default")]
    pub timeout_ms: Millis,
    /// Limit from the first attempt; no attempt starts after it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<Millis>,
    /// How long after an attempt without an answer, or one that was only accepted, its effect can still land;
    /// absence proves nothing before, and what is in doubt is not compensated before. Default 10 s.
    #[serde(default = "settle_default")]
    pub settle_ms: Millis,
    /// Asks the participant whether the call took effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// What errors of the participant prove. Default: what its settings say; else those of tools prove nothing, and
    /// HTTP's 4xx prove that there was no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// Which answers are refusals: no effect, and another attempt is no use. After `classify`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// CEL predicate over `result`; false makes an answer that looks successful a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Expression>,
    /// Rules over an answer, first match wins, before the defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classify: Vec<Rule>,
    /// Template of the output over `result`. Default: the whole result.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub output: Option<Template>,
}

impl Call {
    /// Whether its effect and its record are one transaction.
    pub fn is_transactional(&self) -> bool {
        self.effect == Effect::Transactional
    }
}

/// A call that tells somebody what became of a saga: at least once, until it is received, and no saga waits for
/// it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// Who is called, and how.
    pub target: Target,
    /// Limit of one attempt, at most [`NOTICE_TIMEOUT_MS_MAX`]. Default 10 s.
    #[serde(default = "notice_timeout_default")]
    pub timeout_ms: Millis,
    /// CEL predicate over the answer; false means that it was not received. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Expression>,
}

/// Who is called, and how. The core never looks inside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A Rust function registered under this name.
    Handler {
        /// Name of the handler.
        name: String,
        /// Its argument; default: the saga's input and the outputs of the steps that this one needs.
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
        /// Name of the participant in the settings; it gives the base URL and its headers.
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
    /// The participant of the settings that is called; none for a handler.
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
    /// Changes nothing; an unknown outcome is no more than a failed read.
    ReadOnly,
    /// Safe to repeat under the same key until the participant forgets it. Only success resolves a doubt: a
    /// repeat that is refused says nothing of the attempt before it, so give the call a probe where that can
    /// happen.
    Idempotent,
    /// Never repeated on an unknown outcome.
    #[default]
    Once,
    /// Made by a Rust handler in the transaction in which its success is recorded, in the runtime's own Postgres: it is
    /// there exactly once, and without a record of success there is none.
    Transactional,
}

impl Effect {
    /// Whether an attempt of which no success is recorded has surely changed nothing, however it ended.
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
    /// Share of the pause that is drawn by chance, 0 to 1. Default 0.5: between half and the whole.
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
    /// Who is asked, and how.
    pub target: Target,
    /// CEL predicate over `result`: the effect is in place.
    pub applied: Expression,
    /// CEL predicate over `result`: the effect is absent. Default: not `applied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<Expression>,
    /// Template of the action's output over `result`. Default: the whole result.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub output: Option<Template>,
    /// How often an inconclusive answer is asked again. Defaults as for calls, with 10 attempts.
    #[serde(default = "probe_retry_default")]
    pub retry: Retry,
    /// Limit of one probe. Default 30 s.
    #[serde(default = "timeout_default")]
    pub timeout_ms: Millis,
}

/// What errors of a participant prove: a tool's `isError`, JSON-RPC errors, HTTP's 4xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errors {
    /// The participant checks everything before it does anything: an error had no effect.
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
    /// What an answer is that satisfies it.
    pub outcome: Verdict,
    /// CEL expression for the error's text. Default: the answer's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Expression>,
    /// The participant gives this refusal only after it has looked the key up, so it speaks of every attempt under the
    /// key. For `failed` and `retryable`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub answers_key: bool,
    /// What becomes of the key after this answer. Default: it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRule>,
}

/// What becomes of a key after a refusal that may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRule {
    /// The next attempt takes a new one, since the participant repeats its refusal under the old one.
    Renew,
}

/// What a rule makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The effect is in place.
    Succeeded,
    /// No effect, and another attempt is no use.
    Failed,
    /// No effect; another attempt may succeed.
    Retryable,
    /// Accepted; ask later.
    Pending,
    /// The participant answered with an error: the effect may be in place.
    Errored,
    /// Nobody knows.
    Unknown,
}

/// The text of a CEL expression, without `${ }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Expression(pub String);

impl From<&str> for Expression {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A JSON value whose strings may hold `${ expression }`; a string that is one expression keeps the value's
/// type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub Value);

/// A template that stands there: null is a template, too.
fn said<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Template>, D::Error> {
    Template::deserialize(deserializer).map(Some)
}

/// Longest name of a definition, step or event, in characters.
pub const NAME_MAX: usize = 64;
/// Most steps of a definition, appended ones included.
pub const STEPS_MAX: usize = 256;
/// Most attempts that a `retry` may ask for.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// Longest time-out of a notice: what was not received within it is sent again.
pub const NOTICE_TIMEOUT_MS_MAX: Millis = 60_000;
/// Longest duration that a definition may name: ten years.
pub const DURATION_MS_MAX: Millis = 10 * 365 * 24 * 3_600_000;

fn any() -> Value {
    Value::Bool(true)
}
fn empty_object() -> Template {
    Template(Value::Object(serde_json::Map::new()))
}
fn is_false(value: &bool) -> bool {
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
