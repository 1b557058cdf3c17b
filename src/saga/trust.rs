//! Checks what a definition assumes about its participants. An error of a tool may come after its effect, and an
//! accepted call may land late. A definition that says nothing about these cases is refused by check, registration,
//! append and the start of sagas. A definition that was stored before stays readable, because it has running sagas.
//! `validate.rs` has the rules for every stored definition; `advice.rs` only advises.

use super::definition::{Call, Draft, Effect, Errors, Expression, Kind, Step, Target, Verdict};
use super::event::Direction;
use super::validate::Fault;

/// Returns a fault for each call of an MCP tool whose definition does not say what an error of the tool proves. The
/// fault says how to mend it. `says` tells whether the settings of a participant declare its errors definite.
pub fn silent_errors(draft: &Draft, says: impl Fn(&str) -> bool) -> Vec<Fault> {
    each_step(draft, |path, step| silent_errors_of_step(path, step, &says))
}

/// Returns the same for one step, whose path is given.
pub fn silent_errors_of_step(path: &str, step: &Step, says: impl Fn(&str) -> bool) -> Vec<Fault> {
    let silent = step.calls().filter(|(direction, call)| match &call.target {
        Target::Tool { participant, .. } => {
            let vouched = call.errors.is_none() && says(participant);
            !vouched && !is_told(step, *direction, call)
        }
        Target::Handler { .. } | Target::Http { .. } => false,
    });
    silent
        .map(|(direction, call)| {
            let path = format!("{path}.{}", direction.as_str());
            Fault { path, message: mend(step, direction, call) }
        })
        .collect()
}

/// Returns the rules of a draft that are unsound under any settings. The same checks refuse them.
pub fn unsound_rules(draft: &Draft) -> Vec<Fault> {
    each_step(draft, unsound_rules_of_step)
}

/// Returns the same for one step, whose path is given.
pub fn unsound_rules_of_step(path: &str, step: &Step) -> Vec<Fault> {
    let calls = step.calls();
    calls.flat_map(|(direction, call)| unsound(&format!("{path}.{}", direction.as_str()), call)).collect()
}

/// Returns what `find` returns for each step of a draft. `find` gets the path of the step.
pub(super) fn each_step(draft: &Draft, find: impl Fn(&str, &Step) -> Vec<Fault>) -> Vec<Fault> {
    let steps = draft.steps.iter().enumerate();
    steps.flat_map(|(index, step)| find(&format!("steps[{index}]"), step)).collect()
}

fn unsound(path: &str, call: &Call) -> Vec<Fault> {
    let accepts = call.classify.iter().any(|rule| rule.outcome == Verdict::Pending);
    let no_word = call.probe.as_ref().is_some_and(|probe| probe.absent.is_none());
    let by_handler = matches!(call.target, Target::Handler { .. });
    [
        (
            accepts && no_word,
            "probe.absent",
            "a rule says `pending`, and an accepted call may land late, so \"not found\" may mean \"not yet\"; add an \
             `absent` that holds only when the participant says that the call failed",
        ),
        (
            call.refused.is_some() && call.is_transactional(),
            "refused",
            "a transactional handler decides by itself whether it succeeds; remove the rule",
        ),
        (
            call.errors.is_some() && by_handler,
            "errors",
            "the `Failure` of a Rust handler says what its error proves; remove `errors`",
        ),
    ]
    .into_iter()
    .filter(|(is_unsound, _, _)| *is_unsound)
    .map(|(_, field, message)| Fault { path: format!("{path}.{field}"), message: message.to_owned() })
    .collect()
}

/// Returns whether the definition says what happens to the step after an error of the call.
fn is_told(step: &Step, direction: Direction, call: &Call) -> bool {
    let goes_on = match direction {
        Direction::Action => step.kind == Kind::Retriable,
        Direction::Compensation => true,
    };
    let left_open =
        direction == Direction::Action && (step.irreversible || step.safe_when_absent && step.compensation.is_some());
    let read_by_rule = call.classify.iter().any(|rule| match rule.outcome {
        Verdict::Failed | Verdict::Retryable => may_hold_for_error(&rule.when),
        Verdict::Succeeded | Verdict::Pending | Verdict::Errored | Verdict::Unknown => false,
    });
    call.effect == Effect::ReadOnly
        || call.errors == Some(Errors::Definite)
        || call.refused.as_ref().is_some_and(|refused| may_hold_for_error(&refused.when))
        || call.probe.is_some()
        || read_by_rule
        || left_open
        || goes_on && call.effect == Effect::Idempotent
}

/// Returns whether a rule may hold for an error. A rule that asks for another outcome, or for no error, cannot.
fn may_hold_for_error(when: &Expression) -> bool {
    may_hold(&plain(when))
}

/// Returns the same for a part of the rule. Alternatives (`||`) may hold if one of them may, a conjunction (`&&`)
/// only if all its parts may. An expression that this parser does not understand may hold.
fn may_hold(text: &str) -> bool {
    let text = unwrapped(text);
    if split(text, "?").len() > 1 {
        return true;
    }
    let alternatives = split(text, "||");
    if alternatives.len() > 1 {
        return alternatives.into_iter().any(may_hold);
    }
    let together = split(text, "&&");
    if together.len() > 1 {
        return together.into_iter().all(may_hold);
    }
    let sides = |sign| {
        let (left, right): (&str, &str) = text.split_once(sign)?;
        Some([left, right].map(|side| side.replace('"', "'")))
    };
    let compared = |sides: &[String; 2], with: &str| {
        let other = sides.iter().position(|side| side == with).map(|place| &sides[1 - place]);
        other.cloned()
    };
    if let Some(sides) = sides("==") {
        let word = compared(&sides, "outcome").filter(|word| word.starts_with('\''));
        let no_error = compared(&sides, "error").is_some_and(|other| other == "null");
        return !no_error && word.is_none_or(|word| word == "'errored'");
    }
    let not = sides("!=").and_then(|sides| compared(&sides, "outcome"));
    text != "false" && not.is_none_or(|word| word != "'errored'")
}

/// Returns the text without the parentheses around the whole of it.
pub(super) fn unwrapped(text: &str) -> &str {
    let mut text = text.trim();
    while let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        && split(inner, ")").len() == 1
    {
        text = inner.trim();
    }
    text
}

/// Splits a text at each `at` outside of quotes and brackets.
pub(super) fn split<'t>(text: &'t str, at: &str) -> Vec<&'t str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0_usize);
    let (mut quote, mut escaped) = (None, false);
    for (place, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, _) if depth == 0 && place >= begin && text[place..].starts_with(at) => {
                parts.push(&text[begin..place]);
                begin = place + at.len();
            }
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// Returns an expression without white space.
pub(super) fn plain(expression: &Expression) -> String {
    expression.0.split_whitespace().collect()
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
