//! Checked definitions: steps with resolved needs, under a digest. Owns the order of steps: their needs, and the
//! barriers around the point of no return. `validate.rs` finds the faults of a draft.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Json;
use super::definition::{Action, Call, Draft, Kind, Millis, Step};
use super::event::Direction;
use super::schema::Schema;
use super::state::State;
use super::validate::{self, Fault};

/// A definition that can keep the promise. Immutable. Each saga is pinned to the digest of its definition.
#[derive(Debug)]
pub struct Definition {
    draft: Draft,
    digest: String,
    steps: Vec<PlannedStep>,
    kinds: Vec<Kind>,
    /// For each step, the steps that need it, ascending.
    dependents: Vec<Vec<usize>>,
    ordered: bool,
    /// Index of each step by its name.
    index_of: HashMap<String, usize>,
    input: Schema,
}

/// Steps that a driver appended to an open saga, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appended {
    steps: Vec<Arc<PlannedStep>>,
    /// For each step of the saga that an appended step needs, the appended steps that need it, ascending.
    dependents: BTreeMap<usize, Vec<usize>>,
}

impl Appended {
    /// Adds the step with this index in the saga.
    pub(super) fn push(&mut self, index: usize, step: PlannedStep) {
        for &need in &step.needs {
            self.dependents.entry(need).or_default().push(index);
        }
        self.steps.push(Arc::new(step));
    }

    /// Returns the appended steps in order.
    pub fn steps(&self) -> &[Arc<PlannedStep>] {
        &self.steps
    }
}

/// A step with its needs as indexes.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStep {
    /// The step as its author wrote it.
    pub step: Step,
    /// Name of the step, as a shared string.
    pub name: Arc<str>,
    /// Indexes of the steps that it needs, ascending.
    pub needs: Vec<usize>,
}

impl Step {
    /// Returns the call of the step in a direction. None for an action that waits, sleeps or asks a person.
    pub fn call(&self, direction: Direction) -> Option<&Call> {
        match (direction, &self.action) {
            (Direction::Compensation, _) => self.compensation.as_ref(),
            (Direction::Action, Action::Call(call)) => Some(call),
            (Direction::Action, Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. }) => None,
        }
    }

    /// Returns all calls that the step may make.
    pub fn calls(&self) -> impl Iterator<Item = (Direction, &Call)> {
        let directions = [Direction::Action, Direction::Compensation];
        directions.into_iter().filter_map(|direction| Some((direction, self.call(direction)?)))
    }
}

impl PlannedStep {
    /// Makes a step that needs the steps with these indexes.
    pub fn new(step: Step, needs: Vec<usize>) -> Self {
        Self { name: step.name.as_str().into(), step, needs }
    }
}

impl Definition {
    /// Checks a draft and makes a definition with its digest. Returns all faults at once.
    pub fn build(draft: Draft) -> Result<Arc<Self>, Vec<Fault>> {
        let compiled = Schema::compile(&draft.input).map_err(|message| Fault { path: "input".to_owned(), message });
        let (needs, input) = match (validate::draft(&draft), compiled) {
            (Ok(needs), Ok(input)) => (needs, input),
            (needs, input) => {
                return Err(needs.err().into_iter().flatten().chain(input.err()).collect());
            }
        };
        let mut dependents = vec![Vec::new(); needs.len()];
        for (step, needs) in needs.iter().enumerate() {
            needs.iter().for_each(|&need: &usize| dependents[need].push(step));
        }
        let ordered = needs.iter().enumerate().all(|(step, needs)| needs.iter().all(|&need| need < step));
        let kinds = draft.steps.iter().map(|step| step.kind).collect();
        let steps = draft.steps.iter().zip(needs).map(|(step, needs)| PlannedStep::new(step.clone(), needs)).collect();
        let digest = digest_of(&draft);
        let index_of = draft.steps.iter().enumerate().map(|(index, step)| (step.name.clone(), index)).collect();
        Ok(Arc::new(Self { draft, digest, steps, kinds, dependents, ordered, index_of, input }))
    }

