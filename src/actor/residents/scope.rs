//! The values that expressions see: a saga's input and outputs, and for a call also its step, number and keys. Leaves
//! evaluation to `participant/expr`.

use uuid::Uuid;

use crate::participant::Scope;
use crate::saga::command::CallSpec;
use crate::saga::event::Direction;
use crate::saga::key::Key;
use crate::saga::state::{Origin, State};
use crate::saga::{Definition, Json};

/// Returns what the expressions of a saga see: its input and the outputs of its steps.
pub(crate) fn of_saga(saga: Uuid, definition: &Definition, state: &State) -> Scope {
    let outputs = state.steps.iter().enumerate().map(|(index, one)| {
        let name = definition.at(state, index).name.clone();
        (name, one.output.clone().unwrap_or_else(Json::null))
    });
    Scope { law: state.law, ..Scope::of_saga(saga, state.input.clone(), outputs.collect()) }
}

/// Returns what the expressions of one call see: also its step, direction, number and keys.
pub(crate) fn of_call(saga: Uuid, definition: &Definition, state: &State, call: CallSpec) -> Scope {
    let mut scope = of_saga(saga, definition, state);
    let name = &definition.at(state, call.step).name;
    scope.step = name.clone();
    scope.direction = call.direction;
    scope.attempt = call.number;
    let CallSpec { direction, generation, .. } = call;
    scope.key = Key { saga, step: name, direction, generation }.text(state.law);
    if call.direction == Direction::Compensation {
        let undone = &state.steps[call.step];
        // The key that the participant saw. In a rerun, the action may have been called by another saga.
        let Origin { saga, law } = undone.origin.unwrap_or(Origin { saga, law: state.law });
        let (direction, generation) = (Direction::Action, undone.action.generation);
        scope.action_key = Some(Key { saga, step: name, direction, generation }.text(law));
        scope.output = undone.output.clone();
    }
    scope
}
