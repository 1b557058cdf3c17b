//! What a call may come to: outcomes of attempts, answers of probes, and errors as recorded data. Owns the
//! words; how an answer on the wire becomes one of them is the participants' business.

use serde::{Deserialize, Serialize};

use super::Json;
use super::definition::Millis;

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The effect is in place.
    Succeeded {
        /// What the participant answered, through the `output` template.
        output: Json,
    },
    /// This attempt definitely had no effect.
    Failed {
        /// What went wrong.
        error: Error,
        /// Another attempt may succeed.
        retryable: bool,
        /// The participant asked for this pause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
        /// The participant looked the key up before it refused: no earlier attempt under it has had an effect, or will.
        #[serde(default, skip_serializing_if = "is_false")]
        answers_key: bool,
        /// The participant repeats this refusal under the same key, so the next attempt takes a new one.
        #[serde(default, skip_serializing_if = "is_false")]
        renew_key: bool,
    },
    /// The participant answered with an error, which does not say how far the call came: its effect may be in place.
    Errored {
        /// What the participant said.
        error: Error,
        /// The participant asked for this pause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
    },
    /// Accepted; the effect will come or not. Ask later.
    Pending {
        /// The participant asked for this pause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
    },
    /// Nobody knows: time-out, lost connection, panic, process death.
    Unknown {
        /// Why there is no answer.
        error: Error,
        /// The participant, or somebody before it, asked for this pause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
    },
}

impl Outcome {
    /// A definite failure after which another attempt is no use.
    pub fn failed(error: Error) -> Self {
        Self::definite(error, false, None)
    }

    /// A definite failure after which another attempt may succeed, after this pause if the participant asked for one.
    pub fn retryable(error: Error, retry_after_ms: Option<Millis>) -> Self {
        Self::definite(error, true, retry_after_ms)
    }

    /// An end that says nothing of the effect.
    pub fn unknown(error: Error) -> Self {
        Self::Unknown { error, retry_after_ms: None }
    }

    /// The pause that the participant asked for.
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

/// What decided how an attempt ended: for people, and for those who mend a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedBy {
    /// The rule: a default rule's word, or the place of a rule in the definition, such as `classify[0]`.
    pub rule: String,
    /// The HTTP status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl DecidedBy {
    /// Names the rule, and the HTTP status if there was one.
    pub fn new(rule: impl Into<String>, status: Option<u16>) -> Self {
        Self { rule: rule.into(), status }
    }
}

/// What a probe found.
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
    /// The probe could not tell, or failed itself.
    Inconclusive {
        /// Why not.
        error: Error,
        /// The participant asked for this pause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<Millis>,
    },
}

impl Answer {
    /// An answer that tells nothing.
    pub fn inconclusive(error: Error) -> Self {
        Self::Inconclusive { error, retry_after_ms: None }
    }
}

/// An error as recorded data: it is read again after a crash, by programs and by people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// Stable word for programs: `timeout`, `refused`, `tool_error`, `expression`, ... or the participant's
    /// own.
    pub code: String,
    /// Sentence for people, without secrets.
    pub message: String,
}

impl Error {
    /// Makes an error of a code and a message; longer messages are cut at [`ERROR_MESSAGE_MAX`] bytes.
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

fn is_false(value: &bool) -> bool {
    !value
}

/// Code of the outcome of a transactional attempt whose handler ended its transaction, or tried to. What it committed
/// stays; whatever else ends such an attempt rolls it back.
pub const TRANSACTION_ENDED: &str = "transaction_ended";

/// Longest recorded error message, in bytes.
pub const ERROR_MESSAGE_MAX: usize = 2_000;
