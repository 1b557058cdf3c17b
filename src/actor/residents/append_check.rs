//! Checks a step that a driver appends, before the core decides: its expressions, and which errors it trusts. The
//! same checks apply to a definition when it is registered. Leaves all other checks to the core.

use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::participant::expr;
use crate::saga::event::{Event, Request, Requested};
use crate::saga::state::State;
use crate::saga::{IllegalEvent, appendable, steps_before};

/// Refuses an appended step that a definition could not contain; the error lists every fault. Other events pass.
pub(crate) fn check(event: &Event, pinned: &Pinned, node: &Node, state: &State) -> Result<(), IllegalEvent> {
    let Event::Requested(Requested { request: Request::Append { step }, .. }) = event else { return Ok(()) };
    if pinned.definition.index_of(state, &step.name).is_some() {
        // The core decides here: the same step again changes nothing, and another step of that name is refused.
        return Ok(());
    }
    let before = steps_before(&pinned.definition, state, step);
    let expressions = expr::check_step(step, &before);
    let faults: Vec<String> = expressions
        .into_iter()
        .chain(node.participants.inadmissible_of_step("step", step))
        .chain(appendable(&pinned.definition, state, step))
        .map(|fault| fault.to_string())
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(IllegalEvent { what: faults.join("; ") }),
    }
}
