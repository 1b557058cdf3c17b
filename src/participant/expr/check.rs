//! Checks expressions and templates before a definition is accepted, and finds all faults at once. Says which
//! variables exist where. A step may read the outputs only of steps that are over before it starts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::compile::{self, Compiled};
use super::template::Text;
use crate::participant::reply::one_line;
use crate::saga::Fault;
use crate::saga::definition::{Action, Call, Draft, Expression, Kind, Probe, Step, Target, Template};

/// A place in a definition that holds expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A step's `when`, and the saga's `output`.
    Saga,
    /// Arguments of an action, or of the probe that asks about it.
    Action,
    /// Arguments of a compensation, or of the probe that asks about it.
    Compensation,
    /// `success`, `refused`, `classify` and `output` of an action, and the predicates of its probe.
    ActionAnswer,
    /// The same fields of a compensation.
    CompensationAnswer,
    /// Arguments of a notice.
    Notice,
    /// `success` of a notice.
    NoticeAnswer,
}

impl Place {
    /// Returns the variables that exist there.
    #[rustfmt::skip]
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Saga => &["input", "steps", "saga"],
            Self::Action => &["input", "steps", "saga", "step", "attempt", "key", "key_uuid", "key_hex"],
            Self::Compensation => &[
                "input", "steps", "saga", "step", "attempt", "key", "key_uuid", "key_hex",
                "action_key", "action_key_uuid", "action_key_hex", "output",
            ],
            Self::Notice => &[
                "saga", "definition", "status", "step", "reason", "input", "output", "key", "key_uuid", "key_hex",
            ],
            Self::NoticeAnswer => &["result", "text", "content", "meta", "error", "outcome", "headers", "key"],
            Self::ActionAnswer => &[
                "input", "steps", "saga", "step", "attempt", "key", "key_uuid", "key_hex",
                "result", "text", "content", "meta", "error", "status", "outcome", "headers",
            ],
            Self::CompensationAnswer => &[
                "input", "steps", "saga", "step", "attempt", "key", "key_uuid", "key_hex",
                "action_key", "action_key_uuid", "action_key_hex", "output",
                "result", "text", "content", "meta", "error", "status", "outcome", "headers",
            ],
        }
    }
}

/// Checks the text of one expression: syntax, limits, variables and functions.
pub fn check_expression(text: &str, allowed: &[&str]) -> Result<(), String> {
    let compiled = compile::compiled(text)?;
    let faults = unknown(&compiled, allowed);
    if faults.is_empty() { Ok(()) } else { Err(one_line(faults.join("; "))) }
}

/// Checks every expression of a template. The path of a fault begins inside the template: `.a[0].b`.
pub fn check_template(template: &Template, allowed: &[&str]) -> Result<(), Vec<Fault>> {
    let mut check = Check { steps: None, faults: Vec::new() };
    check.template(String::new(), template, allowed);
    if check.faults.is_empty() { Ok(()) } else { Err(check.faults) }
}

/// Checks every expression of a draft. The paths are those of [`Fault`].
pub fn check_draft(draft: &Draft) -> Vec<Fault> {
    let mut check = Check { steps: None, faults: Vec::new() };
    for (index, step) in draft.steps.iter().enumerate() {
        check.steps = Some((step.name.clone(), before(draft, step)));
        check.step(&format!("steps[{index}]"), step);
    }
    check.of_start("concurrency", draft.concurrency.as_ref(), &[]);
    check.of_start("priority", draft.priority.as_ref(), &super::PRIORITIES);
    check.of_start("fairness", draft.fairness.as_ref(), &super::FAIRNESS);
    check.steps = None;
    for (path, notice) in [("on_stuck", &draft.on_stuck), ("on_end", &draft.on_end)] {
        let Some(notice) = notice else { continue };
        check.target(&format!("{path}.target"), &notice.target, Place::Notice);
        if let Some(success) = &notice.success {
            check.expression(format!("{path}.success"), success, Place::NoticeAnswer);
        }
    }
    if let Some(output) = &draft.output {
        check.steps = Some((String::new(), draft.steps.iter().map(|step| step.name.clone()).collect()));
        check.template("output".into(), output, Place::Saga.variables());
    }
    check.faults
}

