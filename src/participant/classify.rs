//! Answers to outcomes. Owns how a definition's `classify`, `success` and `output` change what the default
//! rules made of an answer, and what a probe's predicates find; the default rules themselves live with each
//! kind of participant.
//!
//! One law for expressions over answers: the call has been made, so an expression that fails makes the
//! outcome unknown, never a failure. A rule that asks for a field which the answer does not have does not
//! match.

use std::borrow::Cow;

use super::expr::{self, Fault, View};
use super::first_law;
use super::reply::{Reply, excerpt, is_in_part, recorded};
use super::rule::DefaultRule;
use super::scope::Scope;
use crate::saga::definition::{Call, Effect, Errors, Expression, KeyRule, Probe, Rule, Template, Verdict};
use crate::saga::outcome::{Answer, DecidedBy, Error, Outcome};
use crate::saga::{Json, Law};

/// Makes an outcome of the answer to a call, and says what decided it. `errors`: what errors of the participant prove.
pub(super) fn outcome(
    call: &Call,
    scope: &Scope,
    errors: Option<Errors>,
    mut reply: Reply,
) -> (Outcome, Option<DecidedBy>) {
    let setting = by_default(call, scope.law, errors, &mut reply);
    let status = reply.status;
    let default = |reply: &Reply| Decided::new(reply.verdict, default_word(setting, reply), None);
    let rules = !call.classify.is_empty() || call.refused.is_some() || call.success.is_some();
    if !rules && call.output.is_none() {
        let decided = default(&reply);
        let by = decided.by(&reply, status);
        return (decided.outcome(reply), by);
    }
    let retry_after_ms = reply.retry_after_ms;
    let unreadable = |error: Error| {
        let by = DecidedBy::new(DefaultRule::Expression.word(), status);
        (Outcome::Unknown { error, retry_after_ms }, Some(by))
    };
    let error = is_in_part(reply.rule).then(|| withhold(&mut reply));
    let view = View::of_answer(scope, &reply);
    let decided = match decide(call, &view, &reply) {
        Ok(Some(decided)) => decided,
        Ok(None) => default(&reply),
        Err(error) => return unreadable(error),
    };
    let by = decided.by(&reply, status);
    if decided.verdict == Verdict::Succeeded {
        return match output(call.output.as_ref(), &view, &reply) {
            Ok(output) => (Outcome::Succeeded { output }, by),
            Err(error) => unreadable(error),
        };
    }
    drop(view);
    if let Some(error) = error {
        reply.error = error;
    }
    (decided.outcome(reply), by)
}

/// Withholds from rules what is there of an answer that is not there whole, and returns its error for people. Rules are
/// for answers, and this is none: its beginning may be that of a proxy, which sent the request a second time. They may
/// still name the error by its code.
fn withhold(reply: &mut Reply) -> Option<Error> {
    (reply.status, reply.text) = (None, None);
    reply.headers.clear();
    let seen = reply.error.as_ref().map(|error| Error::new(error.code.clone(), reply.rule.answer()));
    std::mem::replace(&mut reply.error, seen)
}

/// Makes an outcome of an answer to which this default rule applies, when no rule of the definition does.
pub fn outcome_by_default(call: &Call, errors: Option<Errors>, rule: DefaultRule) -> Outcome {
    let mut reply = Reply::of(rule, rule.answer());
    reply.error = reply.error.filter(|_| rule.verdict() != Verdict::Succeeded);
    by_default(call, Law::NEWEST, errors, &mut reply);
    let outcome = Decided::new(reply.verdict, rule.word(), None).outcome(reply);
    match rule {
        // What its handler committed by itself is not rolled back; and these are no answer of a handler.
        DefaultRule::TransactionEnded | DefaultRule::Lost | DefaultRule::ProcessDied => outcome,
        _ => as_recorded(call, outcome),
    }
}

/// Makes an outcome of an answer that the definition takes for a refusal: `refused` holds, or `success` does not.
pub fn outcome_of_refusal(answers_key: bool) -> Outcome {
    let error = Some(Error::new("refused", "the definition says so"));
    let reply = Reply::succeeded(DefaultRule::Handler, Json::null());
    Decided { answers_key, ..Decided::new(Verdict::Failed, "refused", error) }.outcome(reply)
}

