//! Commands: what the core asks the actors to do. A command follows from the state alone, so a new owner that asks
//! again gets the same commands. Owns the types; the actors carry the commands out.

use super::definition::Millis;
use super::event::{Direction, Event, Withdrawn};

/// One thing to do. It is done after the transition that asked for it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Evaluate the `when` of a step and report `ConditionDecided`.
    Decide {
        /// Index of the step.
        step: usize,
    },
    /// Render what an approval shows and report `ApprovalShown`.
    Show {
        /// Index of the step.
        step: usize,
    },
    /// Call the participant and report `AttemptEnded`.
    Execute {
        /// Index of the step.
        step: usize,
        /// Action or compensation.
        direction: Direction,
        /// Number of the attempt.
        attempt: u32,
        /// Generation of the idempotency key.
        generation: u32,
    },
    /// Ask the participant whether a call took effect and report `ProbeAnswered`.
    Probe {
        /// Index of the step.
        step: usize,
        /// Whether the probe asks about the action or the compensation.
        direction: Direction,
        /// Number of the probe.
        probe: u32,
        /// Generation of the key of the call in doubt.
        generation: u32,
    },
}

/// The call that a command asks for, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSpec {
    /// Index of the step.
    pub step: usize,
    /// Action or compensation.
    pub direction: Direction,
    /// Number of the attempt, or of the probe.
    pub number: u32,
    /// Generation of the idempotency key.
    pub generation: u32,
    /// Whether the probe is asked instead of the call.
    pub is_probe: bool,
}

impl CallSpec {
    /// Returns the call that a command asks for; none where no participant is called.
    pub fn for_command(command: Command) -> Option<Self> {
        match command {
            Command::Decide { .. } | Command::Show { .. } => None,
            Command::Execute { step, direction, attempt: number, generation } => {
                Some(Self { step, direction, number, generation, is_probe: false })
            }
            Command::Probe { step, direction, probe: number, generation } => {
                Some(Self { step, direction, number, generation, is_probe: true })
            }
        }
    }

    /// Returns the event for a call that was taken back before it began.
    pub fn withdrawn(self, at: Millis) -> Event {
        Event::Withdrawn(Withdrawn { at, steps: vec![self.step] })
    }
}