/// Checks every expression of a step that is appended to an open saga. `over`: the steps whose outputs it may read,
/// which are its needs and theirs. Paths begin with `step`.
pub fn check_step(step: &Step, over: &BTreeSet<String>) -> Vec<Fault> {
    let mut check = Check { steps: Some((step.name.clone(), over.clone())), faults: Vec::new() };
    check.step("step", step);
    check.faults
}

/// Returns the names of the steps that are over when this one starts: its needs, the steps of an earlier kind
/// (compensable, pivot, retriable), and the needs of all of these.
fn before(draft: &Draft, step: &Step) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open: Vec<&str> = step.needs.iter().map(String::as_str).collect();
    open.extend(draft.steps.iter().filter(|other| other.kind < step.kind).map(|other| other.name.as_str()));
    while let Some(name) = open.pop() {
        if name != step.name && names.insert(name.to_owned()) {
            let needs = draft.steps.iter().filter(|other| other.name == name).flat_map(|other| &other.needs);
            open.extend(needs.map(String::as_str));
        }
    }
    debug_assert!(Kind::Compensable < Kind::Pivot && Kind::Pivot < Kind::Retriable);
    names
}

/// Returns a message for each variable and function that does not exist here.
fn unknown(compiled: &Compiled, allowed: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for name in &compiled.needs.variables {
        if !allowed.contains(&name.as_str()) {
            faults.push(format!("there is no variable `{name}` here; there are {}", allowed.join(", ")));
        }
    }
    for name in compiled.unknown_functions() {
        let names = compile::function_names().join(", ");
        faults.push(format!("there is no function `{name}`; there are {names}"));
    }
    faults
}

/// The state of a check.
struct Check {
    /// The current step and the steps whose outputs it may read; none where the steps are not known.
    steps: Option<(String, BTreeSet<String>)>,
    faults: Vec<Fault>,
}

impl Check {
    fn add(&mut self, path: String, message: String) {
        self.faults.push(Fault { path, message: one_line(message) });
    }

    /// Checks what the database evaluates when a saga starts: one of these words or a plain path into the input. The
    /// database has no CEL.
    fn of_start(&mut self, path: &str, found: Option<&Expression>, words: &[&str]) {
        let Some(found) = found.filter(|found| super::of_start(found, words).is_none()) else { return };
        let words = words.iter().map(|word| format!("`{word}` or ")).collect::<String>();
        let message = format!(
            "expected {words}a plain path into the input, such as `input.guest` or `input.order['guest-id']`, found \
             `{}`; compute the value before the start and put it into the input",
            found.0
        );
        self.add(path.into(), message);
    }

    fn step(&mut self, path: &str, step: &Step) {
        if let Some(when) = &step.when {
            self.expression(format!("{path}.when"), when, Place::Saga);
        }
        if let Action::Call(call) = &step.action {
            self.call(&format!("{path}.action"), call, Place::Action, Place::ActionAnswer);
        }
        if let Action::Approval { message, arguments, .. } = &step.action {
            self.text_template(format!("{path}.action.message"), message, Place::Saga.variables());
            if let Some(arguments) = arguments {
                self.template(format!("{path}.action.arguments"), arguments, Place::Saga.variables());
            }
        }
        if let Some(call) = &step.compensation {
            let path = format!("{path}.compensation");
            self.call(&path, call, Place::Compensation, Place::CompensationAnswer);
        }
    }

    fn call(&mut self, path: &str, call: &Call, before: Place, after: Place) {
        self.target(&format!("{path}.target"), &call.target, before);
        if let Some(refused) = &call.refused {
            self.expression(format!("{path}.refused"), &refused.when, after);
        }
        if let Some(success) = &call.success {
            self.expression(format!("{path}.success"), success, after);
        }
        for (index, rule) in call.classify.iter().enumerate() {
            self.expression(format!("{path}.classify[{index}].when"), &rule.when, after);
            if let Some(error) = &rule.error {
                self.expression(format!("{path}.classify[{index}].error"), error, after);
            }
        }
        if let Some(output) = &call.output {
            self.template(format!("{path}.output"), output, after.variables());
        }
        if let Some(probe) = &call.probe {
            self.probe(&format!("{path}.probe"), probe, before, after);
        }
    }

