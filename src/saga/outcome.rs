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
    },
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
    },
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

/// Longest recorded error message, in bytes.
pub const ERROR_MESSAGE_MAX: usize = 2_000;
