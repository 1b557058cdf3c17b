//! The shape of a definition file as Rust types, and the conversion to a [`Draft`]: where the fields of a call go,
//! and the defaults that depend on the place.
//!
//! Leaves limits and types to the schema, which is checked first.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::defaults::{self, CallDefaults};
use crate::catalog::fault::quoted;
use crate::catalog::yaml::{Path, PathFault, Segment};
use crate::participant::expr;
use crate::saga::definition::{
    Action, Approver, Call, DURATION_MS_MAX, Draft, Effect, Errors, Expression, KeyRule, Kind, Millis, Notice,
    OnDisconnect, Open, Probe, Quota, Refused, Retry, Rule, Step, Target, Template, Verdict,
};

#[derive(Deserialize)]
struct FileShape {
    #[serde(default)]
    saga: String,
    #[serde(default)]
    description: String,
    #[serde(default = "anything")]
    input: Value,
    output_schema: Option<Value>,
    output: Option<Template>,
    deadline: Option<String>,
    retention: Option<String>,
    concurrency: Option<Text>,
    priority: Option<Text>,
    fairness: Option<Text>,
    quota: Option<Quota>,
    on_stuck: Option<NoticeShape>,
    on_end: Option<NoticeShape>,
    #[serde(default)]
    on_disconnect: OnDisconnect,
    open: Option<OpenShape>,
    #[serde(default)]
    steps: Vec<StepShape>,
}

#[derive(Deserialize)]
struct OpenShape {
    lease: Option<String>,
}

#[derive(Deserialize)]
struct StepShape {
    #[serde(default)]
    step: String,
    needs: Option<Vec<String>>,
    #[serde(default)]
    kind: Kind,
    when: Option<Text>,
    #[serde(default)]
    action: TargetShape,
    compensation: Option<CompensationShape>,
    #[serde(default)]
    safe_when_absent: bool,
    #[serde(default)]
    irreversible: bool,
    #[serde(flatten)]
    call: CallShape,
}

#[derive(Deserialize)]
struct CompensationShape {
    #[serde(flatten)]
    target: TargetShape,
    #[serde(flatten)]
    call: CallShape,
}

#[derive(Deserialize)]
struct NoticeShape {
    #[serde(flatten)]
    target: TargetShape,
    timeout: Option<String>,
    success: Option<Text>,
}

/// The fields of a call, except its target.
#[derive(Deserialize)]
struct CallShape {
    effect: Option<Effect>,
    key_lifetime: Option<String>,
    retry: Option<RetryShape>,
    timeout: Option<String>,
    deadline: Option<String>,
    settle: Option<String>,
    probe: Option<ProbeShape>,
    errors: Option<Errors>,
    refused: Option<RefusedShape>,
    success: Option<Text>,
    #[serde(default)]
    classify: Vec<RuleShape>,
    output: Option<Template>,
}

#[derive(Default, Deserialize)]
struct TargetShape {
    tool: Option<String>,
    http: Option<String>,
    handler: Option<String>,
    #[serde(rename = "await")]
    event: Option<String>,
    sleep: Option<String>,
    arguments: Option<Template>,
    method: Option<String>,
    path: Option<Template>,
    #[serde(default)]
    query: BTreeMap<String, Template>,
    #[serde(default)]
    headers: BTreeMap<String, Template>,
    body: Option<Template>,
    approval: Option<ApprovalShape>,
}

#[derive(Deserialize)]
struct ApprovalShape {
    message: Option<Template>,
    arguments: Option<Template>,
    #[serde(default)]
    approver: Approver,
}

#[derive(Deserialize)]
struct ProbeShape {
    #[serde(flatten)]
    target: TargetShape,
    #[serde(default)]
    applied: Text,
    absent: Option<Text>,
    output: Option<Template>,
    settle: Option<String>,
    retry: Option<RetryShape>,
    timeout: Option<String>,
}

#[derive(Deserialize)]
struct RuleShape {
    #[serde(default)]
    when: Text,
    outcome: Option<Verdict>,
    error: Option<Text>,
    #[serde(default)]
    answers_key: bool,
    key: Option<KeyRule>,
}

/// `refused`: a predicate, or a mapping with a predicate and `answers_key`.
#[derive(Deserialize)]
#[serde(untagged)]
enum RefusedShape {
    When(Text),
    Says {
        #[serde(default)]
        when: Text,
        #[serde(default)]
        answers_key: bool,
    },
}

#[derive(Deserialize)]
struct RetryShape {
    attempts: Option<u32>,
    backoff: Option<String>,
    multiplier: Option<f64>,
    backoff_max: Option<String>,
    jitter: Option<f64>,
}

/// An expression: text, or a boolean that the YAML parser has already resolved.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Words(String),
    Bool(bool),
}

