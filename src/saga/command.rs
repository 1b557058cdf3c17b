//! What the core asks its surroundings to do. Commands follow from the state alone, so a new owner gets the
//! same ones by asking again. Owns the shapes; the actors carry them out.

use super::event::Direction;

/// One thing to do, after the transition that asked for it is durable.
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
    /// Ask the participant what became of a call and report `ProbeAnswered`.
    Probe {
        /// Index of the step.
        step: usize,
        /// What is asked about.
        direction: Direction,
        /// Number of the probe.
        probe: u32,
        /// Generation of the call in doubt.
        generation: u32,
    },
}
