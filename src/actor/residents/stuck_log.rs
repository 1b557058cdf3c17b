//! Tells the log that a saga has become stuck: which step, why, and what a person can do. Owns only the line.

use uuid::Uuid;

use crate::saga::state::{State, StuckReason};
use crate::saga::{self, Definition};

/// Logs each step that is stuck in `new` and was not in `old`.
pub(crate) fn report(saga: Uuid, definition: &Definition, old: &State, new: &State) {
    if new.stuck().is_none() {
        return;
    }
    let before = saga::attention(definition, old);
    for one in saga::attention(definition, new) {
        let Some(reason) = one.stuck else { continue };
        if before.iter().any(|known| known.step == one.step && known.stuck == one.stuck) {
            continue;
        }
        let (code, error) = one.error.map(|error| (error.code, error.message)).unzip();
        tracing::warn!(
            saga.id = %saga,
            definition = definition.name(),
            step = one.step,
            direction = one.direction.as_str(),
            reason = reason.as_str(),
            code,
            error,
            "the saga is stuck: {}; look at it with `amends show {saga}`, then choose one of: {}",
            meaning(reason),
            one.legal.join(", "),
        );
    }
}

fn meaning(reason: StuckReason) -> &'static str {
    match reason {
        StuckReason::InDoubt => "it is unknown whether the call took effect, so find out from the participant",
        StuckReason::Failed => "the call failed for good and the saga can neither go on nor back",
        StuckReason::ProcessDied => "each process that made the call died, so the call may have crashed them",
    }
}
