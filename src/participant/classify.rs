//! Answers to outcomes. Owns how a definition's `classify`, `success` and `output` change what the default rules made of an
//! answer, and what a probe's predicates find; the default rules themselves live with each kind of participant.
//!
//! One law for expressions over answers: the call has been made, so an expression that fails makes the outcome unknown, never
//! a failure. A rule that asks for a field which the answer does not have does not match.

use super::expr::{self, Fault, View};
use super::reply::{Reply, excerpt};
use super::scope::Scope;
use crate::saga::Json;
use crate::saga::definition::{Call, Expression, Probe, Rule, Template, Verdict};
use crate::saga::outcome::{Answer, Error, Outcome};

/// Makes an outcome of the answer to a call.
pub(super) fn outcome(call: &Call, scope: &Scope, reply: Reply) -> Outcome {
    if call.classify.is_empty() && call.success.is_none() && call.output.is_none() {
        return plain(reply.verdict, reply);
    }
    let view = View::of_answer(scope, &reply);
    let decided = match decide(call, &view, &reply) {
        Ok(Decided { verdict: Verdict::Succeeded, .. }) => {
            return match output(call.output.as_ref(), &view, &reply) {
                Ok(output) => Outcome::Succeeded { output },
                Err(error) => Outcome::Unknown { error },
            };
        }
        Ok(decided) => decided,
        Err(error) => return Outcome::Unknown { error },
    };
    drop(view);
    let error = decided.error.or_else(|| reply.error.clone());
    plain(decided.verdict, Reply { error, ..reply })
}

/// Makes an outcome of a verdict.
fn plain(verdict: Verdict, reply: Reply) -> Outcome {
    let retry_after_ms = reply.retry_after_ms;
    let error = || reply.error.clone().unwrap_or_else(|| Error::new("classified", excerpt(said(&reply))));
    match verdict {
        Verdict::Succeeded => Outcome::Succeeded { output: reply.result },
        Verdict::Failed => Outcome::Failed { error: error(), retryable: false, retry_after_ms: None },
        Verdict::Retryable => Outcome::Failed { error: error(), retryable: true, retry_after_ms },
        Verdict::Pending => Outcome::Pending { retry_after_ms },
        Verdict::Unknown => Outcome::Unknown { error: error() },
    }
}

/// What the definition makes of an answer.
struct Decided {
    verdict: Verdict,
    error: Option<Error>,
}

fn decide(call: &Call, view: &View<'_>, reply: &Reply) -> Result<Decided, Error> {
    for rule in &call.classify {
        if matched(&rule.when, view)? {
            return Ok(Decided { verdict: rule.outcome, error: rule_error(rule, view, reply)? });
        }
    }
    let looks_good = reply.verdict == Verdict::Succeeded;
    if let Some(success) = call.success.as_ref().filter(|_| looks_good)
        && !expr::condition(success, view).map_err(|fault| fault.in_expression(&success.0))?
    {
        let message = format!("`{}` is false for the answer {}", success.0, excerpt(said(reply)));
        return Ok(Decided { verdict: Verdict::Failed, error: Some(Error::new("unsuccessful", message)) });
    }
    Ok(Decided { verdict: reply.verdict, error: None })
}

fn matched(when: &Expression, view: &View<'_>) -> Result<bool, Error> {
    match expr::condition(when, view) {
        Ok(matches) => Ok(matches),
        Err(Fault::Missing(_)) => Ok(false),
        Err(fault) => Err(fault.in_expression(&when.0)),
    }
}

fn rule_error(rule: &Rule, view: &View<'_>, reply: &Reply) -> Result<Option<Error>, Error> {
    let needs_error = match rule.outcome {
        Verdict::Succeeded | Verdict::Pending => false,
        Verdict::Failed | Verdict::Retryable | Verdict::Unknown => true,
    };
    let Some(expression) = rule.error.as_ref().filter(|_| needs_error) else {
        return Ok(None);
    };
    let message = expr::text(expression, view).map_err(|fault| fault.in_expression(&expression.0))?;
    let code = reply.error.as_ref().map_or("classified", |error| &error.code);
    Ok(Some(Error::new(code, message)))
}

fn output(template: Option<&Template>, view: &View<'_>, reply: &Reply) -> Result<Json, Error> {
    match template {
        Some(template) => expr::render_view(template, view),
        None => Ok(reply.result.clone()),
    }
}

/// Returns the words of an answer, for messages.
fn said(reply: &Reply) -> &str {
    if reply.text().is_empty() { reply.result.get() } else { reply.text() }
}

/// Makes an answer of what a probe was told.
///
/// A definite answer is asked `applied` and then `absent`. An answer that is itself a failure (HTTP 404, `isError`) proves
/// absence only if the definition says so by an `absent` of its own.
pub(super) fn answer(probe: &Probe, scope: &Scope, reply: &Reply) -> Answer {
    let inconclusive = |error: Error| Answer::Inconclusive { error };
    let says_nothing = || {
        let error = reply.error.clone();
        error
            .unwrap_or_else(|| Error::new("inconclusive", format!("the answer was {}", excerpt(said(reply)))))
    };
    match reply.verdict {
        Verdict::Succeeded | Verdict::Failed => {}
        Verdict::Retryable | Verdict::Pending | Verdict::Unknown => return inconclusive(says_nothing()),
    }
    let view = View::of_answer(scope, reply);
    let ask = |expression: &Expression| {
        expr::condition(expression, &view).map_err(|fault| fault.in_expression(&expression.0))
    };
    let applied = ask(&probe.applied);
    let absent = match &probe.absent {
        Some(absent) => ask(absent),
        None if reply.verdict == Verdict::Failed => Ok(false),
        None => applied.clone().map(|applied| !applied),
    };
    match (applied, absent) {
        (Ok(true), Ok(true)) => inconclusive(Error::new(
            "inconclusive",
            "both `applied` and `absent` are true for the answer; one of them is wrong",
        )),
        (Ok(true), _) => match output(probe.output.as_ref(), &view, reply) {
            Ok(output) => Answer::Applied { output },
            Err(error) => inconclusive(error),
        },
        (_, Ok(true)) => Answer::Absent,
        (Err(error), _) | (_, Err(error)) => inconclusive(error),
        (Ok(false), Ok(false)) => inconclusive(says_nothing()),
    }
}
