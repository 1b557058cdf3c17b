//! Advice: rules that are legal and often wrong, with what to look at. Nothing is refused for them. Leaves what is
//! refused to `validate.rs` and `trust.rs`.

use super::definition::{Call, Draft, Effect, Expression, Step, Target, Verdict};
use super::trust::{each_step, plain};
use super::validate::Fault;

/// Names what is legal and often wrong in a draft, with what to do.
pub fn doubtful_rules(draft: &Draft) -> Vec<Fault> {
    each_step(draft, doubtful_rules_of_step)
}

fn doubtful_rules_of_step(path: &str, step: &Step) -> Vec<Fault> {
    let mut advice = Vec::new();
    for (direction, call) in step.calls() {
        let path = format!("{path}.{}", direction.as_str());
        let absent = call.probe.as_ref().and_then(|probe| probe.absent.as_ref());
        if absent.is_some_and(asks_status_alone) {
            let message = "a bare 404 may come from a router that did not know the path; ask for the body, too, \
                           such as `status == 404 && result.code == 'not_found'`";
            advice.push(Fault { path: format!("{path}.probe.absent"), message: message.to_owned() });
        }
        advice.extend(no_refusal_answers(&path, call));
    }
    advice
}

/// Without a probe a doubt ends by itself only by a refusal that is marked: of an idempotent call none is.
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
            "a participant that gives 402 only after it has looked the key up answers for every attempt under it; say \
             so with `answers_key: true`, or such a refusal after a lost answer needs a person",
        ),
        true if by_http => (
            vec![path.to_owned()],
            "a refusal after a lost answer needs a person, since there is no probe and no refusal answers for the \
             attempt before; if the participant gives 402 only after it has looked the key up, say so: `classify: \
             [{ when: \"${ status == 402 }\", outcome: failed, answers_key: true }]`",
        ),
        true => return Vec::new(),
    };
    places.into_iter().map(|path| Fault { path, message: message.to_owned() }).collect()
}

/// Whether an expression asks for the status and nothing else.
fn asks_status_alone(expression: &Expression) -> bool {
    let (mut asks_status, mut word, mut quote) = (false, String::new(), None);
    for c in expression.0.chars().chain([' ']) {
        match quote {
            Some(open) if c == open => quote = None,
            // Whatever is compared with a text is not the status.
            Some(_) => return false,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c.is_alphanumeric() || c == '_' => word.push(c),
            None => {
                let name = std::mem::take(&mut word);
                let is_number = name.starts_with(|first: char| first.is_ascii_digit());
                asks_status |= name == "status";
                if !is_number
                    && !["status", "", "in", "int", "true", "false", "null"].contains(&name.as_str())
                {
                    return false;
                }
            }
        }
    }
    asks_status
}