/// What is recorded of an outcome of such a call: one that a transactional handler leaves open is rolled back.
pub fn as_recorded(call: &Call, outcome: Outcome) -> Outcome {
    match call.effect {
        Effect::Transactional => rolled_back(outcome),
        Effect::ReadOnly | Effect::Idempotent | Effect::Once => outcome,
    }
}

/// What the outcome of a transactional handler comes to: what does not succeed is rolled back, so nothing is unknown or
/// pending.
pub(super) fn rolled_back(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Unknown { error, retry_after_ms } | Outcome::Errored { error, retry_after_ms } => {
            Outcome::retryable(error, retry_after_ms)
        }
        Outcome::Pending { .. } => {
            Outcome::failed(Error::new("pending", "the effect of a transactional handler cannot come later"))
        }
        known @ (Outcome::Succeeded { .. } | Outcome::Failed { .. }) => known,
    }
}

/// Makes an outcome of an answer for which this rule of a definition holds.
pub fn outcome_of_rule(rule: &Rule) -> Outcome {
    let decided = Decided::new(rule.outcome, "classify", Some(Error::new("classified", rule.when.0.as_str())));
    let renew_key = rule.key == Some(KeyRule::Renew);
    let reply = Reply::succeeded(DefaultRule::Handler, Json::null());
    Decided { answers_key: rule.answers_key, renew_key, ..decided }.outcome(reply)
}

/// What the default rule makes of an answer for this call, and the setting that changed it. What only reads has done
/// nothing, so an error of it is a failure as ever; else errors prove what the participant's settings or the
/// definition say.
fn by_default(call: &Call, law: Law, errors: Option<Errors>, reply: &mut Reply) -> Option<Errors> {
    let reads = call.effect == Effect::ReadOnly;
    match law {
        Law::V1 => first_law::read(reply),
        Law::V2 if reads && reply.verdict == Verdict::Errored => reply.verdict = first_law::of_error(reply),
        Law::V2 => {}
    }
    let verdict = match (reply.verdict, reply.rule, errors) {
        (Verdict::Errored, _, Some(Errors::Definite)) => Verdict::Failed,
        // The convention of HTTP is withdrawn: such an answer says as much as none.
        (_, rule, Some(Errors::Unknown)) if rule.is_convention() && !reads => Verdict::Unknown,
        (verdict, _, _) => verdict,
    };
    let setting = errors.filter(|_| verdict != reply.verdict);
    reply.verdict = verdict;
    setting
}

/// Names the default rule that holds, with the setting that changed it.
fn default_word(setting: Option<Errors>, reply: &Reply) -> Cow<'static, str> {
    let word = reply.rule.word();
    match setting {
        Some(Errors::Definite) => format!("{word}, errors: definite").into(),
        Some(Errors::Unknown) => format!("{word}, errors: unknown").into(),
        None => word.into(),
    }
}

/// What is made of an answer.
struct Decided {
    verdict: Verdict,
    /// By what.
    rule: Cow<'static, str>,
    /// An error of the rule's own.
    error: Option<Error>,
    answers_key: bool,
    renew_key: bool,
}

impl Decided {
    fn new(verdict: Verdict, rule: impl Into<Cow<'static, str>>, error: Option<Error>) -> Self {
        Self { verdict, rule: rule.into(), error, answers_key: false, renew_key: false }
    }

    /// What decided, as it is recorded. Nothing is for a plain success: `DefaultRule::of_plain_success` knows its rule.
    fn by(&self, reply: &Reply, status: Option<u16>) -> Option<DecidedBy> {
        let plain = self.rule == reply.rule.word() && self.verdict == Verdict::Succeeded;
        // A status tells more than its class: 202 is no 200.
        let plain = plain && reply.rule != DefaultRule::Http2xx;
        (!plain).then(|| DecidedBy::new(self.rule.clone(), status))
    }