impl Default for Text {
    fn default() -> Self {
        Self::Words(String::new())
    }
}

/// Decodes a document without the parts that the schema refused. A missing part becomes an empty value. If there are
/// faults, the draft is still fit for further checks.
pub(super) fn decode(value: &Value) -> Result<(Draft, Vec<PathFault>), PathFault> {
    let shape = FileShape::deserialize(value)
        .map_err(|error| PathFault::value(&[], format!("expected a definition: {error}")))?;
    let mut reading = Reading::default();
    let draft = reading.draft(shape);
    Ok((draft, reading.faults))
}

/// The current path in the document, and the faults so far.
#[derive(Default)]
struct Reading {
    path: Path,
    faults: Vec<PathFault>,
}

impl Reading {
    fn draft(&mut self, shape: FileShape) -> Draft {
        let mut steps: Vec<Step> = Vec::with_capacity(shape.steps.len());
        for (index, step) in shape.steps.into_iter().enumerate() {
            let before = steps.last().map(|step| step.name.clone());
            let step = self.within(["steps".into(), index.into()], |reading| reading.step(step, before));
            steps.push(step);
        }
        Draft {
            name: shape.saga,
            description: shape.description,
            input: shape.input,
            output_schema: shape.output_schema,
            output: shape.output,
            steps,
            deadline_ms: self.duration("deadline", shape.deadline),
            retention_ms: self.duration("retention", shape.retention),
            concurrency: shape.concurrency.map(expression),
            priority: shape.priority.map(expression),
            fairness: shape.fairness.map(expression),
            quota: shape.quota,
            on_stuck: self.notice("on_stuck", shape.on_stuck),
            on_end: self.notice("on_end", shape.on_end),
            on_disconnect: shape.on_disconnect,
            open: shape.open.and_then(|open| {
                let lease = self.within(["open".into()], |reading| reading.duration("lease", open.lease));
                lease.map(|lease_ms| Open { lease_ms })
            }),
        }
    }

    fn notice(&mut self, key: &str, shape: Option<NoticeShape>) -> Option<Notice> {
        let NoticeShape { target, timeout, success } = shape?;
        let timeout = self.within([key.into()], |reading| reading.duration("timeout", timeout));
        let mut notice = Notice::new(target.into_target(defaults::METHOD));
        notice.timeout_ms = timeout.unwrap_or(notice.timeout_ms);
        notice.success = success.map(expression);
        Some(notice)
    }

    fn step(&mut self, shape: StepShape, before: Option<String>) -> Step {
        let StepShape { step: name, kind, safe_when_absent, irreversible, .. } = shape;
        let needs = shape.needs.unwrap_or_else(|| before.into_iter().collect());
        let action = match shape.action {
            TargetShape { event: Some(event), .. } => {
                Action::Await { event, deadline_ms: self.duration("deadline", shape.call.deadline) }
            }
            TargetShape { approval: Some(ApprovalShape { message, arguments, approver }), .. } => Action::Approval {
                message: message.unwrap_or_else(|| Template(Value::from(""))),
                arguments,
                approver,
                deadline_ms: self.duration("deadline", shape.call.deadline),
            },
            TargetShape { sleep: Some(sleep), .. } => {
                let for_ms = self.within(["action".into()], |reading| reading.duration("sleep", Some(sleep)));
                Action::Sleep { for_ms: for_ms.unwrap_or(1) }
            }
            target => {
                let target = target.into_target(defaults::METHOD);
                Action::Call(self.call(target, shape.call, defaults::action(kind)))
            }
        };
        let compensation = shape.compensation.map(|CompensationShape { target, call }| {
            self.within(["compensation".into()], |reading| {
                reading.call(target.into_target(defaults::METHOD), call, defaults::compensation(&action))
            })
        });
        let when = shape.when.map(expression);
        Step { name, needs, kind, action, compensation, safe_when_absent, irreversible, when }
    }

    fn call(&mut self, target: Target, shape: CallShape, default: CallDefaults) -> Call {
        let settle = self.settle(&shape);
        let inherited = default.key_lifetime_ms.filter(|_| shape.effect.is_none());
        Call {
            target,
            effect: shape.effect.unwrap_or(default.effect),
            key_lifetime_ms: self.duration("key_lifetime", shape.key_lifetime).or(inherited),
            retry: self.retry(shape.retry, default.retry),
            timeout_ms: self.duration("timeout", shape.timeout).unwrap_or(default.timeout_ms),
            deadline_ms: self.duration("deadline", shape.deadline),
            settle_ms: settle.unwrap_or(defaults::SETTLE_MS),
            probe: (shape.probe).map(|probe| self.within(["probe".into()], |reading| reading.probe(probe))),
            errors: shape.errors,
            refused: shape.refused.map(RefusedShape::into_refused),
            success: shape.success.map(expression),
            classify: shape.classify.into_iter().map(RuleShape::into_rule).collect(),
            output: shape.output,
        }
    }

