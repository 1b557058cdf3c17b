//! What a definition trusts. An error of a tool may come after its effect, and what was accepted may land late, so a
//! definition that says nothing of either is let through no door: check, registration, append and new starts refuse
//! it. One that was stored before stays readable, since sagas of it live. Leaves to `validate.rs` the rules without
//! which a definition cannot be read, to `advice.rs` those that are only doubtful.

use super::definition::{Call, Draft, Effect, Errors, Expression, Kind, Step, Target, Verdict};
use super::event::Direction;
use super::validate::Fault;

/// Names each call of an MCP tool whose errors the definition trusts in silence, with the line that mends it. `says`
/// tells whether the settings of a participant say that its errors are definite.
pub fn silent_errors(draft: &Draft, says: impl Fn(&str) -> bool) -> Vec<Fault> {
    each_step(draft, |path, step| silent_errors_of_step(path, step, &says))
}

/// The same for one step, whose path is given.
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

/// Names the rules of a draft that no settings can make sound: the same doors refuse them.
pub fn unsound_rules(draft: &Draft) -> Vec<Fault> {
    each_step(draft, unsound_rules_of_step)
}

/// The same for one step, whose path is given.
pub fn unsound_rules_of_step(path: &str, step: &Step) -> Vec<Fault> {
    let calls = step.calls();
    calls.flat_map(|(direction, call)| unsound(&format!("{path}.{}", direction.as_str()), call)).collect()
}

/// Names what is found in each step of a draft, which is told its path.
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
            "a rule says `pending`, and what was accepted may land late: \"not found\" is \"not yet\"; add an \
             `absent` that holds only when the participant says that it failed",
        ),
        (
            call.refused.is_some() && call.is_transactional(),
            "refused",
            "a transactional handler decides by itself whether it succeeds; remove the rule",
        ),
        (
            call.errors.is_some() && by_handler,
            "errors",
            "a Rust handler says by its `Failure` what an error of it proves; remove `errors`",
        ),
    ]
    .into_iter()
    .filter(|(is_unsound, _, _)| *is_unsound)
    .map(|(_, field, message)| Fault { path: format!("{path}.{field}"), message: message.to_owned() })
    .collect()
}

/// Whether something says what becomes of the step after an error of the call.
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

/// Whether a rule may hold for an error: not one that asks for another outcome, or for no error, whatever else it asks.
fn may_hold_for_error(when: &Expression) -> bool {
    may_hold(&plain(when))
}

/// The same of a part of it. Alternatives may hold if one may, and what is asked for together only if all may. What
/// this reading does not know may hold.
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

/// A text without the parentheses that are around the whole of it.
pub(super) fn unwrapped(text: &str) -> &str {
    let mut text = text.trim();
    while let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        && split(inner, ")").len() == 1
    {
        text = inner.trim();
    }
    text
}

/// Splits a text at each `at` that stands outside of quotes and brackets.
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

/// An expression without white space.
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