    fn probe(&mut self, path: &str, probe: &Probe, before: Place, after: Place) {
        self.target(&format!("{path}.target"), &probe.target, before);
        self.expression(format!("{path}.applied"), &probe.applied, after);
        if let Some(absent) = &probe.absent {
            self.expression(format!("{path}.absent"), absent, after);
        }
        if let Some(output) = &probe.output {
            self.template(format!("{path}.output"), output, after.variables());
        }
    }

    fn target(&mut self, path: &str, target: &Target, place: Place) {
        let variables = place.variables();
        match target {
            Target::Handler { arguments, .. } => {
                if let Some(arguments) = arguments {
                    self.template(format!("{path}.handler.arguments"), arguments, variables);
                }
            }
            Target::Tool { arguments, .. } => {
                let path = format!("{path}.tool.arguments");
                if !arguments.0.is_object() && Text::whole(&arguments.0).is_none() {
                    self.add(path.clone(), "expected the arguments of a tool to be an object".into());
                }
                self.template(path, arguments, variables);
            }
            Target::Http { method, path: place, query, headers, body, .. } => {
                let path = format!("{path}.http");
                if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                    let message = format!("expected GET, POST, PUT, PATCH or DELETE, found {method:?}");
                    self.add(format!("{path}.method"), message);
                }
                self.text_template(format!("{path}.path"), place, variables);
                for (name, value) in query {
                    self.template(format!("{path}.query.{name}"), value, variables);
                }
                for (name, value) in headers {
                    if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
                        self.add(format!("{path}.headers.{name}"), format!("{name:?} is not the name of a header"));
                    }
                    self.text_template(format!("{path}.headers.{name}"), value, variables);
                }
                if let Some(body) = body {
                    self.template(format!("{path}.body"), body, variables);
                }
            }
        }
    }

    fn text_template(&mut self, path: String, template: &Template, variables: &[&str]) {
        if !template.0.is_string() {
            self.add(path.clone(), "expected a string".into());
        }
        self.template(path, template, variables);
    }

    fn expression(&mut self, path: String, expression: &Expression, place: Place) {
        match compile::compiled(&expression.0) {
            Ok(compiled) => self.compiled(&path, &compiled, place.variables()),
            Err(message) => self.add(path, message),
        }
    }

    fn template(&mut self, path: String, template: &Template, variables: &[&str]) {
        self.value(path, &template.0, variables);
    }

    fn value(&mut self, path: String, value: &Value, variables: &[&str]) {
        match value {
            Value::String(text) => match Text::cached(text) {
                Ok(parts) => {
                    for compiled in parts.expressions() {
                        self.compiled(&path, compiled, variables);
                    }
                }
                Err(message) => self.add(path, message),
            },
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(format!("{path}[{index}]"), item, variables);
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    if name.contains("${") {
                        let message = format!("the name {name:?} is not a template; only values are");
                        self.add(path.clone(), message);
                    }
                    self.value(format!("{path}.{name}"), field, variables);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn compiled(&mut self, path: &str, compiled: &Compiled, variables: &[&str]) {
        for message in unknown(compiled, variables) {
            self.add(path.to_owned(), format!("`{}`: {message}", compiled.text));
        }
        let Some((step, before)) = &self.steps else { return };
        // Other steps may end between two attempts, and the second attempt would see more than the first.
        if compiled.needs.any_step && !step.is_empty() {
            let message = "name the steps, as in `steps.NAME`: every attempt must see the same";
            self.faults.push(Fault { path: path.to_owned(), message: format!("`{}`: {message}", compiled.text) });
        }
        let wrong: Vec<_> = compiled.needs.steps.iter().filter(|name| !before.contains(*name)).cloned().collect();
        let step = step.clone();
        for name in wrong {
            let message = if step.is_empty() {
                format!("{name:?} is no step of this saga")
            } else if name == step {
                format!("`steps.{name}` is this step itself; a compensation finds its output in `output`")
            } else {
                format!("step {name:?} is not over when {step:?} starts; add it to `needs`, or correct the name")
            };
            self.add(path.to_owned(), format!("`{}`: {message}", compiled.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, allowed: &[&str]) -> String {
        check_expression(text, allowed).expect_err(text)
    }

    #[test]
    fn accepts_what_is_known() {
        for text in [
            "input.a",
            "input.list.exists(x, x.id == input.id)",
            "has(input.a) ? input.a : 'none'",
            "input.?a.orValue(3) + size(input.b)",
            "input.name.lowerAscii().matches('^[a-z]+$')",
            "['a', 'b'].join(', ')",
            "timestamp(input.at) + duration('1h')",
            "optional.of(input).hasValue()",
        ] {
            assert_eq!(check_expression(text, &["input"]), Ok(()), "{text}");
        }
    }

    #[test]
    fn names_unknown_variables_functions_and_syntax() {
        assert!(refused("inptu.a + 1", &["input"]).contains("no variable `inptu`"));
        assert!(refused("siz(input) > 1", &["input"]).contains("no function `siz`"));
        assert!(refused("input.a +", &["input"]).contains("syntax error"));
        assert!(refused("", &[]).contains("found nothing"));
        assert!(refused(&"a".repeat(5_000), &[]).contains("4096 bytes"));
        // A loop's own variable is no variable outside of it.
        assert!(refused("input.all(x, x > 1) && x", &["input"]).contains("no variable `x`"));
    }

    #[test]
    fn steps_speak_of_steps_that_were_done_before() {
        let draft: Draft = serde_json::from_value(serde_json::json!({
            "name": "d",
            "output": {"all": "${ steps }", "last": "${ steps.last.id + steps.no.id }"},
            "steps": [
                {"name": "first", "action": {"call": {"target": {"handler": {"name": "h"}}}}},
                {"name": "second", "needs": ["first"], "when": "steps.first.ok && steps['third'].ok",
                 "action": {"call": {
                    "target": {"http": {"participant": "p", "method": "FETCH", "path": "/${ steps[input.name] }",
                               "headers": {"a b": "${ key }"}}},
                    "success": "result.ok && steps.second.ok", "output": {"${ x }": "${ reslt.id }"},
                    "probe": {"target": {"tool": {"participant": "p", "tool": "t", "arguments": []}},
                              "applied": "output.id == 1"}}},
                 "compensation": {"target": {"handler": {
                    "name": "h", "arguments": "${ output.id + steps.first.id }"}}}},
                {"name": "third", "action": {"sleep": {"for_ms": 1}}},
                {"name": "last", "kind": "retriable", "when": "steps.third != null",
                 "action": {"await": {"event": "e"}}},
            ],
        }))
        .unwrap();
        let found: Vec<_> = check_draft(&draft).iter().map(ToString::to_string).collect();
        let expected = [
            ("steps[1].when: ", "\"third\" is not over when \"second\" starts"),
            ("steps[1].action.target.http.method: ", "FETCH"),
            ("steps[1].action.target.http.path: ", "name the steps"),
            ("steps[1].action.target.http.headers.a b: ", "not the name of a header"),
            ("steps[1].action.success: ", "this step itself"),
            ("steps[1].action.output: ", "not a template"),
            ("steps[1].action.output.${ x }: ", "no variable `reslt`"),
            ("steps[1].action.probe.target.tool.arguments: ", "an object"),
            ("steps[1].action.probe.applied: ", "no variable `output`"),
            ("output.last: ", "\"no\" is no step"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (line, (start, part)) in found.iter().zip(expected) {
            assert!(line.starts_with(start) && line.contains(part), "expected {start}…{part}, found {line}");
        }
    }

    #[test]
    fn hostile_texts_are_refused_in_time() {
        let deep = |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
        for text in [
            deep("(", ")", 2_000),
            deep("[", "]", 2_000),
            deep("!", "", 4_000),
            deep("-", "", 4_000),
            format!("input{}", "[0]".repeat(1_300)),
            format!("size(input){}", ".a".repeat(2_000)),
            format!("1{}", "+1".repeat(2_000)),
            format!("1{}", "?1:1".repeat(1_000)),
            "'".repeat(4_000),
            "${".repeat(2_000),
            "\u{0}\u{ffff}".repeat(500),
        ] {
            let start = std::time::Instant::now();
            let _ = check_expression(&text, &["input"]);
            assert!(start.elapsed().as_secs() < 10, "{}", &text[..20]);
        }
    }
}
