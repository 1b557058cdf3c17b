//! What calls return: outcomes of attempts, answers of probes, and recorded errors. Owns the types. `participant`
//! turns answers on the wire into them.

use serde::{Deserialize, Serialize};

use super::Json;
use super::definition::Millis;

/// Outcome of one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The effect is in place.
    Succeeded {
        /// The participant's answer, shaped by the `output` template.
        output: Json,
    },
    /// This attempt definitely had no effect.
    Failed {
        /// Error of the attempt.
        error: Error,
        /// Another attempt may succeed.
        retryable: bool,
        /// Pause that the participant asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
        /// The participant looked the key up before it refused. No earlier attempt under the key has had an effect or
        /// will have one.
        #[serde(default, skip_serializing_if = "super::definition::is_false")]
        answers_key: bool,
        /// The participant repeats this refusal under the same key, so the next attempt takes a new key.
        #[serde(default, skip_serializing_if = "super::definition::is_false")]
        renew_key: bool,
    },
    /// The participant answered with an error that does not tell how far the call came. The effect may be in place.
    Errored {
        /// Error that the participant answered.
        error: Error,
        /// Pause that the participant asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
    },
    /// The participant accepted the call and may carry it out later or not at all. The probe or an event reports the
    /// result.
    Pending {
        /// Pause that the participant asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
    },
    /// The effect is unknown: time-out, lost connection, panic, process death.
    Unknown {
        /// Why there is no answer.
        error: Error,
        /// Pause that the participant, or a proxy in front of it, asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
    },
}

impl Outcome {
    /// Makes a definite failure that rules out another attempt.
    pub fn failed(error: Error) -> Self {
        Self::definite(error, false, None)
    }

    /// Makes a definite failure that allows another attempt, after the given pause if the participant asked for one.
    pub fn retryable(error: Error, retry_after_ms: Option<Millis>) -> Self {
        Self::definite(error, true, retry_after_ms)
    }

    /// Makes an outcome with an unknown effect.
    pub fn unknown(error: Error) -> Self {
        Self::Unknown { error, retry_after_ms: None }
    }

    /// Returns the pause that the participant asked for.
    pub fn retry_after_ms(&self) -> Option<Millis> {
        match self {
            Self::Succeeded { .. } => None,
            Self::Failed { retry_after_ms, .. }
            | Self::Errored { retry_after_ms, .. }
            | Self::Pending { retry_after_ms }
            | Self::Unknown { retry_after_ms, .. } => *retry_after_ms,
        }
    }

    fn definite(error: Error, retryable: bool, retry_after_ms: Option<Millis>) -> Self {
        Self::Failed { error, retryable, retry_after_ms, answers_key: false, renew_key: false }
    }
}

/// The rule that decided an outcome or an answer, for operators and for authors of definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedBy {
    /// Name of a default rule, or the place of a rule in the definition, such as `classify[0]`.
    pub rule: String,
    /// HTTP status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl DecidedBy {
    /// Records the rule, and the HTTP status if there was one.
    pub fn new(rule: impl Into<String>, status: Option<u16>) -> Self {
        Self { rule: rule.into(), status }
    }
}

/// Answer of a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The effect is in place.
    Applied {
        /// The output that the lost answer would have carried.
        output: Json,
    },
    /// No effect is in place now.
    Absent,
    /// The probe failed, or its answer proves nothing.
    Inconclusive {
        /// Why the answer proves nothing.
        error: Error,
        /// Pause that the participant asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
    },
}

impl Answer {
    /// Makes an answer that proves nothing.
    pub fn inconclusive(error: Error) -> Self {
        Self::Inconclusive { error, retry_after_ms: None }
    }
}

/// An error as recorded data. Programs and people read it again after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// Stable word for programs: `timeout`, `refused`, `tool_error`, `expression`, ... or a code of the participant.
    pub code: String,
    /// Sentence for people, without secrets.
    pub message: String,
}

impl Error {
    /// Makes an error from a code and a message. A message longer than [`ERROR_MESSAGE_MAX`] bytes is cut.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > ERROR_MESSAGE_MAX {
            let mut end = ERROR_MESSAGE_MAX;
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
            message.push('…');
        }
        Self { code: code.into(), message }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Error code of a transactional attempt whose handler ended the transaction, or tried to. What the handler committed
/// stays. Every other failure of such an attempt rolls the transaction back.
pub const TRANSACTION_ENDED: &str = "transaction_ended";

/// Longest recorded error message, in bytes.
pub const ERROR_MESSAGE_MAX: usize = 2_000;