    /// Returns the draft.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Returns the name of the definition.
    pub fn name(&self) -> &str {
        &self.draft.name
    }

    /// Returns the SHA-256 of the draft's canonical JSON, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Checks an input against the schema of the definition. Returns all faults at once, each with its place.
    pub fn check_input(&self, input: &Json) -> Result<(), Vec<String>> {
        self.input.check(input)
    }

    /// Returns the steps of the definition. The appended steps of an open saga are in its state.
    pub fn steps(&self) -> &[PlannedStep] {
        &self.steps
    }

    /// Returns the kinds of the steps of the definition.
    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Returns the steps that need a step: those of the definition, then the appended ones; each list ascends.
    pub(super) fn dependents<'a>(&'a self, state: &'a State, index: usize) -> [&'a [usize]; 2] {
        let planned = self.dependents.get(index).map_or(&[][..], Vec::as_slice);
        [planned, state.appended.dependents.get(&index).map_or(&[][..], Vec::as_slice)]
    }

    /// Returns whether each step stands after the steps that it needs. Appended steps always do.
    pub(super) fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// Returns the driver's lease, if sagas of this definition are open.
    pub fn lease_ms(&self) -> Option<Millis> {
        self.draft.open.as_ref().map(|open| open.lease_ms)
    }

    /// Returns the step with this index in a saga, appended steps included.
    pub fn planned<'a>(&'a self, state: &'a State, index: usize) -> Option<&'a PlannedStep> {
        match index.checked_sub(self.steps.len()) {
            None => self.steps.get(index),
            Some(appended) => state.appended.steps.get(appended).map(Arc::as_ref),
        }
    }

    /// Returns the step with this index. Panics if the index does not come from the state.
    pub fn step<'a>(&'a self, state: &'a State, index: usize) -> &'a Step {
        &self.at(state, index).step
    }

    /// Returns the planned step with this index. Panics if the index does not come from the state.
    pub fn at<'a>(&'a self, state: &'a State, index: usize) -> &'a PlannedStep {
        match index.checked_sub(self.steps.len()) {
            None => &self.steps[index],
            Some(appended) => &state.appended.steps[appended],
        }
    }

    /// Returns the index of the step with this name in a saga.
    pub fn index_of(&self, state: &State, name: &str) -> Option<usize> {
        let appended = || state.appended.steps.iter().position(|planned| planned.step.name == name);
        let index = self.index_of.get(name).copied();
        index.or_else(|| appended().map(|position| self.steps.len() + position))
    }
}

/// Hashes the draft's JSON with all keys sorted. Equal drafts have equal digests, whatever order an author, a YAML
/// file or a database gave to the keys.
fn digest_of(draft: &Draft) -> String {
    let value = serde_json::to_value(draft).unwrap_or_default();
    let text = canonical(&value).to_string();
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the value with the keys of all objects sorted, so that equal values give equal texts.
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<&String, Value> = object.iter().map(|(key, one)| (key, canonical(one))).collect();
            Value::Object(sorted.into_iter().map(|(key, one)| (key.clone(), one)).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Returns whether a step of kind `later` waits for every step of kind `earlier`, needed or not. Compensable steps
/// come before any pivot, and both come before any retriable step. So no step that may turn the saga back is left
/// when the saga can no longer turn back.
pub(super) fn waits_for(later: Kind, earlier: Kind) -> bool {
    match (later, earlier) {
        (Kind::Compensable, Kind::Compensable | Kind::Pivot | Kind::Retriable) => false,
        (Kind::Pivot, Kind::Compensable) => true,
        (Kind::Pivot, Kind::Pivot | Kind::Retriable) => false,
        (Kind::Retriable, Kind::Compensable | Kind::Pivot) => true,
        (Kind::Retriable, Kind::Retriable) => false,
    }
}
