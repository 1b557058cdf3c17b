//! What a node checks of a step that a driver appends, before the law decides: its expressions, and what it trusts. A
//! definition is checked for the same when it is registered. Leaves the rest to the core.

use crate::actor::node::context::Node;
use crate::actor::node::definitions::Pinned;
use crate::participant::expr;
use crate::saga::event::{Event, Request, Requested};
use crate::saga::state::State;
use crate::saga::{IllegalEvent, appendable, steps_before};

/// Refuses a step that could not have stood in a definition, with every fault. Other events pass.
pub(crate) fn check(event: &Event, pinned: &Pinned, node: &Node, state: &State) -> Result<(), IllegalEvent> {
    let Event::Requested(Requested { request: Request::Append { step }, .. }) = event else { return Ok(()) };
    if pinned.definition.index_of(state, &step.name).is_some() {
        // The same step again changes nothing; another of its name is refused by the core.
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