    fn outcome(self, reply: Reply) -> Outcome {
        let retry_after_ms = reply.retry_after_ms;
        let Self { verdict, error, answers_key, renew_key, .. } = self;
        let error = || {
            let error = error.or_else(|| reply.error.clone());
            error.unwrap_or_else(|| recorded("classified", excerpt(said(&reply))))
        };
        match verdict {
            Verdict::Succeeded => Outcome::Succeeded { output: reply.result },
            Verdict::Failed => {
                let (error, retryable, retry_after_ms) = (error(), false, None);
                Outcome::Failed { error, retryable, retry_after_ms, answers_key, renew_key }
            }
            Verdict::Retryable => {
                let (error, retryable) = (error(), true);
                Outcome::Failed { error, retryable, retry_after_ms, answers_key, renew_key }
            }
            Verdict::Pending => Outcome::Pending { retry_after_ms },
            Verdict::Errored => Outcome::Errored { error: error(), retry_after_ms },
            Verdict::Unknown => Outcome::Unknown { error: error(), retry_after_ms },
        }
    }
}

/// What the definition makes of an answer; none: what the default rule does.
fn decide(call: &Call, view: &View<'_>, reply: &Reply) -> Result<Option<Decided>, Error> {
    for (index, rule) in call.classify.iter().enumerate() {
        if matched(&rule.when, view)? {
            let decided = Decided::new(rule.outcome, format!("classify[{index}]"), rule_error(rule, view, reply)?);
            let renew_key = rule.key == Some(KeyRule::Renew);
            return Ok(Some(Decided { answers_key: rule.answers_key, renew_key, ..decided }));
        }
    }
    if let Some(refused) = &call.refused
        && matched(&refused.when, view)?
    {
        let decided = Decided::new(Verdict::Failed, "refused", None);
        return Ok(Some(Decided { answers_key: refused.answers_key, ..decided }));
    }
    let looks_good = reply.verdict == Verdict::Succeeded;
    if let Some(success) = call.success.as_ref().filter(|_| looks_good)
        && !expr::condition(success, view).map_err(|fault| fault.in_expression(&success.0))?
    {
        let message = format!("`{}` is false for the answer {}", success.0, excerpt(said(reply)));
        let error = Some(recorded("unsuccessful", message));
        return Ok(Some(Decided::new(Verdict::Failed, "success", error)));
    }
    Ok(None)
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
        Verdict::Failed | Verdict::Retryable | Verdict::Errored | Verdict::Unknown => true,
    };
    let Some(expression) = rule.error.as_ref().filter(|_| needs_error) else {
        return Ok(None);
    };
    let message = expr::text(expression, view).map_err(|fault| fault.in_expression(&expression.0))?;
    let code = reply.error.as_ref().map_or("classified", |error| &error.code);
    Ok(Some(recorded(code, message)))
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

