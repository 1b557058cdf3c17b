//! Writes a draft as YAML in the form that a person would write, without defaults. Parsing the YAML gives the same
//! draft.
//!
//! Leaves the meaning of the fields to `definition.rs`.

mod emit;

use serde_json::Value;

use super::definition::defaults;
use crate::participant::expr;
use crate::saga::definition::{
    Action, Approver, Call, Draft, Effect, Errors, Expression, KeyRule, Kind, Millis, Notice, OnDisconnect, Probe,
    Retry, Step, Target, Template, Verdict,
};
use emit::{Tree, text};

/// Writes a definition as YAML, in the form that [`parse_definitions`](super::parse_definitions) reads.
///
/// Leaves out every field that has its default value. A draft holds no comments, so the YAML has none.
pub fn to_yaml(draft: &Draft) -> String {
    let mut root = Fields::default();
    root.put("saga", text(&draft.name));
    root.put_unless(draft.description.is_empty(), "description", || text(&draft.description));
    root.put_unless(draft.input == Value::Bool(true), "input", || Tree::from_value(&draft.input));
    root.put_some("output_schema", draft.output_schema.as_ref(), Tree::from_value);
    root.put_some("deadline", draft.deadline_ms, duration);
    root.put_some("retention", draft.retention_ms, duration);
    root.put_some("concurrency", draft.concurrency.as_ref(), expression);
    root.put_some("priority", draft.priority.as_ref(), |priority| word_or_expression(priority, &expr::PRIORITIES));
    root.put_some("fairness", draft.fairness.as_ref(), |key| word_or_expression(key, &expr::FAIRNESS));
    root.put_some("quota", draft.quota, |quota| {
        let number = |limit: u64| Tree::from_value(&limit.into());
        let mut fields = Fields::default();
        fields.put_some("live", quota.live, number);
        fields.put_some("bytes", quota.bytes, number);
        fields.into_tree()
    });
    root.put_some("on_stuck", draft.on_stuck.as_ref(), notice);
    root.put_some("on_end", draft.on_end.as_ref(), notice);
    root.put_unless(draft.on_disconnect == OnDisconnect::Continue, "on_disconnect", || text("abort"));
    root.put_some("open", draft.open.as_ref(), |open| Tree::Mapping(vec![("lease".into(), duration(open.lease_ms))]));
    let mut before = None;
    let mut steps = Vec::new();
    for one in &draft.steps {
        steps.push(step(one, before));
        before = Some(&one.name);
    }
    root.put("steps", Tree::Sequence(steps));
    root.put_some("output", draft.output.as_ref(), template);
    emit::document(&root.into_tree())
}

/// The fields of a mapping, in the order of writing.
#[derive(Default)]
struct Fields(Vec<(String, Tree)>);

impl Fields {
    fn put(&mut self, key: &str, value: Tree) {
        self.0.push((key.to_owned(), value));
    }

    fn put_unless(&mut self, default: bool, key: &str, value: impl FnOnce() -> Tree) {
        if !default {
            self.put(key, value());
        }
    }

    fn put_some<T>(&mut self, key: &str, value: Option<T>, write: impl FnOnce(T) -> Tree) {
        if let Some(value) = value {
            self.put(key, write(value));
        }
    }

    fn into_tree(self) -> Tree {
        Tree::Mapping(self.0)
    }
}

