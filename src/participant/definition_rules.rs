//! Turns answers into outcomes. Applies the definition's `classify`, `refused`, `success` and `output` to an answer
//! that the default rules have judged, and evaluates the predicates of a probe. The client of each protocol applies
//! the default rules.
//!
//! An expression over an answer runs after the call was made. If the expression fails, the outcome is unknown and
//! never a failure. A rule that reads a field which the answer lacks does not match.

use std::borrow::Cow;

use super::default_rules::DefaultRule;
use super::expr::{self, Fault, View};
use super::first_law;
use super::reply::{Reply, excerpt, is_in_part, recorded};
use super::scope::Scope;
use crate::saga::definition::{Call, Effect, Errors, Expression, KeyRule, Probe, Rule, Template, Verdict};
use crate::saga::outcome::{Answer, DecidedBy, Error, Outcome};
use crate::saga::{Json, Law};

/// Returns the outcome of an answered call, and what decided it. `errors`: what the participant's errors prove.
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

/// Hides an incomplete answer from the rules, and returns its error for people. Rules are for whole answers. The
/// beginning of an incomplete one may come from a proxy that sent the request a second time. A rule can still match
/// the code of the error.
fn withhold(reply: &mut Reply) -> Option<Error> {
    (reply.status, reply.text) = (None, None);
    reply.headers.clear();
    let seen = reply.error.as_ref().map(|error| Error::new(error.code.clone(), reply.rule.answer()));
    std::mem::replace(&mut reply.error, seen)
}

/// Returns the outcome of an answer to which this default rule applies, if no rule of the definition matches it.
pub fn outcome_by_default(call: &Call, errors: Option<Errors>, rule: DefaultRule) -> Outcome {
    let mut reply = Reply::new(rule, rule.answer());
    reply.error = reply.error.filter(|_| rule.verdict() != Verdict::Succeeded);
    by_default(call, Law::NEWEST, errors, &mut reply);
    let outcome = Decided::new(reply.verdict, rule.word(), None).outcome(reply);
    match rule {
        // A transaction that the handler ended by itself is not rolled back. `Lost` and `ProcessDied` are not answers
        // of a handler.
        DefaultRule::TransactionEnded | DefaultRule::Lost | DefaultRule::ProcessDied => outcome,
        _ => as_recorded(call, outcome),
    }
}

/// Returns the outcome of an answer that the definition takes for a refusal: `refused` is true, or `success` is
/// false.
pub fn outcome_of_refusal(answers_key: bool) -> Outcome {
    let error = Some(Error::new("refused", "the definition says so"));
    let reply = Reply::succeeded(DefaultRule::Handler, Json::null());
    Decided { answers_key, ..Decided::new(Verdict::Failed, "refused", error) }.outcome(reply)
}

/// Returns the outcome that is recorded for a call. An outcome that a transactional handler leaves open is rolled
/// back.
pub fn as_recorded(call: &Call, outcome: Outcome) -> Outcome {
    match call.effect {
        Effect::Transactional => rolled_back(outcome),
        Effect::ReadOnly | Effect::Idempotent | Effect::Once => outcome,
    }
}

/// Returns the outcome of a transactional handler after its rollback: nothing stays unknown, errored or pending.
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

/// Returns the outcome of an answer that matches this rule of a definition.
pub fn outcome_of_rule(rule: &Rule) -> Outcome {
    let decided = Decided::new(rule.outcome, "classify", Some(Error::new("classified", rule.when.0.as_str())));
    let renew_key = rule.key == Some(KeyRule::Renew);
    let reply = Reply::succeeded(DefaultRule::Handler, Json::null());
    Decided { answers_key: rule.answers_key, renew_key, ..decided }.outcome(reply)
}

/// Adjusts the verdict of the default rule to the call, and returns the setting that changed it. A `read_only` call
/// has no effect, so its error is a failure; one that may stand for a lost answer, such as -32603, is unknown. For
/// other calls an error proves what the definition or the participant's settings say.
fn by_default(call: &Call, law: Law, errors: Option<Errors>, reply: &mut Reply) -> Option<Errors> {
    let reads = call.effect == Effect::ReadOnly;
    match law {
        Law::V1 => first_law::read(reply),
        Law::V2 if reads && reply.verdict == Verdict::Errored => reply.verdict = first_law::of_error(reply),
        Law::V2 => {}
    }
    let verdict = match (reply.verdict, reply.rule, errors) {
        (Verdict::Errored, _, Some(Errors::Definite)) => Verdict::Failed,
        // The setting withdraws HTTP's convention, so this answer proves nothing.
        (_, rule, Some(Errors::Unknown)) if rule.is_convention() && !reads => Verdict::Unknown,
        (verdict, _, _) => verdict,
    };
    let setting = errors.filter(|_| verdict != reply.verdict);
    reply.verdict = verdict;
    setting
}

/// Names the default rule that applied, with the setting that changed its verdict.
fn default_word(setting: Option<Errors>, reply: &Reply) -> Cow<'static, str> {
    let word = reply.rule.word();
    match setting {
        Some(Errors::Definite) => format!("{word}, errors: definite").into(),
        Some(Errors::Unknown) => format!("{word}, errors: unknown").into(),
        None => word.into(),
    }
}

/// The decision on an answer.
struct Decided {
    verdict: Verdict,
    /// The rule that decided.
    rule: Cow<'static, str>,
    /// The error that the rule gives; none if it takes the answer's.
    error: Option<Error>,
    answers_key: bool,
    renew_key: bool,
}

impl Decided {
    fn new(verdict: Verdict, rule: impl Into<Cow<'static, str>>, error: Option<Error>) -> Self {
        Self { verdict, rule: rule.into(), error, answers_key: false, renew_key: false }
    }

    /// Returns what decided, for the journal. None for a plain success: `DefaultRule::of_plain_success` knows its
    /// rule.
    fn by(&self, reply: &Reply, status: Option<u16>) -> Option<DecidedBy> {
        let plain = self.rule == reply.rule.word() && self.verdict == Verdict::Succeeded;
        // A success over HTTP is recorded with its status: 202 is not 200.
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

/// Returns what the definition decides on an answer; none if the default rule decides.
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

/// Returns an answer as text, for messages.
fn said(reply: &Reply) -> &str {
    if reply.text().is_empty() { reply.result.get() } else { reply.text() }
}

/// Returns a probe's answer and what decided it: `applied`, `absent`, or why neither did.
///
/// `applied` and then `absent` are evaluated over a definite answer. An answer that is itself a failure (HTTP 404,
/// `isError`) proves absence only if the probe has an `absent` of its own.
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
        // The predicates of a probe can read an error.
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
        let busy = Reply::new(DefaultRule::HttpBusy, "later").after(Some(std::time::Duration::from_secs(2)));
        assert_eq!(said(json!({}), busy), "retryable busy: later Some(2000)");
        assert_eq!(said(json!({}), Reply::new(DefaultRule::Timeout, "late")), "unknown timeout: late");
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
        // A failure stays a failure: `success` is not evaluated.
        assert_eq!(said(rules(), Reply::new(DefaultRule::ToolError, "no")), "errored tool_error: no");
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
        assert_eq!(said(rules(), Reply::new(DefaultRule::Timeout, "late")), "retryable timeout: late None");
        // A rule does not match where a field is missing. A wrong type makes the outcome unknown.
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
        let late = found(short(), Reply::new(DefaultRule::Timeout, "late"));
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