/// Makes an answer of what a probe was told, and says what decided it: `applied`, `absent`, or why neither did.
///
/// A definite answer is asked `applied` and then `absent`. An answer that is itself a failure (HTTP 404,
/// `isError`) proves absence only if the definition says so by an `absent` of its own.
pub(super) fn answer(probe: &Probe, scope: &Scope, reply: &Reply) -> (Answer, DecidedBy) {
    let former = (scope.law == Law::V1).then(|| {
        let mut former = reply.clone();
        first_law::read(&mut former);
        former
    });
    let reply = former.as_ref().unwrap_or(reply);
    let by = |rule: &str| DecidedBy::new(rule, reply.status);
    let inconclusive =
        |error: Error, rule| (Answer::Inconclusive { error, retry_after_ms: reply.retry_after_ms }, by(rule));
    let default = reply.rule.word();
    let expression = DefaultRule::Expression.word();
    let says_nothing = || {
        let error = reply.error.clone();
        error.unwrap_or_else(|| recorded("inconclusive", format!("the answer was {}", excerpt(said(reply)))))
    };
    match reply.verdict {
        Verdict::Errored if first_law::of_error(reply) == Verdict::Unknown => {
            return inconclusive(says_nothing(), default);
        }
        // A probe's own error is read by its predicates.
        Verdict::Succeeded | Verdict::Failed | Verdict::Errored => {}
        Verdict::Retryable | Verdict::Pending | Verdict::Unknown => {
            return inconclusive(says_nothing(), default);
        }
    }
    let view = View::of_answer(scope, reply);
    let ask = |expression: &Expression| {
        expr::condition(expression, &view).map_err(|fault| fault.in_expression(&expression.0))
    };
    let applied = ask(&probe.applied);
    let absent = match &probe.absent {
        Some(absent) => ask(absent),
        None if reply.verdict != Verdict::Succeeded => Ok(false),
        None => applied.clone().map(|applied| !applied),
    };
    match (applied, absent) {
        (Ok(true), Ok(true)) => {
            let message = "both `applied` and `absent` are true for the answer; one of them is wrong";
            inconclusive(recorded("inconclusive", message), "both applied and absent")
        }
        (Ok(true), _) => match output(probe.output.as_ref(), &view, reply) {
            Ok(output) => (Answer::Applied { output }, by("applied")),
            Err(error) => inconclusive(error, expression),
        },
        (_, Ok(true)) if probe.absent.is_none() => (Answer::Absent, by("not applied")),
        (_, Ok(true)) => (Answer::Absent, by("absent")),
        (Err(error), _) | (_, Err(error)) => inconclusive(error, expression),
        (Ok(false), Ok(false)) => inconclusive(says_nothing(), "neither applied nor absent"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    fn call(rules: Value) -> Call {
        let mut call = json!({"target": {"handler": {"name": "h"}}});
        if let (Value::Object(call), Value::Object(rules)) = (&mut call, rules) {
            call.extend(rules);
        }
        serde_json::from_value(call).unwrap()
    }

    fn scope() -> Scope {
        Scope::of_saga(Uuid::nil(), Json::from(json!({})), Vec::new())
    }

    fn good(result: Value) -> Reply {
        Reply { text: Some(result.to_string()), ..Reply::succeeded(DefaultRule::Http2xx, Json::from(result)) }
    }

    /// Writes an outcome in one line.
    fn said(rules: Value, reply: Reply) -> String {
        match outcome(&call(rules), &scope(), None, reply).0 {
            Outcome::Succeeded { output } => format!("succeeded {}", output.get()),
            Outcome::Failed { error, retryable: false, .. } => format!("failed {error}"),
            Outcome::Failed { error, retry_after_ms, .. } => format!("retryable {error} {retry_after_ms:?}"),
            Outcome::Pending { retry_after_ms } => format!("pending {retry_after_ms:?}"),
            Outcome::Errored { error, .. } => format!("errored {error}"),
            Outcome::Unknown { error, .. } => format!("unknown {error}"),
        }
    }

    #[test]
    fn without_rules_the_defaults_stand() {
        assert_eq!(said(json!({}), good(json!({"a": 1}))), r#"succeeded {"a":1}"#);
        assert_eq!(said(json!({}), Reply::coded(DefaultRule::Http4xx, "http_404", "gone")), "failed http_404: gone");
        let busy = Reply::of(DefaultRule::HttpBusy, "later").after(Some(std::time::Duration::from_secs(2)));
        assert_eq!(said(json!({}), busy), "retryable busy: later Some(2000)");
        assert_eq!(said(json!({}), Reply::of(DefaultRule::Timeout, "late")), "unknown timeout: late");
    }

    #[test]
    fn success_turns_an_answer_that_only_looks_good() {
        let rules = || json!({"success": "result.ok", "output": "${ result.id }"});
        assert_eq!(said(rules(), good(json!({"ok": true, "id": 7}))), "succeeded 7");
        let refused = said(rules(), good(json!({"ok": false})));
        assert!(refused.starts_with("failed unsuccessful: `result.ok` is false for the answer {"), "{refused}");
        // An answer that cannot be read proves nothing.
        let unreadable = said(rules(), good(json!({"status": "?"})));
        assert!(unreadable.starts_with("unknown expression: `result.ok`"), "{unreadable}");
        let no_output = said(rules(), good(json!({"ok": true})));
        assert!(no_output.starts_with("unknown expression: `result.id`"), "{no_output}");
        // A failure stays one, whatever `success` would say.
        assert_eq!(said(rules(), Reply::of(DefaultRule::ToolError, "no")), "errored tool_error: no");
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let rules = || {
            json!({"classify": [
                {"when": "text.startsWith('Failed')", "outcome": "failed", "error": "'said: ' + text"},
                {"when": "status == 500 && result.code == 'declined'", "outcome": "failed"},
                {"when": "result.state == 'queued'", "outcome": "pending"},
                {"when": "error != null && error.code == 'timeout'", "outcome": "retryable"},
                {"when": "result.id + 1 == 2", "outcome": "succeeded"},
            ]})
        };
        let text = |text: &str| Reply {
            text: Some(text.into()),
            ..Reply::succeeded(DefaultRule::ToolResult, Json::from(json!(text)))
        };
        assert_eq!(said(rules(), text("Failed to charge")), "failed classified: said: Failed to charge");
        let declined = Reply {
            status: Some(500),
            result: Json::from(json!({"code": "declined"})),
            ..Reply::coded(DefaultRule::Http5xx, "http_500", "oh")
        };
        assert_eq!(said(rules(), declined), "failed http_500: oh");
        assert_eq!(said(rules(), good(json!({"state": "queued"}))), "pending None");
        assert_eq!(said(rules(), Reply::of(DefaultRule::Timeout, "late")), "retryable timeout: late None");
        // A missing field is no match; a wrong type is a rule that cannot be trusted.
        assert_eq!(said(rules(), good(json!({"state": "done"}))), r#"succeeded {"state":"done"}"#);
        let wrong = said(rules(), good(json!({"id": "x"})));
        assert!(wrong.starts_with("unknown expression: `result.id + 1 == 2`"), "{wrong}");
    }

    fn found(probe: Value, reply: Reply) -> String {
        let mut whole = json!({"target": {"handler": {"name": "h"}}});
        if let (Value::Object(whole), Value::Object(probe)) = (&mut whole, probe) {
            whole.extend(probe);
        }
        let (answer, by) = answer(&serde_json::from_value(whole).unwrap(), &scope(), &reply);
        assert_eq!(by.status, reply.status);
        match answer {
            Answer::Applied { output } => format!("applied {} by {}", output.get(), by.rule),
            Answer::Absent => format!("absent by {}", by.rule),
            Answer::Inconclusive { error, .. } => format!("inconclusive {} by {}", error.code, by.rule),
        }
    }

    #[test]
    fn probes_find_applied_absent_or_nothing() {
        let short = || json!({"applied": "result.found", "output": "${ result.charge }"});
        let charge = good(json!({"found": true, "charge": {"id": 1}}));
        assert_eq!(found(short(), charge), r#"applied {"id":1} by applied"#);
        assert_eq!(found(short(), good(json!({"found": false}))), "absent by not applied");
        assert_eq!(found(short(), good(json!({}))), "inconclusive expression by expression");
        assert_eq!(found(short(), good(json!({"found": true}))), "inconclusive expression by expression");
        // An answer that is a failure proves no absence by itself.
        assert_eq!(
            found(short(), Reply::coded(DefaultRule::Http4xx, "http_401", "who?")),
            "inconclusive expression by expression"
        );
        assert_eq!(
            found(json!({"applied": "false"}), Reply::coded(DefaultRule::Http4xx, "http_401", "who?")),
            "inconclusive http_401 by neither applied nor absent"
        );
        let late = found(short(), Reply::of(DefaultRule::Timeout, "late"));
        assert_eq!(late, "inconclusive timeout by timeout");

        let absent = "status == 404 || result.state == 'no'";
        let full = || json!({"applied": "result.state == 'done'", "absent": absent});
        let gone = Reply { status: Some(404), ..Reply::coded(DefaultRule::Http4xx, "http_404", "gone") };
        assert_eq!(found(full(), gone), "absent by absent");
        assert_eq!(found(full(), good(json!({"state": "no"}))), "absent by absent");
        let running = found(full(), good(json!({"state": "running"})));
        assert_eq!(running, "inconclusive inconclusive by neither applied nor absent");
        let both = json!({"applied": "true", "absent": "true"});
        let both = found(both, good(json!({})));
        assert_eq!(both, "inconclusive inconclusive by both applied and absent");
    }
}