fn step(step: &Step, before: Option<&String>) -> Tree {
    let mut fields = Fields::default();
    fields.put("step", text(&step.name));
    let in_order = step.needs.iter().eq(before);
    fields.put_unless(in_order, "needs", || Tree::Sequence(step.needs.iter().map(|need| text(need)).collect()));
    fields.put_unless(step.kind == Kind::Compensable, "kind", || text(kind_word(step.kind)));
    fields.put_some("when", step.when.as_ref(), expression);
    match &step.action {
        Action::Await { event, deadline_ms } => {
            fields.put("action", Tree::Mapping(vec![("await".into(), text(event))]));
            fields.put_some("deadline", *deadline_ms, duration);
        }
        Action::Approval { message, arguments, approver, deadline_ms } => {
            let mut shown = Fields::default();
            shown.put("message", template(message));
            shown.put_some("arguments", arguments.as_ref(), template);
            shown.put_unless(*approver == Approver::Operator, "approver", || text("caller"));
            fields.put("action", Tree::Mapping(vec![("approval".into(), shown.into_tree())]));
            fields.put_some("deadline", *deadline_ms, duration);
        }
        Action::Sleep { for_ms } => {
            fields.put("action", Tree::Mapping(vec![("sleep".into(), duration(*for_ms))]));
        }
        Action::Call(action) => {
            let mut target = Fields::default();
            put_target(&mut target, &action.target, defaults::METHOD);
            fields.put("action", target.into_tree());
            put_call(&mut fields, action, &defaults::action(step.kind));
        }
    }
    if let Some(compensation) = &step.compensation {
        let mut inner = Fields::default();
        put_target(&mut inner, &compensation.target, defaults::METHOD);
        put_call(&mut inner, compensation, &defaults::compensation(&step.action));
        fields.put("compensation", inner.into_tree());
    }
    fields.put_unless(!step.safe_when_absent, "safe_when_absent", || Tree::from_value(&Value::Bool(true)));
    fields.put_unless(!step.irreversible, "irreversible", || Tree::from_value(&Value::Bool(true)));
    fields.into_tree()
}

fn notice(notice: &Notice) -> Tree {
    let mut fields = Fields::default();
    put_target(&mut fields, &notice.target, defaults::METHOD);
    let default = Notice::new(notice.target.clone()).timeout_ms;
    fields.put_unless(notice.timeout_ms == default, "timeout", || duration(notice.timeout_ms));
    fields.put_some("success", notice.success.as_ref(), expression);
    fields.into_tree()
}

/// Writes the fields of a call, except its target.
fn put_call(fields: &mut Fields, call: &Call, default: &defaults::CallDefaults) {
    // A compensation inherits the effect and the key lifetime of its step together, or neither of them.
    let forgets = call.key_lifetime_ms.is_none() && default.key_lifetime_ms.is_some();
    let same = call.effect == default.effect && !forgets;
    fields.put_unless(same, "effect", || text(effect_word(call.effect)));
    if call.key_lifetime_ms != default.key_lifetime_ms.filter(|_| same) {
        fields.put_some("key_lifetime", call.key_lifetime_ms, duration);
    }
    let retry = retry(&call.retry, &default.retry);
    fields.put_some("retry", retry, |tree| tree);
    fields.put_unless(call.timeout_ms == default.timeout_ms, "timeout", || duration(call.timeout_ms));
    fields.put_some("deadline", call.deadline_ms, duration);
    fields.put_unless(call.settle_ms == defaults::SETTLE_MS, "settle", || duration(call.settle_ms));
    fields.put_some("probe", call.probe.as_ref(), probe);
    fields.put_some("errors", call.errors, |errors| text(errors_word(errors)));
    fields.put_some("refused", call.refused.as_ref(), |refused| {
        if !refused.answers_key {
            return expression(&refused.when);
        }
        Tree::Mapping(vec![("when".into(), expression(&refused.when)), ("answers_key".into(), Tree::Bool(true))])
    });
    fields.put_some("success", call.success.as_ref(), expression);
    fields.put_unless(call.classify.is_empty(), "classify", || {
        let rule = |rule: &crate::saga::definition::Rule| {
            let mut fields = Fields::default();
            fields.put("when", expression(&rule.when));
            fields.put("outcome", text(verdict_word(rule.outcome)));
            fields.put_some("error", rule.error.as_ref(), expression);
            fields.put_unless(!rule.answers_key, "answers_key", || Tree::Bool(true));
            fields.put_some("key", rule.key, |KeyRule::Renew| text("renew"));
            fields.into_tree()
        };
        Tree::Sequence(call.classify.iter().map(rule).collect())
    });
    fields.put_some("output", call.output.as_ref(), template);
}

