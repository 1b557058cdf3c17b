//! What an expression or a handler may know of the saga it works for. Owns the shape; which outputs are in it
//! is the actor's choice.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use uuid::Uuid;

use crate::saga::event::Direction;
use crate::saga::key::Key;
use crate::saga::{Json, Law};

/// Names of keys in expressions.
pub(super) const KEYS: [&str; 6] = ["key", "key_uuid", "key_hex", "action_key", "action_key_uuid", "action_key_hex"];

/// The name of no step.
static NO_STEP: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));

/// The surroundings of one call. Cheap to build: every value shares its text with the journal.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The saga, `saga` in expressions.
    pub saga: Uuid,
    /// The law of its journal, by which answers are read.
    pub law: Law,
    /// The step, `step` in expressions. Empty where none is called.
    pub step: Arc<str>,
    /// Whether the action or its compensation is called.
    pub direction: Direction,
    /// Number of the attempt, from 1; `attempt` in expressions.
    pub attempt: u32,
    /// The idempotency key, `key` in expressions.
    pub key: String,
    /// In a compensation, the idempotency key of the action that is undone, for participants that void by
    /// key; `action_key` in expressions.
    pub action_key: Option<String>,
    /// The position in a trace that the call has, as W3C writes it; sent on to who is called.
    pub traceparent: Option<Arc<str>>,
    /// The saga's input, `input` in expressions.
    pub input: Json,
    /// Outputs of steps by name, `steps.NAME` in expressions. A skipped step has null.
    pub steps: Vec<(Arc<str>, Json)>,
    /// Output of the action, where a compensation knows it; `output` in expressions, null if it is not known.
    pub output: Option<Json>,
    /// What a notice tells; none in the calls of steps.
    pub news: Option<NotificationContext>,
}

/// What became of a saga, for those who are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationContext {
    /// Name of the definition; `definition` in expressions.
    pub definition: String,
    /// Where the saga stands; `status` in expressions.
    pub status: String,
    /// Why; `reason` in expressions, null if there is nothing to say.
    pub reason: Option<String>,
}

impl Scope {
    /// Makes the surroundings of a saga's own expressions: a step's `when`, and the saga's output.
    pub fn of_saga(saga: Uuid, input: Json, steps: Vec<(Arc<str>, Json)>) -> Self {
        Self {
            saga,
            law: Law::NEWEST,
            step: NO_STEP.clone(),
            direction: Direction::Action,
            attempt: 0,
            key: String::new(),
            action_key: None,
            traceparent: None,
            input,
            steps,
            output: None,
            news: None,
        }
    }

    /// Returns a key by the name that it has in expressions: as it is, as a UUID, or as the UUID's 32 hexadecimal
    /// digits.
    pub(super) fn key_as(&self, name: &str) -> Option<Cow<'_, str>> {
        let (key, form) = match name.strip_prefix("action_key") {
            Some(form) => (self.action_key.as_deref()?, form),
            None => (self.key.as_str(), name.strip_prefix("key")?),
        };
        match form {
            "" => Some(Cow::Borrowed(key)),
            "_uuid" => Some(Cow::Owned(Key::uuid(key).to_string())),
            "_hex" => Some(Cow::Owned(Key::uuid(key).as_simple().to_string())),
            _ => None,
        }
    }

    /// Returns the output of a step, if it has one.
    pub fn step_output(&self, name: &str) -> Option<&Json> {
        self.steps.iter().find(|(step, _)| &**step == name).map(|(_, output)| output)
    }
}
