//! Which errors a definition trusts. An error of a tool may come after its effect, so a call whose errors would leave a
//! step to a person is refused until its author has said what they mean. Leaves all other rules to `validate.rs`.

use super::definition::{Call, Draft, Effect, Expression, Kind, Step, Target, Verdict};
use super::event::Direction;
use super::validate::Fault;

/// Names each call of an MCP tool whose errors the definition trusts in silence, with the line that mends it. `says`
/// tells whether the settings of a participant say what its errors prove.
pub fn silent_errors(draft: &Draft, says: impl Fn(&str) -> bool) -> Vec<Fault> {
    let steps = draft.steps.iter().enumerate();
    steps.flat_map(|(index, step)| silent_errors_of_step(&format!("steps[{index}]"), step, &says)).collect()
}

/// The same for one step, whose path is given.
pub fn silent_errors_of_step(path: &str, step: &Step, says: impl Fn(&str) -> bool) -> Vec<Fault> {
    let silent = step.calls().filter(|(direction, call)| match &call.target {
        Target::Tool { participant, .. } => !is_told(step, *direction, call) && !says(participant),
        Target::Handler { .. } | Target::Http { .. } => false,
    });
    silent
        .map(|(direction, call)| {
            let path = format!("{path}.{}", direction.as_str());
            Fault { path, message: mend(step, direction, call) }
        })
        .collect()
}

/// Names rules that are legal and often wrong, with what to look at. They are advice: nothing is refused for them.
pub fn doubtful_rules(draft: &Draft) -> Vec<Fault> {
    let steps = draft.steps.iter().enumerate();
    steps.flat_map(|(index, step)| doubtful_rules_of_step(&format!("steps[{index}]"), step)).collect()
}

fn doubtful_rules_of_step(path: &str, step: &Step) -> Vec<Fault> {
    let mut advice = Vec::new();
    for (direction, call) in step.calls() {
        let path = format!("{path}.{}", direction.as_str());
        let absent = call.probe.as_ref().and_then(|probe| probe.absent.as_ref());
        if absent.is_some_and(|absent| plain(absent) == "status==404") {
            let message = "a bare 404 may come from a router that did not know the path; ask for the body, too, \
                           such as `status == 404 && result.code == 'not_found'`";
            advice.push(Fault { path: format!("{path}.probe.absent"), message: message.to_owned() });
        }
        let answers_nothing = call.effect == Effect::Idempotent && call.probe.is_none();
        let rules = call.classify.iter().enumerate().filter(|(_, rule)| {
            !rule.answers_key && rule.outcome == Verdict::Failed && plain(&rule.when).contains("status==402")
        });
        let refused = call
            .refused
            .iter()
            .filter(|refused| !refused.answers_key && plain(&refused.when).contains("status==402"));
        let places = rules.map(|(index, _)| format!("classify[{index}]"));
        for place in places.chain(refused.map(|_| "refused".to_owned())).filter(|_| answers_nothing) {
            let message = "a participant that gives 402 only after it has looked the key up answers for every attempt \
                           under it; say so with `answers_key: true`, or such a refusal after a lost \
                           answer needs a person";
            advice.push(Fault { path: format!("{path}.{place}"), message: message.to_owned() });
        }
    }
    advice
}

/// An expression without white space.
fn plain(expression: &Expression) -> String {
    expression.0.split_whitespace().collect()
}

/// Whether something says what becomes of the step after an error of the call.
fn is_told(step: &Step, direction: Direction, call: &Call) -> bool {
    let goes_on = match direction {
        Direction::Action => step.kind == Kind::Retriable,
        Direction::Compensation => true,
    };
    let left_open = direction == Direction::Action && (step.irreversible || step.safe_when_absent);
    let read_by_rule = call.classify.iter().any(|rule| match rule.outcome {
        Verdict::Failed | Verdict::Retryable => speaks_of_errors(&rule.when),
        Verdict::Succeeded | Verdict::Pending | Verdict::Errored | Verdict::Unknown => false,
    });
    call.effect == Effect::ReadOnly
        || call.errors.is_some()
        || call.refused.is_some()
        || call.probe.is_some()
        || read_by_rule
        || left_open
        || goes_on && call.effect == Effect::Idempotent
}

/// Whether a rule may hold for an error: only one that asks for success alone cannot.
fn speaks_of_errors(when: &Expression) -> bool {
    !["outcome=='succeeded'", "outcome==\"succeeded\"", "error==null"].contains(&plain(when).as_str())
}

fn mend(step: &Step, direction: Direction, call: &Call) -> String {
    let Target::Tool { participant, tool, .. } = &call.target else { return String::new() };
    let repeat = match direction {
        Direction::Action if step.kind == Kind::Retriable => ", `effect: idempotent` if it may be repeated",
        Direction::Action => "",
        Direction::Compensation => ", `effect: idempotent` if it may be repeated",
    };
    format!(
        "an error of the tool {tool:?} may come after its effect, and nothing says what it proves; add a \
         `probe`{repeat}, `refused: \"${{ ... }}\"` for the errors that are refusals, or `errors: definite` (here or \
         for the participant {participant:?} in the settings) if the tool checks everything before it does anything"
    )
}