fn probe(probe: &Probe) -> Tree {
    let mut fields = Fields::default();
    put_target(&mut fields, &probe.target, defaults::PROBE_METHOD);
    fields.put("applied", expression(&probe.applied));
    fields.put_some("absent", probe.absent.as_ref(), expression);
    fields.put_some("output", probe.output.as_ref(), template);
    fields.put_some("retry", retry(&probe.retry, &defaults::probe_retry()), |tree| tree);
    fields.put_unless(probe.timeout_ms == defaults::TIMEOUT_MS, "timeout", || duration(probe.timeout_ms));
    fields.into_tree()
}

fn put_target(fields: &mut Fields, target: &Target, method_default: &str) {
    let by_name = |templates: &std::collections::BTreeMap<String, Template>| {
        Tree::Mapping(templates.iter().map(|(name, value)| (name.clone(), template(value))).collect())
    };
    match target {
        Target::Handler { name, arguments } => {
            fields.put("handler", text(name));
            fields.put_some("arguments", arguments.as_ref(), template);
        }
        Target::Tool { participant, tool, arguments } => {
            fields.put("tool", text(&format!("{participant}/{tool}")));
            let is_empty = arguments.0.as_object().is_some_and(serde_json::Map::is_empty);
            fields.put_unless(is_empty, "arguments", || template(arguments));
        }
        Target::Http { participant, method, path, query, headers, body } => {
            fields.put("http", text(participant));
            fields.put_unless(method == method_default, "method", || text(method));
            fields.put("path", template(path));
            fields.put_unless(query.is_empty(), "query", || by_name(query));
            fields.put_unless(headers.is_empty(), "headers", || by_name(headers));
            fields.put_some("body", body.as_ref(), template);
        }
    }
}

/// Writes the fields of a retry that differ from the defaults. Returns `None` if no field differs.
fn retry(retry: &Retry, default: &Retry) -> Option<Tree> {
    let number = |number: f64| Tree::from_value(&Value::from(number));
    let mut fields = Fields::default();
    fields
        .put_unless(retry.attempts == default.attempts, "attempts", || Tree::from_value(&Value::from(retry.attempts)));
    fields.put_unless(retry.backoff_ms == default.backoff_ms, "backoff", || duration(retry.backoff_ms));
    fields.put_unless(retry.multiplier == default.multiplier, "multiplier", || number(retry.multiplier));
    let same = retry.backoff_max_ms == default.backoff_max_ms;
    fields.put_unless(same, "backoff_max", || duration(retry.backoff_max_ms));
    fields.put_unless(retry.jitter == default.jitter, "jitter", || number(retry.jitter));
    (!fields.0.is_empty()).then(|| fields.into_tree())
}

fn expression(expression: &Expression) -> Tree {
    let wrapped = format!("${{ {} }}", expression.0);
    if expr::unwrap(&wrapped) == expression.0 { text(&wrapped) } else { text(&expression.0) }
}

fn word_or_expression(found: &Expression, words: &[&str]) -> Tree {
    if words.contains(&&*found.0) { text(&found.0) } else { expression(found) }
}

fn template(template: &Template) -> Tree {
    Tree::from_value(&template.0)
}

/// Writes a duration with the largest possible units, such as `1h30m`.
fn duration(ms: Millis) -> Tree {
    const UNITS: [(Millis, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut rest = ms;
    let mut out = String::new();
    for (length, unit) in UNITS {
        if rest >= length {
            out.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    Tree::Plain(if out.is_empty() { "0s".to_owned() } else { out })
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Compensable => "compensable",
        Kind::Pivot => "pivot",
        Kind::Retriable => "retriable",
    }
}

fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::ReadOnly => "read_only",
        Effect::Idempotent => "idempotent",
        Effect::Once => "once",
        Effect::Transactional => "transactional",
    }
}

fn errors_word(errors: Errors) -> &'static str {
    match errors {
        Errors::Definite => "definite",
        Errors::Unknown => "unknown",
    }
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "succeeded",
        Verdict::Failed => "failed",
        Verdict::Retryable => "retryable",
        Verdict::Pending => "pending",
        Verdict::Errored => "errored",
        Verdict::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests;
