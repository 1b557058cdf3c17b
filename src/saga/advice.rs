//! Advice on rules that are legal and often wrong, with what to do. A definition is never refused because of advice.
//! `validate.rs` and `trust.rs` refuse definitions.

use super::definition::{Action, Call, Draft, Effect, Expression, Step, Target, Verdict};
use super::retry;
use super::trust::{each_step, plain, split, unwrapped};
use super::validate::Fault;

/// Returns the rules of a draft that are legal and often wrong, with what to do.
pub fn doubtful_rules(draft: &Draft) -> Vec<Fault> {
    each_step(draft, doubtful_rules_of_step)
}

fn doubtful_rules_of_step(path: &str, step: &Step) -> Vec<Fault> {
    let mut advice = Vec::new();
    for (direction, call) in step.calls() {
        let path = format!("{path}.{}", direction.as_str());
        let absent = call.probe.as_ref().and_then(|probe| probe.absent.as_ref());
        if absent.is_some_and(|absent| is_bare(&absent.0)) {
            let message = "a 404 may come from a router that does not know the path, so a status, an error or an \
                           outcome alone does not prove absence; check the body in each alternative, such as `status \
                           == 404 && result.code == 'not_found'`, or `error != null && text.contains('no such \
                           booking')`";
            advice.push(Fault { path: format!("{path}.probe.absent"), message: message.to_owned() });
        }
        advice.extend(no_refusal_answers(&path, call));
    }
    advice.extend(never_left_open(path, step));
    advice
}

/// Advises when no compensation can land in time. An action in doubt is compensated only while the participant
/// remembers its key, and that may be too short for any compensation.
fn never_left_open(path: &str, step: &Step) -> Option<Fault> {
    let (Action::Call(action), Some(compensation)) = (&step.action, &step.compensation) else { return None };
    let lands_ms = action.settle_ms.saturating_add(retry::landing_ms(compensation));
    let lifetime_ms = action.key_lifetime_ms.filter(|&ms| step.safe_when_absent && ms <= lands_ms)?;
    let message = format!(
        "an action in doubt is never compensated without a person: the compensation may land as late as {lands_ms} ms \
         (`settle` of the action, plus `timeout` and `settle` of the compensation), and the participant may forget the \
         key after {lifetime_ms} ms; shorten them, or remove `safe_when_absent` or `key_lifetime`"
    );
    Some(Fault { path: format!("{path}.safe_when_absent"), message })
}

/// Advises when a doubt would need a person. Without a probe, only success or a refusal that is marked `answers_key`
/// ends a doubt about an idempotent call, and no refusal of this call is marked.
fn no_refusal_answers(path: &str, call: &Call) -> Vec<Fault> {
    let marked = call.classify.iter().any(|rule| rule.answers_key)
        || call.refused.as_ref().is_some_and(|refused| refused.answers_key);
    if call.effect != Effect::Idempotent || call.probe.is_some() || marked {
        return Vec::new();
    }
    let of_402 = |when: &Expression| plain(when).contains("status==402");
    let rules = call.classify.iter().enumerate();
    let rules = rules.filter(|(_, rule)| rule.outcome == Verdict::Failed && of_402(&rule.when));
    let refused = call.refused.iter().filter(|refused| of_402(&refused.when));
    let places: Vec<String> = rules
        .map(|(index, _)| format!("{path}.classify[{index}]"))
        .chain(refused.map(|_| format!("{path}.refused")))
        .collect();
    let by_http = matches!(call.target, Target::Http { .. });
    let (places, message) = match places.is_empty() {
        false => (
            places,
            "without `answers_key: true`, a 402 after a lost answer needs a person; set it if the participant gives \
             402 only after it has looked the key up, so that a 402 holds for every attempt under the key",
        ),
        true if by_http => (
            vec![path.to_owned()],
            "a refusal after a lost answer needs a person, because there is no probe and no rule with `answers_key`; \
             if the participant gives 402 only after it has looked the key up, add `classify: [{ when: \"${ status \
             == 402 }\", outcome: failed, answers_key: true }]`",
        ),
        true => return Vec::new(),
    };
    places.into_iter().map(|path| Fault { path, message: message.to_owned() }).collect()
}

/// Words of an expression that look only at how an answer came, not at its body.
const OF_NO_BODY: [&str; 10] =
    ["status", "outcome", "error", "error.code", "error.code.startsWith", "in", "int", "true", "false", "null"];

/// Prefixes of the error codes of default rules. They say no more than a status.
const DEFAULT_CODES: [&str; 3] = ["http_", "tool_error", "protocol_"];

/// Outcomes that an expression may compare `outcome` with.
const OUTCOMES: [&str; 6] = ["succeeded", "failed", "retryable", "pending", "errored", "unknown"];

/// Returns whether an expression can hold by the status, the outcome or the error alone, whatever the body says.
/// Alternatives (`||`) can if one of them can, a conjunction (`&&`) only if all its parts can.
fn is_bare(text: &str) -> bool {
    let text = unwrapped(text);
    if let [condition, _, ..] = split(text, "?")[..] {
        let (rest, condition) = (&text[condition.len() + 1..], is_bare(condition));
        let Some((yes, no)) = split(rest, ":").first().map(|yes| (*yes, &rest[yes.len()..])) else {
            return false;
        };
        return condition && (is_bare(yes) || is_bare(no.trim_start_matches(':')));
    }
    let alternatives = split(text, "||");
    if alternatives.len() > 1 {
        return alternatives.into_iter().any(is_bare);
    }
    let together = split(text, "&&");
    if together.len() > 1 {
        return together.into_iter().all(is_bare);
    }
    text != "false" && asks_nothing_of_body(text)
}

fn asks_nothing_of_body(text: &str) -> bool {
    let (mut word, mut quoted, mut quote) = (String::new(), String::new(), None);
    for c in text.chars().chain([' ']) {
        match quote {
            Some(open) if c == open => {
                let text = std::mem::take(&mut quoted);
                quote = None;
                if !DEFAULT_CODES.iter().any(|code| text.starts_with(code)) && !OUTCOMES.contains(&&*text) {
                    return false;
                }
            }
            Some(_) => quoted.push(c),
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c.is_alphanumeric() || c == '_' || c == '.' => word.push(c),
            None => {
                let name = std::mem::take(&mut word);
                let is_number = name.starts_with(|first: char| first.is_ascii_digit());
                if !is_number && !name.is_empty() && !OF_NO_BODY.contains(&&*name) {
                    return false;
                }
            }
        }
    }
    true
}
