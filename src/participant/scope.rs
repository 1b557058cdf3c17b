//! The data of a saga that expressions and handlers can read. The saga's actor chooses the outputs in it.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use uuid::Uuid;

use crate::saga::event::Direction;
use crate::saga::key::Key;
use crate::saga::{Json, Law};

/// Variables of expressions that hold a key.
pub(super) const KEYS: [&str; 6] = ["key", "key_uuid", "key_hex", "action_key", "action_key_uuid", "action_key_hex"];

/// Empty step name, for expressions outside a step.
static NO_STEP: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));

/// The context of one call. Cheap to build: every value shares its text with the journal.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The saga, `saga` in expressions.
    pub saga: Uuid,
    /// The law of the saga's journal. It says how answers are read.
    pub law: Law,
    /// The step, `step` in expressions. Empty outside a step.
    pub step: Arc<str>,
    /// Whether the action or its compensation is called.
    pub direction: Direction,
    /// Number of the attempt, from 1; `attempt` in expressions.
    pub attempt: u32,
    /// The idempotency key, `key` in expressions.
    pub key: String,
    /// In a compensation, the idempotency key of the action that it undoes; `action_key` in expressions. For
    /// participants that void by key.
    pub action_key: Option<String>,
    /// The W3C `traceparent` of the call; sent to the participant.
    pub traceparent: Option<Arc<str>>,
    /// The saga's input, `input` in expressions.
    pub input: Json,
    /// Outputs of steps by name, `steps.NAME` in expressions. A skipped step has null.
    pub steps: Vec<(Arc<str>, Json)>,
    /// In a compensation, the action's output if it is known; `output` in expressions, null if it is not known.
    pub output: Option<Json>,
    /// The content of a notice; none in a call of a step.
    pub news: Option<NotificationContext>,
}

/// What a notice says of its saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationContext {
    /// Name of the definition; `definition` in expressions.
    pub definition: String,
    /// The saga's status; `status` in expressions.
    pub status: String,
    /// The reason for the status; `reason` in expressions, null if there is none.
    pub reason: Option<String>,
}

impl Scope {
    /// Makes the context of a saga's own expressions: a step's `when` and the saga's output.
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

    /// Returns a key by its name in expressions: the key itself, its UUID, or the 32 hexadecimal digits of that UUID.
    /// None if the name is no key, or if there is no action key.
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