    /// Returns the settle window, which may be set in the call or in its probe.
    fn settle(&mut self, shape: &CallShape) -> Option<Millis> {
        let of_probe = shape.probe.as_ref().and_then(|probe| probe.settle.clone());
        if shape.settle.is_some() && of_probe.is_some() {
            self.fault(["settle".into()], "`settle` is set here and in the probe; keep one of the two");
        }
        let of_call = self.duration("settle", shape.settle.clone());
        of_call.or_else(|| self.within(["probe".into()], |reading| reading.duration("settle", of_probe)))
    }

    fn probe(&mut self, shape: ProbeShape) -> Probe {
        Probe {
            target: shape.target.into_target(defaults::PROBE_METHOD),
            applied: expression(shape.applied),
            absent: shape.absent.map(expression),
            output: shape.output,
            retry: self.retry(shape.retry, defaults::probe_retry()),
            timeout_ms: self.duration("timeout", shape.timeout).unwrap_or(defaults::TIMEOUT_MS),
        }
    }

    fn retry(&mut self, shape: Option<RetryShape>, default: Retry) -> Retry {
        let Some(shape) = shape else { return default };
        self.within(["retry".into()], |reading| Retry {
            attempts: shape.attempts.unwrap_or(default.attempts),
            backoff_ms: reading.duration("backoff", shape.backoff).unwrap_or(default.backoff_ms),
            multiplier: shape.multiplier.unwrap_or(default.multiplier),
            backoff_max_ms: reading.duration("backoff_max", shape.backoff_max).unwrap_or(default.backoff_max_ms),
            jitter: shape.jitter.unwrap_or(default.jitter),
        })
    }

    /// Parses a duration. The schema has checked its form, so only its size can be wrong.
    fn duration(&mut self, key: &str, text: Option<String>) -> Option<Millis> {
        let text = text?;
        let read = duration_ms(&text);
        if read.is_none() {
            let message = format!("expected a duration of at most ten years, found {}", quoted(&text));
            self.fault([key.into()], message);
        }
        read
    }

    fn fault<const N: usize>(&mut self, below: [Segment; N], message: impl Into<String>) {
        let path: Path = self.path.iter().cloned().chain(below).collect();
        self.faults.push(PathFault::value(&path, message));
    }

    fn within<T, const N: usize>(&mut self, below: [Segment; N], read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.path.len();
        self.path.extend(below);
        let out = read(self);
        self.path.truncate(before);
        out
    }
}

impl TargetShape {
    fn into_target(self, method: &str) -> Target {
        if let Some(tool) = self.tool {
            let (participant, tool) = tool.split_once('/').unwrap_or(("", &tool));
            return Target::Tool {
                participant: participant.to_owned(),
                tool: tool.to_owned(),
                arguments: self.arguments.unwrap_or_else(|| Template(Value::Object(serde_json::Map::new()))),
            };
        }
        if let Some(participant) = self.http {
            return Target::Http {
                participant,
                method: self.method.unwrap_or_else(|| method.to_owned()),
                path: self.path.unwrap_or_else(|| Template(Value::from("/"))),
                query: self.query,
                headers: self.headers,
                body: self.body,
            };
        }
        Target::Handler { name: self.handler.unwrap_or_default(), arguments: self.arguments }
    }
}

impl RuleShape {
    fn into_rule(self) -> Rule {
        let outcome = self.outcome.unwrap_or(Verdict::Unknown);
        let (error, answers_key) = (self.error.map(expression), self.answers_key);
        Rule { when: expression(self.when), outcome, error, answers_key, key: self.key }
    }
}

impl RefusedShape {
    fn into_refused(self) -> Refused {
        match self {
            Self::When(when) => Refused { when: expression(when), answers_key: false },
            Self::Says { when, answers_key } => Refused { when: expression(when), answers_key },
        }
    }
}

/// Parses a duration such as `1h30m` and returns milliseconds. Returns `None` for any other text, and for more than
/// ten years, the longest duration in a definition.
pub(in crate::catalog) fn duration_ms(text: &str) -> Option<Millis> {
    let duration = humantime::parse_duration(text).ok()?;
    Millis::try_from(duration.as_millis()).ok().filter(|ms| *ms <= DURATION_MS_MAX)
}

fn expression(text: Text) -> Expression {
    match text {
        Text::Words(text) => Expression(expr::unwrap(&text).to_owned()),
        Text::Bool(value) => Expression(value.to_string()),
    }
}

fn anything() -> Value {
    Value::Bool(true)
}
